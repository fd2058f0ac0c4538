// tools/assemble.h: what the parts found out, as the groups of a result file (results/FORMAT.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "results/results.h"
#include "scenarios/scenario.h"
#include "tools/contest.h"

namespace cra::tools {

/// Name of the root attribute that says which run a result is of, see run_digest().
inline constexpr const char* kRunDigest = "run_digest";

/// What a result says of a run beside its numbers.
struct Circumstances {
  std::vector<std::string> words;  ///< the command line
  std::string digest;              ///< run_digest()
  std::string started;             ///< ISO 8601, UTC
  std::string device = "cpu";
  std::int64_t threads = 1;
  std::int64_t attempts = 1;
  double train_seconds = 0;
};

/// The training whose policy is stored: the first of the best on the validation episodes.
std::size_t best_training(const agents::Training& t,
                          const std::vector<agents::TrainState>& trainings);

/// The whole result file of a comparison.
/// \param all      after meet()
/// \param tunings  everything that was tuned, for /tuning
/// \param bound    of the episodes x, or why there is none
/// \param trainings  empty when nothing was trained; then /train and /policy are left out. The best
///                   on the validation episodes is the one in /policy
/// \param explained  for /attention, which is left out without it
results::RunFile assemble(const scenarios::Scenario& s, const Circumstances& c,
                          const std::vector<Candidate>& all,
                          const std::vector<agents::Tuning>& tunings, const sim::Exogenous& x,
                          const std::vector<agents::TrainState>& trainings,
                          const agents::Bound& bound, const Summary& summary,
                          const std::optional<Explained>& explained);

}  // namespace cra::tools
