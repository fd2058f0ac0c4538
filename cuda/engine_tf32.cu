#include "cuda/device_machine.cuh"
#include "cuda/engine.h"
#include "cuda/engines.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_tf32_engine(const attention::Shape& shape) {
  return std::make_unique<DeviceEngine<DeviceMachine, Precision::tf32>>(
      shape, [] { return DeviceMachine(); });
}

}  // namespace cra::cuda
