// cuda/engines.h: what is made for each way of making products, compiled one by one: the kernels
// are the long part of the build.
#pragma once

#include <memory>
#include <vector>

#include "cuda/bench.h"
#include "cuda/engine.h"

namespace cra::cuda {

/// \tparam M  a machine
template <class M, Precision P>
struct Engines {
  static std::unique_ptr<attention::Engine> engine(const attention::Shape& s,
                                                   std::function<M()> machine) {
    return std::make_unique<DeviceEngine<M, P>>(s, std::move(machine));
  }
  static std::unique_ptr<Core> core(const CoreShape& s, M machine) {
    return std::make_unique<CoreOn<M, P>>(s, std::move(machine));
  }
  static void bench(M& machine, const BenchPlan& plan, std::vector<BenchRow>& rows) {
    bench_rows<P>(machine, plan, rows);
  }
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
