// agents/feature_statistics.h (internal): what features are normalised by.
#pragma once

#include <cstdint>
#include <vector>

#include "agents/agents.h"

namespace cra::agents {

struct FeatureStatistics {
  std::vector<double> mean;   ///< [F]
  std::vector<double> scale;  ///< [F] 1 / standard deviation; 1 for a constant feature
};

/// Mean and deviation of every feature over the warm-up episodes of a seed. Every other episode is
/// played by uniform shares: learning passes through states that a good base never sees, and the
/// network is blind where features are many deviations off (traffic, base demand, three trainings:
/// cost .315 with statistics of the base alone, .243 with those of uniform shares).
/// \param base_rule  with all its knobs \param episodes  >= 1
FeatureStatistics measure_features(const Rule& base_rule, const sim::Params& pool,
                                   std::uint64_t seed, std::int64_t episodes);

}  // namespace cra::agents
