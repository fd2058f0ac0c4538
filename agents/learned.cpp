#include "agents/learned.h"

#include <algorithm>
#include <cmath>

namespace cra::agents {
namespace {

class LearnedActor : public Actor {
 public:
  LearnedActor(const LearnedNet& net, std::int64_t envs)
      : net_(net), scratch_(net.make_scratch(envs)) {}

  void act(const sim::Batch& b, View<double> weights) override {
    net_.mean_logits(b, scratch_);
    weights_of_logits({scratch_.logits.data(), b.envs, b.nodes}, weights);
  }

 private:
  const LearnedNet& net_;
  LearnedScratch scratch_;
};

class LearnedPolicy : public Policy {
 public:
  LearnedPolicy(Network n, const sim::Params& p, const EngineFactory& engine)
      : net_(std::move(n), p, engine) {}
  std::unique_ptr<Actor> actor(std::int64_t envs) const override {
    return std::make_unique<LearnedActor>(net_, envs);
  }

 private:
  LearnedNet net_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void check_fit(const Network& n, const sim::Params& p) {
  const std::vector<std::string> expected = sim::feature_names(p);
  if (n.features != expected)
    throw InputError("the policy was trained on other features (" + joined(n.features) +
                     ") than this pool has (" + joined(expected) + ")");
  const ThetaLayout layout(n.shape);
  const auto is = [&](const char* what, std::size_t found, std::size_t want) {
    if (found != want)
      throw InputError(std::string("the policy's ") + what + " has " + std::to_string(found) +
                       " numbers, expected " + std::to_string(want));
  };
  is("theta", n.theta.size(), static_cast<std::size_t>(layout.size()));
  is("feature_mean", n.feature_mean.size(), n.features.size());
  is("feature_scale", n.feature_scale.size(), n.features.size());
}

}  // namespace

template <class T>
std::int64_t first_non_finite(std::span<const T> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i])) return static_cast<std::int64_t>(i);
  return -1;
}
template std::int64_t first_non_finite(std::span<const float>);
template std::int64_t first_non_finite(std::span<const double>);

std::vector<attention::Tensor> layout(const Network& n) {
  const ThetaLayout theta(n.shape);
  std::vector<attention::Tensor> all = attention::layout(n.shape);
  all.push_back({"head.weight", theta.head(), 1, theta.width});
  all.push_back({"log_sigma", theta.log_sigma(), 1, 1});
  return all;
}

LearnedNet::LearnedNet(Network n, const sim::Params& p, const EngineFactory& engine)
    : network_(std::move(n)), params_(p), theta_layout_(network_.shape) {
  check_fit(network_, p);
  engine_ = engine(network_.shape);
  base_ = make_baseline(network_.base, p);
}

LearnedScratch LearnedNet::make_scratch(std::int64_t envs) const {
  const auto nodes = static_cast<std::size_t>(envs) * static_cast<std::size_t>(params_.pool.nodes);
  LearnedScratch s;
  s.cache = engine_->make_cache(envs, params_.pool.nodes);
  s.base = base_->actor(envs);
  s.features.resize(nodes * network_.features.size());
  s.embedding.resize(nodes * static_cast<std::size_t>(network_.shape.width));
  s.base_weight.resize(nodes);
  s.logits.resize(nodes);
  return s;
}

void LearnedNet::mean_logits(const sim::Batch& b, LearnedScratch& s) const {
  const auto features = static_cast<std::int64_t>(network_.features.size());
  const std::int64_t rows = b.envs * b.nodes;
  sim::observe(params_, b, {s.features.data(), rows, features});
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t f = 0; f < features; ++f) {
      float& x = s.features[static_cast<std::size_t>(r * features + f)];
      const auto at = static_cast<std::size_t>(f);
      x = static_cast<float>(std::clamp(
          (static_cast<double>(x) - network_.feature_mean[at]) * network_.feature_scale[at],
          kFeatureLow, kFeatureHigh));
    }
  engine_->forward(encoder_parameters(), {s.features.data(), rows, features}, b.nodes, *s.cache,
                   {s.embedding.data(), rows, theta_layout_.width});
  s.base->act(b, {s.base_weight.data(), b.envs, b.nodes});
  const float* head = network_.theta.data() + theta_layout_.head();
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* h = s.embedding.data() + r * theta_layout_.width;
    double residual = 0;
    for (int k = 0; k < theta_layout_.width; ++k)
      residual += static_cast<double>(head[k]) * static_cast<double>(h[k]);
    const auto at = static_cast<std::size_t>(r);
    if (!std::isfinite(residual))
      throw DivergedError("the policy diverged: logits[" + std::to_string(r / b.nodes) + ", " +
                          std::to_string(r % b.nodes) + "] is not finite");
    s.logits[at] = std::log(std::max(s.base_weight[at], 1e-9)) + kHeadGain * residual;
  }
}

void weights_of_logits(View<const double> logits, View<double> weights) {
  for (std::int64_t e = 0; e < logits.rows; ++e) {
    const double* z = logits.row(e);
    const double top = *std::max_element(z, z + logits.cols);
    for (std::int64_t n = 0; n < logits.cols; ++n) weights.row(e)[n] = std::exp(z[n] - top);
  }
}

std::unique_ptr<Policy> make_learned(Network n, const sim::Params& p, const EngineFactory& engine) {
  return std::make_unique<LearnedPolicy>(std::move(n), p, engine);
}

}  // namespace cra::agents
