// sim/sim.h: the pool of nodes, the work that arrives, and what one slot does to them.
//
// Constant part and changing part are two types: Params never changes after load, Batch is all
// that changes. Exogenous is the randomness of a batch of episodes, drawn up front and never
// dependent on an action (input-driven MDP, Mao et al., ICLR 2019).
//
// Units: work in [wu], rates in [wu] per slot, resource in [ru]; errors, weights, shares have none.
// Arrays are structure-of-arrays; the shape stands beside every array. Letters: e environment,
// n node, f feature, t slot; E, N, F, T their numbers; I the number of drawn episodes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sim/base.h"
#include "sim/formulas.h"
#include "sim/params.h"
#include "sim/rng.h"

namespace cra::sim {

/// Fills every NodeValues and checks what no single key can: list lengths, group names and counts,
/// budget <= sum of capacity * need, trace shapes. Call once after load (and after trace data has
/// been read). \returns what is wrong, empty when all is well
std::vector<Problem> resolve(Params& p, std::uint64_t seed);

/// The largest convex, non-increasing function below all points (x, error): the lower convex hull
/// up to its lowest point (monotone chain, Andrew 1979), flat beyond it. \param x  [M] in any order
/// \throws Error  when there is no point or the sizes differ
Curve convex_envelope(const std::vector<double>& x, const std::vector<double>& error);

/// Mean work that arrives at each node in a slot, as far as the parts are steady: constant and
/// poisson rates, frames and training means of traces; bursts are not in it. [N], [wu/slot]
std::vector<double> base_rate(const Params& p);

/// Long-run mean of the work that arrives at each node in a slot, everything included; of traces,
/// that of the training part. [N], [wu/slot]
std::vector<double> mean_rate(const Params& p);

// ---- exogenous input -------------------------------------------------------------------

/// All randomness of I episodes of T slots.
struct Exogenous {
  std::int64_t episodes = 0;  ///< I
  int slots = 0;              ///< T
  int nodes = 0;              ///< N
  /// All nodes are up and importance is the same in all slots of an episode, so that nobody need
  /// look it up. Who changes one of them in episodes that were drawn must say so here.
  bool steady = false;
  std::vector<double> arrivals;  ///< [I, T, N] work that arrives during the slot, >= 0 [wu]
  /// [I, T, N] the same without workload.noise; empty unless observation.noiseless [wu]
  std::vector<double> mean_arrivals;
  std::vector<double> availability;  ///< [I, T, N] share of the capacity that is up, in [0, 1]
  std::vector<double> importance;    ///< [I, T, N] weight of the error, >= 0
  std::vector<double> health;        ///< [I, T, N] noisy sign of wear; empty without failures
  std::vector<double> window;        ///< [I, T, N] slots to the next window; empty without windows

  std::vector<double> keep;  ///< [I, T, N] progress that survives; empty without progress
  /// [I, T, N] arrivals of slots before that are not due in this one; empty without deadlines [wu]
  std::vector<double> young;
  /// [I] mean error of the uniform policy, at least 0.001; empty unless the score is `reference`
  std::vector<double> reference_error;

  std::vector<double> ticket;      ///< [I, T] draw of the lottery, in (0, 1); empty without one
  std::vector<double> completion;  ///< [I, T] draw against completion, in (0, 1); likewise

  std::size_t at(std::int64_t i, int t) const {
    return static_cast<std::size_t>((i * slots + t) * nodes);
  }
};

/// Draws episodes first .. first + count - 1 of a family. "The first 24 of 256" equal "24".
/// \throws Error  when a trace has fewer evaluation windows than asked for, or is too short
Exogenous draw(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t first,
               std::int64_t count);

/// Largest share of any budget that a unit of work at node n takes [slot/wu].
double largest_share(const Params& p, int n);

/// Evaluation episodes that exist: the disjoint windows of the shortest trace's last part and of
/// the test lists of jobs, or 2^31 without traces and lists.
std::int64_t evaluation_limit(const Params& p);

// ---- state and dynamics ----------------------------------------------------------------

/// E environments in slot `slot`. Everything above the line is known before the slot begins, so
/// a policy may read it: there is no way to reach the future from here.
struct Batch {
  std::int64_t envs = 0;              ///< E
  int nodes = 0;                      ///< N
  int slot = 0;                       ///< t, next slot to simulate
  std::vector<double> base_rate;      ///< [N] steady mean arrivals, see base_rate() [wu/slot]
  std::vector<std::int64_t> episode;  ///< [E] row of the Exogenous that drives each environment
  std::vector<double> backlog;        ///< [E, N] q, work waiting [wu]
  std::vector<double> progress;       ///< [E, N] x, progress; empty without progress nodes [wu]
  std::vector<double> rate;           ///< [E, N] m, placed rate [wu/slot]
  std::vector<double> arrivals_fast;  ///< [E, N] EWMA of arrivals, weight 0.5 [wu/slot]
  std::vector<double> arrivals_slow;  ///< [E, N] EWMA of arrivals, weight 0.1 [wu/slot]
  std::vector<double> arrivals_last;  ///< [E, N] arrivals of the slot before [wu]
  /// [E, M, N] arrivals of the M = observation.memory slots before, the latest first [wu]
  std::vector<double> arrivals_before;
  std::vector<double> importance;    ///< [E, N] W of the slot to come (a calendar, known ahead)
  std::vector<double> error;         ///< [E, N] eps at the end of the slot before
  std::vector<double> availability;  ///< [E, N] as seen in the slot before, in [0, 1]
  std::vector<double> down_slots;    ///< [E, N] slots a node has been down for, 0 when up
  std::vector<double> health;        ///< [E, N] EWMA of the signal, weight 0.3; may be empty
  std::vector<double> window;        ///< [E, N] slots to the next window; may be empty
  std::vector<double>
      arrivals_now;  ///< [E, N] work that the slot to come brings; may be empty [wu]
  std::vector<double> available_now;  ///< [E, N] and who is up in it; empty unless both are shown
  std::vector<double> margin;         ///< [E, N] -d error / d service, times W, per budget share
  std::vector<double> margin_ahead;   ///< [E, N] the same with W of the kAhead coming slots
  /// [E, N] W of the kAhead coming slots, discounted, where a calendar is known ahead; else W
  std::vector<double> importance_ahead;
  /// [E, N] arrivals of earlier slots that are not due in the coming one; empty without deadlines
  std::vector<double> young;
  // ---- results of the last step; a policy has no business here before observing
  std::vector<double> grant;           ///< [E, N] s, commanded rate [wu/slot]
  std::vector<double> served;          ///< [E, N] work done by the placed rate, lent ones too [wu]
  std::vector<double> dispatched;      ///< [E, N] work done by the reserve [wu]
  std::vector<double> lost;            ///< [E, N] work abandoned [wu]
  std::vector<double> error_cost;      ///< [E] importance-weighted error, mean over nodes
  std::vector<double> switching_cost;  ///< [E] weighted movement, mean over nodes
  std::vector<double> fairness_cost;   ///< [E] weighted soft worst node
  std::vector<double> use_cost;        ///< [E] weighted use and concentration of the budget
  std::vector<double> cost;            ///< [E] sum of the cost terms
  std::vector<double> score;           ///< [E] importance-weighted performance score of the pool
  std::vector<double> waste;  ///< [E] granted and of no use: share of the budgets, mean over k

  std::size_t at(std::int64_t e) const { return static_cast<std::size_t>(e * nodes); }
};

/// Marginal gain of service looks this many slots ahead where the calendar is known, each slot
/// counting kAheadDecay times the one before.
inline constexpr int kAhead = 30;
inline constexpr double kAheadDecay = 0.85;

/// A fresh batch at slot 0: empty queues, the fair water-filled placement, averages at base_rate.
/// \param episode  [E] rows of `x`, one per environment; rows may repeat (replicas)
Batch reset(const Params& p, const Exogenous& x, std::vector<std::int64_t> episode);

/// `count` environments that stand where environment `env` of `b` does: what would come of
/// different decisions there. \throws Error  when `env` is not one of b's
Batch repeat(const Batch& b, std::int64_t env, std::int64_t count);

/// Numbers in one environment's decision, A: a weight for every node (for every resource and node
/// when the pool takes them per resource, [K, N]), then, when the pool has a reserve, the share of
/// the budget to keep back.
int decision_size(const Params& p);

/// Numbers in one environment's bundle: a weight for every node, then the share of a reserve. A
/// decision but in pools that take weights per resource.
int bundle_size(const Params& p);
/// Numbers in a tilted bundle, where the pool takes weights per resource: those of the bundle, then
/// a factor >= 0 for every resource and node, [K, N], by which a node is to have more of one
/// resource and less of another.
int tilted_size(const Params& p);
/// Whether `size` numbers are a bundle, tilted or not.
bool is_bundle(const Params& p, std::int64_t size);
/// Decisions that do what bundles ask for: per resource, p_kn in proportion to need_nk s_n, with s
/// the rates that the bundle would be granted, so that nobody is granted less; of a tilted bundle,
/// in proportion to need_nk s_n tilt_kn. Where all tilts are equal they change no bit.
/// \param bundles  [E, bundle_size() or tilted_size()] \param decisions  [E, A] written
void expand(const Params& p, View<const double> bundles, View<double> decisions);
/// step() with the decisions that bundles stand for. \returns these, [E, A]
std::vector<double> step_bundles(const Params& p, const Exogenous& x, Batch& b,
                                 View<const double> bundles);
/// Reverse of expand(). \param d_bundles  written, as large as the bundles
void expand_backward(const Params& p, View<const double> bundles, View<const double> d_decisions,
                     View<double> d_bundles);
/// Weights as the pool takes them, scaled to sum 1: at least 1e-9 of the largest; all zero means no
/// preference. \param share [n] on return
void proportions(const double* weights, int n, double* share);

/// Simulates one slot for every environment: commanded rates inside budget and caps, lag, service,
/// the reserve, abandonment, errors, cost; then what a policy may see next.
/// Model: sections 1.5 (water-fill), 1.6 (lag, reserve), 1.7 (queue), 1.8 (error), 1.10 (cost).
///
/// \param decisions  [E, A] weights of any positive scale, finite, >= 0, only ratios matter; the
///                   share of the reserve lies in [0, 1]
/// \throws Error     when the shape is wrong, a number is out of range (names env and node), or the
///                   batch is past the last slot of `x`
void step(const Params& p, const Exogenous& x, Batch& b, View<const double> decisions);

/// A backlog that counts as large at node n, whatever the error model: features and heuristics
/// divide by it. [wu]
double backlog_scale(const Params& p, int n);
/// Progress at which the fall of the error of node n is under way, likewise. [wu]
double progress_scale(const Params& p, int n);

/// Instruction set that step() uses here for plain pools of queues: base, avx2 or avx512. Results
/// do not depend on it.
const char* step_vectors();

// ---- what policies see -----------------------------------------------------------------

/// Names that `observation.hidden` may hold.
std::vector<std::string> hideable();

struct Adjoint;

/// What policies may see of a batch: its state of `observation.delay` slots ago, in which hidden
/// columns stay what they were before slot 0. Without either option that is the batch itself.
class Sight {
 public:
  /// \param p  outlives this
  explicit Sight(const Params& p) : options_(p.observation) {}

  /// To be called once before every slot, from slot 0 on. \returns what a policy may act on, valid
  /// until the next call and as long as `truth`
  const Batch& look(const Batch& truth);
  /// First and last slot that act on the state before slot t of T; first > last when none does.
  std::array<int, 2> acting_on(int t, int slots) const;
  /// Takes back what was added since `before` to the gradient by hidden columns: nobody saw them.
  void blind(const Adjoint& before, Adjoint& a) const;
  bool hides() const { return !options_.hidden.empty(); }

 private:
  const Observation& options_;
  Batch first_;               ///< the batch before slot 0, kept when something is hidden
  std::deque<Batch> recent_;  ///< as they may be seen, the oldest first; at most delay + 1
};

/// Number of features that observe() writes, F. Those that tell of something hidden are left out:
/// as constants they would only widen the network.
int feature_count(const Params& p);
/// Their names, in order.
std::vector<std::string> feature_names(const Params& p);

/// Features of every node as a policy sees them before the slot, not normalised.
/// \param features  [E * N, F] row-major
void observe(const Params& p, const Batch& b, View<float> features);

// ---- a pool outside the simulator ------------------------------------------------------

/// What was measured of one pool before a slot. Each is [N] in the order of the nodes, or empty:
/// not measured. What "ended" is the slot before the one that is measured for.
struct Measurement {
  std::vector<double> arrivals;       ///< work that arrived in the slot that ended [wu]
  std::vector<double> backlog;        ///< work waiting at its end [wu]
  std::vector<double> progress;       ///< progress at its end [wu]
  std::vector<double> rate;           ///< rate that was in effect in it, after lag [wu/slot]
  std::vector<double> error;          ///< error at its end
  std::vector<double> availability;   ///< share of the capacity that was up in it
  std::vector<double> importance;     ///< [H, N] weight of the errors in the H slots to come
  std::vector<double> health;         ///< sign of wear, not averaged
  std::vector<double> window;         ///< slots to the next window of importance; 0 = in one
  std::vector<double> arrivals_now;   ///< work that the slot to come brings [wu]
  std::vector<double> available_now;  ///< share of the capacity that is up in it
};

/// When a quantity has to be measured in an episode.
enum class Told {
  always,    ///< before every slot
  first,     ///< before the first slot, and never again: policies see that value all the time
  later,     ///< before every slot but the first, where it may be left out: nothing has ended yet
  optional,  ///< follows from the others, unless it is measured
};
/// One quantity that a pool's policies need.
struct MeasuredField {
  const char* name;
  std::vector<double> Measurement::*column;
  Told told;
  const char* unit;
  Range range;
  int most_rows;    ///< H at most; 1 for all but importance with a calendar of windows, kAhead
  std::string doc;  ///< one line
};
/// What has to be measured of a pool so that policies see what they see in its simulation.
std::vector<MeasuredField> measured_fields(const Params& p);

/// What a decision asks of the pool.
struct Command {
  int slot;                                 ///< t, from 0 in every episode
  std::vector<double> proportion;           ///< [N] shares of the placed budget, sum 1
  std::vector<double> resource_proportion;  ///< [K, N] of each resource, sum 1; empty unless the
                                            ///< pool's action is per resource
  double reserve;                           ///< share of the budget kept back; 0 without a reserve
  std::vector<double> grant;  ///< [N] commanded rate after the conflict rule [wu/slot]
};

/// Keeps the state of one pool from what is measured of it slot by slot, as step() would: averages
/// of arrivals and of health, slots that a node has been down, errors, margins, work that is not
/// due. Does not delay: what is measured has the age it has.
class Tracker {
 public:
  explicit Tracker(const Params& p);
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  /// Begins an episode; what is left out is as it is before slot 0 of the simulation.
  /// \throws InputError  naming the quantity when something is missing, of the wrong length, out of
  /// range, not finite, or not among measured_fields(); the state stays as it was
  void start(const Measurement& m);
  /// The next slot's state has been measured. \throws InputError likewise, and when there was no
  /// command since the state before
  void advance(const Measurement& m);
  /// Nothing new is known. \throws InputError  when the state would be older than
  /// observation.delay
  void hold() const;
  /// What a policy may act on; [1, N]. Valid until the next call.
  const Batch& seen() const { return *seen_; }
  /// Carries out a decision in slot t and moves on to t + 1. \param bundle  [1, bundle_size() or
  /// tilted_size()]
  Command command(View<const double> bundle);

  bool started() const { return seen_ != nullptr; }

 private:
  void take(const Measurement& m);

  Params params_;
  Batch batch_;  ///< the last state that was measured
  std::optional<Sight> sight_;
  const Batch* seen_ = nullptr;
  int delay_ = 0;  ///< slots that the state may be old
  int slot_ = 0;   ///< to be decided
  std::deque<std::vector<double>>
      grants_;  ///< commanded in the slots after the state, oldest first
  std::deque<std::vector<double>> recent_;  ///< arrivals that may not be due, oldest first
};

// ---- adjoints --------------------------------------------------------------------------
//
// The cost of an episode is differentiable almost everywhere in the decisions, and exogenous input
// does not depend on them, so one reverse sweep gives exact gradients (model section 1.11).
// Arrivals and their averages, importance, availability and health are exogenous: no gradient flows
// there.

/// Gradient of a loss by the part of a Batch that decisions move. [E, N] each.
struct Adjoint {
  std::vector<double> backlog, progress, rate, error;
  std::vector<double> margin, margin_ahead;  ///< on their way to backlog and progress, see settle()
  explicit Adjoint(const Batch& b);          ///< zeros
};

/// Reverse of step(); service by lottery has none. At ties (an empty queue, a rate just at the
/// capacity) one side is taken. \param before       the batch as it was before the slot \param
/// decisions    [E, A] what step() was given \param cost_weight  gradient of the loss by each
/// environment's cost of this slot \param a            on entry by the state after the slot, on
/// return by the state before \param d_decisions  [E, A] on return the gradient by the decisions
void step_backward(const Params& p, const Exogenous& x, const Batch& before,
                   View<const double> decisions, double cost_weight, Adjoint& a,
                   View<double> d_decisions);
/// Reverse of step_bundles(), likewise.
void step_bundles_backward(const Params& p, const Exogenous& x, const Batch& before,
                           View<const double> bundles, double cost_weight, Adjoint& a,
                           View<double> d_bundles);

/// Reverse of observe(). \param d_features [E * N, F]; \param a the gradient is added to it
void observe_backward(const Params& p, const Batch& b, View<const double> d_features, Adjoint& a);

/// Moves the gradients by margin and margin_ahead on to backlog and progress. Call after
/// observe_backward() and before the step_backward() of the slot before.
void settle(const Params& p, const Batch& b, Adjoint& a);

}  // namespace cra::sim
