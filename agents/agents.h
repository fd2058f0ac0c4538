// agents/agents.h: who decides. Heuristics with tuned knobs, the learned attention policy, the
// learner that improves it, and the evaluation that compares them on the same frozen episodes.
//
// A Policy is constant and may be shared by threads; an Actor is a policy with the scratch space
// of one tile of environments. A policy sees a sim::Batch, which holds nothing of the future.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "attention/attention.h"
#include "sim/base.h"
#include "sim/rng.h"
#include "sim/sim.h"

namespace cra::agents {

// ---- parameters ------------------------------------------------------------------------

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
using PolicyKind = std::variant<LogisticNormal>;

enum class Schedule { constant, cosine };

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
  double learning_rate = 4e-3;
  double clip_norm = 1;
};
template <class V>
void fields(V& v, Pathwise& k) {
  v("learning_rate", k.learning_rate, above(0, 1), "1", "step of Adam after warm-up");
  v("clip_norm", k.clip_norm, above(0, 1e9), "1", "the gradient is scaled down to this norm");
}
using LearnerKind =
    std::variant<Pathwise, Reinforce>;  // <- the registration; the first is the default

struct Agent {
  PolicyKind policy;
  std::string base = "best";
  double base_floor = 0.02;
  LearnerKind learner;
};
template <class V>
void fields(V& v, Agent& a) {
  v("policy", a.policy, "distribution over allocations");
  v("base", a.base,
    "heuristic the policy starts from: a baseline's name, or `best` for the best tuned one whose "
    "weights move smoothly; a strict order is hard to correct from");
  v("base_floor", a.base_floor, Range{0, 1}, "1",
    "weights of the base are raised to this share of the largest, so that learning can reach nodes "
    "the "
    "heuristic gives nothing; 0 starts exactly at the heuristic");
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
};
template <class V>
void fields(V& v, Training& t) {
  v("updates", t.updates, Range{0, 100000000}, "", "gradient steps");
  v("episodes", t.episodes, Range{1, 100000}, "", "different exogenous episodes in an update");
  v("replicas", t.replicas, Range{2, 1024}, "",
    "environments that share an exogenous episode, for `reinforce`; `apg` needs none");
  v("warmup_updates", t.warmup_updates, Range{0, 1000000}, "",
    "updates over which the learning rate rises");
  v("schedule", t.schedule, "learning rate after warm-up; `cosine` falls to 5 %");
  v("warmup_episodes", t.warmup_episodes, Range{1, 100000}, "",
    "episodes that fix the feature normalisation");
  v("checkpoint_every", t.checkpoint_every, Range{1, 1000000}, "updates",
    "updates between checkpoints");
}

struct Evaluation {
  std::int64_t episodes = 256;
  std::int64_t tuning_episodes = 64;
  std::vector<std::string> baselines;
  bool planners = false;
  int resamples = 10000;
  bool bound = true;
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

// ---- policies --------------------------------------------------------------------------

/// A policy with the scratch space of one tile.
class Actor {
 public:
  virtual ~Actor() = default;
  /// What to do in the coming slot. \param bundles [E, sim::bundle_size()] as sim::expand takes
  /// them
  virtual void act(const sim::Batch& b, View<double> bundles) = 0;
  /// Reverse of act(): adds to `a` the gradient by the state the batch is in.
  /// \param d_log_weights  [E, N] gradient of a loss by the logarithm of every weight
  virtual void pull(const sim::Batch& b, View<const double> d_log_weights, sim::Adjoint& a);
};

/// Something that allocates. Constant; shared by threads.
class Policy {
 public:
  virtual ~Policy() = default;
  /// An actor for up to `envs` environments.
  virtual std::unique_ptr<Actor> actor(std::int64_t envs) const = 0;
};

/// Decides with the future in hand, which no policy can: it tells what better forecasts would be
/// worth. Not a Policy, so that nothing can take it for one.
class Oracle {
 public:
  virtual ~Oracle() = default;
  /// An actor for up to `envs` environments. \param x  drives them; outlives the actor
  virtual std::unique_ptr<Actor> actor(const sim::Exogenous& x, std::int64_t envs) const = 0;
};

/// A number that a heuristic leaves open, and the values its tuner tries.
struct Knob {
  std::string name;
  std::vector<double> grid;                               ///< ascending
  double least = 0;                                       ///< below this the number has no meaning
  double most = std::numeric_limits<double>::infinity();  ///< nor above this
};

/// A heuristic by name with values for its knobs.
struct Rule {
  std::string name;
  std::vector<double> knobs;
};

/// What a baseline knows. A heuristic knows what every policy sees; an expert was written for one
/// kind of scenario; a planner runs the simulator ahead on a forecast in every slot; an oracle does
/// so on the arrivals that will come.
enum class Kind { heuristic, expert, planner, oracle };
/// The word for it in tables and results.
const char* kind_name(Kind kind);

/// Names of all baselines, in the order in which they are listed in results.
std::vector<std::string> baseline_names();
/// Those that have something to say about this pool: rules that read queues are left out where
/// there are progress nodes, experts where what they know does not hold.
std::vector<std::string> baselines_for(const sim::Params& p);
/// Why a baseline has nothing to say about a pool, as the end of a sentence, "reads queues, but
/// ..."; empty when it has. \throws Error on an unknown name
std::string baseline_misfit(const std::string& name, const sim::Params& p);
/// \throws Error on an unknown name
Kind baseline_kind(const std::string& name);
/// Why no policy can learn on top of a baseline, as the end of a sentence; empty when one can.
/// \throws Error on an unknown name
std::string unlearnable(const std::string& name);
/// Whether `agent.base: best` may choose a baseline: a heuristic whose weights move smoothly.
/// Strict orders give most nodes nothing: a bounded change of the logits hardly moves them, and
/// their weights jump, so that the gradient through them says little.
bool starts_learning(const std::string& name);
/// One line on what a heuristic does. \throws Error on an unknown name
std::string baseline_doc(const std::string& name);
/// Knobs of a baseline in a pool, with their grids; after its own the share of its weight that a
/// node keeps while it is down, where nodes fail, and last the share of a reserve if there is one,
/// which planners decide in every slot. \throws Error on an unknown name
std::vector<Knob> baseline_knobs(const std::string& name, const sim::Params& p);
/// \param p  outlives the policy, resolved  \throws Error on an unknown name or knob count, and for
/// an oracle
std::unique_ptr<Policy> make_baseline(const Rule& rule, const sim::Params& p);
/// The same for baselines of Kind::oracle, and only for them.
std::unique_ptr<Oracle> make_oracle(const Rule& rule, const sim::Params& p);

/// Search of one heuristic's knobs over their grid: every combination when there are at most 600; a
/// cyclic coordinate search from three corners of the grid when there are more.
struct Tuning {
  Rule rule;                               ///< the choice
  std::vector<Knob> knobs;                 ///< what was searched
  std::vector<std::vector<double>> tried;  ///< [C][knobs]
  std::vector<double> cost;                ///< [C] mean cost per slot on the tuning episodes
  double best_cost = 0;

  /// Knobs whose choice is the first or last of its grid though the number could go on, and where
  /// the step to the edge lowered the cost by more than 0.1 %: a wider grid may do better.
  std::vector<std::string> on_edge() const;
};
/// \param x  tuning episodes  \param p outlives nothing; resolved
Tuning tune(const std::string& baseline, const sim::Params& p, const sim::Exogenous& x);

/// Everything that makes a learned policy: saved in results, loaded by `--policy`.
struct Network {
  attention::Shape shape;
  Rule base;                          ///< heuristic below the residual
  double base_floor = 0;              ///< least weight of the base, as a share of its largest
  std::vector<std::string> features;  ///< names of the F features, in order
  std::vector<double> feature_mean;   ///< [F] normalisation, frozen after warm-up
  std::vector<double> feature_scale;  ///< [F] 1 / standard deviation
  std::vector<float> theta;           ///< [P] encoder | head [d] | reserve head [d] | log_sigma
};
/// Tensors of theta: those of the encoder, then "head.weight" [1, d], "reserve_head.weight" [1, d]
/// and "log_sigma" [1, 1].
std::vector<attention::Tensor> layout(const Network& n);

/// Makes the encoder on the device of the caller's choice.
using EngineFactory = std::function<std::unique_ptr<attention::Engine>(const attention::Shape&)>;

/// The deterministic policy of a network: softmax of the mean logits.
/// \param p  outlives the policy  \throws InputError when the network does not fit the pool's
/// features
std::unique_ptr<Policy> make_learned(Network n, const sim::Params& p, const EngineFactory& engine);

// ---- evaluation ------------------------------------------------------------------------

/// What one policy achieved on I episodes: means over the slots of each.
struct Outcome {
  std::vector<double> cost;            ///< [I]
  std::vector<double> error_cost;      ///< [I]
  std::vector<double> switching_cost;  ///< [I]
  std::vector<double> fairness_cost;   ///< [I]
  std::vector<double> use_cost;        ///< [I]
  std::vector<double> score;           ///< [I]
  std::vector<double> served;          ///< [I] work done [wu/slot]
  std::vector<double> lost;            ///< [I] work abandoned [wu/slot]
};
Outcome evaluate(const Policy& policy, const sim::Params& p, const sim::Exogenous& x);
Outcome evaluate(const Oracle& oracle, const sim::Params& p, const sim::Exogenous& x);

/// Every slot of one policy on the first `episodes` episodes of x. Arrays [I, T, N] or [I, T].
struct Trajectory {
  std::int64_t episodes = 0;
  int slots = 0, nodes = 0;
  std::vector<double> proportion;           ///< [I, T, N] shares of the placed budget, sum 1
  std::vector<double> resource_proportion;  ///< [I, T, K, N] of each resource, sum 1; empty unless
                                            ///< the pool's action is per resource
  std::vector<double> reserve;              ///< [I, T] share of the budget kept back
  std::vector<double> grant;                ///< [I, T, N] commanded rate after water-filling
  std::vector<double> rate;                 ///< [I, T, N] placed rate after lag
  std::vector<double> served;               ///< [I, T, N] work done by the placed rate
  std::vector<double> dispatched;           ///< [I, T, N] work done by the reserve
  std::vector<double> lost;                 ///< [I, T, N] work abandoned
  std::vector<double> backlog;              ///< [I, T, N] work waiting at the end of the slot
  std::vector<double> progress;        ///< [I, T, N] at the end of the slot; or empty, as in Batch
  std::vector<double> error;           ///< [I, T, N]
  std::vector<double> error_cost;      ///< [I, T]
  std::vector<double> switching_cost;  ///< [I, T]
  std::vector<double> fairness_cost;   ///< [I, T]
  std::vector<double> use_cost;        ///< [I, T]
  std::vector<double> cost;            ///< [I, T]
  std::vector<double> score;           ///< [I, T]
  std::vector<double> waste;           ///< [I, T] share of the budgets granted and of no use
};
Trajectory record(const Policy& policy, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes);
Trajectory record(const Oracle& oracle, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes);

// ---- the clairvoyant bound ---------------------------------------------------------------

/// What an allocator that knew each episode in advance could reach. No policy costs less than
/// `lower` in its episode: that is certified by multipliers, however well they were found.
struct Bound {
  std::vector<double> lower;  ///< [I] certified lower bound [cost per slot]
  /// [I] cost of the clairvoyant commands found, replayed in the simulator: somebody who knew the
  /// episode could have had it.
  std::vector<double> upper;
  /// [I] their cost in the plant of the clairvoyant problem, which sends a reserve freely and may
  /// leave budget unused; no policy need reach it.
  std::vector<double> relaxed;
  std::vector<std::int64_t> steps;                    ///< [I] Newton steps taken
  std::vector<double> solve_seconds, replay_seconds;  ///< [I] CPU time of the thread; no results
  std::string reason;  ///< not empty: there is no bound, and this is why
};
/// Parallel over episodes; the same bits for any number of threads. \param p resolved
Bound clairvoyant_bound(const sim::Params& p, const sim::Exogenous& x);

// ---- learning --------------------------------------------------------------------------

/// One line of the training log.
struct UpdateStats {
  std::int64_t update = 0;     ///< number of updates done
  std::int64_t env_steps = 0;  ///< environment slots simulated so far, replicas counted
  double cost = 0;             ///< mean cost per slot of the exploring policy in this update
  double score = 0;            ///< mean score, likewise
  double gradient_norm = 0;    ///< before clipping
  double learning_rate = 0;
  double entropy = 0;  ///< of the logits
  double sigma = 0;    ///< exploration noise
};

/// All that a training run carries from one update to the next: the content of a checkpoint.
/// Random numbers are not in it, they are functions of (seed, update).
struct TrainState {
  std::vector<float> theta;           ///< [P]
  std::vector<float> adam_mean;       ///< [P]
  std::vector<float> adam_square;     ///< [P]
  std::vector<double> feature_mean;   ///< [F]
  std::vector<double> feature_scale;  ///< [F]
  std::int64_t updates = 0;
  std::int64_t env_steps = 0;
  std::vector<std::int64_t> log_env_steps;  ///< [updates]
  std::vector<double> log_cost;             ///< [updates], and so on as in UpdateStats
  std::vector<double> log_score;
  std::vector<double> log_gradient_norm;
  std::vector<double> log_learning_rate;
  std::vector<double> log_entropy;
  std::vector<double> log_sigma;
};
/// The one list of a checkpoint's fields: writer, reader and the tests walk it.
template <class V>
void fields(V& v, TrainState& s) {
  v("theta", s.theta);
  v("adam_mean", s.adam_mean);
  v("adam_square", s.adam_square);
  v("feature_mean", s.feature_mean);
  v("feature_scale", s.feature_scale);
  v("updates", s.updates);
  v("env_steps", s.env_steps);
  v("log_env_steps", s.log_env_steps);
  v("log_cost", s.log_cost);
  v("log_score", s.log_score);
  v("log_gradient_norm", s.log_gradient_norm);
  v("log_learning_rate", s.log_learning_rate);
  v("log_entropy", s.log_entropy);
  v("log_sigma", s.log_sigma);
}

/// Trains the residual policy. Bits depend on (params, seed) only, not on threads, and not on
/// where a run was stopped and resumed.
class Trainer {
 public:
  /// \param pool  outlives the trainer, resolved
  /// \param base  heuristic that the policy starts from, knobs included
  Trainer(const Params& params, const attention::Params& attention, const sim::Params& pool,
          std::uint64_t seed, Rule base, const EngineFactory& engine);
  ~Trainer();

  /// Fixes the feature statistics and draws the first weights. Once, for a fresh run.
  void start();
  /// Goes on from a checkpoint. \throws InputError when its sizes are not those of this run
  void resume(TrainState state);
  /// One update: draw, roll out, learn. \throws DivergedError when a number stops being finite;
  /// the state is then still that of before the update.
  UpdateStats update();
  bool finished() const;

  const TrainState& state() const;
  /// The policy as it stands.
  Network network() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cra::agents

template <>
struct cra::Choices<cra::agents::Schedule> {
  static constexpr std::array<const char*, 2> names{"constant", "cosine"};
};
