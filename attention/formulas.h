// attention/formulas.h: the formulas of attention, one scalar or one vector of lanes at a time, for
// host and device. Loops are the engines' own.
#pragma once

#include "sim/base.h"

namespace cra::attention {

/// Derivative of y = tanh(x) by x. \tparam T  the scalar of V
template <class T, class V>
CRA_HD V tanh_slope(V y) {
  return T{1} - y * y;
}

/// Gradient by one score of a softmax: a (d_a - mean), mean = sum over the row of a d_a.
template <class V>
CRA_HD V softmax_slope(V a, V d_a, V mean) {
  return a * (d_a - mean);
}

/// (cos, sin) of an angle, to be turned by others.
struct Turn {
  double cos;
  double sin;
};
/// The angles add up.
CRA_HD inline Turn turned(Turn a, Turn b) {
  return {a.cos * b.cos - a.sin * b.sin, a.sin * b.cos + a.cos * b.sin};
}

/// e^-x for x in [0, 16], by halving x four times and a Taylor series of degree 18: relative error
/// below 1e-14. No C library: its last bits change with processor and version.
CRA_HD inline double decay(double x) {
  const double z = -x / 16;
  double sum = 1;
  for (int k = 18; k >= 1; --k) sum = 1 + sum * z / k;
  for (int k = 0; k < 4; ++k) sum *= sum;
  return sum;
}

/// The turn by an angle in [0, 1], by Taylor series of degree 20: error below 1e-16.
CRA_HD inline Turn turn_by(double angle) {
  const double square = angle * angle;
  Turn t{1, 1};
  for (int k = 20; k >= 2; k -= 2) {
    t.cos = 1 - t.cos * square / (k * (k - 1));
    t.sin = 1 - t.sin * square / (k * (k + 1));
  }
  t.sin *= angle;
  return t;
}

/// Angle by which feature pair `pair` of a code of positions turns from one position to the next:
/// 10000^(-2 pair / width) (Vaswani et al. 2017, 3.5). In (0, 1].
CRA_HD inline double position_angle(int pair, int width) {
  constexpr double kLog = 9.210340371976182736;  // ln 10000
  return decay(kLog * 2 * pair / width);
}

}  // namespace cra::attention
