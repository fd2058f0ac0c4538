// tests/short_training.h: a training run that takes milliseconds.
#pragma once

#include <cstdint>

#include "agents/agents.h"

namespace cra::testing {

inline agents::Params short_training(int updates) {
  agents::Params p;
  p.agent.learner = agents::Reinforce{};
  p.training.updates = updates;
  p.training.episodes = 2;
  p.training.replicas = 4;
  p.training.warmup_updates = 2;
  p.training.warmup_episodes = 4;
  p.training.validation_episodes = 4;
  p.training.validate_every = 2;
  return p;
}

/// A heuristic with all its knobs, for pools without a reserve.
inline agents::Rule base_rule() { return {"demand_backlog", {0.5, 2, 0.25, 1}}; }

inline agents::Trainer make_trainer(const sim::Params& pool, const agents::Params& p,
                                    std::uint64_t seed = 7) {
  return agents::Trainer(p, attention::Params{}, pool, seed, base_rule(),
                         attention::make_cpu_engine);
}

}  // namespace cra::testing
