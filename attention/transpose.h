// attention/transpose.h: rows of a head turned into lanes.
#pragma once

#include <cstdint>

#include "attention/lanes.h"

namespace cra::attention {

/// out[c, i] = scale * x[i, c]; zeros behind the last row.
///
/// \param x    [rows, size], rows `stride` apart
/// \param out  [size, padded(rows)]
template <class T>
void transpose(const T* x, std::int64_t stride, int rows, int size, T scale, T* out) {
  const int width = padded<T>(rows);
  for (int c = 0; c < size; ++c) {
    T* const row = out + std::int64_t{c} * width;
    for (int i = 0; i < rows; ++i) row[i] = scale * x[i * stride + c];
    for (int i = rows; i < width; ++i) row[i] = 0;
  }
}

}  // namespace cra::attention
