// attention/product.h: the one matrix product of the CPU engine.
//
// Every product of the encoder, forward and backward, is C = A B with rows of B and C contiguous
// and A read by any two strides. Each element of C is one sum, in the order of the inner index,
// whatever the sizes around it: the result for a row does not depend on how many rows there are.
// Eigen 3.4 does not promise that (its last rows are summed in four parts), and its packing costs
// more than the product at our widths.
#pragma once

#include <cstdint>

namespace cra::attention {

/// Element (i, k) is data[i * row + k * col].
template <class T>
struct Strided {
  const T* data;
  std::int64_t row;
  std::int64_t col;
};

/// What happens to the old content of C.
enum class Into { overwrite, add };

/// C[i, j] = start[j] + sum_k A[i, k] B[k, j], or C[i, j] += that.
///
/// \param a      [rows, inner]
/// \param b      [inner, cols], rows `ldb` apart
/// \param c      [rows, cols], rows `ldc` apart; overlaps neither a nor b
/// \param start  [cols], or null for 0
template <class T>
void multiply(Strided<T> a, const T* b, std::int64_t ldb, T* c, std::int64_t ldc, std::int64_t rows,
              std::int64_t inner, std::int64_t cols, const T* start, Into into);

extern template void multiply(Strided<float>, const float*, std::int64_t, float*, std::int64_t,
                              std::int64_t, std::int64_t, std::int64_t, const float*, Into);
extern template void multiply(Strided<double>, const double*, std::int64_t, double*, std::int64_t,
                              std::int64_t, std::int64_t, std::int64_t, const double*, Into);

}  // namespace cra::attention
