#include "attention/heads.h"

#include <cmath>

#include "attention/kernels.h"
#include "attention/product.h"

namespace cra::attention {
namespace {

// out[c, i] = scale * x[i, c]; zeros behind the last row. Rows of out are padded<T>(rows) long.
template <class T>
void transpose(const T* x, std::int64_t stride, int rows, int size, T scale, T* out) {
  const int width = padded<T>(rows);
  for (int c = 0; c < size; ++c) {
    T* const row = out + std::int64_t{c} * width;
    for (int i = 0; i < rows; ++i) row[i] = scale * x[i * stride + c];
    for (int i = rows; i < width; ++i) row[i] = 0;
  }
}

// Sum of f(k) for k in [0, n) in four interleaved parts: a fixed order that the compiler can keep
// in one vector, where a plain sum would wait for each addition.
template <class T, class F>
inline T sum_of(int n, F f) {
  T part[4] = {};
  int k = 0;
  for (; k + 4 <= n; k += 4)
    for (int p = 0; p < 4; ++p) part[p] += f(k + p);
  for (int p = 0; k < n; ++k, ++p) part[p] += f(k);
  return (part[0] + part[2]) + (part[1] + part[3]);
}

}  // namespace

template <class T>
void dot_scores(const Head<const T>& head, T scale, T* scratch, T* a) {
  const int width = padded<T>(head.lookers);
  const int cols = whole_vectors<T>(head.lookers);
  // Scaling the queries, not the products: scores that fit after scaling must not overflow before.
  transpose(head.query, head.query_stride, head.lookers, head.size, scale, scratch);
  multiply<T>({head.key, head.stride, 1}, scratch, width, a, width, head.nodes, head.size, cols,
              nullptr, Into::overwrite);
}

template <class T>
void mix(const Head<const T>& head, const T* a, T* out, std::int64_t out_stride) {
  multiply<T>({a, 1, padded<T>(head.lookers)}, head.value, head.stride, out, out_stride,
              head.lookers, head.nodes, head.size, nullptr, Into::overwrite);
}

template <class T>
void mix_backward(const Head<const T>& head, const T* a, const T* d_out, std::int64_t out_stride,
                  T* scratch, T* d_value, T* d_a) {
  const int n = head.nodes, size = head.size, width = padded<T>(head.lookers);
  transpose(d_out, out_stride, head.lookers, size, T{1}, scratch);
  // d_value_j = sum_i a[j, i] d_out_i;  d_a[j, i] = v_j . d_out_i
  multiply<T>({a, width, 1}, d_out, out_stride, d_value, head.stride, n, head.lookers, size,
              nullptr, Into::overwrite);
  multiply<T>({head.value, head.stride, 1}, scratch, width, d_a, width, n, size,
              whole_vectors<T>(head.lookers), nullptr, Into::overwrite);
}

template <class T>
void dot_backward(const Head<const T>& head, const T* d_score, const Head<T>& d_head) {
  const int n = head.nodes, size = head.size, width = padded<T>(head.lookers);
  // d_query_i = sum_j d_score[j, i] k_j;  d_key_j = sum_i d_score[j, i] q_i
  multiply<T>({d_score, 1, width}, head.key, head.stride, d_head.query, d_head.query_stride,
              head.lookers, n, size, nullptr, Into::overwrite);
  multiply<T>({d_score, width, 1}, head.query, head.query_stride, d_head.key, d_head.stride, n,
              head.lookers, size, nullptr, Into::overwrite);
}

template <class T>
void layer_norm(const T* x, std::int64_t rows, int width, const T* gain, const T* bias, T* unit,
                T* inverse_std, T* y) {
  for (std::int64_t m = 0; m < rows; ++m, x += width, unit += width, y += width) {
    const T mean = sum_of<T>(width, [&](int k) { return x[k]; }) / static_cast<T>(width);
    const T variance = sum_of<T>(width, [&](int k) { return (x[k] - mean) * (x[k] - mean); }) /
                       static_cast<T>(width);
    const T inverse = T{1} / std::sqrt(variance + T(1e-5));
    inverse_std[m] = inverse;
    for (int k = 0; k < width; ++k) {
      unit[k] = (x[k] - mean) * inverse;
      y[k] = unit[k] * gain[k] + bias[k];
    }
  }
}

template <class T>
void layer_norm_backward(const T* d_y, std::int64_t rows, int width, const T* gain, const T* unit,
                         const T* inverse_std, T* scratch, T* d_x, T* d_gain, T* d_bias) {
  T* const gain_sum = scratch;
  T* const bias_sum = scratch + width;
  for (int k = 0; k < 2 * width; ++k) scratch[k] = 0;
  for (std::int64_t m = 0; m < rows; ++m, d_y += width, unit += width, d_x += width) {
    // With u = unit and g = gain * d_y: d_x = inverse_std (g - mean(g) - u mean(g u))
    const T mean =
        sum_of<T>(width, [&](int k) { return gain[k] * d_y[k]; }) / static_cast<T>(width);
    const T slope =
        sum_of<T>(width, [&](int k) { return gain[k] * d_y[k] * unit[k]; }) / static_cast<T>(width);
    for (int k = 0; k < width; ++k) {
      d_x[k] += inverse_std[m] * (gain[k] * d_y[k] - mean - unit[k] * slope);
      gain_sum[k] += d_y[k] * unit[k];
      bias_sum[k] += d_y[k];
    }
  }
  for (int k = 0; k < width; ++k) {
    d_gain[k] += gain_sum[k];
    d_bias[k] += bias_sum[k];
  }
}

template void dot_scores(const Head<const float>&, float, float*, float*);
template void mix(const Head<const float>&, const float*, float*, std::int64_t);
template void mix_backward(const Head<const float>&, const float*, const float*, std::int64_t,
                           float*, float*, float*);
template void dot_backward(const Head<const float>&, const float*, const Head<float>&);
template void layer_norm(const float*, std::int64_t, int, const float*, const float*, float*,
                         float*, float*);
template void layer_norm_backward(const float*, std::int64_t, int, const float*, const float*,
                                  const float*, float*, float*, float*, float*);

template void dot_scores(const Head<const double>&, double, double*, double*);
template void mix(const Head<const double>&, const double*, double*, std::int64_t);
template void mix_backward(const Head<const double>&, const double*, const double*, std::int64_t,
                           double*, double*, double*);
template void dot_backward(const Head<const double>&, const double*, const Head<double>&);
template void layer_norm(const double*, std::int64_t, int, const double*, const double*, double*,
                         double*, double*);
template void layer_norm_backward(const double*, std::int64_t, int, const double*, const double*,
                                  const double*, double*, double*, double*, double*);

}  // namespace cra::attention
