// sim/allocate.h (internal): from a decision to commanded rates, and its reverse.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::sim {

/// Commanded rates of one environment, with what their reverse needs. [N] each.
struct Allocation {
  std::vector<double> grant;    ///< s, commanded rate [wu/slot]
  std::vector<double> d_grant;  ///< gradient by it
  double theta = 0;             ///< level of the water-filling
  explicit Allocation(int nodes)
      : grant(static_cast<std::size_t>(nodes)), d_grant(static_cast<std::size_t>(nodes)) {}
};

/// Rates that a decision commands: 0 <= s_n <= capacity, sum_n need_nk s_n <= the placed share of
/// every budget. \param decision [A] of one environment
void allocate(const Params& p, const double* decision, Allocation& a);

/// Reverse of allocate(): a.d_grant becomes the gradient by the decision.
/// \param a           as allocate() left it, with d_grant
/// \param d_decision  [A] written
void allocate_backward(const Params& p, const double* decision, const Allocation& a,
                       double* d_decision);

}  // namespace cra::sim
