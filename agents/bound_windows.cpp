// The clairvoyant problem window by window, for horizons that are too long to be solved whole.
#include <limits>

#include "agents/bound.h"

namespace cra::agents {
namespace {

// The Schur complement has (slots * rows)^2 numbers and takes (slots * rows)^3 / 3 operations in
// every step, where rows is what all nodes share in a slot.
constexpr int kMostWhole = 800;
constexpr int kWindow = 450;  // slots * rows that a window keeps

int shared_in_slot(const ClairvoyantProblem& p) {
  return p.resources + (p.reserve > 0 ? 1 : 0) + (p.worst > 0 ? 1 : 0);
}

std::vector<double> slice(const std::vector<double>& all, int first, int count, int width) {
  if (all.empty()) return {};
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first) * width;
  return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(count) * width);
}

/// Slots first .. first + count - 1 of p, from where the nodes are.
ClairvoyantProblem cut(const ClairvoyantProblem& p, const std::vector<ClairvoyantNode>& node,
                       int first, int count) {
  ClairvoyantProblem out;
  out.slots = count;
  out.nodes = p.nodes;
  out.resources = p.resources;
  out.node = node;
  out.need = p.need;
  out.budget = p.budget;
  const auto part = [&](const std::vector<double>& all) {
    return slice(all, first, count, p.nodes);
  };
  out.arrivals = part(p.arrivals);
  out.availability = part(p.availability);
  out.importance = part(p.importance);
  out.retention = part(p.retention);
  out.factor = part(p.factor);
  out.stretch = part(p.stretch);
  out.room = part(p.room);
  out.worst = p.worst;
  out.temperature = p.temperature;
  out.switching = p.switching;
  out.smoothing = p.smoothing;
  out.reserve = p.reserve;
  return out;
}

void append(std::vector<double>& to, const std::vector<double>& from, int slots, int width) {
  if (from.empty()) return;
  to.insert(to.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(slots) * width);
}

/// Where a window ends, its prices and those of the next do not fit, and what waits may look
/// cheaper than it can ever be. Slots backward, the price of work rises no faster than an error
/// somewhat above that of the commands warrants.
void smooth_prices(const ClairvoyantProblem& p, const Course& course, Multipliers& prices) {
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& node = p.at_node(n);
    if (!node.queue() || node.deadline) continue;
    double later = 0;
    for (int t = p.slots - 1; t >= 0; --t) {
      const std::size_t i = p.at(t, n);
      double weight = p.importance[i];
      if (p.worst > 0) weight += p.worst * p.nodes * prices.fairness[i];
      const double level = (2 * course.level[i] + node.capacity) / p.stretch_of(i);
      const double slope =
          weight * p.factor_of(i) / p.stretch_of(i) *
          std::visit([&](const auto& curve) { return curve.slope(level); }, node.error);
      prices.work[i] = std::min(prices.work[i], later + slope);
      prices.serve[i] = std::min(prices.serve[i], prices.work[i]);
      later = (1 - node.abandonment) * prices.work[i];
    }
  }
}

}  // namespace

int longest_whole(const ClairvoyantProblem& p) { return kMostWhole / shared_in_slot(p); }

Clairvoyant by_windows(const ClairvoyantProblem& p, int window, const Tolerance& tolerance) {
  check(p);
  CRA_CHECK(window > 0, "by_windows: a window of " + std::to_string(window) + " slots");
  const int beyond = (window + 1) / 2;
  std::vector<ClairvoyantNode> node = p.node;
  Clairvoyant out;
  for (int first = 0; first < p.slots; first += window) {
    const int kept = std::min(window, p.slots - first);
    const ClairvoyantProblem part = cut(p, node, first, std::min(window + beyond, p.slots - first));
    const Clairvoyant found = interior_point(part, tolerance);
    out.steps += found.steps;
    const Course course = follow(part, found.commands);
    for (int n = 0; n < p.nodes; ++n) {
      ClairvoyantNode& at = node[static_cast<std::size_t>(n)];
      const std::size_t last = part.at(kept - 1, n);
      at.rate = std::min(course.rate[last], at.capacity);
      at.backlog = (1 - at.abandonment) * course.level[last];
      at.effort = course.level[last];
    }
    append(out.commands.rate, found.commands.rate, kept, p.nodes);
    append(out.commands.reserve, found.commands.reserve, kept, p.nodes);
    const Multipliers& prices = found.multipliers;
    append(out.multipliers.work, prices.work, kept, p.nodes);
    append(out.multipliers.serve, prices.serve, kept, p.nodes);
    append(out.multipliers.budget, prices.budget, kept, p.resources);
    append(out.multipliers.pool, prices.pool, kept, 1);
    append(out.multipliers.movement, prices.movement, kept, p.nodes);
    append(out.multipliers.fairness, prices.fairness, kept, p.nodes);
  }
  const Course course = follow(p, out.commands);
  out.upper = course.cost;
  out.lower = certificate(p, out.multipliers);
  Multipliers smooth = out.multipliers;
  smooth_prices(p, course, smooth);
  const double other = certificate(p, smooth);
  if (other > out.lower) {
    out.lower = other;
    out.multipliers = std::move(smooth);
  }
  out.lower = std::max(out.lower, 0.0);
  return out;
}

Clairvoyant clairvoyant(const ClairvoyantProblem& p, const Tolerance& tolerance) {
  if (p.slots <= longest_whole(p)) return interior_point(p, tolerance);
  return by_windows(p, std::max(1, kWindow / shared_in_slot(p)), tolerance);
}

}  // namespace cra::agents
