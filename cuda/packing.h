// cuda/packing.h: where the parts of an encoder lie in its parameter block and in packed memory.
#pragma once

#include <string>
#include <vector>

#include "attention/attention.h"
#include "cuda/pack.h"

namespace cra::cuda {

/// A linear map: in the parameter block, and packed.
struct LinearPlace {
  std::int64_t source = 0, source_bias = -1;  ///< in the parameters; -1: no bias
  std::int64_t weight = 0, turned = 0;        ///< in the packed weights
  std::int64_t bias = -1;                     ///< in the packed vectors
  Axis outputs, inputs;
};
struct NormPlace {
  std::int64_t source_gain = 0, source_bias = 0;
  std::int64_t gain = 0, bias = 0;  ///< in the packed vectors
};

/// All of an encoder. Heads start at multiples of 8 wherever they are columns.
struct Packing {
  struct Layer {
    NormPlace norm1, norm2, points_norm;
    LinearPlace qkv, out, mlp0, mlp1, point_kv;
    std::int64_t additive = 0, source_additive = 0;              ///< in the packed vectors
    std::int64_t points = 0, point_rows = 0, source_points = 0;  ///< as vector, and as queries
  };
  explicit Packing(const attention::Shape& s);

  Axis features, plain, hidden, heads, points_plain, points_heads;
  LinearPlace embed0, embed1;
  std::vector<Layer> layers;
  NormPlace last;
  std::vector<PackJob> jobs;
  std::int64_t weights = 0, vectors = 0, warps = 0;  ///< sizes, and warps for all jobs
  std::int64_t parameters = 0;
  std::int64_t averages = -1, frozen = -1;  ///< tables of averaged weights; -1: none
};

}  // namespace cra::cuda
