// cuda/cuda.h: the GPU's seam. The only folder that may see a device pointer. Built without the
// CUDA toolkit the same symbols exist and say how to get them working.
#pragma once

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

/// The attention engine on the GPU.
/// \throws Error  when this build or this machine cannot run it; the text says what to do
std::unique_ptr<attention::Engine> make_engine(const attention::Shape& shape);

}  // namespace cra::cuda
