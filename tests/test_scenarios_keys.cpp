#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "scenario_texts.h"
#include "scenarios/number.h"
#include "scenarios/scenario.h"

using namespace cra;
using namespace cra::scenarios;
using cra::testing::faults_of;
using cra::testing::smallest;

namespace {

const KeyInfo* find(const std::vector<KeyInfo>& all, const std::string& path) {
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const KeyInfo& k) { return k.path == path; });
  return it == all.end() ? nullptr : &*it;
}

// "pool.groups[].name" -> "name", "workload.parts[cascade].height" -> "height".
std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

TEST_CASE("keys: one line per key, with type, unit, range, default and meaning") {
  const std::vector<KeyInfo> all = keys();
  std::set<std::string> paths;
  for (const KeyInfo& k : all) {
    CAPTURE(k.path);
    CHECK(paths.insert(k.path).second);
    CHECK_FALSE(k.doc.empty());
    CHECK((k.type == "section" || !k.default_.empty()));
  }
  const KeyInfo* lag = find(all, "pool.lag");
  REQUIRE(lag != nullptr);
  CHECK(lag->type == "number");
  CHECK(lag->unit == "1");
  CHECK(lag->range == "(0, 1]");
  CHECK(lag->default_ == "0.25");
  const KeyInfo* height = find(all, "workload.parts[cascade].height");
  REQUIRE(height != nullptr);
  CHECK(height->unit == "wu/slot");
  CHECK(height->default_ == "3.0");
  const KeyInfo* parts = find(all, "workload.parts");
  REQUIRE(parts != nullptr);
  CHECK(parts->type == "list");
  CHECK(parts->range ==
        "constant, poisson, bernoulli, cascade, bursts, diurnal, regime, drift, heavy_tail, trace, "
        "contagion, frames, switch");
  CHECK(parts->default_ == "[]");
  CHECK(find(all, "pool")->default_ == "required");
  const KeyInfo* noise = find(all, "workload.noise");
  REQUIRE(noise != nullptr);
  CHECK(noise->type == "kind");
  CHECK(noise->default_ == "gamma");
  REQUIRE(find(all, "pool.groups[].count") != nullptr);
  REQUIRE(find(all, "workload.parts[trace].work[].rate") != nullptr);
  CHECK(find(all, "workload.parts[constant].rate")->type == "per-node");
  CHECK(find(all, "pool.geometry")->range == "none, ring, chain");
  CHECK(find(all, "evaluation.baselines")->default_ == "[]");
  const KeyInfo* dynamics = find(all, "pool.groups[].dynamics");
  REQUIRE(dynamics != nullptr);
  CHECK(dynamics->range == "queue, progress");
  CHECK(dynamics->default_ == "queue");
  REQUIRE(find(all, "pool.resources[].need") != nullptr);
  CHECK(find(all, "pool.resources[].need")->type == "per-node");
  CHECK(find(all, "pool.reserve")->default_ == "none");
  REQUIRE(find(all, "pool.reserve[shared].dispatch") != nullptr);
  CHECK(find(all, "workload.calendar")->range == "steady, windows, walk, follow");
  REQUIRE(find(all, "workload.failures[wear].down") != nullptr);
  CHECK(find(all, "progress.error")->default_ == "power_law");
  CHECK(find(all, "errors")->range == "backlog, linear, miss, deadline, anytime");
  REQUIRE(find(all, "progress.sharing[].followers") != nullptr);
  CHECK(find(all, "progress.sharing[].followers")->type == "list");
  CHECK(find(all, "progress.sharing[].followers")->range == "[0, 65535]");
  REQUIRE(find(all, "progress.error[exponential].gain") != nullptr);
  CHECK(find(all, "progress.error[exponential].gain")->range == "(0, 1]");
}

TEST_CASE("keys: every key of a resolved scenario is listed, and every default is the real one") {
  const std::vector<KeyInfo> all = keys();
  std::set<std::string> listed{"kind"};
  for (const KeyInfo& k : all) listed.insert(last_part(k.path));
  const std::string resolved = parse(smallest(), "s.yaml", {}).resolved;
  std::string line;
  for (const char c : resolved) {
    if (c != '\n') {
      line += c;
      continue;
    }
    const std::size_t begin = line.find_first_not_of(" -");
    const std::string key = line.substr(begin, line.find(':') - begin);
    CAPTURE(line);
    CHECK(listed.count(key) == 1);
    line.clear();
  }
  // a default that is set changes nothing; budget 0 resolves to N, name and version are given, and
  // a pool of queues needs parts
  for (const KeyInfo& k : all) {
    if (k.default_.empty() || k.default_ == "required" || k.path.find('[') != std::string::npos ||
        k.path == "workload.parts") {
      continue;
    }
    CAPTURE(k.path);
    CHECK(parse(smallest(), "s.yaml", {k.path + "=" + k.default_}).resolved == resolved);
  }
}

TEST_CASE("keys: a key that is listed can be set, one that is not cannot") {
  CHECK(faults_of(smallest(), {"training.updates=5"}).empty());
  CHECK(faults_of(smallest(), {"training.update=5"}).size() == 1);
}

TEST_CASE("keys_markdown: a row per key, bars escaped") {
  const std::string text = keys_markdown();
  const auto rows = std::count(text.begin(), text.end(), '\n');
  CHECK(rows == static_cast<std::ptrdiff_t>(keys().size()) + 2);
  CHECK(text.find("| `pool.lag` | number | 1 | (0, 1] | `0.25` | placement gain:") !=
        std::string::npos);
  CHECK(text.find("| `pool.nodes` | integer |  | [1, 65536] | required | compute nodes") !=
        std::string::npos);
}

TEST_CASE("keys_json_schema: draft 7, closed maps, ranges, kinds") {
  const auto schema = nlohmann::json::parse(keys_json_schema());
  CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema["required"] == nlohmann::json({"version", "name", "pool", "workload"}));
  const auto& pool = schema["properties"]["pool"];
  CHECK(pool["additionalProperties"] == false);
  CHECK(pool["properties"]["nodes"]["minimum"] == 1);
  CHECK(pool["properties"]["nodes"]["maximum"] == 65536);
  CHECK(pool["properties"]["lag"]["exclusiveMinimum"] == 0);
  CHECK(pool["properties"]["lag"]["maximum"] == 1);
  CHECK(pool["properties"]["geometry"]["enum"] == nlohmann::json({"none", "ring", "chain"}));
  CHECK(pool["properties"]["capacity"]["oneOf"].size() == 4);
  const auto& parts = schema["properties"]["workload"]["properties"]["parts"];
  CHECK(parts["type"] == "array");
  std::vector<std::string> kinds;
  for (const auto& k : parts["items"]["oneOf"]) {
    if (!k.contains("properties")) continue;
    kinds.push_back(k["properties"]["kind"]["const"]);
    CHECK(k["required"][0] == "kind");
  }
  CHECK(kinds == std::vector<std::string>{"constant", "poisson", "bernoulli", "cascade", "bursts",
                                          "diurnal", "regime", "drift", "heavy_tail", "trace",
                                          "contagion", "frames", "switch"});
  const auto& resource = pool["properties"]["resources"]["items"];
  CHECK(resource["required"] == nlohmann::json({"name"}));
  CHECK(resource["properties"]["need"]["oneOf"].size() == 4);
  CHECK(pool["properties"]["groups"]["items"]["properties"]["dynamics"]["enum"] ==
        nlohmann::json({"queue", "progress"}));
  const auto& error = schema["properties"]["progress"]["properties"]["error"]["oneOf"];
  REQUIRE(error.size() == 4);
  CHECK(error[1]["properties"]["kind"]["const"] == "exponential");
  CHECK(error[1]["required"] == nlohmann::json({"kind"}));
  CHECK(error[2]["properties"]["curves"]["items"]["required"] == nlohmann::json({"file"}));
  CHECK(error[3]["enum"] == nlohmann::json({"power_law", "exponential", "curve"}));
  // the default kind need not be named
  const auto& noise = schema["properties"]["workload"]["properties"]["noise"]["oneOf"];
  CHECK_FALSE(noise[0].contains("required"));
  CHECK(noise[1]["required"] == nlohmann::json({"kind"}));
  CHECK(noise[4]["enum"] == nlohmann::json({"gamma", "poisson", "none", "lognormal"}));
}

TEST_CASE("did_you_mean: at most two edits, swaps count once, case not at all") {
  const std::vector<std::string> known{"capacity", "need", "budget", "lag", "nodes"};
  CHECK(did_you_mean("capcity", known) == "capacity");
  CHECK(did_you_mean("capaciyt", known) == "capacity");
  CHECK(did_you_mean("acpaciyt", known) == "capacity");
  CHECK(did_you_mean("cpcty", known).empty());
  CHECK(did_you_mean("CAPACITY", known) == "capacity");
  CHECK(did_you_mean("node", known) == "nodes");
  CHECK(did_you_mean("needs", known) == "need");
  CHECK(did_you_mean("gal", known) == "lag");
  CHECK(did_you_mean("", known).empty());
  CHECK(did_you_mean("xy", {"ab"}).empty());  // two edits turn any two letters into any others
  CHECK(did_you_mean("x", {}).empty());
  CHECK(did_you_mean(std::string(100000, 'a'), {std::string(100000, 'a') + "b"}).empty());
}

TEST_CASE("numbers: what is none, and why") {
  double x = 0;
  for (const char* text :
       {"0", "-0", "1.", ".5", "+1.5e-3", "1E5", "123456789012345678901234567890"}) {
    CAPTURE(text);
    CHECK(parse_number(text, x) == NumberFault::none);
  }
  for (const char* text : {"", "-", ".", "e1", "1e", "1e+", "1 ", " 1", "0x1", "1_0", "1,0",
                           "1.2.3", "--1", "+-1", "1d3", "one"}) {
    CAPTURE(text);
    CHECK(parse_number(text, x) == NumberFault::not_a_number);
  }
  for (const char* text : {"01", "-00", "007.5"}) {
    CHECK(parse_number(text, x) == NumberFault::leading_zero);
  }
  for (const char* text : {".inf", "-.INF", "inf", "nan", ".NaN", "-infinity"}) {
    CHECK(parse_number(text, x) == NumberFault::not_finite);
  }
  CHECK(parse_number("1e309", x) == NumberFault::too_large);
  CHECK(parse_number("-1e309", x) == NumberFault::too_large);
  CHECK(parse_number("1e-400", x) == NumberFault::too_small);
  CHECK(parse_number("0." + std::string(400, '0') + "1", x) == NumberFault::too_small);
  CHECK(parse_number(std::string(400, '9'), x) == NumberFault::too_large);
}

TEST_CASE("whole numbers: exact over all of int64") {
  std::int64_t n = 0;
  CHECK(parse_whole("9223372036854775807", n) == NumberFault::none);
  CHECK(n == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_whole("-9223372036854775808", n) == NumberFault::none);
  CHECK(n == std::numeric_limits<std::int64_t>::min());
  CHECK(parse_whole("9223372036854775808", n) == NumberFault::too_large);
  CHECK(parse_whole("1e18", n) == NumberFault::none);
  CHECK(n == 1000000000000000000);
  CHECK(parse_whole("1e19", n) == NumberFault::too_large);
  CHECK(parse_whole("0.5", n) == NumberFault::not_a_number);
}

TEST_CASE("numbers as text: shortest, and a float to every YAML reader") {
  CHECK(shortest(4) == "4");
  CHECK(shortest(1e9) == "1e9");
  CHECK(shortest(1e-4) == "1e-4");
  CHECK(shortest(-2.5e-7) == "-2.5e-7");
  CHECK(yaml_float(4) == "4.0");
  CHECK(yaml_float(1e-4) == "1.0e-4");
  CHECK(yaml_float(1e9) == "1.0e+9");
  CHECK(yaml_float(-2.5e-7) == "-2.5e-7");
  CHECK(yaml_float(65536) == "65536.0");
  for (const double x : {0.1, 1.0 / 3, 1e15, 5e-324, 1.7976931348623157e308, 123456.789, 2e-5}) {
    double back = 0;
    REQUIRE(parse_number(yaml_float(x), back) == NumberFault::none);
    CHECK(back == x);
    REQUIRE(parse_number(shortest(x), back) == NumberFault::none);
    CHECK(back == x);
  }
}
