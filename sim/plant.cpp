// One slot of the pool: water-filling, lag, service, abandonment, error, cost.
#include <algorithm>
#include <cmath>

#include "sim/sim.h"

namespace cra::sim {
namespace {

constexpr double kFast = 0.5;  // weight of the newest slot in the fast average
constexpr double kSlow = 0.1;  // and in the slow one

void check_step(const Exogenous& x, const Batch& b, View<const double> w) {
  CRA_CHECK(b.slot < x.slots, "step: the episode of " + std::to_string(x.slots) + " slots is over");
  CRA_CHECK(w.rows == b.envs && w.cols == b.nodes,
            "step: weights are [" + std::to_string(w.rows) + ", " + std::to_string(w.cols) +
                "], expected [" + std::to_string(b.envs) + ", " + std::to_string(b.nodes) + "]");
  for (std::int64_t i = 0; i < w.size(); ++i)
    CRA_CHECK(std::isfinite(w.data[i]) && w.data[i] >= 0,
              "step: weight of environment " + std::to_string(i / b.nodes) + ", node " +
                  std::to_string(i % b.nodes) + " is " + std::to_string(w.data[i]) +
                  ", expected a finite number >= 0");
}

/// The queue of one node over one slot.
struct Queue {
  double waiting;  ///< y, work left after service, before abandonment
  double served;
};
Queue serve(double backlog, double arrivals, double rate, double available) {
  const double load = backlog + arrivals;
  const double served = std::min(std::min(rate, available), load);
  return {load - served, served};
}

void see(const Params& p, const Exogenous& x, Batch& b) {
  if (b.slot >= x.slots) return;  // past the end there is no slot to come; keep the last calendar
  for (std::int64_t e = 0; e < b.envs; ++e)
    std::copy_n(x.importance.begin() + static_cast<std::ptrdiff_t>(
                                           x.at(b.episode[static_cast<std::size_t>(e)], b.slot)),
                p.pool.nodes, b.importance.begin() + static_cast<std::ptrdiff_t>(b.at(e)));
}

void step_env(const Params& p, const BacklogError& model, const Exogenous& x, Batch& b,
              std::int64_t e, const double* weights) {
  const int nodes = b.nodes;
  const std::size_t row = b.at(e), slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
  const double* arrivals = x.arrivals.data() + slot;
  const double* available = x.availability.data() + slot;
  const double* importance = x.importance.data() + slot;
  double* grant = b.grant.data() + row;
  waterfill(weights, p.pool.capacity.value.data(), p.pool.need.value.data(), p.pool.budget, grant,
            nodes);

  double weighted_error = 0, moved = 0, weighted_score = 0, total_importance = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + static_cast<std::size_t>(n);
    const double before = b.rate[i], cap = p.pool.capacity[n];
    const double rate = lagged(before, grant[n], p.pool.lag);
    const Queue queue = serve(b.backlog[i], arrivals[n], rate, available[n] * cap);
    const double error = backlog_phi(queue.waiting / model.scale[n]);

    b.rate[i] = rate;
    b.served[i] = queue.served;
    b.lost[i] = p.workload.abandonment * queue.waiting;
    b.backlog[i] = (1 - p.workload.abandonment) * queue.waiting;
    b.error[i] = error;
    b.arrivals_last[i] = arrivals[n];
    b.arrivals_fast[i] += kFast * (arrivals[n] - b.arrivals_fast[i]);
    b.arrivals_slow[i] += kSlow * (arrivals[n] - b.arrivals_slow[i]);
    weighted_error += importance[n] * error;
    moved += movement(rate - before, p.cost.switching_smoothing);
    weighted_score += importance[n] * (1 - error);
    total_importance += importance[n];
  }
  const auto at = static_cast<std::size_t>(e);
  b.error_cost[at] = weighted_error / nodes;
  b.switching_cost[at] = p.cost.switching * moved / nodes;
  b.cost[at] = b.error_cost[at] + b.switching_cost[at];
  b.score[at] = total_importance > 0 ? weighted_score / total_importance : 1;
}

}  // namespace

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
  for (auto* zero : {&b.backlog, &b.error, &b.grant, &b.served, &b.lost, &b.importance})
    zero->assign(size, 0);
  for (auto* zero : {&b.error_cost, &b.switching_cost, &b.cost, &b.score}) zero->assign(envs, 0);

  b.base_rate = base_rate(p);
  const std::vector<double> even(static_cast<std::size_t>(b.nodes), 1.0);
  std::vector<double> fair(static_cast<std::size_t>(b.nodes));
  waterfill(even.data(), p.pool.capacity.value.data(), p.pool.need.value.data(), p.pool.budget,
            fair.data(), b.nodes);
  for (std::int64_t e = 0; e < b.envs; ++e) {
    b.rate.insert(b.rate.end(), fair.begin(), fair.end());
    for (auto* average : {&b.arrivals_fast, &b.arrivals_slow, &b.arrivals_last})
      average->insert(average->end(), b.base_rate.begin(), b.base_rate.end());
  }
  see(p, x, b);
  return b;
}

void step(const Params& p, const Exogenous& x, Batch& b, View<const double> weights) {
  check_step(x, b, weights);
  std::visit(
      [&](const auto& model) {
        for (std::int64_t e = 0; e < b.envs; ++e) step_env(p, model, x, b, e, weights.row(e));
      },
      p.errors);
  ++b.slot;
  see(p, x, b);
}

}  // namespace cra::sim
