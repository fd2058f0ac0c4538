#include "results/student.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cra::results {
namespace {

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by
/// Lentz's method; quick where x < (a + 1) / (a + b + 2).
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  const auto away = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / away(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m <= 500; ++m) {
    const double n = m;
    const double even = n * (b - n) * x / ((a + 2 * n - 1) * (a + 2 * n));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    value *= d * c;
    const double odd = -(a + n) * (a + b + n) * x / ((a + 2 * n) * (a + 2 * n + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    value *= d * c;
    if (std::abs(d * c - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return value;
}

/// The regularised incomplete beta function I_x(a, b), with y = 1 - x given to keep its digits.
double incomplete_beta(double x, double y, double a, double b) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(y, b, a) / b;
}

/// Where the rising `cdf` reaches p, by halving: as many steps as a double has bits, twice.
template <class Cdf>
double inverse(double p, Cdf cdf) {
  if (p == 0.5) return 0;
  if (p > 0.5) return -inverse(1 - p, cdf);
  double low = -1, high = 0;
  while (cdf(low) > p && low > -1e150) {
    high = low;
    low *= 2;
  }
  for (int i = 0; i < 128; ++i) {
    const double middle = low + (high - low) / 2;
    (cdf(middle) > p ? high : low) = middle;
  }
  return low + (high - low) / 2;
}

/// Chance that Z + distance > critical S, Z standard normal and S^2 chi-squared by its degrees.
double power_at(double distance, double critical, double degrees) {
  // Simpson's rule over ten deviations of S, which is about 1 / sqrt(2 degrees) wide.
  constexpr int kSteps = 400;
  const double wide = 10 / std::sqrt(2 * degrees), low = std::max(0.0, 1 - wide);
  const double step = (1 + wide - low) / kSteps, half = degrees / 2;
  const double scale = std::log(2.0) + half * std::log(half) - std::lgamma(half);
  double sum = 0, mass = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double s = std::max(low + i * step, 1e-12);
    const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
    const double density = weight * std::exp(scale + (degrees - 1) * std::log(s) - half * s * s);
    sum += density * normal_cdf(distance - critical * s);
    mass += density;
  }
  return sum / mass;
}

}  // namespace

double normal_quantile(double p) { return inverse(p, normal_cdf); }

double student_cdf(double t, double degrees) {
  // From 1e7 degrees on it is the normal distribution to 1e-7, and lgamma loses digits.
  if (degrees > 1e7) return normal_cdf(t);
  const double square = t * t, sum = degrees + square;
  const double tail =
      std::isinf(square) ? 0 : incomplete_beta(degrees / sum, square / sum, degrees / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
}

double student_quantile(double p, double degrees) {
  return inverse(p, [degrees](double t) { return student_cdf(t, degrees); });
}

double errors_to_detect(double degrees, double alpha, double power) {
  const double critical = student_quantile(1 - alpha / 2, degrees);
  double low = 0, high = critical + 1;
  const double few = std::min(degrees, 1e6);  // beyond, S is 1 to all digits that matter
  while (power_at(high, critical, few) < power) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (power_at(middle, critical, few) < power ? low : high) = middle;
  }
  return high;
}

}  // namespace cra::results
