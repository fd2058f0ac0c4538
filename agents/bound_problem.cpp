// The clairvoyant problem itself: what is a valid one, its plant, and the simulator's as one.
#include "agents/agents.h"
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
  CRA_CHECK(p.switching >= 0 && p.smoothing > 0,
            "clairvoyant problem: switching < 0 or smoothing <= 0");
  CRA_CHECK(p.reserve >= 0 && p.reserve <= 1, "clairvoyant problem: reserve outside [0, 1]");
  if (p.reserve == 0) return;
  // What is placed stays inside the budget only when all nodes move alike from a start inside it;
  // otherwise the pool constraint would cut off commands that a policy may give.
  CRA_CHECK(p.resources == 1, "clairvoyant problem: a reserve needs one resource");
  double placed = 0;
  for (int n = 0; n < p.nodes; ++n) {
    CRA_CHECK(p.at_node(n).lag == p.at_node(0).lag, "clairvoyant problem: a reserve needs one lag");
    placed += p.need_of(n, 0) * p.at_node(n).rate;
  }
  CRA_CHECK(placed <= p.budget[0] * (1 + 1e-12),
            "clairvoyant problem: the placement before slot 0 exceeds the budget");
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
    double left = reserve ? p.budget[0] : 0, wanted = 0;
    for (int n = 0; n < p.nodes; ++n) {
      const std::size_t i = p.at(t, n);
      double& m = placed[static_cast<std::size_t>(n)];
      c.rate[i] *= fit;
      m = sim::lagged(m, c.rate[i], p.at_node(n).lag);
      if (!reserve) continue;
      c.reserve[i] *= fit;
      left -= p.need_of(n, 0) * m;
      wanted += p.need_of(n, 0) * c.reserve[i] / p.reserve;
    }
    left = std::max(left, 0.0);
    if (wanted > left)
      for (int n = 0; n < p.nodes; ++n) c.reserve[p.at(t, n)] *= left / wanted;
  }
}

double clairvoyant_cost(const ClairvoyantProblem& p, const Commands& c) {
  double total = 0;
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& node = p.at_node(n);
    const bool queue = node.queue(), reserve = p.reserve > 0 && queue;
    double m = node.rate, backlog = node.backlog, effort = node.effort;
    std::visit(
        [&](const auto& curve) {
          for (int t = 0; t < p.slots; ++t) {
            const std::size_t i = p.at(t, n);
            const double before = m, up = p.availability[i] * node.capacity;
            m = sim::lagged(before, c.rate[i], node.lag);
            const double served = std::min(m, up);
            double level = 0;
            if (queue) {
              level = std::max(backlog + p.arrivals[i] - served, 0.0);
              if (reserve) level -= std::min({c.reserve[i], up - served, level});
              backlog = (1 - node.abandonment) * level;
            } else {
              level = effort = p.retention[i] * (1 - node.forgetting) * effort + served;
            }
            total += p.importance[i] * curve.value(level) + movement_cost(p, m - before) +
                     c.rate[i] * (node.price + node.crowding * c.rate[i]);
          }
        },
        node.error);
  }
  return total / (static_cast<double>(p.slots) * p.nodes);
}

// ---- the simulator's problem ---------------------------------------------------------------

std::string no_bound_because(const sim::Params& p, int slots) {
  // The Schur complement has (slots * rows)^2 numbers and takes (slots * rows)^3 / 3 operations in
  // every step, where rows is what all nodes share in a slot.
  constexpr std::int64_t most = 3000;
  const sim::SharedReserve* reserve = p.pool.shared_reserve();
  const std::int64_t shared = p.pool.resource_count() + (reserve != nullptr ? 1 : 0);
  if (slots * shared > most)
    return "an episode of " + std::to_string(slots) + " slots with " + std::to_string(shared) +
           " shared constraints in each is longer than the solver can hold (" +
           std::to_string(most) + " in all)";
  if (!std::holds_alternative<sim::BacklogError>(p.errors))
    return "the error model of waiting work has no clairvoyant form";
  if (!p.progress.sharing.empty()) return "the bound does not know progress that is shared yet";
  if (p.pool.has_progress() && std::holds_alternative<sim::CurveError>(p.progress.error))
    return "the bound does not know measured curves of progress yet";
  if (p.cost.worst > 0) return "cost.worst joins the errors of all nodes";
  if (p.pool.lottery() != nullptr)
    return "service by lottery serves whom it draws, not what was commanded";
  if (p.pool.conflict == sim::Conflict::gps) {
    // At lag 1 all that is served with loans could have been commanded in the first place: the
    // rates fit the caps and, as no more is lent than lies idle, the budgets. Moving and crowding
    // are charged on what was commanded, and lending does neither.
    if (p.pool.lag < 1) return "pool.conflict: gps lends at once what a lag below 1 cannot place";
    if (p.cost.switching > 0 || p.cost.concentration > 0)
      return "pool.conflict: gps lends without paying cost.switching and cost.concentration";
  }
  // Every other action and conflict rule commands rates of the same convex set, 0 <= s <= capacity
  // and sum need s <= budget, only fewer of them: what no command beats, none of theirs does.
  if (reserve == nullptr) return "";
  if (p.pool.resource_count() > 1) return "a reserve of several resources has no clairvoyant form";
  return "";
}

namespace {

ErrorCurve curve_of(const sim::Params& p, int n) {
  if (!p.pool.is_progress(n)) return BacklogCurve{std::get<sim::BacklogError>(p.errors).scale[n]};
  if (const auto* k = std::get_if<sim::PowerLawError>(&p.progress.error))
    return PowerCurve{k->gain[n], k->exponent[n], k->floor[n], k->scale[n]};
  const auto& k = std::get<sim::ExponentialError>(p.progress.error);
  return ExponentialCurve{k.gain[n], k.floor[n], k.scale[n]};
}

}  // namespace

ClairvoyantProblem clairvoyant_problem(const sim::Params& p, const sim::Exogenous& x,
                                       std::int64_t i) {
  ClairvoyantProblem out;
  out.slots = x.slots;
  out.nodes = x.nodes;
  out.resources = p.pool.resource_count();
  out.need = p.pool.needs;
  out.budget = p.pool.budgets;
  out.switching = p.cost.switching;
  out.smoothing = p.cost.switching_smoothing;
  if (const auto* reserve = p.pool.shared_reserve()) out.reserve = reserve->efficiency;
  const std::size_t first = x.at(i, 0), count = out.at(x.slots, 0);
  const auto episode = [&](const std::vector<double>& all) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  out.arrivals = episode(x.arrivals);
  out.availability = episode(x.availability);
  out.importance = episode(x.importance);
  if (x.keep.empty())
    out.retention.assign(count, 1);
  else
    out.retention = episode(x.keep);

  const sim::Batch start = sim::reset(p, x, {i});
  for (int n = 0; n < x.nodes; ++n) {
    ClairvoyantNode node;
    node.capacity = p.pool.capacity[n];
    node.lag = p.pool.lag;
    node.abandonment = p.workload.abandonment;
    node.forgetting = p.progress.forgetting;
    node.rate = std::min(start.rate[static_cast<std::size_t>(n)], node.capacity);
    node.backlog = start.backlog[static_cast<std::size_t>(n)];
    node.effort = p.progress.start;
    node.error = curve_of(p, n);
    // The simulator's cost of use and concentration is per slot; the problem's is a mean over
    // nodes.
    for (int k = 0; k < out.resources; ++k) {
      const double share = out.need_of(n, k) / out.budget[static_cast<std::size_t>(k)];
      node.price += p.cost.use * x.nodes * share / out.resources;
      node.crowding += p.cost.concentration * x.nodes * x.nodes * share * share / out.resources;
    }
    out.node.push_back(node);
  }
  return out;
}

}  // namespace cra::agents
