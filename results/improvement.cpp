// The probability that one policy costs less than another: Mann and Whitney's statistic (Ann. Math.
// Statist. 18, 1947) over the number of pairs, ties counting half, as in Agarwal et al. (NeurIPS
// 2021), whose tasks are episodes here.
#include <algorithm>
#include <numeric>

#include "results/resample.h"

namespace cra::results {
namespace {

double credit(double a, double b) { return a < b ? 1 : a == b ? 0.5 : 0; }

/// By episode: [trainings of a, trainings of b, episodes] 1 where a costs less, 1/2 where equal.
std::vector<double> wins(const Costs& a, const Costs& b) {
  const std::size_t n = a.episodes();
  std::vector<double> won;
  won.reserve(a.trainings * b.trainings * n);
  for (std::size_t j = 0; j < a.trainings; ++j)
    for (std::size_t k = 0; k < b.trainings; ++k)
      for (std::size_t i = 0; i < n; ++i)
        won.push_back(credit(a.cost[j * n + i], b.cost[k * n + i]));
  return won;
}

/// Mean of the wins in a resample.
double paired_share(const std::vector<double>& won, std::span<const double> rows_a,
                    std::span<const double> rows_b, std::span<const double> columns) {
  double sum = 0;
  std::size_t at = 0;
  for (const double of_a : rows_a)
    for (const double of_b : rows_b) {
      double row = 0;
      for (std::size_t i = 0; of_a * of_b != 0 && i < columns.size(); ++i)
        row += columns[i] * won[at + i];
      at += columns.size();
      sum += of_a * of_b * row;
    }
  return sum / static_cast<double>(won.size());
}

/// Every number of both, ascending, with what it is: index in `a`, or in `b` behind those.
struct Merged {
  std::vector<std::size_t> order;
  std::vector<bool> ends_tie;  ///< whether the next one is larger
};

Merged merge(const Costs& a, const Costs& b) {
  const auto value = [&](std::size_t i) {
    return i < a.cost.size() ? a.cost[i] : b.cost[i - a.cost.size()];
  };
  Merged m;
  m.order.resize(a.cost.size() + b.cost.size());
  std::iota(m.order.begin(), m.order.end(), std::size_t{0});
  std::sort(m.order.begin(), m.order.end(),
            [&](std::size_t i, std::size_t j) { return value(i) < value(j); });
  for (std::size_t i = 0; i < m.order.size(); ++i)
    m.ends_tie.push_back(i + 1 == m.order.size() || value(m.order[i]) < value(m.order[i + 1]));
  return m;
}

/// Share of the pairs of one of `a` and one of `b` in which the first is lower.
double unpaired_share(const Merged& m, std::span<const double> a, std::span<const double> b) {
  double lower = 0, tied_a = 0, tied_b = 0, sum = 0;
  for (std::size_t i = 0; i < m.order.size(); ++i) {
    const std::size_t at = m.order[i];
    (at < a.size() ? tied_a : tied_b) += at < a.size() ? a[at] : b[at - a.size()];
    if (!m.ends_tie[i]) continue;
    sum += tied_b * (lower + tied_a / 2);
    lower += tied_a;
    tied_a = tied_b = 0;
  }
  return sum / static_cast<double>(a.size()) / static_cast<double>(b.size());
}

std::vector<double> ones(std::size_t n) { return std::vector<double>(n, 1.0); }

Interval with_ends(double value, std::vector<double> found) {
  std::sort(found.begin(), found.end());
  return {value, quantile(found, kTail), quantile(found, 1 - kTail)};
}

Interval paired_improvement(const Costs& a, const Costs& b, int resamples, std::uint64_t seed) {
  const std::vector<double> won = wins(a, b);
  struct Counts {
    std::vector<double> rows_a, rows_b, columns;
  };
  std::vector<double> found = over_resamples(
      resamples,
      [&] {
        return Counts{ones(a.trainings), ones(b.trainings), ones(a.episodes())};
      },
      [&](Counts& n, std::int64_t r) {
        draw_counts(seed, r, Level::episodes, n.columns);
        if (a.trainings > 1) draw_counts(seed, r, Level::trainings, n.rows_a);
        if (b.trainings > 1) draw_counts(seed, r, Level::other_trainings, n.rows_b);
        return paired_share(won, n.rows_a, n.rows_b, n.columns);
      });
  return with_ends(paired_share(won, ones(a.trainings), ones(b.trainings), ones(a.episodes())),
                   std::move(found));
}

Interval unpaired_improvement(const Costs& a, const Costs& b, int resamples, std::uint64_t seed) {
  const Merged merged = merge(a, b);
  struct Weights {
    CellWeights a, b;
  };
  std::vector<double> found = over_resamples(
      resamples,
      [&] {
        return Weights{
            {a, Resampling::crossed, seed, Level::trainings, Level::episodes},
            {b, Resampling::crossed, seed, Level::other_trainings, Level::other_episodes}};
      },
      [&](Weights& w, std::int64_t r) { return unpaired_share(merged, w.a.draw(r), w.b.draw(r)); });
  return with_ends(unpaired_share(merged, ones(a.cost.size()), ones(b.cost.size())),
                   std::move(found));
}

}  // namespace

Interval improvement(const Costs& a, const Costs& b, Pairing pairing, int resamples,
                     std::uint64_t seed) {
  check_costs(a);
  check_costs(b);
  check_resamples(resamples);
  if (pairing == Pairing::unpaired) return unpaired_improvement(a, b, resamples, seed);
  CRA_CHECK(a.episodes() == b.episodes(),
            "a paired comparison needs the same episodes twice, got " +
                std::to_string(a.episodes()) + " and " + std::to_string(b.episodes()));
  return paired_improvement(a, b, resamples, seed);
}

}  // namespace cra::results
