// The difference between two policies, of which each may have been trained several times.
//
// Trainings and episodes are both drawn at random, and every training met every episode, so both
// are resampled, rows and columns (the pigeonhole bootstrap of Owen, Ann. Appl. Stat. 1, 2007).
// That alone is too narrow for a few trainings and too wide where a training does well on some
// episodes and badly on others, so it gives the shape of an interval and not its width. The width
// is that of Student's interval with the standard error from an analysis of variance of the
// crossed design and Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946): for a normal
// bootstrap distribution the two agree. For one training and many episodes this is the percentile
// interval.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "results/resample.h"
#include "results/student.h"

namespace cra::results {
namespace {

/// Costs of one side less what both sides share: matrix [rows, columns].
struct Side {
  std::vector<double> x;
  std::size_t rows = 0, columns = 0;

  double at(std::size_t k, std::size_t i) const { return x[k * columns + i]; }
};

/// A part of a variance, and the degrees of freedom it was estimated with.
struct Part {
  double variance = 0, degrees = 1;
};

std::vector<double> row_means(const Side& s) {
  std::vector<double> means;
  for (std::size_t k = 0; k < s.rows; ++k)
    means.push_back(mean_of(std::span(s.x).subspan(k * s.columns, s.columns)).mean);
  return means;
}

std::vector<double> column_means(const Side& s) {
  std::vector<double> means(s.columns, 0.0);
  for (std::size_t k = 0; k < s.rows; ++k)
    for (std::size_t i = 0; i < s.columns; ++i) means[i] += s.at(k, i);
  for (double& m : means) m /= static_cast<double>(s.rows);
  return means;
}

/// Variance of the mean of numbers with independent deviations.
Part of_mean(const std::vector<double>& x) {
  const double se = mean_of(x).se;
  return {se * se, std::max<double>(1, static_cast<double>(x.size()) - 1)};
}

/// Variance of the mean over rows and columns that comes of neither alone.
double of_interaction(const Side& s) {
  if (s.rows < 2 || s.columns < 2) return 0;
  const std::vector<double> row = row_means(s), column = column_means(s);
  const double grand = mean_of(row).mean;
  double squares = 0;
  for (std::size_t k = 0; k < s.rows; ++k)
    for (std::size_t i = 0; i < s.columns; ++i) {
      const double left = s.at(k, i) - row[k] - column[i] + grand;
      squares += left * left;
    }
  const auto cells = static_cast<double>(s.rows * s.columns);
  return squares / static_cast<double>((s.rows - 1) * (s.columns - 1)) / cells;
}

/// Fills se, degrees and the two parts of the variance.
void add_variance(Contrast& c, const Side& a, const Side& b, bool pairs) {
  std::vector<Part> by_episode, by_training;
  std::vector<double> of_a = column_means(a);
  const std::vector<double> of_b = column_means(b);
  if (pairs) {
    for (std::size_t i = 0; i < of_a.size(); ++i) of_a[i] -= of_b[i];
    by_episode = {of_mean(of_a)};
  } else {
    by_episode = {of_mean(of_a), of_mean(of_b)};
  }
  double twice = 0;  // in both: what a training does on single episodes
  for (const Side* s : {&a, &b})
    if (s->rows > 1) {
      by_training.push_back(of_mean(row_means(*s)));
      twice += of_interaction(*s);
    }
  double episodes = 0, trainings = 0, squares = 0;
  for (const Part& p : by_episode) episodes += p.variance;
  for (const Part& p : by_training) trainings += p.variance;
  for (const std::vector<Part>* parts : {&by_episode, &by_training})
    for (const Part& p : *parts) squares += p.variance * p.variance / p.degrees;
  const double all = std::max({episodes, trainings, episodes + trainings - twice});
  c.se = std::sqrt(all);
  c.episode_variance = episodes;
  c.training_variance = all - episodes;
  c.degrees = squares > 0 ? all * all / squares : by_episode.front().degrees;
  c.degrees = std::max(1.0, c.degrees);
}

/// Mean of a side in a resample. \param row, column  how often each was drawn
double resampled_mean(const Side& s, std::span<const double> row, std::span<const double> column) {
  double sum = 0;
  for (std::size_t k = 0; k < s.rows; ++k) {
    if (row[k] == 0) continue;
    double of_row = 0;
    for (std::size_t i = 0; i < s.columns; ++i) of_row += column[i] * s.at(k, i);
    sum += row[k] * of_row;
  }
  return sum / static_cast<double>(s.x.size());
}

struct Counts {
  std::vector<double> rows_a, rows_b, columns_a, columns_b;
};

double resampled_difference(const Side& a, const Side& b, bool pairs, std::uint64_t seed, Counts& n,
                            std::int64_t r) {
  draw_counts(seed, r, Level::episodes, n.columns_a);
  if (!pairs) draw_counts(seed, r, Level::other_episodes, n.columns_b);
  if (a.rows > 1) draw_counts(seed, r, Level::trainings, n.rows_a);
  if (b.rows > 1) draw_counts(seed, r, Level::other_trainings, n.rows_b);
  return resampled_mean(a, n.rows_a, n.columns_a) -
         resampled_mean(b, n.rows_b, pairs ? n.columns_a : n.columns_b);
}

/// Half the width of Student's interval.
double half_width(const Contrast& c, double alpha) {
  return c.se * student_quantile(1 - alpha / 2, c.degrees);
}

double deviation(const std::vector<double>& x) {
  return mean_of(x).se * std::sqrt(static_cast<double>(x.size()));
}

}  // namespace

Contrast contrast(const Costs& a, const Costs& b, Pairing pairing, int resamples,
                  std::uint64_t seed) {
  check_costs(a);
  check_costs(b);
  check_resamples(resamples);
  const bool pairs = pairing == Pairing::paired;
  CRA_CHECK(!pairs || a.episodes() == b.episodes(),
            "a paired comparison needs the same episodes twice, got " +
                std::to_string(a.episodes()) + " and " + std::to_string(b.episodes()));
  CRA_CHECK(a.episodes() > 1 && b.episodes() > 1,
            "the error of a difference needs two episodes at least");
  // What both sides share goes first: subtracting large means would cost digits.
  Side left{{a.cost.begin(), a.cost.end()}, a.trainings, a.episodes()};
  Side right{{b.cost.begin(), b.cost.end()}, b.trainings, b.episodes()};
  std::vector<double> shared = column_means(right);
  if (!pairs) shared.assign(std::max(left.columns, right.columns), mean_of(shared).mean);
  for (Side* s : {&left, &right})
    for (std::size_t i = 0; i < s->x.size(); ++i) s->x[i] -= shared[i % s->columns];

  Contrast c;
  c.difference = mean_of(row_means(left)).mean - mean_of(row_means(right)).mean;
  add_variance(c, left, right, pairs);
  c.resampled = over_resamples(
      resamples,
      [&] {
        return Counts{std::vector<double>(left.rows, 1.0), std::vector<double>(right.rows, 1.0),
                      std::vector<double>(left.columns, 1.0),
                      std::vector<double>(right.columns, 1.0)};
      },
      [&](Counts& n, std::int64_t r) {
        return resampled_difference(left, right, pairs, seed, n, r);
      });
  std::sort(c.resampled.begin(), c.resampled.end());
  return c;
}

Interval interval(const Contrast& c, double alpha) {
  CRA_CHECK(alpha > 0 && alpha < 1, "the level of an interval lies between 0 and 1");
  const double spread = deviation(c.resampled);
  if (!(spread > 0)) return {c.difference, c.difference, c.difference};
  const double normal = spread * normal_quantile(1 - alpha / 2);
  const double stretch = normal > 0 ? half_width(c, alpha) / normal : 1;
  const auto end = [&](double q) {
    return c.difference + stretch * (quantile(c.resampled, q) - c.difference);
  };
  return {c.difference, end(alpha / 2), end(1 - alpha / 2)};
}

double p_value(const Contrast& c) {
  const auto decided = [&](double alpha) {
    const Interval i = interval(c, alpha);
    return i.low > 0 || i.high < 0;
  };
  // Intervals are nested; resamples know nothing of tails thinner than one of them.
  double low = std::min(0.5, 2 / static_cast<double>(c.resampled.size())), high = 1 - 1e-9;
  if (decided(low)) return low;
  if (!decided(high)) return 1;
  for (int i = 0; i < 50; ++i) {
    const double middle = std::sqrt(low * high);
    (decided(middle) ? high : low) = middle;
  }
  return high;
}

double detectable(const Contrast& c, double alpha, double power) {
  return c.se * errors_to_detect(c.degrees, alpha, power);
}

double times_more_episodes(const Contrast& c, double difference, double alpha, double power) {
  const double errors = errors_to_detect(c.degrees, alpha, power);
  const double left = difference * difference / (errors * errors) - c.training_variance;
  return left > 0 ? c.episode_variance / left : std::numeric_limits<double>::infinity();
}

double times_more_trainings(const Contrast& c, double difference, double alpha, double power) {
  const double errors = errors_to_detect(c.degrees, alpha, power);
  const double left = difference * difference / (errors * errors) - c.episode_variance;
  return left > 0 ? c.training_variance / left : std::numeric_limits<double>::infinity();
}

std::vector<HolmStep> holm(std::span<const double> p, double alpha) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return p[i] < p[j]; });
  std::vector<HolmStep> steps(p.size());
  double level = alpha, adjusted = 0;
  bool rejecting = true;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto left = static_cast<double>(order.size() - rank);
    adjusted = std::max(adjusted, std::min(1.0, left * p[order[rank]]));
    if (rejecting) level = alpha / left;
    rejecting = rejecting && p[order[rank]] <= level;
    steps[order[rank]] = {adjusted, level, rejecting};
  }
  return steps;
}

}  // namespace cra::results
