// agents/agents.h: who decides. Heuristics with tuned knobs, the learned attention policy, the
// learner that improves it, and the evaluation that compares them on the same frozen episodes.
//
// A Policy is constant and may be shared by threads; an Actor is a policy with the scratch space
// of one tile of environments. A policy sees a sim::Batch, which holds nothing of the future.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agents/encoder_step.h"
#include "agents/params.h"
#include "agents/stages.h"
#include "attention/attention.h"
#include "sim/base.h"
#include "sim/rng.h"
#include "sim/sim.h"

namespace cra::agents {

// ---- policies --------------------------------------------------------------------------

/// A policy with the scratch space of one tile.
class Actor {
 public:
  virtual ~Actor() = default;
  /// Numbers in what it says of one environment: a bundle, perhaps a tilted one.
  virtual int size(const sim::Params& p) const { return sim::bundle_size(p); }
  /// What to do in the coming slot. \param bundles [E, size()] as sim::expand takes them
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
  /// As attention::Engine::wanted_batch().
  virtual std::int64_t wanted_batch() const { return 0; }
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
  PolicyKind policy;                  ///< distribution over decisions
  Rule base;                          ///< heuristic below the residual
  double base_floor = 0;              ///< least weight of the base, as a share of its largest
  std::vector<std::string> features;  ///< names of the F features, in order
  std::vector<double> feature_mean;   ///< [F] normalisation, frozen after warm-up
  std::vector<double> feature_scale;  ///< [F] 1 / standard deviation
  int resource_heads = 0;             ///< K, or 0: it decides on all resources at once
  /// [P] encoder | head [d] | reserve head [d] | resource heads [K, d] | log spread
  std::vector<float> theta;
};
/// Residual of the network on the logits: mu_n = log(base weight_n) + kHeadGain * head . h_n, and
/// of resource k that plus kHeadGain * resource head_k . h_n. Only the residual is kept, and
/// multiplies the base: a residual of 0 is the base to the bit.
inline constexpr double kHeadGain = 3;
/// Normalised features are cut to [-5, 8]: queues are heavy-tailed upwards.
inline constexpr double kFeatureLow = -5, kFeatureHigh = 8;
/// Share of the reserve that a residual starts from when the base heuristic keeps nothing back.
inline constexpr double kReserveFloor = 0.02;
/// What the pool takes for 0, as a share of the largest weight, see sim::proportions.
inline constexpr double kLeastFloor = 1e-9;

/// Tensors of theta: those of the encoder, then "head.weight" [1, d], "reserve_head.weight" [1, d],
/// where there are resource heads "resource_head.weight" [K, d], and "log_sigma" or "log_kappa"
/// [1, 1].
std::vector<attention::Tensor> layout(const Network& n);

/// Name of the tensor that only networks with resource heads have.
inline constexpr const char* kResourceHeads = "resource_head.weight";

/// Makes the encoder on the device of the caller's choice.
using EngineFactory = std::function<std::unique_ptr<attention::Engine>(const attention::Shape&)>;

/// A network trained in a pool of `from` nodes as it decides in one of `to` nodes. Marginal gains
/// are per share of the budget, of which a node's fair part is 1 / N: what divides them, or is
/// added to them, grows with N. All other features are per node already. \param from, to  >= 1
Network resized(Network n, int from, int to);

/// Why a network cannot decide in a pool, as the end of a sentence, "it reads the features ...";
/// empty when it can. Pools may differ from the one it was trained in by their number of nodes.
std::string network_misfit(const Network& n, const sim::Params& p);

/// The deterministic policy of a network: softmax of the mean logits.
/// \param p  outlives the policy  \throws InputError when the network does not fit the pool, see
/// network_misfit(), or its sizes are wrong
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
  std::vector<float> observation;      ///< [I, T, N, F] as sim::observe() tells before the slot
  std::vector<float> observation_end;  ///< [I, N, F] the same after the last slot
};
/// \param observations  whether to fill `observation` and `observation_end`
Trajectory record(const Policy& policy, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes, bool observations = false);
Trajectory record(const Oracle& oracle, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes, bool observations = false);

// ---- explaining -------------------------------------------------------------------------

/// Where the attention of a learned policy went, beside where it paid. Arrays [I, S] or [I, S, N].
struct Explanation {
  std::int64_t episodes = 0;           ///< I, the first of the test episodes
  int nodes = 0;                       ///< N
  int heads = 0;                       ///< H
  std::vector<std::int64_t> slot;      ///< [S] explained slots
  std::vector<double> received;        ///< [I, S, N] see attention::Engine::received; sums to 1
  std::vector<double> entropy;         ///< [I, S] of `received` [nat]
  std::vector<double> marginal_value;  ///< [I, S, N] of a share of the budget, see explain()
  std::vector<double> allocation;      ///< [I, S, N] share of the placed budget, sums to 1
  std::vector<double> base;            ///< [I, S, N] the same of the base heuristic
  std::vector<double> backlog;         ///< [I, S, N] before the slot [wu]
  /// [I, S] mean over heads and lookers of the entropy of a looker's weights [nat]
  std::vector<double> looker_entropy;
  std::vector<double> map;    ///< [H, N, N] looker, looked at; of episode 0 in map_slot
  std::int64_t map_slot = 0;  ///< the middle one of `slot`
};
/// Most nodes of a pool that is explained: the work grows with their square, and beyond these it
/// would be more than that of training.
inline constexpr int kMostExplained = 256;

/// Whether attention has a say in what a network decides: there is some, and the heads that read
/// the embeddings are not all 0, as they are before the first update and after evolution of the
/// base.
bool attends(const Network& n);

/// Slots that are explained: every `every`-th, from the middle of the first such stretch on.
std::vector<std::int64_t> explained_slots(int slots, std::int64_t every);

/// Runs the deterministic policy of a network on the first episodes of x and looks at some slots.
/// The marginal value of allocation at a node is the fall of the cost of that and all later slots,
/// summed, per share of the budget that the node gets more in that slot while the others keep
/// theirs in proportion and later decisions stay as they are: difference quotients of the simulator
/// itself, see marginal_values(). Costs (2 N + 1) (T - t) slots of one environment for every
/// explained slot. The same bits for any number of threads. \param n  attends()  \param every
/// slots, >= 1  \throws Error  when there are fewer episodes
Explanation explain(const Network& n, const sim::Params& p, const sim::Exogenous& x,
                    std::int64_t episodes, std::int64_t every, const EngineFactory& engine);

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
  double entropy = 0;  ///< of what exploration draws
  double sigma = 0;    ///< exploration noise: of logits, of shares, or of knobs
  /// Mean cost per slot on the validation episodes, after the updates that are followed by one.
  std::optional<double> validation_cost;
};

/// All that a training run carries from one update to the next: the content of a checkpoint.
/// Random numbers are not in it, they are functions of (seed, update).
struct TrainState {
  std::vector<float> theta;           ///< [P], with a critic [P + d + 1]: its value head comes last
  std::vector<float> adam_mean;       ///< as theta
  std::vector<float> adam_square;     ///< as theta
  std::int64_t adam_steps = 0;        ///< taken; an update may take several
  std::vector<double> feature_mean;   ///< [F]
  std::vector<double> feature_scale;  ///< [F]
  std::int64_t updates = 0;
  std::int64_t env_steps = 0;
  /// Count, mean and sum of squared deviations of the returns a critic has met.
  std::vector<double> returns;              ///< [3]
  std::vector<double> knob_place;           ///< [K] where on its grid each knob of the base is
  std::vector<double> knob_spread;          ///< [K] of `es`, in grid steps; 0 for other learners
  std::vector<float> best_theta;            ///< as theta: of the lowest validation cost so far
  std::vector<double> best_knob_place;      ///< [K] likewise
  std::vector<double> validation_cost;      ///< by validation_updates()
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
  v("adam_steps", s.adam_steps);
  v("feature_mean", s.feature_mean);
  v("feature_scale", s.feature_scale);
  v("updates", s.updates);
  v("env_steps", s.env_steps);
  v("returns", s.returns);
  v("knob_place", s.knob_place);
  v("knob_spread", s.knob_spread);
  v("best_theta", s.best_theta);
  v("best_knob_place", s.best_knob_place);
  v("validation_cost", s.validation_cost);
  v("log_env_steps", s.log_env_steps);
  v("log_cost", s.log_cost);
  v("log_score", s.log_score);
  v("log_gradient_norm", s.log_gradient_norm);
  v("log_learning_rate", s.log_learning_rate);
  v("log_entropy", s.log_entropy);
  v("log_sigma", s.log_sigma);
}

/// Numbers of updates after which a training that has done `updates` has met the validation
/// episodes: before the first, every `validate_every`, and after the last.
std::vector<std::int64_t> validation_updates(const Training& t, std::int64_t updates);
/// Updates behind the parameters that a training returns: of equal validation costs the earliest.
std::int64_t kept_update(const Training& t, const TrainState& s);
/// Their cost on the validation episodes, the last one measured for Keep::last.
double kept_cost(const Training& t, const TrainState& s);

/// Trains the residual policy. Bits depend on (params, seed) only, not on threads, and not on
/// where a run was stopped and resumed.
class Trainer {
 public:
  /// \param pool  outlives the trainer, resolved
  /// \param base   heuristic that the policy starts from, knobs included
  /// \param index  number of the training, from 0: trainings of one seed share the validation
  ///               episodes and the feature statistics, and no other random number
  Trainer(const Params& params, const attention::Params& attention, const sim::Params& pool,
          std::uint64_t seed, Rule base, const EngineFactory& engine, int index = 0);
  ~Trainer();

  /// Fixes the feature statistics, draws the first weights and validates them. Once, for a fresh
  /// run.
  void start();
  /// Goes on from a checkpoint. \throws InputError when its sizes are not those of this run
  void resume(TrainState state);
  /// One update: draw, roll out, learn. \throws DivergedError when a number stops being finite;
  /// the state is then still that of before the update.
  UpdateStats update();
  /// All updates are done, or patience is at an end.
  bool finished() const;

  const TrainState& state() const;
  /// Of all calls of update() by this trainer: of a stage that runs in parallel the mean over
  /// threads. Learners other than `apg` have only `draw` and `optimiser` told apart.
  const StageSeconds& seconds() const;
  /// The policy that the training returns, see Training::keep.
  Network network() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cra::agents
