// sim/workload.h: the work that arrives, failures, and importance over time, as scenario files
// describe them. Part of sim/sim.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/pool.h"

namespace cra::sim {

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
struct LogNormalNoise {
  static constexpr const char* name = "lognormal";
  double sigma = 0.5;
};
template <class V>
void fields(V& v, LogNormalNoise& k) {
  v("sigma", k.sigma, Range{0, 10}, "1",
    "arrivals are rate * exp(sigma N(0, 1) - sigma^2 / 2): rarely very large");
}
using Noise =
    std::variant<GammaNoise, PoissonNoise, NoNoise, LogNormalNoise>;  // <- the registration

/// Nodes that a part stays in: those of a group, or all of them when `group` is empty.
struct NodeRun {
  int first = 0, count = 0;
};
NodeRun nodes_of(const Pool& pool, const std::string& group);

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
/// In each slot a job with probability `rate`, else none; brings its own noise as well.
struct BernoulliPart {
  static constexpr const char* name = "bernoulli";
  NodeValues rate{0.1};
  double size = 1;
};
template <class V>
void fields(V& v, BernoulliPart& k) {
  v(required("rate"), k.rate, Range{0, 1}, "1/slot", "probability of a job at each node");
  v("size", k.size, above(0, 1e9), "wu", "work of one job");
}
/// Platoons: a burst that starts at a random node and moves on, one node every `hop` slots.
struct CascadePart {
  static constexpr const char* name = "cascade";
  double start = 0.06;
  std::array<int, 2> length{12, 24};
  int hop = 3;
  double height = 3;
  int first = -1;
  double decay = 1;
  std::string group{};
};
template <class V>
void fields(V& v, CascadePart& k) {
  v("start", k.start, Range{0, 1}, "1", "probability that a platoon starts in a slot");
  v("length", k.length, Range{1, 1e6}, "slots",
    "shortest and longest life of a platoon, drawn uniformly");
  v("hop", k.hop, Range{1, 1e6}, "slots",
    "slots a platoon stays at a node before it moves to the next");
  v("height", k.height, Range{0, 1e9}, "wu/slot", "mean rate a platoon adds to the node it is at");
  v("first", k.first, Range{-1, 65535}, "", "node at which platoons start; -1 = a random one");
  v("decay", k.decay, Range{0, 1}, "1", "height that is left after a hop, as a share of before");
  v("group", k.group, "name of the group of nodes that platoons stay in; empty = all nodes");
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
  std::string group{};
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
  v("group", k.group, "name of the group of nodes that bursts stay in; empty = all nodes");
}
/// Contagion: a burst at a node raises the chance of bursts at all nodes of its sector for a while
/// (self-exciting arrivals; Hawkes 1971, in slots and with a finite memory).
struct ContagionPart {
  static constexpr const char* name = "contagion";
  double start = 0.005;
  std::array<int, 2> length{2, 4};
  double height = 3;
  int sector = 3;
  double factor = 6;
  int memory = 10;
  std::string group{};
};
template <class V>
void fields(V& v, ContagionPart& k) {
  v("start", k.start, Range{0, 1}, "1/slot",
    "probability that a burst starts at a node while its sector is calm");
  v("length", k.length, Range{1, 1e6}, "slots", "shortest and longest burst, drawn uniformly");
  v("height", k.height, Range{0, 1e9}, "wu/slot", "mean rate a burst adds to its node");
  v("sector", k.sector, Range{1, 65536}, "", "consecutive nodes that infect each other");
  v("factor", k.factor, Range{1, 1e6}, "1",
    "what `start` is multiplied with after a burst in the sector");
  v("memory", k.memory, Range{1, 1e6}, "slots", "how long that lasts after the latest burst");
  v("group", k.group, "name of the group of nodes that bursts stay in; empty = all nodes");
}
/// Frames: a burst at every node, once in a period; nothing is random but where in it a node is.
struct FramesPart {
  static constexpr const char* name = "frames";
  int period = 8;
  int length = 2;
  NodeValues height{3.0};
  bool random_phase = true;
  std::string group{};
};
template <class V>
void fields(V& v, FramesPart& k) {
  v("period", k.period, Range{1, 1e6}, "slots", "slots from frame to frame");
  v("length", k.length, Range{1, 1e6}, "slots", "slots that a frame takes, the first of a period");
  v("height", k.height, Range{0, 1e9}, "wu/slot", "mean rate of each node during its frame");
  v("random_phase", k.random_phase,
    "each node's period begins at a random slot, drawn per episode; otherwise all begin at slot 0");
  v("group", k.group, "name of the group of nodes that have frames; empty = all nodes");
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
/// A hidden switch, one for all nodes, is in one of two states; each node has a level for either.
struct SwitchPart {
  static constexpr const char* name = "switch";
  NodeValues rate{0.5};
  NodeValues low{0.5};
  NodeValues high{1.5};
  double jump = 0.03;
};
template <class V>
void fields(V& v, SwitchPart& k) {
  v(required("rate"), k.rate, Range{0, 1e9}, "wu/slot",
    "work that arrives at each node at a level of 1");
  v("low", k.low, Range{0, 1e3}, "1", "level of each node in one state, times its rate");
  v("high", k.high, Range{0, 1e3}, "1", "level in the other state, times its rate");
  v("jump", k.jump, Range{0, 1}, "1/slot", "probability that the state changes in a slot");
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

/// How the work of one column of a log arrives.
enum class Arrival { lump, stream };
/// csv: a header line, then a line for each request; swf: Standard Workload Format.
enum class LogFormat { csv, swf };
/// What to do about lines in which a value is missing.
enum class Missing { refuse, skip };

struct WorkColumn {
  std::string column;
  double weight = 1;
  Arrival arrival = Arrival::lump;
  double rate = 0;
  std::string lasts;
  std::string until;

  /// `column` holds units per second of a span of time, not units.
  bool has_span() const { return !lasts.empty() || !until.empty(); }
};
template <class V>
void fields(V& v, WorkColumn& c) {
  v(required("column"), c.column,
    "name of a numeric column of the log: units of work; `1` counts every line as one");
  v(required("weight"), c.weight, above(0, 1e9), "wu",
    "work of one unit, before scaling to `load`");
  v("arrival", c.arrival,
    "`lump`: all in the slot of the request; `stream`: spread over the slots from there on");
  v("rate", c.rate, Range{0, 1e12}, "units/s",
    "units per second when streaming, where no span of time tells");
  v("lasts", c.lasts,
    "column of seconds: then `column` holds units per second of that span, e.g. processors");
  v("until", c.until,
    "column of times, like `time_column`: then `column` holds units per second until then");
}
struct Bucket {
  std::string column;
  int quantiles = 0;
  int top = 0;
};
template <class V>
void fields(V& v, Bucket& b) {
  v(required("column"), b.column, "name of a column of the log");
  v("quantiles", b.quantiles, Range{0, 256}, "",
    "equally filled buckets of a numeric column, fitted on the training part");
  v("top", b.top, Range{0, 65536}, "",
    "instead: buckets of a column of any text: its `top` - 1 most frequent values in the training "
    "part, and all others");
}
/// A column that says how much of a resource the work of a request takes.
struct NeedColumn {
  std::string resource;
  std::string column;
};
template <class V>
void fields(V& v, NeedColumn& c) {
  v(required("resource"), c.resource, "name of one of `pool.resources`");
  v(required("column"), c.column, "name of a numeric column of the log");
}
/// Work of a real log. Requests map to nodes by buckets of named columns: node = row-major index of
/// the buckets. The loader (scenarios) reads the log and fills what is below the line.
struct TracePart {
  static constexpr const char* name = "trace";
  std::string file;
  LogFormat format = LogFormat::csv;
  std::string time_column;
  std::vector<WorkColumn> work_columns;
  std::vector<Bucket> buckets;
  std::vector<NeedColumn> need_columns;
  Missing missing = Missing::refuse;
  bool sort = false;
  double train_fraction = 0.7;
  double load = 0;
  int jitter = 0;
  double scale_jitter = 0;

  // ----
  std::vector<double> work;      ///< [S, N] work that arrives in each slot of the log [wu]
  std::int64_t train_slots = 0;  ///< the first slots of `work`, for training and tuning
  std::vector<double> mean;      ///< [N] mean work per slot over the training part [wu]
  std::vector<std::vector<double>> edges;       ///< per bucket column, its inner edges, if numeric
  std::vector<std::vector<std::string>> names;  ///< per bucket column, its top values, if text
  std::vector<std::vector<double>> needs;       ///< per need column, [N] need, mean 1 over the work
  std::int64_t requests = 0;                    ///< lines of the log that became work
  std::int64_t skipped = 0;                     ///< lines left out because a value is missing
  std::int64_t slots() const {
    return mean.empty() ? 0 : static_cast<std::int64_t>(work.size() / mean.size());
  }
};
template <class V>
void fields(V& v, TracePart& k) {
  v(required("file"), k.file, "log of requests or jobs; relative to the scenario file");
  v("format", k.format,
    "`csv`: a header line names the columns; `swf`: Standard Workload Format, whose columns are "
    "called job, submit_time, wait_time, runtime, processors, cpu_time, memory, "
    "requested_processors, requested_time, requested_memory, status, user, group, executable, "
    "queue, partition, preceding_job, think_time");
  v(required("time_column"), k.time_column,
    "column of the request times: seconds, or `YYYY-MM-DD hh:mm:ss.fraction`; must be sorted");
  v(required("work"), k.work_columns, "columns that make the work, with their weights");
  v(required("buckets"), k.buckets, "columns whose buckets map a request to a node");
  v("needs", k.need_columns,
    "columns that give the resources their `need` at each node: the mean of the requests there in "
    "the training part, as a multiple of the mean of all; both weighted by work");
  v("missing", k.missing,
    "lines in which a named column is empty (swf: -1): `refuse` the file, or `skip` the line");
  v("sort", k.sort, "lines may come in any order; otherwise they must be in order of time");
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
    std::variant<ConstantPart, PoissonPart, BernoulliPart, CascadePart, BurstsPart, DiurnalPart,
                 RegimePart, DriftPart, HeavyTailPart, TracePart, ContagionPart, FramesPart,
                 SwitchPart>;  // <- the registration

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
/// In each slot a node is up or down, whatever it was before.
struct Outages {
  static constexpr const char* name = "outages";
  NodeValues up{0.9};
};
template <class V>
void fields(V& v, Outages& k) {
  v("up", k.up, Range{0, 1}, "1", "probability that a node is up in a slot");
}
using Failures = std::variant<NoFailures, WearFailures, Outages>;

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
/// Importance follows the work that arrived at another node: it is multiplied by the leader's
/// arrivals of `delay` slots before, averaged and divided by their long-run mean (mean_rate()), so
/// that it is about 1 on average; it is 1 as long as there are no such arrivals yet. Not by their
/// mean over the episode: that would tell of the future.
struct FollowCalendar {
  static constexpr const char* name = "follow";
  NodeValues leader{-1.0};
  int delay = 20;
  double smoothing = 0.9;
};
template <class V>
void fields(V& v, FollowCalendar& k) {
  v(required("leader"), k.leader, Range{-1, 65535}, "",
    "node whose arrivals each node's importance follows; -1 = it keeps its own");
  v("delay", k.delay, Range{1, 1e6}, "slots", "how far importance is behind the arrivals");
  v("smoothing", k.smoothing, below(0, 1), "1",
    "share of the average of the arrivals that stays in a slot; 0 = no average");
}
using Calendar = std::variant<SteadyCalendar, WindowsCalendar, WalkCalendar, FollowCalendar>;

/// How much work there is: the same episodes, with all work multiplied. A pool that only trains has
/// no arrivals; there a unit of work takes so much more of every resource.
enum class Level { easy, normal, hard };
constexpr double work_factor(Level level) {
  return level == Level::easy ? 0.8 : level == Level::hard ? 1.2 : 1.0;
}

struct Workload {
  int slots = 120;
  Level level = Level::normal;
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
  v("level", w.level,
    "all arrivals times 0.8, 1 or 1.2: with a load of 0.75 at `normal` that is 0.6, 0.75, 0.9; "
    "where "
    "all nodes train, all needs");
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

}  // namespace cra::sim

template <>
struct cra::Choices<cra::sim::Level> {
  static constexpr std::array<const char*, 3> names{"easy", "normal", "hard"};
};
template <>
struct cra::Choices<cra::sim::Arrival> {
  static constexpr std::array<const char*, 2> names{"lump", "stream"};
};
template <>
struct cra::Choices<cra::sim::LogFormat> {
  static constexpr std::array<const char*, 2> names{"csv", "swf"};
};
template <>
struct cra::Choices<cra::sim::Missing> {
  static constexpr std::array<const char*, 2> names{"refuse", "skip"};
};
