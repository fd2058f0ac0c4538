// agents/distribution.h (internal): the distribution over decisions around what base and network
// say, and its gradients. All in double: densities underflow in float long before policies stop
// being useful.
//
// logistic_normal  z = log weights + residual + sigma c(xi), see simplex.h; the decision is
//                  softmax(z). What is remembered of a decision is the deviation sigma c(xi).
// dirichlet        p ~ Dirichlet(alpha), alpha = least + kappa m, where m is the simplex of the
//                  mean logits; with a reserve its share is one component more. What is remembered
//                  is log p: p itself underflows.
#pragma once

#include <cstdint>

#include "agents/agents.h"
#include "sim/rng.h"

namespace cra::agents {

/// What base and network say in one environment and slot.
struct Proposal {
  const double* base;      ///< [A] weights of the base, on their floor, then the share of a reserve
  const double* residual;  ///< [A] what the network adds to their logits
};

/// A log density and an entropy, and their derivatives by the learned log spread; those by the
/// residual go to arrays.
struct Density {
  double log_density = 0, log_density_d_spread = 0;
  double entropy = 0, entropy_d_spread = 0;
};

/// Which slot of which environment draws.
struct Drawing {
  std::uint64_t seed;
  std::int64_t episode;
  int slot;
};

/// Bounds of the learned log spread: of log sigma, or of log kappa.
struct SpreadRange {
  double low, high;
};

class Distribution {
 public:
  /// \param log_spread  log sigma, or log kappa
  /// \param nodes, size  N, and A = N or N + 1 with a reserve
  Distribution(const PolicyKind& kind, double log_spread, int nodes, int size);

  /// The decision of an evaluation: softmax of the mean logits, or alpha / sum alpha.
  /// \param decision [A] written; may be one of the proposal's arrays
  void mean(const Proposal& p, double* decision) const;
  /// Reverse of mean(). \param d_decision [A] gradient of a loss by the decision, of which only
  /// ratios of weights matter \param d_residual [A] written \returns the gradient by log spread
  double mean_backward(const Proposal& p, const double* d_decision, double* d_residual) const;

  /// Draws a decision. \param action [A] what to remember of it \param decision [A] written
  /// \returns its log density
  double sample(const Proposal& p, const Drawing& when, double* action, double* decision) const;
  /// Of an action under a proposal that may have moved since. Where nothing moved, the log density
  /// has the bits that sample() returned.
  /// \param drawn  [A] residual under which the action was drawn
  /// \param d_log_density, d_entropy  [A] gradients by the residual, written
  Density density(const Proposal& p, const double* action, const double* drawn,
                  double* d_log_density, double* d_entropy) const;

 private:
  const PolicyKind& kind_;
  double log_spread_;
  int nodes_, size_;
};

/// Where training starts, and within which bounds it stays.
double initial_log_spread(const PolicyKind& kind, int nodes);
SpreadRange spread_range(const PolicyKind& kind);
/// Exploration noise on logits: sigma, or for shares of a Dirichlet distribution about 1 /
/// sqrt(kappa).
double noise_of(const PolicyKind& kind, double log_spread);
/// What the last tensor of theta is called.
const char* spread_name(const PolicyKind& kind);

}  // namespace cra::agents
