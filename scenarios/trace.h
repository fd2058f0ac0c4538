// scenarios/trace.h: a request log becomes the work of a trace part.
#pragma once

#include <string>
#include <vector>

#include "scenarios/request_log.h"
#include "sim/sim.h"

namespace cra::scenarios {

/// What the reader must know besides the part itself.
struct TraceContext {
  int nodes = 0;
  double slot_seconds = 1;
  std::vector<double> needs;    ///< [N, K]; empty when unknown, then `load` is not applied
  std::vector<double> budgets;  ///< [K]
};

/// Reads the log at `path` and fills work, train_slots, mean, edges and requests.
///
/// Slots count from the first request; S is their number up to that of the last request, so every
/// request becomes work.
/// train_slots = floor(train_fraction S). Edge k of a bucket column with Q quantiles
/// is its linear-interpolation quantile k / Q over the requests of the training part; a value
/// <= edge falls into the lower bucket. Node = row-major index over `buckets`. A lump is
/// all in the slot of its request; a stream adds rate * slot_seconds units in that slot and each
/// after it, the remainder in the last, and nothing beyond S. With load > 0 work is scaled so that
/// the mean of sum_n needs_nk work_n over the training slots is load * budgets_k for the resource k
/// that is short first, and less for the others.
/// \returns what is wrong (at most 20 faults of the file's lines); empty: the part is filled
std::vector<TraceProblem> read_trace(const std::string& path, const TraceContext& context,
                                     sim::TracePart& part);

}  // namespace cra::scenarios
