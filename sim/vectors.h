// sim/vectors.h (internal): vectors of the instruction set that the including file is compiled for.
//
// GCC's vector types: one source for every instruction set, and what a lane computes is the same at
// any width. Functions that take a vector or a double are written once, for both.
//
// Everything here and in the kernels made of it is in an unnamed namespace, and nothing comes from
// a template of the standard library: a function with a common name compiled for AVX-512 could be
// the copy that the linker keeps for the whole program.
#pragma once

#include <cstdint>
#include <cstring>

namespace cra::sim {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
using Lanes = double __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 8;

#define CRA_INLINE inline __attribute__((always_inline))

template <class V>
CRA_INLINE V load(const double* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
CRA_INLINE void store(double* p, V v) {
  std::memcpy(p, &v, sizeof v);
}
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
  using type = std::uint64_t __attribute__((vector_size(kBytes)));
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
