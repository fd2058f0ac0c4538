#include "sim/queue_rows.h"

#include <algorithm>

#include "sim/errors.h"
#include "sim/gains.h"
#include "sim/see.h"
#include "sim/simd.h"

namespace cra::sim {

QueueKernel queue_kernel_base();
QueueKernel queue_kernel_avx2();
QueueKernel queue_kernel_avx512();

namespace {

/// Asks for numbers that the next slot reads: rows of one slot lie an episode apart in memory,
/// which is too far for the processor to guess.
void prefetch(const double* row, int count) {
  constexpr int kLine = 64 / sizeof(double);
  for (int i = 0; i < count; i += kLine) __builtin_prefetch(row + i);
}

/// The health signal of the slot to come joins its average.
void hear(const Exogenous& x, Batch& b, std::int64_t e) {
  const std::size_t next = x.at(b.episode[static_cast<std::size_t>(e)], b.slot + 1), at = b.at(e);
  for (std::size_t n = 0; n < static_cast<std::size_t>(b.nodes); ++n)
    b.health[at + n] += kHealth * (x.health[next + n] - b.health[at + n]);
}

}  // namespace

const std::vector<QueueKernel>& queue_kernels() {
  static const std::vector<QueueKernel> all =
      runnable(queue_kernel_base(), queue_kernel_avx2(), queue_kernel_avx512());
  return all;
}

bool is_plain_queue_pool(const Params& p, const Exogenous& x) {
  const bool queues = std::holds_alternative<BacklogError>(p.errors) && !p.pool.has_progress();
  const bool plain_pool =
      p.pool.action == Action::bundle && p.pool.conflict == Conflict::waterfill &&
      std::holds_alternative<FluidService>(p.pool.service) && p.pool.shared_reserve() == nullptr;
  const bool plain_costs = p.cost.worst == 0 && p.cost.use == 0 && p.cost.concentration == 0 &&
                           p.cost.score == ScoreKind::linear;
  return queues && plain_pool && plain_costs && !p.observation.arrivals_shown && x.window.empty();
}

QueuePool queue_pool(const Params& p, const Exogenous& x) {
  QueuePool q;
  q.nodes = p.pool.nodes;
  q.resources = p.pool.resource_count();
  q.capacity = p.pool.capacity.value.data();
  q.budgets = p.pool.budgets.data();
  q.lag = p.pool.lag;
  q.abandonment = p.workload.abandonment;
  q.switching = p.cost.switching;
  q.smoothing = p.cost.switching_smoothing;
  q.steady = x.steady;
  const auto nodes = static_cast<std::size_t>(q.nodes);
  q.needs.resize(nodes * static_cast<std::size_t>(q.resources));
  q.inverse_scale.resize(nodes);
  q.margin_per_slope.resize(nodes);
  for (int n = 0; n < q.nodes; ++n) {
    const auto at = static_cast<std::size_t>(n);
    for (int k = 0; k < q.resources; ++k)
      q.needs[static_cast<std::size_t>(k) * nodes + at] = p.pool.need_of(n, k);
    const double scale = std::get<BacklogError>(p.errors).scale[n];
    q.inverse_scale[at] = 1 / scale;
    q.margin_per_slope[at] = 1 / (scale * largest_share(p, n));
  }
  return q;
}

void step_queue_rows(const QueueKernel& kernel, const QueuePool& pool, const Exogenous& x, Batch& b,
                     View<const double> decisions, std::int64_t first, std::int64_t count) {
  std::vector<double> scratch(std::size_t{kMostGroup} * static_cast<std::size_t>(pool.nodes));
  QueueRows rows{};
  rows.last = b.slot + 1 >= x.slots;
  for (std::int64_t run = first; run < first + count; run += kMostRows) {
    const std::int64_t size = std::min<std::int64_t>(kMostRows, first + count - run);
    for (std::int64_t i = 0; i < size; ++i) {
      const auto row = static_cast<std::size_t>(i);
      const std::size_t slot = x.at(b.episode[static_cast<std::size_t>(run + i)], b.slot);
      rows.arrivals[row] = x.arrivals.data() + slot;
      rows.available[row] = x.availability.data() + slot;
      rows.next_importance[row] = x.importance.data() + slot + (rows.last ? 0 : pool.nodes);
      if (rows.last) continue;
      prefetch(rows.arrivals[row] + pool.nodes, pool.nodes);
      if (pool.steady) continue;
      prefetch(rows.available[row] + pool.nodes, pool.nodes);
      if (b.slot + 2 < x.slots) prefetch(rows.next_importance[row] + pool.nodes, pool.nodes);
    }
    const std::size_t at = b.at(run);
    rows.weights = decisions.row(run);
    rows.backlog = b.backlog.data() + at;
    rows.rate = b.rate.data() + at;
    rows.fast = b.arrivals_fast.data() + at;
    rows.slow = b.arrivals_slow.data() + at;
    rows.arrived = b.arrivals_last.data() + at;
    rows.importance = b.importance.data() + at;
    rows.error = b.error.data() + at;
    rows.seen_available = b.availability.data() + at;
    rows.down = b.down_slots.data() + at;
    rows.margin = b.margin.data() + at;
    rows.margin_ahead = b.margin_ahead.data() + at;
    rows.importance_ahead = b.importance_ahead.data() + at;
    rows.grant = b.grant.data() + at;
    rows.served = b.served.data() + at;
    rows.lost = b.lost.data() + at;
    rows.error_cost = b.error_cost.data() + run;
    rows.switching_cost = b.switching_cost.data() + run;
    rows.score = b.score.data() + run;
    kernel.step(pool, rows, static_cast<int>(size), scratch.data());
    for (std::int64_t e = run; e < run + size; ++e) {
      const auto env = static_cast<std::size_t>(e);
      if (!x.health.empty() && !rows.last) hear(x, b, e);
      note_arrivals(x, e, b);
      b.cost[env] = b.error_cost[env] + b.switching_cost[env];
    }
  }
}

}  // namespace cra::sim
