// attention/lanes.h: the vectors of the CPU engine, and the two functions it needs of them.
//
// GCC's vector types instead of intrinsics or Eigen: one source for every instruction set, and the
// lanes of a vector never meet. What a lane computes is therefore the same at any width, so results
// do not depend on the instruction set, on the place of an element in its array, or on the C
// library (glibc's expf and tanhf change bits with the CPU it finds).
//
// Everything is in an unnamed namespace: it is compiled once for every instruction set, and a
// function with a common name could be the copy that the linker keeps for the whole program.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace cra::attention {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

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

template <class V, class T>
inline V load(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
inline void store(T* p, const V& v) {
  std::memcpy(p, &v, sizeof v);
}

using Floats = Lanes<float>::Vector;
using Doubles = Lanes<double>::Vector;

/// exp(x) for x <= 0; exactly 0 below -86 (where a float would become denormal), also at -infinity.
/// x = n ln 2 + r, |r| <= ln(2)/2; 1 + r + r^2 p(r) with p a least-maximum fit of degree 4
/// (3.3e-9); measured on 4e6 points: relative error <= 8e-8. NaN stays NaN.
inline Floats exp_nonpositive(Floats x) {
  using Bits = Lanes<float>::Bits;
  const Floats lowest = Floats{} - 86.f;
  const Floats y = x < lowest ? lowest : x;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
  const Floats shifted = y * 1.44269504f + 12582912.f;
  const Floats n = shifted - 12582912.f;
  const Floats r = (y - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = r * 0.0013813144268600402f + 0.008369418861445575f;
  p = p * r + 0.04166845679257823f;
  p = p * r + 0.16666514791114673f;
  p = p * r + 0.4999999305069764f;
  p = p * (r * r) + r + 1.f;
  Bits power;
  std::memcpy(&power, &shifted, sizeof power);
  power = (power << 23) + 0x3f800000u;
  Floats scale;
  std::memcpy(&scale, &power, sizeof scale);
  return x < lowest ? Floats{} : p * scale;
}

/// tanh(x), in [-1, 1]: x P(x^2) / Q(x^2) on |x| <= 9, a least-maximum fit of the relative error
/// (2.1e-8); measured on 2e6 points: relative error <= 4.1e-7. NaN stays NaN.
inline Floats hyperbolic_tangent(Floats x) {
  const Floats end = Floats{} + 9.f, one = Floats{} + 1.f;
  Floats y = x > end ? end : x;
  y = y < -end ? -end : y;
  const Floats z = y * y;
  Floats p = z * 1.3354723294349062e-08f + 2.0609131137598094e-05f;
  p = p * z + 0.003495591278240028f;
  p = p * z + 0.13381028353933686f;
  p = p * z + 0.9999999794740009f;
  Floats q = z * 7.776584838816759e-07f + 0.0003285639841868239f;
  q = q * z + 0.025876994375878818f;
  q = q * z + 0.46714343951323534f;
  q = q * z + 1.f;
  const Floats t = y * p / q;
  const Floats capped = t > one ? one : t;
  return capped < -one ? -one : capped;
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
