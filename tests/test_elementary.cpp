// Errors of log_of, exp_of and turn against the C library's long double functions.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "sim/elementary.h"
#include "sim/rng.h"

namespace {

using namespace cra;       // NOLINT(google-build-using-namespace): test file
using namespace cra::sim;  // NOLINT(google-build-using-namespace): test file

// The references need more bits than a double has.
static_assert(std::numeric_limits<long double>::digits >= 64);

constexpr int kArguments = 1000000;
constexpr double kLeast = 0.5 * 0x1p-53, kMost = 1 - 0x1p-53;  // ends of Draws::uniform, next to 1

/// |found - exact| in units of the last place of the exact value.
double error_in_ulps(double found, long double exact) {
  const auto near = static_cast<double>(std::fabs(exact));
  const double ulp = std::nextafter(near, std::numeric_limits<double>::infinity()) - near;
  return static_cast<double>(std::fabs(found - exact) / ulp);
}

double uniform_at(int i) {
  return Draws(3, EpisodeSet::training, i, Stream::noise, 0, 0).uniform();
}

TEST_CASE("log_of: less than one unit in the last place, also next to 1") {
  double worst = 0;
  const auto meet = [&](double x) {
    worst = std::max(worst, error_in_ulps(log_of(x), std::log(static_cast<long double>(x))));
  };
  for (int i = 0; i < kArguments; ++i) {
    const double u = uniform_at(i);
    meet(u);
    meet(std::exp2(200 * (u - 0.5)));          // powers of base, Poisson's ratios
    meet(1 + (u - 0.5) * std::exp2(-i % 50));  // near 1, on both sides
  }
  for (const double x :
       {kLeast, kMost, std::sqrt(0.5), std::sqrt(2.0), 0x1p-1022, 0x1p1023, 1 + 0x1p-52})
    meet(x);
  CHECK(log_of(1.0) == 0);
  MESSAGE("log_of: " << worst << " ulp");
  CHECK(worst < 1);
}

TEST_CASE("exp_of: less than one unit in the last place, 0 and infinity beyond its range") {
  double worst = 0;
  const auto meet = [&](double x) {
    worst = std::max(worst, error_in_ulps(exp_of(x), std::exp(static_cast<long double>(x))));
  };
  for (int i = 0; i < kArguments; ++i) {
    const double u = uniform_at(i);
    meet(-10 * u);           // Poisson's limit
    meet(1416 * (u - 0.5));  // all of its range
    meet((u - 0.5) * std::exp2(-i % 50));
  }
  for (const double x : {-708.0, 709.0, 0.0, kLeast, -kLeast, std::log(2.0) / 2}) meet(x);
  MESSAGE("exp_of: " << worst << " ulp");
  CHECK(worst < 1);
  CHECK(exp_of(0.0) == 1);
  CHECK(exp_of(-708.001) == 0);
  CHECK(exp_of(-1e300) == 0);
  CHECK(std::isinf(exp_of(709.001)));
  CHECK(std::isinf(exp_of(1e300)));
}

TEST_CASE("turn: less than two units in the last place, exact at the quarters") {
  double worst = 0;
  // The references are reduced exactly too: 64 bits hold the distance to the next half turn.
  const auto sine = [](long double u) {
    const long double halves = std::round(2 * u);
    const long double s = std::sin(2 * std::numbers::pi_v<long double> * (u - halves / 2));
    return std::fmod(halves, 2.0L) == 0 ? s : -s;
  };
  const auto meet = [&](double u) {
    const auto found = turn(u);
    worst = std::max(
        {worst, error_in_ulps(found.sine, sine(u)), error_in_ulps(found.cosine, sine(0.25L - u))});
  };
  for (int i = 0; i < kArguments; ++i) {
    const double u = uniform_at(i);
    meet(u);
    meet(i % 4 * 0.25 + u * std::exp2(-2 - i / 4 % 48));  // close to the quarters
  }
  for (const double u : {kLeast, kMost, 0.125, 0.375, 0.625, 0.875}) meet(u);
  MESSAGE("turn: " << worst << " ulp");
  CHECK(worst < 2);
  const double sines[] = {0, 1, 0, -1, 0};
  for (int quarter = 0; quarter <= 4; ++quarter) {
    CHECK(turn(quarter * 0.25).sine == sines[quarter]);
    CHECK(turn(quarter * 0.25).cosine == sines[(quarter + 1) % 4]);
  }
}

}  // namespace
