// sim/score.h (internal): what the score `reference` measures errors by.
#pragma once

#include "sim/sim.h"

namespace cra::sim {

/// Fills x.reference_error: the mean error over nodes and slots when every node has the same weight
/// and nothing is kept back, at least 0.001.
void fill_reference_errors(const Params& p, Exogenous& x);

}  // namespace cra::sim
