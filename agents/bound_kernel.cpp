#include "agents/bound_kernel.h"

#include "sim/simd.h"

namespace cra::agents {

NewtonKernel newton_kernel_base();
NewtonKernel newton_kernel_avx2();
NewtonKernel newton_kernel_avx512();

const std::vector<NewtonKernel>& newton_kernels() {
  static const std::vector<NewtonKernel> all =
      runnable(newton_kernel_base(), newton_kernel_avx2(), newton_kernel_avx512());
  return all;
}

}  // namespace cra::agents
