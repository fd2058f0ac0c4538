// The kernels of bound_schur.h, for the instruction set that the including file is compiled for.
//
// Everything is in an unnamed namespace and nothing comes from a template of the standard library:
// a function with a common name compiled for AVX-512 here could be the copy that the linker keeps
// for the whole program.
#pragma once

#include <cstring>

#include "agents/bound_schur.h"

namespace cra::agents {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
using Lanes = double __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 8;
constexpr int kParts = kLaneBlock / kLanes;  // vectors in a block of lanes
constexpr int kRows = 4;                     // of a tile of the factorisation
constexpr int kPanel = 32;                   // rows that are factored before the rest hears of them

#define CRA_INLINE inline __attribute__((always_inline))

CRA_INLINE Lanes load(const double* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
CRA_INLINE void store(double* p, Lanes v) { std::memcpy(p, &v, sizeof v); }
CRA_INLINE int block_of(int i) { return i / kLaneBlock * kLaneBlock; }

// ---- the sweep of a chain ------------------------------------------------------------------

/// to = sum_j by[j] * from[j], lanes [begin, end). \param H  terms, or 0: `terms` of them
template <int H>
CRA_INLINE void combine(double* to, const double* const* from, const double* by, int terms,
                        int begin, int end) {
  const int count = H > 0 ? H : terms;
  for (int t = begin; t < end; t += kLanes) {
    Lanes sum = by[0] * load(from[0] + t);
    for (int j = 1; j < count; ++j) sum += by[j] * load(from[j] + t);
    store(to + t, sum);
  }
}

CRA_INLINE void combine_any(double* to, const double* const* from, const double* by, int terms,
                            int begin, int end) {
  switch (terms) {
    case 1:
      return combine<1>(to, from, by, 1, begin, end);
    case 2:
      return combine<2>(to, from, by, 2, begin, end);
    case 3:
      return combine<3>(to, from, by, 3, begin, end);
    case 4:
      return combine<4>(to, from, by, 4, begin, end);
    case 5:
      return combine<5>(to, from, by, 5, begin, end);
    default:
      return combine<0>(to, from, by, terms, begin, end);
  }
}

constexpr int kMostTerms = 64;  // joined at a time; more are added in further rounds

struct Ring {
  const ChainSweep& c;
  int lanes, row_size, mask;
  CRA_INLINE double* row(int variable) const {
    return c.room + static_cast<long>(variable & mask) * row_size;
  }
  CRA_INLINE double* product() const { return c.room + static_cast<long>(mask + 1) * row_size; }
};

/// Row r of all lanes from slot t + 2 on; the caller sets those of slots t and t + 1.
CRA_INLINE void step_up(const Ring& ring, int r, int t) {
  const ChainSweep& c = ring.c;
  const int last = c.slots * c.width - 1, begin = block_of(t + 2);
  const double* a = c.band;
  const int step = c.half + 1;
  const double over = a[static_cast<long>(r) * step + c.half];
  const int reach = c.half < last - r ? c.half : last - r;
  for (int done = 0; done < reach; done += kMostTerms - 1) {
    double by[kMostTerms];
    const double* from[kMostTerms];
    int terms = 0;
    for (int q = 0; q < c.patterns; ++q) {
      double* to = ring.row(r) + q * ring.lanes;
      terms = 0;
      if (done > 0) by[terms] = 1, from[terms++] = to;
      for (int j = done + 1; j <= reach && j < done + kMostTerms; ++j) {
        by[terms] = -over * a[static_cast<long>(r + j) * step + c.half - j];
        from[terms++] = ring.row(r + j) + q * ring.lanes;
      }
      combine_any(to, from, by, terms, begin, ring.lanes);
    }
  }
}

/// The products of row s of every pattern with all lanes from s on.
CRA_INLINE void join(const Ring& ring, int s) {
  const ChainSweep& c = ring.c;
  const int begin = block_of(s);
  for (int other = 0; other < c.patterns; ++other) {
    const int first = c.first[other * c.slots + s], end = c.first[other * c.slots + s + 1];
    for (int q = 0; q < c.patterns; ++q) {
      double* product = ring.product() + q * ring.lanes;
      bool made = false;
      for (int i = 0; i < c.join_count; ++i) {
        const JoinTarget& join = c.joins[i];
        if (join.other != other || join.pattern != q) continue;
        if (!made) {
          for (int at = first; at < end; at += kMostTerms - 1) {
            double by[kMostTerms];
            const double* from[kMostTerms];
            int terms = 0;
            if (at > first) by[terms] = 1, from[terms++] = product;
            for (int e = at; e < end && e < at + kMostTerms - 1; ++e) {
              by[terms] = c.entries[e].by;
              from[terms++] = ring.row(c.entries[e].variable) + q * ring.lanes;
            }
            combine_any(product, from, by, terms, begin, ring.lanes);
          }
          made = true;
        }
        double* to = join.block + static_cast<long>(s) * c.stride;
        for (int t = begin; t < ring.lanes; t += kLanes)
          store(to + t, load(to + t) + join.by * load(product + t));
      }
    }
  }
}

void sweep(const ChainSweep& c) {
  const int lanes = lanes_of(c.slots);
  const Ring ring{c, lanes, c.patterns * lanes, ring_rows(c.width) - 1};
  // What another chain left, lanes that are not set yet would carry upward.
  std::memset(c.room, 0, sizeof(double) * sweep_room(c.width, c.patterns, c.slots));
  for (int t = c.slots - 1; t >= 0; --t) {
    for (int position = c.width - 1; position >= 0; --position) {
      const int r = t * c.width + position;
      step_up(ring, r, t);
      for (int q = 0; q < c.patterns; ++q) {
        double* x = ring.row(r) + q * lanes;
        const double* start = c.start + static_cast<long>(q * c.slots + t) * 2 * c.width + position;
        x[t] = start[c.width];
        if (t + 1 < c.slots) x[t + 1] = start[2 * c.width];
      }
    }
    if (t + 1 < c.slots) join(ring, t + 1);
  }
  join(ring, 0);
}

// ---- the factor of S -----------------------------------------------------------------------

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
