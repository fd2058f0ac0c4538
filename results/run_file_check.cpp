// What the numbers of a result file must satisfy, and the digests over them.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "results/schema.h"
#include "results/sha256.h"

namespace cra::results {
namespace {

static_assert(std::endian::native == std::endian::little, "digests are over little-endian data");

// ---- digests ---------------------------------------------------------------------------

void add_number(Sha256& hash, std::uint64_t n) { hash.add(std::as_bytes(std::span(&n, 1))); }

/// With its length in front, so that ("ab", "c") and ("a", "bc") differ.
void add_text(Sha256& hash, const std::string& text) {
  add_number(hash, text.size());
  hash.add(std::as_bytes(std::span(text)));
}

void add_data(Sha256& hash, const Data& data) {
  add_number(hash, length(data));
  if (const auto* text = std::get_if<std::vector<std::string>>(&data)) {
    for (const std::string& s : *text) add_text(hash, storable(s));
  } else {
    std::visit(
        [&](const auto& x) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(x)>, std::vector<std::string>>)
            hash.add(std::as_bytes(std::span(x)));
        },
        data);
  }
}

/// In the order of the schema, whatever the order in the file.
void add_group(Sha256& hash, const GroupData& g) {
  add_text(hash, g.name);
  for (const VariableSpec& spec : schema()) {
    if (g.name != spec.group) continue;
    const Data* data = nullptr;
    for (const Axis& a : g.axes)
      if (a.name == spec.name) data = &a.labels;
    for (const Variable& v : g.variables)
      if (v.name == spec.name) data = &v.data;
    if (data == nullptr) continue;
    add_text(hash, spec.name);
    add_text(hash, type_name(*data));
    add_text(hash, spec.dims);
    add_data(hash, *data);
  }
}

// ---- checks ----------------------------------------------------------------------------

class Checker {
 public:
  explicit Checker(const std::string& path) : path_(path) {}

  void cost_is_sum_of_terms(const GroupData& g) const {
    const auto& cost = values<double>(g, "cost");
    std::vector<double> sum(cost.size(), 0);
    for (const char* term : {"error_cost", "switching_cost", "fairness_cost", "use_cost"}) {
      const auto& x = values<double>(g, term);
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
    }
    for (std::size_t i = 0; i < cost.size(); ++i)
      if (!nearly(cost[i], sum[i]))
        refuse(g, "cost", i, decimal(cost[i]) + ", its terms sum to " + decimal(sum[i]));
  }

  void proportions_sum_to_one(const GroupData& trajectory) const {
    shares_sum_to_one(trajectory, "proportion");
    const auto per_resource = [](const Variable& v) { return v.name == "resource_proportion"; };
    if (std::any_of(trajectory.variables.begin(), trajectory.variables.end(), per_resource))
      shares_sum_to_one(trajectory, "resource_proportion");
  }

  void shares_sum_to_one(const GroupData& trajectory, const char* name) const {
    const auto& p = values<double>(trajectory, name);
    const std::size_t nodes = values<std::string>(trajectory, "node").size();
    for (std::size_t i = 0; i < p.size(); i += nodes) {
      double sum = 0;
      for (std::size_t n = i; n < i + nodes; ++n) {
        if (p[n] < 0) refuse(trajectory, name, n, decimal(p[n]) + ", below 0");
        sum += p[n];
      }
      if (!nearly(sum, 1))
        refuse(trajectory, name, i, "the first of a slot whose sum is " + decimal(sum));
    }
  }

  void shares_kept_back_are_shares(const GroupData& trajectory) const {
    const auto& share = values<double>(trajectory, "reserve");
    for (std::size_t i = 0; i < share.size(); ++i)
      if (share[i] < 0 || share[i] > 1)
        refuse(trajectory, "reserve", i, decimal(share[i]) + ", expected a share in [0, 1]");
  }

  /// /eval must hold the mean over slots of every episode that /trajectory has in full.
  void eval_is_mean_of_slots(const GroupData& eval, const GroupData& trajectory) const {
    const auto& episodes = values<std::int64_t>(trajectory, "episode");
    const auto& policies = values<std::string>(trajectory, "policy");
    const std::size_t slots = values<std::int64_t>(trajectory, "slot").size();
    for (const char* name :
         {"cost", "error_cost", "switching_cost", "fairness_cost", "use_cost", "score"}) {
      const auto& by_slot = values<double>(trajectory, name);
      for (std::size_t p = 0; p < policies.size(); ++p) {
        for (std::size_t i = 0; i < episodes.size(); ++i) {
          const double* stored = eval_value(eval, name, policies[p], episodes[i]);
          if (stored == nullptr || slots == 0) continue;
          double sum = 0;
          for (std::size_t t = 0; t < slots; ++t)
            sum += by_slot[(p * episodes.size() + i) * slots + t];
          const double mean = sum / static_cast<double>(slots);
          if (!nearly(mean, *stored))
            throw InputError(path_ + ": /eval/" + name + " of " + policies[p] + ", episode " +
                             std::to_string(episodes[i]) + ", is " + decimal(*stored) +
                             ", its slots in /trajectory average " + decimal(mean));
        }
      }
    }
  }

  /// Work done and lost in /eval is that of the nodes, summed.
  void eval_is_sum_of_nodes(const GroupData& eval, const GroupData& trajectory) const {
    const auto& episodes = values<std::int64_t>(trajectory, "episode");
    const auto& policies = values<std::string>(trajectory, "policy");
    const std::size_t slots = values<std::int64_t>(trajectory, "slot").size();
    const std::size_t per_episode = slots * values<std::string>(trajectory, "node").size();
    const std::vector<double> none(values<double>(trajectory, "lost").size(), 0);
    for (const char* name : {"served", "lost"}) {
      const auto& by_node = values<double>(trajectory, name);
      const auto& more =
          std::string(name) == "served" ? values<double>(trajectory, "dispatched") : none;
      for (std::size_t row = 0; row < policies.size() * episodes.size(); ++row) {
        const std::string& policy = policies[row / episodes.size()];
        const std::int64_t episode = episodes[row % episodes.size()];
        const double* stored = eval_value(eval, name, policy, episode);
        if (stored == nullptr || slots == 0) continue;
        double sum = 0;
        for (std::size_t i = row * per_episode; i < (row + 1) * per_episode; ++i)
          sum += by_node[i] + more[i];
        if (const double mean = sum / static_cast<double>(slots); !nearly(mean, *stored))
          throw InputError(path_ + ": /eval/" + name + " of " + policy + ", episode " +
                           std::to_string(episode) + ", is " + decimal(*stored) +
                           ", its nodes in /trajectory have " + decimal(mean));
      }
    }
  }

  void summary_is_mean_of_eval(const GroupData& summary, const GroupData& eval) const {
    const auto& policies = values<std::string>(summary, "policy");
    const auto& evaluated = values<std::string>(eval, "policy");
    const auto& training = values<std::int64_t>(eval, "training");
    const std::string& learned = values<std::string>(summary, "learned")[0];
    const std::size_t episodes = values<std::int64_t>(eval, "episode").size();
    for (const char* name : {"cost", "score"}) {
      const auto& stored = values<double>(summary, name);
      const auto& by_episode = values<double>(eval, name);
      for (std::size_t p = 0; p < policies.size(); ++p) {
        double mean = 0, rows = 0;
        for (std::size_t i = 0; i < evaluated.size(); ++i) {
          const bool trained = training[i] >= 0 && policies[p] == learned;
          if (!trained && evaluated[i] != policies[p]) continue;
          mean += mean_of(std::span(by_episode).subspan(i * episodes, episodes)).mean;
          ++rows;
        }
        if (rows == 0 && values<std::string>(summary, "kind")[p] != "bound")
          refuse(summary, "policy", p, "none of /eval");
        if (rows == 0) continue;  // a bound has no episodes of its own
        mean /= rows;
        if (!nearly(mean, stored[p]))
          throw InputError(path_ + ": /summary/" + name + " of " + policies[p] + " is " +
                           decimal(stored[p]) + ", its episodes in /eval average " + decimal(mean));
      }
    }
  }

  void summary_names_exist(const GroupData& summary) const {
    const auto& policies = values<std::string>(summary, "policy");
    for (const char* name : {"best_heuristic", "learned"}) {
      const std::string& policy = values<std::string>(summary, name)[0];
      if (!policy.empty() && std::find(policies.begin(), policies.end(), policy) == policies.end())
        throw InputError(path_ + ": /summary/" + name + " is \"" + policy +
                         "\", which is not a policy of the summary");
    }
    const auto& kinds = values<std::string>(summary, "kind");
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (const auto& k = kinds[i]; k != "learned" && k != "heuristic" && k != "expert" &&
                                    k != "planner" && k != "oracle" && k != "bound")
        refuse(summary, "kind", i, "\"" + kinds[i] + "\"");
  }

  /// There is a bound everywhere or nowhere, and no policy beats it.
  void bound_is_whole(const GroupData& summary, const GroupData& eval) const {
    const bool there = values<std::string>(eval, "bound_reason")[0].empty();
    const auto& lower = values<double>(eval, "bound_lower");
    for (const char* name : {"bound_lower", "bound_upper", "bound_relaxed"}) {
      const auto& by_episode = values<double>(eval, name);
      for (std::size_t i = 0; i < by_episode.size(); ++i)
        if (std::isnan(by_episode[i]) == there)
          refuse(eval, name, i,
                 decimal(by_episode[i]) + ", while bound_reason " +
                     (there ? "is empty" : "says that there is no bound"));
      if (std::string(name) == "bound_relaxed") continue;  // the summary has no mean of it
      const double mean = values<double>(summary, name)[0];
      if (std::isnan(mean) == there || (there && !nearly(mean, mean_of(by_episode).mean)))
        throw InputError(path_ + ": /summary/" + name + " is " + decimal(mean) +
                         ", its episodes in /eval average " + decimal(mean_of(by_episode).mean));
    }
    if ((values<std::int8_t>(summary, "bound_certified")[0] != 0) != there)
      throw InputError(path_ + ": /summary/bound_certified does not fit /eval/bound_reason");
    const auto& kinds = values<std::string>(summary, "kind");
    const auto& cost = values<double>(summary, "cost");
    if (std::count(kinds.begin(), kinds.end(), "bound") != (there ? 1 : 0))
      throw InputError(path_ + ": /summary/kind must name " + (there ? "one bound" : "no bound"));
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (kinds[i] == "bound" && !nearly(cost[i], values<double>(summary, "bound_lower")[0]))
        refuse(summary, "cost", i, decimal(cost[i]) + ", not that of bound_lower");
    if (!there) return;
    const auto& costs = values<double>(eval, "cost");
    for (std::size_t i = 0; i < costs.size(); ++i)
      if (costs[i] < least_cost(lower[i % lower.size()]))
        refuse(
            eval, "cost", i,
            decimal(costs[i]) + ", below the certified bound " + decimal(lower[i % lower.size()]));
  }

  void gaps_follow_from_costs(const GroupData& summary) const {
    const auto& policies = values<std::string>(summary, "policy");
    const auto& kinds = values<std::string>(summary, "kind");
    const auto& cost = values<double>(summary, "cost");
    const auto& closed = values<double>(summary, "gap_closed");
    const double lower = values<double>(summary, "bound_lower")[0];
    const std::string& best = values<std::string>(summary, "best_heuristic")[0];
    const auto reference = std::find(policies.begin(), policies.end(), best) - policies.begin();
    for (std::size_t i = 0; i < policies.size(); ++i) {
      const bool applies =
          !best.empty() && policies[i] != best && kinds[i] != "bound" && !std::isnan(lower);
      const double top = applies ? cost[static_cast<std::size_t>(reference)] : 0;
      if (std::isnan(closed[i])) {
        if (applies && top - lower > 1.001e-3 * std::abs(top))  // 0.1 %, and rounding
          refuse(summary, "gap_closed", i, "missing, though the costs say what it is");
        continue;
      }
      if (!applies || !nearly(closed[i] * (top - lower), top - cost[i]))
        refuse(summary, "gap_closed", i,
               decimal(closed[i]) + ", which does not follow from the costs");
    }
  }

  void tensors_fill_theta(const GroupData& policy) const {
    const auto& offset = values<std::int64_t>(policy, "tensor_offset");
    const auto& rows = values<std::int64_t>(policy, "tensor_rows");
    const auto& cols = values<std::int64_t>(policy, "tensor_cols");
    const auto size = static_cast<std::int64_t>(values<float>(policy, "theta").size());
    std::int64_t next = 0;
    for (std::size_t i = 0; i < offset.size(); ++i) {
      // Divided, not multiplied: a hostile product must not overflow.
      if (offset[i] != next || rows[i] < 1 || cols[i] < 1 || rows[i] > (size - next) / cols[i])
        refuse(policy, "tensor_offset", i,
               std::to_string(offset[i]) + "; the tensors do not fill theta one after the other");
      next += rows[i] * cols[i];
    }
    if (next != size)
      throw InputError(path_ + ": /policy/theta has " + std::to_string(size) +
                       " parameters, its tensors have " + std::to_string(next));
  }

 private:
  [[noreturn]] void refuse(const GroupData& g, const char* variable, std::size_t i,
                           const std::string& what) const {
    throw InputError(path_ + ": /" + g.name + "/" + variable + "[" + std::to_string(i) +
                     "] (row-major) is " + what);
  }

  static const double* eval_value(const GroupData& eval, const char* name,
                                  const std::string& policy, std::int64_t episode) {
    const auto& policies = values<std::string>(eval, "policy");
    const auto& episodes = values<std::int64_t>(eval, "episode");
    const auto p = std::find(policies.begin(), policies.end(), policy);
    const auto i = std::find(episodes.begin(), episodes.end(), episode);
    if (p == policies.end() || i == episodes.end()) return nullptr;
    return &values<double>(eval,
                           name)[static_cast<std::size_t>(p - policies.begin()) * episodes.size() +
                                 static_cast<std::size_t>(i - episodes.begin())];
  }

  const std::string& path_;
};

}  // namespace

bool nearly(double a, double b) {
  // Sums of up to 1e6 terms of size about 1, in double: rounding stays below 1e6 * 1.1e-16.
  constexpr double kTolerance = 1e-9;
  return std::abs(a - b) <= kTolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

std::string decimal(double x) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), x).ptr;
  return {text.data(), end};
}

double least_cost(double lower) { return lower - 1e-6 * std::abs(lower) - 1e-9; }

std::string digest(const RunFile& run, const std::vector<std::string>& groups) {
  Sha256 hash;
  for (const std::string& name : groups) {
    const GroupData* g = run.group(name);
    add_number(hash, g == nullptr ? 0 : 1);
    if (g != nullptr) add_group(hash, *g);
  }
  return hex(hash.digest());
}

void check_run(const RunFile& run, const std::string& path) {
  if (const std::string why = schema_problem(run); !why.empty())
    throw InputError(path + ": " + why);
  const Checker check(path);
  const GroupData& eval = *run.group("eval");
  const GroupData& summary = *run.group("summary");
  check.cost_is_sum_of_terms(eval);
  check.summary_is_mean_of_eval(summary, eval);
  check.summary_names_exist(summary);
  check.bound_is_whole(summary, eval);
  check.gaps_follow_from_costs(summary);
  if (const GroupData* trajectory = run.group("trajectory")) {
    check.cost_is_sum_of_terms(*trajectory);
    check.proportions_sum_to_one(*trajectory);
    check.shares_kept_back_are_shares(*trajectory);
    check.eval_is_mean_of_slots(eval, *trajectory);
    check.eval_is_sum_of_nodes(eval, *trajectory);
  }
  check_between_groups(run, path);
  if (const GroupData* attention = run.group("attention")) check_attention(*attention, eval, path);
  if (const GroupData* policy = run.group("policy")) check.tensors_fill_theta(*policy);
}

}  // namespace cra::results
