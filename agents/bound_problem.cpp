// The clairvoyant problem itself: what is a valid one, and its plant.
#include "agents/bound.h"

namespace cra::agents {
namespace {

std::string of(const char* array, std::size_t i) {
  return std::string("clairvoyant problem: ") + array + "[" + std::to_string(i) + "]";
}

void check_array(const std::vector<double>& values, const char* name, std::size_t size,
                 const Range& range) {
  CRA_CHECK(values.size() == size, "clairvoyant problem: " + std::string(name) + " has " +
                                       std::to_string(values.size()) + " numbers, expected " +
                                       std::to_string(size));
  for (std::size_t i = 0; i < size; ++i)
    CRA_CHECK(std::isfinite(values[i]) && range.contains(values[i]),
              of(name, i) + " is " + std::to_string(values[i]) + ", out of its range");
}

bool valid(const BacklogCurve& c) { return c.scale > 0; }
bool valid(const LinearCurve& c) { return c.rise >= 0; }
bool valid(const PowerCurve& c) { return c.a >= 0 && c.b > 0 && c.c >= 0 && c.x0 > 0; }
bool valid(const ExponentialCurve& c) { return c.a >= 0 && c.c >= 0 && c.x0 > 0; }
bool valid(const TableCurve& c) {
  if (c.x.empty() || c.x.size() != c.error.size()) return false;
  for (std::size_t j = 0; j < c.x.size(); ++j) {
    if (!std::isfinite(c.x[j]) || !(c.error[j] >= 0) || c.slope_of(j) > 0) return false;
    if (j == 0) continue;
    // Convex but for the rounding of whoever made the table.
    if (!(c.x[j] > c.x[j - 1]) || c.slope_of(j) < c.slope_of(j - 1) * (1 + 1e-6)) return false;
  }
  return true;
}

void check_node(const ClairvoyantNode& node, std::size_t n) {
  CRA_CHECK(node.capacity > 0 && std::isfinite(node.capacity), of("node", n) + ": capacity <= 0");
  CRA_CHECK(node.lag > 0 && node.lag <= 1, of("node", n) + ": lag outside (0, 1]");
  CRA_CHECK(node.abandonment >= 0 && node.abandonment < 1,
            of("node", n) + ": abandonment outside [0, 1)");
  CRA_CHECK(node.forgetting >= 0 && node.forgetting < 1,
            of("node", n) + ": forgetting outside [0, 1)");
  CRA_CHECK(node.rate >= 0 && node.rate <= node.capacity,
            of("node", n) + ": rate outside [0, capacity]");
  CRA_CHECK(node.backlog >= 0 && node.effort >= 0, of("node", n) + ": negative start");
  CRA_CHECK(node.price >= 0 && node.crowding >= 0, of("node", n) + ": price or crowding < 0");
  CRA_CHECK(std::visit([](const auto& curve) { return valid(curve); }, node.error),
            of("node", n) + ": error curve with a number out of its range");
  CRA_CHECK(!node.deadline || std::holds_alternative<LinearCurve>(node.error),
            of("node", n) + ": what misses a deadline needs a linear error");
}

void check_feeds(const ClairvoyantProblem& p) {
  for (int n = 0; n < p.nodes; ++n)
    CRA_CHECK(feeders(p, n).size() <= static_cast<std::size_t>(kMostFeeders),
              of("node", static_cast<std::size_t>(n)) + ": more nodes feed it than can be held");
  for (int n = 0; n < p.nodes; ++n)
    for (const Feed& feed : p.at_node(n).feeds)
      CRA_CHECK(feed.follower >= 0 && feed.follower < p.nodes && feed.follower != n &&
                    feed.weight >= 0 && std::isfinite(feed.weight) && !p.at_node(n).queue() &&
                    !p.at_node(feed.follower).queue(),
                of("node", static_cast<std::size_t>(n)) +
                    ": only progress nodes feed each other, with weights >= 0");
}

double movement_cost(const ClairvoyantProblem& p, double step) {
  return p.switching > 0 ? p.switching * sim::movement(step, p.smoothing) : 0;
}

}  // namespace

void check(const ClairvoyantProblem& p) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  CRA_CHECK(p.slots > 0 && p.nodes > 0 && p.resources > 0, "clairvoyant problem: empty");
  const auto nodes = static_cast<std::size_t>(p.nodes);
  const auto resources = static_cast<std::size_t>(p.resources);
  const std::size_t all = p.at(p.slots, 0);
  CRA_CHECK(p.node.size() == nodes, "clairvoyant problem: node has " +
                                        std::to_string(p.node.size()) + " entries, expected " +
                                        std::to_string(nodes));
  for (std::size_t n = 0; n < nodes; ++n) check_node(p.node[n], n);
  check_array(p.need, "need", nodes * resources, {0, inf});
  check_array(p.budget, "budget", resources, above(0, inf));
  check_array(p.arrivals, "arrivals", all, {0, inf});
  check_array(p.availability, "availability", all, {0, 1});
  check_array(p.importance, "importance", all, {0, inf});
  check_array(p.retention, "retention", all, {0, 1});
  if (!p.factor.empty()) check_array(p.factor, "factor", all, {0, inf});
  if (!p.stretch.empty()) check_array(p.stretch, "stretch", all, above(0, inf));
  for (const ClairvoyantNode& node : p.node)
    if (node.deadline) {
      check_array(p.room, "room", all, {0, inf});
      break;
    }
  check_feeds(p);
  CRA_CHECK(p.worst >= 0 && p.temperature > 0,
            "clairvoyant problem: worst < 0 or temperature <= 0");
  CRA_CHECK(p.switching >= 0 && p.smoothing > 0,
            "clairvoyant problem: switching < 0 or smoothing <= 0");
  CRA_CHECK(p.reserve >= 0 && p.reserve <= 1, "clairvoyant problem: reserve outside [0, 1]");
  if (p.reserve == 0) return;
  // What is placed stays inside the budget only when all nodes move alike from a start inside it;
  // otherwise the pool constraint would cut off commands that a policy may give.
  for (int n = 0; n < p.nodes; ++n)
    CRA_CHECK(p.at_node(n).lag == p.at_node(0).lag, "clairvoyant problem: a reserve needs one lag");
  for (int k = 0; k < p.resources; ++k) {
    double placed = 0;
    for (int n = 0; n < p.nodes; ++n) placed += p.need_of(n, k) * p.at_node(n).rate;
    CRA_CHECK(placed <= p.budget[static_cast<std::size_t>(k)] * (1 + 1e-12),
              "clairvoyant problem: the placement before slot 0 exceeds the budget");
  }
}

void make_feasible(const ClairvoyantProblem& p, Commands& c) {
  const bool reserve = p.reserve > 0;
  std::vector<double> placed(static_cast<std::size_t>(p.nodes));
  for (int n = 0; n < p.nodes; ++n) placed[static_cast<std::size_t>(n)] = p.at_node(n).rate;
  for (int t = 0; t < p.slots; ++t) {
    for (int n = 0; n < p.nodes; ++n) {
      double& rate = c.rate[p.at(t, n)];
      rate = std::clamp(rate, 0.0, p.at_node(n).capacity);
      if (reserve) {
        double& spare = c.reserve[p.at(t, n)];
        spare = p.at_node(n).queue() ? std::max(spare, 0.0) : 0;
      }
    }
    double fit = 1;
    for (int k = 0; k < p.resources; ++k) {
      double used = 0;
      for (int n = 0; n < p.nodes; ++n) {
        const std::size_t i = p.at(t, n);
        used += p.need_of(n, k) * (c.rate[i] + (reserve ? c.reserve[i] / p.reserve : 0));
      }
      const double budget = p.budget[static_cast<std::size_t>(k)];
      if (used > budget) fit = std::min(fit, budget / used);
    }
    for (int n = 0; n < p.nodes; ++n) {
      const std::size_t i = p.at(t, n);
      double& m = placed[static_cast<std::size_t>(n)];
      c.rate[i] *= fit;
      m = sim::lagged(m, c.rate[i], p.at_node(n).lag);
      if (reserve) c.reserve[i] *= fit;
    }
    if (!reserve) continue;
    double sent = 1;
    for (int k = 0; k < p.resources; ++k) {
      double left = p.budget[static_cast<std::size_t>(k)], wanted = 0;
      for (int n = 0; n < p.nodes; ++n) {
        left -= p.need_of(n, k) * placed[static_cast<std::size_t>(n)];
        wanted += p.need_of(n, k) * c.reserve[p.at(t, n)] / p.reserve;
      }
      left = std::max(left, 0.0);
      if (wanted > left) sent = std::min(sent, left / wanted);
    }
    if (sent < 1)
      for (int n = 0; n < p.nodes; ++n) c.reserve[p.at(t, n)] *= sent;
  }
}

std::vector<Feed> feeders(const ClairvoyantProblem& p, int n) {
  std::vector<Feed> out;
  for (int h = 0; h < p.nodes; ++h)
    for (const Feed& feed : p.at_node(h).feeds)
      if (feed.follower == n) out.push_back({h, feed.weight});
  return out;
}

namespace {

/// Runs node n. \param up  [T] most that it can do  \param helped  [T] effort from other nodes
template <class Curve>
void follow_node(const ClairvoyantProblem& p, const Commands& c, int n, const Curve& curve,
                 const std::vector<double>& helped, Course& out, std::vector<double>& error) {
  const ClairvoyantNode& node = p.at_node(n);
  const bool reserve = p.reserve > 0 && node.queue();
  double backlog = node.backlog, effort = node.effort;
  for (int t = 0; t < p.slots; ++t) {
    const std::size_t i = p.at(t, n);
    const double up = p.availability[i] * node.capacity, served = std::min(out.rate[i], up);
    double level = 0, judged = 0;
    if (node.queue()) {
      level = std::max(backlog + p.arrivals[i] - served, 0.0);
      if (reserve) level -= std::min({c.reserve[i], up - served, level});
      judged = level;
      if (node.deadline) {
        judged = std::max(level - p.room[i], 0.0);
        level -= judged;
      }
      backlog = (1 - node.abandonment) * level;
    } else {
      effort = p.retention[i] * (1 - node.forgetting) * effort + served +
               helped[static_cast<std::size_t>(t)];
      judged = level = effort;
    }
    out.level[i] = level;
    error[i] = p.factor_of(i) * curve.value(judged / p.stretch_of(i));
    out.cost += p.importance[i] * error[i];
  }
}

/// The soft maximum of one slot's errors.
double soft_worst(const ClairvoyantProblem& p, const double* error) {
  const double worst = *std::max_element(error, error + p.nodes);
  double sum = 0;
  for (int n = 0; n < p.nodes; ++n) sum += std::exp((error[n] - worst) / p.temperature);
  return worst + p.temperature * std::log(sum / p.nodes);
}

}  // namespace

Course follow(const ClairvoyantProblem& p, const Commands& c) {
  Course out;
  const std::size_t all = p.at(p.slots, 0);
  out.rate.resize(all);
  out.level.resize(all);
  std::vector<double> error(all), helped(static_cast<std::size_t>(p.slots));
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& node = p.at_node(n);
    double m = node.rate;
    for (int t = 0; t < p.slots; ++t) {
      const std::size_t i = p.at(t, n);
      const double before = m;
      m = out.rate[i] = sim::lagged(before, c.rate[i], node.lag);
      out.cost +=
          movement_cost(p, m - before) + c.rate[i] * (node.price + node.crowding * c.rate[i]);
    }
  }
  for (int n = 0; n < p.nodes; ++n) {
    std::fill(helped.begin(), helped.end(), 0.0);
    for (const Feed& from : feeders(p, n))
      for (int t = 0; t < p.slots; ++t) {
        const std::size_t i = p.at(t, from.follower);
        helped[static_cast<std::size_t>(t)] +=
            from.weight *
            std::min(out.rate[i], p.availability[i] * p.at_node(from.follower).capacity);
      }
    std::visit([&](const auto& curve) { follow_node(p, c, n, curve, helped, out, error); },
               p.at_node(n).error);
  }
  if (p.worst > 0)
    for (int t = 0; t < p.slots; ++t)
      out.cost += p.worst * p.nodes * soft_worst(p, error.data() + p.at(t, 0));
  out.cost /= static_cast<double>(p.slots) * p.nodes;
  return out;
}

double clairvoyant_cost(const ClairvoyantProblem& p, const Commands& c) {
  return follow(p, c).cost;
}

}  // namespace cra::agents
