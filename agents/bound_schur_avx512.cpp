// The kernels of bound_schur.h for AVX-512 (512-bit vectors); none where the compiler cannot.
#include "agents/bound_schur.h"

#if defined(__AVX512F__)
#include "agents/bound_schur_lanes.h"

namespace cra::agents {
SchurKernel schur_kernel_avx512() { return {"avx512", sweep, factor, solve}; }
}  // namespace cra::agents
#else
namespace cra::agents {
SchurKernel schur_kernel_avx512() { return {"avx512", nullptr, nullptr, nullptr}; }
}  // namespace cra::agents
#endif
