// sim/queue_rows.h (internal): the fast path of a slot, for pools of queues with the backlog error.
//
// plant.cpp is the specification: stage by stage, any mechanism. This does the same for the most
// common kind of pool in vectors of nodes, in one pass over memory; test_queue_rows compares the
// two. One source (queue_rows_lanes.h) is compiled for several instruction sets, and the processor
// chooses at run time. Sums always run over eight partial sums added in one order, and nothing is
// contracted, so the bits do not depend on the choice.
#pragma once

#include <array>
#include <vector>

#include "sim/sim.h"

namespace cra::sim {

constexpr double kFast = 0.5;    // weight of the newest slot in the fast average of arrivals
constexpr double kSlow = 0.1;    // in the slow one
constexpr double kHealth = 0.3;  // and in that of the health signal

/// What is the same for all environments and slots. [N] unless it says otherwise.
struct QueuePool {
  int nodes = 0, resources = 0;
  const double* capacity = nullptr;
  const double* budgets = nullptr;       ///< [K]
  std::vector<double> needs;             ///< [K, N]: by resource, unlike sim::Pool::needs
  std::vector<double> inverse_scale;     ///< 1 / backlog scale
  std::vector<double> margin_per_slope;  ///< 1 / (backlog scale * largest budget share)
  double lag = 0, abandonment = 0, switching = 0, smoothing = 0;
  bool steady = false;  ///< see Exogenous::steady
};

constexpr int kMostRows = 16;  // environments that a call of a kernel takes
constexpr int kMostGroup = 8;  // and that it fills together

/// Some environments that stand side by side in a batch: columns from the first one on, [count, N],
/// and rows of the exogenous input, [N] each.
struct QueueRows {
  std::array<const double*, kMostRows> arrivals;
  std::array<const double*, kMostRows> available;
  std::array<const double*, kMostRows> next_importance;  ///< of the slot to come
  bool last = false;                                     ///< there is no slot to come
  const double* weights = nullptr;
  double *backlog, *rate, *fast, *slow, *arrived, *importance, *error, *seen_available, *down,
      *margin, *margin_ahead, *importance_ahead, *grant, *served, *lost;
  double *error_cost, *switching_cost, *score;  ///< [count]
};

/// One build of the kernel.
struct QueueKernel {
  const char* name = nullptr;  ///< instruction set; null: not built
  /// \param scratch  [min(count, kMostGroup), N] of the caller
  void (*step)(const QueuePool& pool, const QueueRows& rows, int count, double* scratch) = nullptr;
};

/// Those that this processor can run, slowest first.
const std::vector<QueueKernel>& queue_kernels();

/// The specification: step() by the stages of plant.cpp, whatever the pool, without its checks.
void step_by_stages(const Params& p, const Exogenous& x, Batch& b, View<const double> decisions);

/// Whether the fast path knows everything that such a pool does.
bool is_plain_queue_pool(const Params& p, const Exogenous& x);

/// The arrays of `pool` for a resolved, plain pool under x. \param p outlives the result
QueuePool queue_pool(const Params& p, const Exogenous& x);

/// step() for environments first .. first + count - 1 of a plain pool, and what they see next; the
/// caller has checked the decisions and moves the batch to the next slot.
void step_queue_rows(const QueueKernel& kernel, const QueuePool& pool, const Exogenous& x, Batch& b,
                     View<const double> decisions, std::int64_t first, std::int64_t count);

}  // namespace cra::sim
