// The kernels on the host.
#include <functional>

#include "cuda/cuda.h"
#include "cuda/engine.h"
#include "cuda/machine.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_emulated_engine(const attention::Shape& shape,
                                                        Precision precision, bool backwards) {
  const auto machine = [backwards] { return HostMachine(backwards); };
  switch (precision) {
    case Precision::tf32:
      return std::make_unique<DeviceEngine<HostMachine, Precision::tf32>>(shape, machine);
    case Precision::bf16:
      return std::make_unique<DeviceEngine<HostMachine, Precision::bf16>>(shape, machine);
    default:
      return std::make_unique<DeviceEngine<HostMachine, Precision::fp32>>(shape, machine);
  }
}

}  // namespace cra::cuda
