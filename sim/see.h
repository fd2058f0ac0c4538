// sim/see.h (internal): what is told before the slot that comes.
#pragma once

#include "sim/sim.h"

namespace cra::sim {

/// Fills what every environment is told before slot b.slot of x: importance and calendar, health
/// signal, what is shown of the slot, and the margins that follow. Nothing past the last slot.
void see(const Params& p, const Exogenous& x, Batch& b);

/// Puts the arrivals of slot b.slot in front of b.arrivals_before of one environment.
void note_arrivals(const Exogenous& x, std::int64_t env, Batch& b);
/// \param arrivals  [N]
void note_arrivals(const double* arrivals, std::int64_t env, Batch& b);

}  // namespace cra::sim
