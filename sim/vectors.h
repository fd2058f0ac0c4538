// sim/vectors.h (internal): vectors of the instruction set that the including file is compiled for.
// Functions that take a vector or a double are written once, for both. All in an unnamed namespace,
// for the reason that sim/simd.h gives.
#pragma once

#include <cstdint>
#include <cstring>

#include "sim/simd.h"

namespace cra::sim {
namespace {

using Lanes = double __attribute__((vector_size(kVectorBytes)));
constexpr int kLanes = kVectorBytes / 8;

CRA_INLINE double root(double x) { return __builtin_sqrt(x); }
CRA_INLINE Lanes root(Lanes x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
template <class V>
CRA_INLINE V least(V a, V b) {
  return a < b ? a : b;
}
template <class V>
CRA_INLINE V most(V a, V b) {
  return a > b ? a : b;
}

/// The 64 bits of a double, or of every lane.
template <class V>
struct WordsOf;
template <>
struct WordsOf<double> {
  using type = std::uint64_t;
};
template <>
struct WordsOf<Lanes> {
  using type = std::uint64_t __attribute__((vector_size(kVectorBytes)));
};
template <class V>
using Words = typename WordsOf<V>::type;
template <class V>
CRA_INLINE Words<V> words_of(V x) {
  Words<V> w;
  std::memcpy(&w, &x, sizeof w);
  return w;
}
template <class V>
CRA_INLINE V numbers_of(Words<V> w) {
  V x;
  std::memcpy(&x, &w, sizeof x);
  return x;
}

}  // namespace
}  // namespace cra::sim
