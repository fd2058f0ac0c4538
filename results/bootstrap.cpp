// Percentile bootstrap intervals (Efron, Ann. Statist. 7, 1979) of means, interquartile means and
// performance profiles. Where policies met the same input, a resample takes the same episodes of
// both: only that makes the interval of a difference narrow.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "results/resample.h"

namespace cra::results {
namespace {

/// Percentile interval of `statistic(mean of a, mean of b)` over resampled episodes.
template <class Statistic>
std::pair<double, double> percentile_interval(std::span<const double> a, std::span<const double> b,
                                              int resamples, std::uint64_t seed,
                                              Statistic statistic) {
  const auto n = static_cast<std::int64_t>(a.size());
  std::vector<double> found = over_resamples(
      resamples, [] { return 0; },
      [&](int, std::int64_t r) {
        double sum_a = 0, sum_b = 0;
        for_each_pick(seed, r, Level::episodes, n, [&](std::size_t pick) {
          sum_a += a[pick];
          sum_b += b[pick];
        });
        const auto count = static_cast<double>(n);
        return statistic(sum_a / count, sum_b / count);
      });
  std::sort(found.begin(), found.end());
  return {quantile(found, kTail), quantile(found, 1 - kTail)};
}

void check_pairs(std::span<const double> a, std::span<const double> b, int resamples) {
  CRA_CHECK(!a.empty() && a.size() == b.size(),
            "a paired comparison needs the same episodes twice, got " + std::to_string(a.size()) +
                " and " + std::to_string(b.size()));
  check_resamples(resamples);
  check_costs({a, 1});
  check_costs({b, 1});
}

/// Interquartile mean of numbers that come several times each.
/// \param order  of the numbers, ascending  \param total  sum of the weights, a whole number
double weighted_interquartile_mean(std::span<const double> x, std::span<const std::size_t> order,
                                   std::span<const double> weight, double total) {
  const double cut = std::floor(total / 4);
  double before = 0, sum = 0;
  for (const std::size_t i : order) {
    const double after = before + weight[i];
    sum += x[i] * std::max(0.0, std::min(after, total - cut) - std::max(before, cut));
    before = after;
  }
  return sum / (total - 2 * cut);
}

std::vector<std::size_t> ascending(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return x[i] < x[j]; });
  return order;
}

}  // namespace

Paired paired(std::span<const double> a, std::span<const double> b, int resamples,
              std::uint64_t seed) {
  check_pairs(a, b, resamples);
  std::vector<double> difference(a.size());
  std::size_t won = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference[i] = a[i] - b[i];
    won += a[i] < b[i] ? 1 : 0;
  }
  const Mean m = mean_of(difference);
  // The differences themselves are resampled, not the two means: subtracting large means would
  // cost digits.
  const auto [low, high] = percentile_interval(difference, difference, resamples, seed,
                                               [](double d, double) { return d; });
  return {m.mean, m.se, low, high, static_cast<double>(won) / static_cast<double>(a.size())};
}

Interval relative_change(std::span<const double> a, std::span<const double> b, int resamples,
                         std::uint64_t seed) {
  check_pairs(a, b, resamples);
  const auto change = [](double mean_a, double mean_b) { return mean_a / mean_b - 1; };
  const double mean_b = mean_of(b).mean;
  CRA_CHECK(mean_b != 0, "a change relative to a mean cost of 0 has no value");
  const auto [low, high] = percentile_interval(a, b, resamples, seed, change);
  return {change(mean_of(a).mean, mean_b), low, high};
}

double interquartile_mean(std::span<const double> x) {
  CRA_CHECK(!x.empty(), "an interquartile mean needs a number");
  const std::vector<double> once(x.size(), 1.0);
  return weighted_interquartile_mean(x, ascending(x), once, static_cast<double>(x.size()));
}

Interval interquartile_mean(const Costs& x, Resampling way, int resamples, std::uint64_t seed) {
  check_costs(x);
  check_resamples(resamples);
  const std::vector<std::size_t> order = ascending(x.cost);
  std::vector<double> found = over_resamples(
      resamples, [&] { return CellWeights(x, way, seed, Level::trainings, Level::episodes); },
      [&](CellWeights& weights, std::int64_t r) {
        return weighted_interquartile_mean(x.cost, order, weights.draw(r),
                                           static_cast<double>(x.cost.size()));
      });
  std::sort(found.begin(), found.end());
  return {interquartile_mean(x.cost), quantile(found, kTail), quantile(found, 1 - kTail)};
}

std::vector<ProfilePoint> profile(const Costs& x, std::span<const double> thresholds, int resamples,
                                  std::uint64_t seed) {
  check_costs(x);
  check_resamples(resamples);
  CRA_CHECK(std::is_sorted(thresholds.begin(), thresholds.end()),
            "the thresholds of a profile must rise");
  // A number counts at the first `passed` thresholds: those below it.
  std::vector<std::size_t> passed;
  for (const double v : x.cost)
    passed.push_back(static_cast<std::size_t>(
        std::lower_bound(thresholds.begin(), thresholds.end(), v) - thresholds.begin()));
  const std::size_t size = thresholds.size();
  const auto shares = [&](std::span<const double> weight) {
    std::vector<double> share(size + 1, 0.0);
    for (std::size_t i = 0; i < passed.size(); ++i) share[passed[i]] += weight[i];
    for (std::size_t t = size; t-- > 0;) share[t] += share[t + 1];
    share.erase(share.begin());
    for (double& s : share) s /= static_cast<double>(passed.size());
    return share;
  };
  std::vector<std::vector<double>> found(size,
                                         std::vector<double>(static_cast<std::size_t>(resamples)));
  over_resamples(
      resamples,
      [&] { return CellWeights(x, Resampling::crossed, seed, Level::trainings, Level::episodes); },
      [&](CellWeights& weights, std::int64_t r) {
        const std::vector<double> share = shares(weights.draw(r));
        for (std::size_t t = 0; t < size; ++t) found[t][static_cast<std::size_t>(r)] = share[t];
        return 0.0;
      });
  const std::vector<double> share = shares(std::vector<double>(passed.size(), 1.0));
  std::vector<ProfilePoint> points;
  for (std::size_t t = 0; t < size; ++t) {
    std::sort(found[t].begin(), found[t].end());
    points.push_back(
        {thresholds[t], share[t], quantile(found[t], kTail), quantile(found[t], 1 - kTail)});
  }
  return points;
}

}  // namespace cra::results
