// attention/norm_lanes.h: the layer norm of heads.h, for the instruction set that the including
// file is compiled for. In an unnamed namespace for the reason that sim/simd.h gives.
#pragma once

#include <cstdint>

#include "attention/lanes.h"

namespace cra::attention {
namespace {

// Sums have sixteen interleaved parts, added up in one order: the same bits whether a vector has
// two lanes or sixteen.
constexpr int kParts = 16;

template <class T>
inline T total_of(T* part) {
  for (int half = kParts / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) part[k] += part[k + half];
  return part[0];
}

// Calls body(k, zero) for all k < n: `zero` is a vector that stands for the elements from k on, or
// a T for one of the last.
template <class T, class Body>
inline void for_columns(int n, Body body) {
  using V = typename Lanes<T>::Vector;
  int k = 0;
  for (; k + Lanes<T>::count <= n; k += Lanes<T>::count) body(k, V{});
  for (; k < n; ++k) body(k, T{});
}

// Sum over k < n of what term(k, sum) adds to a sum, a vector or for the last few a T.
template <class T, class Term>
inline T sum_columns(int n, Term term) {
  using V = typename Lanes<T>::Vector;
  constexpr int kCount = Lanes<T>::count, kVectors = kParts / kCount;
  V sum[kVectors] = {};
  int k = 0;
  for (; k + kParts <= n; k += kParts)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[v] = term(k + v * kCount, sum[v]);
  T part[kParts];
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) store(part + v * kCount, sum[v]);
  for (int p = 0; k < n; ++k, ++p) part[p] = term(k, part[p]);
  return total_of(part);
}

inline float root(float x) { return __builtin_sqrtf(x); }
inline double root(double x) { return __builtin_sqrt(x); }

template <class T>
void layer_norm_lanes(const T* x, std::int64_t rows, int width, const T* gain, const T* bias,
                      T* unit, T* inverse_std, T* y) {
  for (std::int64_t m = 0; m < rows; ++m, x += width, unit += width, y += width) {
    const T mean =
        sum_columns<T>(width, [=](int k, auto sum) { return sum + load<decltype(sum)>(x + k); }) /
        static_cast<T>(width);
    const T variance = sum_columns<T>(width,
                                      [=](int k, auto sum) {
                                        const auto off = load<decltype(sum)>(x + k) - mean;
                                        return fused(off, off, sum);
                                      }) /
                       static_cast<T>(width);
    const T inverse = T{1} / root(variance + T(1e-5));
    inverse_std[m] = inverse;
    for_columns<T>(width, [=](int k, auto zero) {
      using V = decltype(zero);
      const V u = (load<V>(x + k) - mean) * inverse;
      store(unit + k, u);
      store(y + k, fused(u, load<V>(gain + k), load<V>(bias + k)));
    });
  }
}

template <class T>
void layer_norm_backward_lanes(const T* d_y, std::int64_t rows, int width, const T* gain,
                               const T* unit, const T* inverse_std, T* scratch, T* d_x, T* d_gain,
                               T* d_bias) {
  T* const gain_sum = scratch;
  T* const bias_sum = scratch + width;
  for (int k = 0; k < 2 * width; ++k) scratch[k] = 0;
  for (std::int64_t m = 0; m < rows; ++m, d_y += width, unit += width, d_x += width) {
    // With u = unit and g = gain * d_y: d_x = inverse_std (g - mean(g) - u mean(g u))
    const T mean = sum_columns<T>(width,
                                  [=](int k, auto sum) {
                                    using V = decltype(sum);
                                    return fused(load<V>(gain + k), load<V>(d_y + k), sum);
                                  }) /
                   static_cast<T>(width);
    const T slope =
        sum_columns<T>(width,
                       [=](int k, auto sum) {
                         using V = decltype(sum);
                         return fused(load<V>(gain + k) * load<V>(d_y + k), load<V>(unit + k), sum);
                       }) /
        static_cast<T>(width);
    const T inverse = inverse_std[m];
    for_columns<T>(width, [=](int k, auto zero) {
      using V = decltype(zero);
      const V d = load<V>(d_y + k), u = load<V>(unit + k);
      const V along = load<V>(gain + k) * d - mean - u * slope;
      store(d_x + k, load<V>(d_x + k) + inverse * along);
      store(gain_sum + k, fused(d, u, load<V>(gain_sum + k)));
      store(bias_sum + k, load<V>(bias_sum + k) + d);
    });
  }
  for (int k = 0; k < width; ++k) {
    d_gain[k] += gain_sum[k];
    d_bias[k] += bias_sum[k];
  }
}

}  // namespace
}  // namespace cra::attention
