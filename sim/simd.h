// sim/simd.h: part of the floor: vectors of the instruction set that a file is compiled for, and
// the choice between builds of one kernel.
//
// GCC's vector types instead of intrinsics: one source for every instruction set, and lanes of a
// vector never meet, so what a lane computes is the same at any width. A kernel's source is
// included by one file for each set; those files are compiled with the flags of their set.
//
// The vectors are in an unnamed namespace, and so is everything made of them, and nothing there
// comes from a template of the standard library: a function with a common name compiled for AVX-512
// could be the copy that the linker keeps for the whole program.
#pragma once

#include <cstring>
#include <vector>

namespace cra {

/// Of three builds of one kernel those that this processor can run, slowest first. That for AVX2
/// may use FMA, that for AVX-512 both (foundation instructions only). \tparam Kernel  has a name,
/// null where the compiler could not build it
template <class Kernel>
std::vector<Kernel> runnable(const Kernel& base, const Kernel& avx2, const Kernel& avx512) {
  std::vector<Kernel> found{base};
#if defined(__x86_64__)
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2.name != nullptr && fma) found.push_back(avx2);
  if (avx512.name != nullptr && fma && __builtin_cpu_supports("avx512f")) found.push_back(avx512);
#endif
  return found;
}

#define CRA_INLINE inline __attribute__((always_inline))

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

/// \tparam V  a vector of T, or T itself
template <class V, class T>
CRA_INLINE V load(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
CRA_INLINE void store(T* p, const V& v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace
}  // namespace cra
