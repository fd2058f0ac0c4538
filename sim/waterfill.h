// sim/waterfill.h (internal): reverse of waterfill() (sim/formulas.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace cra::sim {

/// What waterfill() was given and what it returned.
struct WaterfillCall {
  const double* w;       ///< [N]
  const double* cap;     ///< [N]
  const double* need;    ///< [N, K]
  const double* budget;  ///< [K]
  const double* s;       ///< [N] rates
  double theta;          ///< level, infinite when everything is capped
  int nodes, resources;
};

/// The resource that is used up, and what its budget is worth.
struct Scarcity {
  int resource = 0;
  double value = 0;    ///< gradient by its budget [per ru]
  double d_scale = 0;  ///< gradient by a common scale of all budgets
};

/// With U the nodes below their cap, j the scarce resource, D = sum_U need w, S = sum_U d_s w:
/// d_w = theta (d_s - need S / D) in U, d_budget = S / D, d_cap = d_s - need S / D elsewhere.
/// \param d_s    [N]
/// \param d_w    [N] written
/// \param d_cap  [N] written, or nullptr
inline Scarcity waterfill_backward(const WaterfillCall& c, const double* d_s, double* d_w,
                                   double* d_cap) {
  std::fill_n(d_w, c.nodes, 0.0);
  if (d_cap != nullptr) std::copy_n(d_s, c.nodes, d_cap);
  const double largest = *std::max_element(c.w, c.w + c.nodes);
  Scarcity out;
  if (!std::isfinite(c.theta)) return out;  // everything capped
  const bool any = largest > 0;             // without a preference all weights count as 1
  double tightest = -1;
  for (int k = 0; k < c.resources; ++k) {
    double used = 0;
    for (int n = 0; n < c.nodes; ++n) used += c.need[n * c.resources + k] * c.s[n];
    const double ratio = c.budget[k] > 0 ? used / c.budget[k] : 1;
    if (ratio > tightest) {
      tightest = ratio;
      out.resource = k;
    }
  }
  double pull = 0, sum = 0;
  for (int n = 0; n < c.nodes; ++n) {
    if (c.s[n] >= c.cap[n]) continue;
    const double weight = any ? std::max(c.w[n], 1e-9 * largest) : 1;
    pull += c.need[n * c.resources + out.resource] * weight;
    sum += d_s[n] * weight;
  }
  if (!(pull > 0)) return out;
  for (int n = 0; n < c.nodes; ++n) {
    const double need = c.need[n * c.resources + out.resource];
    if (c.s[n] < c.cap[n]) {
      if (any && c.w[n] > 1e-9 * largest) d_w[n] = c.theta * (d_s[n] - need * sum / pull);
      if (d_cap != nullptr) d_cap[n] = 0;
    } else if (d_cap != nullptr) {
      d_cap[n] = d_s[n] - need * sum / pull;
    }
  }
  out.value = sum / pull;
  out.d_scale = c.budget[out.resource] * sum / pull;
  return out;
}

}  // namespace cra::sim
