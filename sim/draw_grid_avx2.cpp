// The kernel of draw_grid.h for AVX2 (256-bit vectors); no kernel where the compiler cannot.
#include "sim/draw_grid.h"

#if defined(__AVX2__)
#include "sim/draw_grid_lanes.h"

namespace cra::sim {
DrawKernel draw_kernel_avx2() {
  return {"avx2", draw_uniform, draw_gamma, draw_log_normal, draw_poisson};
}
}  // namespace cra::sim
#else
namespace cra::sim {
DrawKernel draw_kernel_avx2() { return {}; }
}  // namespace cra::sim
#endif
