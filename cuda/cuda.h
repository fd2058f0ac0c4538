// cuda/cuda.h: the GPU's seam. The only folder that may see a device pointer. Built without the
// CUDA toolkit the same symbols exist and say how to get them working.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "attention/attention.h"

namespace cra::cuda {

/// True when this program was built with the CUDA toolkit.
bool compiled();

/// Toolkit and driver versions, or why there is none; one line for `cra doctor`.
std::string describe();

/// Names of the usable GPUs, in the driver's order; empty without a GPU, a driver, or the toolkit.
std::vector<std::string> devices();

/// How products are made; sums are kept in float.
enum class Precision {
  fp32,  ///< each of three tf32 products, which keep 22 of 24 bits
  tf32,  ///< of numbers rounded to 11 bits
  bf16,  ///< of numbers rounded to 8 bits; activations are kept so too
};

/// The attention engine on the GPU. A cache has a stream of its own; gradients have the same bits
/// in every run, but not in calls of other sizes.
/// \throws Error  when this build or this machine cannot run it; the text says what to do
std::unique_ptr<attention::Engine> make_engine(const attention::Shape& shape,
                                               Precision precision = Precision::fp32);

/// The same kernels on the host, one lane after the other: to check them without a GPU, thousands
/// of times slower.
/// \param backwards  runs what may run in any order in reverse: nothing may change
std::unique_ptr<attention::Engine> make_emulated_engine(const attention::Shape& shape,
                                                        Precision precision,
                                                        bool backwards = false);

}  // namespace cra::cuda

template <>
struct cra::Choices<cra::cuda::Precision> {
  static constexpr std::array<const char*, 3> names{"fp32", "tf32", "bf16"};
};
