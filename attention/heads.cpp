#include "attention/heads.h"

#include <cmath>

#include "attention/lanes.h"
#include "attention/product.h"

namespace cra::attention {
namespace {

// out[c, i] = scale * x[i, c]; zeros behind the last node.
template <class T>
void transpose(const T* x, std::int64_t stride, int nodes, int size, T scale, T* out) {
  const int width = padded<T>(nodes);
  for (int c = 0; c < size; ++c) {
    T* const row = out + std::int64_t{c} * width;
    for (int i = 0; i < nodes; ++i) row[i] = scale * x[i * stride + c];
    for (int i = nodes; i < width; ++i) row[i] = 0;
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
void attention_weights(const Head<const T>& head, T scale, T* scratch, T* a) {
  using V = typename Lanes<T>::Vector;
  const int n = head.nodes, width = padded<T>(n);
  // Scaling the queries, not the products: scores that fit after scaling must not overflow before.
  transpose(head.query, head.stride, n, head.size, scale, scratch);
  multiply<T>({head.key, head.stride, 1}, scratch, width, a, width, n, head.size, width, nullptr,
              Into::overwrite);
  for (int i = 0; i < width; i += Lanes<T>::count) {
    T* const column = a + i;
    V top = load<V>(column);
    for (int j = 1; j < n; ++j) {
      const V score = load<V>(column + std::int64_t{j} * width);
      top = score > top ? score : top;
    }
    V sum{};
    for (int j = 0; j < n; ++j) {
      T* const at = column + std::int64_t{j} * width;
      const V weight = exp_nonpositive(load<V>(at) - top);
      store(at, weight);
      sum += weight;
    }
    for (int j = 0; j < n; ++j) {
      T* const at = column + std::int64_t{j} * width;
      store(at, load<V>(at) / sum);
    }
  }
}

template <class T>
void mix(const Head<const T>& head, const T* a, T* out, std::int64_t out_stride) {
  const int n = head.nodes;
  multiply<T>({a, 1, padded<T>(n)}, head.value, head.stride, out, out_stride, n, n, head.size,
              nullptr, Into::overwrite);
}

template <class T>
void attention_backward(const Head<const T>& head, T scale, const T* a, const T* d_out,
                        std::int64_t out_stride, T* scratch, const Head<T>& d_head) {
  using V = typename Lanes<T>::Vector;
  const int n = head.nodes, size = head.size, width = padded<T>(n);
  T* const d_score = scratch;                            // [n, width]: d_a, then d_score
  T* const d_out_t = scratch + std::int64_t{n} * width;  // [size, width]
  transpose(d_out, out_stride, n, size, T{1}, d_out_t);

  // d_value_j = sum_i a[j, i] d_out_i;  d_a[j, i] = v_j . d_out_i
  multiply<T>({a, width, 1}, d_out, out_stride, d_head.value, d_head.stride, n, n, size, nullptr,
              Into::overwrite);
  multiply<T>({head.value, head.stride, 1}, d_out_t, width, d_score, width, n, size, width, nullptr,
              Into::overwrite);

  // d_score[j, i] = a[j, i] (d_a[j, i] - sum_j' a[j', i] d_a[j', i]), times scale for q . k
  for (int i = 0; i < width; i += Lanes<T>::count) {
    V mean{};
    for (int j = 0; j < n; ++j) {
      const std::int64_t at = std::int64_t{j} * width + i;
      mean += load<V>(a + at) * load<V>(d_score + at);
    }
    for (int j = 0; j < n; ++j) {
      const std::int64_t at = std::int64_t{j} * width + i;
      store(d_score + at, scale * (load<V>(a + at) * (load<V>(d_score + at) - mean)));
    }
  }

  // d_query_i = sum_j d_score[j, i] k_j;  d_key_j = sum_i d_score[j, i] q_i
  multiply<T>({d_score, 1, width}, head.key, head.stride, d_head.query, d_head.stride, n, n, size,
              nullptr, Into::overwrite);
  multiply<T>({d_score, width, 1}, head.query, head.stride, d_head.key, d_head.stride, n, n, size,
              nullptr, Into::overwrite);
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

template void attention_weights(const Head<const float>&, float, float*, float*);
template void mix(const Head<const float>&, const float*, float*, std::int64_t);
template void attention_backward(const Head<const float>&, float, const float*, const float*,
                                 std::int64_t, float*, const Head<float>&);
template void layer_norm(const float*, std::int64_t, int, const float*, const float*, float*,
                         float*, float*);
template void layer_norm_backward(const float*, std::int64_t, int, const float*, const float*,
                                  const float*, float*, float*, float*, float*);

template void attention_weights(const Head<const double>&, double, double*, double*);
template void mix(const Head<const double>&, const double*, double*, std::int64_t);
template void attention_backward(const Head<const double>&, double, const double*, const double*,
                                 std::int64_t, double*, const Head<double>&);
template void layer_norm(const double*, std::int64_t, int, const double*, const double*, double*,
                         double*, double*);
template void layer_norm_backward(const double*, std::int64_t, int, const double*, const double*,
                                  const double*, double*, double*, double*, double*);

}  // namespace cra::attention
