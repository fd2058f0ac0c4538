#include "agents/bound_kernel.h"

namespace cra::agents {

NewtonKernel newton_kernel_base();
NewtonKernel newton_kernel_avx2();
NewtonKernel newton_kernel_avx512();

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f"); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

}  // namespace

const std::vector<NewtonKernel>& newton_kernels() {
  static const std::vector<NewtonKernel> all = [] {
    std::vector<NewtonKernel> found{newton_kernel_base()};
    if (has_avx2() && newton_kernel_avx2().sweep != nullptr) found.push_back(newton_kernel_avx2());
    if (has_avx512() && newton_kernel_avx512().sweep != nullptr)
      found.push_back(newton_kernel_avx512());
    return found;
  }();
  return all;
}

}  // namespace cra::agents
