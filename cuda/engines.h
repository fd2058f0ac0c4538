// cuda/engines.h: what is made for each way of making products. The kernels are the long part of
// the build, so each way is compiled in a file of its own, from engines_made.h.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cuda/cuda.h"

namespace cra::cuda {

/// \tparam M  a machine
template <class M, Precision P>
struct Engines {
  static std::unique_ptr<attention::Engine> engine(const attention::Shape& s,
                                                   std::function<M()> machine);
  static std::unique_ptr<Core> core(const CoreShape& s, M machine);
  static void bench(M& machine, const BenchPlan& plan, std::vector<BenchRow>& rows);
};

/// Calls f(Engines<M, P>{}) for a precision that is known when the program runs.
template <class M, class Fn>
auto with_precision(Precision precision, Fn f) {
  switch (precision) {
    case Precision::tf32:
      return f(Engines<M, Precision::tf32>{});
    case Precision::bf16:
      return f(Engines<M, Precision::bf16>{});
    default:
      return f(Engines<M, Precision::fp32>{});
  }
}

}  // namespace cra::cuda
