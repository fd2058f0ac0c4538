// Where the interior point method starts: a steady command, and prices from the adjoint sweep.
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

// Distances from the borders at the start, for problems whose fair share is about 1 wu per slot.
constexpr double kWaiting = 0.3;
constexpr double kEffort = 0.9;  // a factor
constexpr double kService = 0.05;
constexpr double kSpareWork = 0.02;
constexpr double kSlack = 1e-2;
constexpr double kLeastPrice = 1e-4;

/// Share of every capacity that uses about 80 % of the tightest budget.
double steady_share(const ClairvoyantProblem& p) {
  double share = 0.9;
  for (int k = 0; k < p.resources; ++k) {
    double most = 0;
    for (int n = 0; n < p.nodes; ++n) most += p.need_of(n, k) * p.at_node(n).capacity;
    if (most > 0) share = std::min(share, 0.8 * p.budget[static_cast<std::size_t>(k)] / most);
  }
  return share;
}

void start_node(const Program& program, int n, double share, std::vector<double>& x) {
  const ClairvoyantProblem& p = program.p;
  const ClairvoyantNode& from = p.at_node(n);
  const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
  double* v = x.data() + node.variables;
  double m = from.rate, backlog = from.backlog, effort = from.effort;
  for (int t = 0; t < p.slots; ++t) {
    const std::size_t i = p.at(t, n);
    m = sim::lagged(m, share * from.capacity, from.lag);
    const double served = std::min(m, p.availability[i] * from.capacity);
    v[node.at(t, node.rate)] = m;
    if (node.service >= 0) v[node.at(t, node.service)] = served - kService;
    if (node.reserve >= 0) v[node.at(t, node.reserve)] = kSpareWork;
    if (from.queue()) {
      const double waiting = std::max(backlog + p.arrivals[i] - served, 0.0);
      backlog = (1 - from.abandonment) * waiting;
      v[node.at(t, node.level)] = waiting + kWaiting;
    } else {
      effort = p.retention[i] * (1 - from.forgetting) * effort + served;
      v[node.at(t, node.level)] = kEffort * effort;
    }
  }
}

/// Prices inside node n, slots backward.
/// \param worth  [T] on return, what a unit of m_t is worth, now and later
void price_node(const Program& program, int n, Point& at, std::vector<double>& worth) {
  const ClairvoyantProblem& p = program.p;
  const ClairvoyantNode& from = p.at_node(n);
  const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
  const double* v = at.x.data() + node.variables;
  double* dual = at.dual.data() + node.first_row;
  double later = 0, rate = 0;
  for (int t = p.slots - 1; t >= 0; --t) {
    const std::size_t i = p.at(t, n);
    const double level = v[node.at(t, node.level)];
    const double slope =
        p.importance[i] * std::visit([&](const auto& c) { return c.slope(level); }, from.error);
    // Stationarity in the level: slope - work + later - positive = 0, signs swapped for effort.
    double positive = 0, work = 0;
    if (from.queue()) {
      positive = 0.3 * slope + kLeastPrice;
      work = std::max(slope - positive + later, kLeastPrice);
      later = (1 - from.abandonment) * work;
    } else {
      positive = 0.05 * -slope + kLeastPrice;
      work = -slope + positive + later;
      later = p.retention[i] * (1 - from.forgetting) * work;
    }
    dual[node.row(t, kLoad)] = work;
    dual[node.row(t, kPositive)] = positive;
    double now = work;
    if (node.has(kServe)) now = dual[node.row(t, kServe)] = work / 2;
    if (node.has(kUp)) {
      dual[node.row(t, kUp)] = work / 2;
      now = work / 2;
    }
    if (p.reserve > 0) now -= p.need_of(n, 0) * at.dual[program.shared_row(p.resources, t)];
    worth[static_cast<std::size_t>(t)] = rate = now + (1 - from.lag) * rate;
  }
}

}  // namespace

Point start(const Program& program) {
  const ClairvoyantProblem& p = program.p;
  Point at;
  at.x.resize(program.variables);
  at.slack.resize(program.rows);
  at.dual.assign(program.rows, kLeastPrice);
  const double share = steady_share(p);
  for (int n = 0; n < p.nodes; ++n) start_node(program, n, share, at.x);
  if (p.switching > 0) {
    at.pull.resize(p.at(p.slots, 0));
    for (int t = 0; t < p.slots; ++t)
      for (int n = 0; n < p.nodes; ++n)
        at.pull[p.at(t, n)] = switching_slope(p, program.step(at.x, n, t));
  }
  program.times(at.x, at.slack);
  for (std::size_t i = 0; i < program.rows; ++i)
    at.slack[i] = std::max(program.h[i] - at.slack[i], kSlack);

  if (p.reserve > 0)
    for (int t = 0; t < p.slots; ++t) at.dual[program.shared_row(p.resources, t)] = kSlack;
  const auto slots = static_cast<std::size_t>(p.slots);
  std::vector<std::vector<double>> worth(program.node.size(), std::vector<double>(slots));
  for (int n = 0; n < p.nodes; ++n) price_node(program, n, at, worth[static_cast<std::size_t>(n)]);

  // Half of what the mean node would pay for its budgets; the rest goes to the caps of commands.
  for (int k = 0; k < p.resources; ++k) {
    double need = 0;
    for (int n = 0; n < p.nodes; ++n) need += p.need_of(n, k);
    for (int t = 0; t < p.slots; ++t) {
      double wanted = 0;
      for (const auto& node : worth) wanted += std::max(node[static_cast<std::size_t>(t)], 0.0);
      at.dual[program.shared_row(k, t)] =
          (need > 0 ? 0.5 * wanted / (p.resources * need) : 0) + 1e-3;
    }
  }
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& from = p.at_node(n);
    const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
    double* dual = at.dual.data() + node.first_row;
    for (int t = 0; t < p.slots; ++t) {
      double budget = 0;
      for (int k = 0; k < p.resources; ++k)
        budget += at.dual[program.shared_row(k, t)] * p.need_of(n, k);
      const double command = (from.price + 2 * from.crowding * share * from.capacity) / from.lag;
      const double excess = worth[static_cast<std::size_t>(n)][static_cast<std::size_t>(t)] -
                            node.now * budget - command;
      dual[node.row(t, kMost)] = std::max(excess, 0.0) + 0.02 + 0.1 * std::abs(excess);
      dual[node.row(t, kLeast)] = std::max(-excess, 0.0) + 0.02 + 0.1 * std::abs(excess);
      if (node.has(kSpare)) {
        const double pool = p.need_of(n, 0) * at.dual[program.shared_row(p.resources, t)];
        const double price = node.spare * (budget + pool / program.lag) + dual[node.row(t, kUp)] -
                             dual[node.row(t, kLoad)];
        dual[node.row(t, kSpare)] = std::max(price, 0.02);
      }
    }
  }
  return at;
}

}  // namespace cra::agents
