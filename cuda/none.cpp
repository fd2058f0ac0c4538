// The seam in a build without the CUDA toolkit: the same symbols, and what to do to get a GPU.
#include "cuda/cuda.h"

namespace cra::cuda {

bool compiled() { return false; }

std::string describe() {
  return "not built in; with the CUDA toolkit installed, configure again with -DCRA_CUDA=ON";
}

std::vector<std::string> devices() { return {}; }

namespace {

[[noreturn]] void refuse() {
  throw Error(
      "this program was built without CUDA; use --device cpu, or install the CUDA toolkit and "
      "configure again with -DCRA_CUDA=ON");
}

}  // namespace

std::unique_ptr<attention::Engine> make_engine(const attention::Shape& /*shape*/,
                                               Precision /*precision*/) {
  refuse();
}
std::unique_ptr<Core> make_core(const CoreShape& /*shape*/, Precision /*precision*/) { refuse(); }
BenchReport bench(const BenchPlan& /*plan*/) { refuse(); }

}  // namespace cra::cuda
