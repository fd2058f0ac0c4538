// agents/learned.h (internal): the learned policy's forward pass, shared by evaluation and
// training.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/agents.h"

namespace cra::agents {

/// Residual of the network on the logits: mu_n = log(base weight_n) + kHeadGain * head . h_n.
inline constexpr double kHeadGain = 3;
/// Normalised features are cut to [-5, 8]: queues are heavy-tailed upwards.
inline constexpr double kFeatureLow = -5, kFeatureHigh = 8;

/// Log-odds of the reserve before anything is learned, when the base heuristic keeps nothing back.
inline constexpr double kReserveStart = -4;

/// Where the parts of theta lie: encoder [0, encoder) | head [d] | reserve head [d] | log_sigma
/// [1]. Pools without a reserve leave the reserve head at 0.
struct ThetaLayout {
  std::int64_t encoder = 0;  ///< parameters of the encoder
  int width = 0;             ///< d
  explicit ThetaLayout(const attention::Shape& s)
      : encoder(attention::parameter_count(s)), width(s.width) {}
  std::int64_t head() const { return encoder; }
  std::int64_t reserve_head() const { return encoder + width; }
  std::int64_t log_sigma() const { return encoder + 2 * std::int64_t{width}; }
  std::int64_t size() const { return log_sigma() + 1; }
};

/// Scratch of one tile of environments.
struct LearnedScratch {
  std::unique_ptr<attention::Cache> cache;
  std::unique_ptr<Actor> heuristic;
  std::vector<float> features;   ///< [E * N, F] normalised, as the encoder saw them
  std::vector<float> embedding;  ///< [E * N, d]
  std::vector<double> base;      ///< [E, A] decisions of the base heuristic
  std::vector<double> logits;    ///< [E, A] mean logits mu
};

/// A network ready to run in one pool. Constant but for `network().theta`, which a trainer moves.
class LearnedNet {
 public:
  /// \param p  outlives this  \throws InputError when features or sizes do not fit
  LearnedNet(Network n, const sim::Params& p, const EngineFactory& engine);

  LearnedScratch make_scratch(std::int64_t envs) const;
  /// observe -> normalise -> encode -> mean logits, for every environment of the batch.
  void mean_logits(const sim::Batch& b, LearnedScratch& s) const;

  const Network& network() const { return network_; }
  Network& network() { return network_; }
  const attention::Engine& engine() const { return *engine_; }
  const ThetaLayout& theta_layout() const { return theta_layout_; }
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

/// Decisions of logits: weights exp(z - max z), and the reserve share 1 / (1 + exp(-z_N)).
/// \param nodes  N; logits and decisions have N columns, or N + 1 with a reserve
/// \param logits, decisions  [E, A]; may be the same array
void decisions_of_logits(View<const double> logits, int nodes, View<double> decisions);

/// First index of `x` that is not finite, or -1.
template <class T>
std::int64_t first_non_finite(std::span<const T> x);

}  // namespace cra::agents
