// sim/reserve.h (internal): what the share of the budget that was kept back does, and its reverse.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::sim {

/// What the reserve meets in one environment's slot and what it does there. [N] each.
struct ReserveSlot {
  std::vector<double> left;        ///< work after the placed rate [wu]
  std::vector<double> limit;       ///< most of it that the node could still do [wu]
  std::vector<double> dispatched;  ///< work done by the reserve; zeros without one [wu]
  double kept = 0, free = 0;       ///< what was kept back, what the placed rates leave [ru]
  double pool = 0;                 ///< work that the reserve can do [wu]
  // Gradients; waiting = left - dispatched.
  std::vector<double> d_waiting, d_left, d_limit;
  explicit ReserveSlot(int nodes)
      : left(static_cast<std::size_t>(nodes)),
        limit(left),
        dispatched(left),
        d_waiting(left),
        d_left(left),
        d_limit(left) {}
};

/// Sends the reserve to where work waits: from left and limit to dispatched.
/// \param share   of the budget that was kept back, in [0, 1]
/// \param placed  resource that the placed rates take [ru/slot]
void dispatch(const SharedReserve& reserve, const Params& p, const double* importance, double share,
              double placed, ReserveSlot& s);

/// Gradient by the two numbers that the size of the reserve depends on.
struct ReserveGradient {
  double share = 0, placed = 0;
};
/// Reverse of dispatch(): d_waiting moves on to d_left and d_limit (added to).
ReserveGradient dispatch_backward(const SharedReserve& reserve, const Params& p,
                                  const double* importance, ReserveSlot& s);

}  // namespace cra::sim
