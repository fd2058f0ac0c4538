// The numbers behind the figures, for people and programs that want them, and for the page's
// script.
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/report_slots.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDigits = 6;                   // of arrays
constexpr std::size_t kMostNumbers = 20000;  // of an array; longer ones are left to the result file

Json exact(double x) { return std::isnan(x) ? Json(nullptr) : Json(x); }

/// To six significant digits: arrays are long, and the result file has all digits.
Json rounded(double x) {
  if (std::isnan(x)) return nullptr;
  std::array<char, 40> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), x,
                                 std::chars_format::scientific, kDigits - 1);
  double value = 0;
  std::from_chars(text.data(), end.ptr, value);
  // Whole numbers without a point.
  if (value == std::floor(value) && std::abs(value) < 1e6) return static_cast<std::int64_t>(value);
  return value;
}

Json list_of(std::span<const double> x) {
  Json all = Json::array();
  for (const double v : x) all.push_back(rounded(v));
  return all;
}

/// [rows, columns] as a list of lists; null when it is too long.
Json rows_of(std::span<const double> x, std::size_t rows) {
  if (x.size() > kMostNumbers) return nullptr;
  Json all = Json::array();
  const std::size_t columns = rows > 0 ? x.size() / rows : 0;
  for (std::size_t r = 0; r < rows; ++r) all.push_back(list_of(x.subspan(r * columns, columns)));
  return all;
}

Json summary_json(const Case& c) {
  Json all = Json::array();
  for (const PolicyEntry& e : c.entrants)
    all.push_back({{"name", e.name},
                   {"kind", e.kind},
                   {"cost", exact(e.cost)},
                   {"cost_se", exact(e.se)},
                   {"paired_difference", exact(e.difference)},
                   {"ci_low", exact(e.low)},
                   {"ci_high", exact(e.high)},
                   {"episodes_won", exact(e.won)},
                   {"gap_closed", exact(e.gap_closed)}});
  return all;
}

Json eval_json(const Case& c) {
  const results::GroupData& eval = *c.group("eval");
  const std::size_t policies = texts(eval, "policy").size();
  Json json{{"policy", texts(eval, "policy")}, {"episode", whole(eval, "episode")}};
  for (const char* name : {"cost", "error_cost", "switching_cost", "fairness_cost", "use_cost"})
    json[name] = rows_of(doubles(eval, name), policies);
  json["bound_lower"] = list_of(doubles(eval, "bound_lower"));
  return json;
}

Json train_json(const Case& c) {
  const results::GroupData* train = c.group("train");
  if (train == nullptr) return nullptr;
  const std::size_t trainings = whole(*train, "training").size();
  return {{"validation", whole(*train, "validation")},
          {"validation_cost", rows_of(doubles(*train, "validation_cost"), trainings)},
          {"updates", whole(*train, "updates")},
          {"cost", rows_of(doubles(*train, "cost"), trainings)}};
}

Json episode_json(const Case& c, const Episode& e) {
  if (e.actors.empty()) return nullptr;
  Json actors = Json::array();
  for (const Episode::Actor& a : e.actors)
    actors.push_back({{"policy", a.entrant->name},
                      {"share", rows_of(a.share, e.nodes)},
                      {"load", rows_of(a.load, e.nodes)},
                      {"error", rows_of(a.error, e.nodes)},
                      {"cost", list_of(a.cost)},
                      {"reserve", list_of(a.reserve)}});
  return {{"episode", whole(*c.group("trajectory"), "episode").at(0)},
          {"node", texts(*c.group("trajectory"), "node")},
          {"slots_per_column", e.binned},
          {"policies", actors}};
}

Json attention_json(const Case& c) {
  const results::GroupData* g = c.group("attention");
  if (g == nullptr) return nullptr;
  Json json{{"policy", texts(*g, "policy").at(0)},
            {"quantity", texts(*g, "quantity")},
            {"mean_correlation", list_of(doubles(*g, "mean_correlation"))},
            {"correlation_se", list_of(doubles(*g, "correlation_se"))}};
  if (doubles(*g, "received").size() <= 6000) {
    const std::size_t rows = whole(*g, "episode").size() * whole(*g, "slot").size();
    json["received"] = rows_of(doubles(*g, "received"), rows);
    json["marginal_value"] = rows_of(doubles(*g, "marginal_value"), rows);
  }
  return json;
}

}  // namespace

std::string data_json(std::span<const Case> all) {
  Json cases = Json::array();
  for (const Case& c : all) {
    cases.push_back({{"label", c.label},
                     {"path", c.path},
                     {"scenario", c.scenario},
                     {"seed", c.seed},
                     {"best_heuristic", c.best},
                     {"learned", c.learned},
                     {"verdict", texts(*c.group("summary"), "verdict").at(0)},
                     {"summary", summary_json(c)},
                     {"train", train_json(c)},
                     {"eval", eval_json(c)},
                     {"trajectory", episode_json(c, first_episode(c, most_cells(all.size())))},
                     {"attention", attention_json(c)}});
  }
  const Json page{
      {"format", "cra-report"},
      {"version", 1},
      {"note",
       "summary: exact, as in /summary of the result files; arrays: rounded to 6 significant "
       "digits; null: does not apply, or too long for a page"},
      {"results", cases}};
  std::string text = page.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Nothing in it may look like the end of the script element, or the beginning of a comment.
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else if (c == '>')
      safe += "\\u003e";
    else if (c == '&')
      safe += "\\u0026";
    else
      safe += c;
  }
  return safe;
}

}  // namespace cra::tools
