// From a decision to commanded rates: forward and reverse side by side.
#include "sim/allocate.h"

#include <algorithm>
#include <cmath>

namespace cra::sim {
namespace {

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Gradient by weights and by the placed share of the budget, of rates that came from waterfill().
/// \returns gradient by the scale of all budgets
double waterfill_backward(const Params& p, const double* w, const Allocation& a, double* d_w) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  std::fill_n(d_w, nodes, 0.0);
  const double largest = *std::max_element(w, w + nodes);
  if (!(largest > 0) || !std::isfinite(a.theta)) return 0;  // no preference, or everything capped
  // The binding resource is the one that is used up.
  int binding = 0;
  double tightest = -1;
  for (int k = 0; k < resources; ++k) {
    double used = 0;
    for (int n = 0; n < nodes; ++n) used += p.pool.need_of(n, k) * a.grant[index(n)];
    const double ratio = used / p.pool.budgets[index(k)];
    if (ratio > tightest) {
      tightest = ratio;
      binding = k;
    }
  }
  const auto open = [&](int n) {
    return a.grant[index(n)] < p.pool.capacity[n] && w[n] > 1e-9 * largest;
  };
  double pull = 0, sum = 0;
  for (int n = 0; n < nodes; ++n) {
    const double need = p.pool.need_of(n, binding);
    if (a.grant[index(n)] >= p.pool.capacity[n]) continue;
    const double weight = std::max(w[n], 1e-9 * largest);
    pull += need * weight;
    sum += a.d_grant[index(n)] * weight;
  }
  if (!(pull > 0)) return 0;
  for (int n = 0; n < nodes; ++n)
    if (open(n)) d_w[n] = a.theta * (a.d_grant[index(n)] - p.pool.need_of(n, binding) * sum / pull);
  return p.pool.budgets[index(binding)] * sum / pull;
}

/// Share of the budgets that is placed: what the reserve leaves.
double placed_share(const Params& p, const double* decision) {
  return p.pool.shared_reserve() != nullptr ? 1 - decision[p.pool.nodes] : 1;
}

}  // namespace

void allocate(const Params& p, const double* decision, Allocation& a) {
  a.theta =
      waterfill(decision, p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
                placed_share(p, decision), a.grant.data(), p.pool.nodes, p.pool.resource_count());
}

void allocate_backward(const Params& p, const double* decision, const Allocation& a,
                       double* d_decision) {
  const double d_scale = waterfill_backward(p, decision, a, d_decision);
  if (p.pool.shared_reserve() != nullptr) d_decision[p.pool.nodes] = -d_scale;
}

}  // namespace cra::sim
