// /eval, /trajectory and /summary: what every policy did on the test episodes.
#include "tools/assemble_groups.h"

#include <utility>

#include "sim/sim.h"

namespace cra::tools {
namespace {

Texts policy_names(const std::vector<Candidate>& all) {
  Texts names;
  for (const Candidate& c : all) names.push_back(c.name);
  return names;
}

/// A column of every policy's trajectory, one after the other.
template <class Value>
std::vector<Value> joined(const std::vector<Candidate>& all,
                          std::vector<Value> agents::Trajectory::*column) {
  std::vector<Value> rows;
  for (const Candidate& c : all)
    rows.insert(rows.end(), (c.trajectory.*column).begin(), (c.trajectory.*column).end());
  return rows;
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

}  // namespace

GroupData eval_group(const std::vector<Candidate>& all, const sim::Exogenous& x,
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

GroupData trajectory_group(const std::vector<Candidate>& all, const sim::Params& p,
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
    g.variables.push_back({name, joined(all, column)});
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
  if (!all.front().trajectory.observation.empty()) {
    g.axes.push_back({"feature", sim::feature_names(p)});
    g.variables.push_back({"observation", joined(all, &T::observation)});
    g.variables.push_back({"observation_end", joined(all, &T::observation_end)});
  }
  return g;
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

}  // namespace cra::tools
