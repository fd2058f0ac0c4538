// attention/kernels_lanes.h: the kernels of kernels.h, for the instruction set that the including
// file is compiled for. In an unnamed namespace, and without templates of the standard library, for
// the reason that lanes.h gives.
#pragma once

#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "attention/formulas.h"
#include "attention/kernels.h"
#include "attention/lanes.h"

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
  V sum[Rows][Count];
  for (int v = 0; v < Count; ++v) {
    const V first = p.start ? load<V>(p.start + j + v * Width) : V{};
    for (int r = 0; r < Rows; ++r) sum[r][v] = first;
  }
  const T* a = p.a.data + i * p.a.row;
  const T* b = p.b + j;
  const std::int64_t row = p.a.row;
  for (std::int64_t k = 0; k < p.inner; ++k, a += p.a.col, b += p.ldb) {
    V right[Count];
    for (int v = 0; v < Count; ++v) right[v] = load<V>(b + v * Width);
    for (int r = 0; r < Rows; ++r)
      for (int v = 0; v < Count; ++v) sum[r][v] += a[r * row] * right[v];
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Count; ++v) {
      T* c = p.c + (i + r) * p.ldc + j + v * Width;
      store(c, p.into == Into::add ? load<V>(c) + sum[r][v] : sum[r][v]);
    }
}

// Sums in flight hide the latency of an addition: eight of them, and with twice the registers twice
// as many.
template <class V, int Width, int Count, class T>
inline void column_block(const Job<T>& p, std::int64_t rows, std::int64_t j) {
  constexpr int kRows = 8 / Count;
  std::int64_t i = 0;
  for (; i + kRows <= rows; i += kRows) tile<V, Width, kRows, Count>(p, i, j);
  if constexpr (kRows > 4) {
    if (i + 4 <= rows) {
      tile<V, Width, 4, Count>(p, i, j);
      i += 4;
    }
  }
  if (i + 2 <= rows) {
    tile<V, Width, 2, Count>(p, i, j);
    i += 2;
  }
  if (i < rows) tile<V, Width, 1, Count>(p, i, j);
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
    for (int j = 0; j < nodes; ++j) {
      T* const at = column + std::int64_t{j} * width;
      store(at, load<V>(at) / sum);
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
      mean += load<V>(a + at) * load<V>(d_a + at);
    }
    for (int j = 0; j < nodes; ++j) {
      const std::int64_t at = std::int64_t{j} * width + i;
      store(d_a + at, scale * softmax_slope(load<V>(a + at), load<V>(d_a + at), mean));
    }
  }
}

// A sum over lookers in sixteen interleaved parts, added up in one order: the same bits whether a
// vector has two lanes or sixteen.
constexpr int kParts = 16;

template <class T>
struct PartialSums {
  using V = typename Lanes<T>::Vector;
  static constexpr int vectors = kParts / Lanes<T>::count;
  V part[vectors] = {};

  // \param i  first looker of the vector
  void add(int i, V v) { part[i / Lanes<T>::count % vectors] += v; }
  T total() const {
    T p[kParts];
    for (int k = 0; k < vectors; ++k) store(p + std::int64_t{k} * Lanes<T>::count, part[k]);
    for (int half = kParts / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) p[k] += p[k + half];
    return p[0];
  }
};

// query[c, i] = q_i[c]; zeros behind the last looker.
template <class T>
void turn(const Head<const T>& head, T* query) {
  const int width = padded<T>(head.lookers);
  for (int c = 0; c < head.size; ++c, query += width) {
    for (int i = 0; i < head.lookers; ++i) query[i] = head.query[i * head.query_stride + c];
    for (int i = head.lookers; i < width; ++i) query[i] = 0;
  }
}

template <class T>
void additive_scores_lanes(const Head<const T>& head, const T* v, T scale, T* scratch, T* a) {
  using V = typename Lanes<T>::Vector;
  const int width = padded<T>(head.lookers);
  turn(head, scratch);
  for (int j = 0; j < head.nodes; ++j) {
    const T* const key = head.key + j * head.stride;
    T* const row = a + std::int64_t{j} * width;
    for (int i = 0; i < head.lookers; i += Lanes<T>::count) {
      V sum{};
      for (int c = 0; c < head.size; ++c)
        sum += v[c] * hyperbolic_tangent(load<V>(scratch + std::int64_t{c} * width + i) + key[c]);
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
  turn(head, query);
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

#if defined(__AVX512F__)
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__FMA__)
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
#else
inline Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
#endif

// What the processor can do at best: results need fused operations nowhere, as not every processor
// has them. Twelve chains hide a latency of four on two units, and fit sixteen registers.
inline double peak() {
  constexpr int kChains = 12, kRounds = 1 << 14;
  Floats sum[kChains] = {};
  Floats factor = Floats{} + 0.5f, term = Floats{} + 1.f;
  for (int r = 0; r < kRounds; ++r)
    for (Floats& s : sum) s = multiply_add(s, factor, term);
  Floats all{};
  for (const Floats& s : sum) all += s;
  // Every chain ends at 2: the result is needed, so that no compiler leaves the work out.
  const bool sound = all[0] == 2 * kChains;
  return sound ? 2.0 * kChains * kRounds * Lanes<float>::count : 0;
}

template <class T>
Kernels<T> kernels_here(const char* name) {
  return {name,
          Lanes<T>::count,
          multiply_lanes<T>,
          softmax_lanes<T>,
          softmax_backward_lanes<T>,
          additive_scores_lanes<T>,
          additive_backward_lanes<T>,
          tanh_lanes<T>,
          peak};
}

}  // namespace
}  // namespace cra::attention
