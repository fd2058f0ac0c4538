#include "tools/plan.h"

#include <algorithm>

#include "sim/sim.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

std::string bytes_words(double bytes) {
  for (const auto& [size, word] : {std::pair{1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}})
    if (bytes >= size) return fixed(bytes / size, bytes < 10 * size ? 1 : 0) + word;
  return fixed(bytes, 0) + " bytes";
}

/// Environments that an update of the learner simulates.
double environments(const agents::LearnerKind& learner, const agents::Training& t) {
  const auto* evolution = std::get_if<agents::Evolution>(&learner);
  const bool exact = std::holds_alternative<agents::Pathwise>(learner);
  return static_cast<double>(t.episodes) * (exact                  ? 1
                                            : evolution != nullptr ? evolution->population
                                                                   : t.replicas);
}

}  // namespace

std::string plan_text(const scenarios::Settings& s, bool train, std::size_t policies,
                      const std::string& result) {
  const agents::Training& t = s.agents.training;
  const agents::Evaluation& e = s.agents.evaluation;
  const double nodes = s.sim.pool.nodes, slots = s.sim.workload.slots;
  const double envs = environments(s.agents.agent.learner, t);
  const auto features = static_cast<int>(sim::feature_names(s.sim).size());
  const attention::Shape shape = attention::shape_of(s.attention, features, s.sim.pool.nodes,
                                                     static_cast<std::uint64_t>(s.seed));
  const double parameters =
      static_cast<double>(attention::parameter_count(shape)) + 2 * shape.width + 1;

  // Doubles of drawn episodes (arrivals, availability, importance, keep, health), and of a rollout
  // with its features in float; a gradient per 64 environment-slots.
  const double drawn = 5 * 8 * slots * nodes;
  const double evaluation = drawn * static_cast<double>(std::max(e.episodes, e.tuning_episodes));
  const double rollout = envs * slots * (nodes * (4 * features + 24) + 32) + drawn * t.episodes +
                         4 * parameters * envs * slots / 64;
  const double memory = std::max(evaluation, train ? rollout : 0.0) + 40e6;

  const double recorded =
      static_cast<double>(std::min<std::int64_t>(s.output.trajectories, e.episodes));
  const double per_policy =
      64.0 * static_cast<double>(e.episodes) + 8 * recorded * slots * (9 * nodes + 7) +
      (s.output.observations ? 4 * recorded * (slots + 1) * nodes * features : 0.0);
  double disk = static_cast<double>(policies) * per_policy + recorded * drawn + 4e5;
  if (nodes <= agents::kMostExplained) {
    const auto episodes = static_cast<double>(std::min(e.explained_episodes, e.episodes));
    const double sampled = slots / static_cast<double>(e.explained_every) + 1;
    disk += 8 * (episodes * sampled * (5 * nodes + 6) + shape.heads * nodes * nodes);
  }
  if (train) disk += 4 * parameters + t.seeds * (64.0 + 250.0) * t.updates;

  std::string text;
  if (train) {
    text += "training:   " + (t.seeds > 1 ? std::to_string(t.seeds) + " x " : std::string()) +
            std::to_string(t.updates) + " updates x " + count_words(envs) + " environments x " +
            count_words(slots) + " slots = " + count_words(t.seeds * t.updates * envs * slots) +
            " env-steps, " + count_words(parameters) + " parameters\n";
  }
  text += "evaluation: " + std::to_string(policies) + " policies on " + std::to_string(e.episodes) +
          " test episodes; heuristics tuned on " + std::to_string(e.tuning_episodes) +
          " training episodes\n";
  text += "memory:     about " + bytes_words(memory) + "\n";
  text += "disk:       at most about " + bytes_words(disk) + " for " + result + "\n";
  return text;
}

}  // namespace cra::tools
