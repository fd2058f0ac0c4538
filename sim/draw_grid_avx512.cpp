// The kernel of draw_grid.h for AVX-512 (512-bit vectors); no kernel where the compiler cannot.
#include "sim/draw_grid.h"

#if defined(__AVX512F__)
#include "sim/draw_grid_lanes.h"

namespace cra::sim {
DrawKernel draw_kernel_avx512() {
  return {"avx512", draw_uniform, draw_gamma, draw_log_normal, draw_poisson};
}
}  // namespace cra::sim
#else
namespace cra::sim {
DrawKernel draw_kernel_avx512() { return {}; }
}  // namespace cra::sim
#endif
