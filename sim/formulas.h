// sim/formulas.h: formulas of the model, written once, for host and device. Part of sim/sim.h.
#pragma once

#include <cmath>
#include <limits>

#include "sim/base.h"

namespace cra::sim {

/// Backlog error phi(z) = z^2 / (1 + z), z >= 0.
template <class T>
CRA_HD T backlog_phi(T z) {
  return z * z / (T(1) + z);
}
/// phi'(z) = 1 - 1 / (1 + z)^2.
template <class T>
CRA_HD T backlog_phi_slope(T z) {
  return T(1) - T(1) / ((T(1) + z) * (T(1) + z));
}
/// phi''(z) = 2 / (1 + z)^3.
template <class T>
CRA_HD T backlog_phi_curvature(T z) {
  return T(2) / ((T(1) + z) * (T(1) + z) * (T(1) + z));
}
/// Error of answering work A > 0 with service v: A (floor + gain (1 + (v / A) /
/// scale)^(-exponent)), and its first two derivatives by v.
template <class T>
CRA_HD T anytime_error(T v, T A, T floor, T gain, T exponent, T scale) {
  using std::pow;
  return A * (floor + gain * pow(T(1) + v / A / scale, -exponent));
}
template <class T>
CRA_HD T anytime_slope(T v, T A, T gain, T exponent, T scale) {
  using std::pow;
  return -gain * exponent / scale * pow(T(1) + v / A / scale, -exponent - T(1));
}
template <class T>
CRA_HD T anytime_curvature(T v, T A, T gain, T exponent, T scale) {
  using std::pow;
  return gain * exponent * (exponent + T(1)) / (scale * scale * A) *
         pow(T(1) + v / A / scale, -exponent - T(2));
}
/// Movement cost of one node, smooth at 0: sqrt(dm^2 + d^2) - d.
template <class T>
CRA_HD T movement(T dm, T d) {
  using std::sqrt;
  return sqrt(dm * dm + d * d) - d;
}
/// Lag: m <- (1 - eta) m + eta s.
template <class T>
CRA_HD T lagged(T m, T s, T eta) {
  return (T(1) - eta) * m + eta * s;
}

/// The sources' literal rule p_n = w_n c_n / budget. Does not sum to 1: about 1/N of the pool is
/// used when sum w = 1. \param p [n] on return
template <class T>
CRA_HD void raw_proportions(const T* w, const T* c, T budget, T* p, int n) {
  for (int i = 0; i < n; ++i) p[i] = w[i] * c[i] / budget;
}
/// The working version of the same rule: p_n = w_n c_n / sum_j w_j c_j.
template <class T>
CRA_HD void capacity_proportions(const T* w, const T* c, T* p, int n) {
  T sum = 0;
  for (int i = 0; i < n; ++i) sum += w[i] * c[i];
  for (int i = 0; i < n; ++i) p[i] = w[i] * c[i] / sum;
}
/// The sources' performance scores P_n = (1 - eps_n) / max_j eps_j. For reporting only: unbounded
/// as errors vanish, and a change of the worst node rescales all. \param score [n] on return
template <class T>
CRA_HD void source_scores(const T* error, T* score, int n) {
  T worst = error[0];
  for (int i = 1; i < n; ++i) worst = error[i] > worst ? error[i] : worst;
  for (int i = 0; i < n; ++i) score[i] = (T(1) - error[i]) / worst;
}
/// The same with the pole and the jumps smoothed away: P_n = (1 - min(eps_n, 1)) / max(0.05, tau
/// log sum_j exp(eps_j / tau)), tau = 0.05.
template <class T>
CRA_HD void smooth_source_scores(const T* error, T* score, int n) {
  using std::exp;
  using std::log;
  const T tau = T(0.05), least = T(0.05);
  T worst = error[0], sum = 0;
  for (int i = 1; i < n; ++i) worst = error[i] > worst ? error[i] : worst;
  for (int i = 0; i < n; ++i) sum += exp((error[i] - worst) / tau);
  const T soft = worst + tau * log(sum);
  const T against = soft > least ? soft : least;
  for (int i = 0; i < n; ++i) score[i] = (T(1) - (error[i] < T(1) ? error[i] : T(1))) / against;
}
/// The sources' reweighting a <- a exp(g / temperature) / Z: exponentiated gradient, which is
/// mirror descent on the simplex. \param a [n] on the simplex, updated; the largest g is subtracted
/// first
template <class T>
CRA_HD void exponentiated_gradient(T* a, const T* g, T temperature, int n) {
  using std::exp;
  T top = g[0], sum = 0;
  for (int i = 1; i < n; ++i) top = g[i] > top ? g[i] : top;
  for (int i = 0; i < n; ++i) sum += a[i] *= exp((g[i] - top) / temperature);
  for (int i = 0; i < n; ++i) a[i] /= sum;
}

/// Error of progress x: floor + gain (1 + x / scale)^(-exponent), and its slope by x.
template <class T>
CRA_HD T power_law_error(T x, T floor, T gain, T exponent, T scale) {
  using std::pow;
  return floor + gain * pow(T(1) + x / scale, -exponent);
}
template <class T>
CRA_HD T power_law_slope(T x, T gain, T exponent, T scale) {
  using std::pow;
  return -gain * exponent / scale * pow(T(1) + x / scale, -exponent - T(1));
}
/// Error of progress x: floor + gain exp(-x / scale), and its slope by x.
template <class T>
CRA_HD T exponential_error(T x, T floor, T gain, T scale) {
  using std::exp;
  return floor + gain * exp(-x / scale);
}
template <class T>
CRA_HD T exponential_slope(T x, T gain, T scale) {
  using std::exp;
  return -gain / scale * exp(-x / scale);
}

/// Second derivatives of the two errors by progress.
template <class T>
CRA_HD T power_law_curvature(T x, T gain, T exponent, T scale) {
  using std::pow;
  return gain * exponent * (exponent + T(1)) / (scale * scale) *
         pow(T(1) + x / scale, -exponent - T(2));
}
template <class T>
CRA_HD T exponential_curvature(T x, T gain, T scale) {
  using std::exp;
  return gain / (scale * scale) * exp(-x / scale);
}

/// Rates of weights: s_n = min(cap_n, theta w_n) with the largest theta for which sum_n need_nk s_n
/// <= budget_k for all k. With one resource the budget is used up, or everything is capped.
///
/// Rounds of "cap what overflows, spread the rest": theta only grows, so each node is capped once;
/// at most N + 1 rounds, two in practice, and no sorting, so the loop suits host and device. \param
/// w       [n] weights >= 0; below 1e-9 of the largest they count as 1e-9 of it \param need    [n,
/// k] >= 0, each node needs some resource \param budget  [k], each scaled by `scale` \param s [n]
/// on return rates with 0 <= s <= cap \returns theta, or +inf when all nodes are capped
template <class T>
CRA_HD T waterfill(const T* w, const T* cap, const T* need, const T* budget, T scale, T* s, int n,
                   int k) {
  T largest = 0;
  for (int i = 0; i < n; ++i) largest = w[i] > largest ? w[i] : largest;
  const bool any = largest > T(0);
  const T floor = T(1e-9);
  const T infinite = std::numeric_limits<T>::infinity();
  for (int i = 0; i < n; ++i) s[i] = T(-1);  // -1 marks a node that is not capped yet
  for (int round = 0; round <= n; ++round) {
    T theta = infinite;
    for (int r = 0; r < k; ++r) {
      T left = budget[r] * scale, pull = 0;
      for (int i = 0; i < n; ++i) {
        if (s[i] >= T(0)) {
          left -= need[i * k + r] * s[i];
        } else {
          const T wi = any ? w[i] / largest : T(1);
          pull += need[i * k + r] * (wi > floor ? wi : floor);
        }
      }
      if (!(pull > T(0))) continue;                      // nobody open needs this resource
      const T level = left > T(0) ? left / pull : T(0);  // rounding may leave -1e-16: clamp
      theta = level < theta ? level : theta;
    }
    if (!(theta < infinite)) return infinite;
    bool capped = false;
    for (int i = 0; i < n; ++i) {
      if (s[i] >= T(0)) continue;
      const T wi = any ? w[i] / largest : T(1);
      if (theta * (wi > floor ? wi : floor) >= cap[i]) {
        s[i] = cap[i];
        capped = true;
      }
    }
    if (!capped) {
      for (int i = 0; i < n; ++i) {
        if (s[i] >= T(0)) continue;
        const T wi = any ? w[i] / largest : T(1);
        s[i] = theta * (wi > floor ? wi : floor);
      }
      return any ? theta / largest : theta;
    }
  }
  return infinite;
}

/// The same with one resource.
template <class T>
CRA_HD T waterfill(const T* w, const T* cap, const T* need, T budget, T* s, int n) {
  return waterfill(w, cap, need, &budget, T(1), s, n, 1);
}

/// Reserve by priority: first need_n * min(1, pool / sum pi need) weighted by pi, cut at the need,
/// then the rest in proportion to what is still needed. \param need  [n] work that could be served,
/// >= 0   \param priority [n] >= 0 \param u     [n] on return work served, 0 <= u <= need, sum u <=
/// pool
template <class T>
CRA_HD void dispatch_by_priority(const T* need, const T* priority, T pool, T* u, int n) {
  T pull = 0, left = pool, open = 0;
  for (int i = 0; i < n; ++i) pull += priority[i] * need[i];
  const T share = pull > pool ? pool / pull : T(1);
  for (int i = 0; i < n; ++i) {
    const T ask = priority[i] * need[i] * share;
    u[i] = ask < need[i] ? ask : need[i];
    left -= u[i];
    open += need[i] - u[i];
  }
  if (!(left > T(0)) || !(open > T(0))) return;
  const T more = left < open ? left / open : T(1);
  for (int i = 0; i < n; ++i) u[i] += more * (need[i] - u[i]);
}

/// Reserve that lowers sum W phi((load - u) / scale) as far as it goes: equal marginal errors
/// W phi' / scale at a common level. Newton's method on the level, and a bracket that is halved
/// where it makes no headway: some 8 rounds, where bisection takes 80. \param load   [n] work that
/// waits before the reserve, >= 0 \param limit  [n] most the reserve may serve at each node, 0 <=
/// limit <= load \param u      [n] on return work served, 0 <= u <= limit, sum u <= pool
template <class T>
CRA_HD void dispatch_optimally(const T* load, const T* limit, const T* importance, const T* scale,
                               T pool, T* u, int n) {
  using std::sqrt;
  T total = 0, high = 0;
  for (int i = 0; i < n; ++i) {
    u[i] = limit[i];
    total += limit[i];
    const T slope = importance[i] * backlog_phi_slope(load[i] / scale[i]) / scale[i];
    high = slope > high ? slope : high;
  }
  if (total <= pool) return;
  // A few roundings of the sum; closer than that it says nothing.
  const T close = total * (sizeof(T) == 8 ? T(0x1p-48) : T(0x1p-20));
  T low = 0, level = high / 2, used = 0, missed = total;
  for (int round = 0; round < 80; ++round) {
    T give = 0;  // - d used / d level
    used = 0;
    for (int i = 0; i < n; ++i) {
      // W phi'(y / scale) / scale = level at y = scale ((1 - level scale / W)^(-1/2) - 1).
      const T ratio = importance[i] > T(0) ? level * scale[i] / importance[i] : T(1);
      u[i] = 0;
      if (!(ratio < T(1))) continue;
      const T over = T(1) / sqrt(T(1) - ratio);
      const T want = load[i] - scale[i] * (over - T(1));
      if (!(want > T(0))) continue;
      u[i] = want < limit[i] ? want : limit[i];
      used += u[i];
      if (want < limit[i]) give += over * over * over * scale[i] * scale[i] / (2 * importance[i]);
    }
    const T excess = used - pool, miss = excess < T(0) ? -excess : excess;
    if (miss <= close) break;
    (excess > T(0) ? low : high) = level;
    const T newton = give > T(0) ? level + excess / give : low;
    const bool trusted = newton > low && newton < high && miss <= missed / 2;
    const T next = trusted ? newton : (low + high) / 2;
    missed = miss;
    if (!(next > low && next < high)) break;  // the bracket is as narrow as numbers are
    level = next;
  }
  if (used > pool)
    for (int i = 0; i < n; ++i) u[i] *= pool / used;
}

}  // namespace cra::sim
