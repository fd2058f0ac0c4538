// Whole scenarios: a pool with everything in it, the shipped files, and damaged copies of one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "scenario_texts.h"
#include "scenarios/scenario.h"

using namespace cra;
using namespace cra::scenarios;
using cra::testing::faults_of;
using cra::testing::smallest;

namespace {

using Faults = std::vector<std::string>;

Settings settings_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse(text, "s.yaml", overrides).settings;
}

std::string shipped(const std::string& name) {
  std::ifstream in(std::string(CRA_SOURCE_DIR) + "/scenarios/" + name);
  REQUIRE(in);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> shipped_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(CRA_SOURCE_DIR) + "/scenarios"))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Queues and progress, several resources, failures, a calendar and every part but a trace, with
/// no key at its default.
const std::string kEverything = R"(version: 1
name: everything
pool:
  nodes: 3
  groups: [{name: serve, count: 2}, {name: learn, count: 1, dynamics: progress}]
  lag: 0.5
  resources:
    - {name: compute, need: {serve: 1, learn: 2}, budget: 5}
    - {name: memory, need: [0, 0.5, 0.75], budget: 1.5}
workload:
  slots: 30
  calendar: {kind: windows, period: 20, length: 4, outside: 0.2, clusters: 2, scatter: 1}
  noise: none
  failures: {kind: wear, wear: 0.1, warning: 2, fail: 0.5, down: [1, 2], noise: 0, worn_capacity: 0}
  parts:
    - {kind: constant, rate: 0.1}
    - {kind: poisson, rate: 0.1, size: 0.2}
    - {kind: cascade, start: 0.1, length: [1, 2], hop: 1, height: 1}
    - {kind: bursts, begin: 0.1, end: 0.2, start: 0.3, length: [1, 2], height: 2, width: 2}
    - {kind: diurnal, rate: {serve: 0.1, learn: 0}, swing: 0.5, period: 20, phase: [0, 0.5, -1],
       random_start: false}
    - {kind: regime, rate: 0.1, jump: 0.1, low: 0, high: 2, common: false}
    - {kind: drift, rate: 0.1, pull: 0.1, spread: 0.2, low: 0.5, high: 3}
    - {kind: heavy_tail, rate: 0.1, tail: 2.5, smallest: 0.2, largest: 3}
progress:
  error: {kind: exponential, floor: 0.1, gain: {uniform: [0.5, 0.9]}, scale: [1, 2, 3]}
  forgetting: 0.1
  start: 2
  shift: 0.1
  keep: 0.5
)";

}  // namespace

TEST_CASE("pools of groups, several resources, a reserve and progress: what is wrong is told") {
  const auto with = [](const std::string& key, const std::string& value) {
    return faults_of(kEverything, {key + "=" + value});
  };
  CHECK(faults_of(kEverything).empty());
  const auto at = [](const std::string& key, const std::string& value) {
    return "--set " + key + "=" + value + ": ";
  };
  const auto told = [&](const std::string& key, const std::string& value, const std::string& text) {
    CAPTURE(key);
    CHECK(with(key, value) == Faults{at(key, value) + key + " " + text});
  };
  told("pool.groups.1.dynamics", "progres",
       "is \"progres\", expected one of: queue, progress; did you mean \"progress\"?");
  told("pool.groups.0.count", "1000000", "is 1000000, outside [1, 65536]");
  told("pool.resources.1.need", "[1, 2]", "has 2 numbers, expected one for each of the 3 nodes");
  told("pool.resources.0.need.serve", "-1", "is -1, outside [0, 1e9] ru/wu");
  told("pool.resources.1.budget", "50",
       "is 50, more than all nodes together can use (sum of capacity * need = 5)");
  told("workload.calendar.length", "20", "is 20, expected less than the period of 20");
  told("workload.calendar.outside", "2", "is 2, outside [0, 1]");
  told("workload.failures.down", "[3, 2]", "is [3, 2], expected lo <= hi");
  told("workload.parts.4.phase", "2", "is 2, outside [-1, 1] days");
  told("workload.parts.5.low", "3", "is 3, above `high` = 2");
  told("progress.error.kind", "powerlaw",
       "is \"powerlaw\", expected one of: power_law, exponential, curve; did you mean "
       "\"power_law\"?");
  told("progress.error.scale", "0", "is 0, outside (0, 1e9] wu");
  told("progress.error.gain", "0.95", "and floor sum to 1.05 at node 0, expected at most 1");
  told("progress.forgetting", "1", "is 1, outside [0, 1) 1/slot");
  CHECK(faults_of(kEverything, {"progress.error.exponent=1"}) ==
        Faults{"--set progress.error.exponent=1: unknown key \"exponent\" in progress.error\n"
               "  known keys: kind, floor, gain, scale"});
  const Faults reserve = with("pool.reserve", "shared");
  CHECK(reserve == Faults{"--set pool.reserve=shared: pool.reserve.dispatch is optimal, which "
                          "shares out one resource that "
                          "all nodes need alike; this pool has 2 resources, expected priority"});
  CHECK(
      faults_of(smallest(), {"pool.reserve=shard"}) ==
      Faults{"--set pool.reserve=shard: pool.reserve is \"shard\", expected one of: none, shared; "
             "did you mean \"shared\"?"});
  CHECK(faults_of(smallest(), {"pool.reserve={kind: shared, dispatch: optimum}"})
            .at(0)
            .find("pool.reserve.dispatch is \"optimum\", expected one of: optimal, priority") !=
        std::string::npos);
}

TEST_CASE("--set reaches into nested kinds and lists of sections") {
  const Settings s =
      settings_of(kEverything, {"progress.error={kind: power_law, exponent: 2}",
                                "pool.resources.1.need.0=0.25", "pool.groups.0.dynamics=progress",
                                "workload.failures=none", "workload.calendar=walk"});
  CHECK(std::get<sim::PowerLawError>(s.sim.progress.error).exponent[2] == 2);
  CHECK(s.sim.pool.needs == std::vector<double>{1, 0.25, 1, 0.5, 2, 0.75});
  CHECK(s.sim.pool.budgets == std::vector<double>{5, 1.5});
  CHECK(s.sim.pool.is_progress(0));
  CHECK(std::get<sim::WalkCalendar>(s.sim.workload.calendar).pull == 0.02);
}

TEST_CASE("resolved: every key, and reading it again gives the same") {
  const std::vector<std::string> texts{
      smallest(),
      "version: 1\nname: t\npool: {nodes: 2, groups: [{name: a, count: 1}, {name: no, count: 1}], "
      "capacity: {no: 1e-7, a: 10}, need: [1, 0.3333333333333333]}\n"
      "workload: {parts: [{kind: constant, rate: 0.5}]}\n",
      smallest("description: |\n  two lines,\n  \"quoted\": yes\nattention: {kind: {kind: "
               "multihead, heads: 4}}\nevaluation: {baselines: [uniform]}\n"),
      kEverything};
  for (const std::string& text : texts) {
    const Scenario once = parse(text, "s.yaml", {});
    const Scenario twice = parse(once.resolved, "s.yaml", {});
    CHECK(twice.resolved == once.resolved);
    CHECK(twice.settings.sim.pool.capacity.value == once.settings.sim.pool.capacity.value);
  }
  for (const std::string& name : shipped_names()) {
    // their logs are not part of the repository
    if (name == "llm_serving.yaml" || name == "training_real_curves.yaml" ||
        name == "dlrm_three_resources.yaml" || name == "batch_cluster.yaml")
      continue;
    CAPTURE(name);
    const std::string resolved = parse(shipped(name), name, {}).resolved;
    CHECK(parse(resolved, name, {}).resolved == resolved);
  }
  const std::string resolved = parse(smallest(), "s.yaml", {}).resolved;
  CHECK(resolved.find("  lag: 0.25\n") != std::string::npos);
  CHECK(resolved.find("  budget: 2.0\n") != std::string::npos);  // 0 stood for N
  CHECK(resolved.find("    learning_rate: 0.003\n") != std::string::npos);
}

TEST_CASE("the shipped scenarios load; llm_serving says where its log comes from") {
  const Settings quick = settings_of(shipped("quickstart.yaml"));
  CHECK(quick.sim.pool.nodes == 6);
  CHECK(quick.sim.workload.slots == 60);
  CHECK(settings_of(shipped("traffic.yaml")).sim.workload.importance[3] == 2);
  const Faults of_llm = faults_of(shipped("llm_serving.yaml"), {}, "dir/llm_serving.yaml");
  REQUIRE(of_llm.size() == 1);
  CHECK(of_llm.at(0).find(
            ":13: workload.parts.0.file names no file: looked for "
            "\"dir/data/AzureLLMInferenceTrace_conv.csv\"\n"
            "  such a file is not part of this program; the head of the scenario says where to "
            "get it\n"
            "  --set workload.parts.0.file=PATH names another place") != std::string::npos);
}

TEST_CASE("2,000 damaged copies of quickstart.yaml load or are refused with a place") {
  const std::string original = shipped("quickstart.yaml");
  const std::string spice = "[]{}:,-#&*!|>'\"%@`?~ \n\t0129.eE+_xyzAZ\x80\xC3\xFF";
  int refused = 0;
  for (std::uint64_t copy = 0; copy < 2000; ++copy) {
    CAPTURE(copy);
    // splitmix64: any mixer will do, the copies only have to be the same each time
    std::uint64_t state = copy * 0x9E3779B97F4A7C15U + 1;
    const auto below = [&](std::size_t n) {
      std::uint64_t z = (state += 0x9E3779B97F4A7C15U);
      z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
      z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
      return static_cast<std::size_t>((z ^ (z >> 31U)) % n);
    };
    std::string text = original;
    for (std::size_t edit = 0; edit <= below(6); ++edit) {
      const std::size_t at = below(text.size());
      const std::size_t length = below(std::min<std::size_t>(text.size() - at, 40)) + 1;
      switch (below(5)) {
        case 0:
          text[at] = spice[below(spice.size())];
          break;
        case 1:
          text.insert(at, 1, spice[below(spice.size())]);
          break;
        case 2:
          text.erase(at, length);
          break;
        case 3:
          text.insert(below(text.size()), text.substr(at, length));
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    try {
      const Scenario s = parse(text, "s.yaml", {});
      REQUIRE_FALSE(s.resolved.empty());
    } catch (const ScenarioError& e) {
      ++refused;
      REQUIRE_FALSE(e.diagnostics().empty());
      for (const Diagnostic& d : e.diagnostics()) {
        REQUIRE(d.place.compare(0, 7, "s.yaml:") == 0);
        REQUIRE(std::count(d.place.begin(), d.place.end(), ':') == 2);
        REQUIRE_FALSE(d.text.empty());
      }
    }
  }
  CHECK(refused > 500);
  CHECK(refused < 2000);
}
