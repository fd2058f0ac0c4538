// agents/rollout.h (internal): what the exploring policy did in a batch of episodes.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/learned.h"

namespace cra::agents {

/// E = episodes * replicas environments over T slots; replicas of one episode stand side by side.
struct Rollout {
  std::int64_t envs = 0;            ///< E
  int replicas = 0;                 ///< G, environments that share an exogenous episode
  int slots = 0;                    ///< T
  DecisionShape shape;              ///< N nodes
  int feature_count = 0;            ///< F
  std::vector<float> features;      ///< [E, T, N, F] normalised
  std::vector<double> base;         ///< [E, T, bundle] as in Proposal
  std::vector<double> residual;     ///< [E, T, logits] of the policy that explored
  std::vector<double> action;       ///< [E, T, logits] see Distribution::sample
  std::vector<double> log_density;  ///< [E, T]
  std::vector<double> value;        ///< [E, T] what the critic said; 0 without one
  std::vector<double> cost;         ///< [E, T]
  std::vector<double> score;        ///< [E, T]

  Rollout(std::int64_t envs, int replicas, int slots, const DecisionShape& shape,
          int feature_count);
  std::int64_t steps() const { return envs * slots; }
  std::size_t at(std::int64_t e, int t) const { return static_cast<std::size_t>(e * slots + t); }
};

/// What the critic says of one environment: the value head on the mean embedding.
/// \param value_head  [d + 1] \param h  [N, d]
template <class T>
double critic_value(const T* value_head, const T* h, int nodes, int width) {
  auto sum = static_cast<double>(value_head[width]);
  for (int k = 0; k < width; ++k) {
    double mean = 0;
    for (int n = 0; n < nodes; ++n) mean += static_cast<double>(h[n * width + k]) / nodes;
    sum += static_cast<double>(value_head[k]) * mean;
  }
  return sum;
}

/// Which exploration noise a rollout draws.
struct Exploration {
  std::uint64_t seed;
  std::int64_t first_episode;  ///< number of the first environment; no two may meet the same noise
  int replicas;
};

/// Observes, encodes, draws, steps and remembers: replicas of each episode explore differently.
/// \param value_head  [d + 1], or nullptr
Rollout roll_out(const LearnedNet& net, const float* value_head, const sim::Params& pool,
                 const sim::Exogenous& x, const Exploration& exploration);

}  // namespace cra::agents
