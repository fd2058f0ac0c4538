// The simulator's pools as clairvoyant problems, and what clairvoyant commands cost in the
// simulator.
#include "agents/adam.h"
#include "agents/agents.h"
#include "agents/bound.h"

namespace cra::agents {

std::string no_bound_because(const sim::Params& p) {
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
  std::vector<int> hubs(static_cast<std::size_t>(p.pool.nodes));
  for (const sim::Sharing& sharing : p.progress.sharing)
    for (const int follower : sharing.followers)
      if (++hubs[static_cast<std::size_t>(follower)] > kMostFeeders)
        return "a node gains from more than " + std::to_string(kMostFeeders) +
               " hubs, which the solver cannot hold";
  return "";
}

namespace {

/// Nothing waits at such a node: what it is told to do in a slot is its level, and gone after it.
bool answers_at_once(const sim::Params& p, int n) {
  return !p.pool.is_progress(n) && std::holds_alternative<sim::AnytimeError>(p.errors);
}

ErrorCurve curve_of(const sim::Params& p, int n) {
  const auto at = static_cast<std::size_t>(n);
  if (!p.pool.is_progress(n)) {
    if (const auto* k = std::get_if<sim::BacklogError>(&p.errors)) return BacklogCurve{k->scale[n]};
    if (const auto* k = std::get_if<sim::LinearError>(&p.errors))
      return LinearCurve{1 / k->scale[n]};
    if (const auto* k = std::get_if<sim::MissError>(&p.errors))
      return LinearCurve{p.workload.abandonment / k->mean[at]};
    if (const auto* k = std::get_if<sim::DeadlineError>(&p.errors))
      return LinearCurve{1 / k->mean[at]};
    const auto& k = std::get<sim::AnytimeError>(p.errors);
    return PowerCurve{k.gain[n], k.exponent[n], k.floor[n], k.scale[n]};
  }
  if (const auto* k = std::get_if<sim::PowerLawError>(&p.progress.error))
    return PowerCurve{k->gain[n], k->exponent[n], k->floor[n], k->scale[n]};
  if (const auto* k = std::get_if<sim::CurveError>(&p.progress.error))
    return TableCurve{k->of(n).curve.x, k->of(n).curve.error};
  const auto& k = std::get<sim::ExponentialError>(p.progress.error);
  return ExponentialCurve{k.gain[n], k.floor[n], k.scale[n]};
}

/// Fills in what the error models of queue nodes need beside a curve.
void add_errors(const sim::Params& p, const sim::Exogenous& x, std::int64_t i,
                ClairvoyantProblem& out) {
  const std::size_t first = x.at(i, 0), count = out.at(x.slots, 0);
  if (const auto* k = std::get_if<sim::DeadlineError>(&p.errors)) {
    out.room.resize(count);
    for (std::size_t j = 0; j < count; ++j) {
      const int n = static_cast<int>(j % static_cast<std::size_t>(x.nodes));
      if (!p.pool.is_progress(n) && k->slots[n] > 1)
        out.room[j] = x.young[first + j] + out.arrivals[j];
    }
  }
  if (!std::holds_alternative<sim::AnytimeError>(p.errors)) return;
  out.factor.assign(count, 1);
  out.stretch.assign(count, 1);
  for (std::size_t j = 0; j < count; ++j) {
    const int n = static_cast<int>(j % static_cast<std::size_t>(x.nodes));
    if (!answers_at_once(p, n)) continue;
    out.retention[j] = 0;
    out.factor[j] = out.arrivals[j];
    if (out.arrivals[j] > 0) out.stretch[j] = out.arrivals[j];
  }
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
  out.worst = p.cost.worst;
  out.temperature = p.cost.worst_temperature;
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
    node.deadline = !p.pool.is_progress(n) && std::holds_alternative<sim::DeadlineError>(p.errors);
    node.abandonment = node.deadline ? 0 : p.workload.abandonment;
    node.forgetting = p.progress.forgetting;
    node.rate = std::min(start.rate[static_cast<std::size_t>(n)], node.capacity);
    node.backlog = start.backlog[static_cast<std::size_t>(n)];
    node.effort = answers_at_once(p, n) ? 0 : p.progress.start;
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
  add_errors(p, x, i, out);
  for (const sim::Sharing& sharing : p.progress.sharing)
    for (const int follower : sharing.followers)
      out.node[static_cast<std::size_t>(sharing.hub)].feeds.push_back({follower, sharing.weight});
  return out;
}

namespace {

constexpr int kPolish = 60;            // gradient steps
constexpr double kPolishRate = 0.06;   // of the first one, on log weights; falls to nothing
constexpr double kLeastWeight = 1e-4;  // of the largest: so that a gradient reaches it

/// An episode of the simulator under decisions made in advance.
class Replay {
 public:
  Replay(const sim::Params& p, const sim::Exogenous& x, std::int64_t i)
      : params_(p), exogenous_(x), start_(sim::reset(p, x, {i})), size_(sim::decision_size(p)) {}

  int size() const { return size_; }
  /// Mean cost per slot. \param decisions [T, A]
  double cost(const std::vector<double>& decisions) {
    sim::Batch b = start_;
    before_.resize(static_cast<std::size_t>(exogenous_.slots));
    double sum = 0;
    for (int t = 0; t < exogenous_.slots; ++t) {
      before_[static_cast<std::size_t>(t)] = b;
      sim::step(params_, exogenous_, b, row(decisions, t));
      sum += b.cost[0];
    }
    return sum / exogenous_.slots;
  }
  /// Gradient of the cost just computed. [T, A]
  std::vector<double> gradient(const std::vector<double>& decisions) {
    std::vector<double> out(decisions.size());
    sim::Adjoint a(start_);
    for (int t = exogenous_.slots - 1; t >= 0; --t)
      sim::step_backward(params_, exogenous_, before_[static_cast<std::size_t>(t)],
                         row(decisions, t), 1.0 / exogenous_.slots, a,
                         {out.data() + static_cast<std::ptrdiff_t>(t) * size_, 1, size_});
    return out;
  }

 private:
  View<const double> row(const std::vector<double>& decisions, int t) const {
    return {decisions.data() + static_cast<std::ptrdiff_t>(t) * size_, 1, size_};
  }
  const sim::Params& params_;
  const sim::Exogenous& exogenous_;
  sim::Batch start_;
  int size_;
  std::vector<sim::Batch> before_;
};

/// Adam on the logarithms of weights and the log-odds of the share kept back.
/// \returns the least cost met
double polish(Replay& replay, std::vector<double> decisions, double least) {
  const auto size = static_cast<std::size_t>(replay.size());
  const auto kept = [&](std::size_t j) { return j % size == size - 1; };
  std::vector<float> theta(decisions.size()), gradient(theta.size()), mean(theta.size(), 0),
      square(theta.size(), 0);
  for (std::size_t first = 0; first < decisions.size(); first += size) {
    double* d = decisions.data() + first;
    const double largest = *std::max_element(d, d + size - 1);
    for (std::size_t n = 0; n + 1 < size; ++n)
      theta[first + n] =
          static_cast<float>(largest > 0 ? std::log(std::max(d[n] / largest, kLeastWeight)) : 0.0);
    const double share = std::clamp(d[size - 1], kLeastWeight, 1 - kLeastWeight);
    theta[first + size - 1] = static_cast<float>(std::log(share / (1 - share)));
  }
  for (int step = 1; step <= kPolish; ++step) {
    for (std::size_t j = 0; j < theta.size(); ++j) {
      const double e = std::exp(static_cast<double>(theta[j]));
      decisions[j] = kept(j) ? e / (1 + e) : e;
    }
    least = std::min(least, replay.cost(decisions));
    const std::vector<double> d = replay.gradient(decisions);
    for (std::size_t j = 0; j < theta.size(); ++j)
      gradient[j] = static_cast<float>(d[j] * decisions[j] * (kept(j) ? 1 - decisions[j] : 1.0));
    adam_step(theta, gradient, mean, square, step, kPolishRate * (kPolish + 1 - step) / kPolish,
              1e-10);
  }
  return least;
}

}  // namespace

double simulated_cost(const sim::Params& p, const sim::Exogenous& x, std::int64_t i,
                      const ClairvoyantProblem& problem, const Commands& c) {
  if (p.pool.action != sim::Action::bundle || p.pool.conflict != sim::Conflict::waterfill) {
    sim::Params plain = p;
    plain.pool.action = sim::Action::bundle;
    plain.pool.conflict = sim::Conflict::waterfill;
    return simulated_cost(plain, x, i, problem, c);
  }
  Replay replay(p, x, i);
  const auto size = static_cast<std::size_t>(replay.size());
  const bool reserve = p.pool.shared_reserve() != nullptr;
  std::vector<double> decisions(static_cast<std::size_t>(x.slots) * size);
  for (int t = 0; t < x.slots; ++t) {
    double* d = decisions.data() + static_cast<std::size_t>(t) * size;
    for (int n = 0; n < x.nodes; ++n) d[n] = c.rate[problem.at(t, n)];
    double used = 0;  // of the scarcest budget
    for (int k = 0; k < problem.resources; ++k) {
      double taken = 0;
      for (int n = 0; n < x.nodes; ++n) taken += d[n] * problem.need_of(n, k);
      used = std::max(used, taken / problem.budget[static_cast<std::size_t>(k)]);
    }
    if (reserve) d[x.nodes] = std::clamp(1 - used, 0.0, 1.0);
  }
  const double cost = replay.cost(decisions);
  return reserve ? polish(replay, std::move(decisions), cost) : cost;
}

}  // namespace cra::agents
