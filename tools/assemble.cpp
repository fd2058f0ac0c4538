#include "tools/assemble.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "sim/sim.h"
#include "tools/provenance.h"

namespace cra::tools {
namespace {

using results::Data;
using results::GroupData;
using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// "Does not apply".
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// 0, 1, ..., n - 1.
Integers numbers(std::int64_t n) {
  Integers x(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), std::int64_t{0});
  return x;
}

Data text(std::string x) { return Texts{std::move(x)}; }
Data number(double x) { return Doubles{x}; }
Data integer(std::int64_t x) { return Integers{x}; }

std::string joined(const Texts& words, const char* between) {
  std::string all;
  for (const std::string& w : words) all += (all.empty() ? "" : between) + w;
  return all;
}

/// The name of the alternative a variant of kinds holds.
template <class V>
std::string kind_of(const V& kinds) {
  return std::visit([](const auto& k) { return std::string(k.name); }, kinds);
}

/// "group-3" for nodes of a named group, "node-3" otherwise; counted within the pool.
Texts node_names(const sim::Pool& p) {
  Texts names;
  for (const sim::Group& g : p.groups)
    for (int i = 0; i < g.count; ++i) names.push_back(g.name + "-" + std::to_string(i));
  for (int n = static_cast<int>(names.size()); n < p.nodes; ++n)
    names.push_back("node-" + std::to_string(n));
  return names;
}

/// Labels of an axis must differ, names in a scenario need not.
Texts resource_names(const sim::Pool& p) {
  Texts names;
  for (const sim::Resource& r : p.resources) {
    const bool taken = std::find(names.begin(), names.end(), r.name) != names.end();
    names.push_back(taken ? r.name + "-" + std::to_string(names.size()) : r.name);
  }
  if (names.empty()) names.emplace_back("resource");
  return names;
}

/// The word that stands for an enumerator in scenario files.
template <class E>
std::string choice(E value) {
  return Choices<E>::names.at(static_cast<std::size_t>(value));
}

Texts dynamics(const sim::Pool& p) {
  Texts words;
  for (const sim::Dynamics d : p.dynamics) words.push_back(choice(d));
  return words;
}

/// The numbers of nodes of one kind; missing at the others.
Doubles where(const sim::Pool& p, sim::Dynamics kind, Doubles x) {
  for (std::size_t n = 0; n < x.size(); ++n)
    if (p.dynamics[n] != kind) x[n] = kMissing;
  return x;
}

/// How progress lowers the error, [N] each; missing at queue nodes and where a kind has no such
/// number.
struct ProgressErrors {
  std::string kind = "none";
  Doubles floor, gain, exponent, scale;
};

ProgressErrors progress_errors(const sim::Params& p) {
  ProgressErrors e;
  e.exponent = Doubles(static_cast<std::size_t>(p.pool.nodes), kMissing);
  if (p.pool.has_progress()) e.kind = kind_of(p.progress.error);
  const auto at_progress = [&](const Doubles& x) {
    return where(p.pool, sim::Dynamics::progress, x);
  };
  std::visit(
      [&](const auto& k) {
        if constexpr (requires { k.floor; }) {
          e.floor = at_progress(k.floor.value);
          e.gain = at_progress(k.gain.value);
          e.scale = at_progress(k.scale.value);
          if constexpr (requires { k.exponent; }) e.exponent = at_progress(k.exponent.value);
        } else {
          e.floor = e.gain = e.scale = e.exponent;
        }
      },
      p.progress.error);
  return e;
}

/// Knots of measured curves, padded to the longest; missing at queue nodes.
void add_curves(const sim::CurveError& error, GroupData& g) {
  const auto nodes = error.source.size();
  std::size_t most = 0;
  for (const sim::CurveSource& c : error.curves) most = std::max(most, c.curve.x.size());
  Doubles progress(nodes * most, kMissing), height(progress), change(nodes, kMissing);
  for (std::size_t n = 0; n < nodes; ++n) {
    if (error.source[n] < 0) continue;
    const sim::CurveSource& c = error.of(static_cast<int>(n));
    std::copy(c.curve.x.begin(), c.curve.x.end(),
              progress.begin() + static_cast<std::ptrdiff_t>(n * most));
    std::copy(c.curve.error.begin(), c.curve.error.end(),
              height.begin() + static_cast<std::ptrdiff_t>(n * most));
    change[n] = c.change;
  }
  g.axes.push_back({"knot", numbers(static_cast<std::int64_t>(most))});
  g.variables.push_back({"knot_progress", std::move(progress)});
  g.variables.push_back({"knot_error", std::move(height)});
  g.variables.push_back({"curve_change", std::move(change)});
}

/// Who shares progress with whom.
void add_links(const sim::Progress& progress, GroupData& g) {
  Integers hub, follower;
  Doubles weight;
  for (const sim::Sharing& s : progress.sharing)
    for (const int f : s.followers) {
      hub.push_back(s.hub);
      follower.push_back(f);
      weight.push_back(s.weight);
    }
  g.axes.push_back({"link", numbers(static_cast<std::int64_t>(hub.size()))});
  g.variables.push_back({"link_hub", std::move(hub)});
  g.variables.push_back({"link_follower", std::move(follower)});
  g.variables.push_back({"link_weight", std::move(weight)});
}

Texts policy_names(const std::vector<Candidate>& all) {
  Texts names;
  for (const Candidate& c : all) names.push_back(c.name);
  return names;
}

GroupData provenance(const scenarios::Scenario& s, const Circumstances& c,
                     const std::string& finished) {
  return {"provenance",
          {},
          {{"scenario_yaml", text(s.text)},
           {"resolved_yaml", text(s.resolved)},
           {"scenario_path", text(s.path)},
           {"overrides", text(joined(s.overrides, "\n"))},
           {"command_line", text(joined(c.words, " "))},
           {"version", text(version())},
           {"git_commit", text(commit())},
           {"compiler", text(compiler())},
           {"build_flags", text(build_flags())},
           {"libraries", text(json_of(libraries()))},
           {"host", text(host())},
           {"cpu", text(processor())},
           {"device", text(c.device)},
           {"threads", integer(c.threads)},
           {"seed", integer(s.settings.seed)},
           {"rng", text("Philox4x32-10; counter = (set, episode, stream, node, slot), key = seed")},
           {"started", text(c.started)},
           {"finished", text(finished)},
           {"train_seconds", number(c.train_seconds)},
           {"attempts", integer(c.attempts)}}};
}

GroupData node(const sim::Params& p, const sim::Exogenous& x) {
  // The placement before slot 0 is part of the equations; only the simulator knows it.
  const sim::Batch fresh = sim::reset(p, x, {0});
  const auto at_queues = [&](const Doubles& x) { return where(p.pool, sim::Dynamics::queue, x); };
  Doubles scale(static_cast<std::size_t>(p.pool.nodes), kMissing);
  if (const auto* k = std::get_if<sim::BacklogError>(&p.errors)) scale = at_queues(k->scale.value);
  if (const auto* k = std::get_if<sim::LinearError>(&p.errors)) scale = at_queues(k->scale.value);
  const sim::SharedReserve* reserve = p.pool.shared_reserve();
  const sim::LotteryService* lottery = p.pool.lottery();
  const bool progress = p.pool.has_progress();
  const ProgressErrors errors = progress_errors(p);
  GroupData g{"node",
              {{"node", node_names(p.pool)}, {"resource", resource_names(p.pool)}},
              {{"dynamics", dynamics(p.pool)},
               {"capacity", p.pool.capacity.value},
               {"needs", p.pool.needs},
               {"error_kind", text(kind_of(p.errors))},
               {"error_scale", scale},
               {"base_rate", sim::base_rate(p)},
               {"initial_rate", fresh.rate},
               {"progress_floor", errors.floor},
               {"progress_gain", errors.gain},
               {"progress_exponent", errors.exponent},
               {"progress_scale", errors.scale},
               {"action", text(choice(p.pool.action))},
               {"conflict", text(choice(p.pool.conflict))},
               {"quantum", number(p.pool.quantum)},
               {"service", text(kind_of(p.pool.service))},
               {"completion", lottery != nullptr ? lottery->completion.value
                                                 : Doubles(fresh.rate.size(), kMissing)},
               {"job", number(lottery != nullptr ? lottery->job : kMissing)},
               {"budgets", p.pool.budgets},
               {"lag", number(p.pool.lag)},
               {"abandonment", number(p.workload.abandonment)},
               {"reserve_efficiency", number(reserve != nullptr ? reserve->efficiency : kMissing)},
               {"reserve_dispatch", text(reserve != nullptr ? choice(reserve->dispatch) : "none")},
               {"progress_error", text(errors.kind)},
               {"progress_start", number(progress ? p.progress.start : kMissing)},
               {"forgetting", number(progress ? p.progress.forgetting : kMissing)},
               {"switching", number(p.cost.switching)},
               {"switching_smoothing", number(p.cost.switching_smoothing)},
               {"worst", number(p.cost.worst)},
               {"worst_temperature", number(p.cost.worst_temperature)},
               {"use", number(p.cost.use)},
               {"concentration", number(p.cost.concentration)},
               {"score_kind", text(choice(p.cost.score))},
               {"slot_seconds", number(p.workload.slot_seconds)}}};
  if (const auto* curves = std::get_if<sim::CurveError>(&p.progress.error); curves && progress)
    add_curves(*curves, g);
  if (!p.progress.sharing.empty()) add_links(p.progress, g);
  std::visit(
      [&](const auto& k) {
        if constexpr (requires { k.mean; })
          g.variables.push_back({"error_mean", at_queues(k.mean)});
        if constexpr (requires { k.slots; })
          g.variables.push_back({"deadline", at_queues(k.slots.value)});
        if constexpr (requires { k.exponent; }) {
          g.variables.push_back({"anytime_floor", at_queues(k.floor.value)});
          g.variables.push_back({"anytime_gain", at_queues(k.gain.value)});
          g.variables.push_back({"anytime_exponent", at_queues(k.exponent.value)});
          g.variables.push_back({"anytime_scale", at_queues(k.scale.value)});
        }
      },
      p.errors);
  return g;
}

/// The training whose policy is stored: the first of the best on the validation episodes.
std::size_t best_training(const agents::Training& t,
                          const std::vector<agents::TrainState>& trainings) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < trainings.size(); ++k)
    if (agents::kept_cost(t, trainings[k]) < agents::kept_cost(t, trainings[best])) best = k;
  return best;
}

/// A row of each training side by side, drawn out to one length.
template <class T>
void append_padded(std::vector<T>& rows, const std::vector<T>& row, std::size_t length, T padding) {
  rows.insert(rows.end(), row.begin(), row.end());
  rows.resize(rows.size() + length - row.size(), padding);
}

GroupData train(const agents::Training& settings,
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

GroupData eval(const std::vector<Candidate>& all, const sim::Exogenous& x,
               const agents::Bound& bound) {
  GroupData g{"eval", {{"policy", policy_names(all)}, {"episode", numbers(x.episodes)}}, {}};
  auto add = [&](const char* name, Doubles agents::Outcome::*column) {
    Doubles rows;
    for (const Candidate& c : all)
      rows.insert(rows.end(), (c.outcome.*column).begin(), (c.outcome.*column).end());
    g.variables.push_back({name, std::move(rows)});
  };
  add("cost", &agents::Outcome::cost);
  add("error_cost", &agents::Outcome::error_cost);
  add("switching_cost", &agents::Outcome::switching_cost);
  add("fairness_cost", &agents::Outcome::fairness_cost);
  add("use_cost", &agents::Outcome::use_cost);
  add("score", &agents::Outcome::score);
  add("served", &agents::Outcome::served);
  add("lost", &agents::Outcome::lost);
  Integers training;
  for (const Candidate& c : all) training.push_back(c.training);
  g.variables.push_back({"training", std::move(training)});
  const bool bounded = bound.reason.empty();
  const Doubles missing(static_cast<std::size_t>(x.episodes), kMissing);
  g.variables.push_back({"bound_lower", bounded ? bound.lower : missing});
  g.variables.push_back({"bound_upper", bounded ? bound.upper : missing});
  g.variables.push_back({"bound_relaxed", bounded ? bound.relaxed : missing});
  g.variables.push_back({"bound_steps", bounded ? bound.steps : Integers(missing.size(), 0)});
  g.variables.push_back({"bound_reason", text(bound.reason)});
  return g;
}

/// Progress of every policy; missing at queue nodes, where it means nothing.
Doubles progress_of(const std::vector<Candidate>& all, const sim::Pool& pool) {
  Doubles rows;
  for (const Candidate& c : all)
    for (std::size_t i = 0; i < c.trajectory.rate.size(); ++i) {
      const auto node = static_cast<int>(i % static_cast<std::size_t>(pool.nodes));
      rows.push_back(pool.is_progress(node) ? c.trajectory.progress[i] : kMissing);
    }
  return rows;
}

GroupData trajectory(const std::vector<Candidate>& all, const sim::Params& p,
                     const sim::Exogenous& x) {
  const std::int64_t episodes = all.front().trajectory.episodes;
  const auto end = static_cast<std::ptrdiff_t>(x.at(episodes, 0));
  auto first = [&](const Doubles& v) { return Doubles(v.begin(), v.begin() + end); };
  auto first_or = [&](const Doubles& v, double otherwise) {
    return v.empty() ? Doubles(static_cast<std::size_t>(end), otherwise) : first(v);
  };
  auto draws = [&](const Doubles& v) {
    const auto count = static_cast<std::size_t>(episodes * x.slots);
    return v.empty() ? Doubles(count, kMissing)
                     : Doubles(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(count));
  };
  GroupData g{"trajectory",
              {{"policy", policy_names(all)},
               {"episode", numbers(episodes)},
               {"slot", numbers(x.slots)},
               {"node", node_names(p.pool)}},
              {{"arrivals", first(x.arrivals)},
               {"availability", first(x.availability)},
               {"importance", first(x.importance)},
               {"keep", first_or(x.keep, 1)},
               {"health", first_or(x.health, kMissing)},
               {"ticket", draws(x.ticket)},
               {"completion", draws(x.completion)}}};
  if (!x.reference_error.empty())
    g.variables.push_back({"reference_error", Doubles(x.reference_error.begin(),
                                                      x.reference_error.begin() + episodes)});
  using T = agents::Trajectory;
  auto add = [&](const char* name, Doubles T::*column) {
    Doubles rows;
    for (const Candidate& c : all)
      rows.insert(rows.end(), (c.trajectory.*column).begin(), (c.trajectory.*column).end());
    g.variables.push_back({name, std::move(rows)});
  };
  add("proportion", &T::proportion);
  if (p.pool.action == sim::Action::per_resource) {
    g.axes.push_back({"resource", resource_names(p.pool)});
    add("resource_proportion", &T::resource_proportion);
  }
  add("reserve", &T::reserve);
  add("grant", &T::grant);
  add("rate", &T::rate);
  add("served", &T::served);
  add("dispatched", &T::dispatched);
  add("lost", &T::lost);
  add("backlog", &T::backlog);
  g.variables.push_back({"progress", progress_of(all, p.pool)});
  add("error", &T::error);
  add("error_cost", &T::error_cost);
  add("switching_cost", &T::switching_cost);
  add("fairness_cost", &T::fairness_cost);
  add("use_cost", &T::use_cost);
  add("cost", &T::cost);
  add("score", &T::score);
  add("waste", &T::waste);
  return g;
}

GroupData policy(const agents::Network& n, const scenarios::Settings& s) {
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

GroupData tuning(const std::vector<agents::Tuning>& all) {
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

GroupData summary_group(const Summary& s, std::int64_t env_steps) {
  Texts names, kinds;
  std::vector<std::int8_t> tuned;
  Doubles cost, cost_se, score, difference, se, low, high, won, closed;
  std::string learned;
  double training_se = kMissing;
  std::vector<Row> rows = s.rows;
  if (s.bound) rows.push_back(bound_row(*s.bound));
  // The reference is compared with nothing: missing, not 0.
  for (const Row& r : rows) {
    const bool paired = r.against_best.has_value();
    const results::Paired p = r.against_best.value_or(results::Paired{});
    names.push_back(r.name);
    kinds.push_back(r.kind);
    tuned.push_back(r.tuned ? 1 : 0);
    cost.push_back(r.cost.mean);
    cost_se.push_back(r.cost.se);
    score.push_back(r.kind == "bound" ? kMissing : r.score.mean);
    difference.push_back(paired ? p.difference : kMissing);
    se.push_back(paired ? p.se : kMissing);
    low.push_back(paired ? p.ci_low : kMissing);
    high.push_back(paired ? p.ci_high : kMissing);
    won.push_back(paired ? p.won : kMissing);
    closed.push_back(r.gap_closed.value_or(kMissing));
    if (r.kind == "learned" && learned.empty()) learned = r.name;
    if (r.training_cost.size() > 1) training_se = results::mean_of(r.training_cost).se;
  }
  return {"summary",
          {{"policy", names}},
          {{"kind", kinds},
           {"tuned", tuned},
           {"cost", cost},
           {"cost_se", cost_se},
           {"score", score},
           {"paired_difference", difference},
           {"paired_se", se},
           {"ci_low", low},
           {"ci_high", high},
           {"episodes_won", won},
           {"gap_closed", closed},
           {"bound_lower", number(s.bound ? s.bound->lower.mean : kMissing)},
           {"bound_upper", number(s.bound ? s.bound->upper : kMissing)},
           {"bound_certified", std::vector<std::int8_t>{s.bound ? std::int8_t{1} : std::int8_t{0}}},
           {"best_heuristic", text(s.best)},
           {"learned", text(learned)},
           {"training_se", number(training_se)},
           {"verdict", text(verdict_text(s))},
           {"episodes", integer(s.episodes)},
           {"env_steps", integer(env_steps)}}};
}

}  // namespace

results::RunFile assemble(const scenarios::Scenario& s, const Circumstances& c,
                          const std::vector<Candidate>& all,
                          const std::vector<agents::Tuning>& tunings, const sim::Exogenous& x,
                          const std::vector<agents::TrainState>& trainings,
                          const agents::Bound& bound, const Summary& summary) {
  const std::string now = now_utc();
  results::RunFile run;
  run.attributes = {{"title", s.settings.name + ", seed " + std::to_string(s.settings.seed)},
                    {"history", now + " " + joined(c.words, " ")},
                    {"date_created", now},
                    {"status", "complete"}};
  if (!c.digest.empty()) run.attributes.emplace_back(kRunDigest, c.digest);
  run.groups.push_back(provenance(s, c, now));
  run.groups.push_back(node(s.settings.sim, x));
  const agents::Training& training = s.settings.agents.training;
  if (!trainings.empty()) run.groups.push_back(train(training, trainings));
  run.groups.push_back(eval(all, x, bound));
  if (all.front().trajectory.episodes > 0) {
    run.groups.push_back(trajectory(all, s.settings.sim, x));
  }
  if (!trainings.empty()) {
    const auto best = static_cast<std::int64_t>(best_training(training, trainings));
    for (const Candidate& candidate : all)
      if (candidate.training == best) run.groups.push_back(policy(*candidate.network, s.settings));
  }
  if (!tunings.empty()) run.groups.push_back(tuning(tunings));
  std::int64_t env_steps = 0;
  for (const agents::TrainState& t : trainings) env_steps += t.env_steps;
  run.groups.push_back(summary_group(summary, env_steps));
  return run;
}

}  // namespace cra::tools
