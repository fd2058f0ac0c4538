// agents/bound_lanes_dense.h: NewtonKernel::factor and solve.
#pragma once

#include "agents/bound_lanes.h"

namespace cra::agents {
namespace {

constexpr int kRows = 4;    // of a tile of the factorisation
constexpr int kPanel = 32;  // rows that are factored before the rest hears of them

/// Tile of `kRows` rows and V vectors: to += sign * sum_p left[p]' right[p], p < count.
template <int V, bool Plus>
CRA_INLINE void add_tile(double* to, const double* left, const double* right, int count,
                         long step) {
  Lanes sum[kRows][V];
  for (int i = 0; i < kRows; ++i)
    for (int v = 0; v < V; ++v) sum[i][v] = load(to + i * step + v * kLanes);
  for (int p = 0; p < count; ++p, left += step, right += step) {
    Lanes x[V];
    for (int v = 0; v < V; ++v) x[v] = load(right + v * kLanes);
    for (int i = 0; i < kRows; ++i)
      for (int v = 0; v < V; ++v)
        sum[i][v] = Plus ? sum[i][v] + left[i] * x[v] : sum[i][v] - left[i] * x[v];
  }
  for (int i = 0; i < kRows; ++i)
    for (int v = 0; v < V; ++v) store(to + i * step + v * kLanes, sum[i][v]);
}

constexpr int kWide = 2 * kLanes;  // columns of a tile of two vectors

/// Columns of the tile that begins at j and ends before `end`.
CRA_INLINE int tile_width(int j, int end) { return j + kWide <= end ? kWide : kLanes; }

CRA_INLINE void add_any_tile(double* to, const double* left, const double* right, int count,
                             long step, int wide, bool plus) {
  if (wide == kWide)
    plus ? add_tile<2, true>(to, left, right, count, step)
         : add_tile<2, false>(to, left, right, count, step);
  else
    plus ? add_tile<1, true>(to, left, right, count, step)
         : add_tile<1, false>(to, left, right, count, step);
}

/// Rows k .. k + kRows - 1, columns [begin, end), once all rows above them have been subtracted.
CRA_INLINE void finish_rows(const DenseFactor& f, int k, int begin, int end) {
  const long step = f.size;
  for (int i = k; i < k + kRows; ++i) {
    double* row = f.a + i * step;
    for (int j = begin; j < end; j += kLanes) store(row + j, f.over[i] * load(row + j));
    for (int below = i + 1; below < k + kRows; ++below) {
      const double by = f.a[i * step + below];
      double* to = f.a + below * step;
      for (int j = begin; j < end; j += kLanes) store(to + j, load(to + j) - by * load(row + j));
    }
  }
}

/// Factors the square [i, end), on whose rows those above i have worked already.
CRA_INLINE bool factor_square(const DenseFactor& f, int i, int end) {
  const long step = f.size;
  for (int k = i; k < end; k += kRows) {
    for (int j = block_of(k), wide = 0; j < end; j += wide) {
      wide = tile_width(j, end);
      add_any_tile(f.a + k * step + j, f.a + i * step + k, f.a + i * step + j, k - i, step, wide,
                   false);
    }
    for (int row = k; row < k + kRows; ++row) {
      double* at = f.a + row * step;
      if (!(at[row] > 0)) return false;
      const double over = f.over[row] = 1 / __builtin_sqrt(at[row]);
      for (int j = block_of(row); j < end; j += kLanes) store(at + j, over * load(at + j));
      for (int below = row + 1; below < k + kRows; ++below) {
        const double by = at[below];
        double* to = f.a + below * step;
        for (int j = block_of(below); j < end; j += kLanes)
          store(to + j, load(to + j) - by * load(at + j));
      }
    }
  }
  return true;
}

bool factor(const DenseFactor& f) {
  const long step = f.size;
  for (int i = 0, end = 0; i < f.size; i = end) {
    const int border = i < f.turned ? f.turned : f.size;
    end = i + kPanel < border ? i + kPanel : border;
    if (!factor_square(f, i, end)) return false;
    for (int j = end, wide = 0; j < f.size; j += wide) {
      wide = tile_width(j, f.size);
      for (int k = i; k < end; k += kRows) {
        add_any_tile(f.a + k * step + j, f.a + i * step + k, f.a + i * step + j, k - i, step, wide,
                     false);
        finish_rows(f, k, j, j + wide);
      }
      for (int row = end; row < j + wide; row += kRows)
        add_any_tile(f.a + row * step + j, f.a + i * step + row, f.a + i * step + j, end - i, step,
                     wide, i < f.turned && row >= f.turned);
    }
  }
  return true;
}

/// to -= by * x in columns [begin, end), which are whole blocks.
CRA_INLINE void add_row(double* to, const double* x, double by, int begin, int end) {
  for (int j = begin; j < end; j += kLanes) store(to + j, load(to + j) - by * load(x + j));
}

/// Sum over [begin, end) in eight parts: column j goes to part j mod 8.
CRA_INLINE double dot(const double* x, const double* y, int begin, int end) {
  Lanes part[kParts] = {};
  for (int j = begin; j < end; j += kLaneBlock)
    for (int i = 0; i < kParts; ++i) part[i] += load(x + j + i * kLanes) * load(y + j + i * kLanes);
  double s[kLaneBlock];
  std::memcpy(s, part, sizeof s);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// Columns left of the diagonal hold garbage in the block that the diagonal is in, so that block is
// summed by hand.
void solve(const DenseFactor& f, double* b) {
  const long step = f.size;
  for (int k = 0; k < f.size; ++k) {
    const double* row = f.a + k * step;
    const double y = b[k] *= f.over[k];
    const int next = block_of(k) + kLaneBlock;
    for (int j = k + 1; j < next; ++j) b[j] -= row[j] * y;
    if (k < f.turned) {
      add_row(b, row, y, next, f.turned);
      add_row(b, row, -y, f.turned, f.size);
    } else {
      add_row(b, row, y, next, f.size);
    }
  }
  for (int k = f.size - 1; k >= 0; --k) {
    const double* row = f.a + k * step;
    const int next = block_of(k) + kLaneBlock;
    double sum = 0;
    for (int j = next - 1; j > k; --j) sum += row[j] * b[j];
    if (k < f.turned) {
      sum += dot(row, b, next, f.turned);
      b[k] = (dot(row, b, f.turned, f.size) - b[k] - sum) * f.over[k];
    } else {
      b[k] = (b[k] - (sum + dot(row, b, next, f.size))) * f.over[k];
    }
  }
}

}  // namespace
}  // namespace cra::agents
