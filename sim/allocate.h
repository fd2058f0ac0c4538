// sim/allocate.h (internal): from a decision to commanded rates, and its reverse.
#pragma once

#include <vector>

#include "sim/conflict.h"
#include "sim/sim.h"

namespace cra::sim {

/// Commanded rates of one environment, with what their reverse needs. [N] each.
struct Allocation {
  std::vector<double> grant;    ///< s, commanded rate [wu/slot]
  std::vector<double> d_grant;  ///< gradient by it
  double waste = 0;           ///< granted and of no use: share of the budgets, mean over resources
  double theta = 0;           ///< level of the water-filling
  std::vector<double> share;  ///< proportions of raw weights and of a lottery; [K, N] per resource
  std::vector<int> limiting;  ///< per resource: the one that limits the node, -1 its capacity
  Redistribution rest;        ///< of rules that clip
  explicit Allocation(int nodes)
      : grant(static_cast<std::size_t>(nodes)), d_grant(static_cast<std::size_t>(nodes)) {}
};

/// Rates that a decision commands: 0 <= s_n <= capacity, sum_n need_nk s_n <= the placed share of
/// every budget; but for a lottery, whose rates are what the drawing does on average.
/// \param decision [A] of one environment
void allocate(const Params& p, const double* decision, const Turn& turn, Allocation& a);

/// Reverse of allocate(): a.d_grant becomes the gradient by the decision.
/// \param a           as allocate() left it, with d_grant, which is used up
/// \param d_decision  [A] written
void allocate_backward(const Params& p, const double* decision, Allocation& a, double* d_decision);

/// Share of the budget that a decision keeps back.
inline double kept_share(const Params& p, const double* decision) {
  return p.pool.shared_reserve() != nullptr ? decision[decision_size(p) - 1] : 0;
}

}  // namespace cra::sim
