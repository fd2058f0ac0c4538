// agents/encoder_step.h: the encoder's part of learning alone, to be timed. Part of
// agents/agents.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "attention/attention.h"

namespace cra::agents {

/// Least squares: scores head . h of the nodes towards fixed targets, loss = mean of (score -
/// target)^2 / 2. Parameters, features and targets are closed formulas, so that a program in
/// another language can do the same (tools/bench_train.py does).
class EncoderStep {
 public:
  /// \param envs  of a step, of `nodes` nodes each
  EncoderStep(const attention::Shape& shape, std::int64_t envs, int nodes);

  /// Encoder, loss and its gradient, by tiles of environments in parallel, as training runs them.
  /// \returns  the loss
  double gradient();
  /// The same, and a step of Adam. \returns the loss before it
  double step();

  /// Of the last gradient(). [E * N]
  const std::vector<double>& scores() const { return scores_; }
  double gradient_norm() const;

 private:
  struct Tile {
    std::unique_ptr<attention::Cache> cache;
    std::vector<float> h, d_h, gradient;
    double loss = 0;
  };
  void run(std::int64_t first, Tile& tile);

  std::unique_ptr<attention::Engine> engine_;
  std::int64_t envs_;
  int nodes_;
  std::size_t encoder_;                          ///< parameters of the encoder; the head's d follow
  std::vector<float> theta_;                     ///< [encoder_ + d]
  std::vector<float> mean_, square_, gradient_;  ///< as theta_
  std::vector<float> features_;                  ///< [E * N, F]
  std::vector<double> targets_, scores_;         ///< [E * N]
  std::vector<Tile> tiles_;
  std::int64_t steps_ = 0;
};

}  // namespace cra::agents
