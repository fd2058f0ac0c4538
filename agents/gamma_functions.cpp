#include "agents/gamma_functions.h"

#include <cmath>
#include <numbers>

namespace cra::agents {
namespace {

constexpr double kAsymptotic = 10;  // the series are good from here on

}  // namespace

double log_gamma(double x) {
  double product = 1;
  for (; x < kAsymptotic; ++x) product *= x;
  const double r = 1 / x, r2 = r * r;
  const double series =
      r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 / 1188))));
  return (x - 0.5) * std::log(x) - x + 0.5 * std::log(2 * std::numbers::pi) + series -
         std::log(product);
}

double digamma(double x) {
  double below = 0;
  for (; x < kAsymptotic; ++x) below += 1 / x;
  const double r2 = 1 / (x * x);
  const double series =
      r2 * (1.0 / 12 - r2 * (1.0 / 120 - r2 * (1.0 / 252 - r2 * (1.0 / 240 - r2 / 132))));
  return std::log(x) - 0.5 / x - series - below;
}

double trigamma(double x) {
  double below = 0;
  for (; x < kAsymptotic; ++x) below += 1 / (x * x);
  const double r = 1 / x, r2 = r * r;
  const double series =
      r * r2 * (1.0 / 6 - r2 * (1.0 / 30 - r2 * (1.0 / 42 - r2 * (1.0 / 30 - r2 * (5.0 / 66)))));
  return r + 0.5 * r2 + series + below;
}

}  // namespace cra::agents
