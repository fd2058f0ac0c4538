// agents/pathwise.h (internal): the gradient of the mean cost through everything.
#pragma once

#include <vector>

#include "agents/learned.h"

namespace cra::agents {

/// Mean cost of the deterministic policy on whole episodes, with its gradient.
struct PathwiseGradient {
  std::vector<float> gradient;  ///< [P] by theta; 0 for log_sigma, which moves no mean
  double cost = 0;              ///< mean per slot and episode
  double score = 0;
  StageSeconds seconds{};  ///< of all threads, over their number
};

/// \param x  episodes to run, one environment each
/// Summed over fixed tiles of episodes in order: the same bits for any thread count.
PathwiseGradient pathwise_gradient(const LearnedNet& net, const sim::Params& p,
                                   const sim::Exogenous& x);

}  // namespace cra::agents
