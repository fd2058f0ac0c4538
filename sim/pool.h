// sim/pool.h: the nodes and what they share, as scenario files describe them. Part of sim/sim.h.
#pragma once

#include <array>
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
/// `priority` goes by importance-weighted need, as far as the scarcest resource of the reserve
/// goes, and gives what is left of others in order of importance to those whom it fits.
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
  v("dispatch", r.dispatch,
    "how the reserve is shared out: `optimal`, for one resource that all nodes need alike, or by "
    "`priority`");
}
using Reserve = std::variant<NoReserve, SharedReserve>;

/// One of several resources that all nodes share. A unit of work takes all of them at once
/// (Leontief), so a rate is limited by whichever runs out first.
struct Resource {
  std::string name;
  NodeValues need{1.0};
  double budget = 0;
  std::vector<double> need_of_trace;  ///< [N] in place of `need`, from a trace; empty without one
};
template <class V>
void fields(V& v, Resource& r) {
  v(required("name"), r.name, "name of the resource");
  v("need", r.need, Range{0, 1e9}, "ru/wu", "resource that a unit of work takes on each node");
  v("budget", r.budget, Range{0, 1e15}, "ru/slot",
    "amount shared by all nodes; 0 stands for the number of nodes");
}

/// What a decision holds: one weight for every node, of all resources at once (Leontief needs lose
/// nothing by that), or one for every resource and node; or the sources' literal rule, by which a
/// weight w of sum 1 commands w times the capacity and about 1/N of the pool is used.
enum class Action { bundle, per_resource, raw };

/// What becomes of the share that a node at its capacity cannot take. With `gps` the commands are
/// those of `waterfill`, and what a node cannot use in a slot is lent to others within that slot.
enum class Conflict { waterfill, none, priority, round_robin, maxmin, gps };

/// Placed rates work on all nodes at once.
struct FluidService {
  static constexpr const char* name = "fluid";
};
template <class V>
void fields(V&, FluidService&) {}
/// One server: each slot it draws a node by the shares of the decision and works on one job of it
/// (lottery scheduling, Waldspurger and Weihl 1994). Placement has no lag and no caps here.
struct LotteryService {
  static constexpr const char* name = "lottery";
  NodeValues completion{1.0};
  double job = 1;
};
template <class V>
void fields(V& v, LotteryService& k) {
  v("completion", k.completion, above(0, 1), "1",
    "probability that the job of the node that was drawn is done in the slot");
  v("job", k.job, above(0, 1e9), "wu", "work of one job");
}
using Service = std::variant<FluidService, LotteryService>;

struct Pool {
  int nodes = 0;
  std::vector<Group> groups;  ///< empty, or counts that sum to `nodes`
  NodeValues capacity{4.0};   ///< [N] most work node n can do in a slot [wu/slot]
  NodeValues need{1.0};       ///< [N] resource per work d_n [ru/wu]
  double budget = 0;          ///< resource shared by all nodes R [ru/slot]; 0 stands for N
  double lag = 0.25;          ///< placement gain eta: m <- (1-eta) m + eta command
  Geometry geometry = Geometry::none;
  Action action = Action::bundle;
  Conflict conflict = Conflict::waterfill;
  double quantum = 0.1;  ///< of round_robin [ru]
  Service service;
  Reserve reserve;
  std::vector<Resource> resources;  ///< several resources instead of `need` and `budget`

  // Filled by resolve(), from `resources` or from `need` and `budget`.
  std::vector<double> needs;       ///< [N, K] resource per work d_nk [ru/wu]
  std::vector<double> budgets;     ///< [K] R_k [ru/slot]
  std::vector<Dynamics> dynamics;  ///< [N]

  int resource_count() const { return static_cast<int>(budgets.size()); }
  double need_of(int n, int k) const {
    return needs[static_cast<std::size_t>(n) * budgets.size() + static_cast<std::size_t>(k)];
  }
  bool is_progress(int n) const {
    return dynamics[static_cast<std::size_t>(n)] == Dynamics::progress;
  }
  bool has_progress() const {
    for (const Dynamics d : dynamics)
      if (d == Dynamics::progress) return true;
    return false;
  }
  const SharedReserve* shared_reserve() const { return std::get_if<SharedReserve>(&reserve); }
  const LotteryService* lottery() const { return std::get_if<LotteryService>(&service); }
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
  v("action", p.action,
    "a decision is a weight per node (`bundle`), per resource and node (`per_resource`), or the "
    "literal share of the capacity (`raw`), which leaves most of the pool idle");
  v("conflict", p.conflict,
    "who gets what a node at its capacity cannot take: all others by weight (`waterfill`), nobody "
    "(`none`), the important first (`priority`), all in turn (`round_robin`), all alike "
    "(`maxmin`); "
    "`gps` also lends, within the slot, what a node cannot use");
  v("quantum", p.quantum, above(0, 1e9), "ru", "most that `round_robin` gives a node in its turn");
  v("service", p.service, "placed rates serve all nodes, or one server draws a node in each slot");
  v("reserve", p.reserve, "whether a share of the budget can be kept back for bursts");
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
struct cra::Choices<cra::sim::Action> {
  static constexpr std::array<const char*, 3> names{"bundle", "per_resource", "raw"};
};
template <>
struct cra::Choices<cra::sim::Conflict> {
  static constexpr std::array<const char*, 6> names{"waterfill",   "none",   "priority",
                                                    "round_robin", "maxmin", "gps"};
};
template <>
struct cra::Choices<cra::sim::Dispatch> {
  static constexpr std::array<const char*, 2> names{"optimal", "priority"};
};
