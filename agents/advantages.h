// agents/advantages.h (internal): how much better an action was than expected.
#pragma once

#include <vector>

#include "agents/rollout.h"

namespace cra::agents {

/// Advantage of every action: the discounted return-to-go of the reward -cost, minus the mean over
/// the replicas of the episode, times G / (G - 1) (leave-one-out), scaled to unit deviation over
/// the batch. Equal returns give exactly 0. [E, T]
std::vector<double> group_advantages(const Rollout& r, double discount);

/// Running count, mean and sum of squared deviations of the returns that a critic has to predict.
struct ReturnScale {
  double count = 0, mean = 0, square = 0;

  /// Takes in more returns (Chan, Golub, LeVeque 1983).
  void add(const std::vector<double>& returns);
  double deviation() const;  ///< 1 before there is any
};

/// What a critic makes of a rollout.
struct Estimate {
  std::vector<double> advantage;  ///< [E, T] unit deviation over the batch
  std::vector<double> target;     ///< [E, T] of the critic, in units of `scale`
};

/// Generalised advantage estimation (Schulman et al. 2016): A_t = sum_k (discount trace)^k d_{t+k},
/// d_t = -cost_t + discount V_{t+1} - V_t; V is 0 after the last slot, where episodes end. From A_t
/// the mean of the other replicas' is taken, which meet the same input (Mao et al. 2019): no critic
/// predicts arrivals that nobody can, and what they add is the same for all replicas.
/// \param scale  in whose units r.value is; takes in the targets A + V, and those are in its new
/// units
Estimate critic_advantages(const Rollout& r, double discount, double trace, ReturnScale& scale);

}  // namespace cra::agents
