// agents/bound_lanes.h: vectors of the instruction set that the including file is compiled for. Of
// bound_kernel_*.cpp only, with the kernels in bound_lanes_*.h.
//
// Everything is in an unnamed namespace and nothing comes from a template of the standard library:
// a function with a common name compiled for AVX-512 here could be the copy that the linker keeps
// for the whole program.
#pragma once

#include <cstring>

#include "agents/bound_kernel.h"

namespace cra::agents {
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
constexpr int kParts = kLaneBlock / kLanes;  // vectors in a block of lanes

#define CRA_INLINE inline __attribute__((always_inline))

CRA_INLINE Lanes load(const double* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
CRA_INLINE void store(double* p, Lanes v) { std::memcpy(p, &v, sizeof v); }
CRA_INLINE Lanes root(Lanes x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
CRA_INLINE int block_of(int i) { return i / kLaneBlock * kLaneBlock; }

}  // namespace
}  // namespace cra::agents
