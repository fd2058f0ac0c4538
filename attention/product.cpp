#include "attention/product.h"

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

template <class V, int Width, int Count, class T>
inline void column_block(const Job<T>& p, std::int64_t rows, std::int64_t j) {
  std::int64_t i = 0;
  for (; i + 4 <= rows; i += 4) tile<V, Width, 4, Count>(p, i, j);
  if (i + 2 <= rows) {
    tile<V, Width, 2, Count>(p, i, j);
    i += 2;
  }
  if (i < rows) tile<V, Width, 1, Count>(p, i, j);
}

}  // namespace

template <class T>
void multiply(Strided<T> a, const T* b, std::int64_t ldb, T* c, std::int64_t ldc, std::int64_t rows,
              std::int64_t inner, std::int64_t cols, const T* start, Into into) {
  using Vector = typename Lanes<T>::Vector;
  using Short = typename Lanes<T>::Short;
  constexpr int kWide = Lanes<T>::count, kNarrow = 16 / sizeof(T);
  const Job<T> p{a, b, ldb, c, ldc, inner, start, into};
  std::int64_t j = 0;
  for (; j + 2 * kWide <= cols; j += 2 * kWide) column_block<Vector, kWide, 2>(p, rows, j);
  for (; j + kWide <= cols; j += kWide) column_block<Vector, kWide, 1>(p, rows, j);
  for (; j + kNarrow <= cols; j += kNarrow) column_block<Short, kNarrow, 1>(p, rows, j);
  for (; j < cols; ++j) column_block<T, 1, 1>(p, rows, j);
}

template void multiply(Strided<float>, const float*, std::int64_t, float*, std::int64_t,
                       std::int64_t, std::int64_t, std::int64_t, const float*, Into);
template void multiply(Strided<double>, const double*, std::int64_t, double*, std::int64_t,
                       std::int64_t, std::int64_t, std::int64_t, const double*, Into);

}  // namespace cra::attention
