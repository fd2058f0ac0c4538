// Where the interior point method starts: a steady command, and prices from the adjoint sweep.
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

// Distances from the borders at the start, for problems whose fair share is about 1 wu per slot.
constexpr double kWaiting = 0.3;
constexpr double kEffort = 0.9;  // a factor
constexpr double kService = 0.05;
constexpr double kSpareWork = 0.02;
constexpr double kAbove = 0.05;  // of an error above its table
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
  const std::vector<Feed> sources = feeders(p, n);
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
      const double load = std::max(backlog + p.arrivals[i] - served, 0.0);
      const double waiting = from.deadline ? std::min(load, p.room[i]) : load;
      backlog = (1 - from.abandonment) * waiting;
      v[node.at(t, node.level)] = from.deadline ? waiting / 2 : waiting + kWaiting;
      if (node.missed >= 0) v[node.at(t, node.missed)] = load - waiting + kWaiting;
    } else {
      effort = p.retention[i] * (1 - from.forgetting) * effort + served;
      for (const Feed& feed : sources)
        effort += feed.weight * share * p.at_node(feed.follower).capacity *
                  p.availability[p.at(t, feed.follower)];
      v[node.at(t, node.level)] = kEffort * effort;
    }
    if (node.has(kTable))
      v[node.at(t, node.judged)] =
          std::get<TableCurve>(from.error).value(kEffort * effort / p.stretch_of(i)) + kAbove;
  }
}

/// What a unit less of what is judged would save in slot t, and so the price of a level. Splits it
/// among the lines of a table, most of it to the one that touches.
double price_of_level(const Program& program, int n, int t, double weight, Point& at) {
  const ClairvoyantProblem& p = program.p;
  const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
  const std::size_t i = p.at(t, n);
  const double stretch = p.stretch_of(i);
  const double level = at.x[node.variables + static_cast<std::size_t>(node.at(t, node.level))];
  const double factor = weight * p.factor_of(i);
  const auto* table = std::get_if<TableCurve>(&p.at_node(n).error);
  if (table == nullptr)
    return factor / stretch *
           std::visit([&](const auto& c) { return c.slope(level / stretch); }, p.at_node(n).error);
  const std::size_t touching = table->segment(level / stretch), lines = table->x.size();
  double slope = 0;
  for (std::size_t j = 0; j < lines; ++j) {
    const double most = lines == 1 ? 1 : 0.9;
    const double share =
        j == touching ? most
                      : (1 - most) / static_cast<double>(std::max<std::size_t>(lines, 2) - 1);
    at.dual[node.first_row + static_cast<std::size_t>(node.row(t, kTable)) + j] =
        factor * share + kLeastPrice;
    slope += factor * share * table->slope_of(j) / stretch;
  }
  return slope;
}

/// Prices of work inside node n, slots backward.
void price_work(const Program& program, int n, const std::vector<double>& weights, Point& at) {
  const ClairvoyantProblem& p = program.p;
  const ClairvoyantNode& from = p.at_node(n);
  const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
  double* dual = at.dual.data() + node.first_row;
  double later = 0;
  for (int t = p.slots - 1; t >= 0; --t) {
    const std::size_t i = p.at(t, n);
    const double slope = price_of_level(program, n, t, weights[i], at);
    // Stationarity in the level: slope - work + later - positive = 0, signs swapped for effort.
    double positive = 0, work = 0;
    if (from.deadline) {
      // Missed work costs `slope` and saves what it is worth; waiting work costs nothing itself.
      work = 0.7 * slope + kLeastPrice;
      dual[node.row(t, kMissed)] = 0.3 * slope + kLeastPrice;
      const double excess = later - work;
      positive = std::max(excess, 0.0) + kSlack;
      dual[node.row(t, kRoom)] = std::max(-excess, 0.0) + kSlack;
      later = (1 - from.abandonment) * work;
    } else if (from.queue()) {
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
  }
}

/// Prices of service inside node n, slots backward.
/// \param worth  [T] on return, what a unit of m_t is worth, now and later
void price_node(const Program& program, int n, Point& at, std::vector<double>& worth) {
  const ClairvoyantProblem& p = program.p;
  const ClairvoyantNode& from = p.at_node(n);
  const NodeProgram& node = program.node[static_cast<std::size_t>(n)];
  double* dual = at.dual.data() + node.first_row;
  double rate = 0;
  for (int t = p.slots - 1; t >= 0; --t) {
    double work = dual[node.row(t, kLoad)];
    for (const Feed& feed : from.feeds) {
      const NodeProgram& to = program.node[static_cast<std::size_t>(feed.follower)];
      work += feed.weight * at.dual[to.first_row + static_cast<std::size_t>(to.row(t, kLoad))];
    }
    double now = work;
    if (node.has(kServe)) now = dual[node.row(t, kServe)] = work / 2;
    if (node.has(kUp)) {
      dual[node.row(t, kUp)] = work / 2;
      now = work / 2;
    }
    for (int kind = p.resources; kind < program.shared_kinds; ++kind)
      now -= program.weight(n, kind) * at.dual[program.shared_row(kind, t)];
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

  for (int kind = p.resources; kind < program.shared_kinds; ++kind)  // the pools
    for (int t = 0; t < p.slots; ++t) at.dual[program.shared_row(kind, t)] = kSlack / p.resources;
  const auto slots = static_cast<std::size_t>(p.slots);
  std::vector<std::vector<double>> worth(program.node.size(), std::vector<double>(slots));
  std::vector<double> weights = p.importance;
  if (p.worst > 0) {
    const std::vector<double> share = program.shares(at.x);
    for (std::size_t i = 0; i < share.size(); ++i) weights[i] += program.fairness() * share[i];
  }
  for (int n = 0; n < p.nodes; ++n) price_work(program, n, weights, at);
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
        double pool = 0;
        for (int kind = p.resources; kind < program.shared_kinds; ++kind)
          pool += program.weight(n, kind) * at.dual[program.shared_row(kind, t)];
        const double price = node.spare * (budget + pool / program.lag) + dual[node.row(t, kUp)] -
                             dual[node.row(t, kLoad)];
        dual[node.row(t, kSpare)] = std::max(price, 0.02);
      }
    }
  }
  return at;
}

}  // namespace cra::agents
