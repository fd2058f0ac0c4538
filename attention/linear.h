// attention/linear.h: y = x W^T + b over the rows of all environments, forward and backward.
#pragma once

#include <algorithm>
#include <cstdint>

#include "attention/heads.h"
#include "attention/product.h"

namespace cra::attention {

/// Where a linear map lies in the parameter block.
struct Linear {
  std::int64_t weight;  ///< [outputs, inputs]
  std::int64_t bias;    ///< [outputs]; -1 = none
  int inputs, outputs;
};

/// Rows of environment e: first[e] up to first[e + 1].
struct Groups {
  const std::int64_t* first;
  std::int64_t count;
  std::int64_t rows() const { return first[count]; }
};

/// y = x W^T + b, or y += that. W is transposed first: rows of B must be contiguous in product.h.
/// \param turned  [inputs, padded(outputs)] scratch
template <class T>
void linear_forward(const Linear& l, const T* parameters, const T* x, std::int64_t rows, T* turned,
                    T* y, Into into) {
  turn(parameters + l.weight, l.inputs, l.outputs, l.inputs, T{1}, turned);
  multiply<T>({x, l.inputs, 1}, turned, padded<T>(l.outputs), y, l.outputs, rows, l.inputs,
              l.outputs, l.bias < 0 ? nullptr : parameters + l.bias, into);
}

/// d_W += d_y^T x and d_b += sum d_y, one environment after the other; d_x = d_y W unless d_x is
/// null. Each environment is summed by itself first: whoever shares the call, it adds the same
/// bits. \param sums  [outputs] scratch
template <class T>
void linear_backward(const Linear& l, const T* parameters, const T* x, const T* d_y,
                     const Groups& groups, T* sums, T* d_parameters, T* d_x) {
  for (std::int64_t e = 0; e < groups.count; ++e) {
    const std::int64_t first = groups.first[e], rows = groups.first[e + 1] - first;
    if (rows == 0) continue;
    const T* const d = d_y + first * l.outputs;
    multiply<T>({d, 1, l.outputs}, x + first * l.inputs, l.inputs, d_parameters + l.weight,
                l.inputs, l.outputs, rows, l.inputs, nullptr, Into::add);
    if (l.bias < 0) continue;
    std::copy(d, d + l.outputs, sums);
    for (std::int64_t n = 1; n < rows; ++n)
      for (int o = 0; o < l.outputs; ++o) sums[o] += d[n * l.outputs + o];
    for (int o = 0; o < l.outputs; ++o) d_parameters[l.bias + o] += sums[o];
  }
  if (d_x != nullptr)
    multiply<T>({d_y, l.outputs, 1}, parameters + l.weight, l.inputs, d_x, l.inputs, groups.rows(),
                l.outputs, l.inputs, nullptr, Into::overwrite);
}

}  // namespace cra::attention
