// The kernel of queue_rows.h, for the instruction set that the including file is compiled for.
//
// Everything is in an unnamed namespace and nothing comes from a template of the standard library:
// a function with a common name compiled for AVX-512 here could be the copy that the linker keeps
// for the whole program.
#pragma once

#include <cstring>

#include "sim/queue_rows.h"

namespace cra::sim {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
using Lanes = double __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 8;
constexpr int kBlock = 8;  // nodes that are handled together, whatever the width of a vector
constexpr int kParts = kBlock / kLanes;

#define CRA_INLINE inline __attribute__((always_inline))

template <class V>
CRA_INLINE V load(const double* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
CRA_INLINE void store(double* p, V v) {
  std::memcpy(p, &v, sizeof v);
}
CRA_INLINE double root(double x) { return __builtin_sqrt(x); }
CRA_INLINE Lanes root(Lanes x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
template <class V>
CRA_INLINE V least(V a, V b) {
  return a < b ? a : b;
}
template <class V>
CRA_INLINE V most(V a, V b) {
  return a > b ? a : b;
}

/// Sum over nodes in eight parts: node n goes to part n mod 8.
struct Sum {
  Lanes part[kParts] = {};
  double rest[kBlock] = {};
  CRA_INLINE double total(int nodes) const {
    double s[kBlock];
    std::memcpy(s, part, sizeof s);
    if (nodes % kBlock != 0)
      for (int j = 0; j < kBlock; ++j) s[j] += rest[j];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
};

/// Calls body(node, zero, add) for all nodes: `zero` is a vector, or a double for the last nodes,
/// and add(sum, term) puts a term where it belongs.
template <class Body>
CRA_INLINE void for_nodes(int nodes, Body body) {
  int n = 0;
  for (; n + kBlock <= nodes; n += kBlock) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i)
      body(
          n + i * kLanes, Lanes{}, [i](Sum & sum, Lanes term) __attribute__((always_inline)) {
            sum.part[i] += term;
          });
  }
  for (int j = 0; n < nodes; ++n, ++j)
    body(
        n,
        0.0, [j](Sum & sum, double term) __attribute__((always_inline)) { sum.rest[j] += term; });
}

CRA_INLINE double largest_of(const double* w, int nodes) {
  Lanes top = {};
  int n = 0;
  for (; n + kLanes <= nodes; n += kLanes) top = most(load<Lanes>(w + n), top);
  double largest = 0;
  for (int i = 0; i < kLanes; ++i) largest = most(top[i], largest);
  for (; n < nodes; ++n) largest = most(w[n], largest);
  return largest;
}

/// Largest level at which open nodes fit what the capped ones leave of every budget.
CRA_INLINE double level_of(const QueuePool& pool, const double* w, double before) {
  double level = __builtin_inf();
  for (int k = 0; k < pool.resources; ++k) {
    const double* need = pool.needs.data() + static_cast<std::ptrdiff_t>(k) * pool.nodes;
    Sum pull, used;
    for_nodes(
        pool.nodes, [&](int n, auto zero, auto add) __attribute__((always_inline)) {
          using V = decltype(zero);
          const V x = load<V>(w + n), d = load<V>(need + n), cap = load<V>(pool.capacity + n);
          const V over = x * before >= cap ? d : zero;  // 0 or the need
          add(pull, x * (d - over));
          add(used, cap * over);
        });
    const double sum = pull.total(pool.nodes), left = pool.budgets[k] - used.total(pool.nodes);
    if (!(sum > 0)) continue;
    level = least(left > 0 ? left / sum : 0.0, level);
  }
  return level;
}

/// sim::waterfill up to its level: the rates are min(cap, w level). Nodes at or above the cap at
/// one level stay there, because the level only rises; so the rounds need no marks, only the last
/// level. \param w [N] on return the weights with their floor, largest 1
CRA_INLINE double fill(const QueuePool& pool, const double* weights, double* w) {
  const int nodes = pool.nodes;
  const double largest = largest_of(weights, nodes);
  const double inverse = largest > 0 ? 1 / largest : 0;
  const double floor = largest > 0 ? 1e-9 : 1;
  for_nodes(
      nodes, [&](int n, auto zero, auto) __attribute__((always_inline)) {
        using V = decltype(zero);
        store<V>(w + n, most(load<V>(weights + n) * inverse, zero + floor));
      });
  double level = 0;
  for (int round = 0; round <= nodes; ++round) {
    const double next = level_of(pool, w, level);
    if (!(next > level)) break;
    level = next;
  }
  return level;
}

void step_row(const QueuePool& pool, const QueueRow& r, double* w) {
  const int nodes = pool.nodes;
  const double level = fill(pool, r.weights, w);
  const double stay = 1 - pool.lag, square = pool.smoothing * pool.smoothing;
  const bool more = r.next_importance != nullptr;
  const double* next = more ? r.next_importance : r.importance;
  Sum weighted, total, moved;
  for_nodes(
      nodes, [&](int n, auto zero, auto add) __attribute__((always_inline)) {
        using V = decltype(zero);
        // All is read before anything is written: the columns of a batch tend to lie at the same
        // place in their pages, and a processor holds a read back behind a write that looks the
        // same.
        const V weight = load<V>(w + n), cap = load<V>(pool.capacity + n);
        const V inverse_scale = load<V>(pool.inverse_scale.data() + n);
        const V per_slope = load<V>(pool.margin_per_slope.data() + n);
        const V before = load<V>(r.rate + n), backlog = load<V>(r.backlog + n);
        const V available = load<V>(r.available + n), arrivals = load<V>(r.arrivals + n);
        const V importance = load<V>(r.importance + n), coming = load<V>(next + n);
        const V fast = load<V>(r.fast + n), slow = load<V>(r.slow + n), down = load<V>(r.down + n);
        // Lag, service, abandonment, error.
        const V grant = least(weight * level, cap);
        const V rate = stay * before + pool.lag * grant;
        const V work = backlog + arrivals;
        const V served = least(least(rate, available * cap), work);
        const V waiting = work - served;
        const V z = waiting * inverse_scale;
        const V error = z * z / (1.0 + z);
        const V stays = (1 - pool.abandonment) * waiting;
        // What service would gain next.
        const V root_of_slope = 1.0 + stays * inverse_scale;
        const V margin = (1.0 - 1.0 / (root_of_slope * root_of_slope)) * per_slope * coming;
        add(weighted, importance * error);
        add(total, importance);
        const V move = rate - before;
        if (pool.switching > 0) add(moved, root(move * move + square) - pool.smoothing);
        store<V>(r.grant + n, grant);
        store<V>(r.rate + n, rate);
        store<V>(r.served + n, served);
        store<V>(r.error + n, error);
        store<V>(r.lost + n, pool.abandonment * waiting);
        store<V>(r.backlog + n, stays);
        store<V>(r.fast + n, fast + kFast * (arrivals - fast));
        store<V>(r.slow + n, slow + kSlow * (arrivals - slow));
        store<V>(r.last + n, arrivals);
        store<V>(r.seen_available + n, available);
        store<V>(r.down + n, available > zero ? zero : down + 1.0);
        if (more) {
          store<V>(r.seen_importance + n, coming);
          store<V>(r.margin + n, margin);
          store<V>(r.margin_ahead + n, margin);
          store<V>(r.importance_ahead + n, coming);
        }
      });
  const double sum = weighted.total(nodes), all = total.total(nodes);
  *r.error_cost = sum / nodes;
  *r.switching_cost = pool.switching * moved.total(nodes) / nodes;
  *r.score = all > 0 ? (all - sum) / all : 1;
}

#undef CRA_INLINE

}  // namespace
}  // namespace cra::sim
