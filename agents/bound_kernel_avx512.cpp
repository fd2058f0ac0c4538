// The kernels of bound_kernel.h for AVX-512 (512-bit vectors); none where the compiler cannot.
#include "agents/bound_kernel.h"

#if defined(__AVX512F__)
#include "agents/bound_lanes_bands.h"
#include "agents/bound_lanes_dense.h"
#include "agents/bound_lanes_sweep.h"

namespace cra::agents {
NewtonKernel newton_kernel_avx512() {
  return {"avx512", factor_bands, invert_near, solve_bands, sweep, factor, solve};
}
}  // namespace cra::agents
#else
namespace cra::agents {
NewtonKernel newton_kernel_avx512() { return {}; }
}  // namespace cra::agents
#endif
