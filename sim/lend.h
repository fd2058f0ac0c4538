// sim/lend.h (internal): work-conserving service (generalised processor sharing, Parekh and
// Gallager 1993, within a slot): rates that a node has no work for serve others. And its reverse.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::sim {

/// What is lent in one environment's slot. [N] each.
struct Loan {
  std::vector<double> room;    ///< work that a node could still do with more than its own [wu]
  std::vector<double> unused;  ///< [K] resource of the placed rates that has no work [ru]
  std::vector<double> lent;    ///< work done with it [wu]
  std::vector<double> d_w, d_room;
  double level = 0;
  explicit Loan(int nodes)
      : room(static_cast<std::size_t>(nodes)), lent(room), d_w(room), d_room(room) {}
};

/// Water-fills what the placed rates leave over the nodes with unmet need, by their weights.
/// \param rate    [N] placed \param served [N] of it \param most  [N] work that the node could do
/// at all, >= served
void lend(const Params& p, const double* weights, const double* rate, const double* served,
          const double* most, Loan& loan);

/// Gradients of one node that lend() passes on.
struct LoanGradient {
  double rate = 0, served = 0, most = 0;
};
/// Reverse of lend(); loan.d_w is the gradient by the weights. \param d_lent [N] \param d [N]
/// written
void lend_backward(const Params& p, const double* weights, const double* d_lent, Loan& loan,
                   LoanGradient* d);

}  // namespace cra::sim
