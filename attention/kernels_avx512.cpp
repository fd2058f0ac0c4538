// The kernels of kernels.h for AVX-512 (512-bit vectors); none where the compiler cannot.
#include "attention/kernels.h"

#if defined(__AVX512F__) && defined(__FMA__)
#include "attention/kernels_lanes.h"

namespace cra::attention {
Kernels<float> kernels_avx512() { return kernels_here<float>("avx512"); }
}  // namespace cra::attention
#else
namespace cra::attention {
Kernels<float> kernels_avx512() { return {}; }
}  // namespace cra::attention
#endif
