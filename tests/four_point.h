// tests/four_point.h: gradients of the policies' distributions beside differences of what they
// derive.
#pragma once

#include <doctest/doctest.h>

#include <cmath>

namespace cra::testing {

/// Derivative of f() by x, which f reads. Four-point difference: truncation h^4, rounding
/// 1e-16 / h; at h = 1e-3 both below 1e-11 for values and derivatives about 1.
template <class F>
double slope(F f, double& x) {
  const double at = x, h = 1e-3;
  const auto shifted = [&](double by) {
    x = at + by * h;
    return f();
  };
  const double d = (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * h);
  x = at;
  return d;
}

/// A relative 1e-6; the absolute part is what the differences leave.
inline void check_gradient(double found, double numeric) {
  CHECK(std::fabs(found - numeric) <= 1e-6 * std::fabs(numeric) + 1e-9);
}

}  // namespace cra::testing
