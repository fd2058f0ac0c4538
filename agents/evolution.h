// agents/evolution.h (internal): an evolution strategy over the knobs of a heuristic.
//
// (mu / mu_w, lambda) with antithetic pairs, logarithmic weights of the better half (Hansen, The
// CMA evolution strategy: a tutorial, 2016) and a spread per knob in place of a covariance. It
// searches in steps of the tuner's grids, so that knobs of all sizes are alike.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/agents.h"

namespace cra::agents {

/// The value of a knob at a place on its grid: at whole numbers the grid's own values, linear in
/// between and beyond, within the knob's limits.
double knob_at(const Knob& knob, double place);
/// The place at which knob_at() gives a value; at the ends of the grid when there is none.
double place_of(const Knob& knob, double value);

/// Where the search stands, in places. [K]
struct Search {
  std::vector<double> mean, spread;
};

/// What the candidates of a generation cost, on the whole.
struct Generation {
  Search next;
  double cost = 0, score = 0;  ///< means over candidates, episodes and slots
};

/// One generation: every candidate meets the same episodes.
/// \param update  number of the generation; with the seed it decides the candidates
Generation evolve(const Evolution& settings, const Search& from, const Rule& base,
                  const sim::Params& pool, const sim::Exogenous& x, std::uint64_t seed,
                  std::int64_t update);

/// The base with knobs from places.
Rule rule_at(const Rule& base, const std::vector<double>& places, const sim::Params& pool);

}  // namespace cra::agents
