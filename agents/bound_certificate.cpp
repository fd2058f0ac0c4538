// The Lagrangian dual value of the clairvoyant problem, in closed form (bound section 1.3).
#include <limits>

#include "agents/bound.h"

namespace cra::agents {
namespace {

/// A sum, and the sum of the magnitudes that went into it: what bounds its rounding.
struct Sum {
  double value = 0, magnitude = 0;
  void add(double x) {
    value += x;
    magnitude += std::abs(x);
  }
};

bool in_range(const std::vector<double>& values, std::size_t size, double lo, double hi) {
  if (values.size() != size) return false;
  return std::all_of(values.begin(), values.end(),
                     [&](double v) { return std::isfinite(v) && v >= lo && v <= hi; });
}

bool in_range(const ClairvoyantProblem& p, const Multipliers& prices) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::size_t all = p.at(p.slots, 0), slots = static_cast<std::size_t>(p.slots);
  return in_range(prices.work, all, 0, inf) && in_range(prices.serve, all, 0, inf) &&
         in_range(prices.budget, slots * static_cast<std::size_t>(p.resources), 0, inf) &&
         in_range(prices.pool, p.reserve > 0 ? slots * static_cast<std::size_t>(p.resources) : 0, 0,
                  inf) &&
         in_range(prices.movement, p.switching > 0 ? all : 0, -p.switching, p.switching) &&
         in_range(prices.fairness, p.worst > 0 ? all : 0, 0, inf);
}

/// Weights of the errors: the soft maximum is at least sum_n share_n error_n + temperature *
/// (entropy of the shares - log N), for any shares (Fenchel). \returns [T, N], empty when a slot
/// has no shares
std::vector<double> error_weights(const ClairvoyantProblem& p, const Multipliers& prices,
                                  Sum& sum) {
  std::vector<double> weight = p.importance;
  if (p.worst == 0) return weight;
  const double all = p.worst * p.nodes;
  for (int t = 0; t < p.slots; ++t) {
    double total = 0;
    for (int n = 0; n < p.nodes; ++n) total += prices.fairness[p.at(t, n)];
    if (!(total > 0) || !std::isfinite(total)) return {};
    for (int n = 0; n < p.nodes; ++n) {
      const double share = prices.fairness[p.at(t, n)] / total;
      weight[p.at(t, n)] += all * share;
      if (share > 0) sum.add(-all * p.temperature * share * std::log(share));
    }
    sum.add(-all * p.temperature * std::log(static_cast<double>(p.nodes)));
  }
  return weight;
}

/// Highest level that a node can reach in each slot: a queue without service, progress at full
/// speed. Keeps every inner minimum finite.
std::vector<double> highest_levels(const ClairvoyantProblem& p, int n) {
  const ClairvoyantNode& node = p.at_node(n);
  std::vector<double> top(static_cast<std::size_t>(p.slots));
  const std::vector<Feed> sources = feeders(p, n);
  double backlog = node.backlog, effort = node.effort;
  for (int t = 0; t < p.slots; ++t) {
    const std::size_t i = p.at(t, n);
    double& level = top[static_cast<std::size_t>(t)];
    if (node.queue()) {
      level = backlog + p.arrivals[i];
      if (node.deadline) level = std::min(level, p.room[i]);
      backlog = (1 - node.abandonment) * level;
    } else {
      effort = p.retention[i] * (1 - node.forgetting) * effort + p.availability[i] * node.capacity;
      for (const Feed& from : sources)
        effort += from.weight * p.availability[p.at(t, from.follower)] *
                  p.at_node(from.follower).capacity;
      level = effort;
    }
  }
  return top;
}

/// Work at a queue in slot t before anything of it is served, at most.
double node_load(const ClairvoyantProblem& p, int n, int t, const std::vector<double>& top) {
  const double before = t > 0
                            ? (1 - p.at_node(n).abandonment) * top[static_cast<std::size_t>(t) - 1]
                            : p.at_node(n).backlog;
  return before + p.arrivals[p.at(t, n)];
}

/// Adds the inner minima over everything that belongs to node n, slots backward.
template <class Curve>
void add_node(const ClairvoyantProblem& p, const Multipliers& prices,
              const std::vector<double>& weights, int n, const Curve& curve, Sum& sum) {
  const ClairvoyantNode& node = p.at_node(n);
  const bool queue = Curve::of_waiting_work;
  const std::vector<double> top = highest_levels(p, n);
  double next_work = 0;      // lambda_{t+1} times what is left of a level in the next slot
  double next_movement = 0;  // p_{t+1}
  double placed = 0;         // g_{t+1}: price of one unit of placed rate m_{t+1}, now and later
  for (int t = p.slots - 1; t >= 0; --t) {
    const std::size_t i = p.at(t, n), slot = static_cast<std::size_t>(t);
    const double work = prices.work[i], serve = prices.serve[i];
    double served = work;  // what a unit of service is worth
    for (const Feed& feed : node.feeds) served += feed.weight * prices.work[p.at(t, feed.follower)];
    const double movement = p.switching > 0 ? prices.movement[i] : 0;
    const auto price_of = [&](const std::vector<double>& prices_of_resources) {
      const double* at = prices_of_resources.data() + slot * static_cast<std::size_t>(p.resources);
      double taken = 0;
      for (int k = 0; k < p.resources; ++k) taken += at[k] * p.need_of(n, k);
      return taken;
    };
    const double budget = price_of(prices.budget);
    const double pool = p.reserve > 0 ? price_of(prices.pool) : 0;

    // The level: W eps(level) + price * level over [0, top].
    const double price = queue ? next_work - work : work - next_work;
    const double weight = weights[i] * p.factor_of(i), stretch = p.stretch_of(i);
    const double most = node.deadline ? node_load(p, n, t, top) : top[slot];
    const double level =
        stretch * curve.lowest(weight, (node.deadline ? -work : price) * stretch, most / stretch);
    sum.add(weight * curve.value(level / stretch));
    sum.add((node.deadline ? -work : price) * level);
    sum.magnitude += (std::abs(work) + std::abs(next_work)) * (level + top[slot]);
    if (node.deadline) sum.add(std::min(price, 0.0) * top[slot]);
    if (queue) sum.add(work * p.arrivals[i]);

    // Service v and reserve u with v + u <= b C: whichever is worth most, or neither.
    double worth = std::min(0.0, serve - served);
    if (queue && p.reserve > 0) worth = std::min(worth, (budget + pool) / p.reserve - work);
    const double up = p.availability[i] * node.capacity;
    sum.add(up * worth);
    sum.magnitude += up * (serve + served);

    // The command s in [0, C] through the placed rates that it makes.
    placed = pool - serve + movement - next_movement + (1 - node.lag) * placed;
    const double pays = node.lag * placed + budget + node.price;
    double command = pays < 0 ? node.capacity : 0;
    if (node.crowding > 0) command = std::min(command, std::max(0.0, -pays / (2 * node.crowding)));
    sum.add(pays * command);
    sum.add(node.crowding * command * command);
    sum.magnitude += node.capacity * (std::abs(placed) + std::abs(serve) + pool + budget +
                                      node.price + std::abs(movement) + std::abs(next_movement));
    if (p.switching > 0)
      sum.add(p.smoothing *
              (std::sqrt((p.switching - movement) * (p.switching + movement)) - p.switching));
    next_work =
        queue ? (1 - node.abandonment) * work : p.retention[i] * (1 - node.forgetting) * work;
    next_movement = movement;
  }
  sum.add((1 - node.lag) * node.rate * placed);
  sum.add(-next_movement * node.rate);
  if (queue)
    sum.add(prices.work[p.at(0, n)] * node.backlog);
  else
    sum.add(-next_work * node.effort);
}

}  // namespace

double certificate(const ClairvoyantProblem& p, const Multipliers& prices) {
  if (!in_range(p, prices)) return -std::numeric_limits<double>::infinity();
  Sum sum;
  const std::vector<double> weights = error_weights(p, prices, sum);
  if (weights.empty()) return -std::numeric_limits<double>::infinity();
  for (int n = 0; n < p.nodes; ++n)
    std::visit([&](const auto& curve) { add_node(p, prices, weights, n, curve, sum); },
               p.at_node(n).error);
  for (int t = 0; t < p.slots; ++t) {
    for (std::size_t k = 0; k < p.budget.size(); ++k) {
      const std::size_t at = static_cast<std::size_t>(t) * p.budget.size() + k;
      sum.add(-prices.budget[at] * p.budget[k]);
      if (p.reserve > 0) sum.add(-prices.pool[at] * p.budget[k]);
    }
  }
  // Rounding: a sum of c numbers is off by less than c times the unit roundoff times the sum of
  // their magnitudes, and the roundings inside a term and along the recursion for `placed` act
  // like changes of the terms counted above. Half the spacing eps would do; take all of it.
  const double terms = 8.0 * p.slots * p.nodes + 64;
  const double rounding = std::numeric_limits<double>::epsilon() * terms * sum.magnitude;
  const double bound = (sum.value - rounding) / (static_cast<double>(p.slots) * p.nodes);
  return std::isfinite(bound) ? bound : -std::numeric_limits<double>::infinity();
}

}  // namespace cra::agents
