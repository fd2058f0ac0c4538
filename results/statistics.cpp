// Means, and rank correlation.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "results/results.h"

namespace cra::results {
namespace {

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

}  // namespace cra::results
