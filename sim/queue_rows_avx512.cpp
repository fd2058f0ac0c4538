// The kernel of queue_rows.h for AVX-512 (512-bit vectors); no kernel where the compiler cannot.
#include "sim/queue_rows.h"

#if defined(__AVX512F__)
#include "sim/queue_rows_lanes.h"

namespace cra::sim {
QueueKernel queue_kernel_avx512() { return {"avx512", step_rows}; }
}  // namespace cra::sim
#else
namespace cra::sim {
QueueKernel queue_kernel_avx512() { return {}; }
}  // namespace cra::sim
#endif
