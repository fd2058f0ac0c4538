// attention/kernels_lanes.h: the kernels of kernels.h, for the instruction set that the including
// file is compiled for. In an unnamed namespace, and without templates of the standard library, for
// the reason that sim/simd.h gives.
#pragma once

#include <cstdint>

#include "attention/formulas.h"
#include "attention/kernels.h"
#include "attention/lanes.h"
#include "attention/norm_lanes.h"

namespace cra::attention {
namespace {

template <class T>
struct Job {
  Strided<T> a;
  const T* b;
  std::int64_t ldb;
  T* c;
  std::int64_t ldc;
  std::int64_t inner;
  const T* start;
  Into into;
};

// Rows x Count vectors of C at (i, j), held in registers over the whole inner loop. V has Width
// lanes of T; it is T itself for the last few columns.
template <class V, int Width, int Rows, int Count, class T>
inline void tile(const Job<T>& p, std::int64_t i, std::int64_t j) {
  // Unrolled, or the sums live in memory.
  V sum[Rows][Count];
#pragma GCC unroll 16
  for (int v = 0; v < Count; ++v) {
    const V first = p.start ? load<V>(p.start + j + v * Width) : V{};
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sum[r][v] = first;
  }
  const T* a = p.a.data + i * p.a.row;
  const T* b = p.b + j;
  const std::int64_t row = p.a.row;
  for (std::int64_t k = 0; k < p.inner; ++k, a += p.a.col, b += p.ldb) {
    V right[Count];
#pragma GCC unroll 16
    for (int v = 0; v < Count; ++v) right[v] = load<V>(b + v * Width);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const V left = all<V>(a[r * row]);
#pragma GCC unroll 16
      for (int v = 0; v < Count; ++v) sum[r][v] = fused(left, right[v], sum[r][v]);
    }
  }
  const bool add = p.into == Into::add;
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    T* const c = p.c + (i + r) * p.ldc + j;
#pragma GCC unroll 16
    for (int v = 0; v < Count; ++v)
      store(c + v * Width, add ? load<V>(c + v * Width) + sum[r][v] : sum[r][v]);
  }
}

// Sums in flight hide the latency of an addition: four on two units ask for eight, and where there
// are registers for them sixteen, which share what they load.
#if defined(__AVX512F__)
constexpr int kSums = 16;
#else
constexpr int kSums = 8;
#endif

// Rows from i on in blocks of Rows, and what is left in smaller ones.
template <class V, int Width, int Rows, int Count, class T>
inline void row_blocks(const Job<T>& p, std::int64_t rows, std::int64_t i, std::int64_t j) {
  for (; i + Rows <= rows; i += Rows) tile<V, Width, Rows, Count>(p, i, j);
  if constexpr (Rows > 1) row_blocks<V, Width, Rows / 2, Count>(p, rows, i, j);
}

template <class V, int Width, int Count, class T>
inline void column_block(const Job<T>& p, std::int64_t rows, std::int64_t j) {
  row_blocks<V, Width, kSums / Count, Count>(p, rows, 0, j);
}

template <class T>
void multiply_lanes(Strided<T> a, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
                    std::int64_t rows, std::int64_t inner, std::int64_t cols, const T* start,
                    Into into) {
  using Vector = typename Lanes<T>::Vector;
  using Middle = typename Lanes<T>::Middle;
  using Short = typename Lanes<T>::Short;
  constexpr int kWide = Lanes<T>::count, kHalf = sizeof(Middle) / sizeof(T),
                kNarrow = 16 / sizeof(T);
  const Job<T> p{a, b, ldb, c, ldc, inner, start, into};
  std::int64_t j = 0;
  for (; j + 2 * kWide <= cols; j += 2 * kWide) column_block<Vector, kWide, 2>(p, rows, j);
  for (; j + kWide <= cols; j += kWide) column_block<Vector, kWide, 1>(p, rows, j);
  for (; j + kHalf <= cols; j += kHalf) column_block<Middle, kHalf, 1>(p, rows, j);
  for (; j + kNarrow <= cols; j += kNarrow) column_block<Short, kNarrow, 1>(p, rows, j);
  for (; j < cols; ++j) column_block<T, 1, 1>(p, rows, j);
}

// Four columns of four rows at a time, each column one vector of 16 bytes.
inline void turn_square(const float* x, std::int64_t stride, float scale, float* out,
                        std::int64_t width) {
  using V = Lanes<float>::Short;
  const V a = load<V>(x), b = load<V>(x + stride), c = load<V>(x + 2 * stride),
          d = load<V>(x + 3 * stride);
  const V ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
          cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
          ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7),
          cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(out, scale * __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
  store(out + width, scale * __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
  store(out + 2 * width, scale * __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5));
  store(out + 3 * width, scale * __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7));
}
inline void turn_square(const double* x, std::int64_t stride, double scale, double* out,
                        std::int64_t width) {
  for (int i = 0; i < 4; ++i)
    for (int c = 0; c < 4; ++c) out[c * width + i] = scale * x[i * stride + c];
}

template <class T>
void turn_lanes(const T* x, std::int64_t stride, int rows, int size, T scale, T* out) {
  const int width = padded<T>(rows), squares = rows / 4 * 4;
  int c = 0;
  for (; c + 4 <= size; c += 4)
    for (int i = 0; i < squares; i += 4)
      turn_square(x + i * stride + c, stride, scale, out + std::int64_t{c} * width + i, width);
  for (int done = c; done < size; ++done)
    for (int i = 0; i < squares; ++i)
      out[std::int64_t{done} * width + i] = scale * x[i * stride + done];
  for (c = 0; c < size; ++c) {
    T* const row = out + std::int64_t{c} * width;
    for (int i = squares; i < rows; ++i) row[i] = scale * x[i * stride + c];
    for (int i = rows; i < width; ++i) row[i] = 0;
  }
}

template <class T>
void softmax_lanes(T* a, int nodes, int lookers) {
  using V = typename Lanes<T>::Vector;
  const int width = padded<T>(lookers);
  for (int i = 0; i < lookers; i += Lanes<T>::count) {
    T* const column = a + i;
    V top = load<V>(column);
    for (int j = 1; j < nodes; ++j) {
      const V score = load<V>(column + std::int64_t{j} * width);
      top = score > top ? score : top;
    }
    V sum{};
    for (int j = 0; j < nodes; ++j) {
      T* const at = column + std::int64_t{j} * width;
      const V weight = exp_nonpositive(load<V>(at) - top);
      store(at, weight);
      sum += weight;
    }
    const V inverse = T{1} / sum;
    for (int j = 0; j < nodes; ++j) {
      T* const at = column + std::int64_t{j} * width;
      store(at, load<V>(at) * inverse);
    }
  }
}

template <class T>
void softmax_backward_lanes(const T* a, T scale, int nodes, int lookers, T* d_a) {
  using V = typename Lanes<T>::Vector;
  const int width = padded<T>(lookers);
  for (int i = 0; i < lookers; i += Lanes<T>::count) {
    V mean{};
    for (int j = 0; j < nodes; ++j) {
      const std::int64_t at = std::int64_t{j} * width + i;
      mean = fused(load<V>(a + at), load<V>(d_a + at), mean);
    }
    for (int j = 0; j < nodes; ++j) {
      const std::int64_t at = std::int64_t{j} * width + i;
      store(d_a + at, scale * softmax_slope(load<V>(a + at), load<V>(d_a + at), mean));
    }
  }
}

// A sum over lookers, see norm_lanes.h.
template <class T>
struct PartialSums {
  using V = typename Lanes<T>::Vector;
  static constexpr int vectors = kParts / Lanes<T>::count;
  V sum[vectors] = {};

  // \param i  first looker of the vector
  void add(int i, V v) { sum[i / Lanes<T>::count % vectors] += v; }
  T total() const {
    T part[kParts];
    for (int k = 0; k < vectors; ++k) store(part + std::int64_t{k} * Lanes<T>::count, sum[k]);
    return total_of(part);
  }
};

template <class T>
void additive_scores_lanes(const Head<const T>& head, const T* v, T scale, T* scratch, T* a) {
  using V = typename Lanes<T>::Vector;
  const int width = padded<T>(head.lookers);
  turn_lanes(head.query, head.query_stride, head.lookers, head.size, T{1}, scratch);
  for (int j = 0; j < head.nodes; ++j) {
    const T* const key = head.key + j * head.stride;
    T* const row = a + std::int64_t{j} * width;
    for (int i = 0; i < head.lookers; i += Lanes<T>::count) {
      V sum{};
      for (int c = 0; c < head.size; ++c)
        sum =
            fused(all<V>(v[c]),
                  hyperbolic_tangent(load<V>(scratch + std::int64_t{c} * width + i) + key[c]), sum);
      store(row + i, scale * sum);
    }
  }
}

// tanh is computed again: keeping N^2 d of them would not fit where N^2 weights do.
template <class T>
void additive_backward_lanes(const Head<const T>& head, const T* v, const T* d_score, T* scratch,
                             const Head<T>& d_head, T* d_v) {
  using V = typename Lanes<T>::Vector;
  const int n = head.nodes, size = head.size, width = padded<T>(head.lookers);
  T* const query = scratch;                                 // [size, width]
  T* const d_query = scratch + std::int64_t{size} * width;  // [size, width]
  turn_lanes(head.query, head.query_stride, head.lookers, size, T{1}, query);
  for (int c = 0; c < size; ++c) {
    const T* const q = query + std::int64_t{c} * width;
    T* const d_q = d_query + std::int64_t{c} * width;
    for (int i = 0; i < width; ++i) d_q[i] = 0;
    PartialSums<T> of_v;
    for (int j = 0; j < n; ++j) {
      const T key = head.key[j * head.stride + c];
      const T* const d = d_score + std::int64_t{j} * width;
      PartialSums<T> of_key;
      for (int i = 0; i < head.lookers; i += Lanes<T>::count) {
        const V y = hyperbolic_tangent(load<V>(q + i) + key), d_s = load<V>(d + i);
        const V d_sum = d_s * v[c] * tanh_slope<T>(y);
        store(d_q + i, load<V>(d_q + i) + d_sum);
        of_key.add(i, d_sum);
        of_v.add(i, d_s * y);
      }
      d_head.key[j * d_head.stride + c] = of_key.total();
    }
    d_v[c] += of_v.total();
    for (int i = 0; i < head.lookers; ++i) d_head.query[i * d_head.query_stride + c] = d_q[i];
  }
}

template <class T>
void tanh_lanes(T* x, std::int64_t size) {
  using V = typename Lanes<T>::Vector;
  constexpr std::int64_t count = Lanes<T>::count;
  std::int64_t i = 0;
  for (; i + count <= size; i += count) store(x + i, hyperbolic_tangent(load<V>(x + i)));
  if (i < size) {
    T rest[count] = {};
    for (std::int64_t k = i; k < size; ++k) rest[k - i] = x[k];
    store(rest, hyperbolic_tangent(load<V>(rest)));
    for (std::int64_t k = i; k < size; ++k) x[k] = rest[k - i];
  }
}

// What the processor can do at best. Twelve chains hide a latency of four on two units, and fit
// sixteen registers. Each starts somewhere else: a compiler makes one of those that are equal.
inline double peak() {
  constexpr int kChains = 12, kRounds = 1 << 14;
  Floats sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = all<Floats>(static_cast<float>(i));
  const Floats factor = all<Floats>(0.5f), term = all<Floats>(1.f);
  for (int r = 0; r < kRounds; ++r)
    for (Floats& s : sum) s = kFused ? fused(s, factor, term) : s * factor + term;
  Floats total{};
  for (const Floats& s : sum) total += s;
  // Every chain ends at 2: the result is needed, so that no compiler leaves the work out.
  const bool sound = total[0] == 2 * kChains;
  return sound ? 2.0 * kChains * kRounds * Lanes<float>::count : 0;
}

template <class T>
Kernels<T> kernels_here(const char* name) {
  return {name,
          Lanes<T>::count,
          multiply_lanes<T>,
          turn_lanes<T>,
          softmax_lanes<T>,
          softmax_backward_lanes<T>,
          additive_scores_lanes<T>,
          additive_backward_lanes<T>,
          tanh_lanes<T>,
          layer_norm_lanes<T>,
          layer_norm_backward_lanes<T>,
          peak};
}

}  // namespace
}  // namespace cra::attention
