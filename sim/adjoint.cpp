// The reverse sweep of one slot. Each function mirrors one of plant.cpp and recomputes what it
// needs.
#include <algorithm>
#include <cmath>

#include "sim/gains.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double>;

/// Forward values of one environment's slot, and the gradients that meet there. [N] each.
struct Slot {
  Column grant, rate, left, limit, dispatched, d_left, d_rate, d_grant, d_limit, d_waiting,
      priority;
  double theta = 0, pool = 0, kept_pool = 0, free_pool = 0;
  explicit Slot(int nodes)
      : grant(static_cast<std::size_t>(nodes)),
        rate(grant),
        left(grant),
        limit(grant),
        dispatched(grant),
        d_left(grant),
        d_rate(grant),
        d_grant(grant),
        d_limit(grant),
        d_waiting(grant),
        priority(grant) {}
};

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Gradient by weights and by the placed share of the budget, of rates that came from waterfill().
/// \returns gradient by the scale of all budgets
double waterfill_backward(const Params& p, const double* w, const Slot& s, double* d_w) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  std::fill_n(d_w, nodes, 0.0);
  const double largest = *std::max_element(w, w + nodes);
  if (!(largest > 0) || !std::isfinite(s.theta)) return 0;  // no preference, or everything capped
  // The binding resource is the one that is used up.
  int binding = 0;
  double tightest = -1;
  for (int k = 0; k < resources; ++k) {
    double used = 0;
    for (int n = 0; n < nodes; ++n) used += p.pool.need_of(n, k) * s.grant[index(n)];
    const double ratio = used / p.pool.budgets[index(k)];
    if (ratio > tightest) {
      tightest = ratio;
      binding = k;
    }
  }
  const auto open = [&](int n) {
    return s.grant[index(n)] < p.pool.capacity[n] && w[n] > 1e-9 * largest;
  };
  double pull = 0, sum = 0;
  for (int n = 0; n < nodes; ++n) {
    const double need = p.pool.need_of(n, binding);
    if (s.grant[index(n)] >= p.pool.capacity[n]) continue;
    const double weight = std::max(w[n], 1e-9 * largest);
    pull += need * weight;
    sum += s.d_grant[index(n)] * weight;
  }
  if (!(pull > 0)) return 0;
  for (int n = 0; n < nodes; ++n)
    if (open(n)) d_w[n] = s.theta * (s.d_grant[index(n)] - p.pool.need_of(n, binding) * sum / pull);
  return p.pool.budgets[index(binding)] * sum / pull;
}

/// Gradient of dispatch_optimally(): waiting work is left - u. Adds to d_left, d_limit.
/// \returns gradient by the pool
double dispatch_optimally_backward(const double* importance, const double* scale, Slot& s,
                                   int nodes) {
  double total = 0;
  for (int n = 0; n < nodes; ++n) total += s.limit[index(n)];
  if (total <= s.pool) {
    for (int n = 0; n < nodes; ++n) {
      s.d_left[index(n)] += s.d_waiting[index(n)];
      s.d_limit[index(n)] -= s.d_waiting[index(n)];
    }
    return 0;
  }
  // Inside nodes share one level of marginal error; it moves with the pool and with what they hold.
  const auto inside = [&](int n) {
    return s.dispatched[index(n)] > 0 && s.dispatched[index(n)] < s.limit[index(n)];
  };
  double give = 0, level = 0;
  const auto looseness = [&](int n) {  // d waiting / d level
    const double z = (s.left[index(n)] - s.dispatched[index(n)]) / scale[n];
    return scale[n] * scale[n] / (importance[n] * backlog_phi_curvature(z));
  };
  for (int n = 0; n < nodes; ++n)
    if (inside(n)) {
      give += looseness(n);
      level += looseness(n) * s.d_waiting[index(n)];
    }
  level = give > 0 ? level / give : 0;
  for (int n = 0; n < nodes; ++n) {
    if (inside(n)) {
      s.d_left[index(n)] += level;
    } else {
      s.d_left[index(n)] += s.d_waiting[index(n)];
      if (s.dispatched[index(n)] > 0) s.d_limit[index(n)] += level - s.d_waiting[index(n)];
    }
  }
  return -level;
}

/// Gradient of dispatch_by_priority(), stage by stage. Adds to d_left, d_limit.
/// \returns gradient by the pool
double dispatch_by_priority_backward(const double* priority, Slot& s, int nodes) {
  double pull = 0, first_sum = 0, open = 0;
  Column first(index(nodes)), d_first(index(nodes), 0.0);
  for (int n = 0; n < nodes; ++n) pull += priority[n] * s.limit[index(n)];
  const bool scarce = pull > s.pool;
  const double share = scarce ? s.pool / pull : 1;
  for (int n = 0; n < nodes; ++n) {
    first[index(n)] = std::min(priority[n] * s.limit[index(n)] * share, s.limit[index(n)]);
    first_sum += first[index(n)];
    open += s.limit[index(n)] - first[index(n)];
  }
  const double rest = s.pool - first_sum;
  const bool second = rest > 0 && open > 0, short_rest = rest < open;
  const double more = !second ? 0 : short_rest ? rest / open : 1;
  double d_more = 0, d_pool = 0, d_share = 0;
  for (int n = 0; n < nodes; ++n) {
    const double d_u = -s.d_waiting[index(n)];
    s.d_left[index(n)] += s.d_waiting[index(n)];
    d_first[index(n)] += d_u * (1 - more);
    s.d_limit[index(n)] += d_u * more;
    d_more += d_u * (s.limit[index(n)] - first[index(n)]);
  }
  if (second && short_rest) {
    d_pool += d_more / open;
    for (int n = 0; n < nodes; ++n) {
      d_first[index(n)] += -d_more / open + d_more * rest / (open * open);
      s.d_limit[index(n)] -= d_more * rest / (open * open);
    }
  }
  for (int n = 0; n < nodes; ++n) {
    if (priority[n] * share >= 1) {
      s.d_limit[index(n)] += d_first[index(n)];
    } else {
      s.d_limit[index(n)] += d_first[index(n)] * priority[n] * share;
      d_share += d_first[index(n)] * priority[n] * s.limit[index(n)];
    }
  }
  if (scarce) {
    d_pool += d_share / pull;
    for (int n = 0; n < nodes; ++n)
      s.d_limit[index(n)] -= d_share * s.pool / (pull * pull) * priority[n];
  }
  return d_pool;
}

void backward_env(const Params& p, const Exogenous& x, const Batch& b, std::int64_t e,
                  const double* decision, double weight, Adjoint& a, double* d_decision, Slot& s) {
  const int nodes = b.nodes, resources = p.pool.resource_count();
  const std::size_t row = b.at(e), slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
  const double* importance = x.importance.data() + slot;
  const SharedReserve* reserve = p.pool.shared_reserve();
  const double placed_share = reserve != nullptr ? 1 - decision[nodes] : 1;

  // Forward again.
  s.theta = waterfill(decision, p.pool.capacity.value.data(), p.pool.needs.data(),
                      p.pool.budgets.data(), placed_share, s.grant.data(), nodes, resources);
  double placed = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    s.rate[index(n)] = lagged(b.rate[i], s.grant[index(n)], p.pool.lag);
    const double load = b.backlog[i] + x.arrivals[slot + index(n)];
    const double served = std::min(std::min(s.rate[index(n)], up), load);
    s.left[index(n)] = p.pool.is_progress(n) ? 0 : load - served;
    s.limit[index(n)] =
        p.pool.is_progress(n) ? 0 : std::min(load - served, std::max(0.0, up - served));
    s.dispatched[index(n)] = 0;
    placed += s.rate[index(n)] * p.pool.need_of(n, 0);
  }
  if (reserve != nullptr) {
    s.kept_pool = decision[nodes] * p.pool.budget;
    s.free_pool = std::max(0.0, p.pool.budget - placed);
    s.pool = reserve->efficiency / p.pool.needs[0] * std::min(s.kept_pool, s.free_pool);
    if (reserve->dispatch == Dispatch::optimal) {
      dispatch_optimally(s.left.data(), s.limit.data(), importance, dispatch_scale(p), s.pool,
                         s.dispatched.data(), nodes);
    } else {
      dispatch_by_priority(s.limit.data(), importance, s.pool, s.dispatched.data(), nodes);
    }
  }

  // Errors, and the soft worst of them.
  double worst = 0, soft = 0;
  Column& error = s.priority;
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
          end_slot(p, n, {std::max(0.0, s.left[index(n)] - s.dispatched[index(n)])}).error;
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
    s.d_left[index(n)] = s.d_limit[index(n)] = s.d_waiting[index(n)] = 0;
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
      const double waiting = s.left[index(n)] - s.dispatched[index(n)];
      s.d_waiting[index(n)] =
          waiting > 0 ? end_slot_backward(p, n, {waiting}, d_error, a.backlog[i]) : 0;
    }
  }
  double d_pool = 0;
  if (reserve == nullptr) {
    for (int n = 0; n < nodes; ++n) s.d_left[index(n)] = s.d_waiting[index(n)];
  } else {
    d_pool = reserve->dispatch == Dispatch::optimal
                 ? dispatch_optimally_backward(importance, dispatch_scale(p), s, nodes)
                 : dispatch_by_priority_backward(importance, s, nodes);
  }
  double d_kept = 0;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    if (p.pool.is_progress(n)) continue;
    const double up = x.availability[slot + index(n)] * p.pool.capacity[n];
    const double load = b.backlog[i] + x.arrivals[slot + index(n)];
    const double served = std::min(std::min(s.rate[index(n)], up), load);
    // limit = min(left, up - served), left = load - served.
    double d_served = 0, d_left = s.d_left[index(n)];
    if (load - served <= up - served) {
      d_left += s.d_limit[index(n)];
    } else if (up > served) {
      d_served -= s.d_limit[index(n)];
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
  if (reserve != nullptr) {
    const double d_source = reserve->efficiency / p.pool.needs[0] * d_pool;
    if (s.kept_pool < s.free_pool) {
      d_kept += d_source * p.pool.budget;
    } else if (s.free_pool > 0) {
      for (int n = 0; n < nodes; ++n) s.d_rate[index(n)] -= d_source * p.pool.needs[index(n)];
    }
  }

  // Movement, lag, use of the budget, water-filling.
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = row + index(n);
    const double moved = s.rate[index(n)] - b.rate[i], smooth = p.cost.switching_smoothing;
    const double d_moved =
        weight * p.cost.switching / nodes * moved / std::sqrt(moved * moved + smooth * smooth);
    const double d_rate = s.d_rate[index(n)] + d_moved;
    a.rate[i] = (1 - p.pool.lag) * d_rate - d_moved;
    s.d_grant[index(n)] = p.pool.lag * d_rate;
    for (int k = 0; k < resources; ++k) {
      const double per_rate = p.pool.need_of(n, k) / p.pool.budgets[index(k)] / resources;
      const double share = s.grant[index(n)] * per_rate;
      s.d_grant[index(n)] +=
          weight * (p.cost.use + p.cost.concentration * nodes * 2 * share * resources) * per_rate;
    }
  }
  const double d_scale = waterfill_backward(p, decision, s, d_decision);
  if (reserve != nullptr) d_decision[nodes] = d_kept - d_scale;
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
