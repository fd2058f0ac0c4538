// sim/elementary.h (internal): log, exp, sine and cosine for a double or a vector of them.
//
// The C library's cannot be had in vectors with equal bits, and they change between its versions.
// These use additions, products, one division and no contraction: the same bits on every processor,
// in every lane. Reductions and coefficients are those of fdlibm (Sun Microsystems 1993: e_log.c,
// e_exp.c, k_sin.c, k_cos.c). test_elementary states the errors measured.
#pragma once

#include "sim/vectors.h"

namespace cra::sim {
namespace {

/// Natural logarithm of a positive, normal number; of others nothing useful, but no trap.
/// x = 2^k m, sqrt(1/2) <= m < sqrt(2); log m from the series in s = (m - 1) / (m + 1).
template <class V>
CRA_INLINE V log_of(V x) {
  const Words<V> bits = words_of(x);
  constexpr std::uint64_t kRootHalf = 0x3fe6a09e667f3bcd, kBias = 1023;
  const Words<V> biased = (bits - kRootHalf + (kBias << 52)) >> 52;  // k + 1023
  const V m = numbers_of<V>(bits - ((biased - kBias) << 52));
  // The exponent as a number: it is put into the low bits of 2^52.
  const V k = numbers_of<V>(biased | 0x4330000000000000) - (0x1p52 + 1023);
  const V f = m - 1.0;
  const V s = f / (f + 2.0), z = s * s, w = z * z;
  const V even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373));
  const V odd = z * (0.6666666666666735 +
                     w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)));
  const V half = 0.5 * f * f;
  return k * 6.93147180369123816490e-01 -
         ((half - (s * (half + (even + odd)) + k * 1.90821492927058770002e-10)) - f);
}

/// exp(x); 0 below -708, infinity above 709, so that no result is denormal.
/// x = k ln 2 + r, |r| <= ln(2) / 2; exp r = 1 + 2 r / (2 - c(r)) - ..., a rational fit.
template <class V>
CRA_INLINE V exp_of(V x) {
  const V zero{}, top = zero + 709.0, bottom = zero - 708.0;
  const V y = least(most(x, bottom), top);
  // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits of the sum.
  const V shifted = y * 1.44269504088896338700 + 0x1.8p52;
  const V k = shifted - 0x1.8p52;
  const V high = y - k * 6.93147180369123816490e-01, low = k * 1.90821492927058770002e-10;
  const V r = high - low, t = r * r;
  const V c = r - t * (0.16666666666666602 +
                       t * (-0.0027777777777015593 +
                            t * (6.613756321437934e-05 +
                                 t * (-1.6533902205465252e-06 + t * 4.1381367970572385e-08))));
  const V e = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  const V scale = numbers_of<V>((words_of(shifted) + 1023) << 52);
  const V scaled = e * scale;
  const V capped = x > top ? zero + __builtin_inf() : scaled;
  return x < bottom ? zero : capped;
}

template <class V>
struct SineCosine {
  V sine, cosine;
};

/// Sine and cosine of 2 pi u, 0 <= u <= 1. The nearest quarter turn is taken off exactly.
template <class V>
CRA_INLINE SineCosine<V> turn(V u) {
  const V shifted = 4.0 * u + 0x1.8p52;  // the number of quarters in its low bits, as in exp_of
  const V x = (u - 0.25 * (shifted - 0x1.8p52)) * 6.283185307179586;
  const V z = x * x, half = 0.5 * z, rest = 1.0 - half;
  const V p = 8.33333333332248946124e-03 +
              z * (-1.98412698298579493134e-04 +
                   z * (2.75573137070700676789e-06 +
                        z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
  const V q =
      z * (4.16666666666666019037e-02 +
           z * (-1.38888888888741095749e-03 +
                z * (2.48015872894767294178e-05 +
                     z * (-2.75573143513906633035e-07 +
                          z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const Words<V> sine = words_of(x + z * x * (-1.66666666666666324348e-01 + z * p));
  const Words<V> cosine = words_of(rest + (((1.0 - rest) - half) + z * q));
  // An odd number of quarters swaps the two; signs: sine - in quarters 2, 3, cosine - in 1, 2.
  const Words<V> quarters = words_of(shifted);
  const Words<V> swap = Words<V>{} - (quarters & 1);
  const Words<V> sign_of_sine = (quarters & 2) << 62, sign_of_cosine = ((quarters + 1) & 2) << 62;
  return {numbers_of<V>(((sine & ~swap) | (cosine & swap)) ^ sign_of_sine),
          numbers_of<V>(((cosine & ~swap) | (sine & swap)) ^ sign_of_cosine)};
}

/// Two independent standard normals of two uniform numbers in (0, 1] (Box, Muller 1958).
template <class V>
CRA_INLINE SineCosine<V> box_muller(V first, V second) {
  const V radius = root(-2.0 * log_of(first));
  const SineCosine<V> on_circle = turn(second);
  return {radius * on_circle.sine, radius * on_circle.cosine};
}

/// u^(1 / shape), which takes Gamma(shape + 1) to Gamma(shape) (Marsaglia, Tsang 2000, section 6).
template <class V>
CRA_INLINE V gamma_boost(V u, double shape) {
  return exp_of(log_of(u) * (1 / shape));
}

/// One attempt at Gamma(shape), shape >= 1, by a transformed normal (Marsaglia, Tsang 2000).
struct GammaAttempt {
  double d, c;
  explicit CRA_INLINE GammaAttempt(double shape)
      : d(shape - 1.0 / 3), c(1 / __builtin_sqrt(9 * d)) {}
  /// The attempt fails where this is not positive.
  template <class V>
  CRA_INLINE V base(V normal) const {
    return 1.0 + c * normal;
  }
  /// Whether the draw d v, v = base^3, is taken. \param u uniform
  template <class V>
  CRA_INLINE auto takes(V normal, V v, V u) const {
    return log_of(u) < 0.5 * normal * normal + d - d * v + d * log_of(v);
  }
};

}  // namespace
}  // namespace cra::sim
