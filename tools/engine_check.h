// tools/engine_check.h: an attention engine held against the exact one, on random batches of every
// kind and of sizes that fit no tile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "cuda/cuda.h"

namespace cra::tools {

struct EngineCase {
  attention::Shape shape;
  int nodes = 1;
  std::int64_t environments = 1;
  bool removed = false;  ///< some nodes are, and all of one environment
  /// E.g. "multihead, width 64, 4 heads, 2 layers, 33 nodes, 5 environments".
  std::string text() const;
};

/// Every kind, control and head width, at several numbers of nodes.
/// \param large  also those that only a device is fast enough for
std::vector<EngineCase> engine_cases(bool large);

/// The largest error of one array. Of embeddings, of attention and of the core's results it is
/// relative to the largest number of the row; of gradients to the largest of the tensor or head,
/// and a tensor that is small beside the others counts as a tenth of their largest.
struct ArrayError {
  std::string name;  ///< "embedding", "received", or of a gradient e.g. "by query.weight"
  double error = 0;  ///< infinite when one of the two is not a number
  bool gradient = false;
};

/// What two engines make of the same random batch: forward, received, backward.
/// \param other  of the same shape
std::vector<ArrayError> compare_engines(const attention::Engine& exact,
                                        const attention::Engine& other, const EngineCase& c);

/// Whether an engine gives the same bits twice, whichever way it goes about a pass the second time.
bool repeats(const attention::Engine& engine, const EngineCase& c);

/// Sizes of attention's core alone.
std::vector<cuda::CoreShape> core_shapes(bool large);

/// What a core makes of random rows, against the formulas in double on the same rows after they
/// were rounded to what the precision keeps.
std::vector<ArrayError> compare_core(cuda::Core& core, const cuda::CoreShape& shape,
                                     cuda::Precision precision);

/// What a row of `cra bench cuda` has left behind, against the formulas in double: the largest
/// error of the last environment, of a core the gradients' too.
double error_of(const cuda::BenchRow& row);

/// Largest error of compare_core() that is let pass: 1e-5 for fp32, 2e-2 for bf16.
double allowed_of_core(cuda::Precision precision);
/// Largest error of compare_engines() that is let pass. What passes an encoder is rounded at some
/// twenty places, by half a unit in the last place of what the precision keeps, and what comes back
/// at twice as many; fp32 must stay within 1e-5 all the same.
double allowed_of_encoder(cuda::Precision precision, bool gradient);

}  // namespace cra::tools
