#include "results/resample.h"

#include <cmath>
#include <string>

namespace cra::results {
double quantile(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = place - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

void draw_counts(std::uint64_t seed, std::int64_t resample, int level, std::span<double> counts) {
  std::fill(counts.begin(), counts.end(), 0.0);
  for_each_pick(seed, resample, level, static_cast<std::int64_t>(counts.size()),
                [&](std::size_t i) { counts[i] += 1; });
}

void check_costs(const Costs& x) {
  CRA_CHECK(x.trainings > 0 && !x.cost.empty() && x.cost.size() % x.trainings == 0,
            "costs of " + std::to_string(x.trainings) +
                " trainings need as many for each, at least one; there are " +
                std::to_string(x.cost.size()));
  for (std::size_t i = 0; i < x.cost.size(); ++i)
    CRA_CHECK(std::isfinite(x.cost[i]),
              "the cost of episode " + std::to_string(i % x.episodes()) + " is not finite");
}

void check_resamples(int resamples) {
  CRA_CHECK(resamples >= 100,
            "a 95 % interval needs at least 100 resamples, got " + std::to_string(resamples));
}

CellWeights::CellWeights(const Costs& x, Resampling way, std::uint64_t seed, Level trainings,
                         Level episodes)
    : rows_(x.trainings),
      columns_(x.episodes()),
      way_(way),
      seed_(seed),
      trainings_(trainings),
      episodes_(episodes),
      row_(rows_, 1.0),
      column_(columns_, 1.0),
      cell_(x.cost.size(), 1.0) {}

std::span<const double> CellWeights::draw(std::int64_t resample) {
  if (way_ == Resampling::stratified) {
    for (std::size_t k = 0; k < rows_; ++k)
      draw_counts(seed_, resample, static_cast<int>(Level::strata + k),
                  std::span(cell_).subspan(k * columns_, columns_));
    return cell_;
  }
  draw_counts(seed_, resample, episodes_, column_);
  if (rows_ > 1) draw_counts(seed_, resample, trainings_, row_);
  for (std::size_t k = 0; k < rows_; ++k)
    for (std::size_t i = 0; i < columns_; ++i) cell_[k * columns_ + i] = row_[k] * column_[i];
  return cell_;
}

}  // namespace cra::results
