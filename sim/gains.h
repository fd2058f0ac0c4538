// sim/gains.h (internal): what service gains at a node for the share of the budget it takes.
#pragma once

#include <algorithm>
#include <cstddef>

#include "sim/errors.h"

namespace cra::sim {

/// What service gains at node n now, per share of the budget it takes of its scarcest resource.
/// \param i  index of the node in the batch
inline double gain_per_share(const Params& p, const Batch& b, std::size_t i, int n) {
  return error_relief(p, b, i, n) / largest_share(p, n);
}

/// Margins of one environment, from its importance and its state. What a hub shares counts there.
/// \param row  of the environment in the batch
inline void set_margins(const Params& p, Batch& b, std::size_t row) {
  const auto at = [row](int n) { return row + static_cast<std::size_t>(n); };
  for (int n = 0; n < b.nodes; ++n) {
    const double gain = gain_per_share(p, b, at(n), n);
    b.margin[at(n)] = gain * b.importance[at(n)];
    b.margin_ahead[at(n)] = gain * b.importance_ahead[at(n)];
  }
  for (const Sharing& s : p.progress.sharing)
    for (const int f : s.followers) {
      const double gain = s.weight * error_relief(p, b, at(f), f) / largest_share(p, s.hub);
      b.margin[at(s.hub)] += gain * b.importance[at(f)];
      b.margin_ahead[at(s.hub)] += gain * b.importance_ahead[at(f)];
    }
}

/// Its reverse: a.margin and a.margin_ahead move on to the state and become 0.
inline void set_margins_backward(const Params& p, const Batch& b, std::size_t row, Adjoint& a) {
  const auto at = [row](int n) { return row + static_cast<std::size_t>(n); };
  for (const Sharing& s : p.progress.sharing)
    for (const int f : s.followers) {
      const double d_gain = a.margin[at(s.hub)] * b.importance[at(f)] +
                            a.margin_ahead[at(s.hub)] * b.importance_ahead[at(f)];
      error_relief_backward(p, b, at(f), f, d_gain * s.weight / largest_share(p, s.hub), a);
    }
  for (int n = 0; n < b.nodes; ++n) {
    const double d_gain =
        a.margin[at(n)] * b.importance[at(n)] + a.margin_ahead[at(n)] * b.importance_ahead[at(n)];
    error_relief_backward(p, b, at(n), n, d_gain / largest_share(p, n), a);
    a.margin[at(n)] = a.margin_ahead[at(n)] = 0;
  }
}

}  // namespace cra::sim
