// The kernel of queue_rows.h for whatever the whole program is built for.
#include "sim/queue_rows_lanes.h"

namespace cra::sim {
QueueKernel queue_kernel_base() { return {"base", step_rows}; }
}  // namespace cra::sim
