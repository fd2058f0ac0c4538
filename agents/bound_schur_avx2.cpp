// The kernels of bound_schur.h for AVX2 (256-bit vectors); none where the compiler cannot.
#include "agents/bound_schur.h"

#if defined(__AVX2__)
#include "agents/bound_schur_lanes.h"

namespace cra::agents {
SchurKernel schur_kernel_avx2() { return {"avx2", sweep, factor, solve}; }
}  // namespace cra::agents
#else
namespace cra::agents {
SchurKernel schur_kernel_avx2() { return {"avx2", nullptr, nullptr, nullptr}; }
}  // namespace cra::agents
#endif
