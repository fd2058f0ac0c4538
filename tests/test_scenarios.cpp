#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "scenario_texts.h"
#include "scenarios/dump.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::scenarios;
using cra::testing::faults_of;
using cra::testing::message_of;
using cra::testing::repeated;
using cra::testing::smallest;
using cra::testing::TemporaryFolder;

namespace {

using Faults = std::vector<std::string>;

const std::string kTopKeys =
    "\n  known keys: version, name, description, seed, pool, workload, observation, errors, "
    "progress, cost, attention, agent, training, evaluation, output";
const std::string kPoolKeys =
    "\n  known keys: nodes, groups, capacity, need, budget, lag, geometry, resources, action, "
    "conflict, quantum, service, reserve";
const std::string kPartKinds =
    "constant, poisson, bernoulli, cascade, bursts, diurnal, regime, drift, heavy_tail, trace, "
    "contagion, frames, switch";

std::string with_pool(const std::string& keys) {
  return "version: 1\nname: t\npool: {nodes: 2, " + keys +
         "}\nworkload: {parts: [{kind: constant, rate: 0.5}]}\n";
}

std::string with_part(const std::string& part) {
  return "version: 1\nname: t\npool: {nodes: 2}\nworkload:\n  parts:\n    - " + part + "\n";
}

Settings settings_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse(text, "s.yaml", overrides).settings;
}

/// Every type of member that a Params may have, the ones no Params has today included.
struct EveryType {
  bool flag = false;
  double number = 1;
  std::int64_t big = 0;
  std::array<int, 2> pair{1, 2};
  sim::NodeValues values;
  sim::Geometry choice = sim::Geometry::none;
  sim::Noise kind;
  std::vector<std::string> texts;
  std::vector<sim::Group> sections;
  std::vector<sim::Noise> kinds;
  std::vector<sim::Resource> resources;
  sim::Progress nested;
};
template <class V>
void fields(V& v, EveryType& p) {
  v("flag", p.flag, "");
  v("number", p.number, Range{}, "", "");
  v("big", p.big, Range{0, 9007199254740992.0}, "", "");
  v("pair", p.pair, Range{-9, 9}, "", "");
  v("values", p.values, Range{}, "", "");
  v("choice", p.choice, "");
  v("kind", p.kind, "");
  v("texts", p.texts, "");
  v("sections", p.sections, "");
  v("kinds", p.kinds, "");
  v("resources", p.resources, "");
  v("nested", p.nested, "");
}

EveryType read_every(const std::string& text, Faults* faults = nullptr) {
  Report report;
  EveryType out;
  const auto root = parse_yaml(text, 0, report);
  REQUIRE(root);
  Reader::read(*root, "", report, out);
  Faults found;
  for (const Diagnostic& d : report.diagnostics("s", text, {}))
    found.push_back(d.place + ": " + d.text);
  if (faults != nullptr) {
    *faults = found;
  } else {
    CHECK(found == Faults{});
  }
  return out;
}

}  // namespace

TEST_CASE("keys: unknown, misspelt and missing ones are all told at once, in order of place") {
  CHECK(
      faults_of("version: 1\nname: t\npol: 1\npool:\n  capcity: 4\nwidth: 3\n") ==
      Faults{"s.yaml:1:1: missing required key \"workload\"",
             "s.yaml:3:1: unknown key \"pol\"; did you mean \"pool\"?" + kTopKeys,
             "s.yaml:4:1: missing required key \"nodes\" in pool",
             "s.yaml:5:3: unknown key \"capcity\" in pool; did you mean \"capacity\"?" + kPoolKeys,
             "s.yaml:6:1: unknown key \"width\"" + kTopKeys});
}

TEST_CASE("a section that is no map, and a list that is no list") {
  CHECK(faults_of(smallest("cost:\n")) ==
        Faults{"s.yaml:5:1: cost is empty, expected a map of keys"});
  CHECK(faults_of(smallest("cost: 3\n")) ==
        Faults{"s.yaml:5:7: cost is \"3\", expected a map of keys"});
  CHECK(faults_of(smallest("evaluation: {baselines: uniform}\n")) ==
        Faults{"s.yaml:5:25: evaluation.baselines is \"uniform\", expected a list"});
  CHECK(faults_of(with_part("5")) ==
        Faults{"s.yaml:6:7: workload.parts.0 is \"5\", expected one of: " + kPartKinds});
}

TEST_CASE("numbers out of range say the range and the unit") {
  CHECK(faults_of(with_pool("lag: 0")) == Faults{"s.yaml:3:23: pool.lag is 0, outside (0, 1]"});
  CHECK(faults_of(with_pool("budget: -1e3")) ==
        Faults{"s.yaml:3:26: pool.budget is -1e3, outside [0, 1e15] ru/slot"});
  CHECK(faults_of(smallest("seed: 9007199254740993\n")) ==
        Faults{"s.yaml:5:7: seed is 9007199254740993, outside [0, 9007199254740992]"});
  CHECK(faults_of(smallest("version: 2\n")).at(0) ==
        "s.yaml:5:1: key \"version\" is set twice: in line 1 and in line 5");
}

TEST_CASE("whole numbers may be written with an exponent, and keep all their digits") {
  CHECK(settings_of(smallest("seed: 9007199254740991\n")).seed == 9007199254740991);
  CHECK(settings_of(smallest("seed: 1e3\n")).seed == 1000);
  CHECK(settings_of(smallest("seed: 1.50e+1\n")).seed == 15);
  CHECK(settings_of(smallest("seed: +7\n")).seed == 7);
  CHECK(faults_of(smallest("seed: 1.55e1\n")) ==
        Faults{"s.yaml:5:7: seed is \"1.55e1\", expected a whole number"});
}

TEST_CASE("choices and kinds list what there is, and suggest the nearest") {
  CHECK(
      faults_of(with_pool("geometry: rign")) ==
      Faults{"s.yaml:3:28: pool.geometry is \"rign\", expected one of: none, ring, chain; did you "
             "mean \"ring\"?"});
  CHECK(faults_of(with_part("{kind: cascad, start: 0.1}")) ==
        Faults{"s.yaml:6:14: workload.parts.0.kind is \"cascad\", expected one of: " + kPartKinds +
               "; did you mean \"cascade\"?"});
  CHECK(faults_of(with_part("{start: 0.1}")) ==
        Faults{"s.yaml:6:7: missing required key \"kind\" in workload.parts.0\n"
               "  kinds: " +
               kPartKinds});
  CHECK(faults_of(with_part("{kind: constant, rate: 1, start: 0.1}")) ==
        Faults{"s.yaml:6:33: unknown key \"start\" in workload.parts.0\n  known keys: kind, rate"});
  CHECK(faults_of(with_part("constant")) ==
        Faults{"s.yaml:6:7: missing required key \"rate\" in workload.parts.0"});
  CHECK(faults_of(smallest("errors: [backlog]\n")) ==
        Faults{"s.yaml:5:9: errors is a list, expected a kind (backlog, linear, miss, deadline, "
               "anytime) "
               "or a map with `kind`"});
}

TEST_CASE("a kind may be given by its name alone") {
  const Settings s = settings_of(smallest("errors: backlog\nagent: {learner: reinforce}\n"));
  CHECK(std::get<sim::BacklogError>(s.sim.errors).scale[1] == 2);
  CHECK(std::get<agents::Reinforce>(s.agents.agent.learner).discount == 0.93);
}

TEST_CASE("per-node values: a number, a list, a distribution, or a number per group") {
  const std::string groups = "groups: [{name: a, count: 1}, {name: b, count: 1}], ";
  CHECK(settings_of(with_pool("capacity: 3")).sim.pool.capacity.value == std::vector<double>{3, 3});
  CHECK(settings_of(with_pool("capacity: [3, 4.5]")).sim.pool.capacity.value ==
        std::vector<double>{3, 4.5});
  CHECK(settings_of(with_pool(groups + "capacity: {b: 2, a: 3}")).sim.pool.capacity.value ==
        std::vector<double>{3, 2});
  const auto drawn = settings_of(with_pool("capacity: {uniform: [3, 4]}")).sim.pool.capacity;
  CHECK(std::get<sim::NodeValues::Uniform>(drawn.given).hi == 4);

  const std::string at = "s.yaml:3:28: pool.capacity";
  CHECK(faults_of(with_pool("capacity: x")) ==
        Faults{at + " is \"x\", expected a number, a list with a number for each node, "
                    "{uniform: [lo, hi]} or {group: number, ...}"});
  // and nothing follows from it: what all nodes together can use is not known then
  CHECK(faults_of(with_pool("capacity: [1, 2, 3]")) ==
        Faults{"s.yaml:3:18: pool.capacity has 3 numbers, expected one for each of the 2 nodes"});
  CHECK(faults_of(with_pool("need: [1], budget: 100")) ==
        Faults{"s.yaml:3:18: pool.need has 1 numbers, expected one for each of the 2 nodes"});
  CHECK(faults_of(with_pool("capacity: [1, -2]")) ==
        Faults{"s.yaml:3:32: pool.capacity.1 is -2, outside (0, 1e9] wu/slot"});
  CHECK(faults_of(with_pool("capacity: {uniform: [2, 1]}")) ==
        Faults{"s.yaml:3:38: pool.capacity.uniform is [2, 1], expected lo <= hi"});
  CHECK(faults_of(with_pool("capacity: {uniform: [2]}")) ==
        Faults{"s.yaml:3:38: pool.capacity.uniform has 1 elements, expected [lo, hi]"});
  CHECK(faults_of(with_pool("capacity: {uniform: [0, 1e10]}")) ==
        Faults{"s.yaml:3:39: pool.capacity.uniform.0 is 0, outside (0, 1e9] wu/slot",
               "s.yaml:3:42: pool.capacity.uniform.1 is 1e10, outside (0, 1e9] wu/slot"});
  CHECK(faults_of(with_pool("capacity: {a: nan}")) ==
        Faults{"s.yaml:3:32: pool.capacity.a is \"nan\", expected a finite number"});
  const Faults of_groups = faults_of(with_pool(groups + "capacity: {a: 1, c: 2}"));
  CHECK(
      of_groups ==
      Faults{"s.yaml:3:70: pool.capacity names the group \"c\", which is not in pool.groups (a, b)",
             "s.yaml:3:70: pool.capacity has no number for the group \"b\""});
}

TEST_CASE("pairs of whole numbers") {
  const auto part = [](const std::string& v) {
    return with_part("{kind: cascade, length: " + v + "}");
  };
  const std::string key = "workload.parts.0.length";
  CHECK(faults_of(part("[3, 2]")) ==
        Faults{"s.yaml:6:31: " + key + " is [3, 2], expected lo <= hi"});
  CHECK(faults_of(part("[3]")) ==
        Faults{"s.yaml:6:31: " + key + " has 1 elements, expected two whole numbers, [lo, hi]"});
  CHECK(faults_of(part("3")) ==
        Faults{"s.yaml:6:31: " + key + " is \"3\", expected two whole numbers, [lo, hi]"});
  CHECK(faults_of(part("[0, 2.5]")) ==
        Faults{"s.yaml:6:32: " + key + ".0 is 0, outside [1, 1e6] slots",
               "s.yaml:6:35: " + key + ".1 is \"2.5\", expected a whole number"});
}

TEST_CASE("every type of member reads and dumps") {
  Faults faults;
  read_every("flag: yes\nbig: true\ntexts: [a, [b]]\nsections: [{name: a}]\nkinds: [gamma, {}]\n",
             &faults);
  CHECK(faults == Faults{"s:1:7: flag is \"yes\", expected true or false",
                         "s:2:6: big is \"true\", expected a whole number",
                         "s:3:12: texts.1 is a list, expected text",
                         "s:4:12: missing required key \"count\" in sections.0",
                         std::string("s:5:16: missing required key \"kind\" in kinds.1\n") +
                             "  kinds: gamma, poisson, none, lognormal"});

  const std::string text =
      "flag: true\n"
      "number: -1.5e-300\n"
      "big: 9007199254740992\n"
      "pair: [-3, 4]\n"
      "values: {\"a b\": 1.0, uniform: 2.0}\n"
      "choice: chain\n"
      "kind:\n"
      "  kind: none\n"
      "texts: [plain, \"true\", \"1\", \"\", \"a: \\\"b\\\"\\n\\\\ \xC3\xA4\"]\n"
      "sections:\n"
      "  - name: a\n"
      "    count: 3\n"
      "    dynamics: queue\n"
      "  - name: \"-\"\n"
      "    count: 4\n"
      "    dynamics: progress\n"
      "kinds:\n"
      "  - kind: gamma\n"
      "    shape: 8.0\n"
      "  - kind: poisson\n"
      "    size: 1.0e+9\n"
      "resources:\n"
      "  - name: memory\n"
      "    need: {uniform: [0.5, 1.0]}\n"
      "    budget: 3.0\n"
      "nested:\n"
      "  error:\n"
      "    kind: exponential\n"
      "    floor: [0.1, 0.2]\n"
      "    gain: 0.5\n"
      "    scale: 0.001\n"
      "  sharing:\n"
      "    - hub: 0\n"
      "      followers: [1, 2]\n"
      "      weight: 0.5\n"
      "  forgetting: 0.0\n"
      "  start: 1.0\n"
      "  shift: 0.25\n"
      "  keep: 1.0\n"
      "  jobs:\n"
      "    kind: none\n";
  const EveryType every = read_every(text);
  CHECK(every.flag);
  CHECK(every.texts.back() == "a: \"b\"\n\\ \xC3\xA4");
  CHECK(every.kinds.size() == 2);
  CHECK(dump(every) == text);
  EveryType empty;
  empty.values.given = std::vector<double>{};
  CHECK(dump(read_every(dump(empty))) == dump(empty));
}

TEST_CASE("what no single key can tell points at the key in the file") {
  CHECK(faults_of(smallest("attention:\n  width: 5\n")) ==
        Faults{"s.yaml:5:1: attention.kind.heads is 2, which does not divide attention.width 5"});
  const Faults faults =
      faults_of(smallest("agent: {base: uniformm}\nevaluation: {baselines: [uniform, demnad]}\n"));
  REQUIRE(faults.size() == 2);
  CHECK(faults[0].find("s.yaml:5:15: agent.base is \"uniformm\", expected ") == 0);
  CHECK(faults[0].find("; did you mean \"uniform\"?") != std::string::npos);
  CHECK(faults[1].find("s.yaml:6:35: evaluation.baselines.1 is \"demnad\", expected ") == 0);
  CHECK(faults[1].find("; did you mean \"demand\"?") != std::string::npos);

  // `best` is a base, but no heuristic to compare with; a name that is there twice is no slip
  const Faults best =
      faults_of(smallest("agent: {base: bets}\nevaluation: {baselines: [bets, error, error]}\n"));
  REQUIRE(best.size() == 3);
  CHECK(best[0].find("agent.base is \"bets\"") != std::string::npos);
  CHECK(best[0].find("; did you mean \"best\"?") != std::string::npos);
  CHECK(best[1].find("did you mean") == std::string::npos);
  CHECK(best[2] == "s.yaml:6:39: evaluation.baselines.2 names \"error\" a second time");
}

TEST_CASE("--set: typed by the same schema, in order, lists by number, maps made when missing") {
  const Settings s = settings_of(
      smallest(), {"pool.lag=0.5", "pool.lag=1", "workload.parts.0.rate=[0.1, 0.2]",
                   "workload.noise.kind=poisson", "workload.noise.size=0.25",
                   "evaluation.baselines=[uniform, demand]", "description=a = b", "name=x.y-z_1",
                   "errors.scale={uniform: [1, 2]}", "workload.parts[0].rate=0.3"});
  CHECK(s.sim.pool.lag == 1);
  CHECK(std::get<sim::ConstantPart>(s.sim.workload.parts[0]).rate[1] == 0.3);
  CHECK(std::get<sim::PoissonNoise>(s.sim.workload.noise).size == 0.25);
  CHECK(s.agents.evaluation.baselines == std::vector<std::string>{"uniform", "demand"});
  CHECK(s.description == "a = b");
  CHECK(s.name == "x.y-z_1");
}

TEST_CASE("the default kind need not be named; an element of a list has no default") {
  const Settings s = settings_of(smallest("errors: {scale: 3}\n"), {"agent.learner.clip_norm=0.5"});
  CHECK(std::get<sim::BacklogError>(s.sim.errors).scale[1] == 3);
  CHECK(std::get<agents::Pathwise>(s.agents.agent.learner).clip_norm == 0.5);
}

TEST_CASE("--set: a kind given by its name alone keeps it when one of its keys is set") {
  const Settings s = settings_of(smallest("agent: {learner: reinforce}\n"),
                                 {"agent.learner.learning_rate=1e-4", "workload.noise=none"});
  CHECK(std::get<agents::Reinforce>(s.agents.agent.learner).learning_rate == 1e-4);
  CHECK(std::holds_alternative<sim::NoNoise>(s.sim.workload.noise));
}

TEST_CASE("--set: errors name the argument") {
  const auto faults = [](const std::string& argument) { return faults_of(smallest(), {argument}); };
  CHECK(faults("pool.lga=3") ==
        Faults{"--set pool.lga=3: unknown key \"lga\" in pool; did you mean "
               "\"lag\"?" +
               kPoolKeys});
  CHECK(faults("pol.lag=3") ==
        Faults{"--set pol.lag=3: unknown key \"pol\"; did you mean \"pool\"?" + kTopKeys});
  CHECK(faults("pool.lag=3") == Faults{"--set pool.lag=3: pool.lag is 3, outside (0, 1]"});
  CHECK(faults("pool.lag=") == Faults{"--set pool.lag=: pool.lag is empty, expected a number"});
  CHECK(faults("pool.lag") == Faults{"--set pool.lag: no \"=\" in it, expected key.path=value"});
  CHECK(faults("=3") == Faults{"--set =3: a key is missing in \"\", expected key.path=value"});
  CHECK(faults("pool..lag=3") ==
        Faults{"--set pool..lag=3: a key is missing in \"pool..lag\", expected key.path=value"});
  CHECK(faults("pool.lag.x=3") ==
        Faults{"--set pool.lag.x=3: pool.lag is a map, expected a number"});
  CHECK(
      faults("workload.parts.1.rate=3") ==
      Faults{
          "--set workload.parts.1.rate=3: no element \"1\" in workload.parts: it has one element, "
          "number 0"});
  CHECK(faults("workload.parts.-1.rate=3") ==
        Faults{"--set workload.parts.-1.rate=3: no element \"-1\" in workload.parts: it has one "
               "element, number 0"});
  CHECK(faults("seed=010") ==
        Faults{
            "--set seed=010: seed is \"010\", a number with a leading zero: octal to some, decimal "
            "to others"});
  CHECK(
      faults("seed=&a 1") ==
      Faults{"--set seed=&a 1: anchor \"&a\": anchors and aliases are not allowed; write the value "
             "out"});
  CHECK(faults("seed=\"1") == Faults{"--set seed=\"1: a quote that is never closed"});
  CHECK(faults("name=../x") ==
        Faults{
            "--set name=../x: name is \"../x\", expected 1 to 64 letters, digits, `.`, `_` or `-`, "
            "the first of them neither `.` nor `-`"});
  CHECK(faults("attention.width=5") ==
        Faults{"--set attention.width=5: attention.kind.heads is 2, which does not divide "
               "attention.width 5"});
  CHECK(faults(repeated("a.", 40) + "a=1").at(0).find("nested deeper than 32 levels") !=
        std::string::npos);
  CHECK(faults(std::string("seed=a\nb\x1b")) ==
        Faults{"--set seed=a\\nb\\x1b: control character 0x1b: not a text file"});
}

TEST_CASE("a scenario keeps its text and its overrides") {
  const Scenario s = parse(smallest("# end\n"), "dir/s.yaml", {"seed=3"});
  CHECK(s.text == smallest("# end\n"));
  CHECK(s.overrides == std::vector<std::string>{"seed=3"});
  CHECK(s.path == "dir/s.yaml");
  CHECK(s.resolved.find("seed: 3\n") != std::string::npos);
}

TEST_CASE("what() holds every diagnostic with its source") {
  const std::string text = message_of<ScenarioError>(
      [] { parse(smallest("seed: -1\noutput: {compression: 10}\n"), "s.yaml", {}); });
  CHECK(text ==
        "s.yaml:5:7: seed is -1, outside [0, 9007199254740992]\n"
        "    seed: -1\n"
        "          ^\n"
        "s.yaml:6:23: output.compression is 10, outside [0, 9]\n"
        "    output: {compression: 10}\n"
        "                          ^");
}

TEST_CASE("load: files that are no scenario") {
  const TemporaryFolder folder;
  const auto fault = [](const std::string& path) {
    return message_of<ScenarioError>([&] { load(path, {}); });
  };
  CHECK(fault(folder / "missing.yaml") ==
        (folder / "missing.yaml") + ": cannot be read: No such file or directory");
  CHECK(fault(folder.path()) == folder.path() + ": a folder, expected a scenario file");
  CHECK(fault("/dev/zero").substr(0, 48) == "/dev/zero:1:1: larger than 1 MiB: not a scenario");
  std::ofstream(folder / "binary.yaml") << "\x89HDF\r\n";
  CHECK(fault(folder / "binary.yaml") == (folder / "binary.yaml") +
                                             ":1:1: byte 0x89 is not UTF-8: save the file as UTF-8 "
                                             "text\n    \x89HDF\n    ^");
  std::ofstream(folder / "good.yaml") << smallest();
  CHECK(load(folder / "good.yaml", {}).settings.name == "smallest");
}
