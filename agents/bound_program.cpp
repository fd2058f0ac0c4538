// Rows of the clairvoyant program, products with them, and the way back to commands and prices.
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

/// Variables and rows of node n, its first variable at `offset` in a slot.
NodeProgram lay_out(const ClairvoyantProblem& p, int n, int offset) {
  const ClairvoyantNode& from = p.at_node(n);
  const auto* table = std::get_if<TableCurve>(&from.error);
  NodeProgram out;
  bool always_up = true;
  for (int t = 0; t < p.slots; ++t) always_up = always_up && p.availability[p.at(t, n)] >= 1;
  const bool reserve = p.reserve > 0 && from.queue();
  int next = offset;
  if (!always_up) out.service = next++;
  if (reserve) out.reserve = next++;
  out.rate = next++;
  out.level = out.judged = next++;
  out.curve = from.error;
  if (from.deadline) out.missed = out.judged = next;
  if (table != nullptr) {
    // A kink is no place for Newton's method: the error is a variable above the lines.
    out.judged = next;
    out.curve = LinearCurve{1};
    out.stretched = false;
  }
  out.kind.fill(-1);
  out.kinds = 0;
  for (const RowKind always : {kLoad, kPositive, kLeast, kMost}) out.kind[always] = out.kinds++;
  if (!always_up) out.kind[kServe] = out.kinds++;
  if (!always_up || reserve) out.kind[kUp] = out.kinds++;
  if (reserve) out.kind[kSpare] = out.kinds++;
  if (from.deadline) {
    out.kind[kRoom] = out.kinds++;
    out.kind[kMissed] = out.kinds++;
  }
  if (table != nullptr) {
    out.kind[kTable] = out.kinds;
    out.kinds += static_cast<int>(table->x.size());
  }
  return out;
}

// Room where there is none would leave no interior. The certificate knows the true room.
constexpr double kLeastRoom = 1e-5;

void add_rows(const ClairvoyantProblem& p, int n, NodeProgram& node) {
  const ClairvoyantNode& from = p.at_node(n);
  const double stays = 1 - from.lag;
  node.rows.assign(static_cast<std::size_t>(p.slots) * static_cast<std::size_t>(node.kinds), Row{});
  for (int t = 0; t < p.slots; ++t) {
    const std::size_t i = p.at(t, n);
    const auto row = [&](RowKind which) -> Row& {
      return node.rows[static_cast<std::size_t>(node.row(t, which))];
    };
    // Work that is not served waits; effort is at most what was put in.
    const bool queue = from.queue();
    const double kept = queue ? 1 - from.abandonment : p.retention[i] * (1 - from.forgetting);
    const double sign = queue ? 1 : -1;
    if (t > 0) row(kLoad).add(node.at(t - 1, node.level), sign * kept);
    row(kLoad).add(node.at(t, node.served()), -1);
    if (node.reserve >= 0) row(kLoad).add(node.at(t, node.reserve), -1);
    if (node.missed >= 0) row(kLoad).add(node.at(t, node.missed), -1);
    row(kLoad).add(node.at(t, node.level), -sign);
    row(kLoad).limit = queue ? -p.arrivals[i] : 0;
    if (t == 0) row(kLoad).limit += queue ? -from.backlog : kept * from.effort;

    row(kPositive).add(node.at(t, node.level), -1);
    row(kLeast).add(node.at(t, node.rate), -1);
    row(kMost).add(node.at(t, node.rate), 1);
    row(kMost).limit = from.lag * from.capacity;
    if (t > 0) {
      row(kLeast).add(node.at(t - 1, node.rate), stays);
      row(kMost).add(node.at(t - 1, node.rate), -stays);
    } else {
      row(kLeast).limit -= stays * from.rate;
      row(kMost).limit += stays * from.rate;
    }
    if (node.has(kServe)) {
      row(kServe).add(node.at(t, node.service), 1);
      row(kServe).add(node.at(t, node.rate), -1);
    }
    if (node.has(kUp)) {
      row(kUp).add(node.at(t, node.served()), 1);
      if (node.reserve >= 0) row(kUp).add(node.at(t, node.reserve), 1);
      row(kUp).limit = p.availability[i] * from.capacity;
    }
    if (node.has(kSpare)) row(kSpare).add(node.at(t, node.reserve), -1);
    if (node.has(kRoom)) {
      row(kRoom).add(node.at(t, node.level), 1);
      row(kRoom).limit = std::max(p.room[i], kLeastRoom);
      row(kMissed).add(node.at(t, node.missed), -1);
    }
    if (const auto* table = std::get_if<TableCurve>(&from.error))
      for (std::size_t j = 0; j < table->x.size(); ++j) {
        Row& line = node.rows[static_cast<std::size_t>(node.row(t, kTable)) + j];
        line.add(node.at(t, node.level), table->slope_of(j) / p.stretch_of(i));
        line.add(node.at(t, node.judged), -1);
        line.limit = table->slope_of(j) * table->x[j] - table->error[j];
      }
  }
}

/// Groups of nodes that feed each other, those that feed first: then the band is narrowest.
std::vector<std::vector<int>> groups_of(const ClairvoyantProblem& p) {
  std::vector<int> head(static_cast<std::size_t>(p.nodes));
  for (int n = 0; n < p.nodes; ++n) head[static_cast<std::size_t>(n)] = n;
  for (int n = 0; n < p.nodes; ++n)
    for (const Feed& feed : p.at_node(n).feeds) {
      const int from = head[static_cast<std::size_t>(n)];
      const int to = head[static_cast<std::size_t>(feed.follower)];
      for (int& each : head)
        if (each == std::max(from, to)) each = std::min(from, to);
    }
  std::vector<std::vector<int>> out;
  for (int n = 0; n < p.nodes; ++n) {
    std::vector<int> group;
    for (const bool feeds : {true, false})
      for (int m = 0; m < p.nodes; ++m)
        if (head[static_cast<std::size_t>(m)] == n && p.at_node(m).feeds.empty() != feeds)
          group.push_back(m);
    if (!group.empty()) out.push_back(std::move(group));
  }
  return out;
}

int reach(const Row& row) {
  int lowest = row.at[0], highest = row.at[0];
  for (std::size_t j = 1; j < static_cast<std::size_t>(row.count); ++j) {
    lowest = std::min(lowest, row.at[j]);
    highest = std::max(highest, row.at[j]);
  }
  return highest - lowest;
}

}  // namespace

Program::Program(const ClairvoyantProblem& problem) : p(problem) {
  lag = 0;
  for (const ClairvoyantNode& from : p.node) lag += from.lag / p.nodes;
  node.resize(static_cast<std::size_t>(p.nodes));
  for (std::vector<int>& group : groups_of(p)) {
    Chain chain;
    chain.variables = variables;
    for (const int n : group) {
      NodeProgram& next = node[static_cast<std::size_t>(n)] = lay_out(p, n, chain.width);
      next.chain = static_cast<int>(chains.size());
      chain.width = next.last() + 1;
    }
    for (const int n : group) {
      NodeProgram& next = node[static_cast<std::size_t>(n)];
      next.width = chain.width;
      next.variables = variables;
      next.now = lag / p.at_node(n).lag;
      next.before = -(1 - p.at_node(n).lag) * next.now;
      next.spare = next.reserve >= 0 ? lag / p.reserve : 0;
      add_rows(p, n, next);
    }
    for (const int h : group)
      for (const Feed& feed : p.at_node(h).feeds) {
        NodeProgram& to = node[static_cast<std::size_t>(feed.follower)];
        const NodeProgram& from = node[static_cast<std::size_t>(h)];
        for (int t = 0; t < p.slots; ++t)
          to.rows[static_cast<std::size_t>(to.row(t, kLoad))].add(from.at(t, from.served()),
                                                                  -feed.weight);
      }
    chain.half = chain.width;
    for (const int n : group)
      for (const Row& row : node[static_cast<std::size_t>(n)].rows)
        chain.half = std::max(chain.half, reach(row));
    variables += static_cast<std::size_t>(p.slots) * static_cast<std::size_t>(chain.width);
    chain.members = std::move(group);
    chains.push_back(std::move(chain));
  }
  for (NodeProgram& next : node) {
    next.first_row = shared;
    shared += next.rows.size();
    for (const Row& row : next.rows) {
      next.flat.add(row);
      h.push_back(row.limit);
    }
    next.rows = {};
  }
  shared_kinds = p.resources * (p.reserve > 0 ? 2 : 1);
  rows = shared_row(shared_kinds, 0);

  for (int kind = 0; kind < shared_kinds; ++kind) {
    const double budget =
        (is_pool(kind) ? 1 : lag) * p.budget[static_cast<std::size_t>(resource_of(kind))];
    h.resize(h.size() + static_cast<std::size_t>(p.slots), budget);
    if (is_pool(kind)) continue;
    for (int n = 0; n < p.nodes; ++n)
      h[shared_row(kind, 0)] -=
          weight(n, kind) * node[static_cast<std::size_t>(n)].before * p.at_node(n).rate;
  }
}

void Program::times(const std::vector<double>& x, std::vector<double>& out) const {
  for (const NodeProgram& from : node) {
    const double* v = x.data() + from.variables;
    double* to = out.data() + from.first_row;
    const int* at = from.flat.at.data();
    const double* by = from.flat.by.data();
    int entry = 0;
    for (const int end : from.flat.end) {
      double sum = 0;
      for (; entry < end; ++entry) sum += by[entry] * v[at[entry]];
      *to++ = sum;
    }
  }
  times_shared(x, out);
}

void Program::times_shared(const std::vector<double>& x, std::vector<double>& out) const {
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(shared), out.end(), 0.0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* v = x.data() + from.variables;
    for (int t = 0; t < p.slots; ++t) {
      const double m = v[from.at(t, from.rate)];
      const double before = t > 0 ? v[from.at(t - 1, from.rate)] : 0;
      const double spare = from.reserve >= 0 ? v[from.at(t, from.reserve)] : 0;
      const double budget = from.now * m + from.before * before + from.spare * spare;
      for (int kind = 0; kind < shared_kinds; ++kind)
        out[shared_row(kind, t)] +=
            weight(n, kind) * (is_pool(kind) ? m + from.spare / lag * spare : budget);
    }
  }
}

void Program::add_transposed(const std::vector<double>& z, double sign,
                             std::vector<double>& out) const {
  for (const NodeProgram& to : node) {
    double* v = out.data() + to.variables;
    const double* dual = z.data() + to.first_row;
    const int* at = to.flat.at.data();
    const double* by = to.flat.by.data();
    int entry = 0;
    for (const int end : to.flat.end) {
      const double d = sign * *dual++;
      for (; entry < end; ++entry) v[at[entry]] += by[entry] * d;
    }
  }
  add_shared(z, sign, out);
}

void Program::add_shared(const std::vector<double>& z, double sign,
                         std::vector<double>& out) const {
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& to = node[static_cast<std::size_t>(n)];
    double* v = out.data() + to.variables;
    for (int t = 0; t < p.slots; ++t) {
      double budget = 0, pool = 0;
      for (int kind = 0; kind < shared_kinds; ++kind)
        (is_pool(kind) ? pool : budget) += sign * weight(n, kind) * z[shared_row(kind, t)];
      v[to.at(t, to.rate)] += to.now * budget + pool;
      if (t > 0) v[to.at(t - 1, to.rate)] += to.before * budget;
      if (to.reserve >= 0) v[to.at(t, to.reserve)] += to.spare * (budget + pool / lag);
    }
  }
}

void Program::errors(const std::vector<double>& x, int n, Derivative which,
                     std::vector<double>& out) const {
  const NodeProgram& at = node[static_cast<std::size_t>(n)];
  const double* v = x.data() + at.variables;
  std::visit(
      [&](const auto& curve) {
        for (int t = 0; t < p.slots; ++t) {
          const std::size_t i = p.at(t, n);
          const double stretch = at.stretched ? p.stretch_of(i) : 1;
          const double z = v[at.at(t, at.judged)] / stretch;
          out[i] = p.factor_of(i) * (which == Derivative::value ? curve.value(z)
                                     : which == Derivative::slope
                                         ? curve.slope(z) / stretch
                                         : curve.curvature(z) / (stretch * stretch));
        }
      },
      at.curve);
}

std::vector<double> Program::shares(const std::vector<double>& x) const {
  std::vector<double> out(p.at(p.slots, 0));
  for (int n = 0; n < p.nodes; ++n) errors(x, n, Derivative::value, out);
  for (int t = 0; t < p.slots; ++t) {
    double* error = out.data() + p.at(t, 0);
    const double worst = *std::max_element(error, error + p.nodes);
    double sum = 0;
    for (int n = 0; n < p.nodes; ++n)
      sum += error[n] = std::exp((error[n] - worst) / p.temperature);
    for (int n = 0; n < p.nodes; ++n) error[n] /= sum;
  }
  return out;
}

void Program::gradient(const std::vector<double>& x, const std::vector<double>& z,
                       std::vector<double>& out) const {
  std::fill(out.begin(), out.end(), 0.0);
  const std::vector<double> share = p.worst > 0 ? shares(x) : std::vector<double>();
  std::vector<double> slope(p.at(p.slots, 0));
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& at = node[static_cast<std::size_t>(n)];
    double* to = out.data() + at.variables;
    errors(x, n, Derivative::slope, slope);
    for (int t = 0; t < p.slots; ++t) {
      const std::size_t i = p.at(t, n);
      const double weight = p.importance[i] + (share.empty() ? 0 : fairness() * share[i]);
      to[at.at(t, at.judged)] = weight * slope[i];
    }
    const ClairvoyantNode& costs = p.at_node(n);
    if (costs.price > 0 || costs.crowding > 0)
      for (int t = 0; t < p.slots; ++t) {
        const double rises = (costs.price + 2 * costs.crowding * command(x, n, t)) / costs.lag;
        to[at.at(t, at.rate)] += rises;
        if (t > 0) to[at.at(t - 1, at.rate)] -= (1 - costs.lag) * rises;
      }
    if (p.switching > 0)
      for (int t = 0; t < p.slots; ++t) {
        const double pull = switching_slope(p, step(x, n, t));
        to[at.at(t, at.rate)] += pull;
        if (t > 0) to[at.at(t - 1, at.rate)] -= pull;
      }
  }
  add_transposed(z, 1, out);
}

Commands Program::commands(const std::vector<double>& x) const {
  Commands out;
  out.rate.resize(p.at(p.slots, 0));
  if (p.reserve > 0) out.reserve.assign(p.at(p.slots, 0), 0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* v = x.data() + from.variables;
    for (int t = 0; t < p.slots; ++t) {
      out.rate[p.at(t, n)] = command(x, n, t);
      if (from.reserve >= 0) out.reserve[p.at(t, n)] = v[from.at(t, from.reserve)];
    }
  }
  make_feasible(p, out);
  return out;
}

Multipliers Program::multipliers(const Point& point) const {
  const std::size_t all = p.at(p.slots, 0), slots = static_cast<std::size_t>(p.slots);
  const auto resources = static_cast<std::size_t>(p.resources);
  Multipliers out;
  out.work.resize(all);
  out.serve.resize(all);
  out.budget.resize(slots * resources);
  if (p.reserve > 0) out.pool.resize(slots * resources);
  out.movement = point.pull;
  if (p.worst > 0) out.fairness = shares(point.x);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    for (int t = 0; t < p.slots; ++t)
      out.work[p.at(t, n)] =
          point.dual[from.first_row + static_cast<std::size_t>(from.row(t, kLoad))];
  }
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* dual = point.dual.data() + from.first_row;
    for (int t = 0; t < p.slots; ++t) {
      const std::size_t i = p.at(t, n);
      double served = out.work[i];
      for (const Feed& feed : p.at_node(n).feeds)
        served += feed.weight * out.work[p.at(t, feed.follower)];
      if (from.has(kServe))
        out.serve[i] = dual[from.row(t, kServe)];
      else if (from.has(kUp))  // service = rate: the cap's price is not part of the rate's
        out.serve[i] = std::max(0.0, served - dual[from.row(t, kUp)]);
      else
        out.serve[i] = served;
    }
  }
  for (std::size_t t = 0; t < slots; ++t) {
    for (int k = 0; k < p.resources; ++k) {
      const std::size_t at = t * resources + static_cast<std::size_t>(k);
      out.budget[at] = lag * point.dual[shared_row(k, static_cast<int>(t))];
      if (p.reserve > 0)
        out.pool[at] = point.dual[shared_row(p.resources + k, static_cast<int>(t))];
    }
  }
  return out;
}

}  // namespace cra::agents
