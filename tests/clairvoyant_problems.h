// tests/clairvoyant_problems.h: clairvoyant problems that tests solve.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "agents/bound.h"

namespace cra::testing {

using namespace cra::agents;

/// Everything at rest: no work, one resource that every node needs alike.
inline ClairvoyantProblem empty_problem(int slots, int nodes, double budget) {
  ClairvoyantProblem p;
  p.slots = slots;
  p.nodes = nodes;
  p.node.resize(static_cast<std::size_t>(nodes));
  p.need.assign(p.node.size(), 1);
  p.budget = {budget};
  for (auto* ones : {&p.availability, &p.importance, &p.retention}) ones->assign(p.at(slots, 0), 1);
  p.arrivals.assign(p.at(slots, 0), 0);
  return p;
}

/// Instance t13 and t17-t19 of the model: four queues, ten slots.
inline ClairvoyantProblem waves(const ErrorCurve& error) {
  ClairvoyantProblem p = empty_problem(10, 4, 4);
  const double importance[] = {1, 2, 1, 3};
  for (int t = 0; t < 10; ++t)
    for (int n = 0; n < 4; ++n) {
      p.arrivals[p.at(t, n)] = std::max(0.0, 0.9 + 0.8 * std::sin(1.7 * t + 2.1 * n));
      p.importance[p.at(t, n)] = importance[n];
    }
  for (ClairvoyantNode& node : p.node) {
    node.capacity = 10;
    node.lag = 0.3;
    node.abandonment = 0.05;
    node.rate = 1;
    node.error = error;
  }
  return p;
}

/// Draws for the random instances; fixed bits on every standard library, unlike distributions.
struct Dice {
  std::mt19937_64 bits;
  double uniform(double lo, double hi) {
    return lo + (hi - lo) * static_cast<double>(bits() >> 11) * 0x1p-53;
  }
  bool chance(double p) { return uniform(0, 1) < p; }
  int below(int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); }
};

inline ErrorCurve random_curve(Dice& d) {
  switch (d.below(4)) {
    case 0:
      return BacklogCurve{d.uniform(0.3, 4)};
    case 1:
      return LinearCurve{d.uniform(0.1, 2)};
    case 2:
      return PowerCurve{d.uniform(0.2, 1), d.uniform(0.3, 2), d.uniform(0, 0.3), d.uniform(0.5, 8)};
    default:
      return ExponentialCurve{d.uniform(0.2, 1), d.uniform(0, 0.3), d.uniform(0.5, 8)};
  }
}

/// Small instances in which every mechanism appears: both kinds of node, one to three resources,
/// nodes down, releases, a reserve, switching.
inline ClairvoyantProblem random_problem(Dice& d) {
  ClairvoyantProblem p = empty_problem(1 + d.below(10), 1 + d.below(4), 1);
  p.resources = 1 + d.below(3);
  const bool reserve = d.chance(0.4), failures = d.chance(0.4);
  if (reserve) p.reserve = d.uniform(0.3, 1);
  if (d.chance(0.4)) p.switching = d.uniform(0.01, 0.3);
  const double lag = d.chance(0.2) ? 1 : d.uniform(0.1, 1);
  p.need.clear();
  p.budget.assign(static_cast<std::size_t>(p.resources), 0);
  std::vector<double> placed(p.budget.size());
  for (ClairvoyantNode& node : p.node) {
    node.capacity = d.uniform(0.8, 4);
    node.lag = reserve || d.chance(0.7) ? lag : d.uniform(0.1, 1);
    node.abandonment = d.chance(0.3) ? 0 : d.uniform(0, 0.2);
    node.forgetting = d.uniform(0, 0.2);
    node.rate = d.chance(0.3) ? 0 : d.uniform(0, 1) * node.capacity;
    node.backlog = d.chance(0.5) ? 0 : d.uniform(0, 3);
    node.effort = d.chance(0.5) ? 0 : d.uniform(0, 6);
    node.error = random_curve(d);
    if (d.chance(0.2)) node.price = d.uniform(0, 0.2);
    if (d.chance(0.2)) node.crowding = d.uniform(0, 0.1);
    for (std::size_t k = 0; k < p.budget.size(); ++k) {
      const double need = d.chance(0.15) && p.budget.size() > 1 ? 0 : d.uniform(0.3, 1.5);
      p.need.push_back(need);
      p.budget[k] += d.uniform(0.3, 0.7) * node.capacity * need;
      placed[k] += node.rate * need;
    }
  }
  for (double& budget : p.budget) budget = std::max(budget, 0.5);
  double fit = 1;
  for (std::size_t k = 0; reserve && k < placed.size(); ++k)
    if (placed[k] > p.budget[k]) fit = std::min(fit, 0.99 * p.budget[k] / placed[k]);
  for (ClairvoyantNode& node : p.node) node.rate *= fit;
  for (int t = 0; t < p.slots; ++t)
    for (int n = 0; n < p.nodes; ++n) {
      const std::size_t i = p.at(t, n);
      p.arrivals[i] = d.chance(0.2) ? 0 : d.uniform(0, 2.5);
      p.importance[i] = d.uniform(0.2, 3);
      if (failures && d.chance(0.3)) p.availability[i] = d.chance(0.5) ? 0 : d.uniform(0, 1);
      if (d.chance(0.1)) p.retention[i] = d.uniform(0.3, 1);
    }
  return p;
}

/// Trials of a long random test. Memory faults do not hide in rare numbers: under the sanitizers,
/// which take ten times as long for each, a tenth will do.
constexpr int trials(int count) {
#if defined(CRA_SANITIZED)
  return count / 10;
#else
  return count;
#endif
}

/// Feasible commands without sense.
inline Commands random_commands(const ClairvoyantProblem& p, Dice& d) {
  Commands c;
  for (std::size_t i = 0; i < p.at(p.slots, 0); ++i) {
    c.rate.push_back(d.chance(0.3) ? 0 : d.uniform(0, 4));
    if (p.reserve > 0) c.reserve.push_back(d.chance(0.5) ? 0 : d.uniform(0, 1));
  }
  make_feasible(p, c);
  return c;
}

/// Multipliers near the best ones, or anywhere.
inline Multipliers random_prices(const ClairvoyantProblem& p, const Multipliers& near, Dice& d) {
  Multipliers out = near;
  const double spread = std::pow(10, d.uniform(-6, 1));
  const bool anywhere = d.chance(0.3);
  for (auto* prices : {&out.work, &out.serve, &out.budget, &out.pool, &out.fairness})
    for (double& price : *prices)
      price = anywhere ? (d.chance(0.3) ? 0 : d.uniform(0, 5))
                       : price * std::exp(spread * d.uniform(-1, 1));
  for (double& price : out.movement)
    price = std::clamp(price + spread * d.uniform(-1, 1), -p.switching, p.switching);
  return out;
}

/// More instances: soft worst errors, deadlines, tables, nodes that feed each other, errors that
/// stretch with the slot.
inline ClairvoyantProblem random_joint_problem(Dice& d) {
  ClairvoyantProblem p = random_problem(d);
  const std::size_t all = p.at(p.slots, 0);
  if (d.chance(0.5)) {
    p.worst = d.uniform(0.05, 1);
    p.temperature = d.uniform(0.05, 0.5);
  }
  if (d.chance(0.4))
    for (std::size_t i = 0; i < all; ++i) {
      p.factor.push_back(d.chance(0.1) ? 0 : d.uniform(0.3, 2));
      p.stretch.push_back(d.uniform(0.5, 2));
    }
  for (std::size_t i = 0; i < all; ++i) p.room.push_back(d.chance(0.2) ? 0 : d.uniform(0, 3));
  for (int n = 0; n < p.nodes; ++n) {
    ClairvoyantNode& node = p.node[static_cast<std::size_t>(n)];
    node.deadline = std::holds_alternative<LinearCurve>(node.error) && d.chance(0.6);
    if (std::holds_alternative<PowerCurve>(node.error) && d.chance(0.5)) {
      TableCurve table;
      double x = d.chance(0.5) ? 0 : -0.5, error = d.uniform(0.5, 1), slope = -d.uniform(0.3, 1);
      for (int knot = 1 + d.below(6); knot > 0 && error > 0; --knot) {
        table.x.push_back(x);
        table.error.push_back(error);
        const double width = d.uniform(0.2, 2);
        x += width;
        error += slope * width;
        slope *= d.uniform(0.2, 0.9);
      }
      node.error = table;
    }
    if (!node.queue())
      for (int follower = 0; follower < p.nodes; ++follower)
        if (follower != n && !p.at_node(follower).queue() && d.chance(0.6))
          node.feeds.push_back({follower, d.uniform(0, 1)});
  }
  return p;
}

/// Solves p and checks that neither the multipliers found nor `tries` others near them certify more
/// than a cost that can be had. \param exact  the bound must also be tight  \returns its slack, as
/// a share of the upper side; 0 where that is next to nothing, or the bound need not be tight
inline double certified_slack(const ClairvoyantProblem& p, int tries, bool exact, Dice& d) {
  const Clairvoyant found = interior_point(p);
  double upper = clairvoyant_cost(p, found.commands);
  CHECK(upper == doctest::Approx(found.upper).epsilon(1e-12));
  for (int i = 0; i < 5; ++i) upper = std::min(upper, clairvoyant_cost(p, random_commands(p, d)));
  CHECK(found.lower <= upper);
  CHECK(std::max(0.0, certificate(p, found.multipliers)) ==
        doctest::Approx(found.lower).epsilon(1e-9));
  for (int i = 0; i < tries; ++i)
    CHECK(certificate(p, random_prices(p, found.multipliers, d)) <= upper);
  if (!exact) return 0;
  const double slack = found.upper - found.lower;
  // The absolute goal of 1e-7 is in units of the mean importance, a power of two near it.
  double importance = 0;
  for (const double w : p.importance) importance += w / static_cast<double>(p.importance.size());
  CHECK(slack <= std::max(1e-3 * found.upper, 1.5e-7 * importance));
  return found.upper > 1e-3 ? slack / found.upper : 0;
}

}  // namespace cra::testing
