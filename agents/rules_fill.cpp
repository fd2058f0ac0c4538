// Rules that fill up what nodes ask for, in some order or at some pace: the classics of scheduling.
// A queue asks for q + ef, a progress node for all it can use; what is left goes out evenly. Under
// lag a strict order starves whoever comes last: these rules are there to show it.
#include <cmath>

#include "agents/filling.h"

namespace cra::agents {
namespace {

struct PriorityRule {
  static constexpr const char* name = "priority";
  static constexpr const char* doc =
      "strict order of W, ties by number: each gets what it asks for";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    f.in_order(by_falling({s.importance, s.importance + s.nodes}));
    f.finish(w);
  }
};

struct RoundRobinRule {
  static constexpr const char* name = "round_robin";
  static constexpr const char* doc =
      "quanta of `quantum` fair shares in turn while nodes ask for more, one node further each "
      "slot";
  static constexpr bool strict = true;
  static constexpr bool ordered = true;
  static constexpr bool handles_down = true;
  static std::vector<Knob> knobs() { return {{"quantum", {0.125, 0.25, 0.5, 1, 2, 4}, 0.01}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    Filling f(s);
    double fair = 0;  // the rate at which all nodes together use the scarcest budget up
    for (int k = 0; k < s.params.pool.resource_count(); ++k) {
      double sum = 0;
      for (int n = 0; n < s.nodes; ++n) sum += s.params.pool.need_of(n, k);
      fair = std::max(fair, sum / s.params.pool.budgets[static_cast<std::size_t>(k)]);
    }
    const double quantum = knob[0] / fair;
    for (bool gave = true; gave;) {
      gave = false;
      for (int i = 0; i < s.nodes; ++i) {
        const int n = (s.slot + i) % s.nodes;
        // A last crumb of rounding is not worth another round.
        if (f.give(n, quantum, f.ask(n)) > 1e-9 * quantum) gave = true;
      }
    }
    f.finish(w);
  }
};

struct MaxMinRule {
  static constexpr const char* name = "maxmin";
  static constexpr const char* doc = "max-min fair rates: each gets what it asks for up to a level";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    const std::vector<double> even(static_cast<std::size_t>(s.nodes), 1.0);
    f.raise(even.data(), f.asks().data());
    f.finish(w);
  }
};

/// Ghodsi et al., NSDI 2011.
struct DominantShareRule {
  static constexpr const char* name = "drf";
  static constexpr const char* doc =
      "dominant resource fairness: equal largest shares of a resource, up to what nodes ask for";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    std::vector<double> speed;
    for (int n = 0; n < s.nodes; ++n) speed.push_back(1 / sim::largest_share(s.params, n));
    f.raise(speed.data(), f.asks().data());
    f.finish(w);
  }
};

/// Tassiulas, Ephremides 1992.
struct MaxWeightRule {
  static constexpr const char* name = "maxweight";
  static constexpr const char* doc = "strict order of W q / need: each gets what it asks for";
  static constexpr bool ordered = true;  // idle queues are ties
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    std::vector<double> key;
    for (int n = 0; n < s.nodes; ++n)
      key.push_back(s.importance[n] * s.backlog[n] / sim::largest_share(s.params, n));
    f.in_order(by_falling(key));
    f.finish(w);
  }
};

struct CmuRule {
  static constexpr const char* name = "cmu";
  static constexpr const char* doc = "c-mu: strict order of W / need, each gets what it asks for";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    std::vector<double> key;
    for (int n = 0; n < s.nodes; ++n)
      key.push_back(s.importance[n] / sim::largest_share(s.params, n));
    f.in_order(by_falling(key));
    f.finish(w);
  }
};

/// Van Mieghem 1995.
struct GeneralisedCmuRule {
  static constexpr const char* name = "gcmu";
  static constexpr const char* doc =
      "generalised c-mu: strict order of what a unit of service gains just now";
  static constexpr bool ordered = true;  // idle queues are ties
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    Filling f(s);
    f.in_order(by_falling({s.margin, s.margin + s.nodes}));
    f.finish(w);
  }
};

}  // namespace

std::vector<RuleEntry> fill_rules() {
  return entries_of<PriorityRule, RoundRobinRule, MaxMinRule, DominantShareRule, MaxWeightRule,
                    CmuRule, GeneralisedCmuRule>();
}

}  // namespace cra::agents
