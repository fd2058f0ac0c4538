// The reserve: forward and reverse side by side.
#include "sim/reserve.h"

#include <algorithm>

#include "sim/errors.h"

namespace cra::sim {
namespace {

using Column = std::vector<double>;

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Gradient of dispatch_optimally(): waiting work is left - u. Adds to d_left, d_limit.
/// \returns gradient by the pool
double dispatch_optimally_backward(const double* importance, const double* scale, ReserveSlot& s,
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
    // The last rounding of dispatch_optimally() may scale a node that is at its limit below it.
    return s.dispatched[index(n)] > 0 && s.dispatched[index(n)] < s.limit[index(n)] * (1 - 1e-12);
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
double dispatch_by_priority_backward(const double* priority, ReserveSlot& s, int nodes) {
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

}  // namespace

void dispatch(const SharedReserve& reserve, const Params& p, const double* importance, double share,
              double placed, ReserveSlot& s) {
  // The reserve is what was kept back, and no more than what the placed rates leave of the budget.
  s.kept = share * p.pool.budget;
  s.free = std::max(0.0, p.pool.budget - placed);
  s.pool = reserve.efficiency / p.pool.needs[0] * std::min(s.kept, s.free);
  if (reserve.dispatch == Dispatch::optimal) {
    dispatch_optimally(s.left.data(), s.limit.data(), importance, dispatch_scale(p), s.pool,
                       s.dispatched.data(), p.pool.nodes);
  } else {
    dispatch_by_priority(s.limit.data(), importance, s.pool, s.dispatched.data(), p.pool.nodes);
  }
}

ReserveGradient dispatch_backward(const SharedReserve& reserve, const Params& p,
                                  const double* importance, ReserveSlot& s) {
  const double d_pool =
      reserve.dispatch == Dispatch::optimal
          ? dispatch_optimally_backward(importance, dispatch_scale(p), s, p.pool.nodes)
          : dispatch_by_priority_backward(importance, s, p.pool.nodes);
  const double d_source = reserve.efficiency / p.pool.needs[0] * d_pool;
  ReserveGradient d;
  if (s.kept < s.free) {
    d.share = d_source * p.pool.budget;
  } else if (s.free > 0) {
    d.placed = -d_source;
  }
  return d;
}

}  // namespace cra::sim
