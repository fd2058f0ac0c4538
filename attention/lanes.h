// attention/lanes.h: the vectors of the CPU engine, and the two functions it needs of them.
//
// Results do not depend on the instruction set (see sim/simd.h), on the place of an element in its
// array, or on the C library (glibc's expf and tanhf change bits with the CPU it finds). Products
// are added with one rounding everywhere: the processors that matter do that in one instruction,
// twice as fast as in two, and for the others fused() computes the same bits slowly.
#pragma once

#if defined(__FMA__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>

#include "sim/simd.h"

namespace cra::attention {
namespace {

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  using Vector = float __attribute__((vector_size(kVectorBytes)));
  using Bits = std::uint32_t __attribute__((vector_size(kVectorBytes)));
  using Middle = float __attribute__((vector_size(kVectorBytes == 16 ? 16 : kVectorBytes / 2)));
  using Short = float __attribute__((vector_size(16)));
  static constexpr int count = kVectorBytes / sizeof(float);
};
template <>
struct Lanes<double> {
  using Vector = double __attribute__((vector_size(kVectorBytes)));
  using Middle = double __attribute__((vector_size(kVectorBytes == 16 ? 16 : kVectorBytes / 2)));
  using Short = double __attribute__((vector_size(16)));
  static constexpr int count = kVectorBytes / sizeof(double);
};

using Floats = Lanes<float>::Vector;
using Doubles = Lanes<double>::Vector;

/// x in every lane. Less zero, which compilers leave out; zero more would turn -0 into 0.
template <class V, class T>
inline V all(T x) {
  return x - V{};
}

// a b + c, for floats rounded once (IEEE 754 fusedMultiplyAdd).
#if defined(__FMA__)
constexpr bool kFused = true;  // in one instruction
inline Lanes<float>::Short fused(Lanes<float>::Short a, Lanes<float>::Short b,
                                 Lanes<float>::Short c) {
  return _mm_fmadd_ps(a, b, c);
}
using Eight = float __attribute__((vector_size(32)));
inline Eight fused(Eight a, Eight b, Eight c) { return _mm256_fmadd_ps(a, b, c); }
#if defined(__AVX512F__)
inline Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
#endif
#else
constexpr bool kFused = false;
/// The product of two floats is exact in double. Rounding its sum with c to odd, by the error of
/// that sum (Knuth, The Art of Computer Programming 2, 4.2.2), keeps what rounding to float needs
/// to know (Boldo, Melquiond, IEEE Transactions on Computers 57, 2008).
inline Floats fused(Floats a, Floats b, Floats c) {
  using Wide = double __attribute__((vector_size(2 * kVectorBytes)));
  using Words = std::int64_t __attribute__((vector_size(2 * kVectorBytes)));
  const Wide product = __builtin_convertvector(a, Wide) * __builtin_convertvector(b, Wide);
  const Wide term = __builtin_convertvector(c, Wide);
  const Wide sum = product + term, part = sum - product;
  const Wide error = (product - (sum - part)) + (term - part);
  Words bits;
  std::memcpy(&bits, &sum, sizeof bits);
  // All ones, that is -1, where the exact sum is larger in magnitude; where it is smaller, 1.
  const Words inexact = (error > 0) | (error < 0);  // neither for infinity and NaN
  const Words larger = (error > 0) == (sum > 0);
  const Words even = (bits & 1) - 1;
  bits += inexact & even & (1 + 2 * (larger & 1) - 2);
  Wide odd;
  std::memcpy(&odd, &bits, sizeof odd);
  return __builtin_convertvector(odd, Floats);
}
#endif
inline float fused(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return fused(Floats{a}, Floats{b}, Floats{c})[0];
#endif
}
// In double only the gradient checks run.
inline Doubles fused(Doubles a, Doubles b, Doubles c) { return a * b + c; }
inline double fused(double a, double b, double c) { return a * b + c; }

/// exp(x) for x <= 0; exactly 0 below -86 (where a float would become denormal), also at -infinity.
/// x = n ln 2 + r, |r| <= ln(2)/2; 1 + r + r^2 p(r) with p a least-maximum fit of degree 4
/// (3.3e-9); measured on 4e6 points: relative error <= 8e-8. NaN stays NaN.
inline Floats exp_nonpositive(Floats x) {
  using Bits = Lanes<float>::Bits;
  const Floats lowest = all<Floats>(-86.f);
  const Floats y = x < lowest ? lowest : x;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
  const Floats shifted = fused(y, all<Floats>(1.44269504f), all<Floats>(12582912.f));
  const Floats n = shifted - 12582912.f;
  const Floats r = fused(n, all<Floats>(2.12194440e-4f), fused(n, all<Floats>(-0.693359375f), y));
  Floats p = fused(r, all<Floats>(0.0013813144268600402f), all<Floats>(0.008369418861445575f));
  p = fused(p, r, all<Floats>(0.04166845679257823f));
  p = fused(p, r, all<Floats>(0.16666514791114673f));
  p = fused(p, r, all<Floats>(0.4999999305069764f));
  p = fused(p, r * r, r) + 1.f;
  Bits power;
  std::memcpy(&power, &shifted, sizeof power);
  power = (power << 23) + 0x3f800000u;
  Floats scale;
  std::memcpy(&scale, &power, sizeof scale);
  return x < lowest ? Floats{} : p * scale;
}

/// tanh(x), in [-1, 1]: x P(x^2) / Q(x^2) on |x| <= 9 and 1 or -1 beyond, a least-maximum fit of
/// the relative error (2.1e-8); measured on 2e6 points: relative error <= 4.1e-7. NaN stays NaN.
inline Floats hyperbolic_tangent(Floats x) {
  const Floats end = all<Floats>(9.f), one = all<Floats>(1.f);
  Floats y = x > end ? end : x;
  y = y < -end ? -end : y;
  const Floats z = y * y;
  Floats p = fused(z, all<Floats>(1.3354723294349062e-08f), all<Floats>(2.0609131137598094e-05f));
  p = fused(p, z, all<Floats>(0.003495591278240028f));
  p = fused(p, z, all<Floats>(0.13381028353933686f));
  p = fused(p, z, all<Floats>(0.9999999794740009f));
  Floats q = fused(z, all<Floats>(7.776584838816759e-07f), all<Floats>(0.0003285639841868239f));
  q = fused(q, z, all<Floats>(0.025876994375878818f));
  q = fused(q, z, all<Floats>(0.46714343951323534f));
  q = fused(q, z, one);
  const Floats t = y * p / q;
  const Floats capped = x > end ? one : t > one ? one : t;
  return x < -end ? -one : capped < -one ? -one : capped;
}

// In double only the gradient checks run: the C library's functions, lane by lane.
inline Doubles exp_nonpositive(Doubles x) {
  for (int i = 0; i < Lanes<double>::count; ++i) x[i] = std::exp(x[i]);
  return x;
}
inline Doubles hyperbolic_tangent(Doubles x) {
  for (int i = 0; i < Lanes<double>::count; ++i) x[i] = std::tanh(x[i]);
  return x;
}

}  // namespace
}  // namespace cra::attention
