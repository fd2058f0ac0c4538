// tools/contest.h: the stages `cra run` and `cra evaluate` share: tune the heuristics, let every
// policy meet the same frozen episodes, compare.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "scenarios/scenario.h"
#include "tools/arguments.h"
#include "tools/progress.h"
#include "tools/summary.h"

namespace cra::tools {

/// A policy on its way through the comparison.
struct Candidate {
  std::string name;
  std::string title;                     ///< in the table, where trainings share a line
  std::int64_t training = -1;            ///< number of the training behind it; -1: not of this run
  std::string kind;                      ///< learned, or that of a baseline
  std::optional<agents::Tuning> tuning;  ///< of baselines
  std::optional<agents::Network> network;
  std::unique_ptr<agents::Policy> policy;
  std::unique_ptr<agents::Oracle> oracle;  ///< in place of a policy
  agents::Outcome outcome;                 ///< after meet()
  agents::Trajectory trajectory;           ///< after meet()
};

/// Threads for OpenMP: --threads, else OMP_NUM_THREADS (left to the runtime), else
/// SLURM_CPUS_PER_TASK, else all. \returns their number
int set_threads(const Arguments& a);

/// The engine of --device, tried once on this scenario's shape, so that a missing GPU is told
/// before the work and not after the tuning.
agents::EngineFactory choose_engine(const Arguments& a, const scenarios::Settings& s);

/// "cpu", or e.g. "cuda bf16 (NVIDIA H100)", for the result.
std::string device_text(const Arguments& a);
/// "fp32", "tf32" or "bf16".
std::string precision_name(const Arguments& a);

/// Names of the baselines a scenario compares, in the order of the list of all.
std::vector<std::string> baselines_of(const scenarios::Settings& s);

/// Tunes baselines on the tuning episodes. \throws Stopped on a signal
std::vector<agents::Tuning> tune_all(const std::vector<std::string>& names,
                                     const scenarios::Settings& s, Progress& progress);
/// The heuristic with the lowest cost on the tuning episodes that learning can start from; of all
/// when there is none; not empty.
/// \param by_knobs  learning moves knobs alone: those that have some come first
const agents::Tuning& best_of(const std::vector<agents::Tuning>& all, bool by_knobs);

Candidate baseline(agents::Tuning tuning, const sim::Params& p);
Candidate learned(const std::string& name, agents::Network network, const sim::Params& p,
                  const agents::EngineFactory& engine);

/// The frozen test episodes.
sim::Exogenous evaluation_episodes(const scenarios::Settings& s);
/// Every candidate on the test episodes, and slot by slot on the first few. \throws Stopped
void meet(std::vector<Candidate>& all, const scenarios::Settings& s, const sim::Exogenous& x,
          Progress& progress);
/// What is to be explained of a comparison: where the attention of one of its policies went.
struct Explained {
  std::string policy;  ///< name of the candidate
  agents::Explanation what;
};
/// Explains the attention of a candidate on the first test episodes. Nothing when it is nullptr,
/// when attention has no say in what it decides, or when no episodes are to be explained. \throws
/// Stopped
std::optional<Explained> explain_attention(const Candidate* candidate, const scenarios::Settings& s,
                                           const sim::Exogenous& x,
                                           const agents::EngineFactory& engine, Progress& progress);
/// The clairvoyant bound of the test episodes, or the reason why there is none; says the reason on
/// stderr. \throws Stopped on a signal
agents::Bound bound_episodes(const Arguments& a, const scenarios::Settings& s, Progress& progress);
/// \throws Error  when a policy costs less than the certified bound in some episode: one of the two
/// must then be wrong, and no number is to be trusted
void check_against(const agents::Bound& bound, const std::vector<Candidate>& all);
Summary compare(const std::vector<Candidate>& all, const scenarios::Settings& s,
                const agents::Bound& bound);

}  // namespace cra::tools
