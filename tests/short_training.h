// tests/short_training.h: a training run that takes milliseconds.
#pragma once

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

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

/// One of every kind of a variant, with its defaults.
template <class Kind>
std::vector<Kind> every_kind() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return std::vector<Kind>{Kind(std::in_place_index<I>)...};
  }
  (std::make_index_sequence<std::variant_size_v<Kind>>());
}

inline const char* name_of(const agents::LearnerKind& kind) {
  return std::visit([](const auto& k) { return k.name; }, kind);
}

/// A heuristic with all its knobs, for pools without a reserve.
inline agents::Rule base_rule() { return {"demand_backlog", {0.5, 2, 0.25, 1}}; }

inline agents::Trainer make_trainer(const sim::Params& pool, const agents::Params& p,
                                    std::uint64_t seed = 7) {
  return agents::Trainer(p, attention::Params{}, pool, seed, base_rule(),
                         attention::make_cpu_engine);
}

}  // namespace cra::testing
