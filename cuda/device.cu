// The seam in a build with the CUDA toolkit: what GPUs there are. The runtime is linked statically
// and finds the driver by itself, so the same program starts on machines without one.
#include <cuda_runtime.h>

#include "cuda/cuda.h"
#include "cuda/device_machine.cuh"
#include "cuda/engines.h"

namespace cra::cuda {

extern template struct Engines<DeviceMachine, Precision::fp32>;
extern template struct Engines<DeviceMachine, Precision::tf32>;
extern template struct Engines<DeviceMachine, Precision::bf16>;

namespace {

void need_device() {
  CRA_CHECK(!devices().empty(), "no usable GPU: " + describe() + "; use --device cpu");
}

// 12040 -> "12.4"
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// The driver's CUDA version, 0 without a driver.
int driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) == cudaSuccess) return version;
  static_cast<void>(cudaGetLastError());  // the runtime keeps the last error; this one is answered
  return 0;
}

}  // namespace

bool compiled() { return true; }

std::string describe() {
  const std::string toolkit = "CUDA toolkit " + version_text(CUDART_VERSION);
  const int driver = driver_version();
  if (driver == 0) return toolkit + "; no driver on this machine";
  return toolkit + ", driver for CUDA " + version_text(driver);
}

std::vector<std::string> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {};
  }
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) == cudaSuccess)
      names.emplace_back(properties.name);
    else
      static_cast<void>(cudaGetLastError());
  }
  return names;
}

std::unique_ptr<attention::Engine> make_engine(const attention::Shape& shape, Precision precision) {
  need_device();
  return with_precision<DeviceMachine>(precision, [&](auto engines) {
    return engines.engine(shape, [] { return DeviceMachine(); });
  });
}

std::unique_ptr<Core> make_core(const CoreShape& shape, Precision precision) {
  need_device();
  return with_precision<DeviceMachine>(
      precision, [&](auto engines) { return engines.core(shape, DeviceMachine()); });
}

BenchReport bench(const BenchPlan& plan) {
  need_device();
  int number = 0;
  cudaDeviceProp properties;
  check_device(cudaGetDevice(&number), "asking for the device");
  check_device(cudaGetDeviceProperties(&properties, number), "asking for the device");
  DeviceMachine machine;
  BenchReport report{properties.name,
                     std::to_string(properties.major) + "." + std::to_string(properties.minor),
                     bench_copy(machine, plan),
                     {}};
  for (const Precision p : {Precision::fp32, Precision::tf32, Precision::bf16})
    with_precision<DeviceMachine>(
        p, [&](auto engines) { return engines.bench(machine, plan, report.rows); });
  return report;
}

}  // namespace cra::cuda
