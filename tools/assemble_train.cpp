// /train, /policy and /tuning: what was learned, and what was tuned.
#include "tools/assemble_groups.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace cra::tools {
namespace {

/// A row of each training side by side, drawn out to one length.
template <class T>
void append_padded(std::vector<T>& rows, const std::vector<T>& row, std::size_t length, T padding) {
  rows.insert(rows.end(), row.begin(), row.end());
  rows.resize(rows.size() + length - row.size(), padding);
}

}  // namespace

std::size_t best_training(const agents::Training& t,
                          const std::vector<agents::TrainState>& trainings) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < trainings.size(); ++k)
    if (agents::kept_cost(t, trainings[k]) < agents::kept_cost(t, trainings[best])) best = k;
  return best;
}

GroupData train_group(const agents::Training& settings,
                      const std::vector<agents::TrainState>& trainings) {
  std::int64_t most = 0;
  for (const agents::TrainState& t : trainings) most = std::max(most, t.updates);
  const auto length = static_cast<std::size_t>(most);
  Integers updates = numbers(most);
  for (std::int64_t& u : updates) ++u;  // "number of updates done"
  const Integers validations = agents::validation_updates(settings, most);
  const std::size_t best = best_training(settings, trainings);

  Integers done, kept, env_steps;
  Doubles validation_cost;
  std::vector<std::int8_t> stored;
  for (const agents::TrainState& t : trainings) {
    done.push_back(t.updates);
    kept.push_back(agents::kept_update(settings, t));
    stored.push_back(stored.size() == best ? 1 : 0);
    append_padded(env_steps, t.log_env_steps, length, t.env_steps);
    append_padded(validation_cost, t.validation_cost, validations.size(), kMissing);
  }
  GroupData g{"train",
              {{"training", numbers(static_cast<std::int64_t>(trainings.size()))},
               {"update", updates},
               {"validation", validations}},
              {{"updates", done},
               {"kept_update", kept},
               {"stored", stored},
               {"validation_cost", validation_cost},
               {"env_steps", env_steps}}};
  const auto add = [&](const char* name, Doubles agents::TrainState::*column) {
    Doubles rows;
    for (const agents::TrainState& t : trainings) append_padded(rows, t.*column, length, kMissing);
    g.variables.push_back({name, std::move(rows)});
  };
  add("cost", &agents::TrainState::log_cost);
  add("score", &agents::TrainState::log_score);
  add("gradient_norm", &agents::TrainState::log_gradient_norm);
  add("learning_rate", &agents::TrainState::log_learning_rate);
  add("entropy", &agents::TrainState::log_entropy);
  add("sigma", &agents::TrainState::log_sigma);
  return g;
}

GroupData policy_group(const agents::Network& n, const scenarios::Settings& s) {
  Texts tensors, knobs;
  Integers offsets, rows, cols;
  for (const attention::Tensor& t : agents::layout(n)) {
    tensors.push_back(t.name);
    offsets.push_back(t.offset);
    rows.push_back(t.rows);
    cols.push_back(t.cols);
  }
  for (const agents::Knob& k : agents::baseline_knobs(n.base.name, s.sim)) knobs.push_back(k.name);
  const auto* dirichlet = std::get_if<agents::Dirichlet>(&n.policy);
  return {"policy",
          {{"parameter", numbers(static_cast<std::int64_t>(n.theta.size()))},
           {"tensor", tensors},
           {"feature", n.features},
           {"base_knob", knobs}},
          {{"theta", n.theta},
           {"tensor_offset", offsets},
           {"tensor_rows", rows},
           {"tensor_cols", cols},
           {"feature_mean", n.feature_mean},
           {"feature_scale", n.feature_scale},
           {"base_knob_value", n.base.knobs},
           {"base", text(n.base.name)},
           {"base_floor", number(n.base_floor)},
           {"kind", text(kind_of(n.policy))},
           {"least_alpha", number(dirichlet != nullptr ? dirichlet->least : kMissing)},
           {"attention", text(choice(n.shape.form))},
           {"width", integer(n.shape.width)},
           {"heads", integer(n.shape.heads)},
           {"layers", integer(n.shape.layers)},
           {"temperature", number(n.shape.temperature)},
           {"points", integer(n.shape.points)},
           {"weights", text(choice(n.shape.weights))},
           {"weights_seed", integer(static_cast<std::int64_t>(n.shape.seed))},
           {"weights_nodes", integer(n.shape.nodes)},
           {"positions", text(choice(n.shape.positions))}}};
}

GroupData tuning_group(const std::vector<agents::Tuning>& all) {
  Texts baseline, knobs, owners, names, grids;
  Doubles cost, choices;
  std::vector<std::int8_t> chosen, on_edge;
  for (const agents::Tuning& t : all) {
    for (std::size_t c = 0; c < t.tried.size(); ++c) {
      nlohmann::ordered_json values = nlohmann::ordered_json::object();
      for (std::size_t k = 0; k < t.knobs.size(); ++k) values[t.knobs[k].name] = t.tried[c][k];
      baseline.push_back(t.rule.name);
      knobs.push_back(values.dump());
      cost.push_back(t.cost[c]);
      chosen.push_back(t.tried[c] == t.rule.knobs ? 1 : 0);
    }
    const Texts edges = t.on_edge();
    for (std::size_t k = 0; k < t.knobs.size(); ++k) {
      const std::string& name = t.knobs[k].name;
      owners.push_back(t.rule.name);
      names.push_back(name);
      grids.push_back(nlohmann::ordered_json(t.knobs[k].grid).dump());
      choices.push_back(t.rule.knobs[k]);
      on_edge.push_back(std::find(edges.begin(), edges.end(), name) != edges.end() ? 1 : 0);
    }
  }
  return {"tuning",
          {{"candidate", numbers(static_cast<std::int64_t>(baseline.size()))},
           {"knob", numbers(static_cast<std::int64_t>(names.size()))}},
          {{"baseline", baseline},
           {"knobs", knobs},
           {"cost", cost},
           {"chosen", chosen},
           {"knob_baseline", owners},
           {"knob_name", names},
           {"knob_grid", grids},
           {"knob_choice", choices},
           {"knob_on_edge", on_edge}}};
}

}  // namespace cra::tools
