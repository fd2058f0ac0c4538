// agents/learned.h (internal): the learned policy's forward pass, shared by evaluation and
// training.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "agents/distribution.h"

namespace cra::agents {

/// Heads of the policy and of a critic, or their gradients. \tparam T float, or double in tests
template <class T>
struct Heads {
  T* node;             ///< [d]
  T* reserve;          ///< [d]
  T* resource;         ///< [K, d]
  T* value = nullptr;  ///< [d + 1] weights and bias; nullptr without a critic
};

/// Where the parts of theta lie: encoder [0, encoder) | head [d] | reserve head [d] | resource
/// heads [K, d] | log spread [1]. Pools without a reserve leave the reserve head at 0.
struct ThetaLayout {
  std::int64_t encoder = 0;  ///< parameters of the encoder
  int width = 0;             ///< d
  int resources = 0;         ///< K, or 0 without resource heads
  ThetaLayout(const attention::Shape& s, int resource_heads)
      : encoder(attention::parameter_count(s)), width(s.width), resources(resource_heads) {}
  std::int64_t head() const { return encoder; }
  std::int64_t reserve_head() const { return head() + width; }
  std::int64_t resource_head() const { return reserve_head() + width; }
  std::int64_t log_spread() const { return resource_head() + std::int64_t{resources} * width; }
  std::int64_t size() const { return log_spread() + 1; }
  /// Those of a theta, or of its gradient.
  template <class T>
  Heads<T> heads(T* theta) const {
    return {theta + head(), theta + reserve_head(), theta + resource_head()};
  }
};

/// Residuals of one environment: kHeadGain head . h_n, with resource heads that and their own for
/// every resource, and for a reserve that of the mean embedding.
/// \param h  [N, d] \param residual  [logits] written
template <class T>
void head_residual(const Heads<const T>& heads, const T* h, const DecisionShape& shape, int width,
                   double* residual) {
  const auto product = [width](const T* a, const T* b) {
    double sum = 0;
    for (int i = 0; i < width; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  double kept = 0;
  for (int n = 0; n < shape.nodes; ++n) {
    const T* of_node = h + n * width;
    const double common = kHeadGain * product(heads.node, of_node);
    residual[n] = common;
    for (int k = 0; k < shape.resources; ++k)
      residual[k * shape.nodes + n] =
          common + kHeadGain * product(heads.resource + k * width, of_node);
    if (shape.reserve) kept += product(heads.reserve, of_node) / shape.nodes;
  }
  if (shape.reserve) residual[shape.logits() - 1] = kHeadGain * kept;
}
/// Reverse of head_residual(). \param d_h  [N, d] written \param d_heads  added to
template <class T>
void head_residual_backward(const Heads<const T>& heads, const T* h, const double* d_residual,
                            const DecisionShape& shape, int width, T* d_h,
                            const Heads<T>& d_heads) {
  const int nodes = shape.nodes;
  const T d_kept =
      shape.reserve ? static_cast<T>(d_residual[shape.logits() - 1] * kHeadGain / nodes) : T(0);
  for (int n = 0; n < nodes; ++n) {
    const T* of_node = h + n * width;
    T* d_node = d_h + n * width;
    const T d = static_cast<T>(sum_of_blocks(d_residual, shape, n) * kHeadGain);
    for (int i = 0; i < width; ++i) {
      d_node[i] = d * heads.node[i] + d_kept * heads.reserve[i];
      d_heads.node[i] += d * of_node[i];
      d_heads.reserve[i] += d_kept * of_node[i];
    }
    for (int k = 0; k < shape.resources; ++k) {
      const T d_own = static_cast<T>(d_residual[k * nodes + n] * kHeadGain);
      for (int i = 0; i < width; ++i) {
        d_node[i] += d_own * heads.resource[k * width + i];
        d_heads.resource[k * width + i] += d_own * of_node[i];
      }
    }
  }
}

/// Scratch of one tile of environments.
struct LearnedScratch {
  std::unique_ptr<attention::Cache> cache;
  std::unique_ptr<Actor> heuristic;
  std::vector<float> features;   ///< [E * N, F] normalised, as the encoder saw them
  std::vector<float> embedding;  ///< [E * N, d]
  std::vector<double> base;      ///< [E, bundle] of the base heuristic
  std::vector<double> residual;  ///< [E, logits] what the network adds to the logits of the base
  StageClock clock;              ///< of what is done with it
};

/// A network ready to run in one pool. Constant but for `network().theta`, which a trainer moves.
class LearnedNet {
 public:
  /// \param p  outlives this  \throws InputError when features or sizes do not fit
  LearnedNet(Network n, const sim::Params& p, const EngineFactory& engine);

  LearnedScratch make_scratch(std::int64_t envs) const;
  /// observe -> normalise -> encode -> residual beside the base, for every environment of the
  /// batch.
  void respond(const sim::Batch& b, LearnedScratch& s) const;

  /// The same residual on the same heuristic with other knobs.
  void rebase(Rule base);

  const Network& network() const { return network_; }
  Network& network() { return network_; }
  const attention::Engine& engine() const { return *engine_; }
  const ThetaLayout& theta_layout() const { return theta_layout_; }
  const DecisionShape& decision_shape() const { return decision_shape_; }
  Heads<const float> heads() const { return theta_layout_.heads(network_.theta.data()); }
  /// Of decisions, with theta's spread. Valid as long as this.
  Distribution distribution() const;
  std::span<const float> encoder_parameters() const {
    return {network_.theta.data(), static_cast<std::size_t>(theta_layout_.encoder)};
  }

 private:
  Network network_;
  const sim::Params& params_;
  ThetaLayout theta_layout_;
  DecisionShape decision_shape_;
  std::unique_ptr<attention::Engine> engine_;
  std::unique_ptr<Policy> base_;
};

/// The deterministic policy of a net that somebody else owns, and may move between two runs of it.
/// \param net  outlives the policy
std::unique_ptr<Policy> policy_of(const LearnedNet& net);

/// Sum of the attention weights of every slot in which the policy of a network decides, over the
/// episodes of x: for attention::freeze. Summed over fixed groups of episodes, in order: the same
/// bits for any thread count. [attention::weight_count]
std::vector<double> sum_attention(const LearnedNet& net, const sim::Params& p,
                                  const sim::Exogenous& x);

/// Raises weights to a share of the largest of their environment, at least kLeastFloor. Where all
/// are 0, as some rules say of empty queues, the pool shares equally: they become 1, so that there
/// is something to learn on. \param base  [E, bundle]
void raise_to_floor(double floor, int nodes, View<double> base);

/// First index of `x` that is not finite, or -1.
template <class T>
std::int64_t first_non_finite(std::span<const T> x);

}  // namespace cra::agents
