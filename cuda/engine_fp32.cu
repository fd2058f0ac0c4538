#include "cuda/device_machine.cuh"
#include "cuda/engine.h"
#include "cuda/engines.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_fp32_engine(const attention::Shape& shape) {
  return std::make_unique<DeviceEngine<DeviceMachine, Precision::fp32>>(
      shape, [] { return DeviceMachine(); });
}

}  // namespace cra::cuda
