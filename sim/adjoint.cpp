// The reverse sweep of one slot. Each function mirrors one of plant.cpp and recomputes what it
// needs.
#include <algorithm>
#include <cmath>

#include "sim/allocate.h"
#include "sim/errors.h"
#include "sim/gains.h"
#include "sim/reserve.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double>;

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Forward values of one environment's slot, and the gradients that meet there. [N] each.
struct Slot {
  Allocation allocation;
  ReserveSlot reserve;
  Column rate, error, d_rate;
  explicit Slot(int nodes)
      : allocation(nodes), reserve(nodes), rate(index(nodes)), error(rate), d_rate(rate) {}
};

void backward_env(const Params& p, const Exogenous& x, const Batch& b, std::int64_t e,
                  const double* decision, double weight, Adjoint& a, double* d_decision, Slot& s) {
  const int nodes = b.nodes, resources = p.pool.resource_count();
  const std::size_t row = b.at(e), slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
  const double* importance = x.importance.data() + slot;
  const SharedReserve* reserve = p.pool.shared_reserve();
  ReserveSlot& r = s.reserve;

  // The slot again, as plant.cpp does it.
  allocate(p, decision, s.allocation);
  const Column& grant = s.allocation.grant;
  Column& d_grant = s.allocation.d_grant;
  double placed = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    s.rate[index(n)] = lagged(b.rate[i], grant[index(n)], p.pool.lag);
    const double load = b.backlog[i] + x.arrivals[slot + index(n)];
    const double served = std::min(std::min(s.rate[index(n)], up), load);
    r.left[index(n)] = p.pool.is_progress(n) ? 0 : load - served;
    r.limit[index(n)] =
        p.pool.is_progress(n) ? 0 : std::min(load - served, std::max(0.0, up - served));
    r.dispatched[index(n)] = 0;
    placed += s.rate[index(n)] * p.pool.need_of(n, 0);
  }
  if (reserve != nullptr) dispatch(*reserve, p, importance, decision[nodes], placed, r);

  // Errors, and the soft worst of them.
  double worst = 0, soft = 0;
  Column& error = s.error;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    if (p.pool.is_progress(n)) {
      const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
      const double progress =
          x.keep[slot + index(n)] * (1 - p.progress.forgetting) * b.progress[i] +
          std::min(s.rate[index(n)], up);
      error[index(n)] = ProgressError{p}.value(n, progress);
    } else {
      error[index(n)] =
          end_slot(p, n, {std::max(0.0, r.left[index(n)] - r.dispatched[index(n)])}).error;
    }
    worst = std::max(worst, error[index(n)]);
  }
  for (int n = 0; n < nodes; ++n)
    soft += std::exp((error[index(n)] - worst) / p.cost.worst_temperature);

  // Backwards from the errors to the load and the rates.
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double d_error =
        a.error[i] +
        weight *
            (importance[n] / nodes +
             p.cost.worst * std::exp((error[index(n)] - worst) / p.cost.worst_temperature) / soft);
    a.error[i] = 0;
    r.d_left[index(n)] = r.d_limit[index(n)] = r.d_waiting[index(n)] = 0;
    s.d_rate[index(n)] = a.rate[i];
    if (p.pool.is_progress(n)) {
      const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
      const double decay = x.keep[slot + index(n)] * (1 - p.progress.forgetting);
      const double progress = decay * b.progress[i] + std::min(s.rate[index(n)], up);
      const double d_progress = a.progress[i] + d_error * ProgressError{p}.slope(n, progress);
      a.progress[i] = decay * d_progress;
      if (s.rate[index(n)] < up) s.d_rate[index(n)] += d_progress;
      a.backlog[i] = 0;
    } else {
      const double waiting = r.left[index(n)] - r.dispatched[index(n)];
      r.d_waiting[index(n)] =
          waiting > 0 ? end_slot_backward(p, n, {waiting}, d_error, a.backlog[i]) : 0;
    }
  }
  ReserveGradient d_reserve;
  if (reserve == nullptr) {
    for (int n = 0; n < nodes; ++n) r.d_left[index(n)] = r.d_waiting[index(n)];
  } else {
    d_reserve = dispatch_backward(*reserve, p, importance, r);
  }
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    if (p.pool.is_progress(n)) continue;
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    const double load = b.backlog[i] + x.arrivals[slot + index(n)];
    const double served = std::min(std::min(s.rate[index(n)], up), load);
    // limit = min(left, up - served), left = load - served.
    double d_served = 0, d_left = r.d_left[index(n)];
    if (load - served <= up - served) {
      d_left += r.d_limit[index(n)];
    } else if (up > served) {
      d_served -= r.d_limit[index(n)];
    }
    double d_load = d_left;
    d_served -= d_left;
    if (load <= s.rate[index(n)] && load <= up) {
      d_load += d_served;
    } else if (s.rate[index(n)] < up) {
      s.d_rate[index(n)] += d_served;
    }
    a.backlog[i] = d_load;
  }
  if (reserve != nullptr)
    for (int n = 0; n < nodes; ++n) s.d_rate[index(n)] += d_reserve.placed * p.pool.needs[index(n)];

  // Movement, lag, use of the budget, water-filling.
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double moved = s.rate[index(n)] - b.rate[i], smooth = p.cost.switching_smoothing;
    const double d_moved =
        weight * p.cost.switching / nodes * moved / std::sqrt(moved * moved + smooth * smooth);
    const double d_rate = s.d_rate[index(n)] + d_moved;
    a.rate[i] = (1 - p.pool.lag) * d_rate - d_moved;
    d_grant[index(n)] = p.pool.lag * d_rate;
    for (int k = 0; k < resources; ++k) {
      const double per_rate = p.pool.need_of(n, k) / p.pool.budgets[index(k)] / resources;
      const double share = grant[index(n)] * per_rate;
      d_grant[index(n)] +=
          weight * (p.cost.use + p.cost.concentration * nodes * 2 * share * resources) * per_rate;
    }
  }
  allocate_backward(p, decision, s.allocation, d_decision);
  if (reserve != nullptr) d_decision[nodes] += d_reserve.share;
}

}  // namespace

Adjoint::Adjoint(const Batch& b)
    : backlog(b.backlog.size(), 0.0),
      progress(b.progress.size(), 0.0),
      rate(backlog),
      error(backlog),
      margin(backlog),
      margin_ahead(backlog) {}

void step_backward(const Params& p, const Exogenous& x, const Batch& before,
                   View<const double> decisions, double cost_weight, Adjoint& a,
                   View<double> d_decisions) {
  CRA_CHECK(decisions.rows == before.envs && decisions.cols == decision_size(p) &&
                d_decisions.rows == decisions.rows && d_decisions.cols == decisions.cols,
            "step_backward: decisions have the wrong shape");
  Slot slot(before.nodes);
  for (std::int64_t e = 0; e < before.envs; ++e)
    backward_env(p, x, before, e, decisions.row(e), cost_weight, a, d_decisions.row(e), slot);
}

void settle(const Params& p, const Batch& b, Adjoint& a) {
  for (std::int64_t e = 0; e < b.envs; ++e)
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + index(n);
      const double gain = gain_per_share(p, b, i, n);
      // margin_ahead = gain * (importance ahead), so that sum is margin_ahead / gain.
      const double ahead = gain > 0 ? b.margin_ahead[i] / gain : 0;
      const double d_gain = a.margin[i] * b.importance[i] + a.margin_ahead[i] * ahead;
      error_relief_backward(p, b, i, n, d_gain / largest_share(p, n), a);
      a.margin[i] = a.margin_ahead[i] = 0;
    }
}

}  // namespace cra::sim
