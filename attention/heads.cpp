#include "attention/heads.h"

#include "attention/kernels.h"
#include "attention/product.h"

namespace cra::attention {
template <class T>
void dot_scores(const Head<const T>& head, T scale, T* scratch, T* a) {
  const int width = padded<T>(head.lookers);
  const int cols = whole_vectors<T>(head.lookers);
  // Scaling the queries, not the products: scores that fit after scaling must not overflow before.
  turn<T>(head.query, head.query_stride, head.lookers, head.size, scale, scratch);
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
  turn<T>(d_out, out_stride, head.lookers, size, T{1}, scratch);
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

template void dot_scores(const Head<const float>&, float, float*, float*);
template void mix(const Head<const float>&, const float*, float*, std::int64_t);
template void mix_backward(const Head<const float>&, const float*, const float*, std::int64_t,
                           float*, float*, float*);
template void dot_backward(const Head<const float>&, const float*, const Head<float>&);

template void dot_scores(const Head<const double>&, double, double*, double*);
template void mix(const Head<const double>&, const double*, double*, std::int64_t);
template void mix_backward(const Head<const double>&, const double*, const double*, std::int64_t,
                           double*, double*, double*);
template void dot_backward(const Head<const double>&, const double*, const Head<double>&);

}  // namespace cra::attention
