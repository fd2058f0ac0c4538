// cuda/bench_copy.h: what memory gives, to hold kernels against.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/cuda.h"

namespace cra::cuda {

/// Read and write of a copy over `bytes`, GB/s.
template <class M>
double bench_copy(M& m, const BenchPlan& plan) {
  const std::int64_t count = plan.bytes / static_cast<std::int64_t>(sizeof(float));
  const auto from = m.template array<float>(count), to = m.template array<float>(count);
  m.zero(from.data(), count);
  std::vector<double> us =
      m.microseconds(plan.rounds, 4, [&](int) { m.copy(to.data(), from.data(), count); });
  std::sort(us.begin(), us.end());
  return 2 * double(plan.bytes) / us[us.size() / 2] / 1e3;
}

}  // namespace cra::cuda
