// agents/params.h: what a scenario says of the agent, its training and its evaluation. Part of
// agents/agents.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/base.h"
#include "sim/sim.h"

namespace cra::agents {

/// Logits z ~ Normal(mu, sigma^2), shares softmax(z); mu = log(base weight) + 3 head(h). With a
/// reserve, one logit more: the log-odds of the share kept back, from the mean embedding.
struct LogisticNormal {
  static constexpr const char* name = "logistic_normal";
  double log_sigma = -1.2;
};
template <class V>
void fields(V& v, LogisticNormal& k) {
  v("log_sigma", k.log_sigma, Range{-4, 0}, "1",
    "log of the exploration noise on logits at the start; learned");
}
/// Shares ~ Dirichlet(alpha), alpha = least + kappa softmax(mean logits); one component more for a
/// reserve. One scale for all the noise, drawn towards equal shares by `least`, and spiky where
/// kappa times a share falls below 1: prefer the logistic-normal for many nodes.
struct Dirichlet {
  static constexpr const char* name = "dirichlet";
  double least = 0.3;
  double concentration = 30;
};
template <class V>
void fields(V& v, Dirichlet& k) {
  v("least", k.least, above(0, 10), "1", "smallest alpha of a node");
  v("concentration", k.concentration, above(0, 1000), "1",
    "kappa per node at the start; learned, at most 2981 for all nodes together");
}
using PolicyKind = std::variant<LogisticNormal, Dirichlet>;

enum class Schedule { constant, cosine };
/// Which parameters a training returns: those that cost least on the validation episodes, or the
/// last ones.
enum class Keep { best, last };

/// Score-function gradient (Williams 1992), baseline = mean return of the replicas that share an
/// exogenous episode (input-dependent baseline, Mao et al., ICLR 2019).
struct Reinforce {
  static constexpr const char* name = "reinforce";
  double learning_rate = 2e-3;
  double discount = 0.93;
  double entropy = 1e-3;
  double clip_norm = 0.5;
};
template <class V>
void fields(V& v, Reinforce& k) {
  v("learning_rate", k.learning_rate, above(0, 1), "1", "step of Adam after warm-up");
  v("discount", k.discount, Range{0, 1}, "1", "discount of the return-to-go, per slot");
  v("entropy", k.entropy, Range{0, 10}, "1", "weight of the entropy bonus");
  v("clip_norm", k.clip_norm, above(0, 1e9), "1", "the gradient is scaled down to this norm");
}
/// Analytic policy gradient: the mean cost of whole episodes, differentiated through plant,
/// features, base and network by one reverse sweep. Exogenous input makes it exact (Che, Dong,
/// Namkoong 2024). No exploration noise and no replicas; as little variance as the episodes allow.
struct Pathwise {
  static constexpr const char* name = "apg";
  double learning_rate = 3e-3;
  double clip_norm = 0.1;
};
template <class V>
void fields(V& v, Pathwise& k) {
  v("learning_rate", k.learning_rate, above(0, 1), "1", "step of Adam after warm-up");
  v("clip_norm", k.clip_norm, above(0, 1e9), "1", "the gradient is scaled down to this norm");
}
/// Proximal policy optimisation (Schulman et al. 2017) with the baseline of `reinforce` alone: no
/// critic.
struct GroupPpo {
  static constexpr const char* name = "group_ppo";
  double learning_rate = 2.5e-3;
  double discount = 0.93;
  double ratio_clip = 0.2;
  double kl_stop = 0.05;
  int epochs = 1;  // traffic, 40 updates of 6 x 8: cost .443, with 3 passes .532
  int minibatches = 3;
  double entropy = 0;
  double clip_norm = 0.5;
};
template <class V>
void proximal_fields(V& v, GroupPpo& k) {
  v("learning_rate", k.learning_rate, above(0, 1), "1",
    "step of Adam after warm-up; times sqrt(12 / N) for more than 50 nodes, whose "
    "log-probabilities "
    "add up");
  v("discount", k.discount, Range{0, 1}, "1", "discount of the return-to-go, per slot");
  v("ratio_clip", k.ratio_clip, above(0, 10), "1",
    "a probability ratio further than this from 1 earns nothing more");
  v("kl_stop", k.kl_stop, above(0, 1e9), "1",
    "divergence from the policy that explored at which the epochs of an update end");
  v("epochs", k.epochs, Range{1, 1000}, "",
    "passes over the episodes of an update; more than 1 fit the noise of few episodes");
  v("minibatches", k.minibatches, Range{1, 1000}, "", "steps of Adam in a pass");
  v("entropy", k.entropy, Range{0, 10}, "1", "weight of the entropy bonus");
  v("clip_norm", k.clip_norm, above(0, 1e9), "1", "the gradient is scaled down to this norm");
}
template <class V>
void fields(V& v, GroupPpo& k) {
  proximal_fields(v, k);
}
/// A value head on the mean embedding predicts the return-to-go, in units of its running deviation.
/// Advantages are compared with those of the other replicas, as in `reinforce`: the critic has to
/// tell replicas apart, not to predict the input that they share.
struct Critic {
  double trace = 0.97;  // burst_reserve, 100 updates: cost .245, with .9 .335
  double value_weight = 0.5;
};
template <class V>
void critic_fields(V& v, Critic& k) {
  v("trace", k.trace, Range{0, 1}, "1",
    "lambda of generalised advantage estimation (Schulman et al. 2016)");
  v("value_weight", k.value_weight, above(0, 1e6), "1",
    "weight of the squared error of the critic, which shares the encoder");
}
/// Proximal policy optimisation with a critic.
struct Ppo {
  static constexpr const char* name = "ppo";
  GroupPpo proximal;
  Critic critic;
};
template <class V>
void fields(V& v, Ppo& k) {
  proximal_fields(v, k.proximal);
  critic_fields(v, k.critic);
}
/// Advantage actor-critic (Mnih et al. 2016), in step: one step of Adam per update.
struct A2c {
  static constexpr const char* name = "a2c";
  Reinforce score{1e-3, 0.93, 1e-3, 0.5};
  Critic critic;
};
template <class V>
void fields(V& v, A2c& k) {
  fields(v, k.score);
  critic_fields(v, k.critic);
}
/// Evolution strategy over the knobs of the base heuristic, no network: what tuning alone buys. All
/// candidates of an update meet the same episodes; the better half moves mean and spread
/// ((mu / mu_w, lambda) with a spread of its own for every knob).
struct Evolution {
  static constexpr const char* name = "es";
  int population = 16;
  double spread = 1;
  double smoothing = 0.3;
};
template <class V>
void fields(V& v, Evolution& k) {
  v("population", k.population, Range{4, 10000}, "", "candidates in an update");
  v("spread", k.spread, above(0, 100), "1",
    "standard deviation of a knob at the start, in steps of its grid");
  v("smoothing", k.smoothing, above(0, 1), "1",
    "weight of an update's own spread in the running one");
}
using LearnerKind = std::variant<Pathwise, Reinforce, GroupPpo, Ppo, A2c,
                                 Evolution>;  // <- the registration; the first is the default

struct Agent {
  PolicyKind policy;
  bool resource_heads = false;
  std::string base = "uniform";
  double base_floor = 0.02;
  LearnerKind learner;
};
template <class V>
void fields(V& v, Agent& a) {
  v("policy", a.policy, "distribution over allocations");
  v("resource_heads", a.resource_heads,
    "decide on the simplex of every resource by itself, not on one for all: for pools with "
    "`action: per_resource` and `logistic_normal`. Starts as one for all, which is enough unless "
    "budget is better left unused; `es` has no network, and no heads");
  v("base", a.base,
    "rule whose logits the network adds to, where learning starts: a baseline's name, or `best` "
    "for the best tuned one whose weights move smoothly. Equal shares leave `apg` most room: a "
    "sharp rule is hard to correct. Learners that explore start better from a good rule; `es` "
    "needs one");
  v("base_floor", a.base_floor, Range{0, 1}, "1",
    "weights of the base are raised to this share of the largest, so that learning can reach nodes "
    "that the heuristic gives nothing; 0 starts exactly at the heuristic");
  v("learner", a.learner, "how the policy improves");
}

struct Training {
  int updates = 300;
  int episodes = 32;
  int replicas = 8;
  int warmup_updates = 10;
  Schedule schedule = Schedule::cosine;
  int warmup_episodes = 32;
  int checkpoint_every = 25;
  int seeds = 1;
  int validate_every = 10;
  int validation_episodes = 64;
  Keep keep = Keep::best;
  int patience = 0;
};
template <class V>
void fields(V& v, Training& t) {
  v("updates", t.updates, Range{0, 100000000}, "", "gradient steps");
  v("episodes", t.episodes, Range{1, 100000}, "", "different exogenous episodes in an update");
  v("replicas", t.replicas, Range{2, 1024}, "",
    "environments that share an exogenous episode, for learners that explore; `apg` and `es` need "
    "none");
  v("warmup_updates", t.warmup_updates, Range{0, 1000000}, "",
    "updates over which the learning rate rises");
  v("schedule", t.schedule, "learning rate after warm-up; `cosine` falls to 5 %");
  v("warmup_episodes", t.warmup_episodes, Range{1, 100000}, "",
    "episodes that fix the feature normalisation");
  v("checkpoint_every", t.checkpoint_every, Range{1, 1000000}, "updates",
    "updates between checkpoints");
  v("seeds", t.seeds, Range{1, 1000}, "",
    "independent trainings, each with weights, exploration and episodes of its own; the table "
    "shows "
    "their mean, and the best of them on the validation episodes is stored");
  v("validate_every", t.validate_every, Range{1, 1000000}, "updates",
    "updates between evaluations on the validation episodes");
  v("validation_episodes", t.validation_episodes, Range{1, 1000000}, "",
    "episodes that decide which parameters are kept; used for nothing else");
  v("keep", t.keep,
    "what a training returns: the parameters that were `best` on the validation episodes, those "
    "before the first update among them, or the `last` ones");
  v("patience", t.patience, Range{0, 1000000}, "",
    "validations in a row without improvement after which a training stops; 0 = never");
}

struct Evaluation {
  std::int64_t episodes = 256;
  std::int64_t tuning_episodes = 64;
  std::vector<std::string> baselines;
  bool planners = false;
  int resamples = 10000;
  bool bound = true;
  std::int64_t explained_episodes = 8;
  std::int64_t explained_every = 20;
};
template <class V>
void fields(V& v, Evaluation& e) {
  v("episodes", e.episodes, Range{2, 1000000}, "", "frozen test episodes");
  v("tuning_episodes", e.tuning_episodes, Range{1, 1000000}, "",
    "training episodes on which knobs are tuned");
  v("baselines", e.baselines,
    "heuristics and experts to compare with; empty = all that fit the pool, without planners");
  v("planners", e.planners,
    "compare with `mpc` and `mpc_oracle` as well, which plan ahead in every slot and are slow");
  v("resamples", e.resamples, Range{100, 10000000}, "", "bootstrap resamples behind each interval");
  v("bound", e.bound, "compute the certified clairvoyant bound");
  v("explained_episodes", e.explained_episodes, Range{0, 1000000}, "",
    "first test episodes in which the learned policy's attention is compared with the marginal "
    "value of allocation, where there are at most 256 nodes; 0 = none");
  v("explained_every", e.explained_every, Range{1, 1000000}, "slots",
    "distance of the slots that are compared; each takes two runs of the rest of the episode per "
    "node");
}

struct Params {
  Agent agent;
  Training training;
  Evaluation evaluation;
};
template <class V>
void fields(V& v, Params& p) {
  v("agent", p.agent, "the policy that learns");
  v("training", p.training, "how long and on what it learns");
  v("evaluation", p.evaluation, "what it is compared with, and on how many episodes");
}

/// What is wrong with a set of parameters that no single key's range can tell.
std::vector<Problem> check(const Params& p, const sim::Params& pool);

}  // namespace cra::agents

template <>
struct cra::Choices<cra::agents::Schedule> {
  static constexpr std::array<const char*, 2> names{"constant", "cosine"};
};
template <>
struct cra::Choices<cra::agents::Keep> {
  static constexpr std::array<const char*, 2> names{"best", "last"};
};
