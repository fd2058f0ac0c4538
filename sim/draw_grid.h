// sim/draw_grid.h (internal): the first draw at every node of some slots, in vectors.
//
// Class Draws is the specification: out[t, n] has the bits of the same call for the point that lies
// t slots and n nodes from the first. One source (draw_grid_lanes.h) is compiled for several
// instruction sets, as queue_rows.h explains.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/rng.h"

namespace cra::sim {

/// The points of one stream and episode from `first` on: `slots` slots of `nodes` nodes.
struct DrawGrid {
  Draws first;  ///< nothing was drawn from it
  int slots, nodes;
};

/// The same for a kernel: key and counter of the first point. Plain, because a function of a common
/// class must not be compiled for a special instruction set.
struct GridCounters {
  std::uint32_t key[2], counter[4];
  std::int64_t slots, nodes;
};

/// One build of the kernel. Draws that need more than one attempt, or another method, come out as
/// -1. Arrays are [T, N].
struct DrawKernel {
  const char* name = nullptr;  ///< instruction set; null: not built
  void (*uniform)(const GridCounters& grid, double* out) = nullptr;
  void (*gamma)(const GridCounters& grid, double shape, double* out) = nullptr;
  void (*log_normal)(const GridCounters& grid, double sigma, double* out) = nullptr;
  void (*poisson)(const GridCounters& grid, const double* mean, double* out) = nullptr;
};

/// Those that this processor can run, slowest first.
const std::vector<DrawKernel>& draw_kernels();

// Each draw of the grid, with the last of the kernels unless another is given. [T, N]
using Numbers = std::vector<double>;
Numbers uniform(const DrawGrid& grid, const DrawKernel& kernel = draw_kernels().back());
Numbers gamma(const DrawGrid& grid, double shape, const DrawKernel& kernel = draw_kernels().back());
Numbers log_normal(const DrawGrid& grid, double sigma,
                   const DrawKernel& kernel = draw_kernels().back());
/// \param mean  [T, N]; where it is not positive, the draw is 0
Numbers poisson(const DrawGrid& grid, const Numbers& mean,
                const DrawKernel& kernel = draw_kernels().back());

}  // namespace cra::sim
