// Planners: in every slot they try decisions for the slots ahead in the simulator itself, improve
// them by its own gradient, and carry out the first. Nothing is valued beyond the horizon.
//
// `mpc` plays a forecast (model predictive control), `mpc_oracle` what will come: the difference is
// what forecasts are worth, and what is left to the clairvoyant bound is what planning lacks.
#include <cmath>
#include <numeric>

#include "agents/rules.h"

namespace cra::agents {
namespace {

constexpr int kSteps = 25;     // of Adam, in every slot, from the plan of the slot before
constexpr double kRate = 0.3;  // on logits
constexpr double kMean = 0.8, kSquare = 0.9;
constexpr double kFade = 0.8;     // a slot ahead, less of the newest arrivals and more of the mean
constexpr double kDeepest = -12;  // logits below the largest: a weight that can still come back
constexpr double kFirstReserve = 0.2;  // share kept back before the first plan

/// Where each node's windows of importance lie, as far as the past tells.
class Windows {
 public:
  Windows(const sim::Params& p, std::size_t rows)
      : calendar_(std::get_if<sim::WindowsCalendar>(&p.workload.calendar)), inside_(rows, 0) {}

  void see(const sim::Batch& b) {
    if (calendar_ == nullptr) return;
    for (std::size_t i = 0; i < b.window.size(); ++i) {
      // A window that is open in the first slot is taken to be half over.
      const int first = b.slot == 0 ? calendar_->length / 2 : 0;
      inside_[i] = b.window[i] > 0 ? 0 : inside_[i] + 1 + first;
    }
  }
  /// Importance `ahead` slots from now, against that of a mean slot.
  double factor(const sim::Batch& b, std::size_t i, int ahead) const {
    const int from = b.window[i] > 0 ? static_cast<int>(b.window[i]) : 1 - inside_[i];
    const int period = calendar_->period, length = calendar_->length;
    const int phase = ((ahead - from) % period + period) % period;
    const double outside = calendar_->outside;
    return phase < length ? (period - outside * (period - length)) / length : outside;
  }
  bool known() const { return calendar_ != nullptr; }

 private:
  const sim::WindowsCalendar* calendar_;
  std::vector<int> inside_;  ///< [E, N] slots that the open window has lasted, this one included
};

/// The coming slots as a policy may expect them.
sim::Exogenous forecast(const sim::Params& p, const sim::Batch& b, const Windows& windows,
                        int slots) {
  sim::Exogenous x;
  x.episodes = b.envs;
  x.slots = slots;
  x.nodes = b.nodes;
  const double kept = 1 - p.progress.shift * (1 - p.progress.keep);
  for (std::int64_t e = 0; e < b.envs; ++e) {
    double newest = 1;
    for (int h = 0; h < slots; ++h, newest *= kFade)
      for (int n = 0; n < b.nodes; ++n) {
        const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
        const bool shown = h == 0 && !b.arrivals_now.empty();
        x.arrivals.push_back(shown ? b.arrivals_now[i]
                                   : b.arrivals_slow[i] +
                                         newest * (b.arrivals_fast[i] - b.arrivals_slow[i]));
        x.availability.push_back(h == 0 && !b.available_now.empty() ? b.available_now[i]
                                                                    : b.availability[i]);
        x.importance.push_back(windows.known() ? p.workload.importance[n] * windows.factor(b, i, h)
                                               : b.importance[i]);
        x.keep.push_back(kept);
      }
  }
  x.reference_error.assign(static_cast<std::size_t>(b.envs), 1);  // of no use to the cost
  return x;
}

/// The coming slots as they will be.
sim::Exogenous future(const sim::Exogenous& truth, const sim::Batch& b, int slots) {
  sim::Exogenous x;
  x.episodes = b.envs;
  x.slots = slots;
  x.nodes = b.nodes;
  const auto cut = [&](const std::vector<double>& from, std::vector<double>& to) {
    if (from.empty()) return;
    for (const std::int64_t row : b.episode) {
      const auto first = from.begin() + static_cast<std::ptrdiff_t>(truth.at(row, b.slot));
      to.insert(to.end(), first, first + std::ptrdiff_t{slots} * b.nodes);
    }
  };
  cut(truth.arrivals, x.arrivals);
  cut(truth.availability, x.availability);
  cut(truth.importance, x.importance);
  cut(truth.keep, x.keep);
  cut(truth.young, x.young);
  x.reference_error.assign(static_cast<std::size_t>(b.envs), 1);  // of no use to the cost
  return x;
}

class Planner : public Actor {
 public:
  /// \param truth  what will come; nullptr for a planner that has to forecast it
  Planner(int horizon, const sim::Params& p, const sim::Exogenous* truth, std::int64_t envs)
      : params_(p),
        truth_(truth),
        horizon_(horizon),
        size_(sim::bundle_size(p)),
        windows_(p, static_cast<std::size_t>(envs * p.pool.nodes)) {}

  void act(const sim::Batch& b, View<double> decisions) override {
    windows_.see(b);
    slots_ = std::min(horizon_, params_.workload.slots - b.slot);
    exogenous_ =
        truth_ != nullptr ? future(*truth_, b, slots_) : forecast(params_, b, windows_, slots_);
    sim::Batch now = b;
    now.slot = 0;
    std::iota(now.episode.begin(), now.episode.end(), std::int64_t{0});
    begin(b);
    improve(now);
    decide(best_.data(), decisions);
    // The plan of the next slot starts where this one ends, one slot on; one of a single slot has
    // nothing else to go on with than that slot.
    const std::ptrdiff_t row = b.envs * size_;
    logits_.assign(best_.begin() + (slots_ > 1 ? row : 0), best_.end());
  }

 private:
  /// Logits of the slots ahead: those of the last plan, filled up at its end; the logarithm of a
  /// heuristic in the first slot.
  void begin(const sim::Batch& b) {
    const std::size_t row = static_cast<std::size_t>(b.envs * size_);
    if (b.slot == 0 || logits_.empty()) {
      logits_.assign(row, std::log(kFirstReserve / (1 - kFirstReserve)));
      for (std::int64_t e = 0; e < b.envs; ++e) {
        const double* margin = b.margin_ahead.data() + b.at(e);
        const double mean = std::accumulate(margin, margin + b.nodes, 0.0) / b.nodes;
        for (int n = 0; n < b.nodes; ++n) {
          const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
          const double load = params_.pool.is_progress(n)
                                  ? margin[n] / std::max(mean, 1e-12)
                                  : (2 * b.backlog[i] + b.arrivals_fast[i]) * b.importance[i];
          logits_[static_cast<std::size_t>(e * size_ + n)] = std::log(0.05 + load);
        }
      }
    }
    const std::size_t known = logits_.size();
    logits_.resize(row * static_cast<std::size_t>(slots_));
    for (std::size_t i = known; i < logits_.size(); ++i) logits_[i] = logits_[i - row];
  }

  /// Decisions of one slot from its logits [E, A].
  void decide(const double* logits, View<double> decisions) const {
    for (std::int64_t e = 0; e < decisions.rows; ++e) {
      const double* z = logits + e * size_;
      double* w = decisions.row(e);
      const int nodes = params_.pool.nodes;
      const double top = *std::max_element(z, z + nodes);
      for (int n = 0; n < nodes; ++n) w[n] = std::exp(z[n] - top);
      if (size_ > nodes) w[nodes] = 1 / (1 + std::exp(-z[nodes]));
    }
  }

  /// Adam on all logits at once; every environment keeps the best of its plans.
  void improve(const sim::Batch& now) {
    const std::int64_t envs = now.envs;
    const std::size_t row = static_cast<std::size_t>(envs * size_);
    std::vector<double> mean(logits_.size(), 0), square(mean), slope(row), cost;
    std::vector<double> lowest(static_cast<std::size_t>(envs),
                               std::numeric_limits<double>::infinity());
    best_ = logits_;
    trail_.resize(static_cast<std::size_t>(slots_));
    decisions_.resize(logits_.size());
    for (int step = 0;; ++step) {
      sim::Batch b = now;
      cost.assign(lowest.size(), 0);
      for (int h = 0; h < slots_; ++h) {
        const std::size_t at = static_cast<std::size_t>(h) * row;
        trail_[static_cast<std::size_t>(h)] = b;
        const View<double> d{decisions_.data() + at, envs, size_};
        decide(logits_.data() + at, d);
        sim::step_bundles(params_, exogenous_, b, {d.data, envs, size_});
        for (std::size_t e = 0; e < cost.size(); ++e) cost[e] += b.cost[e];
      }
      keep_better(cost, lowest, row);
      if (step == kSteps) return;
      sim::Adjoint a(b);
      const double bias_mean = 1 - std::pow(kMean, step + 1),
                   bias_square = 1 - std::pow(kSquare, step + 1);
      for (int h = slots_; h-- > 0;) {
        const std::size_t at = static_cast<std::size_t>(h) * row;
        sim::step_bundles_backward(params_, exogenous_, trail_[static_cast<std::size_t>(h)],
                                   {decisions_.data() + at, envs, size_}, 1, a,
                                   {slope.data(), envs, size_});
        for (std::size_t i = 0; i < row; ++i) {
          const double w = decisions_[at + i];
          const bool reserve = static_cast<int>(i % static_cast<std::size_t>(size_)) == now.nodes;
          const double d = slope[i] * (reserve ? w * (1 - w) : w);
          double &m = mean[at + i], &s = square[at + i];
          m += (1 - kMean) * (d - m);
          s += (1 - kSquare) * (d * d - s);
          logits_[at + i] -= kRate * (m / bias_mean) / (std::sqrt(s / bias_square) + 1e-8);
        }
      }
      settle();
    }
  }

  void keep_better(const std::vector<double>& cost, std::vector<double>& lowest, std::size_t row) {
    const auto size = static_cast<std::size_t>(size_);
    for (std::size_t e = 0; e < cost.size(); ++e) {
      if (!(cost[e] < lowest[e])) continue;
      lowest[e] = cost[e];
      for (std::size_t at = e * size; at < logits_.size(); at += row)
        std::copy_n(logits_.begin() + static_cast<std::ptrdiff_t>(at), size_,
                    best_.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  /// Only differences of logits matter: the largest becomes 0, and none falls out of reach.
  void settle() {
    const int nodes = params_.pool.nodes;
    for (std::size_t at = 0; at < logits_.size(); at += static_cast<std::size_t>(size_)) {
      double* z = logits_.data() + at;
      const double top = *std::max_element(z, z + nodes);
      for (int n = 0; n < nodes; ++n) z[n] = std::max(z[n] - top, kDeepest);
      if (size_ > nodes) z[nodes] = std::clamp(z[nodes], kDeepest, -kDeepest);
    }
  }

  const sim::Params& params_;
  const sim::Exogenous* truth_;
  int horizon_, size_, slots_ = 0;
  Windows windows_;
  sim::Exogenous exogenous_;
  std::vector<double> logits_;     ///< [slots, E, A]
  std::vector<double> best_;       ///< [slots, E, A]
  std::vector<double> decisions_;  ///< [slots, E, A]
  std::vector<sim::Batch> trail_;  ///< [slots] before each slot
};

std::vector<Knob> horizons() { return {{"horizon", {10, 25}, 1}}; }

struct MpcRule {
  static constexpr const char* name = "mpc";
  static constexpr const char* doc =
      "plans `horizon` slots in the simulator on a forecast of arrivals, 25 gradient steps a slot";
  static constexpr Kind kind = Kind::planner;
  static constexpr bool strict = true;
  static constexpr bool ordered = true;  // Adam goes by signs, which rounding decides at ties
  static std::vector<Knob> knobs() { return horizons(); }
  static std::string unfit(const sim::Params& p) {
    if (std::string why = needs_gradient(p); !why.empty()) return why;
    return std::holds_alternative<sim::DeadlineError>(p.errors)
               ? "would have to know when waiting work is due, which it is not told"
               : "";
  }
  static std::unique_ptr<Actor> actor(const KnobValues& knobs, const sim::Params& p,
                                      std::int64_t envs) {
    return std::make_unique<Planner>(static_cast<int>(knobs[0]), p, nullptr, envs);
  }
};

struct MpcOracleRule {
  static constexpr const char* name = "mpc_oracle";
  static constexpr const char* doc =
      "mpc with the arrivals, failures and shifts that will come: what better forecasts are worth";
  static constexpr Kind kind = Kind::oracle;
  static constexpr bool strict = true;
  static constexpr bool ordered = true;  // Adam goes by signs, which rounding decides at ties
  static std::vector<Knob> knobs() { return horizons(); }
  static std::string unfit(const sim::Params& p) { return needs_gradient(p); }
  static std::unique_ptr<Actor> oracle(const KnobValues& knobs, const sim::Params& p,
                                       const sim::Exogenous& x, std::int64_t envs) {
    return std::make_unique<Planner>(static_cast<int>(knobs[0]), p, &x, envs);
  }
};

}  // namespace

std::vector<RuleEntry> planner_rules() { return entries_of<MpcRule, MpcOracleRule>(); }

}  // namespace cra::agents
