// sim/gains.h (internal): errors of progress nodes, and what service gains at a node, with slopes.
#pragma once

#include <algorithm>
#include <cstddef>

#include "sim/sim.h"

namespace cra::sim {

/// Error of a progress node by its progress, with its first two derivatives.
struct ProgressError {
  const Params& p;
  double value(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_error(progress, k->floor[n], k->gain[n], k->exponent[n], k->scale[n]);
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_error(progress, k.floor[n], k.gain[n], k.scale[n]);
  }
  double slope(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_slope(progress, k->gain[n], k->exponent[n], k->scale[n]);
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_slope(progress, k.gain[n], k.scale[n]);
  }
  double curvature(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_curvature(progress, k->gain[n], k->exponent[n], k->scale[n]);
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_curvature(progress, k.gain[n], k.scale[n]);
  }
};

/// Largest share of any budget that a unit of work at node n takes.
inline double largest_share(const Params& p, int n) {
  double share = 0;
  const int k = p.pool.resource_count();
  for (int r = 0; r < k; ++r)
    share = std::max(share, p.pool.need_of(n, r) / p.pool.budgets[static_cast<std::size_t>(r)]);
  return share;
}

/// What service gains at node n now, per share of the budget it takes of its scarcest resource.
/// \param i  index of the node in the batch
inline double gain_per_share(const Params& p, const Batch& b, std::size_t i, int n) {
  const double scale = std::get<BacklogError>(p.errors).scale[n];
  const double slope = p.pool.is_progress(n) ? -ProgressError{p}.slope(n, b.progress[i])
                                             : backlog_phi_slope(b.backlog[i] / scale) / scale;
  return slope / largest_share(p, n);
}

/// Its slope by the backlog, or by the progress of a progress node.
inline double gain_slope(const Params& p, const Batch& b, std::size_t i, int n) {
  const double scale = std::get<BacklogError>(p.errors).scale[n];
  const double curvature = p.pool.is_progress(n)
                               ? -ProgressError{p}.curvature(n, b.progress[i])
                               : backlog_phi_curvature(b.backlog[i] / scale) / (scale * scale);
  return curvature / largest_share(p, n);
}

}  // namespace cra::sim
