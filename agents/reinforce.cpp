#include "agents/reinforce.h"

#include <algorithm>
#include <cmath>

namespace cra::agents {
namespace {

constexpr std::int64_t kChunk = 64;  // environment-slots whose gradient is summed together

}  // namespace

Rollout::Rollout(std::int64_t envs_, int replicas_, int slots_, int nodes_, int size_,
                 int feature_count_)
    : envs(envs_),
      replicas(replicas_),
      slots(slots_),
      nodes(nodes_),
      size(size_),
      feature_count(feature_count_) {
  const auto steps = static_cast<std::size_t>(envs * slots);
  features.resize(steps * static_cast<std::size_t>(nodes) *
                  static_cast<std::size_t>(feature_count));
  deviation.resize(steps * static_cast<std::size_t>(size));
  cost.resize(steps);
  score.resize(steps);
}

std::vector<double> group_advantages(const Rollout& r, double discount) {
  std::vector<double> advantage(r.cost.size());
  for (std::int64_t e = 0; e < r.envs; ++e) {
    double to_go = 0;
    for (int t = r.slots - 1; t >= 0; --t) {
      to_go = -r.cost[r.at(e, t)] + discount * to_go;
      advantage[r.at(e, t)] = to_go;
    }
  }
  const double leave_one_out = static_cast<double>(r.replicas) / (r.replicas - 1);
  double square = 0;
  for (std::int64_t first = 0; first < r.envs; first += r.replicas)
    for (int t = 0; t < r.slots; ++t) {
      // Against the first replica, so that equal returns leave exactly 0 and not a rounding error
      // that the scaling below would blow up.
      const double reference = advantage[r.at(first, t)];
      double mean = 0;
      for (int g = 0; g < r.replicas; ++g)
        mean += (advantage[r.at(first + g, t)] - reference) / r.replicas;
      for (int g = 0; g < r.replicas; ++g) {
        double& a = advantage[r.at(first + g, t)];
        a = (a - reference - mean) * leave_one_out;
        square += a * a;
      }
    }
  const double deviation = std::sqrt(square / static_cast<double>(advantage.size()));
  if (deviation > 1e-12)
    for (double& a : advantage) a /= deviation;
  return advantage;
}

std::vector<float> reinforce_gradient(const LearnedNet& net, const Rollout& r,
                                      const std::vector<double>& advantage, double entropy_weight) {
  const ThetaLayout& layout = net.theta_layout();
  const auto size = static_cast<std::size_t>(layout.size());
  const std::int64_t steps = r.envs * r.slots, chunks = tiles_of(steps, kChunk);
  const double log_sigma =
      static_cast<double>(net.network().theta[static_cast<std::size_t>(layout.log_sigma())]);
  const double per_step = 1 / static_cast<double>(steps);
  const float* theta = net.network().theta.data();
  const Heads<const float> heads{theta + layout.head(), theta + layout.reserve_head()};
  std::vector<float> partial(size * static_cast<std::size_t>(chunks), 0.0f);

  for_each_tile(chunks, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * kChunk, count = std::min(kChunk, steps - first),
                       rows = count * r.nodes;
    const View<const float> x{r.features.data() + first * r.nodes * r.feature_count, rows,
                              r.feature_count};
    std::vector<float> h(static_cast<std::size_t>(rows * layout.width)), d_h(h.size());
    const std::unique_ptr<attention::Cache> cache = net.engine().make_cache(count, r.nodes);
    net.engine().forward(net.encoder_parameters(), x, r.nodes, *cache,
                         {h.data(), rows, layout.width});

    float* d_theta = partial.data() + size * static_cast<std::size_t>(chunk);
    double d_log_sigma = 0;
    const Heads<float> d_heads{d_theta + layout.head(), d_theta + layout.reserve_head()};
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t row = s * r.nodes * layout.width;
      d_log_sigma += log_density_gradient(
          r.deviation.data() + (first + s) * r.size,
          -advantage[static_cast<std::size_t>(first + s)] * per_step, log_sigma, heads,
          h.data() + row, r.nodes, r.size, layout.width, d_h.data() + row, d_heads);
    }
    d_theta[layout.log_sigma()] = static_cast<float>(d_log_sigma);
    net.engine().backward(net.encoder_parameters(), {d_h.data(), rows, layout.width}, *cache,
                          {d_theta, static_cast<std::size_t>(layout.encoder)}, {});
  });

  std::vector<double> sum(size, 0);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (std::size_t i = 0; i < size; ++i)
      sum[i] += static_cast<double>(partial[size * static_cast<std::size_t>(chunk) + i]);
  // Entropy of the logits grows by its dimensions per unit of log sigma, whatever the state.
  sum[static_cast<std::size_t>(layout.log_sigma())] -=
      entropy_weight * decision_dimensions(r.nodes, r.size);
  return {sum.begin(), sum.end()};
}

}  // namespace cra::agents
