// The kernel of queue_rows.h, for the instruction set that the including file is compiled for.
//
// Everything is in an unnamed namespace: see simd.h.
#pragma once

#include "sim/queue_rows.h"
#include "sim/vectors.h"

namespace cra::sim {
namespace {

constexpr int kBlock = 8;  // nodes that are handled together, whatever the width of a vector
constexpr int kParts = kBlock / kLanes;

/// Eight numbers folded to one: ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) for join = +.
template <class Join>
CRA_INLINE double fold(const Lanes* part, Join join) {
  using Pair = double __attribute__((vector_size(16)));
#if defined(__AVX512F__)
  using Four = double __attribute__((vector_size(32)));
  const Four four = join(__builtin_shufflevector(part[0], part[0], 0, 1, 2, 3),
                         __builtin_shufflevector(part[0], part[0], 4, 5, 6, 7));
#elif defined(__AVX2__)
  const Lanes four = join(part[0], part[1]);
#endif
#if defined(__AVX2__)
  const Pair pair =
      join(__builtin_shufflevector(four, four, 0, 1), __builtin_shufflevector(four, four, 2, 3));
#else
  const Pair pair = join(join(part[0], part[2]), join(part[1], part[3]));
#endif
  return join(pair[0], pair[1]);
}

/// Sum over nodes in eight parts: node n goes to part n mod 8.
struct Sum {
  Lanes part[kParts];
  double rest[kBlock];  ///< of the last nodes; nothing where there are none
  CRA_INLINE void clear(int nodes) {
    for (int i = 0; i < kParts; ++i) part[i] = Lanes{};
    if (nodes % kBlock != 0)
      for (int j = 0; j < kBlock; ++j) rest[j] = 0;
  }
  CRA_INLINE double total(int nodes) const {
    const auto plus = [](auto a, auto b) __attribute__((always_inline)) { return a + b; };
    if (nodes % kBlock == 0) return fold(part, plus);
    Lanes all[kParts];
    for (int i = 0; i < kParts; ++i) all[i] = part[i] + load<Lanes>(rest + i * kLanes);
    return fold(all, plus);
  }
};

/// Calls body(node, zero, add) for all nodes: `zero` is a vector, or a double for the last nodes,
/// and add(sum, term) puts a term where it belongs.
template <class Body>
CRA_INLINE void for_nodes(int nodes, Body body) {
  int n = 0;
  for (; n + kBlock <= nodes; n += kBlock) {
#pragma GCC unroll 8
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
  Lanes top[kParts] = {};
  int n = 0;
  for (; n + kBlock <= nodes; n += kBlock)
    for (int i = 0; i < kParts; ++i) top[i] = most(load<Lanes>(w + n + i * kLanes), top[i]);
  double largest = fold(
      top, [](auto a, auto b) __attribute__((always_inline)) { return most(a, b); });
  for (; n < nodes; ++n) largest = most(w[n], largest);
  return largest;
}

/// Environments that are filled together: the level of one waits for a sum and a division in every
/// round, and the others use that time. Wider vectors leave more registers for more of them.
constexpr int kGroup = kLanes;
static_assert(kGroup <= kMostGroup);

/// What is known of the level while water rises.
struct Level {
  double now = 0;
  double next = 0;  ///< largest level at which open nodes fit what the capped ones leave
};

/// The next level of G environments. \param w [G, N]
template <int G>
CRA_INLINE void raise_levels(const QueuePool& pool, const double* w, Level* level) {
  for (int g = 0; g < G; ++g) level[g].next = __builtin_inf();
  for (int k = 0; k < pool.resources; ++k) {
    const double* need = pool.needs.data() + static_cast<std::ptrdiff_t>(k) * pool.nodes;
    Sum pull[G], used[G];
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      pull[g].clear(pool.nodes);
      used[g].clear(pool.nodes);
    }
    for_nodes(
        pool.nodes, [&](int n, auto zero, auto add) __attribute__((always_inline)) {
          using V = decltype(zero);
          const V d = load<V>(need + n), cap = load<V>(pool.capacity + n);
#pragma GCC unroll 8
          for (int g = 0; g < G; ++g) {
            const V x = load<V>(w + static_cast<std::ptrdiff_t>(g) * pool.nodes + n);
            const V over = x * level[g].now >= cap ? d : zero;  // 0 or the need
            add(pull[g], x * (d - over));
            add(used[g], cap * over);
          }
        });
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      const double sum = pull[g].total(pool.nodes);
      const double left = pool.budgets[k] - used[g].total(pool.nodes);
      if (sum > 0) level[g].next = least(left > 0 ? left / sum : 0.0, level[g].next);
    }
  }
}

/// sim::waterfill up to its level, for G environments from `first` on: the rates are min(cap, w
/// level). Nodes at or above the cap at one level stay there, because the level only rises; so the
/// rounds need no marks, only the last level, and one more round than an environment needs changes
/// nothing. \param w [G, N] on return the weights with their floor, largest 1
template <int G>
CRA_INLINE void fill(const QueuePool& pool, const QueueRows& rows, int first, double* w,
                     Level* level) {
  const int nodes = pool.nodes;
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) {
    const double* weights = rows.weights + static_cast<std::ptrdiff_t>(first + g) * nodes;
    const double largest = largest_of(weights, nodes);
    const double inverse = largest > 0 ? 1 / largest : 0;
    const double floor = largest > 0 ? 1e-9 : 1;
    for_nodes(
        nodes, [&](int n, auto zero, auto) __attribute__((always_inline)) {
          using V = decltype(zero);
          store<V>(w + static_cast<std::ptrdiff_t>(g) * nodes + n,
                   most(load<V>(weights + n) * inverse, zero + floor));
        });
    level[g] = {};
  }
  bool rising = true;
  for (int round = 0; round <= nodes && rising; ++round) {
    raise_levels<G>(pool, w, level);
    rising = false;
    for (int g = 0; g < G; ++g) {
      if (!(level[g].next > level[g].now)) continue;
      level[g].now = level[g].next;
      rising = true;
    }
  }
}

/// What follows once the level of environment e is known. \tparam Steady  importance and
/// availability are those of the slots before, all nodes are up: their columns stay as they are
template <bool Steady>
CRA_INLINE void serve(const QueuePool& pool, const QueueRows& r, int e, const double* w,
                      double level) {
  const int nodes = pool.nodes;
  const double stay = 1 - pool.lag, square = pool.smoothing * pool.smoothing;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(e) * nodes;
  const double *arriving = r.arrivals[e], *up = r.available[e], *next = r.next_importance[e];
  Sum weighted, total, moved;
  weighted.clear(nodes);
  total.clear(nodes);
  moved.clear(nodes);
  for_nodes(
      nodes, [&](int n, auto zero, auto add) __attribute__((always_inline)) {
        using V = decltype(zero);
        // All is read before anything is written: the columns of a batch tend to lie at the same
        // place in their pages, and a processor holds a read back behind a write that looks the
        // same.
        const std::ptrdiff_t at = row + n;
        const V weight = load<V>(w + n), cap = load<V>(pool.capacity + n);
        const V inverse_scale = load<V>(pool.inverse_scale.data() + n);
        const V per_slope = load<V>(pool.margin_per_slope.data() + n);
        const V before = load<V>(r.rate + at), backlog = load<V>(r.backlog + at);
        const V arrivals = load<V>(arriving + n), importance = load<V>(r.importance + at);
        const V fast = load<V>(r.fast + at), slow = load<V>(r.slow + at);
        V available = zero, coming = importance, down = zero;
        if constexpr (!Steady) {
          available = load<V>(up + n);
          coming = load<V>(next + n);
          down = load<V>(r.down + at);
        }
        // Lag, service, abandonment, error.
        const V grant = least(weight * level, cap);
        const V rate = stay * before + pool.lag * grant;
        const V work = backlog + arrivals;
        const V served = least(least(rate, Steady ? cap : available * cap), work);
        const V waiting = work - served;
        const V z = waiting * inverse_scale;
        const V stays = (1 - pool.abandonment) * waiting;
        const V error = z * z / (1.0 + z);
        // What service would gain next. (One division for both was tried: no faster.)
        const V after = 1.0 + stays * inverse_scale;
        const V margin = (1.0 - 1.0 / (after * after)) * per_slope * coming;
        add(weighted, importance * error);
        add(total, importance);
        const V move = rate - before;
        if (pool.switching > 0) add(moved, root(move * move + square) - pool.smoothing);
        store<V>(r.grant + at, grant);
        store<V>(r.rate + at, rate);
        store<V>(r.served + at, served);
        store<V>(r.error + at, error);
        store<V>(r.lost + at, pool.abandonment * waiting);
        store<V>(r.backlog + at, stays);
        store<V>(r.fast + at, fast + kFast * (arrivals - fast));
        store<V>(r.slow + at, slow + kSlow * (arrivals - slow));
        store<V>(r.arrived + at, arrivals);
        if constexpr (!Steady) {
          store<V>(r.seen_available + at, available);
          store<V>(r.down + at, available > zero ? zero : down + 1.0);
        }
        if (r.last) return;
        store<V>(r.margin + at, margin);
        store<V>(r.margin_ahead + at, margin);
        if constexpr (!Steady) {
          store<V>(r.importance + at, coming);
          store<V>(r.importance_ahead + at, coming);
        }
      });
  const double sum = weighted.total(nodes), all = total.total(nodes);
  r.error_cost[e] = sum / nodes;
  r.switching_cost[e] = pool.switching * moved.total(nodes) / nodes;
  r.score[e] = all > 0 ? (all - sum) / all : 1;
}

template <int G, bool Steady>
CRA_INLINE void step_group(const QueuePool& pool, const QueueRows& rows, int first, double* w) {
  Level level[G];
  fill<G>(pool, rows, first, w, level);
  for (int g = 0; g < G; ++g)
    serve<Steady>(pool, rows, first + g, w + static_cast<std::ptrdiff_t>(g) * pool.nodes,
                  level[g].now);
}

template <bool Steady>
void step_all(const QueuePool& pool, const QueueRows& rows, int count, double* w) {
  int e = 0;
  for (; e + kGroup <= count; e += kGroup) step_group<kGroup, Steady>(pool, rows, e, w);
  for (; e < count; ++e) step_group<1, Steady>(pool, rows, e, w);
}

void step_rows(const QueuePool& pool, const QueueRows& rows, int count, double* w) {
  if (pool.steady)
    step_all<true>(pool, rows, count, w);
  else
    step_all<false>(pool, rows, count, w);
}

}  // namespace
}  // namespace cra::sim
