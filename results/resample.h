// results/resample.h (internal): draws with replacement, and the two ways in which numbers in rows
// and columns are resampled. Resample r is a function of (seed, r) alone, so that intervals have
// the same bits on any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "results/results.h"

namespace cra::results {

constexpr double kTail = 0.025;       // of a two-sided 95 % interval
constexpr std::int64_t kTile = 512;   // resamples of one task: one alone is too little work
constexpr std::int64_t kPicks = 510;  // of one Draws: all of its 1020 words, two for each

/// What a draw of a resample is for; draws of two levels have nothing to do with each other.
/// Levels from `strata` on belong to the rows of a stratified sample.
enum Level : int {
  episodes = 0,
  trainings = 1,
  other_episodes = 2,
  other_trainings = 3,
  strata = 4
};

/// Quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, 1996, the
/// default of NumPy and R). \param sorted  ascending, not empty
double quantile(std::span<const double> sorted, double q);

/// Calls take(i) for each of n draws of an i in [0, n).
template <class Take>
void for_each_pick(std::uint64_t seed, std::int64_t resample, int level, std::int64_t n,
                   Take take) {
  for (std::int64_t first = 0; first < n; first += kPicks) {
    Draws draws(seed, EpisodeSet::evaluation, resample, Stream::bootstrap, level, first / kPicks);
    for (std::int64_t i = first; i < std::min(first + kPicks, n); ++i)
      take(static_cast<std::size_t>(draws.below(n)));
  }
}

/// How often each of counts.size() things comes in as many draws with replacement.
void draw_counts(std::uint64_t seed, std::int64_t resample, int level, std::span<double> counts);

/// \throws Error  unless there is a number in each row and all of them are finite
void check_costs(const Costs& x);
void check_resamples(int resamples);

/// The weight of every number of `x` in resamples of it: how often it was drawn.
class CellWeights {
 public:
  CellWeights(const Costs& x, Resampling way, std::uint64_t seed, Level trainings, Level episodes);
  /// [trainings, episodes], until the next call
  std::span<const double> draw(std::int64_t resample);

 private:
  std::size_t rows_, columns_;
  Resampling way_;
  std::uint64_t seed_;
  Level trainings_, episodes_;
  std::vector<double> row_, column_, cell_;
};

/// statistic(scratch, r) of every resample r, in order. \param make_scratch  what one task needs
template <class MakeScratch, class Statistic>
std::vector<double> over_resamples(int resamples, MakeScratch make_scratch, Statistic statistic) {
  std::vector<double> found(static_cast<std::size_t>(resamples));
  for_each_tile(tiles_of(resamples, kTile), [&](std::int64_t tile) {
    auto scratch = make_scratch();
    const std::int64_t end = std::min<std::int64_t>((tile + 1) * kTile, resamples);
    for (std::int64_t r = tile * kTile; r < end; ++r)
      found[static_cast<std::size_t>(r)] = statistic(scratch, r);
  });
  return found;
}

}  // namespace cra::results
