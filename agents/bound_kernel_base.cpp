// The kernels of bound_kernel.h for whatever the whole program is built for.
#include "agents/bound_lanes_bands.h"
#include "agents/bound_lanes_dense.h"
#include "agents/bound_lanes_sweep.h"

namespace cra::agents {
NewtonKernel newton_kernel_base() {
  return {"base", factor_bands, invert_near, solve_bands, sweep, factor, solve};
}
}  // namespace cra::agents
