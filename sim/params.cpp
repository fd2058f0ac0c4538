// Checks across keys, and per-node values.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "sim/errors.h"
#include "sim/place_jobs.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

/// Resolves one NodeValues after another; each distribution has a stream position of its own.
class Resolver {
 public:
  Resolver(const Pool& pool, std::uint64_t seed, std::vector<Problem>& problems)
      : pool_(pool), seed_(seed), problems_(problems) {}

  void operator()(NodeValues& v, const std::string& path) {
    const auto n = static_cast<std::size_t>(pool_.nodes);
    v.value.assign(n, 0);
    const int field = field_++;
    if (const auto* x = std::get_if<double>(&v.given)) {
      std::fill(v.value.begin(), v.value.end(), *x);
    } else if (const auto* list = std::get_if<std::vector<double>>(&v.given)) {
      if (list->size() != n) {
        problems_.push_back({path, "has " + std::to_string(list->size()) +
                                       " numbers, expected one for each of the " +
                                       std::to_string(n) + " nodes"});
        return;
      }
      v.value = *list;
    } else if (const auto* range = std::get_if<NodeValues::Uniform>(&v.given)) {
      for (int i = 0; i < pool_.nodes; ++i) {
        Draws draws(seed_, EpisodeSet::training, field, Stream::node_values, i, 0);
        v.value[static_cast<std::size_t>(i)] =
            range->lo + (range->hi - range->lo) * draws.uniform();
      }
    } else {
      by_group(v, std::get<NodeValues::ByGroup>(v.given), path);
    }
  }

 private:
  void by_group(NodeValues& v, const NodeValues::ByGroup& given, const std::string& path) {
    for (const auto& entry : given) {
      const auto known = [&](const Group& g) { return g.name == entry.first; };
      if (std::none_of(pool_.groups.begin(), pool_.groups.end(), known))
        problems_.push_back({path, "names the group \"" + entry.first +
                                       "\", which is not in pool.groups" + known_groups()});
    }
    std::size_t node = 0;
    for (const Group& group : pool_.groups) {
      const auto entry = std::find_if(given.begin(), given.end(),
                                      [&](const auto& e) { return e.first == group.name; });
      if (entry == given.end()) {
        problems_.push_back({path, "has no number for the group \"" + group.name + "\""});
        continue;
      }
      for (int i = 0; i < group.count && node < v.value.size(); ++i)
        v.value[node++] = entry->second;
    }
  }

  std::string known_groups() const {
    if (pool_.groups.empty()) return " (there are no groups)";
    std::string text = " (";
    for (const Group& group : pool_.groups) text += (text.size() > 2 ? ", " : "") + group.name;
    return text + ")";
  }

  const Pool& pool_;
  std::uint64_t seed_;
  std::vector<Problem>& problems_;
  int field_ = 0;
};

std::string number(double x) {
  std::string text = std::to_string(x);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

void check_groups(const Pool& pool, std::vector<Problem>& problems) {
  if (pool.groups.empty()) return;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < pool.groups.size(); ++i) {
    count += pool.groups[i].count;
    for (std::size_t j = 0; j < i; ++j)
      if (pool.groups[i].name == pool.groups[j].name)
        problems.push_back(
            {"pool.groups", "names the group \"" + pool.groups[i].name + "\" twice"});
  }
  if (count != pool.nodes)
    problems.push_back(
        {"pool.groups", "holds " + std::to_string(count) +
                            " nodes, expected pool.nodes = " + std::to_string(pool.nodes)});
}

void check_order(const std::array<int, 2>& pair, const std::string& path,
                 std::vector<Problem>& problems) {
  if (pair[0] > pair[1])
    problems.push_back({path, "is [" + std::to_string(pair[0]) + ", " + std::to_string(pair[1]) +
                                  "], expected the smaller number first"});
}

/// \returns whether nodes_of() can be asked
bool check_group(const Pool& pool, const std::string& group, const std::string& path,
                 std::vector<Problem>& problems) {
  std::string known;
  for (const Group& g : pool.groups) {
    if (g.name == group) return true;
    known += (known.empty() ? "" : ", ") + g.name;
  }
  if (group.empty()) return true;
  problems.push_back({path, "is \"" + group + "\", expected a group of pool.groups (" +
                                (known.empty() ? "there are none" : known) + ")"});
  return false;
}

// What no single key of a part can tell.
template <class Part>
void check_part(const Part&, const Params&, const std::string&, std::vector<Problem>&) {}
void check_part(const FramesPart& part, const Params&, const std::string& path,
                std::vector<Problem>& problems) {
  if (part.length > part.period)
    problems.push_back({path + ".length", "is " + std::to_string(part.length) +
                                              ", expected at most the period of " +
                                              std::to_string(part.period)});
}
void check_part(const CascadePart& part, const Params& p, const std::string& path,
                std::vector<Problem>& problems) {
  const NodeRun run = nodes_of(p.pool, part.group);
  if (part.first >= 0 && (part.first < run.first || part.first >= run.first + run.count))
    problems.push_back({path + ".first", "is " + std::to_string(part.first) + ", expected -1 or " +
                                             std::to_string(run.first) + " to " +
                                             std::to_string(run.first + run.count - 1)});
}
void check_part(const TracePart& trace, const Params& p, const std::string& path,
                std::vector<Problem>& problems) {
  if (trace.mean.empty()) return;  // the log could not be read: that has been said already
  const std::int64_t slots = trace.slots(), test = slots - trace.train_slots;
  const std::int64_t window = p.workload.slots;
  if (static_cast<int>(trace.mean.size()) != p.pool.nodes)
    problems.push_back(
        {path + ".buckets", "make " + std::to_string(trace.mean.size()) +
                                " nodes, expected pool.nodes = " + std::to_string(p.pool.nodes)});
  if (trace.train_slots < window + 2 * std::int64_t{trace.jitter})
    problems.push_back({path + ".train_fraction", "leaves " + std::to_string(trace.train_slots) +
                                                      " training slots, fewer than one window of " +
                                                      std::to_string(window) +
                                                      " slots with jitter on both sides"});
  if (test < window)
    problems.push_back(
        {path + ".train_fraction", "leaves " + std::to_string(test) +
                                       " evaluation slots, fewer than one window of " +
                                       std::to_string(window) + " slots"});
}

void check_hidden(const std::vector<std::string>& hidden, std::vector<Problem>& problems) {
  const std::vector<std::string> names = hideable();
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const std::string path = "observation.hidden[" + std::to_string(i) + "]";
    const auto here = hidden.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(names.begin(), names.end(), hidden[i]) == names.end())
      problems.push_back({path, "is \"" + hidden[i] + "\", expected one of " + known});
    else if (std::find(hidden.begin(), here, hidden[i]) != here)
      problems.push_back({path, "names \"" + hidden[i] + "\" a second time"});
  }
}

void check_leaders(const FollowCalendar& calendar, const Params& p,
                   std::vector<Problem>& problems) {
  const std::vector<double> mean = mean_rate(p);
  for (int n = 0; n < p.pool.nodes; ++n) {
    const double leader = calendar.leader[n];
    std::string wrong;
    if (leader != std::floor(leader) || leader >= p.pool.nodes)
      wrong = ", expected a whole number from -1 to " + std::to_string(p.pool.nodes - 1);
    else if (leader >= 0 && !(mean[static_cast<std::size_t>(leader)] > 0))
      wrong = ", a node at which no work arrives";
    if (wrong.empty()) continue;
    problems.push_back({"workload.calendar.leader",
                        "of node " + std::to_string(n) + " is " + number(leader) + wrong});
    return;
  }
}

void resolve_dynamics(Pool& pool) {
  pool.dynamics.clear();
  for (const Group& group : pool.groups)
    pool.dynamics.insert(pool.dynamics.end(), static_cast<std::size_t>(group.count),
                         group.dynamics);
  pool.dynamics.resize(static_cast<std::size_t>(pool.nodes), Dynamics::queue);
}

void check_progress_errors(const Params& p, std::vector<Problem>& problems) {
  std::visit(
      [&](const auto& error) {
        if constexpr (requires { error.floor; }) {
          for (int n = 0; n < p.pool.nodes; ++n)
            if (error.floor[n] + error.gain[n] > 1 + 1e-12) {
              problems.push_back({"progress.error.gain",
                                  "and floor sum to " + number(error.floor[n] + error.gain[n]) +
                                      " at node " + std::to_string(n) + ", expected at most 1"});
              return;
            }
        }
      },
      p.progress.error);
}

/// What the error of queue nodes asks of the rest, and the mean rates it is measured by.
void resolve_queue_errors(Params& p, std::vector<Problem>& problems) {
  std::visit(
      [&](auto& error) {
        if constexpr (requires { error.mean; }) {
          error.mean = base_rate(p);
          for (double& rate : error.mean) rate = std::max(rate, error.floor);
        }
      },
      p.errors);
  const SharedReserve* reserve = p.pool.shared_reserve();
  if (reserve != nullptr && std::holds_alternative<AnytimeError>(p.errors))
    problems.push_back({"pool.reserve", "serves work that waits; with `anytime` errors none does"});
  if (reserve != nullptr && reserve->dispatch == Dispatch::optimal &&
      (std::holds_alternative<LinearError>(p.errors) ||
       std::holds_alternative<MissError>(p.errors) ||
       std::holds_alternative<DeadlineError>(p.errors)))
    problems.push_back({"pool.reserve.dispatch",
                        "is optimal, which evens out the slopes of `backlog` errors; these errors "
                        "are linear, expected priority"});
  if (std::holds_alternative<MissError>(p.errors) && p.workload.abandonment == 0)
    problems.push_back(
        {"workload.abandonment", "is 0, but `miss` errors are the work that is abandoned"});
  if (const auto* k = std::get_if<DeadlineError>(&p.errors)) {
    if (p.workload.abandonment != 0)
      problems.push_back({"workload.abandonment", "is " + number(p.workload.abandonment) +
                                                      ", expected 0 with `deadline` errors: work "
                                                      "leaves when it is late"});
    for (int n = 0; n < p.pool.nodes; ++n)
      if (k->slots[n] != std::floor(k->slots[n])) {
        problems.push_back({"errors.slots", "is " + number(k->slots[n]) + " at node " +
                                                std::to_string(n) + ", expected a whole number"});
        break;
      }
  }
  if (const auto* k = std::get_if<AnytimeError>(&p.errors))
    for (int n = 0; n < p.pool.nodes; ++n)
      if (k->floor[n] + k->gain[n] > 1 + 1e-12) {
        problems.push_back({"errors.gain", "and floor sum to " + number(k->floor[n] + k->gain[n]) +
                                               " at node " + std::to_string(n) +
                                               ", expected at most 1"});
        break;
      }
}

/// Hubs and followers exist, are progress nodes, and no node gains more from others than from a
/// service of its own as large as theirs.
void check_sharing(const Params& p, std::vector<Problem>& problems) {
  std::vector<double> gain(static_cast<std::size_t>(p.pool.nodes), 0);
  for (std::size_t i = 0; i < p.progress.sharing.size(); ++i) {
    const Sharing& s = p.progress.sharing[i];
    const std::string path = "progress.sharing[" + std::to_string(i) + "]";
    const auto known = [&](int n, const std::string& key) {
      if (n < p.pool.nodes && p.pool.is_progress(n)) return true;
      problems.push_back({path + key, (key == ".hub" ? "is " : "hold ") + std::to_string(n) +
                                          ", expected the number of a progress node"});
      return false;
    };
    if (!known(s.hub, ".hub")) return;
    for (const int f : s.followers) {
      if (!known(f, ".followers")) return;
      if (f == s.hub) {
        problems.push_back(
            {path + ".followers", "hold the hub " + std::to_string(f) + ", which is none of them"});
        return;
      }
      gain[static_cast<std::size_t>(f)] += s.weight;
      if (gain[static_cast<std::size_t>(f)] > 1 + 1e-12) {
        problems.push_back({path + ".weight", "makes the weights of node " + std::to_string(f) +
                                                  " sum to " +
                                                  number(gain[static_cast<std::size_t>(f)]) +
                                                  ", expected at most 1"});
        return;
      }
    }
  }
}

/// The envelope of a measured curve, by which it is replaced.
void resolve_curve(CurveSource& source, const std::string& path, std::vector<Problem>& problems) {
  if (source.x.empty()) {
    problems.push_back({path + ".file", "gave no points"});
    return;
  }
  for (std::size_t i = 0; i < source.x.size(); ++i)
    if (!(source.x[i] >= 0 && source.error[i] >= 0)) {
      problems.push_back({path + ".file", "has an error of " + number(source.error[i]) +
                                              " at a progress of " + number(source.x[i]) +
                                              ", expected no negative number; see `value`, "
                                              "`value_scale` and `progress_scale`"});
      return;
    }
  std::vector<double> x = source.x, error = source.error;
  x.push_back(0);
  error.push_back(source.start);
  source.curve = convex_envelope(x, error);
  source.change = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    source.change = std::max(source.change, error[i] - curve_value(source.curve, x[i]));
}

/// Gives every progress node a curve: one of its group's, or of those for no group, in turn.
void resolve_curves(CurveError& error, const Pool& pool, std::vector<Problem>& problems) {
  const std::string path = "progress.error.curves";
  std::vector<std::string> group_of;
  for (const Group& group : pool.groups)
    group_of.insert(group_of.end(), static_cast<std::size_t>(group.count), group.name);
  group_of.resize(static_cast<std::size_t>(pool.nodes));
  for (std::size_t i = 0; i < error.curves.size(); ++i) {
    CurveSource& source = error.curves[i];
    const std::string at = path + "[" + std::to_string(i) + "]";
    resolve_curve(source, at, problems);
    if (!source.group.empty() &&
        std::find(group_of.begin(), group_of.end(), source.group) == group_of.end())
      problems.push_back(
          {at + ".group", "is \"" + source.group + "\", which is not in pool.groups"});
  }
  error.source.assign(group_of.size(), -1);
  std::map<std::string, std::size_t> turn;
  for (int n = 0; n < pool.nodes; ++n) {
    if (!pool.is_progress(n)) continue;
    std::vector<int> own, common;
    for (std::size_t i = 0; i < error.curves.size(); ++i) {
      if (error.curves[i].group.empty()) {
        common.push_back(static_cast<int>(i));
      } else if (error.curves[i].group == group_of[static_cast<std::size_t>(n)]) {
        own.push_back(static_cast<int>(i));
      }
    }
    const std::vector<int>& choice = own.empty() ? common : own;
    if (choice.empty()) {
      problems.push_back({path, "hold no curve for node " + std::to_string(n)});
      return;
    }
    std::size_t& next = turn[own.empty() ? "" : group_of[static_cast<std::size_t>(n)]];
    error.source[static_cast<std::size_t>(n)] = choice[next++ % choice.size()];
  }
}

/// Fills needs and budgets, whichever way they were given, and checks that the budgets can be used.
void resolve_resources(Pool& pool, Level level, std::vector<Problem>& problems) {
  // Where nothing arrives, more work means that a unit of it takes more.
  const bool only_trains = !pool.groups.empty() &&
                           std::all_of(pool.groups.begin(), pool.groups.end(), [](const Group& g) {
                             return g.dynamics == Dynamics::progress;
                           });
  const double factor = only_trains ? work_factor(level) : 1;
  std::vector<Resource*> all;
  Resource only{"", pool.need, pool.budget, {}};
  for (Resource& r : pool.resources) all.push_back(&r);
  if (all.empty()) all.push_back(&only);
  const std::size_t count = all.size();
  for (std::size_t k = 0; k < pool.resources.size(); ++k)
    for (std::size_t j = 0; j < k; ++j)
      if (pool.resources[k].name == pool.resources[j].name)
        problems.push_back(
            {"pool.resources[" + std::to_string(k) + "].name",
             "is \"" + pool.resources[k].name + "\", like that of another resource"});
  pool.needs.assign(static_cast<std::size_t>(pool.nodes) * count, 0);
  pool.budgets.assign(count, 0);
  for (std::size_t k = 0; k < count; ++k) {
    Resource& r = *all[k];
    const std::string path =
        pool.resources.empty() ? "pool" : "pool.resources[" + std::to_string(k) + "]";
    if (r.budget == 0) r.budget = pool.nodes;
    double most = 0;
    const std::vector<double>& need = r.need_of_trace.empty() ? r.need.value : r.need_of_trace;
    for (int n = 0; n < pool.nodes; ++n) {
      const double takes = factor * need[static_cast<std::size_t>(n)];
      pool.needs[static_cast<std::size_t>(n) * count + k] = takes;
      most += pool.capacity[n] * takes;
    }
    pool.budgets[k] = r.budget;
    if (r.budget > most)
      problems.push_back({path + ".budget",
                          "is " + number(r.budget) +
                              ", more than all nodes together can use (sum of capacity * need = " +
                              number(most) + ")"});
  }
  pool.budget = pool.budgets[0];
  for (int n = 0; n < pool.nodes; ++n) {
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k)
      sum += pool.needs[static_cast<std::size_t>(n) * count + k];
    if (!(sum > 0))
      problems.push_back(
          {"pool.resources", "leave node " + std::to_string(n) + " without any need"});
  }
  const bool uneven = std::any_of(pool.needs.begin(), pool.needs.end(),
                                  [&](double d) { return d != pool.needs[0]; });
  const SharedReserve* reserve = pool.shared_reserve();
  if (reserve != nullptr && reserve->dispatch == Dispatch::optimal && (count > 1 || uneven))
    problems.push_back({"pool.reserve.dispatch",
                        "is optimal, which shares out one resource that all nodes need alike; " +
                            (count > 1 ? "this pool has " + std::to_string(count) + " resources"
                                       : std::string("these nodes differ in `need`")) +
                            ", expected priority"});
}

/// Mechanisms of the pool that do not go together.
void check_mechanisms(const Params& p, std::vector<Problem>& problems) {
  const Pool& pool = p.pool;
  if (pool.action != Action::bundle && pool.conflict != Conflict::waterfill)
    problems.push_back({"pool.conflict",
                        "works on bundle weights; with another `action` nothing is given on, "
                        "expected waterfill"});
  if (pool.lottery() == nullptr) return;
  if (pool.action != Action::bundle || pool.conflict != Conflict::waterfill)
    problems.push_back({"pool.service",
                        "by lottery draws by bundle weights and knows no capacities, expected "
                        "`action: bundle` and `conflict: waterfill`"});
  if (pool.shared_reserve() != nullptr || pool.resource_count() > 1 || pool.has_progress() ||
      std::holds_alternative<AnytimeError>(p.errors))
    problems.push_back({"pool.service",
                        "by lottery is one server for queues, without a reserve and with one "
                        "resource"});
}

}  // namespace

std::vector<Problem> resolve(Params& p, std::uint64_t seed) {
  std::vector<Problem> problems;
  check_groups(p.pool, problems);
  Resolver resolver(p.pool, seed, problems);
  resolver(p.pool.capacity, "pool.capacity");
  resolver(p.pool.need, "pool.need");
  for (std::size_t k = 0; k < p.pool.resources.size(); ++k)
    resolver(p.pool.resources[k].need, "pool.resources[" + std::to_string(k) + "].need");
  // A wrong capacity or need would make the budget look wrong as well: one fault, one message.
  if (problems.empty()) resolve_resources(p.pool, p.workload.level, problems);
  resolver(p.workload.importance, "workload.importance");
  for (std::size_t i = 0; i < p.workload.parts.size(); ++i) {
    const std::string path = "workload.parts[" + std::to_string(i) + "]";
    std::visit(
        [&](auto& part) {
          if constexpr (requires { part.rate.given; }) resolver(part.rate, path + ".rate");
          if constexpr (requires { part.phase.given; }) resolver(part.phase, path + ".phase");
          if constexpr (requires { part.height.given; }) resolver(part.height, path + ".height");
          if constexpr (requires { part.low.given; }) {
            resolver(part.low, path + ".low");
            resolver(part.high, path + ".high");
          }
          if constexpr (requires { part.group; })
            if (!check_group(p.pool, part.group, path + ".group", problems)) return;
          if constexpr (requires { check_order(part.length, path, problems); })
            check_order(part.length, path + ".length", problems);
          check_part(part, p, path, problems);
          if constexpr (requires { part.low > part.high; }) {
            if (part.low > part.high)
              problems.push_back({path + ".low", "is " + number(part.low) +
                                                     ", above `high` = " + number(part.high)});
          }
        },
        p.workload.parts[i]);
  }
  std::visit(
      [&](auto& error) {
        if constexpr (requires { error.scale; }) resolver(error.scale, "errors.scale");
        if constexpr (requires { error.slots; }) resolver(error.slots, "errors.slots");
        if constexpr (requires { error.gain; }) {
          resolver(error.floor, "errors.floor");
          resolver(error.gain, "errors.gain");
          resolver(error.exponent, "errors.exponent");
        }
      },
      p.errors);
  std::visit(
      [&](auto& error) {
        if constexpr (requires { error.floor; }) {
          resolver(error.floor, "progress.error.floor");
          resolver(error.gain, "progress.error.gain");
          if constexpr (requires { error.exponent; })
            resolver(error.exponent, "progress.error.exponent");
          resolver(error.scale, "progress.error.scale");
        }
      },
      p.progress.error);
  resolve_dynamics(p.pool);
  if (p.pool.has_progress()) check_progress_errors(p, problems);
  if (auto* curves = std::get_if<CurveError>(&p.progress.error); curves && p.pool.has_progress())
    resolve_curves(*curves, p.pool, problems);
  check_sharing(p, problems);
  // Mean rates are known only when nothing is wrong with the parts.
  if (problems.empty()) resolve_queue_errors(p, problems);
  const bool only_progress = std::all_of(p.pool.dynamics.begin(), p.pool.dynamics.end(),
                                         [](Dynamics d) { return d == Dynamics::progress; });
  if (p.workload.parts.empty() && !only_progress)
    problems.push_back(
        {"workload.parts", "is empty: no work would ever arrive at the queue nodes"});
  if (const auto* wear = std::get_if<WearFailures>(&p.workload.failures))
    check_order(wear->down, "workload.failures.down", problems);
  if (auto* outages = std::get_if<Outages>(&p.workload.failures))
    resolver(outages->up, "workload.failures.up");
  if (auto* lottery = std::get_if<LotteryService>(&p.pool.service))
    resolver(lottery->completion, "pool.service.completion");
  check_mechanisms(p, problems);
  if (const auto* windows = std::get_if<WindowsCalendar>(&p.workload.calendar))
    if (windows->length >= windows->period)
      problems.push_back({"workload.calendar.length", "is " + std::to_string(windows->length) +
                                                          ", expected less than the period of " +
                                                          std::to_string(windows->period)});
  check_hidden(p.observation.hidden, problems);
  if (p.observation.noiseless && p.observation.memory == 0)
    problems.push_back({"observation.noiseless",
                        "needs observation.memory, the number of slots that are shown so"});
  if (auto* follow = std::get_if<FollowCalendar>(&p.workload.calendar)) {
    resolver(follow->leader, "workload.calendar.leader");
    // Mean rates are known only when all else is right.
    if (problems.empty()) check_leaders(*follow, p, problems);
  }
  // Last, so that distributions of other keys draw what they always have.
  if (auto* jobs = std::get_if<JobList>(&p.progress.jobs)) {
    resolver(jobs->duration, "progress.jobs.duration");
    check_jobs(*jobs, p, problems);
  }
  return problems;
}

}  // namespace cra::sim
