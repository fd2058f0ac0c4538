// agents/reinforce.h (internal): what an update remembers of its episodes, and the score-function
// gradient made of it.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/learned.h"
#include "agents/simplex.h"

namespace cra::agents {

/// E = episodes * replicas environments over T slots; replicas of one episode stand side by side.
struct Rollout {
  std::int64_t envs = 0;          ///< E
  int replicas = 0;               ///< G, environments that share an exogenous episode
  int slots = 0;                  ///< T
  int nodes = 0;                  ///< N
  int size = 0;                   ///< A, numbers in a decision
  int feature_count = 0;          ///< F
  std::vector<float> features;    ///< [E, T, N, F] normalised
  std::vector<double> deviation;  ///< [E, T, A] z - mu, the nodes' part centred
  std::vector<double> cost;       ///< [E, T]
  std::vector<double> score;      ///< [E, T]

  Rollout(std::int64_t envs, int replicas, int slots, int nodes, int size, int feature_count);
  std::size_t at(std::int64_t e, int t) const { return static_cast<std::size_t>(e * slots + t); }
};

/// Advantage of every action: the discounted return-to-go of the reward -cost, minus the mean over
/// the replicas of the episode, times G / (G - 1) (leave-one-out), scaled to unit deviation over
/// the batch. Equal returns give exactly 0. [E, T]
std::vector<double> group_advantages(const Rollout& r, double discount);

/// Heads of the policy, or their gradients. \tparam T float, or double in tests
template <class T>
struct Heads {
  T* node;     ///< [d]
  T* reserve;  ///< [d]
};

/// Gradient of weight * log density(z | mu(h), sigma) for one environment-slot, where mu_n = base_n
/// + kHeadGain * head . h_n, the reserve's mu has the mean embedding, and z is held fixed. \param
/// deviation  [A] z - mu, the nodes' part centred \param h          [N, d] embeddings \param d_h
/// [N, d] written \param d_heads    added to \returns          the gradient by log sigma
template <class T>
double log_density_gradient(const double* deviation, double weight, double log_sigma,
                            Heads<const T> heads, const T* h, int nodes, int size, int width,
                            T* d_h, Heads<T> d_heads) {
  T d_kept = 0;
  if (size > nodes)
    d_kept =
        static_cast<T>(weight * log_density_d_mu(deviation[nodes], log_sigma) * kHeadGain / nodes);
  for (int n = 0; n < nodes; ++n) {
    // c() is symmetric and idempotent, so centring the deviation once is all of its gradient.
    const T d_residual =
        static_cast<T>(weight * log_density_d_mu(deviation[n], log_sigma) * kHeadGain);
    for (int k = 0; k < width; ++k) {
      d_h[n * width + k] = d_residual * heads.node[k] + d_kept * heads.reserve[k];
      d_heads.node[k] += d_residual * h[n * width + k];
      d_heads.reserve[k] += d_kept * h[n * width + k];
    }
  }
  return weight *
         log_density_d_log_sigma(deviation, size, decision_dimensions(nodes, size), log_sigma);
}

/// Gradient by theta of -(1 / (E T)) sum advantage * log density - entropy bonus. [P]
/// Summed over fixed chunks of environment-slots, in order: the same bits for any thread count.
std::vector<float> reinforce_gradient(const LearnedNet& net, const Rollout& r,
                                      const std::vector<double>& advantage, double entropy_weight);

}  // namespace cra::agents
