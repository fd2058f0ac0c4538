// agents/bound_lanes.h: vectors of the instruction set that the including file is compiled for. Of
// bound_kernel_*.cpp only, with the kernels in bound_lanes_*.h.
// All in an unnamed namespace, for the reason that sim/simd.h gives.
#pragma once

#include "agents/bound_kernel.h"
#include "sim/simd.h"

namespace cra::agents {
namespace {

using Lanes = double __attribute__((vector_size(kVectorBytes)));
constexpr int kLanes = kVectorBytes / 8;
constexpr int kParts = kLaneBlock / kLanes;  // vectors in a block of lanes

CRA_INLINE Lanes load(const double* p) { return cra::load<Lanes>(p); }
CRA_INLINE Lanes root(Lanes x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
CRA_INLINE int block_of(int i) { return i / kLaneBlock * kLaneBlock; }

}  // namespace
}  // namespace cra::agents
