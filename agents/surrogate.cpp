#include "agents/surrogate.h"

#include <algorithm>
#include <cmath>

namespace cra::agents {
namespace {

constexpr std::int64_t kChunk = 64;  // environment-slots whose gradient the CPU sums together

/// -min(ratio A, clip(ratio) A), and its derivative by log ratio.
struct Clipped {
  double loss, d_log_ratio;
};
Clipped clipped(double ratio, double advantage, double clip) {
  const bool beyond = (advantage > 0 && ratio > 1 + clip) || (advantage < 0 && ratio < 1 - clip);
  if (beyond) return {-advantage * (advantage > 0 ? 1 + clip : 1 - clip), 0};
  return {-ratio * advantage, -ratio * advantage};
}

/// Sums of one chunk.
struct Part {
  double entropy = 0, divergence = 0;
  double least_ratio = 1, most_ratio = 1;
};

}  // namespace

template <class T>
StepLoss step_loss(const Surrogate& s, const Distribution& around, const Step& step, double weight,
                   const Heads<const T>& heads, const T* h, const DecisionShape& shape, int width,
                   T* d_h, const Heads<T>& d_heads) {
  const int nodes = shape.nodes;
  std::vector<double> residual(static_cast<std::size_t>(shape.logits())), d_log_density(residual),
      d_entropy(residual);
  head_residual(heads, h, shape, width, residual.data());
  const Density now = around.density({step.drawn.base, residual.data()}, step.action,
                                     step.drawn.residual, d_log_density.data(), d_entropy.data());
  const double log_ratio = now.log_density - step.log_density;
  const double ratio = std::exp(log_ratio);
  const Clipped c = clipped(ratio, step.advantage, s.ratio_clip);

  StepLoss out;
  out.loss = weight * (c.loss - s.entropy * now.entropy);
  out.d_spread =
      weight * (c.d_log_ratio * now.log_density_d_spread - s.entropy * now.entropy_d_spread);
  out.entropy = now.entropy;
  out.ratio = ratio;
  out.divergence = ratio - 1 - log_ratio;
  for (std::size_t i = 0; i < residual.size(); ++i)
    residual[i] = weight * (c.d_log_ratio * d_log_density[i] - s.entropy * d_entropy[i]);
  head_residual_backward(heads, h, residual.data(), shape, width, d_h, d_heads);

  if (s.value_weight > 0) {
    const double off = critic_value(heads.value, h, nodes, width) - step.value_target;
    out.loss += weight * s.value_weight * off * off / 2;
    const auto d_value = static_cast<T>(weight * s.value_weight * off);
    d_heads.value[width] += d_value;
    for (int n = 0; n < nodes; ++n)
      for (int k = 0; k < width; ++k) {
        d_h[n * width + k] += d_value * heads.value[k] / static_cast<T>(nodes);
        d_heads.value[k] += d_value * h[n * width + k] / static_cast<T>(nodes);
      }
  }
  return out;
}
template StepLoss step_loss(const Surrogate&, const Distribution&, const Step&, double,
                            const Heads<const float>&, const float*, const DecisionShape&, int,
                            float*, const Heads<float>&);
template StepLoss step_loss(const Surrogate&, const Distribution&, const Step&, double,
                            const Heads<const double>&, const double*, const DecisionShape&, int,
                            double*, const Heads<double>&);

SurrogateGradient surrogate_gradient(const LearnedNet& net, const float* value_head,
                                     const Surrogate& s, const Rollout& r, const Worth& worth,
                                     std::span<const std::int64_t> steps) {
  const ThetaLayout& layout = net.theta_layout();
  const auto theta_size = static_cast<std::size_t>(layout.size());
  const std::size_t size =
      theta_size + (value_head != nullptr ? static_cast<std::size_t>(layout.width) + 1 : 0);
  const auto total = static_cast<std::int64_t>(steps.size());
  const std::int64_t together = std::max(kChunk, net.engine().wanted_batch());
  const std::int64_t chunks = tiles_of(total, together);
  const double per_step = 1 / static_cast<double>(total);
  const int nodes = r.shape.nodes;
  const std::ptrdiff_t row_features = std::ptrdiff_t{nodes} * r.feature_count;
  const Distribution around = net.distribution();
  Heads<const float> heads = net.heads();
  heads.value = value_head;
  std::vector<float> partial(size * static_cast<std::size_t>(chunks), 0.0f);
  std::vector<Part> parts(static_cast<std::size_t>(chunks));

  for_each_tile(chunks, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * together, count = std::min(together, total - first),
                       rows = count * nodes;
    std::vector<float> x(static_cast<std::size_t>(rows * r.feature_count));
    for (std::int64_t i = 0; i < count; ++i)
      std::copy_n(r.features.begin() + steps[static_cast<std::size_t>(first + i)] * row_features,
                  row_features, x.begin() + i * row_features);
    std::vector<float> h(static_cast<std::size_t>(rows * layout.width)), d_h(h.size());
    const std::unique_ptr<attention::Cache> cache = net.engine().make_cache(count, nodes);
    net.engine().forward(net.encoder_parameters(), {x.data(), rows, r.feature_count}, nodes, *cache,
                         {h.data(), rows, layout.width});

    float* d_theta = partial.data() + size * static_cast<std::size_t>(chunk);
    Part& part = parts[static_cast<std::size_t>(chunk)];
    double d_spread = 0;
    Heads<float> d_heads = layout.heads(d_theta);
    if (value_head != nullptr) d_heads.value = d_theta + layout.size();
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(steps[static_cast<std::size_t>(first + i)]);
      const Step step{proposal_of(r.base, r.residual, r.shape, static_cast<std::int64_t>(at)),
                      r.action.data() + at * static_cast<std::size_t>(r.shape.logits()),
                      r.log_density[at], worth.advantage[at],
                      worth.target.empty() ? 0 : worth.target[at]};
      const std::int64_t row = i * nodes * layout.width;
      const StepLoss loss = step_loss(s, around, step, per_step, heads, h.data() + row, r.shape,
                                      layout.width, d_h.data() + row, d_heads);
      d_spread += loss.d_spread;
      part.entropy += loss.entropy;
      part.divergence += loss.divergence;
      part.least_ratio = std::min(part.least_ratio, loss.ratio);
      part.most_ratio = std::max(part.most_ratio, loss.ratio);
    }
    d_theta[layout.log_spread()] = static_cast<float>(d_spread);
    net.engine().backward(net.encoder_parameters(), {d_h.data(), rows, layout.width}, *cache,
                          {d_theta, static_cast<std::size_t>(layout.encoder)}, {});
  });

  SurrogateGradient out;
  out.least_ratio = out.most_ratio = 1;
  std::vector<double> sum(size, 0);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (std::size_t i = 0; i < size; ++i)
      sum[i] += static_cast<double>(partial[size * static_cast<std::size_t>(chunk) + i]);
    const Part& part = parts[static_cast<std::size_t>(chunk)];
    out.entropy += part.entropy * per_step;
    out.divergence += part.divergence * per_step;
    out.least_ratio = std::min(out.least_ratio, part.least_ratio);
    out.most_ratio = std::max(out.most_ratio, part.most_ratio);
  }
  out.gradient.assign(sum.begin(), sum.end());
  return out;
}

}  // namespace cra::agents
