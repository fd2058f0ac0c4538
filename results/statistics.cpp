// Means, paired differences, and percentile bootstrap intervals (Efron, Ann. Statist. 7, 1979).
// Episodes are the unit of resampling, and a resample takes the same episodes of both policies:
// they met the same input, and only that makes the interval of the difference narrow.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "results/results.h"

namespace cra::results {
namespace {

constexpr double kTail = 0.025;       // of a two-sided 95 % interval
constexpr std::int64_t kTile = 512;   // resamples of one task: one alone is too little work
constexpr std::int64_t kPicks = 510;  // of one Draws: all of its 1020 words, two for each

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, 1996, the
/// default of NumPy and R). \param sorted  ascending, not empty
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = place - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

/// Percentile interval of `statistic(mean of a, mean of b)` over resampled episodes. Resample r is
/// a function of (seed, r) alone.
template <class Statistic>
std::pair<double, double> percentile_interval(std::span<const double> a, std::span<const double> b,
                                              int resamples, std::uint64_t seed,
                                              Statistic statistic) {
  const auto n = static_cast<std::int64_t>(a.size());
  std::vector<double> found(static_cast<std::size_t>(resamples));
  for_each_tile(tiles_of(resamples, kTile), [&](std::int64_t tile) {
    const std::int64_t end = std::min<std::int64_t>((tile + 1) * kTile, resamples);
    for (std::int64_t r = tile * kTile; r < end; ++r) {
      double sum_a = 0, sum_b = 0;
      for (std::int64_t first = 0; first < n; first += kPicks) {
        Draws draws(seed, EpisodeSet::evaluation, r, Stream::bootstrap, 0, first / kPicks);
        for (std::int64_t i = first; i < std::min(first + kPicks, n); ++i) {
          const auto pick = static_cast<std::size_t>(draws.below(n));
          sum_a += a[pick];
          sum_b += b[pick];
        }
      }
      const auto count = static_cast<double>(n);
      found[static_cast<std::size_t>(r)] = statistic(sum_a / count, sum_b / count);
    }
  });
  std::sort(found.begin(), found.end());
  return {quantile(found, kTail), quantile(found, 1 - kTail)};
}

/// Ranks from 1, of equal numbers their mean; less the mean of all, (n + 1) / 2.
std::vector<double> centred_ranks(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return x[i] < x[j]; });
  std::vector<double> rank(x.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first + 1;
    while (end < order.size() && x[order[end]] == x[order[first]]) ++end;
    for (std::size_t i = first; i < end; ++i)
      rank[order[i]] = (static_cast<double>(first + end) - static_cast<double>(x.size())) / 2;
    first = end;
  }
  return rank;
}

void check_pairs(std::span<const double> a, std::span<const double> b, int resamples) {
  CRA_CHECK(!a.empty() && a.size() == b.size(),
            "a paired comparison needs the same episodes twice, got " + std::to_string(a.size()) +
                " and " + std::to_string(b.size()));
  CRA_CHECK(resamples >= 100,
            "a 95 % interval needs at least 100 resamples, got " + std::to_string(resamples));
  for (std::size_t i = 0; i < a.size(); ++i)
    CRA_CHECK(std::isfinite(a[i]) && std::isfinite(b[i]),
              "the cost of episode " + std::to_string(i) + " is not finite");
}

}  // namespace

Mean mean_of(std::span<const double> x) {
  if (x.empty()) return {};
  const auto n = static_cast<double>(x.size());
  double sum = 0;
  for (const double v : x) sum += v;
  const double mean = sum / n;
  if (x.size() == 1) return {mean, 0};
  double squares = 0;  // second pass: no cancellation when the spread is small beside the mean
  for (const double v : x) squares += (v - mean) * (v - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  CRA_CHECK(a.size() == b.size(), "a rank correlation needs two lists of one length, got " +
                                      std::to_string(a.size()) + " and " +
                                      std::to_string(b.size()));
  const std::vector<double> x = centred_ranks(a), y = centred_ranks(b);
  double xx = 0, yy = 0, xy = 0;  // sums of multiples of 1/4: exact up to some 1e5 numbers
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += x[i] * x[i];
    yy += y[i] * y[i];
    xy += x[i] * y[i];
  }
  if (xx == 0 || yy == 0) return std::numeric_limits<double>::quiet_NaN();
  return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
}

Mean mean_of_rows(std::span<const double> x, std::size_t rows) {
  std::vector<double> means, row;
  for (std::size_t r = 0; r < rows; ++r) {
    row.clear();
    for (const double v : x.subspan(r * (x.size() / rows), x.size() / rows))
      if (!std::isnan(v)) row.push_back(v);
    if (!row.empty()) means.push_back(mean_of(row).mean);
  }
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  return means.empty() ? Mean{kNone, kNone} : mean_of(means);
}

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

}  // namespace cra::results
