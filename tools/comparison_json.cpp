// A comparison as one JSON object.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/comparison.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;
using Doubles = std::vector<double>;

Json finite_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json interval_json(const results::Interval& i) {
  return {{"value", i.value}, {"ci_low", i.low}, {"ci_high", i.high}};
}

/// Share of the episodes that come closer to the optimum than a threshold: the bound over the cost
/// is 1 where no policy can do better. Without a bound, the same of the performance score.
Json profile_json(const Entrant& e) {
  Doubles x = e.score, thresholds;
  for (std::size_t i = 0; i < x.size() && !e.lower.empty(); ++i) {
    const double lower = e.lower[i % e.lower.size()];
    x[i] = e.cost[i] > 0 ? std::clamp(lower / e.cost[i], 0.0, 1.0) : 1;
  }
  if (!std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); })) return nullptr;
  for (int i = 0; i <= 50; ++i) thresholds.push_back(0.02 * i);
  Json threshold = Json::array(), share = Json::array(), low = Json::array(), high = Json::array();
  for (const results::ProfilePoint& p : results::profile({x, e.trainings}, thresholds, kResamples,
                                                         static_cast<std::uint64_t>(e.seed))) {
    threshold.push_back(p.threshold);
    share.push_back(p.share);
    low.push_back(p.low);
    high.push_back(p.high);
  }
  return {{"quantity", e.lower.empty() ? "score" : "bound_lower / cost"},
          {"threshold", threshold},
          {"share_above", share},
          {"ci_low", low},
          {"ci_high", high}};
}

Json result_json(const Entrant& e, const Standing& s) {
  return {{"label", e.label},
          {"file", e.file},
          {"scenario", e.scenario},
          {"seed", e.seed},
          {"policy", e.policy},
          {"kind", e.kind},
          {"trainings", e.trainings},
          {"episodes", e.episodes()},
          {"cost", s.cost.mean},
          {"cost_se", s.cost.se},
          {"training_cost", s.training_cost},
          {"training_se", e.trainings > 1 ? Json(results::mean_of(s.training_cost).se) : Json()},
          {"interquartile_mean", interval_json(s.interquartile)},
          {"gap_closed", s.gap_closed ? Json(*s.gap_closed) : Json()},
          {"bound_lower", e.lower.empty() ? Json() : Json(results::mean_of(e.lower).mean)},
          {"no_bound_because", e.no_bound.empty() ? Json() : Json(e.no_bound)},
          {"best_heuristic", e.best.empty() ? Json() : Json(e.best)},
          {"profile", profile_json(e)}};
}

Json keys_json(const std::vector<scenarios::Difference>& all) {
  Json list = Json::array();
  for (const scenarios::Difference& d : all)
    list.push_back({{"key", d.path}, {"this", d.a}, {"against", d.b}});
  return list;
}

const char* footing_name(Footing f) {
  return f == Footing::paired ? "paired" : f == Footing::unpaired ? "unpaired" : "none";
}

const char* verdict_name(const Versus& v) {
  if (!v.contrast) return "no claim";
  if (v.equal) return "equal";
  if (!v.holm.rejected) return "not decided";
  return v.difference.high < 0 ? "better" : "worse";
}

Json versus_json(const Comparison& c, const Versus& v) {
  Json object{{"result", c.entrants[v.entrant].label},
              {"against", c.entrants[c.reference].label},
              {"verdict", verdict_name(v)},
              {"sentence", sentence(c, v)},
              {"pairing", footing_name(v.match.footing)},
              {"reason", v.match.why.empty() ? Json() : Json(v.match.why)},
              {"same", v.match.evidence},
              {"scenario_differs", keys_json(v.match.world)},
              {"making_differs", keys_json(v.match.making)}};
  if (!v.contrast) return object;
  object.update(Json{{"paired_episodes", v.match.episodes},
                     {"difference", v.contrast->difference},
                     {"difference_se", v.contrast->se},
                     {"degrees_of_freedom", v.contrast->degrees},
                     {"ci_low", v.difference.low},
                     {"ci_high", v.difference.high},
                     {"ci_level", 1 - v.holm.alpha},
                     {"p_value", v.p},
                     {"p_value_adjusted", v.holm.adjusted},
                     {"episodes_won", v.won ? Json(*v.won) : Json()},
                     {"probability_of_improvement", interval_json(v.improvement)},
                     {"detectable_difference", v.detectable},
                     {"episodes_needed", finite_or_null(v.episodes_needed)},
                     {"trainings_needed", finite_or_null(v.trainings_needed)}});
  return object;
}

}  // namespace

std::string comparison_json(const Comparison& c) {
  Json results = Json::array(), comparisons = Json::array();
  for (std::size_t i = 0; i < c.entrants.size(); ++i)
    results.push_back(result_json(c.entrants[i], c.standings[i]));
  for (const Versus& v : c.versus) comparisons.push_back(versus_json(c, v));
  const Json object{{"schema_version", 1},       {"against", c.entrants[c.reference].label},
                    {"alpha", kAlpha},           {"power", kPower},
                    {"resamples", kResamples},   {"results", results},
                    {"comparisons", comparisons}};
  // File names need not be UTF-8; JSON must be.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cra::tools
