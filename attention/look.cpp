#include "attention/look.h"

#include <algorithm>

#include "attention/heads.h"

namespace cra::attention {
namespace {

template <class T>
void read_table(const Look<T>& k, int nodes, int lookers, T* a) {
  const int width = padded<T>(lookers);
  for (int j = 0; j < nodes; ++j) {
    const T* const from = k.table + std::int64_t{k.nodes.number_of(j)} * k.all_lookers;
    T* const row = a + std::int64_t{j} * width;
    for (int i = 0; i < lookers; ++i) row[i] = from[k.lookers.number_of(i)];
    for (int i = lookers; i < width; ++i) row[i] = 0;
  }
}

// Calls move(i, t, j) for every looker i: the weight at place t goes to place j. Nodes that are not
// there are left out of the order, so that those that are share the weights among themselves.
template <class T, class Move>
void for_each_deal(const Look<T>& k, int lookers, Move move) {
  for (int i = 0; i < lookers; ++i) {
    const int* const order = k.order + std::int64_t{k.lookers.number_of(i)} * k.all_nodes;
    int t = 0;
    for (int n = 0; n < k.all_nodes; ++n) {
      const int j = k.nodes.place_of(order[n]);
      if (j >= 0) move(i, t++, j);
    }
  }
}

// \param from  what to deal out, or with `back` to collect  \param to  written; padding is copied
template <class T>
void deal(const Look<T>& k, int nodes, int lookers, const T* from, T* to, bool back) {
  const std::int64_t width = padded<T>(lookers);
  std::copy(from, from + nodes * width, to);
  for_each_deal(k, lookers, [&](int i, int t, int j) {
    if (back)
      to[t * width + i] = from[j * width + i];
    else
      to[j * width + i] = from[t * width + i];
  });
}

template <class T>
void scores(const Look<T>& k, const Head<const T>& head, T* scratch, T* a) {
  if (k.additive != nullptr)
    additive_scores(head, k.additive, k.scale, scratch, a);
  else
    dot_scores(head, k.scale, scratch, a);
}

// Lookers whose weights fill 32 kB, the smallest first cache there is; whole vectors.
template <class T>
int panel_of(int nodes) {
  constexpr int kVector = padded<T>(1);
  return std::max(32 * 1024 / static_cast<int>(sizeof(T)) / nodes / kVector, 1) * kVector;
}

// Large pools: the weights of a few lookers at a time stay in the first cache from their scores to
// what they show, and are put away once.
template <class T>
void look_in_panels(const Look<T>& k, const Head<const T>& head, int panel, T* scratch, T* a,
                    T* out, std::int64_t out_stride) {
  const int n = head.nodes, row = padded<T>(head.lookers);
  T* const few = scratch;
  T* const rest = scratch + std::int64_t{n} * panel;
  for (int first = 0; first < head.lookers; first += panel) {
    Head<const T> part = head;
    part.query += first * head.query_stride;
    part.lookers = std::min(panel, head.lookers - first);
    scores(k, part, rest, few);
    softmax(few, n, part.lookers);
    mix(part, few, out + first * out_stride, out_stride);
    const int width = padded<T>(part.lookers);
    for (std::int64_t j = 0; j < n; ++j)
      std::copy(few + j * width, few + (j + 1) * width, a + j * row + first);
  }
}

}  // namespace

template <class T>
std::int64_t look_scratch(int lookers, int nodes, int size) {
  return (3 * std::int64_t{nodes} + 3 * size) * padded<T>(lookers);
}

template <class T>
void look(const Look<T>& k, const Head<const T>& head, T* scratch, T* a, T* out,
          std::int64_t out_stride) {
  const int n = head.nodes, lookers = head.lookers;
  const int panel = panel_of<T>(n);
  if (lookers > panel && k.table == nullptr && k.order == nullptr)
    return look_in_panels(k, head, panel, scratch, a, out, out_stride);
  if (k.table != nullptr)
    read_table(k, n, lookers, a);
  else
    scores(k, head, scratch, a);
  softmax(a, n, lookers);
  if (k.order != nullptr) {
    std::copy(a, a + std::int64_t{n} * padded<T>(lookers), scratch);
    deal(k, n, lookers, scratch, a, false);
  }
  mix(head, a, out, out_stride);
}

template <class T>
void look_backward(const Look<T>& k, const Head<const T>& head, const T* a, const T* d_out,
                   std::int64_t out_stride, T* scratch, const Head<T>& d_head, T* d_v) {
  const int n = head.nodes, lookers = head.lookers;
  const std::int64_t block = std::int64_t{n} * padded<T>(lookers);
  T* d_a = scratch;  // then the gradient by the scores
  T* const rest = scratch + 3 * block;
  mix_backward(head, a, d_out, out_stride, rest, d_head.value, d_a);
  if (k.table != nullptr) {
    for (int i = 0; i < lookers; ++i)
      std::fill_n(d_head.query + i * d_head.query_stride, head.size, T{0});
    for (int j = 0; j < n; ++j) std::fill_n(d_head.key + j * d_head.stride, head.size, T{0});
    return;
  }
  if (k.order != nullptr) {
    T* const dealt = d_a;
    T* const softmaxed = scratch + 2 * block;
    d_a = scratch + block;
    deal(k, n, lookers, dealt, d_a, true);
    deal(k, n, lookers, a, softmaxed, true);
    a = softmaxed;
  }
  softmax_backward(a, k.scale, n, lookers, d_a);
  if (k.additive != nullptr)
    additive_backward(head, k.additive, d_a, rest, d_head, d_v);
  else
    dot_backward(head, d_a, d_head);
}

template std::int64_t look_scratch<float>(int, int, int);
template void look(const Look<float>&, const Head<const float>&, float*, float*, float*,
                   std::int64_t);
template void look_backward(const Look<float>&, const Head<const float>&, const float*,
                            const float*, std::int64_t, float*, const Head<float>&, float*);
template std::int64_t look_scratch<double>(int, int, int);
template void look(const Look<double>&, const Head<const double>&, double*, double*, double*,
                   std::int64_t);
template void look_backward(const Look<double>&, const Head<const double>&, const double*,
                            const double*, std::int64_t, double*, const Head<double>&, double*);

}  // namespace cra::attention
