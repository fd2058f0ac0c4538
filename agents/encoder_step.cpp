#include "agents/encoder_step.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "agents/adam.h"
#include "sim/base.h"

namespace cra::agents {
namespace {

constexpr std::int64_t kTile = 8;  // environments that run together, as in pathwise.cpp
constexpr double kRate = 1e-3, kEpsilon = 1e-8;

/// Numbers without an order to speak of, in [-1, 1].
double scattered(std::int64_t i) {
  const auto k = static_cast<double>(i);
  return std::sin(0.1 * k * k);
}

/// Weights of variance 1 / inputs, gains about 1, biases about 0; the head comes last.
std::vector<float> formula_parameters(const attention::Shape& shape) {
  std::vector<attention::Tensor> tensors = attention::layout(shape);
  tensors.push_back({"head.weight", attention::parameter_count(shape), 1, shape.width});
  std::vector<float> theta;
  for (const attention::Tensor& t : tensors) {
    const bool weight = t.name.ends_with(".weight");
    const double scale = weight ? std::sqrt(2.0 / t.cols) : 0.1;
    const double middle = t.name.ends_with(".gain") ? 1 : 0;
    for (std::int64_t k = 0; k < std::int64_t{t.rows} * t.cols; ++k)
      theta.push_back(static_cast<float>(middle + scale * scattered(t.offset + k)));
  }
  return theta;
}

}  // namespace

EncoderStep::EncoderStep(const attention::Shape& shape, std::int64_t envs, int nodes)
    : engine_(attention::make_cpu_engine(shape)),
      envs_(envs),
      nodes_(nodes),
      encoder_(static_cast<std::size_t>(attention::parameter_count(shape))),
      theta_(formula_parameters(shape)),
      mean_(theta_.size(), 0),
      square_(theta_.size(), 0),
      gradient_(theta_.size(), 0) {
  for (std::int64_t r = 0; r < envs * nodes; ++r) {
    for (int f = 0; f < shape.features; ++f)
      features_.push_back(static_cast<float>(std::sin(0.7 * static_cast<double>(r) + 1.3 * f)));
    targets_.push_back(std::cos(0.9 * static_cast<double>(r)));
  }
  scores_.resize(targets_.size());
  tiles_.resize(static_cast<std::size_t>(tiles_of(envs, kTile)));
  for (Tile& tile : tiles_) {
    tile.cache = engine_->make_cache(std::min(kTile, envs), nodes);
    tile.h.resize(static_cast<std::size_t>(kTile * nodes * shape.width));
    tile.d_h.resize(tile.h.size());
    tile.gradient.resize(theta_.size());
  }
}

void EncoderStep::run(std::int64_t first, Tile& tile) {
  const std::int64_t width = engine_->shape().width, features = engine_->shape().features;
  const std::int64_t start = first * nodes_, rows = std::min(kTile, envs_ - first) * nodes_;
  const std::span<const float> parameters = std::span<const float>(theta_).first(encoder_);
  engine_->forward(parameters, {features_.data() + start * features, rows, features}, nodes_,
                   *tile.cache, {tile.h.data(), rows, width});
  std::fill(tile.gradient.begin(), tile.gradient.end(), 0.f);
  tile.loss = 0;
  const float* head = theta_.data() + encoder_;
  float* d_head = tile.gradient.data() + encoder_;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* h = tile.h.data() + r * width;
    double score = 0;
    for (std::int64_t k = 0; k < width; ++k)
      score += static_cast<double>(head[k]) * static_cast<double>(h[k]);
    const auto at = static_cast<std::size_t>(start + r);
    const double off = score - targets_[at];
    scores_[at] = score;
    tile.loss += off * off / 2;
    const auto d_score = static_cast<float>(off / static_cast<double>(envs_ * nodes_));
    for (std::int64_t k = 0; k < width; ++k) {
      tile.d_h[static_cast<std::size_t>(r * width + k)] = d_score * head[k];
      d_head[k] += d_score * h[k];
    }
  }
  engine_->backward(parameters, {tile.d_h.data(), rows, width}, *tile.cache,
                    std::span<float>(tile.gradient).first(encoder_), {});
}

double EncoderStep::gradient() {
  for_each_tile(static_cast<std::int64_t>(tiles_.size()),
                [&](std::int64_t i) { run(i * kTile, tiles_[static_cast<std::size_t>(i)]); });
  double loss = 0;
  std::fill(gradient_.begin(), gradient_.end(), 0.f);
  for (const Tile& tile : tiles_) {
    loss += tile.loss / static_cast<double>(envs_ * nodes_);
    for (std::size_t i = 0; i < gradient_.size(); ++i) gradient_[i] += tile.gradient[i];
  }
  return loss;
}

double EncoderStep::step() {
  const double loss = gradient();
  adam_step(theta_, gradient_, mean_, square_, ++steps_, kRate, kEpsilon);
  return loss;
}

double EncoderStep::gradient_norm() const { return norm_of(gradient_); }

}  // namespace cra::agents
