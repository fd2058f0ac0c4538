// The seam in a build with the CUDA toolkit: what GPUs there are. The runtime is linked statically
// and finds the driver by itself, so the same program starts on machines without one.
#include <cuda_runtime.h>

#include <optional>

#include "cuda/bench_copy.h"
#include "cuda/cuda.h"
#include "cuda/device_machine.cuh"
#include "cuda/engines.h"

namespace cra::cuda {

namespace {

// The oldest GPUs with the matrix instructions that the kernels are made of.
constexpr int kLeastMajor = 8;

// Properties of a GPU, nothing when the driver has none for it.
std::optional<cudaDeviceProp> properties_of(int number) {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, number) == cudaSuccess) return properties;
  static_cast<void>(cudaGetLastError());
  return std::nullopt;
}

// The GPU that engines are made on: the first that the driver shows.
cudaDeviceProp need_device() {
  const std::optional<cudaDeviceProp> first = properties_of(0);
  CRA_CHECK(first, "no usable GPU: " + describe() + "; use --device cpu");
  CRA_CHECK(first->major >= kLeastMajor,
            std::string("the GPU ") + first->name + " has compute capability " +
                std::to_string(first->major) + "." + std::to_string(first->minor) +
                ", and 8.0 is needed; use --device cpu, or show another one first with " +
                "CUDA_VISIBLE_DEVICES");
  return *first;
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
    const std::optional<cudaDeviceProp> properties = properties_of(i);
    if (properties && properties->major >= kLeastMajor) names.emplace_back(properties->name);
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
  const cudaDeviceProp properties = need_device();
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
