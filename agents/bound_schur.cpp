#include "agents/bound_schur.h"

namespace cra::agents {

SchurKernel schur_kernel_base();
SchurKernel schur_kernel_avx2();
SchurKernel schur_kernel_avx512();

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f"); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

}  // namespace

const std::vector<SchurKernel>& schur_kernels() {
  static const std::vector<SchurKernel> all = [] {
    std::vector<SchurKernel> found{schur_kernel_base()};
    if (has_avx2() && schur_kernel_avx2().sweep != nullptr) found.push_back(schur_kernel_avx2());
    if (has_avx512() && schur_kernel_avx512().sweep != nullptr)
      found.push_back(schur_kernel_avx512());
    return found;
  }();
  return all;
}

}  // namespace cra::agents
