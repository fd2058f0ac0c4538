#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "results/results.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;

namespace {

std::vector<double> normals(std::size_t n, double mean, double deviation, int stream) {
  std::vector<double> x;
  for (std::size_t i = 0; i < n; ++i)
    x.push_back(mean + deviation * Draws(11, EpisodeSet::training, static_cast<std::int64_t>(i),
                                         Stream::noise, stream, 0)
                                       .normal());
  return x;
}

}  // namespace

TEST_CASE("mean_of: closed forms") {
  const std::vector<double> x{1, 2, 3, 4};
  CHECK(mean_of(x).mean == 2.5);
  // sample variance 5/3, so the standard error is sqrt(5/12)
  CHECK(mean_of(x).se == doctest::Approx(std::sqrt(5.0 / 12)).epsilon(1e-15));
  const std::vector<double> one{7};
  CHECK(mean_of(one).mean == 7);
  CHECK(mean_of(one).se == 0);
  CHECK(mean_of({}).mean == 0);
}

TEST_CASE("mean_of: a small spread beside a large mean keeps its digits") {
  const std::vector<double> x{1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4};
  CHECK(mean_of(x).se == doctest::Approx(std::sqrt(5.0 / 12)).epsilon(1e-12));
}

TEST_CASE("rank_correlation: agrees with SciPy's spearmanr, ties and all") {
  // Reference: tests/statistics_reference.py.
  const std::vector<double> a{0.31, 0.52, 0.27, 0.44, 0.39, 0.61, 0.22, 0.35, 0.48, 0.29};
  const std::vector<double> b{0.35, 0.50, 0.36, 0.47, 0.45, 0.74, 0.21, 0.41, 0.59, 0.30};
  const std::vector<double> c{3, 1, 1, 2, 3, 3, 0, 2, -1, 1}, d{0, 0, 0, 5, 5, 5, 1, 1, 2, 0};
  CHECK(rank_correlation(a, b) == doctest::Approx(0.9515151515151514).epsilon(1e-14));
  CHECK(rank_correlation(a, c) == doctest::Approx(0.26801813713575773).epsilon(1e-14));
  CHECK(rank_correlation(c, d) == doctest::Approx(0.3170544184733975).epsilon(1e-14));
  CHECK(rank_correlation(d, c) == rank_correlation(c, d));
}

TEST_CASE("rank_correlation: closed forms, and only ranks count") {
  const std::vector<double> x{1, 2, 3, 4}, y{10, 1000, 1e6, 1e9}, z{4, 3, 2, 1};
  CHECK(rank_correlation(x, y) == 1);
  CHECK(rank_correlation(x, z) == -1);
  // Without ties 1 - 6 sum d^2 / (n (n^2 - 1)): ranks 2 1 4 3 differ by 1 four times.
  const std::vector<double> swapped{2, 1, 4, 3};
  CHECK(rank_correlation(x, swapped) == doctest::Approx(1 - 6 * 4 / 60.0).epsilon(1e-15));
  // Ranks 1.5 1.5 3.5 3.5 against 1 2 3 4: 4 / sqrt(4 * 5).
  const std::vector<double> halves{0, -0.0, 7, 7};
  CHECK(rank_correlation(x, halves) == doctest::Approx(4 / std::sqrt(20.0)).epsilon(1e-15));
}

TEST_CASE("rank_correlation: none where nothing differs, or there is nothing to differ") {
  const std::vector<double> x{1, 2, 3}, same{5, 5, 5}, one{1};
  CHECK(std::isnan(rank_correlation(x, same)));
  CHECK(std::isnan(rank_correlation(same, x)));
  CHECK(std::isnan(rank_correlation(one, one)));
  CHECK(std::isnan(rank_correlation({}, {})));
  CHECK(message_of([&] { rank_correlation(x, one); }) ==
        "a rank correlation needs two lists of one length, got 3 and 1");
}

TEST_CASE("mean_of_rows: rows count alike, what is missing does not count") {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> x{1, none, 3, /**/ none, none, none, /**/ 4, 4, none};
  const Mean m = mean_of_rows(x, 3);  // of 2 and 4; the second row has nothing
  CHECK(m.mean == 3);
  CHECK(m.se == 1);
  CHECK(std::isnan(mean_of_rows(std::vector<double>{none, none}, 2).mean));
  CHECK(std::isnan(mean_of_rows(std::vector<double>{none, none}, 2).se));
  CHECK(mean_of_rows(std::vector<double>{1, 2}, 1).se == 0);
}

TEST_CASE("paired: a constant difference has no width, whatever the spread of the costs") {
  const std::vector<double> b = normals(50, 10, 5, 0);
  std::vector<double> a = b;
  for (double& x : a) x -= 0.25;
  const Paired d = paired(a, b, 500, 1);
  CHECK(d.difference == doctest::Approx(-0.25).epsilon(1e-12));
  CHECK(d.se < 1e-14);
  CHECK(d.ci_low == doctest::Approx(-0.25).epsilon(1e-12));
  CHECK(d.ci_high == doctest::Approx(-0.25).epsilon(1e-12));
  CHECK(d.won == 1);
}

TEST_CASE("paired: ties are not won") {
  const std::vector<double> a{1, 2, 3, 4}, b{2, 2, 1, 5};
  const Paired d = paired(a, b, 100, 1);
  CHECK(d.won == 0.5);
  CHECK(d.difference == 0);
}

TEST_CASE("paired: swapping the policies mirrors the interval up to its grid") {
  const std::vector<double> a = normals(40, 1, 1, 1), b = normals(40, 1.5, 1, 2);
  const Paired ab = paired(a, b, 4000, 9), ba = paired(b, a, 4000, 9);
  CHECK(ab.difference == doctest::Approx(-ba.difference).epsilon(1e-12));
  CHECK(ab.ci_low == doctest::Approx(-ba.ci_high).epsilon(1e-9));
  CHECK(ab.ci_high == doctest::Approx(-ba.ci_low).epsilon(1e-9));
}

TEST_CASE("paired: on two episodes the bootstrap distribution is known exactly") {
  // Differences -1 and +3: the resampled mean is -1, 1, 3 with probability 1/4, 1/2, 1/4, so with
  // many resamples the 2.5 % and 97.5 % quantiles are the extremes.
  const std::vector<double> a{0, 5}, b{1, 2};
  const Paired d = paired(a, b, 2000, 4);
  CHECK(d.ci_low == -1);
  CHECK(d.ci_high == 3);
}

TEST_CASE("paired: thousands of episodes, more than one sequence of draws holds") {
  for (const int n : {510, 511, 1020, 1530, 20000}) {
    CAPTURE(n);
    const std::vector<double> a = normals(n, 0, 1, 3), b(static_cast<std::size_t>(n), 0.0);
    const Paired d = paired(a, b, 1000, 5);
    // 1000 resamples: the percentile is known to about 0.085 standard errors.
    CHECK((d.ci_low - d.difference) / d.se == doctest::Approx(-1.96).epsilon(0.2));
    CHECK((d.ci_high - d.difference) / d.se == doctest::Approx(1.96).epsilon(0.2));
  }
}

TEST_CASE("paired: for many normal differences the interval is the mean -+ 1.96 errors") {
  const std::vector<double> a = normals(400, 0, 1, 3), b(400, 0.0);
  const Paired d = paired(a, b, 20000, 5);
  // Two errors add: the percentile of 20,000 resamples has a standard deviation of about 0.019
  // standard errors of the mean there, and the skewness of 400 normals moves it by less than 0.05.
  CHECK((d.ci_low - d.difference) / d.se == doctest::Approx(-1.96).epsilon(0.06));
  CHECK((d.ci_high - d.difference) / d.se == doctest::Approx(1.96).epsilon(0.06));
}

TEST_CASE("paired: agrees with SciPy's percentile bootstrap") {
  // Reference: tests/statistics_reference.py, 200,000 resamples.
  const std::vector<double> a{0.31, 0.52, 0.27, 0.44, 0.39, 0.61, 0.22, 0.35, 0.48, 0.29};
  const std::vector<double> b{0.35, 0.50, 0.36, 0.47, 0.45, 0.74, 0.21, 0.41, 0.59, 0.30};
  const Paired d = paired(a, b, 200000, 3);
  CHECK(d.difference == doctest::Approx(-0.05).epsilon(1e-12));
  CHECK(d.se == doctest::Approx(0.01577621275493231).epsilon(1e-12));
  // Means of ten differences lie on a grid of 0.001, and both sides resample: a grid step apart is
  // as close as two quantiles need be.
  CHECK(std::abs(d.ci_low + 0.08) < 1.001e-3);
  CHECK(std::abs(d.ci_high + 0.021) < 1.001e-3);
  const Interval r = relative_change(a, b, 200000, 3);
  CHECK(r.value == doctest::Approx(-0.11415525114155245).epsilon(1e-12));
  CHECK(std::abs(r.low + 0.16261682) < 1e-3);
  CHECK(std::abs(r.high + 0.05417607) < 1e-3);
}

TEST_CASE("paired: the interval depends on the seed and on nothing else") {
  const std::vector<double> a = normals(30, 1, 1, 6), b = normals(30, 1, 1, 7);
  CHECK(paired(a, b, 1000, 1).ci_low == paired(a, b, 1000, 1).ci_low);
  CHECK(paired(a, b, 1000, 1).ci_low != paired(a, b, 1000, 2).ci_low);
}

TEST_CASE("paired: covers the true difference about 95 times in 100") {
  // 400 experiments of 60 episodes; the percentile interval of 60 covers about 94 %. Binomial
  // standard deviation 1.2 %, so 90 % to 98 % is more than three of them.
  int covered = 0;
  const std::vector<double> zero(60, 0.0);
  for (int k = 0; k < 400; ++k) {
    const Paired d = paired(normals(60, 0.3, 1, 100 + k), zero, 400, 8);
    covered += d.ci_low <= 0.3 && 0.3 <= d.ci_high ? 1 : 0;
  }
  CHECK(covered >= 360);
  CHECK(covered <= 392);
}

TEST_CASE("relative_change: halved costs are -50 % with no width") {
  const std::vector<double> b = normals(50, 10, 1, 8);
  std::vector<double> a = b;
  for (double& x : a) x /= 2;
  const Interval r = relative_change(a, b, 500, 1);
  CHECK(r.value == doctest::Approx(-0.5).epsilon(1e-12));
  CHECK(r.low == doctest::Approx(-0.5).epsilon(1e-12));
  CHECK(r.high == doctest::Approx(-0.5).epsilon(1e-12));
}

TEST_CASE("statistics: wrong inputs are named") {
  const std::vector<double> two{1, 2}, three{1, 2, 3}, zero{0, 0};
  const std::vector<double> bad{1, std::numeric_limits<double>::quiet_NaN()};
  CHECK(message_of([&] { paired(two, three, 100, 1); }) ==
        "a paired comparison needs the same episodes twice, got 2 and 3");
  CHECK(message_of([&] { paired({}, {}, 100, 1); }) ==
        "a paired comparison needs the same episodes twice, got 0 and 0");
  CHECK(message_of([&] { paired(two, two, 99, 1); }) ==
        "a 95 % interval needs at least 100 resamples, got 99");
  CHECK(message_of([&] { paired(two, bad, 100, 1); }) == "the cost of episode 1 is not finite");
  CHECK(message_of([&] { relative_change(two, zero, 100, 1); }) ==
        "a change relative to a mean cost of 0 has no value");
}
