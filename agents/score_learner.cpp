#include "agents/score_learner.h"

#include <cmath>
#include <numeric>
#include <utility>
#include <variant>

namespace cra::agents {
namespace {

constexpr int kWidePool = 50, kUsualPool = 12;

}  // namespace

ScoreLearner settings_of(const Reinforce& k, int /*nodes*/) {
  ScoreLearner s;
  s.learning_rate = k.learning_rate;
  s.discount = k.discount;
  s.clip_norm = k.clip_norm;
  s.surrogate.entropy = k.entropy;
  return s;
}

ScoreLearner settings_of(const GroupPpo& k, int nodes) {
  ScoreLearner s;
  s.learning_rate = k.learning_rate;
  s.discount = k.discount;
  s.clip_norm = k.clip_norm;
  if (nodes > kWidePool) s.learning_rate *= std::sqrt(static_cast<double>(kUsualPool) / nodes);
  s.surrogate.ratio_clip = k.ratio_clip;
  s.surrogate.entropy = k.entropy;
  s.epochs = k.epochs;
  s.minibatches = k.minibatches;
  s.kl_stop = k.kl_stop;
  return s;
}

ScoreLearner settings_of(const Ppo& k, int nodes) {
  ScoreLearner s = settings_of(k.proximal, nodes);
  s.surrogate.value_weight = k.critic.value_weight;
  s.trace = k.critic.trace;
  return s;
}

ScoreLearner settings_of(const A2c& k, int nodes) {
  ScoreLearner s = settings_of(k.score, nodes);
  s.surrogate.value_weight = k.critic.value_weight;
  s.trace = k.critic.trace;
  return s;
}

bool has_critic(const LearnerKind& kind) {
  return std::holds_alternative<Ppo>(kind) || std::holds_alternative<A2c>(kind);
}

std::vector<std::int64_t> epoch_order(const ScoreLearner& s, std::int64_t steps, std::uint64_t seed,
                                      std::int64_t update, int epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(steps));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (s.epochs == 1 && s.minibatches == 1) return order;
  for (std::int64_t i = steps - 1; i > 0; --i) {  // Fisher, Yates
    Draws draws(seed, EpisodeSet::training, update, Stream::minibatches, epoch, i);
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(draws.below(i + 1))]);
  }
  return order;
}

}  // namespace cra::agents
