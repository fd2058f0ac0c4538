// sim/reserve.h (internal): what the share of the budget that was kept back does, and its reverse.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::sim {

/// How a reserve of resources that nodes need unequally was shared out.
struct Filled {
  std::vector<double> first;       ///< [N] work by shares of the priority [wu]
  std::vector<int> order;          ///< [N] who comes when for what is left
  std::vector<int> bound;          ///< [N] resource that stopped a node then, -1: it has all
  std::vector<double> pull, open;  ///< [K] resource that shares ask for, and the rest [ru]
  std::vector<double> rest, left;  ///< [K] resource after shares, and after the rest [ru]
};

/// What the reserve meets in one environment's slot and what it does there. [N] each.
struct ReserveSlot {
  std::vector<double> left;        ///< work after the placed rate [wu]
  std::vector<double> limit;       ///< most of it that the node could still do [wu]
  std::vector<double> dispatched;  ///< work done by the reserve; zeros without one [wu]
  std::vector<double> placed;      ///< [K] what the placed rates take [ru/slot]
  std::vector<double> kept, free;  ///< [K] what was kept back, what the placed rates leave [ru]
  std::vector<double> pool;  ///< [K] resource that the reserve serves with, efficiency applied [ru]
  Filled filled;
  // Gradients; waiting = left - dispatched.
  std::vector<double> d_waiting, d_left, d_limit;
  std::vector<double> d_placed;  ///< [K]
  double d_share = 0;
  explicit ReserveSlot(int nodes)
      : left(static_cast<std::size_t>(nodes)),
        limit(left),
        dispatched(left),
        d_waiting(left),
        d_left(left),
        d_limit(left) {}
};

/// Sums what the placed rates of an environment take of each resource into s.placed.
/// \param rate  [N]
void add_up_placed(const Pool& pool, const double* rate, ReserveSlot& s);

/// Sends the reserve to where work waits: from left, limit and placed to dispatched. A unit of work
/// takes need_nk / efficiency of every resource k; the reserve of k is what was kept back of its
/// budget, and no more than what the placed rates leave of it.
/// \param share   of every budget that was kept back, in [0, 1]
void dispatch(const SharedReserve& reserve, const Params& p, const double* importance, double share,
              ReserveSlot& s);
/// Reverse of dispatch(): d_waiting moves on to d_left and d_limit (added to), and to d_placed and
/// d_share (written).
void dispatch_backward(const SharedReserve& reserve, const Params& p, const double* importance,
                       ReserveSlot& s);

}  // namespace cra::sim
