// agents/adam.h (internal): Adam (Kingma, Ba, ICLR 2015) with gradient clipping.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace cra::agents {

/// Euclidean norm, in double and in order.
inline double norm_of(const std::vector<float>& x) {
  double square = 0;
  for (const float v : x) square += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(square);
}

/// Scales the gradient down to `limit` when its norm is larger.
inline void clip_to(std::vector<float>& gradient, double norm, double limit) {
  if (norm <= limit) return;
  const auto scale = static_cast<float>(limit / norm);
  for (float& g : gradient) g *= scale;
}

/// One step. \param step number of this step, from 1; moments start at 0
/// \param epsilon  floor of the deviation: large for noisy gradients (1e-5), small for exact ones
/// (1e-8),
///                 whose entries for early layers are themselves of the order of 1e-5
inline void adam_step(std::vector<float>& theta, const std::vector<float>& gradient,
                      std::vector<float>& mean, std::vector<float>& square, std::int64_t step,
                      double learning_rate, double epsilon) {
  constexpr double kMeanDecay = 0.9, kSquareDecay = 0.999;
  const double mean_bias = 1 - std::pow(kMeanDecay, static_cast<double>(step));
  const double square_bias = 1 - std::pow(kSquareDecay, static_cast<double>(step));
  for (std::size_t i = 0; i < theta.size(); ++i) {
    const auto g = static_cast<double>(gradient[i]);
    mean[i] = static_cast<float>(kMeanDecay * static_cast<double>(mean[i]) + (1 - kMeanDecay) * g);
    square[i] = static_cast<float>(kSquareDecay * static_cast<double>(square[i]) +
                                   (1 - kSquareDecay) * g * g);
    const double m = static_cast<double>(mean[i]) / mean_bias,
                 v = static_cast<double>(square[i]) / square_bias;
    theta[i] -= static_cast<float>(learning_rate * m / (std::sqrt(v) + epsilon));
  }
}

}  // namespace cra::agents
