#include "agents/evolution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cra::agents {
namespace {

/// A search that has converged goes on looking about, in grid steps.
constexpr double kLeastSpread = 1e-3;

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

/// Places of one candidate; the second of a pair lies opposite the first.
std::vector<double> candidate(const Search& from, std::uint64_t seed, std::int64_t update, int i) {
  Draws draws(seed, EpisodeSet::training, update, Stream::exploration, i / 2, 0);
  std::vector<double> places(from.mean);
  for (std::size_t k = 0; k < places.size(); ++k)
    places[k] += (i % 2 == 0 ? 1 : -1) * from.spread[k] * draws.normal();
  return places;
}

/// Of the better half, falling with rank, sum 1.
std::vector<double> rank_weights(int population) {
  std::vector<double> w(static_cast<std::size_t>(population / 2));
  for (std::size_t i = 0; i < w.size(); ++i)
    w[i] = std::log(static_cast<double>(w.size()) + 0.5) - std::log(static_cast<double>(i + 1));
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& x : w) x /= sum;
  return w;
}

}  // namespace

double knob_at(const Knob& knob, double place) {
  const std::vector<double>& grid = knob.grid;
  double value = grid[0];
  if (grid.size() == 1) {
    value *= std::exp2(place);
  } else {
    const auto last = static_cast<double>(grid.size() - 2);
    const double cell = std::clamp(std::floor(place), 0.0, last);
    const auto i = static_cast<std::size_t>(cell);
    value = place - cell == 1 ? grid[i + 1] : grid[i] + (place - cell) * (grid[i + 1] - grid[i]);
  }
  return std::clamp(value, knob.least, knob.most);
}

double place_of(const Knob& knob, double value) {
  const std::vector<double>& grid = knob.grid;
  const auto above = std::upper_bound(grid.begin(), grid.end(), value);
  if (above == grid.begin()) return 0;
  const auto i = static_cast<std::size_t>(above - grid.begin()) - 1;
  if (i + 1 == grid.size()) return static_cast<double>(i);
  return static_cast<double>(i) + (value - grid[i]) / (grid[i + 1] - grid[i]);
}

Rule rule_at(const Rule& base, const std::vector<double>& places, const sim::Params& pool) {
  const std::vector<Knob> knobs = baseline_knobs(base.name, pool);
  Rule rule = base;
  for (std::size_t k = 0; k < places.size(); ++k) rule.knobs[k] = knob_at(knobs[k], places[k]);
  return rule;
}

Generation evolve(const Evolution& settings, const Search& from, const Rule& base,
                  const sim::Params& pool, const sim::Exogenous& x, std::uint64_t seed,
                  std::int64_t update) {
  const int population = settings.population;
  Generation out{from, 0, 0};
  std::vector<std::vector<double>> places;
  std::vector<double> cost;
  for (int i = 0; i < population; ++i) {
    places.push_back(candidate(from, seed, update, i));
    const Outcome o = evaluate(*make_baseline(rule_at(base, places.back(), pool), pool), pool, x);
    cost.push_back(mean_of(o.cost));
    out.cost += cost.back() / population;
    out.score += mean_of(o.score) / population;
  }
  std::vector<std::size_t> order(cost.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return cost[a] < cost[b]; });

  const std::vector<double> weight = rank_weights(population);
  for (std::size_t k = 0; k < from.mean.size(); ++k) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const double step = places[order[i]][k] - from.mean[k];
      mean += weight[i] * step;
      square += weight[i] * step * step;
    }
    // About the old mean: a search that walks keeps its stride.
    const double old = from.spread[k] * from.spread[k];
    out.next.mean[k] += mean;
    out.next.spread[k] = std::max(
        kLeastSpread, std::sqrt((1 - settings.smoothing) * old + settings.smoothing * square));
  }
  return out;
}

}  // namespace cra::agents
