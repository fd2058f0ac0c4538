// attention/heads.h: one head of one environment, and the layer norm: the parts of the encoder that
// are not plain products.
//
// Weights are kept by column: a[j, i] is how much looker i looks at node j, so that maxima and sums
// over j run down the rows and every lane of a vector is a looker of its own. Rows of `a` are
// `padded<T>(lookers)` long; what stands behind the last looker is finite and means nothing.
#pragma once

#include <cstdint>

namespace cra::attention {

/// n and what makes it a multiple of 64 bytes, the longest vector of any processor.
template <class T>
constexpr int padded(int n) {
  constexpr int kCount = 64 / sizeof(T);
  return (n + kCount - 1) / kCount * kCount;
}

/// The query rows of one head [lookers, size], and its key and value rows [nodes, size].
template <class T>
struct Head {
  T* query;
  std::int64_t query_stride;  ///< between rows of query
  T* key;
  T* value;
  std::int64_t stride;  ///< between rows of key, and of value
  int lookers;
  int nodes;  ///< that are looked at
  int size;
};

/// out[c, i] = scale x[i, c]; zeros behind the last row.
///
/// \param x    [rows, size], rows `stride` apart
/// \param out  [size, padded(rows)], written
template <class T>
void turn(const T* x, std::int64_t stride, int rows, int size, T scale, T* out);

/// a[j, i] = scale * q_i . k_j
///
/// \param scratch  [size, padded(lookers)]
template <class T>
void dot_scores(const Head<const T>& head, T scale, T* scratch, T* a);

/// a[j, i] = scale * v . tanh(q_i + k_j)
///
/// \param v        [size]
/// \param scratch  [size, padded(lookers)]
template <class T>
void additive_scores(const Head<const T>& head, const T* v, T scale, T* scratch, T* a);

/// Softmax over j of a[j, i], in place.
///
/// The maximum is subtracted, so any finite score is safe; a score of +infinity or NaN makes its
/// column NaN, for the caller to notice.
template <class T>
void softmax(T* a, int nodes, int lookers);

/// out_i = sum_j a[j, i] v_j. \param out  [lookers, size], rows `out_stride` apart
template <class T>
void mix(const Head<const T>& head, const T* a, T* out, std::int64_t out_stride);

/// Gradients of mix by the values and by the weights.
///
/// \param d_out    [lookers, size], rows `out_stride` apart
/// \param scratch  [size, padded(lookers)]
/// \param d_value  [nodes, size], rows `head.stride` apart, written
/// \param d_a      [nodes, padded(lookers)] written; 0 behind the last looker
template <class T>
void mix_backward(const Head<const T>& head, const T* a, const T* d_out, std::int64_t out_stride,
                  T* scratch, T* d_value, T* d_a);

/// Gradient of softmax by the scores, times `scale`, in place of that by the weights.
template <class T>
void softmax_backward(const T* a, T scale, int nodes, int lookers, T* d_a);

/// Gradients of dot_scores by query and key.
///
/// \param d_score  [nodes, padded(lookers)] gradient by the score, times scale
/// \param d_head   query and key are written
template <class T>
void dot_backward(const Head<const T>& head, const T* d_score, const Head<T>& d_head);

/// Gradients of additive_scores by query, key and v.
///
/// \param d_score  [nodes, padded(lookers)] gradient by the score, times scale; 0 behind the last
///                 looker
/// \param scratch  [2 size, padded(lookers)]
/// \param d_head   query and key are written
/// \param d_v      [size], added to
template <class T>
void additive_backward(const Head<const T>& head, const T* v, const T* d_score, T* scratch,
                       const Head<T>& d_head, T* d_v);

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
