#include "tools/recall.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace cra::tools {
namespace {

using results::GroupData;
using results::values;
using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// Row `i` of a matrix with `rows` rows.
Doubles row(const Doubles& matrix, std::size_t rows, std::size_t i) {
  const auto width = static_cast<std::ptrdiff_t>(matrix.size() / rows);
  const auto begin = matrix.begin() + static_cast<std::ptrdiff_t>(i) * width;
  return {begin, begin + width};
}

/// Rows of the tensor of resource heads, 0 where there is none.
int resource_heads_of(const GroupData& policy) {
  const auto& names = values<std::string>(policy, "tensor");
  const auto at = std::find(names.begin(), names.end(), agents::kResourceHeads) - names.begin();
  if (at == std::ssize(names)) return 0;
  const std::int64_t rows =
      values<std::int64_t>(policy, "tensor_rows").at(static_cast<std::size_t>(at));
  return static_cast<int>(std::clamp<std::int64_t>(rows, 0, std::numeric_limits<int>::max()));
}

/// What the table and `--json` say of each training.
std::vector<TrainingLine> trainings_of(const GroupData& train) {
  const auto& updates = values<std::int64_t>(train, "updates");
  const auto& kept = values<std::int64_t>(train, "kept_update");
  const auto& stored = values<std::int8_t>(train, "stored");
  const auto& validations = values<std::int64_t>(train, "validation");
  std::vector<TrainingLine> all;
  for (std::size_t k = 0; k < updates.size(); ++k) {
    const Doubles cost = row(values<double>(train, "validation_cost"), updates.size(), k);
    // The last validation at or before it: parameters that were kept for being last may have none.
    const auto after = std::upper_bound(validations.begin(), validations.end(), kept[k]);
    const auto at = static_cast<std::size_t>(after - validations.begin());
    all.push_back({updates[k], kept[k], at > 0 ? cost[at - 1] : std::nan(""), stored[k] != 0});
  }
  return all;
}

int small(std::int64_t x, const char* name, const std::string& path) {
  if (x < 0 || x > 1'000'000) {
    throw InputError(path + ": /policy/" + name + " is " + std::to_string(x));
  }
  return static_cast<int>(x);
}

/// The value of an enum that a text of /policy names.
template <class E>
E choice(const GroupData& g, const char* name, const std::string& path) {
  const auto& names = Choices<E>::names;
  const std::string& found = values<std::string>(g, name).at(0);
  const auto at = std::find(names.begin(), names.end(), found);
  if (at == names.end()) {
    throw InputError(path + ": /policy/" + name + " is \"" + found +
                     "\", which this program does not know");
  }
  return static_cast<E>(at - names.begin());
}

attention::Shape shape_of(const GroupData& g, int features, const std::string& path) {
  const auto whole = [&](const char* name) {
    return small(values<std::int64_t>(g, name).at(0), name, path);
  };
  attention::Shape s;
  s.features = features;
  s.width = whole("width");
  s.heads = whole("heads");
  s.layers = whole("layers");
  s.temperature = values<double>(g, "temperature").at(0);
  s.form = choice<attention::Form>(g, "attention", path);
  s.points = whole("points");
  s.weights = choice<attention::Weights>(g, "weights", path);
  s.positions = choice<attention::Positions>(g, "positions", path);
  s.seed = static_cast<std::uint64_t>(values<std::int64_t>(g, "weights_seed").at(0));
  s.nodes = whole("weights_nodes");
  const std::string fault = attention::fault_of(s);
  if (!fault.empty()) throw InputError(path + ": /policy: " + fault);
  return s;
}

}  // namespace

const GroupData& group_of(const results::RunFile& run, const std::string& name,
                          const std::string& path) {
  const GroupData* g = run.group(name);
  if (g == nullptr) throw InputError(path + ": there is no group /" + name);
  return *g;
}

std::string attribute(const results::RunFile& run, const std::string& name) {
  for (const auto& [key, value] : run.attributes)
    if (key == name) return value;
  return "";
}

Texts recorded_overrides(const results::RunFile& run, const std::string& path) {
  const std::string& given =
      values<std::string>(group_of(run, "provenance", path), "overrides").at(0);
  Texts overrides;
  for (std::size_t from = 0; from < given.size();) {
    const std::size_t end = std::min(given.find('\n', from), given.size());
    overrides.push_back(given.substr(from, end - from));
    from = end + 1;
  }
  return overrides;
}

agents::Network stored_network(const results::RunFile& run, const std::string& path) {
  if (run.group("policy") == nullptr) {
    throw InputError(path + ": there is no learned policy in it (no group /policy)");
  }
  const GroupData& g = group_of(run, "policy", path);
  agents::Network n;
  n.features = values<std::string>(g, "feature");
  n.shape = shape_of(g, static_cast<int>(n.features.size()), path);
  n.base.name = values<std::string>(g, "base").at(0);
  n.base.knobs = values<double>(g, "base_knob_value");
  n.base_floor = values<double>(g, "base_floor").at(0);
  if (!(n.base_floor >= 0 && n.base_floor <= 1)) {
    throw InputError(path + ": /policy/base_floor is no share");
  }
  const std::string& kind = values<std::string>(g, "kind").at(0);
  if (kind == agents::Dirichlet::name) {
    agents::Dirichlet dirichlet;
    dirichlet.least = values<double>(g, "least_alpha").at(0);
    if (!(dirichlet.least > 0)) throw InputError(path + ": /policy/least_alpha is not above 0");
    n.policy = dirichlet;
  } else if (kind != agents::LogisticNormal::name) {
    throw InputError(path + ": /policy/kind is \"" + kind + "\"");
  }
  n.resource_heads = resource_heads_of(g);
  n.feature_mean = values<double>(g, "feature_mean");
  n.feature_scale = values<double>(g, "feature_scale");
  n.theta = values<float>(g, "theta");
  for (const auto& [what, found] : {std::pair{"feature_mean", n.feature_mean.size()},
                                    {"feature_scale", n.feature_scale.size()}})
    if (found != n.features.size())
      throw InputError(path + ": /policy/" + what + " has " + std::to_string(found) +
                       " numbers, expected " + std::to_string(n.features.size()));
  return n;
}

agents::Network network_of(const results::RunFile& run, const std::string& path,
                           const sim::Params& p) {
  agents::Network n = stored_network(run, path);
  if (const std::string why = agents::network_misfit(n, p); !why.empty())
    throw InputError(path + ": its policy does not fit: " + why);
  const std::size_t nodes = values<std::string>(group_of(run, "node", path), "node").size();
  return agents::resized(std::move(n), static_cast<int>(std::max<std::size_t>(1, nodes)),
                         p.pool.nodes);
}

AttentionLine attention_line(const GroupData& g) {
  AttentionLine a;
  a.policy = values<std::string>(g, "policy").at(0);
  a.episodes = static_cast<std::int64_t>(values<std::int64_t>(g, "episode").size());
  a.slots = static_cast<std::int64_t>(values<std::int64_t>(g, "slot").size());
  a.nodes = static_cast<std::int64_t>(values<std::string>(g, "node").size());
  a.entropy = results::mean_of(values<double>(g, "entropy")).mean;
  const auto& quantities = values<std::string>(g, "quantity");
  const auto correlation = [&](const char* quantity) {
    const auto at = static_cast<std::size_t>(
        std::find(quantities.begin(), quantities.end(), quantity) - quantities.begin());
    return results::Mean{values<double>(g, "mean_correlation").at(at),
                         values<double>(g, "correlation_se").at(at)};
  };
  a.attention = correlation("attention");
  a.allocation = correlation("allocation");
  a.base = correlation("base");
  a.backlog = correlation("backlog");
  return a;
}

agents::Bound bound_of(const results::RunFile& run, const std::string& path) {
  const GroupData& eval = group_of(run, "eval", path);
  agents::Bound b;
  b.reason = values<std::string>(eval, "bound_reason").at(0);
  if (!b.reason.empty()) return b;
  b.lower = values<double>(eval, "bound_lower");
  b.upper = values<double>(eval, "bound_upper");
  b.relaxed = values<double>(eval, "bound_relaxed");
  b.steps = values<std::int64_t>(eval, "bound_steps");
  return b;
}

Summary summary_of(const results::RunFile& run, const scenarios::Settings& s) {
  const GroupData& eval = group_of(run, "eval", s.name);
  const GroupData& summary = group_of(run, "summary", s.name);
  const auto& names = values<std::string>(eval, "policy");
  const auto& kinds = values<std::string>(summary, "kind");
  const auto& tuned = values<std::int8_t>(summary, "tuned");
  const auto& titles = values<std::string>(summary, "policy");
  const auto& training = values<std::int64_t>(eval, "training");
  std::vector<Contestant> all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Doubles cost = row(values<double>(eval, "cost"), names.size(), i),
                  score = row(values<double>(eval, "score"), names.size(), i);
    const std::size_t line = all.size();  // trainings share one
    if (training[i] < 0) {
      all.push_back({titles.at(line), kinds.at(line), tuned.at(line) != 0, cost, score, {}});
      continue;
    }
    if (training[i] == 0 || all.empty())
      all.push_back({titles.at(line), kinds.at(line), tuned.at(line) != 0, {}, {}, {}});
    add_training(all.back(), cost, score);
  }
  return summarise(all, s.agents.evaluation.resamples, static_cast<std::uint64_t>(s.seed),
                   bound_of(run, s.name));
}

Headline headline_of(const results::RunFile& run, const scenarios::Settings& s,
                     const std::string& path) {
  Headline h;
  h.scenario = s.name;
  h.nodes = s.sim.pool.nodes;
  h.slots = s.sim.workload.slots;
  h.seed = s.seed;
  h.result = path;
  h.env_steps = values<std::int64_t>(group_of(run, "summary", path), "env_steps").at(0);
  h.seconds = values<double>(group_of(run, "provenance", path), "train_seconds").at(0);
  if (const GroupData* train = run.group("train")) {
    h.updates = static_cast<std::int64_t>(values<std::int64_t>(*train, "update").size());
    h.trainings = trainings_of(*train);
  }
  if (const GroupData* attention = run.group("attention")) h.attention = attention_line(*attention);
  return h;
}

}  // namespace cra::tools
