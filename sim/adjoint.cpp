// The reverse sweep of one slot. Each function mirrors one of plant.cpp and recomputes what it
// needs.
#include <algorithm>
#include <cmath>

#include "sim/allocate.h"
#include "sim/errors.h"
#include "sim/gains.h"
#include "sim/lend.h"
#include "sim/reserve.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double>;

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Forward values of one environment's slot, and the gradients that meet there. [N] each.
struct Slot {
  Allocation allocation;
  Loan loan;
  ReserveSlot reserve;
  Column rate, own, most, served, gained, error, d_rate, d_served, d_load;
  std::vector<LoanGradient> d_loan;
  explicit Slot(int nodes)
      : allocation(nodes),
        loan(nodes),
        reserve(nodes),
        rate(index(nodes)),
        own(rate),
        most(rate),
        served(rate),
        gained(rate),
        error(rate),
        d_rate(rate),
        d_served(rate),
        d_load(rate),
        d_loan(index(nodes)) {}
};

void backward_env(const Params& p, const Exogenous& x, const Batch& b, std::int64_t e,
                  const double* decision, double weight, Adjoint& a, double* d_decision, Slot& s) {
  const int nodes = b.nodes, resources = p.pool.resource_count();
  const std::size_t row = b.at(e), slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
  const double* importance = x.importance.data() + slot;
  const SharedReserve* reserve = p.pool.shared_reserve();
  ReserveSlot& r = s.reserve;

  // The slot again, as plant.cpp does it.
  const bool lends = p.pool.conflict == Conflict::gps;
  allocate(p, decision, {b.slot, importance}, s.allocation);
  const Column& grant = s.allocation.grant;
  Column& d_grant = s.allocation.d_grant;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    s.rate[index(n)] = lagged(b.rate[i], grant[index(n)], p.pool.lag);
    const double load = work_at(p, n, b.backlog[i], x.arrivals[slot + index(n)]);
    s.most[index(n)] = std::min(up, load);
    s.own[index(n)] = s.served[index(n)] = std::min(std::min(s.rate[index(n)], up), load);
  }
  if (lends) lend(p, decision, s.rate.data(), s.own.data(), s.most.data(), s.loan);
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    if (lends) s.served[index(n)] += s.loan.lent[index(n)];
    const double served = s.served[index(n)];
    r.left[index(n)] = has_queue(p, n) ? b.backlog[i] + x.arrivals[slot + index(n)] - served : 0;
    r.limit[index(n)] = std::min(r.left[index(n)], std::max(0.0, up - served));
    r.dispatched[index(n)] = 0;
  }
  if (reserve != nullptr) {
    add_up_placed(p.pool, s.rate.data(), r);
    dispatch(*reserve, p, importance, kept_share(p, decision), r);
  }

  share_progress(p.progress, s.served.data(), s.gained.data(), nodes);
  const auto ending = [&](int n) {
    return QueueSlot{std::max(0.0, r.left[index(n)] - r.dispatched[index(n)]),
                     x.arrivals[slot + index(n)], x.young.empty() ? 0 : x.young[slot + index(n)],
                     s.served[index(n)]};
  };
  const auto progress_of = [&](int n) {
    return x.keep[slot + index(n)] * (1 - p.progress.forgetting) * b.progress[row + index(n)] +
           s.gained[index(n)];
  };

  // Errors, and the soft worst of them.
  double worst = 0, soft = 0;
  Column& error = s.error;
  for (int n = 0; n < nodes; ++n) {
    error[index(n)] = p.pool.is_progress(n) ? ProgressError{p}.value(n, progress_of(n))
                                            : end_slot(p, n, ending(n)).error;
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
      const double decay = x.keep[slot + index(n)] * (1 - p.progress.forgetting);
      const double d_progress = a.progress[i] + d_error * ProgressError{p}.slope(n, progress_of(n));
      a.progress[i] = decay * d_progress;
      s.d_served[index(n)] = d_progress;
    } else {
      const QueueGradient d = end_slot_backward(p, n, ending(n), d_error, a.backlog[i]);
      r.d_waiting[index(n)] = d.waiting;
      s.d_served[index(n)] = d.served;
    }
  }
  share_progress_backward(p.progress, s.d_served.data(), nodes);
  if (reserve == nullptr) {
    for (int n = 0; n < nodes; ++n) r.d_left[index(n)] = r.d_waiting[index(n)];
  } else {
    dispatch_backward(*reserve, p, importance, r);
  }
  for (int n = 0; n < nodes; ++n) {
    s.d_load[index(n)] = 0;
    if (!has_queue(p, n)) continue;
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    const double load = b.backlog[row + index(n)] + x.arrivals[slot + index(n)];
    const double served = s.served[index(n)];
    // limit = min(left, up - served), left = load - served.
    double d_served = 0, d_left = r.d_left[index(n)];
    if (load - served <= up - served) {
      d_left += r.d_limit[index(n)];
    } else if (up > served) {
      d_served -= r.d_limit[index(n)];
    }
    s.d_load[index(n)] = d_left;
    s.d_served[index(n)] = d_served - d_left;
  }
  if (lends) lend_backward(p, decision, s.d_served.data(), s.loan, s.d_loan.data());
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    const double load = work_at(p, n, b.backlog[i], x.arrivals[slot + index(n)]);
    double d_served = s.d_served[index(n)], d_load = s.d_load[index(n)];
    if (lends) {  // most = min(up, load)
      d_served += s.d_loan[index(n)].served;
      s.d_rate[index(n)] += s.d_loan[index(n)].rate;
      if (load < up) d_load += s.d_loan[index(n)].most;
    }
    if (load <= s.rate[index(n)] && load <= up) {
      d_load += d_served;
    } else if (s.rate[index(n)] < up) {
      s.d_rate[index(n)] += d_served;
    }
    a.backlog[i] = has_queue(p, n) ? d_load : 0;
  }
  if (reserve != nullptr)
    for (int n = 0; n < nodes; ++n)
      for (int k = 0; k < resources; ++k)
        s.d_rate[index(n)] += r.d_placed[index(k)] * p.pool.need_of(n, k);

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
  if (reserve != nullptr) d_decision[decision_size(p) - 1] += r.d_share;
  for (int n = 0; n < nodes && lends; ++n) d_decision[n] += s.loan.d_w[index(n)];
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
  CRA_CHECK(p.pool.lottery() == nullptr, "step_backward: service by lottery has no gradient");
  Slot slot(before.nodes);
  for (std::int64_t e = 0; e < before.envs; ++e)
    backward_env(p, x, before, e, decisions.row(e), cost_weight, a, d_decisions.row(e), slot);
}

void step_bundles_backward(const Params& p, const Exogenous& x, const Batch& before,
                           View<const double> bundles, double cost_weight, Adjoint& a,
                           View<double> d_bundles) {
  const int size = decision_size(p);
  Column decisions(static_cast<std::size_t>(bundles.rows * size)), d_decisions(decisions);
  expand(p, bundles, {decisions.data(), bundles.rows, size});
  step_backward(p, x, before, {decisions.data(), bundles.rows, size}, cost_weight, a,
                {d_decisions.data(), bundles.rows, size});
  expand_backward(p, bundles, {d_decisions.data(), bundles.rows, size}, d_bundles);
}

void settle(const Params& p, const Batch& b, Adjoint& a) {
  for (std::int64_t e = 0; e < b.envs; ++e) set_margins_backward(p, b, b.at(e), a);
}

}  // namespace cra::sim
