// The kernels of kernels.h for AVX2 (256-bit vectors); none where the compiler cannot.
#include "attention/kernels.h"

#if defined(__AVX2__)
#include "attention/kernels_lanes.h"

namespace cra::attention {
Kernels<float> kernels_avx2() { return kernels_here<float>("avx2"); }
}  // namespace cra::attention
#else
namespace cra::attention {
Kernels<float> kernels_avx2() { return {}; }
}  // namespace cra::attention
#endif
