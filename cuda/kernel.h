// cuda/kernel.h: what the kernels are written in.
//
// A kernel is a struct with `static void run(Block&, const Args&)`. Its text is SPMD over warps:
// `Warp::F`, `Warp::I`, `Warp::M` are a number per lane, and everything else is the same for the 32
// lanes of a warp. On the GPU these are float, int and bool of the thread (device_warp.cuh); on the
// host they are arrays of 32 that a Warp of lanes.h computes one lane after the other, so that the
// very text that the GPU runs is run, checked and debugged without one.
//
// A Block gives warps(f): calls f(warp) for every warp of the block, then all of them wait for each
// other; shared memory (shared()); and index, its place in the grid.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "sim/base.h"

#if defined(__CUDACC__)
#define CRA_KERNEL __device__ __forceinline__
#define CRA_UNROLL _Pragma("unroll")
#define CRA_ROLLED _Pragma("unroll 1")
#else
#define CRA_KERNEL inline
#define CRA_UNROLL
#define CRA_ROLLED
#endif

namespace cra::cuda {

inline constexpr int kLanes = 32;
/// Bytes of shared memory that a block may have on any GPU of compute capability 8.0 and later.
inline constexpr std::size_t kMostShared = std::size_t{96} * 1024;

/// Upper half of a float's bits (Google's brain floating-point format).
struct Bfloat16 {
  std::uint16_t bits;
};

inline float widen(Bfloat16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }
/// Round to nearest, ties to even.
inline Bfloat16 narrow(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return {0x7fff};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

/// Least multiple of 8 that holds n: columns come in tiles of 8, and those behind the last are 0.
CRA_HD constexpr int round8(int n) { return (n + 7) / 8 * 8; }

/// How the rows or columns of a matrix lie in padded memory: `blocks` of `block`, each from a
/// multiple of 8 on.
struct Axis {
  int blocks = 1;
  int block = 0;
  CRA_HD constexpr int size() const { return blocks * block; }
  CRA_HD constexpr int padded() const { return blocks * round8(block); }
  /// Of a padded place; -1 is padding.
  CRA_HD constexpr int source(int place) const {
    const int wide = round8(block), k = place % wide;
    return k < block ? place / wide * block + k : -1;
  }
};

/// Which rows of a matrix belong to an environment.
struct Rows {
  const std::int64_t* first = nullptr;  ///< [E + 1] from where; or null:
  std::int64_t apart = 0;               ///< environment e starts at row e * apart
  int count = 0;                        ///< rows of it, with `first` the most that one has
  CRA_HD std::int64_t start(std::int64_t e) const { return first ? first[e] : e * apart; }
  CRA_HD int size(std::int64_t e) const {
    return first ? static_cast<int>(first[e + 1] - first[e]) : count;
  }
};

/// A number that is known when a kernel is compiled.
template <int K>
struct Count {
  static constexpr int value = K;
  CRA_HD constexpr operator int() const { return K; }  // NOLINT(google-explicit-constructor)
};

/// log2(e): exponentials are powers of 2 in here.
inline constexpr float kLog2e = 1.44269504088896341f;

}  // namespace cra::cuda
