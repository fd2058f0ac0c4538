// sim/params.h: errors, costs, and all that is constant about a simulation. Part of sim/sim.h.
#pragma once

#include <array>
#include <string>
#include <variant>
#include <vector>

#include "sim/jobs.h"
#include "sim/pool.h"
#include "sim/workload.h"

namespace cra::sim {

/// eps = phi(y / scale), phi(z) = z^2 / (1 + z): quadratic, then linear in the backlog y. Convex.
struct BacklogError {
  static constexpr const char* name = "backlog";
  NodeValues scale{2.0};
};
template <class V>
void fields(V& v, BacklogError& k) {
  v("scale", k.scale, above(0, 1e9), "wu", "backlog at which the error of a node is 1/2");
}
/// eps = y / scale: a cost for every unit of work that waits, the classic of queueing control.
struct LinearError {
  static constexpr const char* name = "linear";
  NodeValues scale{2.0};
};
template <class V>
void fields(V& v, LinearError& k) {
  v("scale", k.scale, above(0, 1e9), "wu", "backlog at which the error of a node is 1");
}
/// Abandonment as a soft deadline: of the work that waits, the share workload.abandonment is lost
/// in a slot, so work survives 1 / abandonment slots on average. eps = what is lost / mean
/// arrivals. Linear in the waiting work.
struct MissError {
  static constexpr const char* name = "miss";
  double floor = 0.05;

  std::vector<double> mean;  ///< [N] base rate, at least `floor`; filled by resolve() [wu/slot]
};
template <class V>
void fields(V& v, MissError& k) {
  v("floor", k.floor, above(0, 1e9), "wu/slot",
    "least mean arrivals that the work missed in a slot is divided by");
}
/// Work must be done within `slots` slots, the one it arrives in counted; what is late is lost and
/// is the error: eps = late work / mean arrivals. All deadlines of a node are equally far, so
/// earliest deadline first is first in, first out: what waits is always the newest work, and it is
/// late as far as it exceeds the arrivals of the last slots - 1 slots.
///
/// Convex in the commands where importance does not rise within an episode: earliest deadline first
/// loses the least work up to every slot at once, a linear programme in the service, so the sum of
/// losses up to a slot is convex in it; losses that weigh more later could make waiting pay.
struct DeadlineError {
  static constexpr const char* name = "deadline";
  NodeValues slots{5.0};
  double floor = 0.05;

  std::vector<double> mean;  ///< [N] base rate, at least `floor`; filled by resolve() [wu/slot]
};
template <class V>
void fields(V& v, DeadlineError& k) {
  v("slots", k.slots, Range{1, 1000}, "slots",
    "slots that work has, with the one it arrives in; whole; 1 = at once or never");
  v("floor", k.floor, above(0, 1e9), "wu/slot",
    "least mean arrivals that the work missed in a slot is divided by");
}
/// Every slot's work A is answered at once, and the better the more service it gets: eps = A (floor
/// + gain (1 + (v / A) / scale)^(-exponent)) with the service v = min(placed rate, what is up), 0
/// when nothing arrives. The perspective of a convex function, so convex in v and A together.
/// Nothing waits and nothing is lost; `served` is the effort spent and may exceed what arrives.
struct AnytimeError {
  static constexpr const char* name = "anytime";
  NodeValues floor{0.05};
  NodeValues gain{0.8};
  NodeValues exponent{1.0};
  NodeValues scale{1.0};
};
template <class V>
void fields(V& v, AnytimeError& k) {
  v("floor", k.floor, Range{0, 1}, "1/wu", "error of a unit of work that no service removes, c");
  v("gain", k.gain, above(0, 1), "1/wu", "error that service can remove, a; floor + gain <= 1");
  v("exponent", k.exponent, above(0, 20), "1", "how fast it falls, b");
  v("scale", k.scale, above(0, 1e9), "1",
    "service per arriving work at which the fall is under way, x0");
}
using ErrorModel = std::variant<BacklogError, LinearError, MissError, DeadlineError,
                                AnytimeError>;  // <- the registration

/// eps = floor + gain (1 + x / scale)^(-exponent) of the progress x: how validation errors fall
/// with training (shifted so that x = 0 is finite).
struct PowerLawError {
  static constexpr const char* name = "power_law";
  NodeValues floor{0.05};
  NodeValues gain{0.8};
  NodeValues exponent{1.0};
  NodeValues scale{10.0};
};
template <class V>
void fields(V& v, PowerLawError& k) {
  v("floor", k.floor, Range{0, 1}, "1", "error that no amount of progress removes, c");
  v("gain", k.gain, above(0, 1), "1", "error that progress can remove, a; floor + gain <= 1");
  v("exponent", k.exponent, above(0, 20), "1", "how fast it falls, b");
  v("scale", k.scale, above(0, 1e9), "wu", "progress at which the fall is under way, x0");
}
/// eps = floor + gain exp(-x / scale).
struct ExponentialError {
  static constexpr const char* name = "exponential";
  NodeValues floor{0.05};
  NodeValues gain{0.8};
  NodeValues scale{10.0};
};
template <class V>
void fields(V& v, ExponentialError& k) {
  v("floor", k.floor, Range{0, 1}, "1", "error that no amount of progress removes, c");
  v("gain", k.gain, above(0, 1), "1", "error that progress can remove, a; floor + gain <= 1");
  v("scale", k.scale, above(0, 1e9), "wu", "progress that divides the removable error by e, x0");
}
/// A piecewise linear error of progress, convex and non-increasing; flat beyond the last knot.
struct Curve {
  std::vector<double> x;      ///< [M] progress, rising, x[0] <= 0 [wu]
  std::vector<double> error;  ///< [M]
};
/// What a column of measured values holds: the error itself, or 1 - error.
enum class CurveValue { error, accuracy };
/// One measured curve and the nodes that follow it. The loader (scenarios) reads the file.
struct CurveSource {
  std::string file;
  std::string progress_column = "progress";
  std::string value_column = "metric";
  CurveValue value = CurveValue::accuracy;
  double progress_scale = 1;
  double value_scale = 1;
  double start = 1;
  std::string group;

  // Filled by the loader: the points of the file in the units of the pool, in any order.
  std::vector<double> x;      ///< [M] progress_column * progress_scale, >= 0 [wu]
  std::vector<double> error;  ///< [M] value * value_scale, or 1 - that

  // Filled by resolve().
  Curve curve;        ///< convex envelope of the points and of (0, start)
  double change = 0;  ///< by how much the envelope lowers a point at most
};
template <class V>
void fields(V& v, CurveSource& k) {
  v(required("file"), k.file, "CSV with a header line; relative to the scenario file");
  v("progress_column", k.progress_column, "column that holds the progress");
  v("value_column", k.value_column, "column that holds what was measured there");
  v("value", k.value, "`error`: the column is the error; `accuracy`: the error is 1 - the column");
  v("progress_scale", k.progress_scale, above(0, 1e15), "wu", "work of one unit of progress");
  v("value_scale", k.value_scale, above(0, 1e9), "1",
    "factor on the values, e.g. 0.01 for percentages");
  v("start", k.start, Range{0, 1e9}, "1", "error before any progress");
  v("group", k.group,
    "group of nodes that follows this curve; empty = those whose group has none of its own");
}
/// eps = a measured curve of the progress, its lower convex envelope made non-increasing: noise
/// and late rises are cut off below, so that more progress never hurts and gains less and less.
/// Several curves for the same nodes are dealt out in turn.
struct CurveError {
  static constexpr const char* name = "curve";
  std::vector<CurveSource> curves;

  std::vector<int> source;  ///< [N] index in `curves`, -1 at queue nodes; filled by resolve()
  const CurveSource& of(int n) const {
    return curves[static_cast<std::size_t>(source[static_cast<std::size_t>(n)])];
  }
};
template <class V>
void fields(V& v, CurveError& k) {
  v("curves", k.curves,
    "measured curves; each is replaced by its lower convex envelope, made non-increasing");
}
using ProgressErrorModel =
    std::variant<PowerLawError, ExponentialError, CurveError>;  // <- the registration

/// What is learned at a hub helps its followers: their progress gains weight * service of the hub.
struct Sharing {
  int hub = 0;
  std::vector<int> followers;
  double weight = 0.25;
};
template <class V>
void fields(V& v, Sharing& k) {
  v(required("hub"), k.hub, Range{0, 65535}, "", "number of a progress node, from 0");
  v(required("followers"), k.followers, Range{0, 65535}, "",
    "numbers of the progress nodes that gain from it");
  v("weight", k.weight, Range{0, 1}, "1",
    "progress of a follower per service of the hub; the weights of a follower sum to at most 1");
}

/// Progress x of a progress node: x <- keep (1 - forgetting) x + service + what hubs share, with
/// keep = 1 but for random shifts of what is learned.
struct Progress {
  ProgressErrorModel error;
  std::vector<Sharing> sharing;
  double forgetting = 0.05;
  double start = 0;
  double shift = 0;
  double keep = 0.3;
  Jobs jobs;
};
template <class V>
void fields(V& v, Progress& k) {
  v("error", k.error, "how progress lowers the error");
  v("sharing", k.sharing, "hubs whose service also advances other progress nodes");
  v("forgetting", k.forgetting, below(0, 1), "1/slot",
    "share of the progress that is lost in a slot, rho");
  v("start", k.start, Range{0, 1e9}, "wu", "progress before the first slot");
  v("shift", k.shift, Range{0, 1}, "1/slot", "probability that what is learned shifts in a slot");
  v("keep", k.keep, Range{0, 1}, "1", "share of the progress that survives a shift");
  v("jobs", k.jobs, "whether jobs come and go at progress nodes");
}

/// How errors are reported as performance, P_n; the score of a slot is their importance-weighted
/// mean. Costs do not depend on it, so no policy is tuned or trained by it.
///   linear:    P = 1 - eps, in (-inf, 1].
///   reference: P = 1 - eps / mean error of the uniform policy on the same episode: 0 is as good as
///              equal shares, 1 is no error, whatever the scenario.
///   source:    P = (1 - min(eps, 1)) / max(0.05, 0.05 log sum_j exp(eps_j / 0.05)): the sources'
///              (1 - eps) / max_j eps_j with its pole and its jumps smoothed away. Unlike the other
///              two it lets the worst node rescale all.
enum class ScoreKind { linear, reference, source };

struct Cost {
  double switching = 0;
  double switching_smoothing = 0.02;
  double worst = 0;
  double worst_temperature = 0.1;
  double use = 0;
  double concentration = 0;
  ScoreKind score = ScoreKind::linear;
};
template <class V>
void fields(V& v, Cost& c) {
  v("switching", c.switching, Range{0, 1e6}, "slot/wu", "weight of the movement of placed rates");
  v("switching_smoothing", c.switching_smoothing, above(0, 1e6), "wu/slot",
    "movement below which the switching cost is quadratic");
  v("worst", c.worst, Range{0, 1e6}, "1", "weight of the soft worst node's error (fairness)");
  v("worst_temperature", c.worst_temperature, above(0, 1e6), "1",
    "softness of that maximum: temperature * log mean exp(error / temperature)");
  v("use", c.use, Range{0, 1e6}, "1",
    "weight of the share of the budget that is placed (attention penalty); commands that fill the "
    "budget make it a constant, so it matters only with a reserve or where capacity leaves budget "
    "idle");
  v("concentration", c.concentration, Range{0, 1e6}, "1",
    "weight of N * sum of squared budget shares: against giving all to one node");
  v("score", c.score,
    "how errors are reported as performance: `linear` 1 - error, `reference` against the uniform "
    "policy's mean error, `source` against the worst node; costs do not depend on it");
}

/// What a policy knows before it acts.
struct Observation {
  bool arrivals_shown = false;
  int delay = 0;
  int memory = 0;
  bool noiseless = false;
  std::vector<std::string> hidden;
};
template <class V>
void fields(V& v, Observation& o) {
  v("arrivals_shown", o.arrivals_shown,
    "policies know the arrivals and the availability of the slot to come before they act");
  v("delay", o.delay, Range{0, 100000}, "slots",
    "how old the state is that policies see; the first slot's is seen until then");
  v("memory", o.memory, Range{0, 64}, "slots",
    "of how many slots before the network sees the arrivals one by one, besides averages");
  v("noiseless", o.noiseless,
    "these are shown without workload.noise, as only the simulator knows them: how far learning "
    "gets so says what a better estimate of the load could bring; no real pool can be decided for "
    "with it");
  v("hidden", o.hidden,
    "what policies never see, of backlog, arrivals, importance, health, availability, progress, "
    "error, rate: they see its first value all the time, and the network has no such feature; what "
    "tells of it may have to be hidden as well, as the error does of the backlog");
}

/// Everything constant about a simulation.
struct Params {
  Pool pool;
  Workload workload;
  Observation observation;
  ErrorModel errors;
  Progress progress;
  Cost cost;
};
template <class V>
void fields(V& v, Params& p) {
  v(required("pool"), p.pool, "the nodes and what they share");
  v(required("workload"), p.workload, "the work that arrives");
  v("observation", p.observation, "what a policy knows before it acts");
  v("errors", p.errors, "how waiting work becomes an error, at queue nodes");
  v("progress", p.progress, "how progress grows and lowers the error, at progress nodes");
  v("cost", p.cost, "weights of the cost terms, and the performance score");
}

}  // namespace cra::sim

template <>
struct cra::Choices<cra::sim::CurveValue> {
  static constexpr std::array<const char*, 2> names{"error", "accuracy"};
};
template <>
struct cra::Choices<cra::sim::ScoreKind> {
  static constexpr std::array<const char*, 3> names{"linear", "reference", "source"};
};
