#include "attention/kernels.h"

#include "sim/base.h"
#include "sim/simd.h"

namespace cra::attention {

Kernels<float> kernels_base();
Kernels<double> kernels_base_double();
Kernels<float> kernels_avx2();
Kernels<float> kernels_avx512();

namespace {

std::size_t& used() {
  static std::size_t i = all_kernels().size() - 1;
  return i;
}

}  // namespace

const std::vector<Kernels<float>>& all_kernels() {
  static const std::vector<Kernels<float>> all =
      runnable(kernels_base(), kernels_avx2(), kernels_avx512());
  return all;
}

template <>
const Kernels<float>& kernels() {
  return all_kernels()[used()];
}
template <>
const Kernels<double>& kernels() {
  static const Kernels<double> one = kernels_base_double();
  return one;
}

std::size_t use_kernels(std::size_t i) {
  CRA_CHECK(i < all_kernels().size(), "attention: there are no such kernels here");
  const std::size_t before = used();
  used() = i;
  return before;
}

template <class T>
void multiply(Strided<T> a, const T* b, std::int64_t ldb, T* c, std::int64_t ldc, std::int64_t rows,
              std::int64_t inner, std::int64_t cols, const T* start, Into into) {
  kernels<T>().multiply(a, b, ldb, c, ldc, rows, inner, cols, start, into);
}
template <class T>
void turn(const T* x, std::int64_t stride, int rows, int size, T scale, T* out) {
  kernels<T>().turn(x, stride, rows, size, scale, out);
}
template <class T>
void softmax(T* a, int nodes, int lookers) {
  kernels<T>().softmax(a, nodes, lookers);
}
template <class T>
void softmax_backward(const T* a, T scale, int nodes, int lookers, T* d_a) {
  kernels<T>().softmax_backward(a, scale, nodes, lookers, d_a);
}
template <class T>
void additive_scores(const Head<const T>& head, const T* v, T scale, T* scratch, T* a) {
  kernels<T>().additive_scores(head, v, scale, scratch, a);
}
template <class T>
void additive_backward(const Head<const T>& head, const T* v, const T* d_score, T* scratch,
                       const Head<T>& d_head, T* d_v) {
  kernels<T>().additive_backward(head, v, d_score, scratch, d_head, d_v);
}

template <class T>
void layer_norm(const T* x, std::int64_t rows, int width, const T* gain, const T* bias, T* unit,
                T* inverse_std, T* y) {
  kernels<T>().layer_norm(x, rows, width, gain, bias, unit, inverse_std, y);
}
template <class T>
void layer_norm_backward(const T* d_y, std::int64_t rows, int width, const T* gain, const T* unit,
                         const T* inverse_std, T* scratch, T* d_x, T* d_gain, T* d_bias) {
  kernels<T>().layer_norm_backward(d_y, rows, width, gain, unit, inverse_std, scratch, d_x, d_gain,
                                   d_bias);
}

template void multiply(Strided<float>, const float*, std::int64_t, float*, std::int64_t,
                       std::int64_t, std::int64_t, std::int64_t, const float*, Into);
template void turn(const float*, std::int64_t, int, int, float, float*);
template void softmax(float*, int, int);
template void softmax_backward(const float*, float, int, int, float*);
template void additive_scores(const Head<const float>&, const float*, float, float*, float*);
template void additive_backward(const Head<const float>&, const float*, const float*, float*,
                                const Head<float>&, float*);
template void multiply(Strided<double>, const double*, std::int64_t, double*, std::int64_t,
                       std::int64_t, std::int64_t, std::int64_t, const double*, Into);
template void turn(const double*, std::int64_t, int, int, double, double*);
template void softmax(double*, int, int);
template void softmax_backward(const double*, double, int, int, double*);
template void additive_scores(const Head<const double>&, const double*, double, double*, double*);
template void additive_backward(const Head<const double>&, const double*, const double*, double*,
                                const Head<double>&, double*);

template void layer_norm(const float*, std::int64_t, int, const float*, const float*, float*,
                         float*, float*);
template void layer_norm_backward(const float*, std::int64_t, int, const float*, const float*,
                                  const float*, float*, float*, float*, float*);

template void layer_norm(const double*, std::int64_t, int, const double*, const double*, double*,
                         double*, double*);
template void layer_norm_backward(const double*, std::int64_t, int, const double*, const double*,
                                  const double*, double*, double*, double*, double*);

}  // namespace cra::attention
