// The clairvoyant problem window by window, for horizons that are too long to be solved whole.
#include <limits>

#include "agents/bound.h"

namespace cra::agents {
namespace {

// The Schur complement has (slots * rows)^2 numbers and takes (slots * rows)^3 / 3 operations in
// every step, where rows is what all nodes share in a slot.
constexpr int kMostWhole = 800;
constexpr int kWindow = 450;     // slots * rows that a window keeps
constexpr int kPasses = 3;       // over all windows at most, where effort reaches beyond them
constexpr double kTight = 1e-3;  // slack, as a share of the upper side, that needs no further pass

int shared_in_slot(const ClairvoyantProblem& p) {
  return p.resources * (p.reserve > 0 ? 2 : 1) + (p.worst > 0 ? 1 : 0);
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

// Effort that is not forgotten is of use for the rest of the horizon, far beyond what a window
// sees. Close to a course it saves importance * |slope of the error| in each slot to come; so the
// last slot of a window stands for those behind it, with as much importance as gives effort the
// same worth there. Being a convex error and no price of effort, it does not pay for more than the
// course has in mind.

/// \returns importance that slot `last` of node n gains by the slots behind it
double importance_of_rest(const ClairvoyantProblem& p, const Course& course, int n, int last) {
  const ClairvoyantNode& node = p.at_node(n);
  const auto slope = [&](int t) {
    const std::size_t i = p.at(t, n);
    const double stretch = p.stretch_of(i);
    return p.factor_of(i) / stretch *
           std::visit([&](const auto& curve) { return curve.slope(course.level[i] / stretch); },
                      node.error);
  };
  const double now = slope(last);
  if (node.queue() || !(now < 0)) return 0;
  double rest = 0, left = 1;
  for (int t = last + 1; t < p.slots && left > 0; ++t) {
    left *= p.retention[p.at(t, n)] * (1 - node.forgetting);
    rest += left * p.importance[p.at(t, n)] * slope(t) / now;
  }
  return rest;
}

/// All nodes commanded alike, as far as budgets go.
Course steady_course(const ClairvoyantProblem& p) {
  Commands steady;
  for (int t = 0; t < p.slots; ++t)
    for (const ClairvoyantNode& node : p.node) steady.rate.push_back(node.capacity);
  if (p.reserve > 0) steady.reserve.assign(steady.rate.size(), 0);
  make_feasible(p, steady);
  return follow(p, steady);
}

/// Where a window ends, its prices and those of the next do not fit, and what waits may look
/// cheaper than it can ever be. Slots backward, the price of work rises no faster than an error
/// somewhat above that of the commands warrants; that of effort is what it saves along the course.
void smooth_prices(const ClairvoyantProblem& p, const Course& course, Multipliers& prices) {
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& node = p.at_node(n);
    if (node.deadline) continue;
    double later = 0;
    for (int t = p.slots - 1; t >= 0; --t) {
      const std::size_t i = p.at(t, n);
      double weight = p.importance[i];
      if (p.worst > 0) weight += p.worst * p.nodes * prices.fairness[i];
      const double level =
          (node.queue() ? 2 * course.level[i] + node.capacity : course.level[i]) / p.stretch_of(i);
      const double slope =
          weight * p.factor_of(i) / p.stretch_of(i) *
          std::visit([&](const auto& curve) { return curve.slope(level); }, node.error);
      if (node.queue()) {
        prices.work[i] = std::min(prices.work[i], later + slope);
        prices.serve[i] = std::min(prices.serve[i], prices.work[i]);
        later = (1 - node.abandonment) * prices.work[i];
      } else {
        // What a cap of service was worth of the price, it is worth of the new one.
        const double before = prices.work[i];
        prices.work[i] = later - slope;
        prices.serve[i] *= before > 0 ? prices.work[i] / before : 0;
        const double kept = t > 0 ? p.retention[i] * (1 - node.forgetting) : 0;
        later = kept * prices.work[i];
      }
    }
  }
}

/// One pass over all windows. \param guess  a course that effort beyond a window is judged by
Clairvoyant pass(const ClairvoyantProblem& p, int window, const Tolerance& tolerance,
                 const Course& guess) {
  const int beyond = (window + 1) / 2;
  std::vector<ClairvoyantNode> node = p.node;
  Clairvoyant out;
  for (int first = 0; first < p.slots; first += window) {
    const int kept = std::min(window, p.slots - first);
    const int seen = std::min(window + beyond, p.slots - first);
    ClairvoyantProblem part = cut(p, node, first, seen);
    for (int n = 0; n < p.nodes; ++n)
      part.importance[part.at(seen - 1, n)] += importance_of_rest(p, guess, n, first + seen - 1);
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
    append(out.multipliers.pool, prices.pool, kept, p.resources);
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
  return out;
}

}  // namespace

int longest_whole(const ClairvoyantProblem& p) { return kMostWhole / shared_in_slot(p); }

Clairvoyant by_windows(const ClairvoyantProblem& p, int window, const Tolerance& tolerance) {
  check(p);
  CRA_CHECK(window > 0, "by_windows: a window of " + std::to_string(window) + " slots");
  Clairvoyant out = pass(p, window, tolerance, steady_course(p));
  // Again with what was found for a guess, where effort reaches beyond the windows.
  const bool queues = std::all_of(p.node.begin(), p.node.end(),
                                  [](const ClairvoyantNode& node) { return node.queue(); });
  for (int round = 1; round < kPasses && !queues && p.slots > window; ++round) {
    if (out.upper - out.lower <= kTight * out.upper) break;
    Clairvoyant again = pass(p, window, tolerance, follow(p, out.commands));
    again.steps += out.steps;
    if (again.lower < out.lower) {
      again.lower = out.lower;
      again.multipliers = std::move(out.multipliers);
    }
    if (again.upper > out.upper) {
      again.upper = out.upper;
      again.commands = std::move(out.commands);
    }
    out = std::move(again);
  }
  out.lower = std::max(out.lower, 0.0);
  return out;
}

Clairvoyant clairvoyant(const ClairvoyantProblem& p, const Tolerance& tolerance) {
  if (p.slots <= longest_whole(p)) return interior_point(p, tolerance);
  return by_windows(p, std::max(1, kWindow / shared_in_slot(p)), tolerance);
}

}  // namespace cra::agents
