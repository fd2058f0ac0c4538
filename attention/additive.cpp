// Additive scores: tanh where heads.cpp has products.
#include "attention/formulas.h"
#include "attention/heads.h"
#include "attention/lanes.h"
#include "attention/transpose.h"

namespace cra::attention {
namespace {

// A sum over lookers in eight interleaved parts, added up in one order: the same bits whether a
// vector has two lanes or eight.
constexpr int kParts = 8;

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
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
  }
};

}  // namespace

template <class T>
void additive_scores(const Head<const T>& head, const T* v, T scale, T* scratch, T* a) {
  using V = typename Lanes<T>::Vector;
  const int width = padded<T>(head.lookers);
  transpose(head.query, head.query_stride, head.lookers, head.size, T{1}, scratch);
  for (int j = 0; j < head.nodes; ++j) {
    const T* const key = head.key + j * head.stride;
    T* const row = a + std::int64_t{j} * width;
    for (int i = 0; i < width; i += Lanes<T>::count) {
      V sum{};
      for (int c = 0; c < head.size; ++c)
        sum += v[c] * hyperbolic_tangent(load<V>(scratch + std::int64_t{c} * width + i) + key[c]);
      store(row + i, scale * sum);
    }
  }
}

// tanh is computed again: keeping N^2 d of them would not fit where N^2 weights do.
template <class T>
void additive_backward(const Head<const T>& head, const T* v, const T* d_score, T* scratch,
                       const Head<T>& d_head, T* d_v) {
  using V = typename Lanes<T>::Vector;
  const int n = head.nodes, size = head.size, width = padded<T>(head.lookers);
  T* const query = scratch;                                 // [size, width]
  T* const d_query = scratch + std::int64_t{size} * width;  // [size, width]
  transpose(head.query, head.query_stride, head.lookers, size, T{1}, query);
  for (int c = 0; c < size; ++c) {
    const T* const q = query + std::int64_t{c} * width;
    T* const d_q = d_query + std::int64_t{c} * width;
    for (int i = 0; i < width; ++i) d_q[i] = 0;
    PartialSums<T> of_v;
    for (int j = 0; j < n; ++j) {
      const T key = head.key[j * head.stride + c];
      const T* const d = d_score + std::int64_t{j} * width;
      PartialSums<T> of_key;
      for (int i = 0; i < width; i += Lanes<T>::count) {
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

template void additive_scores(const Head<const float>&, const float*, float, float*, float*);
template void additive_backward(const Head<const float>&, const float*, const float*, float*,
                                const Head<float>&, float*);
template void additive_scores(const Head<const double>&, const double*, double, double*, double*);
template void additive_backward(const Head<const double>&, const double*, const double*, double*,
                                const Head<double>&, double*);

}  // namespace cra::attention
