// Differences between policies that were trained several times: what they are in closed form and
// by SciPy (tests/statistics_reference.py), and that the intervals hold what they promise.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "results/results.h"
#include "results/student.h"
#include "synthetic_costs.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;
using cra::testing::SyntheticCosts;

namespace {

constexpr int kRepetitions = 200;

/// Two runs of one policy, or of two whose costs differ by `excess`, in many repetitions.
struct Experiment {
  Pairing pairing;
  std::size_t trainings, episodes;
  double excess = 0;

  template <class Use>
  void repeat(Use use) const {
    const bool pairs = pairing == Pairing::paired;
    for (int r = 0; r < kRepetitions; ++r) {
      const SyntheticCosts s{r};
      const std::vector<double> a = s.costs(0, 0, trainings, episodes, excess);
      const std::vector<double> b = s.costs(1, pairs ? 0 : 1, trainings, episodes, 0);
      use(a, b, static_cast<std::uint64_t>(r));
    }
  }
  /// Repetitions whose interval leaves out 0.
  int found() const {
    int count = 0;
    repeat([&](const auto& a, const auto& b, std::uint64_t seed) {
      const Interval i =
          interval(contrast({a, trainings}, {b, trainings}, pairing, 1000, seed), 0.05);
      count += i.low > 0 || i.high < 0 ? 1 : 0;
    });
    return count;
  }
};

/// Means over trainings: what somebody has who takes them for one policy.
std::vector<double> mean_of_trainings(const std::vector<double>& x, std::size_t trainings) {
  std::vector<double> mean(x.size() / trainings, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i)
    mean[i % mean.size()] += x[i] / static_cast<double>(trainings);
  return mean;
}

/// A contrast with this error and nothing else.
Contrast with_error(double se, double degrees) {
  Contrast c;
  c.se = se;
  c.degrees = degrees;
  return c;
}

}  // namespace

TEST_CASE("student: quantiles, distribution and distances agree with SciPy") {
  CHECK(normal_quantile(0.975) == doctest::Approx(1.959963984540054).epsilon(1e-13));
  CHECK(normal_quantile(0.2) == doctest::Approx(-0.8416212335729142).epsilon(1e-13));
  CHECK(normal_quantile(1e-6) == doctest::Approx(-4.753424308822899).epsilon(1e-12));
  CHECK(student_cdf(-2.5, 3) == doctest::Approx(0.04385332350403277).epsilon(1e-12));
  CHECK(student_cdf(0.7, 1.5) == doctest::Approx(0.7117808795586567).epsilon(1e-12));
  CHECK(student_cdf(1.96, 127) == doctest::Approx(0.9739072208388126).epsilon(1e-12));
  CHECK(student_cdf(-40, 2) == doctest::Approx(0.0003122073360923703).epsilon(1e-11));
  CHECK(student_quantile(0.975, 4) == doctest::Approx(2.7764451051977987).epsilon(1e-11));
  CHECK(student_quantile(0.9, 1) == doctest::Approx(3.0776835372078066).epsilon(1e-11));
  CHECK(student_quantile(0.9995, 2.5) == doctest::Approx(18.27789352778505).epsilon(1e-10));
  CHECK(student_quantile(0.975, 1e4) == doctest::Approx(1.960201239890626).epsilon(1e-9));
  // Simpson's rule over 400 steps, and the chance of passing on the wrong side, which SciPy's
  // one-sided tail leaves out as well.
  CHECK(errors_to_detect(4, 0.05, 0.8) == doctest::Approx(3.7610602610043093).epsilon(1e-6));
  CHECK(errors_to_detect(8, 0.01, 0.8) == doctest::Approx(4.339384751777988).epsilon(1e-6));
  CHECK(errors_to_detect(127, 0.05, 0.8) == doctest::Approx(2.8229933511495973).epsilon(1e-6));
}

TEST_CASE("contrast: of one training each, Student's paired and Welch's tests") {
  const std::vector<double> a{0.31, 0.52, 0.27, 0.44, 0.39, 0.61, 0.22, 0.35, 0.48, 0.29};
  const std::vector<double> b{0.35, 0.50, 0.36, 0.47, 0.45, 0.74, 0.21, 0.41, 0.59, 0.30};
  const Contrast pairs = contrast({a, 1}, {b, 1}, Pairing::paired, 1000, 3);
  CHECK(pairs.difference == doctest::Approx(-0.05).epsilon(1e-12));
  CHECK(pairs.se == doctest::Approx(0.01577621275493231).epsilon(1e-12));
  CHECK(pairs.degrees == doctest::Approx(9).epsilon(1e-12));
  CHECK(pairs.training_variance == 0);
  const Contrast welch = contrast({a, 1}, {std::span(b).first(7), 1}, Pairing::unpaired, 200000, 3);
  CHECK(welch.difference == doctest::Approx(-0.052).epsilon(1e-12));
  CHECK(welch.se == doctest::Approx(0.07335627346821032).epsilon(1e-12));
  CHECK(welch.degrees == doctest::Approx(10.577187263800605).epsilon(1e-12));
  // Quantiles of the resamples, by SciPy's bootstrap: 0.4 % of a standard error apart.
  CHECK(std::abs(welch.resampled[5000] + 0.18929) < 0.002);
  CHECK(std::abs(welch.resampled[195000] - 0.078) < 0.002);
}

TEST_CASE("contrast: of several trainings, an analysis of variance of rows and columns") {
  std::vector<double> x, none(7, 0.0);
  for (int i = 0; i < 35; ++i) {
    const int training = i / 7, episode = i % 7;
    x.push_back(std::exp(std::sin(static_cast<double>((i + 1) * (i + 1)))) + 0.5 * training +
                0.2 * episode);
  }
  const Contrast c = contrast({x, 5}, {none, 1}, Pairing::paired, 1000, 3);
  CHECK(c.difference == doctest::Approx(mean_of(x).mean).epsilon(1e-14));
  CHECK(c.se * c.se == doctest::Approx(0.1501227572457288).epsilon(1e-12));
  CHECK(c.episode_variance == doctest::Approx(0.02645535897552311).epsilon(1e-12));
  CHECK(c.training_variance ==
        doctest::Approx(0.1501227572457288 - 0.02645535897552311).epsilon(1e-12));
  // The other way round everything is mirrored, but for which numbers are drawn.
  const Contrast back = contrast({none, 1}, {x, 5}, Pairing::paired, 1000, 3);
  CHECK(back.difference == doctest::Approx(-c.difference).epsilon(1e-14));
  CHECK(back.se == doctest::Approx(c.se).epsilon(1e-12));
  CHECK(back.degrees == doctest::Approx(c.degrees).epsilon(1e-12));
}

TEST_CASE("contrast: resampled rows and columns scatter as NumPy's do") {
  std::vector<double> x, none(7, 0.0);
  for (int i = 1; i <= 35; ++i) x.push_back(std::exp(std::sin(static_cast<double>(i * i))));
  const Contrast c = contrast({x, 5}, {none, 1}, Pairing::paired, 200000, 3);
  CHECK(std::abs(c.resampled[5000] - 0.81664) < 0.005);
  CHECK(std::abs(c.resampled[195000] - 1.52396) < 0.005);
  const Contrast back = contrast({none, 1}, {x, 5}, Pairing::paired, 200000, 3);
  CHECK(std::abs(back.resampled[195000] + 0.81664) < 0.005);
  CHECK(std::abs(back.resampled[5000] + 1.52396) < 0.005);
}

TEST_CASE("contrast: what trainings share cancels, and equal runs differ by nothing at all") {
  const SyntheticCosts s;
  const std::vector<double> a = s.costs(0, 0, 3, 40, 0);
  const Contrast same = contrast({a, 3}, {a, 3}, Pairing::paired, 1000, 1);
  CHECK(same.difference == 0);
  const std::vector<double> one(a.begin(), a.begin() + 40);
  const Contrast itself = contrast({one, 1}, {one, 1}, Pairing::paired, 1000, 1);
  CHECK(itself.se == 0);
  CHECK(interval(itself, 0.05).low == 0);
  CHECK(interval(itself, 0.05).high == 0);
  CHECK(p_value(itself) == 1);
  std::vector<double> lower = one, large_a, large_b;
  for (double& x : lower) x -= 0.25;
  const Interval i = interval(contrast({lower, 1}, {one, 1}, Pairing::paired, 500, 1), 0.05);
  CHECK(i.low == doctest::Approx(-0.25).epsilon(1e-12));
  CHECK(i.high == doctest::Approx(-0.25).epsilon(1e-12));
}

TEST_CASE("interval: as wide as Student's, nested, and left by 0 at the p-value") {
  std::vector<double> a, zero(24, 0.0);
  for (int i = 0; i < 24; ++i) a.push_back(0.6 + std::sin(static_cast<double>(i * i)));
  const Contrast c = contrast({a, 1}, {zero, 1}, Pairing::paired, 20000, 2);
  for (const double alpha : {0.2, 0.05, 0.01}) {
    CAPTURE(alpha);
    const Interval i = interval(c, alpha);
    // The shape is the bootstrap's: of 20,000 resamples of bounded numbers, within 2 % of normal.
    CHECK((i.high - i.low) / (2 * c.se * student_quantile(1 - alpha / 2, 23)) ==
          doctest::Approx(1).epsilon(0.02));
    CHECK(interval(c, alpha / 2).low <= i.low);
    CHECK(interval(c, alpha / 2).high >= i.high);
  }
  const double p = p_value(c);
  CHECK(p > 0.0001);
  CHECK(interval(c, p * 1.001).low > 0);
  CHECK(interval(c, p * 0.999).low <= 0);
  // Student's test on the same numbers; the bootstrap's tail is a little other than normal.
  CHECK(p == doctest::Approx(2 * student_cdf(-c.difference / c.se, 23)).epsilon(0.5));
}

TEST_CASE("interval: a policy against itself is found different in at most 7 of 100 repetitions") {
  // 200 repetitions of two runs of the same policy, each claim at 95 %: at most 14 false ones.
  // At least one: none at all in 200 has a chance of 3.5e-5, and means that intervals are too wide.
  for (const Experiment& e : {Experiment{Pairing::paired, 1, 128},
                              {Pairing::unpaired, 1, 128},
                              {Pairing::paired, 5, 128},
                              {Pairing::unpaired, 5, 64}}) {
    const int found = e.found();
    CAPTURE(e.trainings);
    CAPTURE((e.pairing == Pairing::paired));
    MESSAGE("0 is inside in ", 100 - found / 2.0, " % of 200 repetitions, ", e.trainings,
            " trainings, ", e.episodes, " episodes, ",
            std::string(e.pairing == Pairing::paired ? "paired" : "unpaired"));
    CHECK(found <= 14);
    CHECK(found >= 1);
  }
}

TEST_CASE("interval: that test finds the fault of taking five trainings for one policy") {
  int found = 0;
  Experiment{Pairing::paired, 5, 128}.repeat([&](const auto& a, const auto& b, std::uint64_t seed) {
    const std::vector<double> x = mean_of_trainings(a, 5), y = mean_of_trainings(b, 5);
    const Interval i = interval(contrast({x, 1}, {y, 1}, Pairing::paired, 500, seed), 0.05);
    found += i.low > 0 || i.high < 0 ? 1 : 0;
  });
  CHECK(found > 14);
}

TEST_CASE("detectable: a difference of that size is found four times in five") {
  // The error is the true one, in closed form, not one estimated from a repetition. Binomial
  // standard deviation of 200 at 0.8: 5.7; three of them.
  for (const Experiment& e :
       {Experiment{Pairing::paired, 1, 128}, Experiment{Pairing::paired, 5, 128}}) {
    const double degrees = e.trainings == 1 ? 127 : 8;  // two sides of five trainings
    const double size = detectable(
        with_error(SyntheticCosts{}.paired_se(e.trainings, e.episodes), degrees), 0.05, 0.8);
    const int found = Experiment{e.pairing, e.trainings, e.episodes, size}.found();
    MESSAGE((found / 2.0), " % of 200 found, ", e.trainings, " trainings");
    CHECK(found >= 143);
    CHECK(found <= 177);
    // Half of it is found far less often: the test above can fail.
    CHECK(Experiment{e.pairing, e.trainings, e.episodes, size / 2}.found() < 100);
  }
}

TEST_CASE("contrast: the squared error is right on average") {
  for (const Experiment& e :
       {Experiment{Pairing::paired, 1, 128}, Experiment{Pairing::paired, 5, 128}}) {
    double sum = 0, squares = 0;
    e.repeat([&](const auto& a, const auto& b, std::uint64_t) {
      const Contrast c = contrast({a, e.trainings}, {b, e.trainings}, e.pairing, 100, 1);
      sum += c.se * c.se;
      squares += c.difference * c.difference;
    });
    const double truth = std::pow(SyntheticCosts{}.paired_se(e.trainings, e.episodes), 2);
    // Relative standard deviation of a squared error: about 0.35 for skewed products of 128
    // episodes and for 8 degrees of freedom; of the mean of 200, 0.025. Of 200 squared differences
    // 0.1.
    CHECK(sum / kRepetitions / truth == doctest::Approx(1).epsilon(0.075));
    CHECK(squares / kRepetitions / truth == doctest::Approx(1).epsilon(0.3));
  }
}

TEST_CASE("times_more: as many more episodes or trainings make a difference detectable") {
  const SyntheticCosts s;
  const std::vector<double> a = s.costs(0, 0, 5, 64, 0.004), b = s.costs(1, 0, 5, 64, 0);
  const Contrast c = contrast({a, 5}, {b, 5}, Pairing::paired, 1000, 1);
  const double seen = 0.9 * detectable(c, 0.05, 0.8);
  const double episodes = times_more_episodes(c, seen, 0.05, 0.8);
  REQUIRE(std::isfinite(episodes));
  const double left = c.training_variance + c.episode_variance / episodes;
  CHECK(detectable(with_error(std::sqrt(left), c.degrees), 0.05, 0.8) ==
        doctest::Approx(seen).epsilon(1e-9));
  const double trainings = times_more_trainings(c, seen, 0.05, 0.8);
  REQUIRE(std::isfinite(trainings));
  const double rest = c.episode_variance + c.training_variance / trainings;
  CHECK(detectable(with_error(std::sqrt(rest), c.degrees), 0.05, 0.8) ==
        doctest::Approx(seen).epsilon(1e-9));
  // Against the scatter of trainings no number of episodes helps.
  CHECK(std::isinf(times_more_episodes(c, 0.01 * seen, 0.05, 0.8)));
  CHECK(std::isinf(times_more_episodes(c, 0, 0.05, 0.8)));
}

TEST_CASE("holm: adjusted p-values by hand, and levels that decide as they do") {
  const std::vector<double> p{0.04, 0.01, 0.03, 0.02};
  const std::vector<HolmStep> steps = holm(p, 0.05);
  // Sorted .01 .02 .03 .04 times 4 3 2 1, never falling: .04 .06 .06 .06; one is rejected.
  for (const auto& [i, adjusted] : {std::pair{1, 0.04}, {3, 0.06}, {2, 0.06}, {0, 0.06}})
    CHECK(steps[static_cast<std::size_t>(i)].adjusted == doctest::Approx(adjusted));
  for (const std::size_t i : {0, 2, 3}) {
    CHECK(!steps[i].rejected);
    CHECK(p[i] > steps[i].alpha);  // its interval holds 0
  }
  CHECK(steps[1].rejected);
  CHECK(steps[1].alpha == 0.0125);
  const std::vector<double> small{0.001, 0.049};
  CHECK(holm(small, 0.05)[1].rejected);
  CHECK(holm(small, 0.05)[1].alpha == 0.05);
  const std::vector<double> large{0.8, 0.9};
  CHECK(holm(large, 0.05)[0].adjusted == 1);
  CHECK(holm({}, 0.05).empty());
}

TEST_CASE("contrast: wrong inputs are named") {
  const std::vector<double> one{1}, two{1, 2}, three{1, 2, 3};
  CHECK(message_of([&] {
          contrast({two, 1}, {three, 1}, Pairing::paired, 100, 1);
        }) == "a paired comparison needs the same episodes twice, got 2 and 3");
  CHECK(message_of([&] {
          contrast({one, 1}, {one, 1}, Pairing::paired, 100, 1);
        }) == "the error of a difference needs two episodes at least");
  CHECK(message_of([&] {
          contrast({two, 1}, {three, 1}, Pairing::unpaired, 99, 1);
        }) == "a 95 % interval needs at least 100 resamples, got 99");
  CHECK(message_of([&] { interval(with_error(1, 1), 0); }) ==
        "the level of an interval lies between 0 and 1");
}
