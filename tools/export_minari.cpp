// cra export --minari: the recorded episodes as a dataset for offline learning.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/export.h"
#include "tools/recall.h"

namespace cra::tools {
namespace {

using Doubles = std::vector<double>;
using results::GroupData;

/// /trajectory and /node of a result, with their sizes.
struct Record {
  const GroupData& trajectory;
  const GroupData& node;
  std::vector<std::string> policies;
  std::vector<std::int64_t> episodes;
  std::size_t slots, nodes;

  std::size_t rows() const { return policies.size() * episodes.size(); }
};

bool has(const GroupData& g, const std::string& name) {
  return std::any_of(g.variables.begin(), g.variables.end(),
                     [&](const results::Variable& v) { return v.name == name; });
}

/// What a node shows of itself before a slot.
struct Shown {
  const char* name;
  const char* array;  ///< of /trajectory
  bool by_policy;     ///< it has the axis policy
  int lag;            ///< 1: as the slot before left it; 0: as known of the coming slot
};
constexpr std::array kShown{
    Shown{"backlog", "backlog", true, 1},       Shown{"rate", "rate", true, 1},
    Shown{"progress", "progress", true, 1},     Shown{"error", "error", true, 1},
    Shown{"arrivals", "arrivals", false, 1},    Shown{"availability", "availability", false, 1},
    Shown{"importance", "importance", false, 0}};

/// What stands for the slot before the first.
double at_start(const Shown& s, const Record& r, std::size_t node) {
  const std::string name = s.name;
  if (name == "rate") return results::values<double>(r.node, "initial_rate")[node];
  if (name == "progress") return results::values<double>(r.node, "progress_start")[0];
  return name == "availability" ? 1 : 0;
}

/// A number that does not apply to a node, such as the progress of a queue, is 0 here: learners
/// take no NaN.
double number_or_zero(double x) { return std::isnan(x) ? 0 : x; }

/// [rows, T + 1, N, shown]
Doubles states_of(const Record& r) {
  Doubles all;
  all.reserve(r.rows() * (r.slots + 1) * r.nodes * kShown.size());
  for (std::size_t row = 0; row < r.rows(); ++row)
    for (std::size_t t = 0; t <= r.slots; ++t)
      for (std::size_t n = 0; n < r.nodes; ++n)
        for (const Shown& s : kShown) {
          const auto& x = results::values<double>(r.trajectory, s.array);
          const std::size_t block = s.by_policy ? row : row % r.episodes.size();
          const auto lag = static_cast<std::size_t>(s.lag);
          const std::size_t slot = std::min(t, r.slots - 1 + lag);
          all.push_back(number_or_zero(
              slot < lag ? at_start(s, r, n) : x[(block * r.slots + slot - lag) * r.nodes + n]));
        }
  return all;
}

/// [rows, T + 1, N, F]: the features of the slots, and behind them those after the last.
std::vector<float> features_of(const Record& r) {
  const auto& slots = results::values<float>(r.trajectory, "observation");
  const auto& end = results::values<float>(r.trajectory, "observation_end");
  const std::size_t rows = std::max<std::size_t>(1, r.rows());
  const auto each = static_cast<std::ptrdiff_t>(slots.size() / rows);
  const auto last = static_cast<std::ptrdiff_t>(end.size() / rows);
  std::vector<float> all;
  all.reserve(slots.size() + end.size());
  for (std::ptrdiff_t row = 0; row < static_cast<std::ptrdiff_t>(r.rows()); ++row) {
    all.insert(all.end(), slots.begin() + row * each, slots.begin() + (row + 1) * each);
    all.insert(all.end(), end.begin() + row * last, end.begin() + (row + 1) * last);
  }
  return all;
}

/// Proportions, and behind them the share kept back in a pool with a reserve.
Doubles actions_of(const Record& r, bool reserve) {
  const auto& proportion = results::values<double>(r.trajectory, "proportion");
  const auto& kept = results::values<double>(r.trajectory, "reserve");
  if (!reserve) return proportion;
  Doubles all;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto from = proportion.begin() + static_cast<std::ptrdiff_t>(i * r.nodes);
    all.insert(all.end(), from, from + static_cast<std::ptrdiff_t>(r.nodes));
    all.push_back(kept[i]);
  }
  return all;
}

/// A space as Gymnasium's Box, in the words of Minari's serialize_space(); its limits may be
/// infinite, for which JSON proper has no word.
std::string box(const std::string& dtype, const std::vector<std::int64_t>& shape,
                const std::string& low, const std::string& high) {
  const auto filled = [&](const std::string& value) {
    std::string text = value;
    for (auto n = shape.rbegin(); n != shape.rend(); ++n) {
      std::string list = "[";
      for (std::int64_t i = 0; i < *n; ++i) list.append(i > 0 ? ", " : "").append(text);
      text = list + "]";
    }
    return text;
  };
  return R"({"type": "Box", "dtype": ")" + dtype + R"(", "shape": )" +
         nlohmann::json(shape).dump() + R"(, "low": )" + filled(low) + R"(, "high": )" +
         filled(high) + "}";
}

std::vector<std::string> shown_names() {
  std::vector<std::string> names;
  for (const Shown& s : kShown) names.emplace_back(s.name);
  return names;
}

/// The name of the folder is what minari.load_dataset() is given.
std::string dataset_id(const std::string& target) {
  std::filesystem::path path(target);
  if (!path.has_filename()) path = path.parent_path();
  std::string id = path.filename().string();
  const bool good = !id.empty() && id.find_first_not_of(
                                       "abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789_-") == std::string::npos;
  if (!good)
    throw UsageError("--minari is \"" + target +
                     "\"; the folder's name is the id of the dataset: "
                     "letters, digits, \"_\" and \"-\" only, such as traffic-v0");
  return id;
}

results::Transitions transitions_of(const results::RunFile& run, const Record& r) {
  const auto nodes = static_cast<std::int64_t>(r.nodes);
  const bool seen = has(r.trajectory, "observation");
  const bool reserve = results::values<std::string>(r.node, "reserve_dispatch")[0] != "none";
  results::Transitions t;
  t.episodes = static_cast<std::int64_t>(r.rows());
  t.slots = static_cast<std::int64_t>(r.slots);
  const auto columns = static_cast<std::int64_t>(
      seen ? results::values<std::string>(r.trajectory, "feature").size() : kShown.size());
  t.observation_shape = {nodes, columns};
  t.action_shape = {reserve ? nodes + 1 : nodes};
  if (seen)
    t.observations = features_of(r);
  else
    t.observations = states_of(r);
  t.actions = actions_of(r, reserve);
  for (const double cost : results::values<double>(r.trajectory, "cost"))
    t.rewards.push_back(-cost);
  for (const char* name :
       {"error_cost", "switching_cost", "fairness_cost", "use_cost", "score", "waste"})
    t.infos.emplace_back(name, results::values<double>(r.trajectory, name));
  for (const std::string& policy : r.policies)
    for (const std::int64_t episode : r.episodes) {
      t.policy.push_back(policy);
      t.episode.push_back(episode);
    }
  const GroupData& provenance = *run.group("provenance");
  t.seed = results::values<std::int64_t>(provenance, "seed")[0];
  return t;
}

std::string metadata(const Export& e, const Record& r, const results::Transitions& t,
                     const std::string& id, std::size_t bytes) {
  const bool seen = has(r.trajectory, "observation");
  const GroupData& provenance = *e.run.group("provenance");
  const std::string version = results::values<std::string>(provenance, "version")[0];
  nlohmann::ordered_json m;
  m["dataset_id"] = id;
  m["minari_version"] = "0.5.0";
  m["data_format"] = "hdf5";
  m["total_episodes"] = t.episodes;
  m["total_steps"] = t.episodes * t.slots;
  m["dataset_size"] = std::ceil(static_cast<double>(bytes) / 1e5) / 10;  // MB
  m["jpeg_encoding"] = false;
  m["observation_space"] =
      box(seen ? "float32" : "float64", t.observation_shape, "-Infinity", "Infinity");
  m["action_space"] = box("float64", t.action_shape, "0.0", "1.0");
  m["algorithm_name"] = "cra " + version;
  m["description"] =
      attribute(e.run, "title") +
      ": allocation of a shared budget, the recorded test episodes of every policy. Actions are "
      "shares of the budget" +
      (t.action_shape[0] > static_cast<std::int64_t>(r.nodes) ? ", the last the share kept back"
                                                              : "") +
      "; rewards are minus the cost of the slot; attributes of an episode name its policy.";
  m["node_names"] = results::values<std::string>(r.trajectory, "node");
  m["observation_names"] =
      seen ? results::values<std::string>(r.trajectory, "feature") : shown_names();
  m["policies"] = r.policies;
  return m.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void export_minari(const Export& e) {
  const std::string id = dataset_id(e.target);
  const GroupData* trajectory = e.run.group("trajectory");
  if (trajectory == nullptr)
    throw InputError(e.path + ": no episode was recorded in it (no group /trajectory)");
  const Record r{*trajectory,
                 *e.run.group("node"),
                 results::values<std::string>(*trajectory, "policy"),
                 results::values<std::int64_t>(*trajectory, "episode"),
                 results::values<std::int64_t>(*trajectory, "slot").size(),
                 results::values<std::string>(*trajectory, "node").size()};
  const results::Transitions t = transitions_of(e.run, r);
  const results::Bytes data = results::encode_minari(t);
  const std::string about = metadata(e, r, t, id, data.size());
  prepare_target_folder(e);
  const std::string folder = e.target + "/data";
  prepare_target_folder({e.run, e.path, folder, e.force});
  results::write_file(folder + "/main_data.hdf5", data);
  results::write_file(folder + "/metadata.json", std::as_bytes(std::span(about)));
}

}  // namespace cra::tools
