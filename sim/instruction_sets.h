// sim/instruction_sets.h (internal): which builds of a kernel this processor can run.
#pragma once

#include <vector>

namespace cra::sim {

/// Of three builds of one kernel those that can run here, slowest first.
/// \tparam Kernel  has a name, null where the compiler could not build it
template <class Kernel>
std::vector<Kernel> runnable(const Kernel& base, const Kernel& avx2, const Kernel& avx512) {
  std::vector<Kernel> found{base};
#if defined(__x86_64__)
  if (avx2.name != nullptr && __builtin_cpu_supports("avx2")) found.push_back(avx2);
  if (avx512.name != nullptr && __builtin_cpu_supports("avx512f")) found.push_back(avx512);
#endif
  return found;
}

}  // namespace cra::sim
