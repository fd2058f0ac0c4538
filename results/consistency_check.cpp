// What must hold of the pool, the tunings and the trainings of a result, and between the groups:
// words are known, indices lead somewhere, axes of the same name name the same things.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string_view>

#include "results/schema.h"

namespace cra::results {
namespace {

/// A text variable and the words it may hold, separated by blanks.
struct Words {
  const char* group;
  const char* name;
  std::string_view known;
};
constexpr auto kWords = std::to_array<Words>({
    {"node", "dynamics", "queue progress"},
    {"node", "error_kind", "backlog linear miss deadline anytime"},
    {"node", "action", "bundle per_resource raw"},
    {"node", "conflict", "waterfill none priority round_robin maxmin gps"},
    {"node", "service", "fluid lottery"},
    {"node", "reserve_dispatch", "none optimal priority"},
    {"node", "progress_error", "none power_law exponential curve"},
    {"node", "score_kind", "linear reference source"},
    {"policy", "weights", "dynamic static random shuffled"},
    {"policy", "positions", "none sinusoidal"},
});

/// A number variable and the interval it must lie in; NaN passes where the schema allows it.
struct Interval {
  const char* group;
  const char* name;
  double low, high;
};
constexpr double kNoLimit = 1.7976931348623157e308;
constexpr auto kIntervals = std::to_array<Interval>({
    {"node", "capacity", 0, kNoLimit},
    {"node", "needs", 0, kNoLimit},
    {"node", "budgets", 0, kNoLimit},
    {"node", "lag", 0, 1},
    {"node", "abandonment", 0, 1},
    {"node", "forgetting", 0, 1},
    {"node", "completion", 0, 1},
    {"node", "deadline", 1, kNoLimit},
    {"trajectory", "availability", 0, 1},
    {"trajectory", "keep", 0, 1},
    {"trajectory", "importance", 0, kNoLimit},
    {"trajectory", "arrivals", 0, kNoLimit},
    {"trajectory", "ticket", 0, 1},
    {"trajectory", "completion", 0, 1},
    {"summary", "cost_se", 0, kNoLimit},
    {"summary", "paired_se", 0, kNoLimit},
    {"summary", "episodes_won", 0, 1},
});

bool has_word(std::string_view list, std::string_view word) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

bool has(const GroupData& g, const std::string& name) {
  return std::any_of(g.variables.begin(), g.variables.end(),
                     [&](const Variable& v) { return v.name == name; });
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw InputError(path + ": " + what);
}

std::string place(const char* group, const std::string& name, std::size_t i) {
  return std::string("/").append(group).append("/").append(name).append("[") + std::to_string(i) +
         "] (row-major)";
}

void check_words(const RunFile& run, const std::string& path) {
  for (const Words& w : kWords) {
    const GroupData* g = run.group(w.group);
    if (g == nullptr) continue;
    const auto& x = values<std::string>(*g, w.name);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!has_word(w.known, x[i]))
        refuse(path, place(w.group, w.name, i) + " is \"" + x[i] +
                         "\", expected one of: " + std::string(w.known));
  }
}

void check_intervals(const RunFile& run, const std::string& path) {
  for (const Interval& v : kIntervals) {
    const GroupData* g = run.group(v.group);
    if (g == nullptr || !has(*g, v.name)) continue;
    const auto& x = values<double>(*g, v.name);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] < v.low || x[i] > v.high)
        refuse(path, place(v.group, v.name, i) + " is " + decimal(x[i]) + ", expected " +
                         (v.high == kNoLimit
                              ? "at least " + decimal(v.low)
                              : "a number in [" + decimal(v.low) + ", " + decimal(v.high) + "]"));
  }
}

/// Sizes and counts.
void check_sizes(const RunFile& run, const std::string& path) {
  struct Least {
    const char* group;
    const char* name;
    std::int64_t least;
  };
  static constexpr auto kLeast = std::to_array<Least>({{"policy", "width", 1},
                                                       {"policy", "heads", 0},
                                                       {"policy", "layers", 0},
                                                       {"policy", "points", 0},
                                                       {"policy", "weights_nodes", 0},
                                                       {"eval", "bound_steps", 0},
                                                       {"train", "env_steps", 0},
                                                       {"summary", "env_steps", 0},
                                                       {"provenance", "threads", 1},
                                                       {"provenance", "attempts", 1}});
  for (const Least& v : kLeast) {
    const GroupData* g = run.group(v.group);
    if (g == nullptr) continue;
    const auto& x = values<std::int64_t>(*g, v.name);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] < v.least)
        refuse(path, place(v.group, v.name, i) + " is " + std::to_string(x[i]) +
                         ", expected at least " + std::to_string(v.least));
  }
}

void check_links(const GroupData& node, const std::string& path) {
  if (!has(node, "link_hub")) return;
  const auto nodes = static_cast<std::int64_t>(values<std::string>(node, "node").size());
  for (const char* name : {"link_hub", "link_follower"}) {
    const auto& x = values<std::int64_t>(node, name);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] < 0 || x[i] >= nodes)
        refuse(path, place("node", name, i) + " is " + std::to_string(x[i]) +
                         ", which is not a node: there are " + std::to_string(nodes));
  }
}

/// The labels of an axis are those of another.
void check_same(const GroupData& a, const char* axis, const GroupData& b, const char* other,
                const std::string& path) {
  if (values<std::string>(a, axis) != values<std::string>(b, other))
    refuse(path, "/" + a.name + "/" + axis + " does not name what /" + b.name + "/" + other +
                     " does, in the same order");
}

/// Every label of an axis is one of another's.
template <class T>
void check_known(const GroupData& a, const GroupData& b, const char* axis,
                 const std::string& path) {
  const auto& known = values<T>(b, axis);
  const std::set<T> all(known.begin(), known.end());
  const auto& x = values<T>(a, axis);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!all.contains(x[i]))
      refuse(path, place(a.name.c_str(), axis, i) + " is not one of /" + b.name + "/" + axis);
}

void check_axes(const RunFile& run, const std::string& path) {
  const GroupData& node = *run.group("node");
  const GroupData& eval = *run.group("eval");
  if (const GroupData* t = run.group("trajectory")) {
    check_same(*t, "node", node, "node", path);
    check_known<std::string>(*t, eval, "policy", path);
    check_known<std::int64_t>(*t, eval, "episode", path);
    if (has(*t, "resource_proportion")) check_same(*t, "resource", node, "resource", path);
    if (has(*t, "observation") != has(*t, "observation_end"))
      refuse(path, "/trajectory has one of observation and observation_end, expected both");
  }
  if (const GroupData* a = run.group("attention")) {
    check_same(*a, "node", node, "node", path);
    check_same(*a, "looker", node, "node", path);
  }
  const auto episodes = static_cast<std::int64_t>(values<std::int64_t>(eval, "episode").size());
  const std::int64_t said = values<std::int64_t>(*run.group("summary"), "episodes").at(0);
  if (said != episodes)
    refuse(path, "/summary/episodes is " + std::to_string(said) + ", /eval has " +
                     std::to_string(episodes));
}

/// One training at most is stored, and it is one that there was; nothing is beyond its updates.
void check_training(const RunFile& run, const std::string& path) {
  const GroupData* train = run.group("train");
  const auto& of_policy = values<std::int64_t>(*run.group("eval"), "training");
  const auto trainings =
      train == nullptr ? std::int64_t{0}
                       : static_cast<std::int64_t>(values<std::int64_t>(*train, "training").size());
  for (std::size_t i = 0; i < of_policy.size(); ++i)
    if (of_policy[i] < -1 || of_policy[i] >= trainings)
      refuse(path, place("eval", "training", i) + " is " + std::to_string(of_policy[i]) +
                       ", which is not a training: there are " + std::to_string(trainings));
  if (train == nullptr) return;
  const auto& stored = values<std::int8_t>(*train, "stored");
  const auto count = std::count(stored.begin(), stored.end(), std::int8_t{1});
  if (count != (run.group("policy") == nullptr ? 0 : 1))
    refuse(path, "/train/stored marks " + std::to_string(count) + " trainings, /policy is " +
                     (run.group("policy") == nullptr ? "not there" : "one of them"));
  const auto updates = static_cast<std::int64_t>(values<std::int64_t>(*train, "update").size());
  const auto& done = values<std::int64_t>(*train, "updates");
  const auto& kept = values<std::int64_t>(*train, "kept_update");
  for (std::size_t k = 0; k < done.size(); ++k) {
    if (done[k] < 0 || done[k] > updates)
      refuse(path, place("train", "updates", k) + " is " + std::to_string(done[k]) +
                       ", there are " + std::to_string(updates));
    if (kept[k] < 0 || kept[k] > done[k])
      refuse(path, place("train", "kept_update", k) + " is " + std::to_string(kept[k]) + " of " +
                       std::to_string(done[k]) + " updates");
  }
}

/// Every tuned baseline has one choice, the candidate that cost least.
void check_tuning(const GroupData& tuning, const std::string& path) {
  struct Choice {
    int count = 0;
    double cost = 0, least = kNoLimit;
  };
  std::map<std::string, Choice> by_name;
  const auto& name = values<std::string>(tuning, "baseline");
  const auto& cost = values<double>(tuning, "cost");
  const auto& chosen = values<std::int8_t>(tuning, "chosen");
  for (std::size_t i = 0; i < name.size(); ++i) {
    Choice& c = by_name[name[i]];
    c.least = std::min(c.least, cost[i]);
    if (chosen[i] == 0) continue;
    ++c.count;
    c.cost = cost[i];
  }
  for (const auto& [baseline, c] : by_name)
    if (c.count != 1 || c.cost > c.least)
      refuse(path, "/tuning/chosen marks " + std::to_string(c.count) + " candidates of " +
                       baseline +
                       (c.count == 1 ? ", and not the one that cost least" : ", expected one"));
}

/// Differences to the reference are those of the mean costs, inside their intervals' order.
void check_pairs(const GroupData& summary, const std::string& path) {
  const auto& policies = values<std::string>(summary, "policy");
  const auto& cost = values<double>(summary, "cost");
  const auto& difference = values<double>(summary, "paired_difference");
  const auto& low = values<double>(summary, "ci_low");
  const auto& high = values<double>(summary, "ci_high");
  const std::string& best = values<std::string>(summary, "best_heuristic")[0];
  const auto at = static_cast<std::size_t>(std::find(policies.begin(), policies.end(), best) -
                                           policies.begin());
  for (std::size_t i = 0; i < policies.size(); ++i) {
    for (const char* name : {"paired_se", "ci_low", "ci_high", "episodes_won"})
      if (std::isnan(values<double>(summary, name)[i]) != std::isnan(difference[i]))
        refuse(path, place("summary", name, i) +
                         " is missing and paired_difference is not, or "
                         "the other way round");
    if (std::isnan(difference[i])) continue;
    const double expected = at < cost.size() ? cost[i] - cost[at] : difference[i];
    if (best.empty() || !nearly(difference[i], expected))
      refuse(path, place("summary", "paired_difference", i) + " is " + decimal(difference[i]) +
                       ", the costs differ by " + decimal(expected));
    if (low[i] > high[i])
      refuse(path, place("summary", "ci_low", i) + " is " + decimal(low[i]) + ", above ci_high, " +
                       decimal(high[i]));
  }
}

}  // namespace

void check_between_groups(const RunFile& run, const std::string& path) {
  check_words(run, path);
  check_intervals(run, path);
  check_sizes(run, path);
  check_links(*run.group("node"), path);
  check_axes(run, path);
  check_training(run, path);
  if (const GroupData* tuning = run.group("tuning")) check_tuning(*tuning, path);
  check_pairs(*run.group("summary"), path);
}

}  // namespace cra::results
