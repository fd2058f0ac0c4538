// sim/params.h: the constant part of a simulation, as scenario files describe it. Part of
// sim/sim.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base.h"

namespace cra::sim {

/// A number for every node. A scenario gives one number, a list of N, a distribution
/// `{uniform: [lo, hi]}` or one number per group `{group: number, ...}`; resolve() fills `value`.
struct NodeValues {
  struct Uniform {
    double lo = 0, hi = 0;
  };
  using ByGroup = std::vector<std::pair<std::string, double>>;
  std::variant<double, std::vector<double>, Uniform, ByGroup> given = 0.0;
  std::vector<double> value;  ///< [N], filled by resolve()

  NodeValues() = default;
  NodeValues(double x) : given(x) {}  // NOLINT(google-explicit-constructor)
  double operator[](int n) const { return value[static_cast<std::size_t>(n)]; }
};

/// What happens at a node to work that is not done: a queue keeps it waiting; progress nodes have
/// no queue, they turn service into progress that decays.
enum class Dynamics { queue, progress };

/// Consecutive nodes with a common name, so that a file with 100 nodes stays short.
struct Group {
  std::string name;
  int count = 1;
  Dynamics dynamics = Dynamics::queue;
};
template <class V>
void fields(V& v, Group& g) {
  v(required("name"), g.name, "name of the group, used by per-node values `{name: number}`");
  v(required("count"), g.count, Range{1, 65536}, "", "nodes in this group");
  v("dynamics", g.dynamics,
    "`queue`: work waits; `progress`: service becomes progress that decays");
}

/// How nodes lie to each other: decides the path of a cascade and the position features.
enum class Geometry { none, ring, chain };

/// Nothing is kept back.
struct NoReserve {
  static constexpr const char* name = "none";
};
template <class V>
void fields(V&, NoReserve&) {}
/// Who gets the reserve: `optimal` lowers the summed weighted error of the slot as far as it goes,
/// `priority` goes by importance-weighted need.
enum class Dispatch { optimal, priority };
/// A share of the budget is kept back and sent, without lag, to where work waits once the slot's
/// arrivals are known; it serves less well than placed resource.
struct SharedReserve {
  static constexpr const char* name = "shared";
  double efficiency = 0.7;
  Dispatch dispatch = Dispatch::optimal;
};
template <class V>
void fields(V& v, SharedReserve& r) {
  v("efficiency", r.efficiency, above(0, 1), "1",
    "work that a unit of reserve does, against placed resource");
  v("dispatch", r.dispatch, "how the reserve is shared out: `optimal` or by `priority`");
}
using Reserve = std::variant<NoReserve, SharedReserve>;

/// One of several resources that all nodes share. A unit of work takes all of them at once
/// (Leontief), so a rate is limited by whichever runs out first.
struct Resource {
  std::string name;
  NodeValues need{1.0};
  double budget = 0;
};
template <class V>
void fields(V& v, Resource& r) {
  v(required("name"), r.name, "name of the resource");
  v("need", r.need, Range{0, 1e9}, "ru/wu", "resource that a unit of work takes on each node");
  v("budget", r.budget, Range{0, 1e15}, "ru/slot",
    "amount shared by all nodes; 0 stands for the number of nodes");
}

struct Pool {
  int nodes = 0;
  std::vector<Group> groups;  ///< empty, or counts that sum to `nodes`
  NodeValues capacity{4.0};   ///< [N] most work node n can do in a slot [wu/slot]
  NodeValues need{1.0};       ///< [N] resource per work d_n [ru/wu]
  double budget = 0;          ///< resource shared by all nodes R [ru/slot]; 0 stands for N
  double lag = 0.25;          ///< placement gain eta: m <- (1-eta) m + eta command
  Geometry geometry = Geometry::none;
  Reserve reserve;
  std::vector<Resource> resources;  ///< several resources instead of `need` and `budget`

  // Filled by resolve(), from `resources` or from `need` and `budget`.
  std::vector<double> needs;       ///< [N, K] resource per work d_nk [ru/wu]
  std::vector<double> budgets;     ///< [K] R_k [ru/slot]
  std::vector<Dynamics> dynamics;  ///< [N]

  int resource_count() const { return static_cast<int>(budgets.size()); }
  bool is_progress(int n) const {
    return dynamics[static_cast<std::size_t>(n)] == Dynamics::progress;
  }
  bool has_progress() const {
    for (const Dynamics d : dynamics)
      if (d == Dynamics::progress) return true;
    return false;
  }
  const SharedReserve* shared_reserve() const { return std::get_if<SharedReserve>(&reserve); }
};
template <class V>
void fields(V& v, Pool& p) {
  v(required("nodes"), p.nodes, Range{1, 65536}, "", "compute nodes in the pool, N");
  v("groups", p.groups, "names for runs of consecutive nodes; the counts sum to `nodes`");
  v("capacity", p.capacity, above(0, 1e9), "wu/slot", "most work each node can do in one slot");
  v("need", p.need, above(0, 1e9), "ru/wu", "resource that a unit of work takes on each node");
  v("budget", p.budget, Range{0, 1e15}, "ru/slot",
    "resource shared by all nodes; 0 stands for the number of nodes, so that a fair share is 1");
  v("lag", p.lag, above(0, 1), "1",
    "placement gain: share of the commanded change that takes effect in a slot; 1 = at once");
  v("geometry", p.geometry,
    "how nodes lie to each other: `ring` and `chain` give position features");
  v("resources", p.resources,
    "several resources, each with its own `need` and `budget`, in place of those above");
  v("reserve", p.reserve, "whether a share of the budget can be kept back for bursts");
}

struct GammaNoise {
  static constexpr const char* name = "gamma";
  double shape = 8;
};
template <class V>
void fields(V& v, GammaNoise& k) {
  v("shape", k.shape, above(0, 1e6), "1",
    "arrivals are rate * Gamma(shape) / shape; larger is calmer");
}
struct PoissonNoise {
  static constexpr const char* name = "poisson";
  double size = 0.1;
};
template <class V>
void fields(V& v, PoissonNoise& k) {
  v("size", k.size, above(0, 1e9), "wu",
    "arrivals are Poisson(rate / size) * size: work in jobs of this size");
}
struct NoNoise {
  static constexpr const char* name = "none";
};
template <class V>
void fields(V&, NoNoise&) {}
using Noise = std::variant<GammaNoise, PoissonNoise, NoNoise>;

/// Constant mean rate at every node.
struct ConstantPart {
  static constexpr const char* name = "constant";
  NodeValues rate{0.5};
};
template <class V>
void fields(V& v, ConstantPart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot", "mean work that arrives at each node");
}
/// Jobs of one size at Poisson times; brings its own noise, `workload.noise` is not applied to it.
struct PoissonPart {
  static constexpr const char* name = "poisson";
  NodeValues rate{0.5};
  double size = 0.1;
};
template <class V>
void fields(V& v, PoissonPart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot", "mean work that arrives at each node");
  v("size", k.size, above(0, 1e9), "wu",
    "work of one job; arrivals are Poisson(rate / size) * size");
}
/// Platoons: a burst that starts at a random node and moves on, one node every `hop` slots.
struct CascadePart {
  static constexpr const char* name = "cascade";
  double start = 0.06;
  std::array<int, 2> length{12, 24};
  int hop = 3;
  double height = 3;
};
template <class V>
void fields(V& v, CascadePart& k) {
  v("start", k.start, Range{0, 1}, "1", "probability that a platoon starts in a slot");
  v("length", k.length, Range{1, 1e6}, "slots",
    "shortest and longest life of a platoon, drawn uniformly");
  v("hop", k.hop, Range{1, 1e6}, "slots",
    "slots a platoon stays at a node before it moves to the next");
  v("height", k.height, Range{0, 1e9}, "wu/slot", "mean rate a platoon adds to the node it is at");
}

/// Storms: a hidden state switches on and off; while it is on, bursts start at random nodes
/// (Markov-modulated arrivals).
struct BurstsPart {
  static constexpr const char* name = "bursts";
  double begin = 0.03;
  double end = 0.04;
  double start = 0.4;
  std::array<int, 2> length{2, 3};
  double height = 3;
  int width = 1;
};
template <class V>
void fields(V& v, BurstsPart& k) {
  v("begin", k.begin, Range{0, 1}, "1/slot", "probability that a calm turns into a storm");
  v("end", k.end, above(0, 1), "1/slot", "probability that a storm ends");
  v("start", k.start, Range{0, 1}, "1/slot",
    "probability that a burst starts in a slot of a storm");
  v("length", k.length, Range{1, 1e6}, "slots", "shortest and longest burst, drawn uniformly");
  v("height", k.height, Range{0, 1e9}, "wu/slot", "mean rate a burst adds to each node it hits");
  v("width", k.width, Range{1, 65536}, "", "neighbouring nodes that a burst hits at once");
}
/// Daily rhythm: rate (1 + swing sin(2 pi (t / period + phase))).
struct DiurnalPart {
  static constexpr const char* name = "diurnal";
  NodeValues rate{0.5};
  double swing = 0.6;
  double period = 75;
  NodeValues phase{0.0};
  bool random_start = true;
};
template <class V>
void fields(V& v, DiurnalPart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot", "mean work that arrives at each node");
  v("swing", k.swing, Range{0, 1}, "1", "height of the wave as a share of the rate");
  v("period", k.period, Range{2, 1e9}, "slots", "length of a day");
  v("phase", k.phase, Range{-1, 1}, "days", "how far each node's wave is ahead");
  v("random_start", k.random_start, "episodes begin at a random time of day");
}
/// A hidden regime picks one of several levels for all nodes and switches at random.
struct RegimePart {
  static constexpr const char* name = "regime";
  NodeValues rate{0.5};
  double jump = 0.03;
  double low = 0.5;
  double high = 1.5;
  bool common = true;
};
template <class V>
void fields(V& v, RegimePart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot", "mean work that arrives at each node");
  v("jump", k.jump, Range{0, 1}, "1/slot", "probability that the level changes in a slot");
  v("low", k.low, Range{0, 1e3}, "1", "lowest level, times the rate");
  v("high", k.high, Range{0, 1e3}, "1",
    "highest level, times the rate; levels are drawn uniformly");
  v("common", k.common, "all nodes share one level; otherwise each has its own");
}
/// Rates that wander: level += pull (rate - level) + spread rate N(0, 1), kept in [low, high] rate.
struct DriftPart {
  static constexpr const char* name = "drift";
  NodeValues rate{0.5};
  double pull = 0.05;
  double spread = 0.06;
  double low = 0.2;
  double high = 2;
};
template <class V>
void fields(V& v, DriftPart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot", "mean work that arrives at each node");
  v("pull", k.pull, Range{0, 1}, "1/slot", "share of the way back to the mean in a slot");
  v("spread", k.spread, Range{0, 10}, "1", "standard deviation of a slot's step, times the rate");
  v("low", k.low, Range{0, 1}, "1", "lowest level, times the rate");
  v("high", k.high, Range{1, 1e3}, "1", "highest level, times the rate");
}
/// Jobs with Pareto sizes at Poisson times; sizes are cut at `largest`.
struct HeavyTailPart {
  static constexpr const char* name = "heavy_tail";
  NodeValues rate{0.2};
  double tail = 1.5;
  double smallest = 0.1;
  double largest = 20;
};
template <class V>
void fields(V& v, HeavyTailPart& k) {
  v(required("rate"), k.rate, Range{0, 1e3}, "1/slot", "mean number of jobs at each node");
  v("tail", k.tail, above(0, 100), "1", "Pareto exponent; below 2 the uncut variance is infinite");
  v("smallest", k.smallest, above(0, 1e9), "wu", "smallest job");
  v("largest", k.largest, above(0, 1e9), "wu", "larger jobs are cut to this");
}

/// How the work of one column of a request log arrives.
enum class Arrival { lump, stream };

struct WorkColumn {
  std::string column;
  double weight = 1;
  Arrival arrival = Arrival::lump;
  double rate = 0;
};
template <class V>
void fields(V& v, WorkColumn& c) {
  v(required("column"), c.column, "name of a numeric column of the log");
  v(required("weight"), c.weight, above(0, 1e9), "wu",
    "work of one unit of the column, before scaling to `load`");
  v("arrival", c.arrival,
    "`lump`: all in the slot of the request; `stream`: at `rate` until complete");
  v("rate", c.rate, Range{0, 1e12}, "units/s", "units of the column per second when streaming");
}
struct Bucket {
  std::string column;
  int quantiles = 3;
};
template <class V>
void fields(V& v, Bucket& b) {
  v(required("column"), b.column, "name of a numeric column of the log");
  v("quantiles", b.quantiles, Range{1, 256}, "",
    "equally filled buckets, fitted on the training part");
}
/// Work of a real request log. Requests map to nodes by quantile buckets of named columns: node =
/// row-major index of the buckets. The loader (scenarios) reads the log and fills `work`.
struct TracePart {
  static constexpr const char* name = "trace";
  std::string file;
  std::string time_column;
  std::vector<WorkColumn> work_columns;
  std::vector<Bucket> buckets;
  double train_fraction = 0.7;
  double load = 0;
  int jitter = 0;
  double scale_jitter = 0;

  std::vector<double> work;      ///< [S, N] work that arrives in each slot of the log [wu]
  std::int64_t train_slots = 0;  ///< the first slots of `work`, for training and tuning
  std::vector<double> mean;      ///< [N] mean work per slot over the training part [wu]
  std::vector<std::vector<double>> edges;  ///< per bucket column, its quantiles-1 inner edges
  std::int64_t requests = 0;               ///< lines of the log that became work
  std::int64_t slots() const {
    return mean.empty() ? 0 : static_cast<std::int64_t>(work.size() / mean.size());
  }
};
template <class V>
void fields(V& v, TracePart& k) {
  v(required("file"), k.file, "request log, CSV with a header line; relative to the scenario file");
  v(required("time_column"), k.time_column,
    "column of the request times: seconds, or `YYYY-MM-DD hh:mm:ss.fraction`; must be sorted");
  v(required("work"), k.work_columns, "columns that make the work, with their weights");
  v(required("buckets"), k.buckets, "columns whose quantile buckets map a request to a node");
  v("train_fraction", k.train_fraction, Range{0.05, 0.95}, "1",
    "leading share of the log (by time) for training and tuning; evaluation uses the rest");
  v("load", k.load, Range{0, 100}, "1",
    "scale work so that its mean in the training part is this share of the budget; 0 = do not "
    "scale");
  v("jitter", k.jitter, Range{0, 100000}, "slots",
    "training windows: each node's series is shifted by up to this many slots, independently");
  v("scale_jitter", k.scale_jitter, below(0, 1), "1",
    "training windows: each node's series is scaled by 1 +- up to this share, independently");
}

using WorkloadPart =
    std::variant<ConstantPart, PoissonPart, CascadePart, BurstsPart, DiurnalPart, RegimePart,
                 DriftPart, HeavyTailPart, TracePart>;  // <- the registration

struct NoFailures {
  static constexpr const char* name = "none";
};
template <class V>
void fields(V&, NoFailures&) {}
/// Healthy -> worn (a noisy health signal rises) -> down -> healthy. Work stays with the node.
struct WearFailures {
  static constexpr const char* name = "wear";
  double wear = 0.012;
  int warning = 5;
  double fail = 0.4;
  std::array<int, 2> down{6, 10};
  double noise = 0.35;
  double worn_capacity = 1;
};
template <class V>
void fields(V& v, WearFailures& k) {
  v("wear", k.wear, Range{0, 1}, "1/slot", "probability that a healthy node becomes worn");
  v("warning", k.warning, Range{0, 1e6}, "slots", "slots that a worn node works at least");
  v("fail", k.fail, above(0, 1), "1/slot", "probability that it fails in each slot after that");
  v("down", k.down, Range{1, 1e6}, "slots", "shortest and longest repair, drawn uniformly");
  v("noise", k.noise, Range{0, 100}, "1",
    "standard deviation of the health signal around 0 (healthy) or 1 (worn)");
  v("worn_capacity", k.worn_capacity, Range{0, 1}, "1", "share of its capacity a worn node has");
}
using Failures = std::variant<NoFailures, WearFailures>;

/// Importance stays what it is.
struct SteadyCalendar {
  static constexpr const char* name = "steady";
};
template <class V>
void fields(V&, SteadyCalendar&) {}
/// Importance is high in the last slots of a cycle and low outside; the mean stays. The calendar is
/// known ahead: policies see how far the next window is.
struct WindowsCalendar {
  static constexpr const char* name = "windows";
  int period = 50;
  int length = 8;
  double outside = 0.1;
  int clusters = 4;
  int scatter = 2;
};
template <class V>
void fields(V& v, WindowsCalendar& k) {
  v("period", k.period, Range{2, 1e6}, "slots", "length of a cycle");
  v("length", k.length, Range{1, 1e6}, "slots", "slots of high importance at the end of a cycle");
  v("outside", k.outside, Range{0, 1}, "1", "importance outside the window, against a mean of 1");
  v("clusters", k.clusters, Range{1, 65536}, "",
    "groups of nodes whose windows fall together, drawn per episode");
  v("scatter", k.scatter, Range{0, 1e6}, "slots",
    "how far a node's window may be from its cluster's");
}
/// Importance is multiplied by the exponential of a mean-reverting walk.
struct WalkCalendar {
  static constexpr const char* name = "walk";
  double pull = 0.02;
  double spread = 0.1;
};
template <class V>
void fields(V& v, WalkCalendar& k) {
  v("pull", k.pull, Range{0, 1}, "1/slot", "share of the way back in a slot");
  v("spread", k.spread, Range{0, 10}, "1", "standard deviation of a slot's step of the logarithm");
}
using Calendar = std::variant<SteadyCalendar, WindowsCalendar, WalkCalendar>;

struct Workload {
  int slots = 120;
  double slot_seconds = 1;
  double abandonment = 0.02;
  NodeValues importance{1.0};
  Calendar calendar;
  Noise noise;
  Failures failures;
  std::vector<WorkloadPart> parts;
};
template <class V>
void fields(V& v, Workload& w) {
  v("slots", w.slots, Range{1, 1000000}, "slots", "length of an episode, T");
  v("slot_seconds", w.slot_seconds, above(0, 1e6), "s", "duration of a slot; used by traces");
  v("abandonment", w.abandonment, below(0, 1), "1/slot",
    "share of the waiting work that is lost in a slot");
  v("importance", w.importance, Range{0, 1e6}, "1",
    "weight W of each node's error in the cost; about 1 on average");
  v("calendar", w.calendar, "how importance changes over an episode");
  v("noise", w.noise, "noise on the summed mean rates of the parts");
  v("failures", w.failures, "whether nodes fail");
  v("parts", w.parts,
    "where work comes from; the parts add up; needed unless all nodes are progress nodes");
}

/// eps = phi(y / scale), phi(z) = z^2 / (1 + z): quadratic, then linear in the backlog y. Convex.
struct BacklogError {
  static constexpr const char* name = "backlog";
  NodeValues scale{2.0};
};
template <class V>
void fields(V& v, BacklogError& k) {
  v("scale", k.scale, above(0, 1e9), "wu", "backlog at which the error of a node is 1/2");
}
using ErrorModel = std::variant<BacklogError>;  // <- the registration

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
using ProgressErrorModel = std::variant<PowerLawError, ExponentialError>;  // <- the registration

/// Progress x of a progress node: x <- keep (1 - forgetting) x + service, with keep = 1 but for
/// random shifts of what is learned.
struct Progress {
  ProgressErrorModel error;
  double forgetting = 0.05;
  double start = 0;
  double shift = 0;
  double keep = 0.3;
};
template <class V>
void fields(V& v, Progress& k) {
  v("error", k.error, "how progress lowers the error");
  v("forgetting", k.forgetting, below(0, 1), "1/slot",
    "share of the progress that is lost in a slot, rho");
  v("start", k.start, Range{0, 1e9}, "wu", "progress before the first slot");
  v("shift", k.shift, Range{0, 1}, "1/slot", "probability that what is learned shifts in a slot");
  v("keep", k.keep, Range{0, 1}, "1", "share of the progress that survives a shift");
}

/// linear: P = 1 - eps, in (-inf, 1].
enum class ScoreKind { linear };

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
    "weight of the share of the budget that is placed (attention penalty)");
  v("concentration", c.concentration, Range{0, 1e6}, "1",
    "weight of N * sum of squared budget shares: against giving all to one node");
  v("score", c.score, "how errors become performance scores");
}

/// Everything constant about a simulation.
struct Params {
  Pool pool;
  Workload workload;
  ErrorModel errors;
  Progress progress;
  Cost cost;
};
template <class V>
void fields(V& v, Params& p) {
  v(required("pool"), p.pool, "the nodes and what they share");
  v(required("workload"), p.workload, "the work that arrives");
  v("errors", p.errors, "how waiting work becomes an error, at queue nodes");
  v("progress", p.progress, "how progress grows and lowers the error, at progress nodes");
  v("cost", p.cost, "weights of the cost terms, and the performance score");
}

}  // namespace cra::sim

template <>
struct cra::Choices<cra::sim::Geometry> {
  static constexpr std::array<const char*, 3> names{"none", "ring", "chain"};
};
template <>
struct cra::Choices<cra::sim::Dynamics> {
  static constexpr std::array<const char*, 2> names{"queue", "progress"};
};
template <>
struct cra::Choices<cra::sim::Dispatch> {
  static constexpr std::array<const char*, 2> names{"optimal", "priority"};
};
template <>
struct cra::Choices<cra::sim::Arrival> {
  static constexpr std::array<const char*, 2> names{"lump", "stream"};
};
template <>
struct cra::Choices<cra::sim::ScoreKind> {
  static constexpr std::array<const char*, 1> names{"linear"};
};
