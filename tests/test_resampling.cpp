// Interquartile means, performance profiles and probabilities of improvement, and that resamples
// are the same on any number of threads. References: tests/statistics_reference.py.
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <limits>

#include "results/results.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;

namespace {

const std::vector<double> kA{0.31, 0.52, 0.27, 0.44, 0.39, 0.61, 0.22, 0.35, 0.48, 0.29};
const std::vector<double> kB{0.35, 0.50, 0.36, 0.47, 0.45, 0.74, 0.21};
const std::vector<double> kC{3, 1, 1, 2, 3, 3, 0, 2, -1, 1}, kD{0, 0, 0, 5, 5, 5, 1, 1};

/// exp(sin(i^2)), i = 1 to 35: five trainings of seven episodes.
std::vector<double> skewed() {
  std::vector<double> x;
  for (int i = 1; i <= 35; ++i) x.push_back(std::exp(std::sin(static_cast<double>(i * i))));
  return x;
}

/// What `work` returns on one and on three threads.
template <class Work>
auto on_threads(Work work) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  auto one = work();
  omp_set_num_threads(3);
  auto three = work();
  omp_set_num_threads(before);
  return std::pair{one, three};
}

bool same(const Interval& a, const Interval& b) {
  return a.value == b.value && a.low == b.low && a.high == b.high;
}

}  // namespace

TEST_CASE("interquartile_mean: agrees with SciPy's trim_mean, ties and uneven quarters") {
  CHECK(interquartile_mean(kA) == doctest::Approx(0.37666666666666665).epsilon(1e-15));
  CHECK(interquartile_mean(skewed()) == doctest::Approx(0.8579822604807013).epsilon(1e-14));
  CHECK(interquartile_mean(kC) == doctest::Approx(1.6666666666666667).epsilon(1e-15));
  const std::vector<double> few{7, 1, 4};  // a quarter of three is none
  CHECK(interquartile_mean(few) == 4);
}

TEST_CASE("interquartile_mean: intervals agree with SciPy and NumPy") {
  // Both sides have 200,000 resamples; two quantiles of 2.5 % then differ by some 0.4 % of the
  // spread of the resampled means, 0.05 of kA and 0.2 of the matrix.
  const Interval one = interquartile_mean({kA, 1}, Resampling::crossed, 200000, 1);
  CHECK(one.value == interquartile_mean(kA));
  CHECK(std::abs(one.low - 0.29667) < 0.002);
  CHECK(std::abs(one.high - 0.47333) < 0.002);
  const std::vector<double> x = skewed();
  const Interval strata = interquartile_mean({x, 5}, Resampling::stratified, 200000, 1);
  CHECK(std::abs(strata.low - 0.64839) < 0.005);
  CHECK(std::abs(strata.high - 1.32027) < 0.005);
  const Interval crossed = interquartile_mean({x, 5}, Resampling::crossed, 200000, 1);
  CHECK(std::abs(crossed.low - 0.60135) < 0.005);
  CHECK(std::abs(crossed.high - 1.50021) < 0.005);
}

TEST_CASE("interquartile_mean: strata of equal numbers have nothing to resample") {
  const std::vector<double> x{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const Interval i = interquartile_mean({x, 3}, Resampling::stratified, 200, 1);
  CHECK(i.low == 2);
  CHECK(i.high == 2);
  CHECK(interquartile_mean({x, 3}, Resampling::crossed, 200, 1).high > 2);
}

TEST_CASE("profile: shares above thresholds, and their intervals as NumPy has them") {
  const std::vector<double> x = skewed(), thresholds{-1, 1, 2, 5};
  const std::vector<ProfilePoint> p = profile({x, 5}, thresholds, 200000, 1);
  REQUIRE(p.size() == 4);
  CHECK(p[0].share == 1);
  CHECK(p[0].low == 1);
  CHECK(p[1].share == doctest::Approx(13.0 / 35));
  // Shares lie on a grid of products of counts over 35; one step apart is as close as they get.
  CHECK(std::abs(p[1].low - 0.17143) < 1.01 / 35);
  CHECK(std::abs(p[1].high - 0.6) < 1.01 / 35);
  CHECK(p[2].share <= p[1].share);
  CHECK(p[3].share == 0);  // above exp(1) is nothing
  CHECK(p[3].high == 0);
  const std::vector<double> equal{1, 2, 3}, at{2};
  CHECK(profile({equal, 1}, at, 100, 1)[0].share == doctest::Approx(1.0 / 3));  // above, not at
}

TEST_CASE("improvement, unpaired: Mann and Whitney's statistic, with SciPy's interval") {
  const Interval i = improvement({kA, 1}, {kB, 1}, Pairing::unpaired, 200000, 1);
  CHECK(i.value == doctest::Approx(0.5928571428571429).epsilon(1e-14));
  // On a grid of 1/70, and SciPy has 20,000 resamples here.
  CHECK(std::abs(i.low - 0.3) < 1.5 / 70);
  CHECK(std::abs(i.high - 0.86429) < 1.5 / 70);
  const Interval ties = improvement({kC, 1}, {kD, 1}, Pairing::unpaired, 200000, 1);
  CHECK(ties.value == doctest::Approx(0.51875).epsilon(1e-14));
  CHECK(std::abs(ties.low - 0.21875) < 1.5 / 80);
  CHECK(std::abs(ties.high - 0.8) < 1.5 / 80);
  // Either way round, the chances add up to 1.
  CHECK(improvement({kD, 1}, {kC, 1}, Pairing::unpaired, 100, 1).value ==
        doctest::Approx(1 - 0.51875).epsilon(1e-14));
}

TEST_CASE("improvement, paired: episodes won, ties half, over all pairs of trainings") {
  const std::vector<double> a{1, 2, 3, 4}, b{2, 2, 1, 5};
  const Interval i = improvement({a, 1}, {b, 1}, Pairing::paired, 1000, 1);
  CHECK(i.value == (1 + 0.5 + 0 + 1) / 4);
  CHECK(i.low < i.value);
  CHECK(i.high <= 1);
  // Trainings (1, 9) and (9, 1) against (5, 5): each wins one episode of two.
  const std::vector<double> two{1, 9, 9, 1}, five{5, 5};
  CHECK(improvement({two, 2}, {five, 1}, Pairing::paired, 100, 1).value == 0.5);
  CHECK(improvement({five, 1}, {two, 2}, Pairing::paired, 100, 1).value == 0.5);
  const std::vector<double> low{0, 0};
  CHECK(improvement({low, 1}, {two, 2}, Pairing::paired, 100, 1).low == 1);
}

TEST_CASE("resampling: the same bits on one thread and on three, others with another seed") {
  const std::vector<double> x = skewed();
  const auto iqm = on_threads([&] {
    return interquartile_mean({x, 5}, Resampling::crossed, 3000, 4);
  });
  CHECK(same(iqm.first, iqm.second));
  CHECK(!same(iqm.first, interquartile_mean({x, 5}, Resampling::crossed, 3000, 5)));
  for (const Pairing p : {Pairing::paired, Pairing::unpaired}) {
    const auto better = on_threads([&] { return improvement({x, 5}, {x, 5}, p, 3000, 4); });
    CHECK(same(better.first, better.second));
    const auto difference = on_threads([&] {
      return contrast({x, 5}, {std::span(x).first(7), 1}, p, 3000, 4).resampled;
    });
    CHECK(difference.first == difference.second);
  }
  const std::vector<double> thresholds{0.5, 1};
  const auto points = on_threads([&] { return profile({x, 5}, thresholds, 3000, 4); });
  for (std::size_t t = 0; t < 2; ++t) CHECK(points.first[t].high == points.second[t].high);
}

TEST_CASE("resampling: wrong inputs are named") {
  const std::vector<double> two{1, 2}, three{1, 2, 3}, falling{2, 1};
  const std::vector<double> bad{1, std::numeric_limits<double>::infinity()};
  const auto crossed = Resampling::crossed;
  CHECK(message_of([&] {
          interquartile_mean({two, 1}, crossed, 99, 1);
        }) == "a 95 % interval needs at least 100 resamples, got 99");
  CHECK(message_of([&] {
          interquartile_mean({three, 2}, crossed, 100, 1);
        }) == "costs of 2 trainings need as many for each, at least one; there are 3");
  CHECK(message_of([&] {
          interquartile_mean({{}, 1}, crossed, 100, 1);
        }) == "costs of 1 trainings need as many for each, at least one; there are 0");
  CHECK(message_of([&] {
          interquartile_mean({bad, 1}, crossed, 100, 1);
        }) == "the cost of episode 1 is not finite");
  CHECK(message_of([&] {
          profile({two, 1}, falling, 100, 1);
        }) == "the thresholds of a profile must rise");
  CHECK(message_of([&] {
          improvement({two, 1}, {three, 1}, Pairing::paired, 100, 1);
        }) == "a paired comparison needs the same episodes twice, got 2 and 3");
}
