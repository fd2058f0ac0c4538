#include "sim/conflict.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/waterfill.h"

namespace cra::sim {
namespace {

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Weights as waterfill() takes them, the largest 1.
struct Weights {
  const double* w;
  double largest;
  Weights(const double* weights, int n)
      : w(weights), largest(*std::max_element(weights, weights + n)) {}
  bool raised(int n) const { return !(w[n] > 1e-9 * largest); }
  double at(int n) const { return largest > 0 ? std::max(w[n] / largest, 1e-9) : 1; }
};

/// theta such that theta w uses the scarcest budget up, capacities apart; rates cut at capacity.
void clip(const Params& p, const double* w, double scale, Redistribution& r) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  const Weights weights(w, nodes);
  r.theta = std::numeric_limits<double>::infinity();
  for (int k = 0; k < resources; ++k) {
    double pull = 0;
    for (int n = 0; n < nodes; ++n) pull += p.pool.need_of(n, k) * weights.at(n);
    if (!(pull > 0) || scale * p.pool.budgets[index(k)] / pull >= r.theta) continue;
    r.theta = scale * p.pool.budgets[index(k)] / pull;
    r.scarce = k;
  }
  r.clipped.resize(index(nodes));
  for (int n = 0; n < nodes; ++n)
    r.clipped[index(n)] = std::min(p.pool.capacity[n], r.theta * weights.at(n));
  r.left.resize(index(resources));
  for (int k = 0; k < resources; ++k) {
    double used = 0;
    for (int n = 0; n < nodes; ++n) used += p.pool.need_of(n, k) * r.clipped[index(n)];
    r.left[index(k)] = std::max(0.0, scale * p.pool.budgets[index(k)] - used);
  }
}

double clip_backward(const Params& p, const double* w, const Redistribution& r,
                     const double* d_clipped, double* d_w) {
  const int nodes = p.pool.nodes;
  const Weights weights(w, nodes);
  double pull = 0, d_theta = 0;
  for (int n = 0; n < nodes; ++n) {
    pull += p.pool.need_of(n, r.scarce) * weights.at(n);
    if (r.clipped[index(n)] < p.pool.capacity[n]) d_theta += d_clipped[n] * weights.at(n);
  }
  for (int n = 0; n < nodes; ++n) {
    d_w[n] = 0;
    if (weights.raised(n)) continue;  // its weight is not its own
    if (r.clipped[index(n)] < p.pool.capacity[n]) d_w[n] = r.theta * d_clipped[n];
    d_w[n] -= d_theta * r.theta / pull * p.pool.need_of(n, r.scarce);
    d_w[n] /= weights.largest;
  }
  return d_theta * p.pool.budgets[index(r.scarce)] / pull;
}

/// Hands the excess out piece by piece.
struct Giver {
  const Params& p;
  double* rate;
  std::vector<double> left;  // [K]
  std::vector<Gift>& gifts;

  bool open(int n) const {
    if (!(rate[n] < p.pool.capacity[n])) return false;
    for (int k = 0; k < p.pool.resource_count(); ++k)
      if (p.pool.need_of(n, k) > 0 && !(left[index(k)] > 0)) return false;
    return true;
  }
  /// As much as fits, and no more than `most`.
  void give(int n, double most) {
    Gift gift{n, p.pool.capacity[n] - rate[n], Gift::kRoom};
    if (most < gift.rate) gift = {n, most, Gift::kQuantum};
    for (int k = 0; k < p.pool.resource_count(); ++k) {
      const double need = p.pool.need_of(n, k);
      if (need > 0 && left[index(k)] / need < gift.rate) gift = {n, left[index(k)] / need, k};
    }
    rate[n] = gift.limit == Gift::kRoom ? p.pool.capacity[n] : rate[n] + gift.rate;
    for (int k = 0; k < p.pool.resource_count(); ++k)
      left[index(k)] = std::max(0.0, left[index(k)] - p.pool.need_of(n, k) * gift.rate);
    if (gift.limit >= 0) left[index(gift.limit)] = 0;
    gifts.push_back(gift);
  }
};

void give_by_priority(Giver& giver, const double* importance) {
  std::vector<int> order(index(giver.p.pool.nodes));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return importance[a] > importance[b]; });
  for (const int n : order)
    if (giver.open(n)) giver.give(n, std::numeric_limits<double>::infinity());
}

/// Rate of a turn: `quantum` of the resource that the node needs most of.
double turn_of(const Params& p, int n) {
  double most = 0;
  for (int k = 0; k < p.pool.resource_count(); ++k) most = std::max(most, p.pool.need_of(n, k));
  return p.pool.quantum / most;
}

void give_in_turn(Giver& giver, int slot) {
  const Params& p = giver.p;
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  std::vector<int> waiting;  // in the order of their turns; the pointer advances with the slot
  for (int i = 0; i < nodes; ++i) waiting.push_back((slot + i) % nodes);
  const auto drop_closed = [&] {
    waiting.erase(
        std::remove_if(waiting.begin(), waiting.end(), [&](int n) { return !giver.open(n); }),
        waiting.end());
  };
  for (drop_closed(); !waiting.empty(); drop_closed()) {
    // Whole rounds in which everybody gets a full turn are given at once.
    double rounds = std::numeric_limits<double>::infinity();
    for (const int n : waiting)
      rounds = std::min(rounds, (p.pool.capacity[n] - giver.rate[n]) / turn_of(p, n));
    for (int k = 0; k < resources; ++k) {
      double pull = 0;
      for (const int n : waiting) pull += p.pool.need_of(n, k) * turn_of(p, n);
      if (pull > 0) rounds = std::min(rounds, giver.left[index(k)] / pull);
    }
    rounds = std::max(1.0, std::floor(rounds));
    for (const int n : waiting)
      if (giver.open(n)) giver.give(n, rounds * turn_of(p, n));
  }
}

void give_equally(const Params& p, Redistribution& r, double* rate) {
  const int nodes = p.pool.nodes;
  r.ones.assign(index(nodes), 1);
  r.room.resize(index(nodes));
  r.extra.resize(index(nodes));
  for (int n = 0; n < nodes; ++n) r.room[index(n)] = p.pool.capacity[n] - rate[n];
  r.level = waterfill(r.ones.data(), r.room.data(), p.pool.needs.data(), r.left.data(), 1.0,
                      r.extra.data(), nodes, p.pool.resource_count());
  for (int n = 0; n < nodes; ++n) rate[n] += r.extra[index(n)];
}

}  // namespace

double clip_and_give(const Params& p, const double* w, double scale, const Turn& turn,
                     Redistribution& r, double* rate) {
  clip(p, w, scale, r);
  std::copy(r.clipped.begin(), r.clipped.end(), rate);
  r.gifts.clear();
  Giver giver{p, rate, r.left, r.gifts};
  switch (p.pool.conflict) {
    case Conflict::priority:
      give_by_priority(giver, turn.importance);
      break;
    case Conflict::round_robin:
      give_in_turn(giver, turn.slot);
      break;
    case Conflict::maxmin:
      give_equally(p, r, rate);
      break;
    default: {
      const Weights weights(w, p.pool.nodes);
      const int resources = p.pool.resource_count();
      double waste = 0;
      for (int n = 0; n < p.pool.nodes; ++n)
        for (int k = 0; k < resources; ++k)
          waste += (r.theta * weights.at(n) - rate[n]) * p.pool.need_of(n, k) /
                   p.pool.budgets[index(k)] / resources;
      return waste;
    }
  }
  return 0;
}

double clip_and_give_backward(const Params& p, const double* w, double scale,
                              const Redistribution& r, double* d_rate, double* d_w) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  std::vector<double> d_left(index(resources), 0.0);
  if (p.pool.conflict == Conflict::maxmin) {
    std::vector<double> d_room(index(nodes)), d_ones(index(nodes));
    const WaterfillCall call{r.ones.data(), r.room.data(),  p.pool.needs.data(),
                             r.left.data(), r.extra.data(), r.level,
                             nodes,         resources};
    const Scarcity scarce = waterfill_backward(call, d_rate, d_ones.data(), d_room.data());
    d_left[index(scarce.resource)] += scarce.value;
    for (int n = 0; n < nodes; ++n) d_rate[n] -= d_room[index(n)];  // room = capacity - clipped
  }
  for (auto gift = r.gifts.rbegin(); gift != r.gifts.rend(); ++gift) {
    double d_gift = d_rate[gift->node];
    for (int k = 0; k < resources; ++k) d_gift -= p.pool.need_of(gift->node, k) * d_left[index(k)];
    if (gift->limit == Gift::kRoom) d_rate[gift->node] -= d_gift;
    if (gift->limit >= 0)
      d_left[index(gift->limit)] += d_gift / p.pool.need_of(gift->node, gift->limit);
  }
  // left = scale budget - sum need clipped, and nothing where that is rounding below 0.
  double d_scale = 0;
  for (int k = 0; k < resources; ++k) {
    if (!(r.left[index(k)] > 1e-12 * scale * p.pool.budgets[index(k)])) continue;
    d_scale += p.pool.budgets[index(k)] * d_left[index(k)];
    for (int n = 0; n < nodes; ++n) d_rate[n] -= p.pool.need_of(n, k) * d_left[index(k)];
  }
  return d_scale + clip_backward(p, w, r, d_rate, d_w);
}

}  // namespace cra::sim
