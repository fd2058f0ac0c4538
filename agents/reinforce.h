// agents/reinforce.h (internal): what an update remembers of its episodes, and the score-function
// gradient made of it.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/learned.h"

namespace cra::agents {

/// E = episodes * replicas environments over T slots; replicas of one episode stand side by side.
struct Rollout {
  std::int64_t envs = 0;          ///< E
  int replicas = 0;               ///< G, environments that share an exogenous episode
  int slots = 0;                  ///< T
  int nodes = 0;                  ///< N
  int feature_count = 0;          ///< F
  std::vector<float> features;    ///< [E, T, N, F] normalised
  std::vector<double> deviation;  ///< [E, T, N] c(z - mu), the centred exploration
  std::vector<double> cost;       ///< [E, T]
  std::vector<double> score;      ///< [E, T]

  Rollout(std::int64_t envs, int replicas, int slots, int nodes, int feature_count);
  std::size_t at(std::int64_t e, int t) const { return static_cast<std::size_t>(e * slots + t); }
};

/// Advantage of every action: the discounted return-to-go of the reward -cost, minus the mean over
/// the replicas of the episode, times G / (G - 1) (leave-one-out), scaled to unit deviation over
/// the batch. Equal returns give exactly 0. [E, T]
std::vector<double> group_advantages(const Rollout& r, double discount);

/// Gradient by theta of -(1 / (E T)) sum advantage * log density - entropy bonus. [P]
/// Summed over fixed chunks of environment-slots, in order: the same bits for any thread count.
std::vector<float> reinforce_gradient(const LearnedNet& net, const Rollout& r,
                                      const std::vector<double>& advantage, double entropy_weight);

}  // namespace cra::agents
