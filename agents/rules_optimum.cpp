// Rules that optimise something in every slot: a sum of logarithms, the error of the coming slot,
// the marginal gain of one quantum after the other, or the cost by mirror descent.
#include <cmath>
#include <numeric>

#include "agents/curves.h"
#include "agents/filling.h"

namespace cra::agents {
namespace {

std::vector<double> placed_budgets(const Seen& s) {
  std::vector<double> budget = s.params.pool.budgets;
  for (double& b : budget) b *= s.placed;
  return budget;
}

/// Kelly, Maulloo, Tan 1998. Reads nothing but importance: with one resource shares are W / need.
struct ProportionalFairRule {
  static constexpr const char* name = "proportional_fair";
  static constexpr const char* doc = "rates that maximise the sum of W log rate inside the budgets";
  static constexpr bool handles_down = true;
  static void weigh(const Seen& s, const double*, double* w) {
    const Filling f(s);
    const auto demand = [&](int n, double price) {
      return Demand{s.importance[n] / price, -s.importance[n] / (price * price)};
    };
    clear_market(s.params.pool, placed_budgets(s), f.caps(), demand, w);
  }
};

struct KleinrockRule {
  static constexpr const char* name = "kleinrock";
  static constexpr const char* doc =
      "slow averages of arrivals, and the rest of the budget by their square roots: best for M/M/1";
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double*, double* w) {
    // In shares of the scarcest budget, so that one number bounds the sum.
    std::vector<double> load;
    for (int n = 0; n < s.nodes; ++n) load.push_back(s.slow[n] * sim::largest_share(s.params, n));
    kleinrock_rates(load.data(), s.importance, s.placed, w, s.nodes);
    for (int n = 0; n < s.nodes; ++n) w[n] /= sim::largest_share(s.params, n);
  }
};

/// What "optimal" means when nobody looks beyond the slot. Under lag the rate that is placed moves
/// by a share eta of the change; commanding for that (`lagged`) over-reacts by 1 / eta.
struct MyopicRule {
  static constexpr const char* name = "myopic";
  static constexpr const char* doc =
      "rates that minimise the error of the coming slot at forecast fast ef + (1 - fast) es; "
      "lagged=1 commands what brings the placed rates there at once";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static std::vector<Knob> knobs() { return {{"fast", {0, 1}, 0, 1}, {"lagged", {0, 1}, 0, 1}}; }
  static std::string unfit(const sim::Params& p) { return no_curves(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    Filling f(s);
    std::vector<Curve> curves;
    for (int n = 0; n < s.nodes; ++n)
      curves.push_back(curve_of(s, n, knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n]));
    clear_market(
        s.params.pool, placed_budgets(s), f.caps(),
        [&](int n, double price) { return curves[static_cast<std::size_t>(n)].demand(price); }, w);
    // A queue with budget to spare asks for its cap at no price: it has no use for more than its
    // load.
    for (int n = 0; n < s.nodes; ++n) {
      const Curve& c = curves[static_cast<std::size_t>(n)];
      f.give(n, c.form == Curve::Form::backlog ? std::min(w[n], c.start) : w[n], f.cap(n));
    }
    f.finish(w);
    if (knob[1] == 0) return;
    const double lag = s.params.pool.lag;
    for (int n = 0; n < s.nodes; ++n)
      w[n] = std::clamp((w[n] - (1 - lag) * s.rate[n]) / lag, 0.0, f.cap(n));
  }
};

/// SLAQ (Zhang et al., SoCC 2017) shares a cluster so.
struct GreedyMarginRule {
  static constexpr const char* name = "greedy_margin";
  static constexpr const char* doc =
      "quanta of `quantum` fair shares of the budget, each to the node it gains most at by now";
  static constexpr bool strict = true;
  static constexpr bool handles_down = true;
  static std::vector<Knob> knobs() { return {{"quantum", {0.125, 0.25, 0.5, 1}, 0.01}}; }
  static std::string unfit(const sim::Params& p) { return no_curves(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    Filling f(s);
    struct Bid {
      double gain;
      int node;
      bool operator<(const Bid& other) const {
        return gain != other.gain ? gain < other.gain : node > other.node;
      }
    };
    std::vector<Curve> curves;
    std::vector<Bid> bids;
    const auto bid = [&](int n) {
      return Bid{
          curves[static_cast<std::size_t>(n)].gain_at(f.rate(n)) / sim::largest_share(s.params, n),
          n};
    };
    for (int n = 0; n < s.nodes; ++n) {
      curves.push_back(curve_of(s, n, s.fast[n]));
      bids.push_back(bid(n));
    }
    std::make_heap(bids.begin(), bids.end());
    while (!bids.empty()) {
      std::pop_heap(bids.begin(), bids.end());
      const int n = bids.back().node;
      bids.pop_back();
      const double quantum = knob[0] / s.nodes / sim::largest_share(s.params, n);
      if (!(bid(n).gain > 0) || f.give(n, quantum, f.cap(n)) <= 1e-9 * quantum) continue;
      bids.push_back(bid(n));
      std::push_heap(bids.begin(), bids.end());
    }
    f.finish(w);
  }
};

/// Mirror descent on the simplex, slot by slot, by what the slot that has passed would have gained.
/// The gradient is the simulator's own: the slot is replayed once it is known.
class ExponentialWeightsActor : public Actor {
 public:
  ExponentialWeightsActor(const KnobValues& knobs, const sim::Params& p)
      : knobs_(knobs), params_(p) {}

  void act(const sim::Batch& b, View<double> decisions) override {
    if (b.slot == 0) {
      share_.assign(b.backlog.size(), 1.0 / b.nodes);
    } else {
      learn(b);
    }
    for (std::int64_t e = 0; e < b.envs; ++e) {
      double* w = decisions.row(e);
      for (int n = 0; n < b.nodes; ++n) w[n] = share_[b.at(e) + static_cast<std::size_t>(n)];
      if (decisions.cols > b.nodes) w[b.nodes] = knobs_.back();
    }
    before_ = b;
    decided_.assign(decisions.data, decisions.data + decisions.size());
  }

 private:
  void learn(const sim::Batch& b) {
    const sim::Exogenous past = replay(b);
    before_.slot = 0;
    for (std::int64_t e = 0; e < b.envs; ++e) before_.episode[static_cast<std::size_t>(e)] = e;
    sim::Adjoint none(before_);
    const int size = sim::bundle_size(params_);
    std::vector<double> slope(decided_.size());
    sim::step_bundles_backward(params_, past, before_, {decided_.data(), b.envs, size}, 1, none,
                               {slope.data(), b.envs, size});
    for (std::int64_t e = 0; e < b.envs; ++e) {
      double* share = share_.data() + b.at(e);
      double* gain = slope.data() + e * size;
      for (int n = 0; n < b.nodes; ++n) gain[n] = -gain[n];
      sim::exponentiated_gradient(share, gain, knobs_[0], b.nodes);
      for (int n = 0; n < b.nodes; ++n) share[n] = (1 - knobs_[1]) * share[n] + knobs_[1] / b.nodes;
    }
  }
  /// The slot that has passed, as its end shows it.
  sim::Exogenous replay(const sim::Batch& b) const {
    sim::Exogenous x;
    x.episodes = b.envs;
    x.slots = 1;
    x.nodes = b.nodes;
    x.arrivals = b.arrivals_last;
    x.availability = b.availability;
    x.importance = before_.importance;
    x.keep.assign(b.backlog.size(), 1);
    x.young = before_.young;
    x.reference_error.assign(static_cast<std::size_t>(b.envs), 1);  // of no use to the cost
    return x;
  }

  const KnobValues& knobs_;
  const sim::Params& params_;
  std::vector<double> share_;    ///< [E, N] on the simplex
  sim::Batch before_;            ///< as it was before the slot that has passed
  std::vector<double> decided_;  ///< [E, A]
};

struct ExponentialWeightsRule {
  static constexpr const char* name = "exp_weights";
  static constexpr const char* doc =
      "share * exp(-slope of the last slot's cost by the share / temperature), normalised; a part "
      "`even` of it is spread evenly, so that no node is forgotten";
  static constexpr bool strict = true;
  static std::vector<Knob> knobs() {
    return {{"temperature", {0.003, 0.01, 0.03, 0.1, 0.3, 1, 3}, 1e-4},
            {"even", {0, 0.01, 0.1}, 0, 1}};
  }
  static std::string unfit(const sim::Params& p) { return needs_gradient(p); }
  static std::unique_ptr<Actor> actor(const KnobValues& knobs, const sim::Params& p, std::int64_t) {
    return std::make_unique<ExponentialWeightsActor>(knobs, p);
  }
};

}  // namespace

std::vector<RuleEntry> optimum_rules() {
  return entries_of<ProportionalFairRule, KleinrockRule, MyopicRule, GreedyMarginRule,
                    ExponentialWeightsRule>();
}

}  // namespace cra::agents
