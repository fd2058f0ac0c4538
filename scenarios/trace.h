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
  std::vector<double> needs;           ///< [N, K]; empty when unknown, then `load` is not applied
  std::vector<double> budgets;         ///< [K]
  std::vector<std::string> resources;  ///< [K] names; empty when the one resource has none
};

/// Reads the log at `path` and fills what a trace part says is filled.
///
/// Slots count from the first request; S is their number up to that of the last request, so every
/// request becomes work. train_slots = floor(train_fraction S).
///
/// Node = row-major index over `buckets`. Edge k of a numeric column with Q quantiles is its
/// linear-interpolation quantile k / Q over the requests of the training part; a value <= edge
/// falls into the lower bucket. Bucket k of a text column is that of its k-th most frequent value
/// in the training part, ties in order of appearance; the last holds all others.
///
/// A work column with a span of time (`lasts`, `until`) brings column * span units, otherwise
/// column units. A lump is all in the slot of its request; a stream adds rate * slot_seconds units
/// in that slot and each after it, the remainder in the last, and nothing beyond S; its rate is the
/// column where there is a span, otherwise `rate`.
///
/// With load > 0 work is scaled so that the mean of sum_n needs_nk work_n over the training slots
/// is load * budgets_k for the resource k that is short first, and less for the others; needs of
/// `part.needs` take the place of those in `context`.
/// \returns what is wrong (at most 20 faults of the file's lines); empty: the part is filled
std::vector<TraceProblem> read_trace(const std::string& path, const TraceContext& context,
                                     sim::TracePart& part);

}  // namespace cra::scenarios
