// The kernels on the host.
#include "cuda/bench_copy.h"
#include "cuda/cuda.h"
#include "cuda/engines_made.h"
#include "cuda/machine.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_emulated_engine(const attention::Shape& shape,
                                                        Precision precision, bool backwards) {
  return with_precision<HostMachine>(precision, [&](auto engines) {
    return engines.engine(shape, [backwards] { return HostMachine(backwards); });
  });
}

std::unique_ptr<Core> make_emulated_core(const CoreShape& shape, Precision precision) {
  return with_precision<HostMachine>(
      precision, [&](auto engines) { return engines.core(shape, HostMachine()); });
}

float rounded_to_bf16(float x) { return widen(narrow(x)); }

BenchReport bench_emulated(const BenchPlan& plan) {
  HostMachine machine;
  BenchReport report{"the host, lane by lane", "none", bench_copy(machine, plan), {}};
  for (const Precision p : {Precision::fp32, Precision::tf32, Precision::bf16})
    with_precision<HostMachine>(
        p, [&](auto engines) { return engines.bench(machine, plan, report.rows); });
  return report;
}

}  // namespace cra::cuda
