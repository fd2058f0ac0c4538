// tests/sample_run.h: a small result file with real numbers in it: a pool is simulated under two
// fixed allocations. Everything the format knows is there; `updates` and `knobs` may be 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pools.h"
#include "results/results.h"
#include "sim/sim.h"

namespace cra::testing {

struct SampleSize {
  int nodes = 3;
  int slots = 8;
  std::int64_t episodes = 4;
  std::int64_t recorded = 2;  ///< episodes in /trajectory
  int updates = 5;
  int knobs = 1;
};

/// "Does not apply".
inline constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// The weights of a policy for one slot, [E, N].
using Weights = std::vector<double>;

inline std::vector<std::int64_t> numbers(std::int64_t count, std::int64_t first = 0) {
  std::vector<std::int64_t> x(static_cast<std::size_t>(count));
  std::iota(x.begin(), x.end(), first);
  return x;
}

inline std::vector<std::string> names(const std::string& stem, std::int64_t count) {
  std::vector<std::string> x;
  for (std::int64_t i = 0; i < count; ++i) x.push_back(stem + std::to_string(i));
  return x;
}

/// Simulates one policy and appends its rows to /eval and /trajectory.
class Recorder {
 public:
  Recorder(const sim::Params& p, const sim::Exogenous& x, std::int64_t recorded)
      : p_(p), x_(x), recorded_(recorded) {}

  void add(const Weights& proportion) {
    sim::Batch b = sim::reset(p_, x_, numbers(x_.episodes));
    const auto slots = static_cast<std::size_t>(x_.slots);
    const auto nodes = static_cast<std::size_t>(x_.nodes);
    const auto kept = static_cast<std::size_t>(recorded_);
    const auto envs = static_cast<std::size_t>(x_.episodes);
    std::vector<double> weights;
    for (std::size_t e = 0; e < envs; ++e)
      weights.insert(weights.end(), proportion.begin(), proportion.end());
    std::vector<std::vector<double>> mean(8, std::vector<double>(envs));
    std::vector<std::vector<double>> by_node(10, std::vector<double>(kept * slots * nodes));
    std::vector<std::vector<double>> by_slot(8, std::vector<double>(kept * slots));
    // This pool keeps nothing back and has no progress nodes.
    const std::vector<double> no_reserve(envs, 0), no_progress(envs * nodes, kNone);
    for (std::size_t t = 0; t < slots; ++t) {
      sim::step(p_, x_, b, {weights.data(), x_.episodes, x_.nodes});
      const std::vector<const std::vector<double>*> node_source{
          &weights, &b.grant,   &b.rate,      &b.served, &b.dispatched,
          &b.lost,  &b.backlog, &no_progress, &b.error,  &weights};
      const std::vector<const std::vector<double>*> slot_source{
          &no_reserve, &b.error_cost, &b.switching_cost, &b.fairness_cost,
          &b.use_cost, &b.cost,       &b.score,          &b.waste};
      for (std::size_t e = 0; e < envs; ++e) {
        double served = 0, lost = 0;
        for (std::size_t n = 0; n < nodes; ++n) {
          served += b.served[e * nodes + n];
          lost += b.lost[e * nodes + n];
        }
        const std::vector<double> now{b.cost[e],
                                      b.error_cost[e],
                                      b.switching_cost[e],
                                      b.fairness_cost[e],
                                      b.use_cost[e],
                                      b.score[e],
                                      served,
                                      lost};
        for (std::size_t i = 0; i < now.size(); ++i)
          mean[i][e] += now[i] / static_cast<double>(slots);
        if (e >= kept) continue;
        for (std::size_t i = 0; i < node_source.size(); ++i)
          for (std::size_t n = 0; n < nodes; ++n)
            by_node[i][(e * slots + t) * nodes + n] = (*node_source[i])[e * nodes + n];
        for (std::size_t i = 0; i < slot_source.size(); ++i)
          by_slot[i][e * slots + t] = (*slot_source[i])[e];
      }
    }
    append(eval_,
           {"cost", "error_cost", "switching_cost", "fairness_cost", "use_cost", "score", "served",
            "lost"},
           mean);
    append(trajectory_,
           {"proportion", "grant", "rate", "served", "dispatched", "lost", "backlog", "progress",
            "error", "resource_proportion"},  // of one resource: the same
           by_node);
    append(trajectory_,
           {"reserve", "error_cost", "switching_cost", "fairness_cost", "use_cost", "cost", "score",
            "waste"},
           by_slot);
  }

  std::vector<results::Variable> eval_, trajectory_;

 private:
  static void append(std::vector<results::Variable>& to, const std::vector<std::string>& names,
                     const std::vector<std::vector<double>>& rows) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      results::Variable* v = nullptr;
      for (results::Variable& known : to)
        if (known.name == names[i]) v = &known;
      if (v == nullptr) v = &to.emplace_back(results::Variable{names[i], std::vector<double>{}});
      auto& data = std::get<std::vector<double>>(v->data);
      data.insert(data.end(), rows[i].begin(), rows[i].end());
    }
  }

  const sim::Params& p_;
  const sim::Exogenous& x_;
  std::int64_t recorded_;
};

inline results::GroupData sample_provenance() {
  results::GroupData g{"provenance", {}, {}};
  for (const results::VariableSpec& spec : results::schema()) {
    if (std::string(spec.group) != "provenance") continue;
    const std::string type = spec.type;
    if (type == "i8")
      g.variables.push_back({spec.name, std::vector<std::int64_t>{1}});
    else if (type == "f8")
      g.variables.push_back({spec.name, std::vector<double>{0.25}});
    else
      g.variables.push_back({spec.name, std::vector<std::string>{std::string("a ") + spec.name +
                                                                 " with µ, 中 and a\nnewline"}});
  }
  return g;
}

inline results::GroupData sample_nodes(const sim::Params& p, const sim::Batch& fresh) {
  const auto n = static_cast<std::size_t>(p.pool.nodes);
  const auto one = [](double x) { return std::vector<double>{x}; };
  const auto text = [](const char* x) { return std::vector<std::string>{x}; };
  const std::vector<double> none(n, kNone);
  return {
      "node",
      {{"node", names("n", p.pool.nodes)},
       {"resource", text("resource")},
       {"knot", std::vector<std::int64_t>{0}},
       {"link", std::vector<std::int64_t>{0}}},
      {{"dynamics", std::vector<std::string>(n, "queue")},
       {"capacity", p.pool.capacity.value},
       {"needs", p.pool.needs},
       {"error_kind", text("backlog")},
       {"error_mean", none},
       {"deadline", none},
       {"anytime_floor", none},
       {"anytime_gain", none},
       {"anytime_exponent", none},
       {"anytime_scale", none},
       {"link_hub", std::vector<std::int64_t>{0}},
       {"link_follower", std::vector<std::int64_t>{0}},
       {"link_weight", one(0.5)},
       {"score_kind", text("linear")},
       {"error_scale", std::get<sim::BacklogError>(p.errors).scale.value},
       {"base_rate", sim::base_rate(p)},
       {"initial_rate", std::vector<double>(fresh.rate.begin(),
                                            fresh.rate.begin() + static_cast<std::ptrdiff_t>(n))},
       {"progress_floor", none},
       {"progress_gain", none},
       {"progress_exponent", none},
       {"progress_scale", none},
       {"knot_progress", none},
       {"knot_error", none},
       {"curve_change", none},
       {"action", text("bundle")},
       {"conflict", text("waterfill")},
       {"quantum", one(p.pool.quantum)},
       {"service", text("fluid")},
       {"completion", none},
       {"job", one(kNone)},
       {"budgets", p.pool.budgets},
       {"lag", one(p.pool.lag)},
       {"abandonment", one(p.workload.abandonment)},
       {"reserve_efficiency", one(kNone)},
       {"reserve_dispatch", text("none")},
       {"progress_error", text("none")},
       {"progress_start", one(kNone)},
       {"forgetting", one(kNone)},
       {"switching", one(p.cost.switching)},
       {"switching_smoothing", one(p.cost.switching_smoothing)},
       {"worst", one(p.cost.worst)},
       {"worst_temperature", one(p.cost.worst_temperature)},
       {"use", one(p.cost.use)},
       {"concentration", one(p.cost.concentration)},
       {"slot_seconds", one(p.workload.slot_seconds)}}};
}

inline results::GroupData sample_train(int updates) {
  results::GroupData g{"train",
                       {{"training", numbers(1)},
                        {"update", numbers(updates, 1)},
                        {"validation", std::vector<std::int64_t>{0, updates}}},
                       {{"updates", std::vector<std::int64_t>{updates}},
                        {"kept_update", std::vector<std::int64_t>{updates}},
                        {"stored", std::vector<std::int8_t>{1}},
                        {"validation_cost", std::vector<double>{0.75, 0.5}},
                        {"env_steps", numbers(updates, 64)}}};
  for (const char* name : {"cost", "score", "gradient_norm", "learning_rate", "entropy", "sigma"}) {
    std::vector<double> x;
    for (int u = 0; u < updates; ++u) x.push_back(1.0 / (u + 1));
    g.variables.push_back({name, x});
  }
  return g;
}

inline results::GroupData sample_policy(int knobs) {
  const auto one = [](std::int64_t x) { return std::vector<std::int64_t>{x}; };
  const auto text = [](const char* x) { return std::vector<std::string>{x}; };
  std::vector<float> theta;
  for (int i = 0; i < 10; ++i) theta.push_back(0.1f * static_cast<float>(i));
  return {"policy",
          {{"parameter", numbers(10)},
           {"tensor", std::vector<std::string>{"input.weight", "log_sigma"}},
           {"feature", std::vector<std::string>{"backlog", "rate", "importance"}},
           {"base_knob", names("knob", knobs)}},
          {{"theta", theta},
           {"tensor_offset", std::vector<std::int64_t>{0, 9}},
           {"tensor_rows", std::vector<std::int64_t>{3, 1}},
           {"tensor_cols", std::vector<std::int64_t>{3, 1}},
           {"feature_mean", std::vector<double>{0, 1, 2}},
           {"feature_scale", std::vector<double>{1, 0.5, 0.25}},
           {"base_knob_value", std::vector<double>(static_cast<std::size_t>(knobs), 0.5)},
           {"base", text("demand")},
           {"base_floor", std::vector<double>{0.02}},
           {"kind", text("logistic_normal")},
           {"least_alpha", std::vector<double>{kNone}},
           {"attention", text("multihead")},
           {"width", one(3)},
           {"heads", one(1)},
           {"layers", one(1)},
           {"temperature", std::vector<double>{1}},
           {"points", one(0)},
           {"weights", text("dynamic")},
           {"weights_seed", one(0)},
           {"weights_nodes", one(0)},
           {"positions", text("none")}}};
}

/// Two slots of every recorded episode, made up; the backlog of the first is empty.
inline results::GroupData sample_attention(const SampleSize& size) {
  const auto nodes = static_cast<std::size_t>(size.nodes);
  const std::size_t slots = 2 * static_cast<std::size_t>(size.recorded);
  std::vector<double> received, entropy, value, allocation, base, backlog, map;
  for (std::size_t i = 0; i < slots; ++i) {
    entropy.push_back(0);
    for (std::size_t n = 0; n < nodes; ++n) {
      const auto rising = static_cast<double>(n + 1);
      const double sum = static_cast<double>(nodes * (nodes + 1)) / 2;
      received.push_back(rising / sum);
      entropy.back() -= received.back() * std::log(received.back());
      value.push_back(std::cos(rising * static_cast<double>(i + 1)));
      allocation.push_back((static_cast<double>(nodes) + 1 - rising) / sum);
      base.push_back(1 / static_cast<double>(nodes));
      backlog.push_back(i % 2 == 0 ? 0 : rising * rising);
    }
  }
  std::vector<double> correlation, mean, se;
  for (const auto* x : {&received, &allocation, &base, &backlog}) {
    std::vector<double> row;
    for (std::size_t i = 0; i < slots; ++i)
      row.push_back(results::rank_correlation(std::span(*x).subspan(i * nodes, nodes),
                                              std::span(value).subspan(i * nodes, nodes)));
    const results::Mean over = results::mean_of_rows(row, static_cast<std::size_t>(size.recorded));
    correlation.insert(correlation.end(), row.begin(), row.end());
    mean.push_back(over.mean);
    se.push_back(over.se);
  }
  for (std::size_t row = 0; row < 2 * nodes; ++row)
    map.insert(map.end(), received.begin(), received.begin() + static_cast<std::ptrdiff_t>(nodes));
  const std::int64_t last = size.slots - 1;
  return {"attention",
          {{"episode", numbers(size.recorded)},
           {"slot", std::vector<std::int64_t>{0, last}},
           {"node", names("n", size.nodes)},
           {"quantity", std::vector<std::string>{"attention", "allocation", "base", "backlog"}},
           {"head", numbers(2)},
           {"looker", names("n", size.nodes)}},
          {{"policy", std::vector<std::string>{"skewed"}},
           {"received", received},
           {"entropy", entropy},
           {"looker_entropy", entropy},
           {"marginal_value", value},
           {"allocation", allocation},
           {"base", base},
           {"backlog", backlog},
           {"rank_correlation", correlation},
           {"mean_correlation", mean},
           {"correlation_se", se},
           {"map", map},
           {"map_slot", std::vector<std::int64_t>{last}}}};
}

inline results::GroupData sample_summary(const std::vector<results::Variable>& eval,
                                         std::int64_t episodes) {
  const auto row = [&](const char* name, std::size_t policy) {
    for (const results::Variable& v : eval)
      if (v.name == name)
        return std::span(std::get<std::vector<double>>(v.data))
            .subspan(policy * static_cast<std::size_t>(episodes),
                     static_cast<std::size_t>(episodes));
    return std::span<const double>{};
  };
  const results::Mean a = results::mean_of(row("cost", 0)), b = results::mean_of(row("cost", 1));
  const results::Paired d = results::paired(row("cost", 0), row("cost", 1), 200, 1);
  const results::Mean lower = results::mean_of(row("bound_lower", 0));
  const auto f8 = [](double x, double y, double z) { return std::vector<double>{x, y, z}; };
  return {"summary",
          {{"policy", std::vector<std::string>{"skewed", "uniform", "clairvoyant"}}},
          {{"kind", std::vector<std::string>{"heuristic", "heuristic", "bound"}},
           {"tuned", std::vector<std::int8_t>{1, 0, 0}},
           {"cost", f8(a.mean, b.mean, lower.mean)},
           {"cost_se", f8(a.se, b.se, lower.se)},
           {"score", f8(results::mean_of(row("score", 0)).mean,
                        results::mean_of(row("score", 1)).mean, kNone)},
           {"paired_difference", f8(d.difference, kNone, kNone)},
           {"paired_se", f8(d.se, kNone, kNone)},
           {"ci_low", f8(d.ci_low, kNone, kNone)},
           {"ci_high", f8(d.ci_high, kNone, kNone)},
           {"episodes_won", f8(d.won, kNone, kNone)},
           {"gap_closed", f8((b.mean - a.mean) / (b.mean - lower.mean), kNone, kNone)},
           {"bound_lower", std::vector<double>{lower.mean}},
           {"bound_upper", std::vector<double>{results::mean_of(row("bound_upper", 0)).mean}},
           {"bound_certified", std::vector<std::int8_t>{1}},
           {"best_heuristic", std::vector<std::string>{"uniform"}},
           {"learned", std::vector<std::string>{""}},
           {"training_se", std::vector<double>{kNone}},
           {"verdict", std::vector<std::string>{"not decided with this many episodes"}},
           {"episodes", std::vector<std::int64_t>{episodes}},
           {"env_steps", std::vector<std::int64_t>{0}}}};
}

/// A bound that lies where one could: below both policies in every episode.
inline void add_sample_bound(std::vector<results::Variable>& eval, std::int64_t episodes) {
  const auto& cost = std::get<std::vector<double>>(eval.front().data);  // [2, I]
  std::vector<double> lower, upper;
  for (auto i = static_cast<std::size_t>(0); i < static_cast<std::size_t>(episodes); ++i) {
    upper.push_back(0.5 * std::min(cost[i], cost[i + static_cast<std::size_t>(episodes)]));
    lower.push_back(0.9 * upper.back());
  }
  eval.push_back({"training", std::vector<std::int64_t>{-1, -1}});
  eval.push_back({"bound_lower", lower});
  eval.push_back({"bound_upper", upper});
  eval.push_back({"bound_relaxed", upper});
  eval.push_back({"bound_steps", numbers(episodes, 7)});
  eval.push_back({"bound_reason", std::vector<std::string>{""}});
}

inline results::RunFile sample_run(const SampleSize& size = {}) {
  const sim::Params p = busy_ring(size.nodes, size.slots);
  const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::evaluation, 0, size.episodes);
  Recorder recorder(p, x, size.recorded);
  Weights skewed, uniform;
  const double share = 1.0 / size.nodes;
  for (int n = 0; n < size.nodes; ++n) {
    uniform.push_back(share);
    skewed.push_back(2.0 * (n + 1) / (size.nodes * (size.nodes + 1.0)));
  }
  recorder.add(skewed);
  recorder.add(uniform);
  add_sample_bound(recorder.eval_, size.episodes);
  const std::vector<std::string> policies{"skewed", "uniform"};
  const auto head = [&](const std::vector<double>& all) {
    return std::vector<double>(all.begin(),
                               all.begin() + static_cast<std::ptrdiff_t>(x.at(size.recorded, 0)));
  };

  results::RunFile run;
  run.attributes = {{"title", "sample"},
                    {"history", "made by a test"},
                    {"date_created", "2026-01-01T00:00:00Z"},
                    {"status", "complete"}};
  run.groups.push_back(sample_provenance());
  run.groups.push_back(sample_nodes(p, sim::reset(p, x, {0})));
  run.groups.push_back(sample_train(size.updates));
  run.groups.push_back(
      {"eval", {{"policy", policies}, {"episode", numbers(size.episodes)}}, recorder.eval_});
  results::GroupData trajectory{"trajectory",
                                {{"policy", policies},
                                 {"episode", numbers(size.recorded)},
                                 {"slot", numbers(size.slots)},
                                 {"node", names("n", size.nodes)},
                                 {"resource", std::vector<std::string>{"resource"}},
                                 {"feature", std::vector<std::string>{"backlog", "importance"}}},
                                recorder.trajectory_};
  trajectory.variables.push_back({"arrivals", head(x.arrivals)});
  trajectory.variables.push_back({"availability", head(x.availability)});
  trajectory.variables.push_back({"importance", head(x.importance)});
  const std::size_t exogenous = head(x.importance).size();
  trajectory.variables.push_back({"keep", std::vector<double>(exogenous, 1)});
  trajectory.variables.push_back(
      {"reference_error", std::vector<double>(static_cast<std::size_t>(size.recorded), 0.5)});
  trajectory.variables.push_back({"health", std::vector<double>(exogenous, kNone)});
  const std::vector<double> no_draws(static_cast<std::size_t>(size.recorded * size.slots), kNone);
  trajectory.variables.push_back({"ticket", no_draws});
  trajectory.variables.push_back({"completion", no_draws});
  std::vector<float> seen(2 * 2 * exogenous);  // policy, feature
  std::iota(seen.begin(), seen.end(), 0.0f);
  trajectory.variables.push_back({"observation", seen});
  seen.resize(seen.size() / static_cast<std::size_t>(size.slots));
  trajectory.variables.push_back({"observation_end", seen});
  run.groups.push_back(std::move(trajectory));
  run.groups.push_back(sample_attention(size));
  run.groups.push_back(sample_policy(size.knobs));
  run.groups.push_back({"tuning",
                        {{"candidate", numbers(2)}, {"knob", numbers(1)}},
                        {{"baseline", std::vector<std::string>{"demand", "demand"}},
                         {"knobs", std::vector<std::string>{R"({"a": 0.5})", R"({"a": 1})"}},
                         {"cost", std::vector<double>{0.5, 0.75}},
                         {"chosen", std::vector<std::int8_t>{1, 0}},
                         {"knob_baseline", std::vector<std::string>{"demand"}},
                         {"knob_name", std::vector<std::string>{"a"}},
                         {"knob_grid", std::vector<std::string>{"[0.5,1]"}},
                         {"knob_choice", std::vector<double>{0.5}},
                         {"knob_on_edge", std::vector<std::int8_t>{0}}}});
  run.groups.push_back(sample_summary(recorder.eval_, size.episodes));
  return run;
}

}  // namespace cra::testing
