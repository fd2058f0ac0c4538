// cuda/engines_made.h: how what engines.h declares is made.
#pragma once

#include <utility>

#include "cuda/bench.h"
#include "cuda/core_work.h"
#include "cuda/engine.h"
#include "cuda/engines.h"

namespace cra::cuda {

template <class M, Precision P>
std::unique_ptr<attention::Engine> Engines<M, P>::engine(const attention::Shape& s,
                                                         std::function<M()> machine) {
  return std::make_unique<DeviceEngine<M, P>>(s, std::move(machine));
}
template <class M, Precision P>
std::unique_ptr<Core> Engines<M, P>::core(const CoreShape& s, M machine) {
  return std::make_unique<CoreOn<M, P>>(s, std::move(machine));
}
template <class M, Precision P>
void Engines<M, P>::bench(M& machine, const BenchPlan& plan, std::vector<BenchRow>& rows) {
  bench_rows<P>(machine, plan, rows);
}

}  // namespace cra::cuda
