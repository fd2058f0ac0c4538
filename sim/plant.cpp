// One slot of the pool: water-filling, lag, service, reserve, abandonment, error, cost.
#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/gains.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

constexpr double kFast = 0.5;    // weight of the newest slot in the fast average
constexpr double kSlow = 0.1;    // and in the slow one
constexpr double kHealth = 0.3;  // and in that of the health signal

void check_step(const Params& p, const Exogenous& x, const Batch& b, View<const double> d) {
  CRA_CHECK(b.slot < x.slots, "step: the episode of " + std::to_string(x.slots) + " slots is over");
  const int size = decision_size(p);
  CRA_CHECK(d.rows == b.envs && d.cols == size,
            "step: decisions are [" + std::to_string(d.rows) + ", " + std::to_string(d.cols) +
                "], expected [" + std::to_string(b.envs) + ", " + std::to_string(size) + "]");
  for (std::int64_t i = 0; i < d.size(); ++i) {
    const std::int64_t e = i / size, n = i % size;
    const bool share = n == b.nodes;
    CRA_CHECK(
        std::isfinite(d.data[i]) && d.data[i] >= 0 && (!share || d.data[i] <= 1),
        "step: " +
            (share ? std::string("reserve of environment ") + std::to_string(e)
                   : "weight of environment " + std::to_string(e) + ", node " + std::to_string(n)) +
            " is " + std::to_string(d.data[i]) + ", expected a finite number " +
            (share ? "in [0, 1]" : ">= 0"));
  }
}

/// Importance of the kAhead slots from the coming one on, discounted; none after the end.
double importance_ahead(const Exogenous& x, std::int64_t episode, int slot, std::size_t n) {
  double sum = 0, weight = 1;
  for (int t = slot; t < std::min(x.slots, slot + kAhead); ++t, weight *= kAheadDecay)
    sum += weight * x.importance[x.at(episode, t) + n];
  return sum;
}

/// What the environment of row e is told before the slot that comes.
void see(const Params& p, const Exogenous& x, Batch& b) {
  if (b.slot >= x.slots) return;  // past the end there is no slot to come; keep the last calendar
  for (std::int64_t e = 0; e < b.envs; ++e) {
    const std::size_t from = x.at(b.episode[static_cast<std::size_t>(e)], b.slot), to = b.at(e);
    for (std::size_t n = 0; n < static_cast<std::size_t>(b.nodes); ++n) {
      b.importance[to + n] = x.importance[from + n];
      if (!x.window.empty()) b.window[to + n] = x.window[from + n];
      if (!x.health.empty()) b.health[to + n] += kHealth * (x.health[from + n] - b.health[to + n]);
      const double gain = gain_per_share(p, b, to + n, static_cast<int>(n));
      b.margin[to + n] = gain * b.importance[to + n];
      // Only a calendar of windows is known ahead; elsewhere the future is as important as now.
      b.margin_ahead[to + n] =
          x.window.empty()
              ? b.margin[to + n]
              : gain * importance_ahead(x, b.episode[static_cast<std::size_t>(e)], b.slot, n);
    }
  }
}

/// Room for the numbers of one environment between the stages of a slot.
struct Scratch {
  std::vector<double> load, limit, priority;
  explicit Scratch(int nodes)
      : load(static_cast<std::size_t>(nodes)), limit(load), priority(load) {}
};

/// Sends the reserve to where work waits. \param load [N] work after the placed rate; lowered
void dispatch(const SharedReserve& reserve, const double* scale, const double* importance,
              double pool, const double* limit, double* load, double* dispatched, Scratch& s,
              int nodes) {
  if (reserve.dispatch == Dispatch::optimal) {
    dispatch_optimally(load, limit, importance, scale, pool, dispatched, nodes);
  } else {
    for (int n = 0; n < nodes; ++n) s.priority[static_cast<std::size_t>(n)] = importance[n];
    dispatch_by_priority(limit, s.priority.data(), pool, dispatched, nodes);
  }
  for (int n = 0; n < nodes; ++n) load[n] -= dispatched[n];
}

void step_env(const Params& p, const Exogenous& x, Batch& b, std::int64_t e, const double* decision,
              Scratch& s) {
  const int nodes = b.nodes;
  const std::size_t row = b.at(e), slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
  const double* arrivals = x.arrivals.data() + slot;
  const double* available = x.availability.data() + slot;
  const double* importance = x.importance.data() + slot;
  const SharedReserve* reserve = p.pool.shared_reserve();
  const int resources = p.pool.resource_count();
  const double placed_share = reserve != nullptr ? 1 - decision[nodes] : 1;
  double* grant = b.grant.data() + row;
  waterfill(decision, p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
            placed_share, grant, nodes, resources);

  double moved = 0, used = 0, concentrated = 0, placed = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + static_cast<std::size_t>(n);
    const double before = b.rate[i], up = available[n] * p.pool.capacity[n];
    const double rate = lagged(before, grant[n], p.pool.lag);
    const bool progress = p.pool.is_progress(n);
    // A progress node always has something to work on.
    const double load =
        progress ? std::numeric_limits<double>::infinity() : b.backlog[i] + arrivals[n];
    const double served = std::min(std::min(rate, up), load);
    s.load[static_cast<std::size_t>(n)] = progress ? 0 : load - served;
    s.limit[static_cast<std::size_t>(n)] =
        progress ? 0 : std::min(load - served, std::max(0.0, up - served));
    b.rate[i] = rate;
    b.served[i] = served;
    for (int k = 0; k < resources; ++k) {
      const double share =
          grant[n] * p.pool.need_of(n, k) / p.pool.budgets[static_cast<std::size_t>(k)] / resources;
      used += share;
      concentrated += share * share * resources;
    }
    placed += rate * p.pool.need_of(n, 0);
    moved += movement(rate - before, p.cost.switching_smoothing);
  }
  if (reserve != nullptr) {
    // The reserve is what was kept back, and no more than what the placed rates leave of the
    // budget.
    const double pool =
        reserve->efficiency / p.pool.needs[0] *
        std::min(decision[nodes] * p.pool.budget, std::max(0.0, p.pool.budget - placed));
    dispatch(*reserve, dispatch_scale(p), importance, pool, s.limit.data(), s.load.data(),
             b.dispatched.data() + row, s, nodes);
  }

  double weighted_error = 0, weighted_score = 0, total_importance = 0, worst = 0, soft = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + static_cast<std::size_t>(n);
    const double waiting = std::max(0.0, s.load[static_cast<std::size_t>(n)]);
    double error = 0;
    if (p.pool.is_progress(n)) {
      b.progress[i] =
          x.keep[slot + static_cast<std::size_t>(n)] * (1 - p.progress.forgetting) * b.progress[i] +
          b.served[i];
      error = ProgressError{p}.value(n, b.progress[i]);
    } else {
      const QueueEnd end = end_slot(p, n, {waiting});
      error = end.error;
      b.lost[i] = end.lost;
      b.backlog[i] = end.backlog;
    }
    b.error[i] = error;
    b.arrivals_last[i] = arrivals[n];
    b.arrivals_fast[i] += kFast * (arrivals[n] - b.arrivals_fast[i]);
    b.arrivals_slow[i] += kSlow * (arrivals[n] - b.arrivals_slow[i]);
    b.availability[i] = available[n];
    b.down_slots[i] = available[n] > 0 ? 0 : b.down_slots[i] + 1;
    weighted_error += importance[n] * error;
    weighted_score += importance[n] * (1 - error);
    total_importance += importance[n];
    worst = std::max(worst, error);
  }
  const auto at = static_cast<std::size_t>(e);
  b.fairness_cost[at] = 0;
  if (p.cost.worst > 0) {
    const double temperature = p.cost.worst_temperature;
    for (int n = 0; n < nodes; ++n)
      soft += std::exp((b.error[row + static_cast<std::size_t>(n)] - worst) / temperature);
    b.fairness_cost[at] = p.cost.worst * (worst + temperature * std::log(soft / nodes));
  }
  b.error_cost[at] = weighted_error / nodes;
  b.switching_cost[at] = p.cost.switching * moved / nodes;
  b.use_cost[at] = p.cost.use * used + p.cost.concentration * nodes * concentrated;
  b.cost[at] = b.error_cost[at] + b.switching_cost[at] + b.fairness_cost[at] + b.use_cost[at];
  b.score[at] = total_importance > 0 ? weighted_score / total_importance : 1;
}

}  // namespace

int decision_size(const Params& p) {
  return p.pool.nodes + (p.pool.shared_reserve() != nullptr ? 1 : 0);
}

Batch reset(const Params& p, const Exogenous& x, std::vector<std::int64_t> episode) {
  for (const std::int64_t row : episode)
    CRA_CHECK(row >= 0 && row < x.episodes, "reset: episode row " + std::to_string(row) +
                                                ", expected [0, " + std::to_string(x.episodes) +
                                                ")");
  Batch b;
  b.envs = static_cast<std::int64_t>(episode.size());
  b.nodes = p.pool.nodes;
  b.episode = std::move(episode);
  const std::size_t size = b.at(b.envs), envs = b.episode.size();
  for (auto* zero : {&b.backlog, &b.error, &b.grant, &b.served, &b.dispatched, &b.lost,
                     &b.importance, &b.down_slots})
    zero->assign(size, 0);
  for (auto* zero :
       {&b.error_cost, &b.switching_cost, &b.fairness_cost, &b.use_cost, &b.cost, &b.score})
    zero->assign(envs, 0);
  b.availability.assign(size, 1);
  if (p.pool.has_progress()) b.progress.assign(size, p.progress.start);
  b.margin.assign(size, 0);
  b.margin_ahead.assign(size, 0);
  if (!x.health.empty()) b.health.assign(size, 0);
  if (!x.window.empty()) b.window.assign(size, 0);

  b.base_rate = base_rate(p);
  const std::vector<double> even(static_cast<std::size_t>(b.nodes), 1.0);
  std::vector<double> fair(static_cast<std::size_t>(b.nodes));
  waterfill(even.data(), p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
            1.0, fair.data(), b.nodes, p.pool.resource_count());
  for (std::int64_t e = 0; e < b.envs; ++e) {
    b.rate.insert(b.rate.end(), fair.begin(), fair.end());
    for (auto* average : {&b.arrivals_fast, &b.arrivals_slow, &b.arrivals_last})
      average->insert(average->end(), b.base_rate.begin(), b.base_rate.end());
  }
  see(p, x, b);
  return b;
}

void step(const Params& p, const Exogenous& x, Batch& b, View<const double> decisions) {
  check_step(p, x, b, decisions);
  Scratch scratch(b.nodes);
  for (std::int64_t e = 0; e < b.envs; ++e) step_env(p, x, b, e, decisions.row(e), scratch);
  ++b.slot;
  see(p, x, b);
}

}  // namespace cra::sim
