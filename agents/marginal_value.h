// agents/marginal_value.h (internal): what a little more allocation is worth at each node.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::agents {

/// Part of the budget that moves in a difference quotient. Small beside the share of any node that
/// counts, and still 1e5 times the rounding of an episode's cost.
inline constexpr double kMarginalStep = 1e-5;

/// Marginal value of allocation, v_n = -dC / d eps at eps = 0: C is the cost of the slot to come
/// and of all later ones, summed, when the shares p of the placed budget become (1 - eps) p + eps
/// e_n in that slot, that is node n gets more and the others keep theirs in proportion. [cost per
/// share of the budget]
///
/// Open loop: later decisions stay what they are. The value is then one of the allocation, the
/// shadow price that the reverse sweep of the simulator computes too; were the policy to answer in
/// later slots, it would measure how well the policy corrects, by the very attention that it is to
/// judge. Difference quotients of the simulator on the same exogenous input, since not every pool
/// has a reverse sweep: central, forward where node n has no share to give. With a lottery the cost
/// of one draw is a step function of p, but its mean over draws is linear (switching cost apart),
/// so eps is 1 there: the whole slot for node n.
///
/// \param before   the batch before the slot; of its environments `env` is meant
/// \param bundles  [T - before.slot, size] decisions from that slot on; tilts stay what they are
/// \returns [N], without digits that the rounding of C leaves no meaning: multiples of a power of 2
std::vector<double> marginal_values(const sim::Params& p, const sim::Exogenous& x,
                                    const sim::Batch& before, std::int64_t env,
                                    View<const double> bundles);

}  // namespace cra::agents
