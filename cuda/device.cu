// The seam in a build with the CUDA toolkit: what GPUs there are. The runtime is linked statically
// and finds the driver by itself, so the same program starts on machines without one.
#include <cuda_runtime.h>

#include "cuda/cuda.h"
#include "cuda/engines.h"

namespace cra::cuda {
namespace {

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

std::unique_ptr<attention::Engine> make_engine(const attention::Shape& shape,
                                               Precision precision) {
  CRA_CHECK(!devices().empty(), "no usable GPU: " + describe() + "; use --device cpu");
  switch (precision) {
    case Precision::tf32: return make_tf32_engine(shape);
    case Precision::bf16: return make_bf16_engine(shape);
    default: return make_fp32_engine(shape);
  }
}

}  // namespace cra::cuda
