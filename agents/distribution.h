// agents/distribution.h (internal): the distribution over decisions around what base and network
// say, and its gradients. All in double: densities underflow in float long before policies stop
// being useful.
//
// logistic_normal  z = log weights + residual + sigma c(xi), see simplex.h; the decision is
//                  softmax(z), see decide(). What is remembered of a decision is the deviation
//                  sigma c(xi), of every block by itself.
// dirichlet        p ~ Dirichlet(alpha), alpha = least + kappa m, where m is the simplex of the
//                  mean logits; with a reserve its share is one component more. What is remembered
//                  is log p: p itself underflows.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/agents.h"
#include "agents/decision_shape.h"
#include "sim/rng.h"

namespace cra::agents {

/// What base and network say in one environment and slot.
struct Proposal {
  const double* base;      ///< [bundle] weights of the base, on their floor, then a reserve's share
  const double* residual;  ///< [logits] what the network adds to their logits
};

/// The proposal in row `i` of arrays of them.
inline Proposal proposal_of(const std::vector<double>& base, const std::vector<double>& residual,
                            const DecisionShape& shape, std::int64_t i) {
  return {base.data() + i * shape.bundle(), residual.data() + i * shape.logits()};
}

/// Of base and residual, without noise: weights base_n exp(r_n), r the logits of the only block, or
/// the mean over blocks; of block k the tilt is exp(r_kn - r_n). Both are scaled so that no exp is
/// above 1. The share of a reserve has the log-odds of the base's plus the last residual. Where no
/// resource has more than another, p_kn is that of the bundle; elsewhere, while no node is at its
/// capacity, it is in proportion to need_nk base_n exp(r_kn).
/// \param decision [size]; without resource heads it may be one of the proposal's arrays
void decide(const Proposal& p, const DecisionShape& shape, double* decision);

/// sum_k x_kn. \param x  [logits]
inline double sum_of_blocks(const double* x, const DecisionShape& shape, int n) {
  double sum = x[n];
  for (int k = 1; k < shape.resources; ++k) sum += x[k * shape.nodes + n];
  return sum;
}

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
  /// \param shape  of one block for a dirichlet kind
  Distribution(const PolicyKind& kind, double log_spread, const DecisionShape& shape);

  /// The decision of an evaluation: softmax of the mean logits, or alpha / sum alpha.
  /// \param decision [size] written; as for decide()
  void mean(const Proposal& p, double* decision) const;
  /// Reverse of mean(). \param d_decision [size] gradient of a loss by the decision, of which only
  /// ratios of weights, and of the tilts of a resource, matter \param d_residual [logits] written
  /// \returns the gradient by log spread
  double mean_backward(const Proposal& p, const double* d_decision, double* d_residual) const;

  /// Draws a decision. \param action [logits] what to remember of it
  /// \param decision [size] written
  /// \returns its log density
  double sample(const Proposal& p, const Drawing& when, double* action, double* decision) const;
  /// Of an action under a proposal that may have moved since. Where nothing moved, the log density
  /// has the bits that sample() returned.
  /// \param drawn  [logits] residual under which the action was drawn
  /// \param d_log_density, d_entropy  [logits] gradients by the residual, written
  Density density(const Proposal& p, const double* action, const double* drawn,
                  double* d_log_density, double* d_entropy) const;

 private:
  const PolicyKind& kind_;
  double log_spread_;
  DecisionShape shape_;
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
