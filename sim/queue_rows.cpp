#include "sim/queue_rows.h"

#include "sim/errors.h"
#include "sim/gains.h"

namespace cra::sim {

QueueKernel queue_kernel_base();
QueueKernel queue_kernel_avx2();
QueueKernel queue_kernel_avx512();

namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }
bool has_avx512() { return __builtin_cpu_supports("avx512f"); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

/// The health signal of the slot to come joins its average.
void hear(const Exogenous& x, Batch& b, std::int64_t e) {
  const std::size_t next = x.at(b.episode[static_cast<std::size_t>(e)], b.slot + 1), at = b.at(e);
  for (std::size_t n = 0; n < static_cast<std::size_t>(b.nodes); ++n)
    b.health[at + n] += kHealth * (x.health[next + n] - b.health[at + n]);
}

}  // namespace

const std::vector<QueueKernel>& queue_kernels() {
  static const std::vector<QueueKernel> all = [] {
    std::vector<QueueKernel> found{queue_kernel_base()};
    if (has_avx2() && queue_kernel_avx2().step != nullptr) found.push_back(queue_kernel_avx2());
    if (has_avx512() && queue_kernel_avx512().step != nullptr)
      found.push_back(queue_kernel_avx512());
    return found;
  }();
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

QueuePool queue_pool(const Params& p) {
  QueuePool q;
  q.nodes = p.pool.nodes;
  q.resources = p.pool.resource_count();
  q.capacity = p.pool.capacity.value.data();
  q.budgets = p.pool.budgets.data();
  q.lag = p.pool.lag;
  q.abandonment = p.workload.abandonment;
  q.switching = p.cost.switching;
  q.smoothing = p.cost.switching_smoothing;
  for (int k = 0; k < q.resources; ++k)
    for (int n = 0; n < q.nodes; ++n) q.needs.push_back(p.pool.need_of(n, k));
  for (int n = 0; n < q.nodes; ++n) {
    q.inverse_scale.push_back(1 / backlog_scale(p, n));
    q.margin_per_slope.push_back(1 / (backlog_scale(p, n) * largest_share(p, n)));
  }
  return q;
}

void step_queue_rows(const QueueKernel& kernel, const QueuePool& pool, const Exogenous& x, Batch& b,
                     View<const double> decisions, std::int64_t first, std::int64_t count) {
  std::vector<double> scratch(static_cast<std::size_t>(pool.nodes));
  for (std::int64_t e = first; e < first + count; ++e) {
    const auto env = static_cast<std::size_t>(e);
    const std::size_t at = b.at(e), slot = x.at(b.episode[env], b.slot);
    const QueueRow row{decisions.row(e),
                       x.arrivals.data() + slot,
                       x.availability.data() + slot,
                       x.importance.data() + slot,
                       b.slot + 1 < x.slots
                           ? x.importance.data() + slot + static_cast<std::size_t>(pool.nodes)
                           : nullptr,
                       b.backlog.data() + at,
                       b.rate.data() + at,
                       b.arrivals_fast.data() + at,
                       b.arrivals_slow.data() + at,
                       b.arrivals_last.data() + at,
                       b.importance.data() + at,
                       b.error.data() + at,
                       b.availability.data() + at,
                       b.down_slots.data() + at,
                       b.margin.data() + at,
                       b.margin_ahead.data() + at,
                       b.importance_ahead.data() + at,
                       b.grant.data() + at,
                       b.served.data() + at,
                       b.lost.data() + at,
                       b.error_cost.data() + e,
                       b.switching_cost.data() + e,
                       b.score.data() + e};
    kernel.step(pool, row, scratch.data());
    if (!x.health.empty() && row.next_importance != nullptr) hear(x, b, e);
    b.cost[env] = b.error_cost[env] + b.switching_cost[env];
  }
}

}  // namespace cra::sim
