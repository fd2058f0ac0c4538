#include "tools/telemetry.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;
using Doubles = std::vector<double>;

std::string text_of(const Json& j) {
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// \throws InputError  on what is no JSON, and on a key that stands twice: JSON keeps the last
Json parse_object(const std::string& line) {
  std::set<std::string> keys;
  std::string twice;
  const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      const auto key = parsed.get<std::string>();
      if (!keys.insert(key).second) twice = key;
    }
    return true;
  };
  Json object;
  try {
    object = Json::parse(line, watch);
  } catch (const Json::exception& e) {
    const std::string text = e.what();
    const std::size_t from = text.find("] ");  // after the library's name of the error
    throw InputError("no JSON: " + (from == std::string::npos ? text : text.substr(from + 2)));
  }
  if (!object.is_object()) throw InputError("expected a JSON object, {...}");
  if (!twice.empty()) throw InputError(twice + " is there twice");
  return object;
}

/// The numbers of a list, added to `all`. \param place  "backlog" or "importance[2]"
void read_numbers(const Json& list, const std::string& place, int nodes, Doubles& all) {
  const std::string expected = "expected a list of " + std::to_string(nodes) + " numbers";
  if (!list.is_array()) throw InputError(place + " is " + text_of(list) + ", " + expected);
  if (list.size() != static_cast<std::size_t>(nodes))
    throw InputError(place + " has " + std::to_string(list.size()) + " numbers, " + expected +
                     ", one for each node");
  for (std::size_t n = 0; n < list.size(); ++n) {
    if (!list[n].is_number())
      throw InputError(place + "[" + std::to_string(n) + "] is " + text_of(list[n]) +
                       ", expected a number");
    all.push_back(list[n].get<double>());
  }
}

/// The numbers of a field, rows one after the other.
Doubles numbers_of(const sim::MeasuredField& field, const Json& value, int nodes) {
  Doubles all;
  if (field.most_rows == 1) {
    read_numbers(value, field.name, nodes, all);
    return all;
  }
  if (!value.is_array() || value.empty() ||
      value.size() > static_cast<std::size_t>(field.most_rows))
    throw InputError(std::string(field.name) + ": expected a list of 1 to " +
                     std::to_string(field.most_rows) + " lists of " + std::to_string(nodes) +
                     " numbers, one for each slot to come");
  for (std::size_t h = 0; h < value.size(); ++h)
    read_numbers(value[h], std::string(field.name).append("[").append(std::to_string(h)) + "]",
                 nodes, all);
  return all;
}

const char* told_text(sim::Told told) {
  switch (told) {
    case sim::Told::always:
      return "in every line";
    case sim::Told::first:
      return "in the first line of an episode only";
    case sim::Told::later:
      return "in every line, but may be left out of the first of an episode";
    case sim::Told::optional:
      return "may be left out";
  }
  return "";
}

/// A row of [rows, N] numbers as it stands in a line.
Json list_of(const Doubles& numbers, std::size_t nodes) {
  if (numbers.size() <= nodes) return numbers;
  Json rows = Json::array();
  for (auto from = numbers.begin(); from != numbers.end();
       from += static_cast<std::ptrdiff_t>(nodes))
    rows.push_back(Doubles(from, from + static_cast<std::ptrdiff_t>(nodes)));
  return rows;
}

/// Numbers that a field could have.
Doubles example_of(const sim::MeasuredField& field, const sim::Params& p) {
  using M = sim::Measurement;
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  if (field.column == &M::arrivals || field.column == &M::arrivals_now) {
    Doubles rates = sim::base_rate(p);
    for (double& rate : rates) rate = std::round(100 * rate) / 100;
    return rates;
  }
  if (field.column == &M::importance) return p.workload.importance.value;
  const bool up = field.column == &M::availability || field.column == &M::available_now;
  return Doubles(nodes, up ? 1 : field.column == &M::window ? 10 : 0);
}

Json input_of(const sim::Params& p, Json& example) {
  Json fields = Json::array();
  for (const sim::MeasuredField& f : sim::measured_fields(p)) {
    const auto end = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
    Json shape = Json::array();
    if (f.most_rows > 1) shape.push_back("1 to " + std::to_string(f.most_rows));
    shape.push_back(p.pool.nodes);
    fields.push_back({{"name", f.name},
                      {"shape", shape},
                      {"unit", f.unit},
                      {"range", {end(f.range.lo), end(f.range.hi)}},
                      {"told", told_text(f.told)},
                      {"meaning", f.doc}});
    if (f.told == sim::Told::optional) continue;
    const Doubles numbers = example_of(f, p);
    example[f.name] = f.most_rows > 1 ? Json::array({numbers, numbers}) : Json(numbers);
  }
  return fields;
}

Json output_of(const sim::Params& p) {
  Json fields = Json::array();
  const auto add = [&](const char* name, const Json& shape, const char* unit,
                       const std::string& meaning) {
    fields.push_back({{"name", name}, {"shape", shape}, {"unit", unit}, {"meaning", meaning}});
  };
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  add("slot", Json::array(), "slot", "slot of the episode that is decided, from 0");
  add("proportions", {nodes}, "1", "shares of the budget that is not kept back; they sum to 1");
  if (p.pool.action == sim::Action::per_resource)
    add("resource_proportions", {resources, nodes}, "1", "shares of each resource");
  if (p.pool.shared_reserve() != nullptr)
    add("reserve", Json::array(), "1", "share of the budget to keep back");
  add("grant", {nodes}, "wu/slot",
      "work rate to set: the proportions within budgets and capacities, by the pool's conflict "
      "rule");
  add("use", {resources, nodes}, "ru/slot", "what the grant takes of each resource");
  return fields;
}

}  // namespace

Telemetry parse_telemetry(const std::string& line, const sim::Params& p) {
  const Json object = parse_object(line);
  const std::vector<sim::MeasuredField> fields = sim::measured_fields(p);
  Telemetry t;
  for (const auto& item : object.items()) {
    const std::string& key = item.key();
    const Json& value = item.value();
    if (key == "reset") {
      if (!value.is_boolean())
        throw InputError("reset is " + text_of(value) + ", expected true or false");
      t.reset = value.get<bool>();
      continue;
    }
    if (key == "episode") {
      if (!value.is_string() && !value.is_number())
        throw InputError("episode is " + text_of(value) + ", expected a text or a number");
      t.episode = text_of(value);
      continue;
    }
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const sim::MeasuredField& f) { return key == f.name; });
    if (field == fields.end()) {
      std::vector<std::string> known;
      for (const sim::MeasuredField& f : fields) known.emplace_back(f.name);
      known.insert(known.end(), {"reset", "episode"});
      const std::string near = scenarios::did_you_mean(key, known);
      std::string text = "unknown field \"" + key + "\"";
      text += near.empty() ? "; known:" : "; did you mean \"" + near + "\"? Known:";
      for (const std::string& name : known) text += (&name == known.data() ? " " : ", ") + name;
      throw InputError(text);
    }
    if (!t.measured) t.measured.emplace();
    (*t.measured).*(field->column) = numbers_of(*field, value, p.pool.nodes);
  }
  return t;
}

std::string command_line(const sim::Command& c, const sim::Params& p, const std::string& episode,
                         const Reading* read) {
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  Json answer = Json::object();
  if (!episode.empty()) answer["episode"] = Json::parse(episode);
  answer["slot"] = c.slot;
  answer["proportions"] = c.proportion;
  if (!c.resource_proportion.empty())
    answer["resource_proportions"] = list_of(c.resource_proportion, nodes);
  if (p.pool.shared_reserve() != nullptr) answer["reserve"] = c.reserve;
  answer["grant"] = c.grant;
  Json use = Json::array();
  for (int k = 0; k < p.pool.resource_count(); ++k) {
    Doubles of_resource;
    for (int n = 0; n < p.pool.nodes; ++n)
      of_resource.push_back(c.grant[static_cast<std::size_t>(n)] * p.pool.need_of(n, k));
    use.push_back(of_resource);
  }
  answer["use"] = use;
  if (read != nullptr) {
    Json rows = Json::array();
    const std::size_t columns = read->features.size() / nodes;
    for (auto from = read->features.begin(); from != read->features.end();
         from += static_cast<std::ptrdiff_t>(columns))
      rows.push_back(std::vector<float>(from, from + static_cast<std::ptrdiff_t>(columns)));
    answer["features"] = rows;
    answer["base"] = read->base;
  }
  return answer.dump() + "\n";
}

std::string reset_line(const std::string& episode) {
  Json answer = Json::object();
  if (!episode.empty()) answer["episode"] = Json::parse(episode);
  answer["reset"] = true;
  return answer.dump() + "\n";
}

std::string error_line(const std::string& text) { return text_of(Json{{"error", text}}) + "\n"; }

std::string describe_telemetry(const scenarios::Settings& s, const agents::Network& n,
                               const std::string& policy) {
  const sim::Params& p = s.sim;
  Json resources = Json::array(), groups = Json::array(), example = Json::object();
  for (int k = 0; k < p.pool.resource_count(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    resources.push_back(
        {{"name", at < p.pool.resources.size() ? p.pool.resources[at].name : "resource"},
         {"budget", p.pool.budgets[at]}});
  }
  for (const sim::Group& g : p.pool.groups)
    groups.push_back({{"name", g.name}, {"count", g.count}});
  const Json input = input_of(p, example);
  const Json object{{"policy", policy},
                    {"scenario", s.name},
                    {"nodes", p.pool.nodes},
                    {"groups", groups},
                    {"resources", resources},
                    {"slot_seconds", p.workload.slot_seconds},
                    {"delay", p.observation.delay},
                    {"base", n.base.name},
                    {"features", n.features},
                    {"input", input},
                    {"output", output_of(p)},
                    {"example", text_of(example)}};
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cra::tools
