// cra bench: how fast the stages run here. Not a test: figures are for people, compared within one
// call.
#include "tools/bench.h"

#include "tools/commands.h"

namespace cra::tools {

int bench(const Arguments& a) {
  if (a.files[0] == "sim") return bench_sim(a);
  if (a.files[0] == "bound") return bench_bound(a);
  if (a.files[0] == "attention") return bench_attention(a);
  if (a.files[0] == "train") return bench_train(a);
  if (a.files[0] == "cuda") return bench_cuda(a);
  throw UsageError("cra bench: unknown stage \"" + a.files[0] +
                   "\"; known stages: sim, attention, train, bound, cuda");
}

}  // namespace cra::tools
