#include "agents/feature_statistics.h"

#include <cmath>
#include <memory>

namespace cra::agents {
namespace {

/// Sum of each feature and of its square over one warm-up episode.
struct Moments {
  std::vector<double> sum, square;
  explicit Moments(int features) : sum(static_cast<std::size_t>(features), 0), square(sum) {}
};

}  // namespace

FeatureStatistics measure_features(const Rule& base_rule, const sim::Params& pool,
                                   std::uint64_t seed, std::int64_t episodes) {
  const int features = sim::feature_count(pool);
  const sim::Exogenous x = sim::draw(pool, seed, EpisodeSet::warmup, 0, episodes);
  // Knobs that every rule has come last, see baseline_knobs().
  const auto shared = static_cast<std::ptrdiff_t>(baseline_knobs("uniform", pool).size());
  const Rule uniform_rule{"uniform", {base_rule.knobs.end() - shared, base_rule.knobs.end()}};
  const std::unique_ptr<Policy> base = make_baseline(base_rule, pool),
                                uniform = make_baseline(uniform_rule, pool);
  std::vector<Moments> per_episode(static_cast<std::size_t>(episodes), Moments(features));
  for_each_tile(episodes, [&](std::int64_t i) {
    sim::Batch b = sim::reset(pool, x, {i});
    const std::unique_ptr<Actor> actor = (i % 2 == 0 ? base : uniform)->actor(1);
    const int size = sim::bundle_size(pool);
    std::vector<double> decisions(static_cast<std::size_t>(size));
    std::vector<float> f(static_cast<std::size_t>(b.nodes) * static_cast<std::size_t>(features));
    Moments& m = per_episode[static_cast<std::size_t>(i)];
    sim::Sight sight(pool);
    for (int t = 0; t < x.slots; ++t) {
      const sim::Batch& seen = sight.look(b);
      sim::observe(pool, seen, {f.data(), b.nodes, features});
      for (std::size_t k = 0; k < f.size(); ++k) {
        const auto value = static_cast<double>(f[k]);
        m.sum[k % m.sum.size()] += value;
        m.square[k % m.sum.size()] += value * value;
      }
      actor->act(seen, {decisions.data(), 1, size});
      sim::step_bundles(pool, x, b, {decisions.data(), 1, size});
    }
  });
  FeatureStatistics out;
  const double count = static_cast<double>(episodes) * x.slots * x.nodes;
  for (std::size_t k = 0; k < static_cast<std::size_t>(features); ++k) {
    double sum = 0, square = 0;
    for (const Moments& m : per_episode) {
      sum += m.sum[k];
      square += m.square[k];
    }
    const double mean = sum / count, variance = square / count - mean * mean;
    out.mean.push_back(mean);
    // Features are floats: a relative spread below their rounding is a constant.
    out.scale.push_back(variance > 1e-10 * (1 + mean * mean) ? 1 / std::sqrt(variance) : 1);
  }
  return out;
}

}  // namespace cra::agents
