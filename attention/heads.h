// attention/heads.h: one head of one environment, and the layer norm: the parts of the encoder that
// are not plain products.
//
// Weights are kept by column: a[j, i] is how much node i looks at node j, so that maxima and sums
// over j run down the rows and every lane of a vector is a node of its own. Rows of `a` are
// `padded<T>(nodes)` long; what stands behind the last node is finite and means nothing.
#pragma once

#include <cstdint>

namespace cra::attention {

/// The query, key and value rows of one head: [nodes, size], rows `stride` apart.
template <class T>
struct Head {
  T* query;
  T* key;
  T* value;
  std::int64_t stride;
  int nodes;
  int size;
};

/// a[j, i] = softmax over j of scale * q_i . k_j
///
/// \param scratch  [size, padded(nodes)]
/// The maximum is subtracted, so any finite score is safe; a score of +infinity or NaN makes its
/// column NaN, for the caller to notice.
template <class T>
void attention_weights(const Head<const T>& head, T scale, T* scratch, T* a);

/// out_i = sum_j a[j, i] v_j. \param out  [nodes, size], rows `out_stride` apart
template <class T>
void mix(const Head<const T>& head, const T* a, T* out, std::int64_t out_stride);

/// Gradients of the two functions above by query, key and value.
///
/// \param a        [nodes, padded(nodes)] weights of the forward pass
/// \param d_out    [nodes, size], rows `out_stride` apart
/// \param scratch  [(nodes + size + 1), padded(nodes)]
/// \param d_head   written
template <class T>
void attention_backward(const Head<const T>& head, T scale, const T* a, const T* d_out,
                        std::int64_t out_stride, T* scratch, const Head<T>& d_head);

/// unit = (x - mean) / sqrt(variance + 1e-5) by row, y = unit * gain + bias.
///
/// \param x            [rows, width]
/// \param unit, y      [rows, width], written
/// \param inverse_std  [rows], written
template <class T>
void layer_norm(const T* x, std::int64_t rows, int width, const T* gain, const T* bias, T* unit,
                T* inverse_std, T* y);

/// Gradient of layer_norm by x is added to d_x; by gain and bias, the sum over these rows is added
/// to d_gain and d_bias.
///
/// \param d_y      [rows, width]
/// \param scratch  [2 * width]
template <class T>
void layer_norm_backward(const T* d_y, std::int64_t rows, int width, const T* gain, const T* unit,
                         const T* inverse_std, T* scratch, T* d_x, T* d_gain, T* d_bias);

}  // namespace cra::attention
