// sim/gains.h (internal): what service gains at a node for the share of the budget it takes.
#pragma once

#include <algorithm>
#include <cstddef>

#include "sim/errors.h"

namespace cra::sim {

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
  return error_relief(p, b, i, n) / largest_share(p, n);
}

}  // namespace cra::sim
