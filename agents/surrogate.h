// agents/surrogate.h (internal): the loss that learners who explore go down, and its gradient.
//
// Per environment-slot, with ratio = density now / density when it was drawn:
//   -min(ratio A, clip(ratio, 1 - c, 1 + c) A) - entropy_weight H + value_weight (V - target)^2 / 2
// Without a clip and with nothing moved since the draw its gradient is that of REINFORCE.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "agents/rollout.h"

namespace cra::agents {

/// Weights of the loss.
struct Surrogate {
  double ratio_clip = std::numeric_limits<double>::infinity();
  double entropy = 0;
  double value_weight = 0;  ///< 0 without a critic
};

/// One environment-slot of a rollout, and what is said of it.
struct Step {
  Proposal drawn;  ///< base, and residual when the action was drawn
  const double* action;
  double log_density;  ///< when it was drawn
  double advantage;
  double value_target;  ///< for a critic
};

/// What a step adds to the loss, and what says how far the policy has moved.
struct StepLoss {
  double loss = 0, d_spread = 0, entropy = 0;
  double divergence =
      0;  ///< ratio - 1 - log ratio: its mean estimates KL(drawn, now), Schulman 2020
  double ratio = 1;
};

/// Loss of a step times `weight`, and its gradient. \tparam T float, or double in tests
/// \param around  the distribution now \param heads  now \param h  [N, d] embeddings now
/// \param d_h  [N, d] written \param d_heads  added to
template <class T>
StepLoss step_loss(const Surrogate& s, const Distribution& around, const Step& step, double weight,
                   const Heads<const T>& heads, const T* h, const DecisionShape& shape, int width,
                   T* d_h, const Heads<T>& d_heads);

/// Gradient of the mean loss over some steps of a rollout.
struct SurrogateGradient {
  std::vector<float> gradient;  ///< [P] by theta, then [d + 1] by the value head of a critic
  double entropy = 0;           ///< mean
  double divergence = 0;        ///< mean
  double least_ratio = 0, most_ratio = 0;
};

/// What the steps of a rollout are worth.
struct Worth {
  std::vector<double> advantage;  ///< [E, T]
  std::vector<double> target;     ///< [E, T] of a critic; or empty
};

/// \param value_head  [d + 1], or nullptr \param steps  rows of the rollout, e * T + t
/// Summed over fixed chunks of steps, in order: the same bits for any thread count.
SurrogateGradient surrogate_gradient(const LearnedNet& net, const float* value_head,
                                     const Surrogate& s, const Rollout& r, const Worth& worth,
                                     std::span<const std::int64_t> steps);

}  // namespace cra::agents
