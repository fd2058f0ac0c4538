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

/// Where the parts of theta lie: encoder [0, encoder) | head [d] | reserve head [d] | log spread
/// [1]. Pools without a reserve leave the reserve head at 0.
struct ThetaLayout {
  std::int64_t encoder = 0;  ///< parameters of the encoder
  int width = 0;             ///< d
  explicit ThetaLayout(const attention::Shape& s)
      : encoder(attention::parameter_count(s)), width(s.width) {}
  std::int64_t head() const { return encoder; }
  std::int64_t reserve_head() const { return encoder + width; }
  std::int64_t log_spread() const { return encoder + 2 * std::int64_t{width}; }
  std::int64_t size() const { return log_spread() + 1; }
};

/// Heads of the policy and of a critic, or their gradients. \tparam T float, or double in tests
template <class T>
struct Heads {
  T* node;             ///< [d]
  T* reserve;          ///< [d]
  T* value = nullptr;  ///< [d + 1] weights and bias; nullptr without a critic
};

/// Residuals of one environment: kHeadGain head . h_n, and for a reserve that of the mean
/// embedding. \param h  [N, d] \param residual  [A] written
template <class T>
void head_residual(const Heads<const T>& heads, const T* h, int nodes, int size, int width,
                   double* residual) {
  const auto product = [width](const T* a, const T* b) {
    double sum = 0;
    for (int k = 0; k < width; ++k) sum += static_cast<double>(a[k]) * static_cast<double>(b[k]);
    return sum;
  };
  double kept = 0;
  for (int n = 0; n < nodes; ++n) {
    residual[n] = kHeadGain * product(heads.node, h + n * width);
    if (size > nodes) kept += product(heads.reserve, h + n * width) / nodes;
  }
  if (size > nodes) residual[nodes] = kHeadGain * kept;
}
/// Reverse of head_residual(). \param d_h  [N, d] written \param d_heads  added to
template <class T>
void head_residual_backward(const Heads<const T>& heads, const T* h, const double* d_residual,
                            int nodes, int size, int width, T* d_h, const Heads<T>& d_heads) {
  const T d_kept = size > nodes ? static_cast<T>(d_residual[nodes] * kHeadGain / nodes) : T(0);
  for (int n = 0; n < nodes; ++n) {
    const T d = static_cast<T>(d_residual[n] * kHeadGain);
    for (int k = 0; k < width; ++k) {
      d_h[n * width + k] = d * heads.node[k] + d_kept * heads.reserve[k];
      d_heads.node[k] += d * h[n * width + k];
      d_heads.reserve[k] += d_kept * h[n * width + k];
    }
  }
}

/// Scratch of one tile of environments.
struct LearnedScratch {
  std::unique_ptr<attention::Cache> cache;
  std::unique_ptr<Actor> heuristic;
  std::vector<float> features;   ///< [E * N, F] normalised, as the encoder saw them
  std::vector<float> embedding;  ///< [E * N, d]
  std::vector<double> base;      ///< [E, A] decisions of the base heuristic
  std::vector<double> residual;  ///< [E, A] what the network adds to the logits of the base
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
  Heads<const float> heads() const {
    const float* theta = network_.theta.data();
    return {theta + theta_layout_.head(), theta + theta_layout_.reserve_head()};
  }
  /// Of decisions, with theta's spread. Valid as long as this.
  Distribution distribution() const;
  std::span<const float> encoder_parameters() const {
    return {network_.theta.data(), static_cast<std::size_t>(theta_layout_.encoder)};
  }

 private:
  Network network_;
  const sim::Params& params_;
  ThetaLayout theta_layout_;
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
/// is something to learn on. \param base  [E, A]
void raise_to_floor(double floor, int nodes, View<double> base);

/// Decisions of a base and a residual on its logits: weights base_n exp(r_n - max r), and the
/// reserve share whose log-odds are those of the base's plus r_N. \param nodes  N; all three have N
/// columns, or N + 1 with a reserve \param base, residual, decisions  [E, A]; decisions may be one
/// of the others
void decide_row(const double* base, const double* residual, int nodes, int size, double* decision);
void decide(View<const double> base, View<const double> residual, int nodes,
            View<double> decisions);

/// First index of `x` that is not finite, or -1.
template <class T>
std::int64_t first_non_finite(std::span<const T> x);

}  // namespace cra::agents
