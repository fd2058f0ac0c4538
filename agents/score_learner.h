// agents/score_learner.h (internal): learners that explore are one algorithm with other settings.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "agents/agents.h"
#include "agents/surrogate.h"

namespace cra::agents {

struct ScoreLearner {
  double learning_rate = 0, discount = 0, clip_norm = 0;
  Surrogate surrogate;
  int epochs = 1, minibatches = 1;
  double kl_stop = std::numeric_limits<double>::infinity();
  std::optional<double> trace;  ///< with a critic; without one replicas are the baseline
};

/// \param nodes  N: probability ratios of many nodes are wild, and wide pools take smaller steps
ScoreLearner settings_of(const Reinforce& k, int nodes);
ScoreLearner settings_of(const GroupPpo& k, int nodes);
ScoreLearner settings_of(const Ppo& k, int nodes);
ScoreLearner settings_of(const A2c& k, int nodes);

/// Whether theta is followed by a critic's value head.
bool has_critic(const LearnerKind& kind);

/// The steps of a rollout in the order in which an epoch meets them; as they are when there is one
/// minibatch and nothing to shuffle.
std::vector<std::int64_t> epoch_order(const ScoreLearner& s, std::int64_t steps, std::uint64_t seed,
                                      std::int64_t update, int epoch);

}  // namespace cra::agents
