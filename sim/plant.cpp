// One slot of the pool: allocation, lag, service, reserve, abandonment, error, cost.
#include <algorithm>
#include <cmath>

#include "sim/allocate.h"
#include "sim/errors.h"
#include "sim/gains.h"
#include "sim/lend.h"
#include "sim/queue_rows.h"
#include "sim/reserve.h"
#include "sim/see.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

constexpr std::int64_t kTileNodes = 4096;  // nodes that one thread steps together

void check_step(const Params& p, const Exogenous& x, const Batch& b, View<const double> d) {
  CRA_CHECK(b.slot < x.slots, "step: the episode of " + std::to_string(x.slots) + " slots is over");
  const int size = decision_size(p);
  CRA_CHECK(d.rows == b.envs && d.cols == size,
            "step: decisions are [" + std::to_string(d.rows) + ", " + std::to_string(d.cols) +
                "], expected [" + std::to_string(b.envs) + ", " + std::to_string(size) + "]");
  // One pass that finds nothing wrong is all it takes in a healthy run; then look for what is.
  const double most = std::numeric_limits<double>::max();
  std::int64_t sound = 1;  // as wide as what it is about, so that the pass becomes vectors
  for (std::int64_t i = 0; i < d.size(); ++i)
    sound &=
        static_cast<std::int64_t>(d.data[i] >= 0) & static_cast<std::int64_t>(d.data[i] <= most);
  for (std::int64_t e = 0; p.pool.shared_reserve() != nullptr && e < d.rows; ++e)
    sound &= static_cast<std::int64_t>(d.row(e)[size - 1] <= 1);
  if (sound != 0) return;
  for (std::int64_t i = 0; i < d.size(); ++i) {
    const std::int64_t e = i / size, n = i % size;
    const bool share = p.pool.shared_reserve() != nullptr && n == size - 1;
    CRA_CHECK(std::isfinite(d.data[i]) && d.data[i] >= 0 && (!share || d.data[i] <= 1),
              "step: " +
                  (share ? std::string("reserve of environment ") + std::to_string(e)
                         : "weight of environment " + std::to_string(e) + ", node " +
                               std::to_string(n % b.nodes)) +
                  " is " + std::to_string(d.data[i]) + ", expected a finite number " +
                  (share ? "in [0, 1]" : ">= 0"));
  }
}

/// Importance of the kAhead slots from the coming one on, discounted; none after the end.
double importance_ahead(const Exogenous& x, std::int64_t episode, int slot, std::size_t n) {
  double sum = 0, weight = 1;
  for (int t = slot; t < std::min(x.slots, slot + kAhead); ++t, weight *= kAheadDecay)
    sum += weight * x.importance[x.at(episode, t) + n];
  return sum;
}

/// One environment in one slot: its exogenous input, and what the stages hand on to each other.
struct Slot {
  std::int64_t env = 0;
  std::size_t row = 0;   ///< of the environment in the batch
  std::size_t slot = 0;  ///< of the slot in the exogenous input
  const double* arrivals = nullptr;
  const double* available = nullptr;
  const double* importance = nullptr;
  double moved = 0;      ///< smooth movement of the placed rates, summed [wu/slot]
  double reference = 1;  ///< error of the uniform policy, for the score
  Allocation allocation;
  Loan loan;
  ReserveSlot reserve;
  std::vector<double> most;    ///< [N] work that each node could do [wu]
  std::vector<double> gained;  ///< [N] progress, or scores

  explicit Slot(int nodes)
      : allocation(nodes),
        loan(nodes),
        reserve(nodes),
        most(static_cast<std::size_t>(nodes)),
        gained(most) {}
  /// Turns to environment e.
  void enter(const Exogenous& x, const Batch& b, std::int64_t e) {
    env = e;
    row = b.at(e);
    slot = x.at(b.episode[static_cast<std::size_t>(e)], b.slot);
    arrivals = x.arrivals.data() + slot;
    available = x.availability.data() + slot;
    importance = x.importance.data() + slot;
    if (!x.reference_error.empty())
      reference =
          x.reference_error[static_cast<std::size_t>(b.episode[static_cast<std::size_t>(e)])];
  }
};

/// Lag: the placed rates follow the commanded ones.
void place(const Params& p, Batch& b, Slot& s) {
  s.moved = 0;
  for (int n = 0; n < b.nodes; ++n) {
    const std::size_t i = s.row + static_cast<std::size_t>(n);
    const double before = b.rate[i];
    b.grant[i] = s.allocation.grant[static_cast<std::size_t>(n)];
    b.rate[i] = lagged(before, b.grant[i], p.pool.lottery() != nullptr ? 1.0 : p.pool.lag);
    s.moved += movement(b.rate[i] - before, p.cost.switching_smoothing);
  }
}

/// The most that a node of the batch can be served.
double load_of(const Params& p, const Batch& b, const Slot& s, int n) {
  return work_at(p, n, b.backlog[s.row + static_cast<std::size_t>(n)], s.arrivals[n]);
}

/// What waits once `b.served` has been done, and how much of it the node could still do.
void leave(const Params& p, const Batch& b, Slot& s) {
  for (int n = 0; n < b.nodes; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const double served = b.served[s.row + at], up = s.available[n] * p.pool.capacity[n];
    const double left = has_queue(p, n) ? load_of(p, b, s, n) - served : 0;
    s.reserve.left[at] = left;
    s.reserve.limit[at] = std::min(left, std::max(0.0, up - served));
  }
}

/// The one server draws a node and works on one job of it.
void serve_by_lottery(const Params& p, const Exogenous& x, Batch& b, Slot& s) {
  const LotteryService& lottery = *p.pool.lottery();
  const auto draw = static_cast<std::size_t>(b.episode[static_cast<std::size_t>(s.env)] * x.slots +
                                             std::int64_t{b.slot});
  int drawn = 0;
  double sum = s.allocation.share[0];
  while (drawn + 1 < b.nodes && x.ticket[draw] >= sum)
    sum += s.allocation.share[static_cast<std::size_t>(++drawn)];
  std::fill_n(b.served.data() + s.row, b.nodes, 0.0);
  if (s.available[drawn] > 0 && x.completion[draw] < lottery.completion[drawn])
    b.served[s.row + static_cast<std::size_t>(drawn)] =
        std::min(lottery.job, load_of(p, b, s, drawn));
}

/// The placed rates do what work there is, as far as the node is up.
void serve(const Params& p, Batch& b, const double* decision, Slot& s) {
  for (int n = 0; n < b.nodes; ++n) {
    const std::size_t i = s.row + static_cast<std::size_t>(n);
    const double up = s.available[n] * p.pool.capacity[n], load = load_of(p, b, s, n);
    s.most[static_cast<std::size_t>(n)] = std::min(up, load);
    b.served[i] = std::min(std::min(b.rate[i], up), load);
  }
  if (p.pool.conflict != Conflict::gps) return;
  lend(p, decision, b.rate.data() + s.row, b.served.data() + s.row, s.most.data(), s.loan);
  for (int n = 0; n < b.nodes; ++n)
    b.served[s.row + static_cast<std::size_t>(n)] += s.loan.lent[static_cast<std::size_t>(n)];
}

/// What was kept back goes to where work waits.
void send_reserve(const Params& p, Batch& b, double share, Slot& s) {
  add_up_placed(p.pool, b.rate.data() + s.row, s.reserve);
  dispatch(*p.pool.shared_reserve(), p, s.importance, share, s.reserve);
  std::copy_n(s.reserve.dispatched.data(), b.nodes, b.dispatched.data() + s.row);
}

/// Work that waits becomes backlog and error, service becomes progress and less error.
void work(const Params& p, const Exogenous& x, Batch& b, Slot& s) {
  if (p.pool.has_progress())
    share_progress(p.progress, b.served.data() + s.row, s.gained.data(), b.nodes);
  for (int n = 0; n < b.nodes; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const std::size_t i = s.row + at;
    if (p.pool.is_progress(n)) {
      b.progress[i] =
          x.keep[s.slot + at] * (1 - p.progress.forgetting) * b.progress[i] + s.gained[at];
      b.error[i] = ProgressError{p}.value(n, b.progress[i]);
    } else {
      const double waiting = std::max(0.0, s.reserve.left[at] - s.reserve.dispatched[at]);
      const QueueEnd end = end_slot(
          p, n, {waiting, s.arrivals[n], x.young.empty() ? 0 : x.young[s.slot + at], b.served[i]});
      b.error[i] = end.error;
      b.lost[i] = end.lost;
      b.backlog[i] = end.backlog;
    }
  }
}

/// What the slot has shown: averages of arrivals, and which nodes were up.
void remember(const Exogenous& x, Batch& b, const Slot& s) {
  note_arrivals(x, s.env, b);
  for (int n = 0; n < b.nodes; ++n) {
    const std::size_t i = s.row + static_cast<std::size_t>(n);
    b.arrivals_last[i] = s.arrivals[n];
    b.arrivals_fast[i] += kFast * (s.arrivals[n] - b.arrivals_fast[i]);
    b.arrivals_slow[i] += kSlow * (s.arrivals[n] - b.arrivals_slow[i]);
    b.availability[i] = s.available[n];
    b.down_slots[i] = s.available[n] > 0 ? 0 : b.down_slots[i] + 1;
  }
}

/// Performance of every node. \param score [N] written
void judge(const Params& p, const double* error, double reference, double* score, int nodes) {
  switch (p.cost.score) {
    case ScoreKind::linear:
      for (int n = 0; n < nodes; ++n) score[n] = 1 - error[n];
      break;
    case ScoreKind::reference:
      for (int n = 0; n < nodes; ++n) score[n] = 1 - error[n] / reference;
      break;
    case ScoreKind::source:
      smooth_source_scores(error, score, nodes);
      break;
  }
}

/// The terms of the cost, and the score.
void charge(const Params& p, Batch& b, Slot& s) {
  const int nodes = b.nodes, resources = p.pool.resource_count();
  double weighted_error = 0, weighted_score = 0, total_importance = 0, worst = 0, soft = 0;
  double used = 0, concentrated = 0;
  std::vector<double>& score = s.gained;
  judge(p, b.error.data() + s.row, s.reference, score.data(), nodes);
  for (int n = 0; n < nodes; ++n) {
    const std::size_t i = s.row + static_cast<std::size_t>(n);
    const double error = b.error[i];
    weighted_error += s.importance[n] * error;
    weighted_score += s.importance[n] * score[static_cast<std::size_t>(n)];
    total_importance += s.importance[n];
    worst = std::max(worst, error);
    for (int k = 0; k < resources; ++k) {
      const double share = b.grant[i] * p.pool.need_of(n, k) /
                           p.pool.budgets[static_cast<std::size_t>(k)] / resources;
      used += share;
      concentrated += share * share * resources;
    }
  }
  const auto at = static_cast<std::size_t>(s.env);
  b.fairness_cost[at] = 0;
  if (p.cost.worst > 0) {
    const double temperature = p.cost.worst_temperature;
    for (int n = 0; n < nodes; ++n)
      soft += std::exp((b.error[s.row + static_cast<std::size_t>(n)] - worst) / temperature);
    b.fairness_cost[at] = p.cost.worst * (worst + temperature * std::log(soft / nodes));
  }
  b.error_cost[at] = weighted_error / nodes;
  b.switching_cost[at] = p.cost.switching * s.moved / nodes;
  b.use_cost[at] = p.cost.use * used + p.cost.concentration * nodes * concentrated;
  b.cost[at] = b.error_cost[at] + b.switching_cost[at] + b.fairness_cost[at] + b.use_cost[at];
  b.score[at] = total_importance > 0 ? weighted_score / total_importance : 1;
  b.waste[at] = s.allocation.waste;
}

/// One slot of the environment that `s` has entered.
void step_env(const Params& p, const Exogenous& x, Batch& b, const double* decision, Slot& s) {
  allocate(p, decision, {b.slot, s.importance}, s.allocation);
  place(p, b, s);
  if (p.pool.lottery() != nullptr) {
    serve_by_lottery(p, x, b, s);
  } else {
    serve(p, b, decision, s);
  }
  leave(p, b, s);
  if (p.pool.shared_reserve() != nullptr) send_reserve(p, b, kept_share(p, decision), s);
  work(p, x, b, s);
  remember(x, b, s);
  charge(p, b, s);
}

}  // namespace

void note_arrivals(const double* arrivals, std::int64_t env, Batch& b) {
  const std::int64_t width = std::ssize(b.arrivals_before) / b.envs;
  if (width == 0) return;
  const auto row = b.arrivals_before.begin() + env * width;
  std::copy_backward(row, row + width - b.nodes, row + width);
  std::copy_n(arrivals, b.nodes, row);
}

void note_arrivals(const Exogenous& x, std::int64_t env, Batch& b) {
  const std::vector<double>& shown = x.mean_arrivals.empty() ? x.arrivals : x.mean_arrivals;
  note_arrivals(shown.data() + x.at(b.episode[static_cast<std::size_t>(env)], b.slot), env, b);
}

void see(const Params& p, const Exogenous& x, Batch& b) {
  if (b.slot >= x.slots) return;  // past the end there is no slot to come; keep the last calendar
  for (std::int64_t e = 0; e < b.envs; ++e) {
    const std::size_t from = x.at(b.episode[static_cast<std::size_t>(e)], b.slot), to = b.at(e);
    for (std::size_t n = 0; n < static_cast<std::size_t>(b.nodes); ++n) {
      b.importance[to + n] = x.importance[from + n];
      if (p.observation.arrivals_shown) {
        b.arrivals_now[to + n] = x.arrivals[from + n];
        b.available_now[to + n] = x.availability[from + n];
      }
      if (!x.window.empty()) b.window[to + n] = x.window[from + n];
      if (!x.health.empty()) b.health[to + n] += kHealth * (x.health[from + n] - b.health[to + n]);
      if (!x.young.empty()) b.young[to + n] = x.young[from + n];
      // Only a calendar of windows is known ahead; elsewhere the future is as important as now.
      b.importance_ahead[to + n] =
          x.window.empty() ? b.importance[to + n]
                           : importance_ahead(x, b.episode[static_cast<std::size_t>(e)], b.slot, n);
    }
    set_margins(p, b, to);
  }
}

std::vector<double> step_bundles(const Params& p, const Exogenous& x, Batch& b,
                                 View<const double> bundles) {
  const int size = decision_size(p);
  std::vector<double> decisions(static_cast<std::size_t>(bundles.rows * size));
  expand(p, bundles, {decisions.data(), bundles.rows, size});
  step(p, x, b, {decisions.data(), bundles.rows, size});
  return decisions;
}

namespace {

/// Gives a column room for `size` numbers, and for as many more as it takes that columns which are
/// made one after the other do not begin at the same place in their pages: of those, a processor
/// can hold only few at once in its first cache, and takes a load for one that must wait for the
/// store before it. (Measured: a slot of queues took 1.8 times as long.)
void make_room(std::vector<double>& column, std::size_t size) {
  constexpr std::size_t kPage = 4096, kApart = 272, kWorthIt = 1024;
  const std::size_t bytes = size * sizeof(double);
  const std::size_t more = bytes < kWorthIt ? 0 : (kPage + kApart - bytes % kPage) % kPage;
  column.reserve(size + more / sizeof(double));
}

}  // namespace

Batch reset(const Params& p, const Exogenous& x, std::vector<std::int64_t> episode) {
  for (const std::int64_t row : episode)
    CRA_CHECK(row >= 0 && row < x.episodes, "reset: episode row " + std::to_string(row) +
                                                ", expected [0, " + std::to_string(x.episodes) +
                                                ")");
#if !defined(NDEBUG)
  for (const std::int64_t row : episode)
    for (std::size_t i = x.at(row, 0); x.steady && i < x.at(row + 1, 0); ++i)
      CRA_ASSERT(x.availability[i] == 1 &&
                 x.importance[i] ==
                     x.importance[x.at(row, 0) + i % static_cast<std::size_t>(x.nodes)]);
#endif
  Batch b;
  b.envs = static_cast<std::int64_t>(episode.size());
  b.nodes = p.pool.nodes;
  b.episode = std::move(episode);
  const std::size_t size = b.at(b.envs), envs = b.episode.size();
  for (auto* zero :
       {&b.backlog, &b.error, &b.grant, &b.served, &b.dispatched, &b.lost, &b.importance,
        &b.down_slots, &b.availability, &b.rate, &b.arrivals_fast, &b.arrivals_slow,
        &b.arrivals_last, &b.margin, &b.margin_ahead, &b.importance_ahead}) {
    make_room(*zero, size);
    zero->assign(size, 0);
  }
  for (auto* zero : {&b.error_cost, &b.switching_cost, &b.fairness_cost, &b.use_cost, &b.cost,
                     &b.score, &b.waste})
    zero->assign(envs, 0);
  std::fill(b.availability.begin(), b.availability.end(), 1.0);
  if (p.pool.has_progress()) b.progress.assign(size, p.progress.start);
  if (!x.young.empty()) b.young.assign(size, 0);
  if (!x.health.empty()) b.health.assign(size, 0);
  if (!x.window.empty()) b.window.assign(size, 0);
  if (p.observation.arrivals_shown) {
    b.arrivals_now.assign(size, 0);
    b.available_now.assign(size, 1);
  }

  b.base_rate = base_rate(p);
  const std::vector<double> even(static_cast<std::size_t>(b.nodes), 1.0);
  std::vector<double> fair(static_cast<std::size_t>(b.nodes));
  waterfill(even.data(), p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
            1.0, fair.data(), b.nodes, p.pool.resource_count());
  if (p.pool.lottery() != nullptr) {
    Allocation a(b.nodes);
    allocate(p, even.data(), {0, p.workload.importance.value.data()}, a);
    fair = a.grant;
  }
  for (std::int64_t e = 0; e < b.envs; ++e) {
    const auto at = static_cast<std::ptrdiff_t>(b.at(e));
    std::copy(fair.begin(), fair.end(), b.rate.begin() + at);
    for (auto* average : {&b.arrivals_fast, &b.arrivals_slow, &b.arrivals_last})
      std::copy(b.base_rate.begin(), b.base_rate.end(), average->begin() + at);
    for (int m = 0; m < p.observation.memory; ++m)
      b.arrivals_before.insert(b.arrivals_before.end(), b.base_rate.begin(), b.base_rate.end());
  }
  see(p, x, b);
  return b;
}

void step_by_stages(const Params& p, const Exogenous& x, Batch& b, View<const double> decisions) {
  // A tile is long enough to be worth a thread's while, and short enough to stay in its cache.
  const std::int64_t tile = std::max<std::int64_t>(1, kTileNodes / b.nodes);
  for_each_tile(tiles_of(b.envs, tile), [&](std::int64_t i) {
    Slot slot(b.nodes);
    for (std::int64_t e = i * tile; e < std::min(b.envs, (i + 1) * tile); ++e) {
      slot.enter(x, b, e);
      step_env(p, x, b, decisions.row(e), slot);
    }
  });
  ++b.slot;
  see(p, x, b);
}

void step(const Params& p, const Exogenous& x, Batch& b, View<const double> decisions) {
  check_step(p, x, b, decisions);
  if (!is_plain_queue_pool(p, x)) return step_by_stages(p, x, b, decisions);
  const QueuePool pool = queue_pool(p, x);
  const std::int64_t tile = std::max<std::int64_t>(1, kTileNodes / b.nodes);
  for_each_tile(tiles_of(b.envs, tile), [&](std::int64_t i) {
    step_queue_rows(queue_kernels().back(), pool, x, b, decisions, i * tile,
                    std::min(tile, b.envs - i * tile));
  });
  ++b.slot;
}

const char* step_vectors() { return queue_kernels().back().name; }

}  // namespace cra::sim
