// The kernel of queue_rows.h for AVX2 (256-bit vectors); no kernel where the compiler cannot.
#include "sim/queue_rows.h"

#if defined(__AVX2__)
#include "sim/queue_rows_lanes.h"

namespace cra::sim {
QueueKernel queue_kernel_avx2() { return {"avx2", step_rows}; }
}  // namespace cra::sim
#else
namespace cra::sim {
QueueKernel queue_kernel_avx2() { return {}; }
}  // namespace cra::sim
#endif
