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
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base.h"
#include "sim/rng.h"

namespace cra::sim {

// ---- parameters ------------------------------------------------------------------------

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

/// Consecutive nodes with a common name, so that a file with 100 nodes stays short.
struct Group {
  std::string name;
  int count = 1;
};
template <class V>
void fields(V& v, Group& g) {
  v(required("name"), g.name, "name of the group, used by per-node values `{name: number}`");
  v(required("count"), g.count, Range{1, 65536}, "", "nodes in this group");
}

/// How nodes lie to each other: decides the path of a cascade and the position features.
enum class Geometry { none, ring, chain };

struct Pool {
  int nodes = 0;
  std::vector<Group> groups;  ///< empty, or counts that sum to `nodes`
  NodeValues capacity{4.0};   ///< [N] most work node n can do in a slot [wu/slot]
  NodeValues need{1.0};       ///< [N] resource per work d_n [ru/wu]
  double budget = 0;          ///< resource shared by all nodes R [ru/slot]; 0 stands for N
  double lag = 0.25;          ///< placement gain eta: m <- (1-eta) m + eta command
  Geometry geometry = Geometry::none;
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

using WorkloadPart = std::variant<ConstantPart, PoissonPart, CascadePart, TracePart>;

struct Workload {
  int slots = 120;
  double slot_seconds = 1;
  double abandonment = 0.02;
  NodeValues importance{1.0};
  Noise noise;
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
  v("noise", w.noise, "noise on the summed mean rates of the parts");
  v(required("parts"), w.parts, "where work comes from; the parts add up");
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

/// linear: P = 1 - eps, in (-inf, 1].
enum class ScoreKind { linear };

struct Cost {
  double switching = 0;
  double switching_smoothing = 0.02;
  ScoreKind score = ScoreKind::linear;
};
template <class V>
void fields(V& v, Cost& c) {
  v("switching", c.switching, Range{0, 1e6}, "slot/wu", "weight of the movement of placed rates");
  v("switching_smoothing", c.switching_smoothing, above(0, 1e6), "wu/slot",
    "movement below which the switching cost is quadratic");
  v("score", c.score, "how errors become performance scores");
}

/// Everything constant about a simulation.
struct Params {
  Pool pool;
  Workload workload;
  ErrorModel errors;
  Cost cost;
};
template <class V>
void fields(V& v, Params& p) {
  v(required("pool"), p.pool, "the nodes and what they share");
  v(required("workload"), p.workload, "the work that arrives");
  v("errors", p.errors, "how unserved work becomes an error");
  v("cost", p.cost, "weights of the cost terms, and the performance score");
}

/// Fills every NodeValues and checks what no single key can: list lengths, group names and counts,
/// budget <= sum of capacity * need, trace shapes. Call once after load (and after trace data has
/// been read). \returns what is wrong, empty when all is well
std::vector<Problem> resolve(Params& p, std::uint64_t seed);

/// Mean work that arrives at each node in a slot, as far as the parts are steady: constant and
/// poisson rates and training means of traces; bursts are not in it. [N], [wu/slot]
std::vector<double> base_rate(const Params& p);

// ---- exogenous input -------------------------------------------------------------------

/// All randomness of I episodes of T slots.
struct Exogenous {
  std::int64_t episodes = 0;         ///< I
  int slots = 0;                     ///< T
  int nodes = 0;                     ///< N
  std::vector<double> arrivals;      ///< [I, T, N] work that arrives during the slot, >= 0 [wu]
  std::vector<double> availability;  ///< [I, T, N] share of the capacity that is up, in [0, 1]
  std::vector<double> importance;    ///< [I, T, N] weight of the error, >= 0

  std::size_t at(std::int64_t i, int t) const {
    return static_cast<std::size_t>((i * slots + t) * nodes);
  }
};

/// Draws episodes first .. first + count - 1 of a family. "The first 24 of 256" equal "24".
/// \throws Error  when a trace has fewer evaluation windows than asked for, or is too short
Exogenous draw(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t first,
               std::int64_t count);

/// Evaluation episodes that exist: the disjoint windows of the shortest trace's last part, or
/// 2^31 when the workload has no trace.
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
  std::vector<double> rate;           ///< [E, N] m, placed rate [wu/slot]
  std::vector<double> arrivals_fast;  ///< [E, N] EWMA of arrivals, weight 0.5 [wu/slot]
  std::vector<double> arrivals_slow;  ///< [E, N] EWMA of arrivals, weight 0.1 [wu/slot]
  std::vector<double> arrivals_last;  ///< [E, N] arrivals of the slot before [wu]
  std::vector<double> importance;     ///< [E, N] W of the slot to come (a calendar, known ahead)
  std::vector<double> error;          ///< [E, N] eps at the end of the slot before
  // ---- results of the last step; a policy has no business here before observing
  std::vector<double> grant;           ///< [E, N] s, commanded rate after water-filling [wu/slot]
  std::vector<double> served;          ///< [E, N] work done [wu]
  std::vector<double> lost;            ///< [E, N] work abandoned [wu]
  std::vector<double> error_cost;      ///< [E] importance-weighted error, mean over nodes
  std::vector<double> switching_cost;  ///< [E] weighted movement, mean over nodes
  std::vector<double> cost;            ///< [E] sum of the cost terms
  std::vector<double> score;           ///< [E] importance-weighted performance score of the pool

  std::size_t at(std::int64_t e) const { return static_cast<std::size_t>(e * nodes); }
};

/// A fresh batch at slot 0: empty queues, the fair water-filled placement, averages at base_rate.
/// \param episode  [E] rows of `x`, one per environment; rows may repeat (replicas)
Batch reset(const Params& p, const Exogenous& x, std::vector<std::int64_t> episode);

/// Simulates one slot for every environment: water-filling of the weights inside budget and
/// caps, lag, service, abandonment, errors, cost; then the averages a policy may see.
/// Model: model sections 1.5 (water-fill), 1.6 (lag), 1.7 (queue), 1.8 (error), 1.10 (cost).
/// \param weights  [E, N] any positive scale, finite, >= 0; only ratios matter
/// \throws Error   when the shape is wrong, a weight is negative or not finite (names env and
///                 node), or the batch is past the last slot of `x`
void step(const Params& p, const Exogenous& x, Batch& b, View<const double> weights);

/// Number of features that observe() writes, F.
int feature_count(const Params& p);
/// Their names, in order.
std::vector<std::string> feature_names(const Params& p);

/// Features of every node as a policy sees them before the slot, not normalised.
/// \param features  [E * N, F] row-major
void observe(const Params& p, const Batch& b, View<float> features);

// ---- formulas, once, for host and device -----------------------------------------------

/// Backlog error phi(z) = z^2 / (1 + z), z >= 0.
template <class T>
CRA_HD T backlog_phi(T z) {
  return z * z / (T(1) + z);
}
/// phi'(z) = 1 - 1 / (1 + z)^2.
template <class T>
CRA_HD T backlog_phi_slope(T z) {
  return T(1) - T(1) / ((T(1) + z) * (T(1) + z));
}
/// Movement cost of one node, smooth at 0: sqrt(dm^2 + d^2) - d.
template <class T>
CRA_HD T movement(T dm, T d) {
  using std::sqrt;
  return sqrt(dm * dm + d * d) - d;
}
/// Lag: m <- (1 - eta) m + eta s.
template <class T>
CRA_HD T lagged(T m, T s, T eta) {
  return (T(1) - eta) * m + eta * s;
}

/// The sources' literal rule p_n = w_n c_n / budget. Does not sum to 1: about 1/N of the pool is
/// used when sum w = 1. \param p [n] on return
template <class T>
CRA_HD void raw_proportions(const T* w, const T* c, T budget, T* p, int n) {
  for (int i = 0; i < n; ++i) p[i] = w[i] * c[i] / budget;
}
/// The working version of the same rule: p_n = w_n c_n / sum_j w_j c_j.
template <class T>
CRA_HD void capacity_proportions(const T* w, const T* c, T* p, int n) {
  T sum = 0;
  for (int i = 0; i < n; ++i) sum += w[i] * c[i];
  for (int i = 0; i < n; ++i) p[i] = w[i] * c[i] / sum;
}
/// The sources' performance scores P_n = (1 - eps_n) / max_j eps_j. For reporting only: unbounded
/// as errors vanish, and a change of the worst node rescales all. \param score [n] on return
template <class T>
CRA_HD void source_scores(const T* error, T* score, int n) {
  T worst = error[0];
  for (int i = 1; i < n; ++i) worst = error[i] > worst ? error[i] : worst;
  for (int i = 0; i < n; ++i) score[i] = (T(1) - error[i]) / worst;
}
/// The sources' reweighting a <- a exp(g / temperature) / Z: exponentiated gradient, which is
/// mirror descent on the simplex. \param a [n] on the simplex, updated; the largest g is subtracted
/// first
template <class T>
CRA_HD void exponentiated_gradient(T* a, const T* g, T temperature, int n) {
  using std::exp;
  T top = g[0], sum = 0;
  for (int i = 1; i < n; ++i) top = g[i] > top ? g[i] : top;
  for (int i = 0; i < n; ++i) sum += a[i] *= exp((g[i] - top) / temperature);
  for (int i = 0; i < n; ++i) a[i] /= sum;
}

/// One resource: s_n = min(cap_n, theta w_n) with sum_n need_n s_n = budget (or everything capped).
/// Rounds of "cap what overflows, spread the rest": theta only grows, so each node is capped once;
/// at most N + 1 rounds, two in practice, and no sorting, so the loop suits host and device.
/// \param w       [n] weights >= 0; below 1e-9 of the largest they count as 1e-9 of it
/// \param s       [n] on return rates with 0 <= s <= cap, sum need s <= budget
/// \returns theta, or +inf when all nodes are capped
template <class T>
CRA_HD T waterfill(const T* w, const T* cap, const T* need, T budget, T* s, int n) {
  T largest = 0;
  for (int i = 0; i < n; ++i) largest = w[i] > largest ? w[i] : largest;
  const bool any = largest > T(0);
  const T floor = T(1e-9);
  for (int i = 0; i < n; ++i) s[i] = T(-1);  // -1 marks a node that is not capped yet
  for (int round = 0; round <= n; ++round) {
    T left = budget, pull = 0;
    for (int i = 0; i < n; ++i) {
      if (s[i] >= T(0)) {
        left -= need[i] * s[i];
      } else {
        const T wi = any ? w[i] / largest : T(1);
        pull += need[i] * (wi > floor ? wi : floor);
      }
    }
    if (!(pull > T(0))) return std::numeric_limits<T>::infinity();
    const T theta = left > T(0) ? left / pull : T(0);  // rounding may leave -1e-16: clamp
    bool capped = false;
    for (int i = 0; i < n; ++i) {
      if (s[i] >= T(0)) continue;
      const T wi = any ? w[i] / largest : T(1);
      if (theta * (wi > floor ? wi : floor) >= cap[i]) {
        s[i] = cap[i];
        capped = true;
      }
    }
    if (!capped) {
      for (int i = 0; i < n; ++i) {
        if (s[i] >= T(0)) continue;
        const T wi = any ? w[i] / largest : T(1);
        s[i] = theta * (wi > floor ? wi : floor);
      }
      return any ? theta / largest : theta;
    }
  }
  return std::numeric_limits<T>::infinity();
}

}  // namespace cra::sim

template <>
struct cra::Choices<cra::sim::Geometry> {
  static constexpr std::array<const char*, 3> names{"none", "ring", "chain"};
};
template <>
struct cra::Choices<cra::sim::Arrival> {
  static constexpr std::array<const char*, 2> names{"lump", "stream"};
};
template <>
struct cra::Choices<cra::sim::ScoreKind> {
  static constexpr std::array<const char*, 1> names{"linear"};
};
