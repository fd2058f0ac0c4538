// The heuristics. Adding one: write a struct like those below and put its name in `All`.
//
// A heuristic turns what is known before the slot into weights of the nodes; the pool water-fills
// them. ef, es are the fast and slow averages of arrivals, q the backlog, W the importance.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "agents/agents.h"

namespace cra::agents {
namespace {

/// What a heuristic reads: one environment's rows, [N] each.
struct Seen {
  int nodes;
  const double* backlog;
  const double* fast;
  const double* slow;
  const double* importance;
  const double* capacity;
  const double* scale;         ///< backlog that counts as large, kappa
  const double* error;         ///< eps
  const double* margin;        ///< marginal gain of service per budget share, times W
  const double* margin_ahead;  ///< the same with the importance of the coming slots
  const sim::Params& pool;
};

/// Where a heuristic's reverse sends gradients: one environment's rows of an adjoint, [N] each.
struct Back {
  double* backlog;
  double* error;
  double* margin;
  double* margin_ahead;
};

struct UniformRule {
  static constexpr const char* name = "uniform";
  static constexpr const char* doc = "the same share for every node";
  static std::vector<Knob> knobs() { return {}; }
  static void weigh(const Seen& s, const double*, double* w) { std::fill_n(w, s.nodes, 1.0); }
};

struct CapacityRule {
  static constexpr const char* name = "capacity";
  static constexpr const char* doc = "shares in proportion to capacity";
  static std::vector<Knob> knobs() { return {}; }
  static void weigh(const Seen& s, const double*, double* w) {
    std::copy_n(s.capacity, s.nodes, w);
  }
};

struct DemandRule {
  static constexpr bool reads_queues = true;
  static constexpr const char* name = "demand";
  static constexpr const char* doc = "shares in proportion to recent arrivals, ef + slow es";
  static std::vector<Knob> knobs() { return {{"slow", {0, 0.25, 0.5, 1, 2, 4, 8}}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = s.fast[n] + knob[0] * s.slow[n];
  }
};

/// The strongest simple rule where work queues.
struct DemandBacklogRule {
  static constexpr bool reads_queues = true;
  static constexpr const char* name = "demand_backlog";
  static constexpr const char* doc = "(fast ef + (1 - fast) es + backlog q + offset) W^power";
  static std::vector<Knob> knobs() {
    return {{"fast", {0, 0.5, 1}},
            {"backlog", {0.25, 0.5, 1, 2, 4, 8, 16, 32}},
            {"offset", {0.01, 0.05, 0.25, 1}},
            {"power", {0, 0.5, 1, 1.5, 2}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n)
      w[n] = (knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n] + knob[1] * s.backlog[n] + knob[2]) *
             std::pow(s.importance[n], knob[3]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double sum =
          knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n] + knob[1] * s.backlog[n] + knob[2];
      a.backlog[n] += d[n] * knob[1] / sum;
    }
  }
};

/// The generalised c-mu rule (Van Mieghem 1995) weighs a queue by the slope of its error; in
/// proportion instead of in strict order, because under lag a strict order starves.
struct SoftGeneralisedCmuRule {
  static constexpr bool reads_queues = true;
  static constexpr const char* name = "gcmu_soft";
  static constexpr const char* doc =
      "(backlog q + ef + offset) W^importance (phi'((q + ahead ef) / scale) / scale)^power";
  static std::vector<Knob> knobs() {
    return {{"backlog", {1, 8, 64}},
            {"offset", {0.01, 0.1}},
            {"ahead", {0, 0.5}},
            {"importance", {0.5, 0.75, 1, 1.5, 2}},
            {"power", {0.25, 0.5, 1, 1.5, 2, 3}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) {
      const double z = (s.backlog[n] + knob[2] * s.fast[n]) / s.scale[n];
      w[n] = (knob[0] * s.backlog[n] + s.fast[n] + knob[1]) * std::pow(s.importance[n], knob[3]) *
             std::pow(sim::backlog_phi_slope(z) / s.scale[n], knob[4]);
    }
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double z = (s.backlog[n] + knob[2] * s.fast[n]) / s.scale[n];
      a.backlog[n] += d[n] * knob[0] / (knob[0] * s.backlog[n] + s.fast[n] + knob[1]);
      if (z > 1e-9)  // at an empty queue the weight is 0 and has no logarithm
        a.backlog[n] += d[n] * knob[4] * sim::backlog_phi_curvature(z) /
                        (sim::backlog_phi_slope(z) * s.scale[n]);
    }
  }
};

/// Attention without learning: softmax of how much work a node faces, times capacity.
struct DynamicAttentionRule {
  static constexpr const char* name = "dynamic_attention";
  static constexpr const char* doc =
      "softmax(load / mean / temperature) * capacity; load = q + ef, or W error of progress nodes";
  static std::vector<Knob> knobs() {
    return {{"temperature", {0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    double mean = 0, top = 0;
    for (int n = 0; n < s.nodes; ++n) {
      w[n] = s.pool.pool.is_progress(n) ? s.importance[n] * s.error[n] : s.backlog[n] + s.fast[n];
      mean += w[n] / s.nodes;
      top = std::max(top, w[n]);
    }
    const double scale = mean > 0 ? 1 / (mean * knob[0]) : 0;
    for (int n = 0; n < s.nodes; ++n) w[n] = s.capacity[n] * std::exp((w[n] - top) * scale);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    double mean = 0, spread = 0;
    std::vector<double> load(static_cast<std::size_t>(s.nodes));
    for (int n = 0; n < s.nodes; ++n) {
      load[static_cast<std::size_t>(n)] =
          s.pool.pool.is_progress(n) ? s.importance[n] * s.error[n] : s.backlog[n] + s.fast[n];
      mean += load[static_cast<std::size_t>(n)] / s.nodes;
    }
    if (!(mean > 0)) return;
    for (int n = 0; n < s.nodes; ++n) spread += d[n] * load[static_cast<std::size_t>(n)];
    for (int n = 0; n < s.nodes; ++n) {
      const double d_load = (d[n] / mean - spread / (mean * mean) / s.nodes) / knob[0];
      if (s.pool.pool.is_progress(n)) {
        a.error[n] += d_load * s.importance[n];
      } else {
        a.backlog[n] += d_load;
      }
    }
  }
};

/// Max-weight (Tassiulas, Ephremides 1992) with a softmax in place of the strict order.
struct SoftMaxWeightRule {
  static constexpr bool reads_queues = true;
  static constexpr const char* name = "maxweight_soft";
  static constexpr const char* doc = "softmax(sharpness W (q + ef))";
  static std::vector<Knob> knobs() {
    return {{"sharpness", {0.0625, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    double top = 0;
    for (int n = 0; n < s.nodes; ++n) {
      w[n] = knob[0] * s.importance[n] * (s.backlog[n] + s.fast[n]);
      top = std::max(top, w[n]);
    }
    for (int n = 0; n < s.nodes; ++n) w[n] = std::exp(w[n] - top);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) a.backlog[n] += d[n] * knob[0] * s.importance[n];
  }
};

/// Serves where service gains most just now. Myopic: under lag or decay it comes late.
struct MarginRule {
  static constexpr const char* name = "margin";
  static constexpr const char* doc =
      "(marginal gain of service per share of the budget + offset)^power";
  static std::vector<Knob> knobs() {
    return {{"offset", {0, 0.01, 0.1, 1}}, {"power", {0.25, 0.5, 1, 1.5, 2, 3, 4, 6}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = std::pow(s.margin[n] + knob[0], knob[1]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n)
      if (s.margin[n] + knob[0] > 1e-12) a.margin[n] += d[n] * knob[1] / (s.margin[n] + knob[0]);
  }
};

/// The same with the importance of the coming slots where the calendar is known.
struct MarginAheadRule {
  static constexpr const char* name = "margin_ahead";
  static constexpr const char* doc =
      "(marginal gain, importance summed over the coming slots, + offset)^power";
  static std::vector<Knob> knobs() { return MarginRule::knobs(); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = std::pow(s.margin_ahead[n] + knob[0], knob[1]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n)
      if (s.margin_ahead[n] + knob[0] > 1e-12)
        a.margin_ahead[n] += d[n] * knob[1] / (s.margin_ahead[n] + knob[0]);
  }
};

/// More to the worse.
struct ErrorRule {
  static constexpr const char* name = "error";
  static constexpr const char* doc = "(W (error + 0.1))^power";
  static std::vector<Knob> knobs() { return {{"power", {0.25, 0.5, 1, 1.5, 2, 3, 4, 6}}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n)
      w[n] = std::pow(s.importance[n] * (s.error[n] + 0.1), knob[0]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) a.error[n] += d[n] * knob[0] / (s.error[n] + 0.1);
  }
};

using All = std::tuple<UniformRule, CapacityRule, DemandRule, DemandBacklogRule,
                       SoftGeneralisedCmuRule, DynamicAttentionRule, SoftMaxWeightRule, MarginRule,
                       MarginAheadRule, ErrorRule>;  // <- the registration

/// A heuristic as data, so that a name becomes a function once, at load.
struct Entry {
  std::string name, doc;
  std::vector<Knob> knobs;
  bool reads_queues;  ///< says nothing about progress nodes
  void (*weigh)(const Seen&, const double*, double*);
  void (*pull)(const Seen&, const double*, const double*,
               Back);  ///< nullptr: weights are exogenous
};

template <class Rule>
constexpr auto pull_of() -> void (*)(const Seen&, const double*, const double*, Back) {
  if constexpr (requires { &Rule::pull; }) return &Rule::pull;
  return nullptr;
}

template <class Rule>
constexpr bool reads_queues() {
  if constexpr (requires { Rule::reads_queues; }) return Rule::reads_queues;
  return false;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = std::apply(
      [](auto... rule) {
        return std::vector<Entry>{{decltype(rule)::name, decltype(rule)::doc,
                                   decltype(rule)::knobs(), reads_queues<decltype(rule)>(),
                                   &decltype(rule)::weigh, pull_of<decltype(rule)>()}...};
      },
      All{});
  return all;
}

const Entry& entry(const std::string& name) {
  std::string known;
  for (const Entry& e : entries()) {
    if (e.name == name) return e;
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw Error("unknown baseline \"" + name + "\"; known: " + known);
}

/// The knob that every heuristic has in a pool with a reserve: the share it keeps back.
const Knob kReserveKnob{"reserve", {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}};

class BaselineActor : public Actor {
 public:
  BaselineActor(const Entry& entry, const std::vector<double>& knobs, const sim::Params& p)
      : entry_(entry), knobs_(knobs), params_(p) {
    for (int n = 0; n < p.pool.nodes; ++n) scale_.push_back(sim::backlog_scale(p, n));
  }

  void act(const sim::Batch& b, View<double> decisions) override {
    CRA_CHECK(decisions.rows == b.envs && decisions.cols == sim::decision_size(params_),
              "act: decisions have the wrong shape");
    for (std::int64_t e = 0; e < b.envs; ++e) {
      const std::size_t row = b.at(e);
      double* w = decisions.row(e);
      entry_.weigh(seen(b, row), knobs_.data(), w);
      // No rule sends resource to a node that was down a moment ago.
      const auto& up = b.available_now.empty() ? b.availability : b.available_now;
      for (int n = 0; n < b.nodes; ++n) w[n] *= up[row + static_cast<std::size_t>(n)];
      if (decisions.cols > b.nodes) w[b.nodes] = knobs_.back();
    }
  }

  void pull(const sim::Batch& b, View<const double> d_log_weights, sim::Adjoint& a) override {
    if (entry_.pull == nullptr) return;
    for (std::int64_t e = 0; e < b.envs; ++e) {
      const std::size_t row = b.at(e);
      entry_.pull(seen(b, row), knobs_.data(), d_log_weights.row(e),
                  {a.backlog.data() + row, a.error.data() + row, a.margin.data() + row,
                   a.margin_ahead.data() + row});
    }
  }

 private:
  Seen seen(const sim::Batch& b, std::size_t row) const {
    return {b.nodes,
            b.backlog.data() + row,
            (b.arrivals_now.empty() ? b.arrivals_fast : b.arrivals_now).data() + row,
            b.arrivals_slow.data() + row,
            b.importance.data() + row,
            params_.pool.capacity.value.data(),
            scale_.data(),
            b.error.data() + row,
            b.margin.data() + row,
            b.margin_ahead.data() + row,
            params_};
  }

  const Entry& entry_;
  const std::vector<double>& knobs_;
  const sim::Params& params_;
  std::vector<double> scale_;  ///< [N]
};

class BaselinePolicy : public Policy {
 public:
  BaselinePolicy(const Rule& rule, const sim::Params& p)
      : entry_(entry(rule.name)), knobs_(rule.knobs), params_(p) {
    const std::size_t expected = baseline_knobs(rule.name, p).size();
    CRA_CHECK(knobs_.size() == expected, "baseline " + rule.name + " takes " +
                                             std::to_string(expected) + " knobs, got " +
                                             std::to_string(knobs_.size()));
  }
  std::unique_ptr<Actor> actor(std::int64_t) const override {
    return std::make_unique<BaselineActor>(entry_, knobs_, params_);
  }

 private:
  const Entry& entry_;
  std::vector<double> knobs_;
  const sim::Params& params_;
};

}  // namespace

std::vector<std::string> baseline_names() {
  std::vector<std::string> names;
  for (const Entry& e : entries()) names.push_back(e.name);
  return names;
}

std::vector<std::string> baselines_for(const sim::Params& p) {
  std::vector<std::string> names;
  for (const Entry& e : entries())
    if (!e.reads_queues || !p.pool.has_progress()) names.push_back(e.name);
  return names;
}

std::string baseline_doc(const std::string& name) { return entry(name).doc; }

std::vector<Knob> baseline_knobs(const std::string& name, const sim::Params& p) {
  std::vector<Knob> knobs = entry(name).knobs;
  if (p.pool.shared_reserve() != nullptr) knobs.push_back(kReserveKnob);
  return knobs;
}

std::unique_ptr<Policy> make_baseline(const Rule& rule, const sim::Params& p) {
  return std::make_unique<BaselinePolicy>(rule, p);
}

}  // namespace cra::agents
