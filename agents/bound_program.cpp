// Rows of the clairvoyant program, products with them, and the way back to commands and prices.
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

NodeProgram lay_out(const ClairvoyantProblem& p, int n) {
  NodeProgram out;
  bool always_up = true;
  for (int t = 0; t < p.slots; ++t) always_up = always_up && p.availability[p.at(t, n)] >= 1;
  const bool reserve = p.reserve > 0 && p.at_node(n).queue();
  out.width = 0;
  if (!always_up) out.service = out.width++;
  if (reserve) out.reserve = out.width++;
  out.rate = out.width++;
  out.level = out.width++;
  out.kind.fill(-1);
  out.kinds = 0;
  for (const RowKind always : {kLoad, kPositive, kLeast, kMost}) out.kind[always] = out.kinds++;
  if (!always_up) out.kind[kServe] = out.kinds++;
  if (!always_up || reserve) out.kind[kUp] = out.kinds++;
  if (reserve) out.kind[kSpare] = out.kinds++;
  return out;
}

/// Work that is not served waits; effort is at most what was put in.
Row load_row(const ClairvoyantProblem& p, int n, const NodeProgram& node, int t) {
  const ClairvoyantNode& from = p.at_node(n);
  const std::size_t i = p.at(t, n);
  const bool queue = from.queue();
  const double kept = queue ? 1 - from.abandonment : p.retention[i] * (1 - from.forgetting);
  const double sign = queue ? 1 : -1;
  Row row;
  if (t > 0) row.add(node.at(t - 1, node.level), sign * kept);
  row.add(node.at(t, node.service >= 0 ? node.service : node.rate), -1);
  if (node.reserve >= 0) row.add(node.at(t, node.reserve), -1);
  row.add(node.at(t, node.level), -sign);
  row.limit = queue ? -p.arrivals[i] : 0;
  if (t == 0) row.limit += queue ? -from.backlog : kept * from.effort;
  return row;
}

void add_rows(const ClairvoyantProblem& p, int n, NodeProgram& node) {
  const ClairvoyantNode& from = p.at_node(n);
  const double stays = 1 - from.lag;
  node.rows.assign(static_cast<std::size_t>(p.slots) * static_cast<std::size_t>(node.kinds), Row{});
  for (int t = 0; t < p.slots; ++t) {
    const auto row = [&](RowKind which) -> Row& {
      return node.rows[static_cast<std::size_t>(node.row(t, which))];
    };
    row(kLoad) = load_row(p, n, node, t);
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
      row(kUp).add(node.at(t, node.service >= 0 ? node.service : node.rate), 1);
      if (node.reserve >= 0) row(kUp).add(node.at(t, node.reserve), 1);
      row(kUp).limit = p.availability[p.at(t, n)] * from.capacity;
    }
    if (node.has(kSpare)) row(kSpare).add(node.at(t, node.reserve), -1);
  }
}

}  // namespace

Program::Program(const ClairvoyantProblem& problem) : p(problem) {
  lag = 0;
  for (const ClairvoyantNode& from : p.node) lag += from.lag / p.nodes;
  for (int n = 0; n < p.nodes; ++n) {
    NodeProgram next = lay_out(p, n);
    add_rows(p, n, next);
    next.variables = variables;
    next.first_row = shared;
    next.now = lag / p.at_node(n).lag;
    next.before = -(1 - p.at_node(n).lag) * next.now;
    next.spare = next.reserve >= 0 ? lag / p.reserve : 0;
    variables += static_cast<std::size_t>(p.slots) * static_cast<std::size_t>(next.width);
    shared += next.rows.size();
    node.push_back(std::move(next));
  }
  shared_kinds = p.resources + (p.reserve > 0 ? 1 : 0);
  rows = shared_row(shared_kinds, 0);

  h.reserve(rows);
  for (const NodeProgram& each : node)
    for (const Row& row : each.rows) h.push_back(row.limit);
  for (int kind = 0; kind < shared_kinds; ++kind) {
    const double budget =
        is_pool(kind) ? p.budget[0] : lag * p.budget[static_cast<std::size_t>(kind)];
    h.resize(h.size() + static_cast<std::size_t>(p.slots), budget);
    if (is_pool(kind)) continue;
    for (int n = 0; n < p.nodes; ++n)
      h[shared_row(kind, 0)] -=
          weight(n, kind) * node[static_cast<std::size_t>(n)].before * p.at_node(n).rate;
  }
}

void Program::times(const std::vector<double>& x, std::vector<double>& out) const {
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(shared), out.end(), 0.0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* v = x.data() + from.variables;
    double* to = out.data() + from.first_row;
    for (const Row& row : from.rows) {
      double sum = 0;
      for (std::size_t j = 0; j < static_cast<std::size_t>(row.count); ++j)
        sum += row.by[j] * v[row.at[j]];
      *to++ = sum;
    }
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
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& to = node[static_cast<std::size_t>(n)];
    double* v = out.data() + to.variables;
    const double* dual = z.data() + to.first_row;
    for (const Row& row : to.rows) {
      const double d = sign * *dual++;
      for (std::size_t j = 0; j < static_cast<std::size_t>(row.count); ++j)
        v[row.at[j]] += row.by[j] * d;
    }
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

void Program::gradient(const std::vector<double>& x, const std::vector<double>& z,
                       std::vector<double>& out) const {
  std::fill(out.begin(), out.end(), 0.0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& at = node[static_cast<std::size_t>(n)];
    const double* v = x.data() + at.variables;
    double* to = out.data() + at.variables;
    std::visit(
        [&](const auto& curve) {
          for (int t = 0; t < p.slots; ++t)
            to[at.at(t, at.level)] = p.importance[p.at(t, n)] * curve.slope(v[at.at(t, at.level)]);
        },
        p.at_node(n).error);
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

void Program::bend(const Point& point, const std::vector<double>& v,
                   std::vector<double>& out) const {
  std::fill(out.begin(), out.end(), 0.0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& at = node[static_cast<std::size_t>(n)];
    const double* from = point.x.data() + at.variables;
    const double* by = v.data() + at.variables;
    double* to = out.data() + at.variables;
    std::visit(
        [&](const auto& curve) {
          for (int t = 0; t < p.slots; ++t) {
            const int level = at.at(t, at.level);
            to[level] = p.importance[p.at(t, n)] * curve.curvature(from[level]) * by[level];
          }
        },
        p.at_node(n).error);
    const ClairvoyantNode& costs = p.at_node(n);
    if (costs.crowding > 0)
      for (int t = 0; t < p.slots; ++t) {
        const int m = at.at(t, at.rate), before = m - at.width;
        const double stays = 1 - costs.lag, moved = by[m] - (t > 0 ? stays * by[before] : 0);
        const double rises = 2 * costs.crowding / (costs.lag * costs.lag) * moved;
        to[m] += rises;
        if (t > 0) to[before] -= stays * rises;
      }
    if (p.switching > 0)
      for (int t = 0; t < p.slots; ++t) {
        const int m = at.at(t, at.rate), before = m - at.width;
        const double bend = switching_curvature(p, step(point.x, n, t), point.pull[p.at(t, n)]);
        const double pull = bend * (by[m] - (t > 0 ? by[before] : 0));
        to[m] += pull;
        if (t > 0) to[before] -= pull;
      }
  }
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
  if (p.reserve > 0) out.pool.resize(slots);
  out.movement = point.pull;
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* dual = point.dual.data() + from.first_row;
    for (int t = 0; t < p.slots; ++t) {
      const std::size_t i = p.at(t, n);
      out.work[i] = dual[from.row(t, kLoad)];
      if (from.has(kServe))
        out.serve[i] = dual[from.row(t, kServe)];
      else if (from.has(kUp))  // service = rate: the cap's price is not part of the rate's
        out.serve[i] = std::max(0.0, out.work[i] - dual[from.row(t, kUp)]);
      else
        out.serve[i] = out.work[i];
    }
  }
  for (std::size_t t = 0; t < slots; ++t) {
    for (std::size_t k = 0; k < resources; ++k)
      out.budget[t * resources + k] =
          lag * point.dual[shared_row(static_cast<int>(k), static_cast<int>(t))];
    if (p.reserve > 0) out.pool[t] = point.dual[shared_row(p.resources, static_cast<int>(t))];
  }
  return out;
}

}  // namespace cra::agents
