// attention/kernels.h: the loops of the CPU engine in which its time goes.
//
// One source (kernels_lanes.h) is compiled for several instruction sets, and the processor chooses
// at run time. Lanes of a vector never meet, sums over them have a fixed number of parts, and
// what is fused is fused everywhere (lanes.h): the bits do not depend on the choice.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/heads.h"
#include "attention/product.h"

namespace cra::attention {

/// One build of the loops. What they do is said in product.h and heads.h.
template <class T>
struct Kernels {
  const char* name;  ///< instruction set
  int lanes;         ///< of a vector
  void (*multiply)(Strided<T> a, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
                   std::int64_t rows, std::int64_t inner, std::int64_t cols, const T* start,
                   Into into);
  void (*turn)(const T* x, std::int64_t stride, int rows, int size, T scale, T* out);
  void (*softmax)(T* a, int nodes, int lookers);
  void (*softmax_backward)(const T* a, T scale, int nodes, int lookers, T* d_a);
  void (*additive_scores)(const Head<const T>& head, const T* v, T scale, T* scratch, T* a);
  void (*additive_backward)(const Head<const T>& head, const T* v, const T* d_score, T* scratch,
                            const Head<T>& d_head, T* d_v);
  void (*tanh)(T* x, std::int64_t size);  ///< in place
  void (*layer_norm)(const T* x, std::int64_t rows, int width, const T* gain, const T* bias,
                     T* unit, T* inverse_std, T* y);
  void (*layer_norm_backward)(const T* d_y, std::int64_t rows, int width, const T* gain,
                              const T* unit, const T* inverse_std, T* scratch, T* d_x, T* d_gain,
                              T* d_bias);
  double (*peak)();  ///< independent multiply-adds; \returns operations done
};

/// Those that this processor can run, slowest first.
const std::vector<Kernels<float>>& all_kernels();

/// Those that are used: the last of all, or what use_kernels() said. In double, for checking
/// gradients, there is one build.
template <class T>
const Kernels<T>& kernels();

/// For tests and measurements: makes the whole program use all_kernels()[i]. Not while an engine
/// runs. \returns what was used before
std::size_t use_kernels(std::size_t i);

/// Lookers whose columns the loops may touch: padding behind the last one up to a whole vector.
template <class T>
int whole_vectors(int lookers) {
  const int lanes = kernels<T>().lanes;
  return (lookers + lanes - 1) / lanes * lanes;
}

}  // namespace cra::attention
