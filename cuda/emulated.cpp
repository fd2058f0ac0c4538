// The kernels on the host.
#include <functional>

#include "cuda/cuda.h"
#include "cuda/engine.h"
#include "cuda/machine.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_emulated_engine(const attention::Shape& shape,
                                                        Precision precision, bool backwards) {
  return make_device_engine<HostMachine>(shape, precision,
                                         [backwards] { return HostMachine(backwards); });
}

}  // namespace cra::cuda
