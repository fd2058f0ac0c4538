// The kernels of kernels.h for whatever the whole program is built for, and the only ones in
// double.
#include "attention/kernels_lanes.h"

namespace cra::attention {
Kernels<float> kernels_base() { return kernels_here<float>("base"); }
Kernels<double> kernels_base_double() { return kernels_here<double>("base"); }
}  // namespace cra::attention
