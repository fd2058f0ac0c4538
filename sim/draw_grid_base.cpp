// The kernel of draw_grid.h for whatever the whole program is built for.
#include "sim/draw_grid_lanes.h"

namespace cra::sim {
DrawKernel draw_kernel_base() {
  return {"base", draw_uniform, draw_gamma, draw_log_normal, draw_poisson};
}
}  // namespace cra::sim
