// The kernels of bound_schur.h for whatever the whole program is built for.
#include "agents/bound_schur_lanes.h"

namespace cra::agents {
SchurKernel schur_kernel_base() { return {"base", sweep, factor, solve}; }
}  // namespace cra::agents
