// The pieces of the program that can be tested without running it: arguments, numbers, tables,
// verdicts, checkpoints by fields(), metrics. The program as a whole: test_cli.py.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cfenv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "tools/arguments.h"
#include "tools/arithmetic.h"
#include "tools/columns.h"
#include "tools/contest.h"
#include "tools/metrics.h"
#include "tools/outputs.h"
#include "tools/store.h"
#include "tools/summary.h"
#include "tools/terminal.h"

using namespace cra;         // NOLINT(google-build-using-namespace): test file
using namespace cra::tools;  // NOLINT(google-build-using-namespace): test file

namespace {

Arguments parsed(const std::vector<std::string>& words) {
  std::vector<std::string> all{"cra"};
  all.insert(all.end(), words.begin(), words.end());
  return parse_arguments(all);
}

std::string refusal(const std::vector<std::string>& words) {
  try {
    const Arguments a = parsed(words);
    check_out(a);
  } catch (const UsageError& e) {
    const std::string text = e.what();
    return text.substr(0, text.find('\n'));  // the list of known words follows
  }
  return "accepted";
}

/// A file of its own for each test, gone at the end.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const char* name)
      : path((std::filesystem::temp_directory_path() /
              ("cra-" + std::to_string(getpid()) + "-" + name))
                 .string()) {
    std::filesystem::remove(path);
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }
};

agents::TrainState state_of(std::int64_t updates) {
  agents::TrainState s;
  s.theta = {1.5F, -2.25F, 3e-30F};
  s.adam_mean = {0.1F, 0.2F, 0.3F};
  s.adam_square = {4, 5, 6};
  s.feature_mean = {0.1, 1e300};
  s.feature_scale = {1, 2};
  s.updates = updates;
  s.env_steps = updates * (std::int64_t{1} << 40);
  s.best_theta = {0.5F, 2.25F, 3e-20F};
  s.validation_cost = {0.75, 0.5};
  for (std::int64_t u = 1; u <= updates; ++u) {
    const auto x = static_cast<double>(u);
    s.log_env_steps.push_back(u << 40);
    s.log_cost.push_back(x / 3);
    s.log_score.push_back(1 - x);
    s.log_gradient_norm.push_back(x * 10);
    s.log_learning_rate.push_back(1e-3 / x);
    s.log_entropy.push_back(-x);
    s.log_sigma.push_back(0.3);
  }
  return s;
}

Contestant contestant(const std::string& name, const std::string& kind, double base,
                      double wobble) {
  Contestant c{name, kind, true, {}, {}, {}};
  for (int i = 0; i < 40; ++i) {
    const double common = 0.02 * (i % 7);
    c.cost.push_back(base + common + wobble * ((i * 5) % 11 - 5));
    c.score.push_back(1 - c.cost.back());
  }
  return c;
}

}  // namespace

// ---- arguments -------------------------------------------------------------------------

TEST_CASE("split_values: commas inside brackets, braces and quotes do not divide") {
  using Texts = std::vector<std::string>;
  CHECK(split_values("easy,hard") == Texts{"easy", "hard"});
  CHECK(split_values("[1, 2],[3,[4,5]],6") == Texts{"[1, 2]", "[3,[4,5]]", "6"});
  CHECK(split_values("[{kind: poisson, rate: 1}],{a: 1, b: 2}") ==
        Texts{"[{kind: poisson, rate: 1}]", "{a: 1, b: 2}"});
  CHECK(split_values("'a,b',\"c'd,e\"") == Texts{"'a,b'", "\"c'd,e\""});
  CHECK(split_values("a,,b,") == Texts{"a", "", "b", ""});
}

TEST_CASE("arguments: a scenario among the words of --policy and --vary is the scenario") {
  const Arguments a = parsed({"evaluate", "--policy", "r.h5", "demand", "a.yaml", "--vary", "x=1,2",
                              "b.yml", "y=f.yaml,3"});
  CHECK(a.policies == std::vector<std::string>{"r.h5", "demand"});
  CHECK(a.files == std::vector<std::string>{"a.yaml", "b.yml"});
  CHECK(a.vary == std::vector<std::vector<std::string>>{{"x=1,2", "y=f.yaml,3"}});
}

TEST_CASE("arguments: a full call, and where the seed goes") {
  const Arguments a =
      parsed({"run", "s.yaml", "--set", "pool.nodes=3", "--seed", "7", "--set", "seed=1",
              "--threads=2", "--device", "cpu", "--out", "x.h5", "--resume", "--json", "-v"});
  CHECK(a.command == "run");
  CHECK(a.files == std::vector<std::string>{"s.yaml"});
  CHECK(a.set == std::vector<std::string>{"pool.nodes=3", "seed=1", "seed=7"});
  CHECK(a.threads == 2);
  CHECK(a.device == Device::cpu);
  CHECK(a.out == "x.h5");
  CHECK(a.resume);
  CHECK(a.json);
  CHECK(a.verbose);
  CHECK_FALSE(a.force);
  CHECK(parsed({"evaluate", "s.yaml", "--policy", "a", "b", "--policy", "c"}).policies ==
        std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("arguments: what other parsers let through is refused, and says what would be right") {
  for (const char* bad : {"-1", "+1", "010", "1e3", "1.0", "nan", "inf", "0x10", " 1", "1 ", "",
                          "9007199254740993", "99999999999999999999", "1_000", "1,000"}) {
    CAPTURE(bad);
    std::string expected = "--seed is \"";
    expected += bad;
    expected += "\", expected a whole number from 0 to 9007199254740992";
    if (*bad == 0) expected = "--seed needs a value";
    CHECK(refusal({"run", "x.yaml", "--seed", bad}) == expected);
    CHECK(refusal({"run", "x.yaml", std::string("--seed=") + bad}) == expected);
  }
  CHECK(refusal({"run", "x.yaml", "--seed", "0"}) == "accepted");
  CHECK(refusal({"run", "x.yaml", "--seed", "9007199254740992"}) == "accepted");
  CHECK(refusal({"run", "x.yaml", "--threads", "1025"}) ==
        "--threads is \"1025\", expected a whole number from 1 to 1024");
  CHECK(refusal({"run", "x.yaml", "--dry"}) == "unknown option \"--dry\"");  // no guessing
  CHECK(refusal({"run", "x.yaml", "--thread", "2"}) ==
        "unknown option \"--thread\"; did you mean \"--threads\"?");
  CHECK(refusal({"run", "x.yaml", "--seed", "1", "--seed", "1"}) == "--seed is given twice");
  CHECK(refusal({"run", "x.yaml", "--json=yes"}) == "--json takes no value");
  CHECK(refusal({"run", "x.yaml", "--out"}) == "--out needs a value");
  CHECK(refusal({"run", "x.yaml", "--out="}) == "--out needs a value");
  CHECK(refusal({"run", "x.yaml", "--out", ""}) == "--out needs a value");
  CHECK(refusal({"run", "x.yaml", "--out", "a\nb.h5"}) ==
        "--out: the file name contains a control character");
  CHECK(refusal({"run", "x.yaml", "--out", "-x.h5"}) ==
        "--out is \"-x.h5\"; a name that begins with \"-\" looks like an option to other programs");
  CHECK(refusal({"run", "x.yaml", "--out", "dir/-x.h5"}) ==
        "--out is \"dir/-x.h5\"; a name that begins with \"-\" looks like an option to other "
        "programs");
  CHECK(refusal({"run", "x.yaml", "--out", ".h5"}) ==
        "--out is \".h5\", expected a file name that ends in .h5");
  CHECK(refusal({"run", "x.yaml", "--out", std::string(300, 'a') + ".h5"}) ==
        "--out: the file name has 303 bytes, at most 200 are allowed");
  CHECK(refusal({"run", "x.yaml", "--out", "ä ö.h5"}) == "accepted");
  CHECK(refusal({"run", "--", "--odd.yaml"}) == "accepted");
}

TEST_CASE("resume_command: quotes for a shell, drops --force, adds --resume once") {
  Arguments a;
  a.words = {"cra", "run", "my file.yaml", "--force", "--set", "name=it's", "--resume"};
  CHECK(resume_command(a) == "cra run 'my file.yaml' --set 'name=it'\\''s' --resume");
}

TEST_CASE("every option of every command is in its help, and is accepted") {
  for (const std::string& command : command_names()) {
    CAPTURE(command);
    const std::string text = command_help(command);
    CHECK(text.rfind("usage: cra " + command, 0) == 0);
    CHECK(text.find("--help") != std::string::npos);
    CHECK(parsed({command, "--help"}).help);
    CHECK(general_help().find("cra " + command) != std::string::npos);
  }
}

// ---- numbers and tables ----------------------------------------------------------------

TEST_CASE("short_fixed: no zero before the point, no negative zero, sign on demand") {
  CHECK(short_fixed(0.2293, 4) == ".2293");
  CHECK(short_fixed(-0.186, 3) == "-.186");
  CHECK(short_fixed(0.029, 3, true) == "+.029");
  CHECK(short_fixed(12.3456, 2) == "12.35");
  CHECK(short_fixed(-1e-9, 3) == ".000");
  CHECK(short_fixed(0, 0) == "0");
  CHECK(fixed(1e300, 1).size() == 303);
  CHECK(fixed(std::numeric_limits<double>::quiet_NaN(), 2) == "nan");
  CHECK(fixed(-std::numeric_limits<double>::infinity(), 2) == "-inf");
}

TEST_CASE("count_words and duration_words") {
  CHECK(count_words(950) == "950");
  CHECK(count_words(9999) == "9999");
  CHECK(count_words(41234) == "41.2 k");
  CHECK(count_words(1152000) == "1.15 M");
  CHECK(count_words(3.2e11) == "320 G");
  CHECK(duration_words(3.21) == "3.2 s");
  CHECK(duration_words(41.4) == "41 s");
  CHECK(duration_words(200) == "3 min 20 s");
  CHECK(duration_words(7500) == "2 h 5 min");
  CHECK(duration_words(std::numeric_limits<double>::quiet_NaN()) == "?");
}

TEST_CASE("table: widths count characters, not bytes") {
  CHECK(table({{"äö", "1"}, {"abc", "23"}}, "lr") == "  äö    1\n  abc  23\n");
  CHECK(table({{"a", ""}, {"b"}}, "ll") == "  a\n  b\n");
}

// ---- summary ---------------------------------------------------------------------------

TEST_CASE("summarise: the reference is the heuristic with the lowest mean test cost") {
  const Summary s =
      summarise({contestant("net", "learned", 0.5, 0.001), contestant("weak", "heuristic", 0.9, 0),
                 contestant("strong", "heuristic", 0.6, 0.002)},
                200, 1);
  CHECK(s.best == "strong");
  CHECK(s.episodes == 40);
  REQUIRE(s.rows.size() == 3);
  CHECK_FALSE(s.rows[2].against_best.has_value());
  REQUIRE(s.rows[0].against_best.has_value());
  CHECK(s.rows[0].against_best->difference ==
        doctest::Approx(s.rows[0].cost.mean - s.rows[2].cost.mean));
  CHECK(s.rows[0].against_best->won == 1);
  CHECK(s.rows[1].against_best->won == 0);
  CHECK(s.rows[0].change.has_value());
  CHECK_FALSE(s.rows[1].change.has_value());
}

TEST_CASE("several trainings: their mean episode by episode, its verdict, a line with each") {
  const Contestant one = contestant("net", "learned", 0.5, 0.001),
                   two = contestant("net", "learned", 0.54, 0.003);
  Contestant mean{"net", "learned", false, {}, {}, {}};
  add_training(mean, one.cost, one.score);
  CHECK(mean.cost == one.cost);
  add_training(mean, two.cost, two.score);
  for (std::size_t i = 0; i < one.cost.size(); ++i)
    CHECK(mean.cost[i] == doctest::Approx((one.cost[i] + two.cost[i]) / 2).epsilon(1e-14));
  const Summary s = summarise({mean, contestant("strong", "heuristic", 0.6, 0.002)}, 200, 1);
  Headline h{"tiny", 4, 20, 3, 6, 1152000, 41, "x.h5", {{6, 4, 0.5, true}, {6, 6, 0.75, false}},
             {}};
  const std::string text = table_text(s, h);
  CAPTURE(text);
  // Means of both are those of one and of 0.04 more; two numbers scatter by half their distance.
  const double a = s.rows[0].training_cost.at(0), b = s.rows[0].training_cost.at(1);
  CHECK(b - a == doctest::Approx(0.04).epsilon(0.1));
  CHECK(text.find("\nnet, 2 trainings: " + short_fixed(a, 4) + " " + short_fixed(b, 4) +
                  "; standard error over them " + short_fixed((b - a) / 2, 4) + "\n") !=
        std::string::npos);
  CHECK(text.find("Learning pays here: the mean cost of 2 trainings is ") != std::string::npos);
  const std::string json = json_text(s, h);
  CHECK(json.find("\"kept_update\": 4,") != std::string::npos);
  CHECK(json.find("\"stored\": false") != std::string::npos);
}

TEST_CASE("verdict: pays, does not pay, not decided, exactly equal") {
  auto words = [](double low, double value, double high) {
    Summary s;
    s.episodes = 256;
    Row r;
    r.change = results::Interval{value, low, high};
    return verdict(r, s, "Learning");
  };
  CHECK(words(-0.16, -0.14, -0.12) ==
        "Learning pays here: cost is 14 % lower than that of the best tuned heuristic "
        "(95 % interval 12 to 16 %).");
  CHECK(words(0.012, 0.0151, 0.0182) ==
        "Learning does not pay here: cost is 1.5 % higher than that of the best tuned heuristic "
        "(95 % interval 1.2 to 1.8 %).");
  CHECK(words(-1e-16, 1e-17, 2e-16) == words(0, 0, 0));
  CHECK(words(-0.03, -0.01, 0.01) ==
        "Not decided with this many episodes (256): cost changes by -1 % against that of the "
        "best tuned heuristic (95 % interval -3 to +1 %).");
  CHECK(words(0, 0, 0) ==
        "Learning does not pay here: cost is exactly that of the best tuned heuristic.");
}

TEST_CASE("table_text: sorted by cost, one line per policy, path last") {
  const Summary s =
      summarise({contestant("net", "learned", 0.5, 0.001), contestant("weak", "heuristic", 0.9, 0),
                 contestant("strong", "heuristic", 0.6, 0.002)},
                200, 1);
  Headline h{"tiny", 4, 20, 3, 6, 1152000, 41, "results/runs/tiny-s3.h5", {}, {}};
  const std::string text = table_text(s, h);
  CHECK(text.rfind("tiny: 4 nodes, 20 slots, 40 test episodes, seed 3, trained on 1.15 M env-steps "
                   "in 41 s\n\n",
                   0) == 0);
  const std::size_t net = text.find("\n  net "), strong = text.find("\n  strong "),
                    weak = text.find("\n  weak ");
  CHECK(net < strong);
  CHECK(strong < weak);
  CHECK(text.find("best tuned heuristic\n") != std::string::npos);
  CHECK(text.find("\nLearning pays here: ") != std::string::npos);
  CHECK(text.substr(text.size() - 25) == "\nresults/runs/tiny-s3.h5\n");
}

TEST_CASE(
    "attention_text: how far it spread, and whether it looked where allocation was worth most") {
  const double none = std::nan("");
  AttentionLine a{"net",          8,          3,           12,       std::log(4.1),
                  {0.456, 0.031}, {0.714, 0}, {-0.002, 0}, {0.52, 0}};
  // ln 4.1 / ln 12 = 0.5678
  CHECK(
      attention_text(a) ==
      "Attention looked at 4.1 of 12 nodes (entropy .57 of its maximum); its rank correlation with "
      "the marginal value\nof allocation is +.46 +- .03 (that of the allocation +.71, of the base "
      "heuristic +.00, of the backlog +.52).");
  a.base = a.backlog = {none, none};
  CHECK(attention_text(a).ends_with("is +.46 +- .03 (that of the allocation +.71)."));
  a.allocation = a.base;
  CHECK(attention_text(a).ends_with("is +.46 +- .03."));
  const Summary s = summarise(
      {contestant("net", "learned", 0.5, 0.001), contestant("strong", "heuristic", 0.6, 0.002)},
      200, 1);
  Headline h{"tiny", 4, 20, 3, 0, 0, 0, "x.h5", {}, a};
  CHECK(table_text(s, h).ends_with("\n" + attention_text(a) + "\nx.h5\n"));
  const std::string json = json_text(s, h);
  CHECK(json.find("\"policy\": \"net\",\n    \"episodes\": 8,\n    \"slots\": 3,\n") !=
        std::string::npos);
  CHECK(json.find("\"attention\": {\n        \"mean\": 0.456,\n        \"se\": 0.031") !=
        std::string::npos);
  CHECK(json.find("\"base\": {\n        \"mean\": null,\n        \"se\": null") !=
        std::string::npos);
  a.attention = {none, none};
  a.entropy = std::log(12.0);
  CHECK(
      attention_text(a) ==
      "Attention looked at 12.0 of 12 nodes (entropy 1.00 of its maximum); all nodes received the "
      "same, or were worth the same.");
  h.attention.reset();
  CHECK(table_text(s, h).find("Attention") == std::string::npos);
  CHECK(json_text(s, h).find("\"attention\": null") != std::string::npos);
}

TEST_CASE("summarise with a bound: gaps, the table's first row, and what is left to gain") {
  const std::vector<Contestant> all{contestant("net", "learned", 0.5, 0.001),
                                    contestant("weak", "heuristic", 0.9, 0),
                                    contestant("strong", "heuristic", 0.6, 0.002)};
  agents::Bound bound;
  for (int i = 0; i < 40; ++i) {
    bound.lower.push_back(i % 2 == 0 ? 0.39 : 0.41);
    bound.upper.push_back(0.42);
  }
  const Summary s = summarise(all, 200, 1, bound);
  REQUIRE(s.bound.has_value());
  CHECK(s.bound->lower.mean == doctest::Approx(0.4));
  CHECK(s.bound->upper == doctest::Approx(0.42));
  const double net = s.rows[0].cost.mean, weak = s.rows[1].cost.mean, best = s.rows[2].cost.mean;
  CHECK(s.rows[0].gap_closed.value() == doctest::Approx((best - net) / (best - 0.4)));
  CHECK(s.rows[1].gap_closed.value() == doctest::Approx((best - weak) / (best - 0.4)));
  CHECK(s.rows[1].gap_closed.value() < 0);
  CHECK_FALSE(s.rows[2].gap_closed.has_value());

  const std::string text = table_text(s, {"tiny", 4, 20, 3, 0, 0, 0, "x.h5", {}, {}});
  CAPTURE(text);
  CHECK(text.find("episodes     gap\n") != std::string::npos);
  CHECK(text.find("  clairvoyant  bound      .4000          certified; feasible .4200\n") <
        text.find("\n  net "));
  CHECK(text.find("39 %\n") != std::string::npos);
  // 1 - 0.4 / net, rounded up.
  CHECK(text.find(" %),\nand no policy whatever can lower it by more than a further 29 %.\n") !=
        std::string::npos);

  const std::string json = json_text(s, {"tiny", 4, 20, 3, 0, 0, 0, "x.h5", {}, {}});
  CHECK(json.find("\"certified\": true") != std::string::npos);
  CHECK(json.find("\"name\": \"clairvoyant\"") != std::string::npos);

  const Summary none = summarise(all, 200, 1);
  CHECK_FALSE(none.bound.has_value());
  CHECK_FALSE(none.rows[0].gap_closed.has_value());
  CHECK(table_text(none, {}).find("clairvoyant") == std::string::npos);
  CHECK(verdict_text(none).find("no policy") == std::string::npos);
}

TEST_CASE("a bound that the best heuristic attains leaves no gap to close") {
  const Contestant best = contestant("strong", "heuristic", 0.6, 0);
  const agents::Bound bound{best.cost, best.cost, best.cost, std::vector<std::int64_t>(40, 1),
                            {},        {},        ""};
  const Summary s = summarise({contestant("net", "learned", 0.7, 0), best}, 200, 1, bound);
  CHECK_FALSE(s.rows[0].gap_closed.has_value());
  CHECK(verdict_text(s).find("can lower it by more than 14 %.\nThere is nothing to gain: strong") !=
        std::string::npos);
}

TEST_CASE("check_against: a policy below the bound is an error that names it and the episode") {
  std::vector<Candidate> all(2);
  all[0].name = "demand";
  all[0].outcome.cost = {0.5, 0.7};
  all[1].name = "net";
  all[1].outcome.cost = {0.4, 0.3};
  const auto bound = [](double second) {
    return agents::Bound{{0.25, second}, {0.3, 0.3}, {0.3, 0.3}, {1, 1}, {}, {}, ""};
  };
  CHECK_NOTHROW(check_against(bound(0.3), all));
  CHECK_NOTHROW(check_against(bound(0.3 * (1 + 5e-7)), all));
  CHECK_NOTHROW(check_against({{}, {}, {}, {}, {}, {}, "a reason"}, all));
  CHECK_THROWS_WITH_AS(
      check_against(bound(0.35), all),
      "net costs 0.3 in test episode 1, less than the certified bound 0.35, which no policy can: "
      "this is a fault of the program, please report it; evaluation.bound=false goes on without "
      "the bound",
      Error);
}

// ---- checkpoints -----------------------------------------------------------------------

TEST_CASE("pack and unpack: every field comes back, and packing again gives the same") {
  const Checkpoint c{{state_of(5), state_of(3)}, "d", "seed: 1\n", "0.1.0 abc", 12.5, 2};
  const std::vector<results::Field> fields = pack(c);
  const Checkpoint back = unpack(fields);
  CHECK(pack(back) == fields);
  REQUIRE(back.trainings.size() == 2);
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(back.trainings[k].theta == c.trainings[k].theta);
    CHECK(back.trainings[k].env_steps == c.trainings[k].env_steps);
    CHECK(back.trainings[k].log_sigma == c.trainings[k].log_sigma);
  }
  CHECK(back.digest == "d");
  CHECK(back.seconds == 12.5);
  CHECK(back.attempts == 2);
}

TEST_CASE("unpack: refuses when any one field is missing, doubled, unknown or of another type") {
  const std::vector<results::Field> whole = pack({{state_of(2), state_of(1)}, "d", "r", "p", 1, 1});
  // 21 of each TrainState, 6 of the run: a new field must be packed too.
  REQUIRE(whole.size() == 2 * 21 + 6);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(whole[i].name);
    std::vector<results::Field> fields = whole;
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK_THROWS_WITH_AS(unpack(fields),
                         ("checkpoint: field \"" + whole[i].name + "\" is missing").c_str(),
                         InputError);
    fields = whole;
    fields.push_back(whole[i]);
    CHECK_THROWS_AS(unpack(fields), InputError);
    fields = whole;
    const bool is_text = std::holds_alternative<std::string>(fields[i].data);
    if (is_text) {
      fields[i].data = std::vector<double>{1};
    } else {
      fields[i].data = std::string("x");
    }
    CHECK_THROWS_AS(unpack(fields), InputError);
    fields = whole;
    fields[i].name += "_";
    CHECK_THROWS_AS(unpack(fields), InputError);
  }
  std::vector<results::Field> fields = whole;
  fields.push_back({"surplus", std::vector<double>{1}});
  CHECK_THROWS_WITH_AS(unpack(fields), "checkpoint: unknown field \"surplus\"", InputError);
}

TEST_CASE("differences: names keys by path, list items by number") {
  const std::string a =
      "seed: 1\npool:\n  nodes: 4\nworkload:\n  parts:\n    - kind: constant\n      rate: 0.4\n"
      "    - kind: cascade\n      hop: 3\ntraining:\n  updates: 3\n";
  std::string b = a;
  b.replace(b.find("updates: 3"), 10, "updates: 5");
  b.replace(b.find("hop: 3"), 6, "hop: 4");
  CHECK(differences(a, a, 8).empty());
  CHECK(differences(a, b, 8) ==
        std::vector<std::string>{"training.updates is 3 there, 5 here",
                                 "workload.parts.1.hop is 3 there, 4 here"});
  CHECK(differences(a, b, 1) ==
        std::vector<std::string>{"training.updates is 3 there, 5 here", "..."});
  CHECK(differences(a, a + "zeal: 2\n", 8) ==
        std::vector<std::string>{"zeal is not set there, 2 here"});
}

// ---- metrics ---------------------------------------------------------------------------

TEST_CASE("metrics: on resume later rows and a torn line go, missing rows come back") {
  const TemporaryFile file("metrics.jsonl");
  {
    std::ofstream(file.path) << "{\"training\":0,\"update\":1,\"kept\":true}\n"
                                "{\"training\":0,\"update\":4}\n{\"training\":1,\"upd";
  }
  {
    MetricsFile metrics(file.path, {state_of(1), state_of(1)});
    agents::UpdateStats u;
    u.update = 2;
    u.cost = 0.25;
    metrics.add(1, u, 1000);
  }
  const std::string text = file.text();
  CAPTURE(text);
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  REQUIRE(lines.size() == 3);
  CHECK(text.back() == '\n');
  CHECK(lines[0] == "{\"training\":0,\"update\":1,\"kept\":true}");
  CHECK(lines[1].rfind("{\"training\":1,\"update\":1,\"env_steps\":1099511627776,\"cost\":0.333333",
                       0) == 0);
  CHECK(lines[1].find("steps_per_second") == std::string::npos);
  CHECK(lines[2].rfind("{\"training\":1,\"update\":2,", 0) == 0);
  CHECK(lines[2].find("\"cost\":0.25,") != std::string::npos);
  CHECK(lines[2].find("\"steps_per_second\":1000.0}") != std::string::npos);
}

TEST_CASE("metrics: a fresh run begins an empty file") {
  const TemporaryFile file("fresh.jsonl");
  { std::ofstream(file.path) << "{\"training\":0,\"update\":1}\n"; }
  const MetricsFile metrics(file.path, {state_of(0)});
  CHECK(file.text().empty());
}

TEST_CASE("arithmetic: another rounding mode is noticed before a run (N5)") {
  CHECK(broken_arithmetic().empty());
  std::fesetround(FE_UPWARD);
  const std::string broken = broken_arithmetic();
  std::string said;
  try {
    require_sound_arithmetic();
  } catch (const Error& e) {
    said = e.what();
  }
  std::fesetround(FE_TONEAREST);
  CHECK(broken == "rounding is not to nearest");
  CHECK(said == "arithmetic is broken in this process: rounding is not to nearest");
  require_sound_arithmetic();
}

TEST_CASE("best_of: the cheapest that learning can start from, for es one that has knobs") {
  const auto tuned = [](const char* name, double cost, std::vector<agents::Knob> knobs) {
    agents::Tuning t;
    t.rule.name = name;
    t.knobs = std::move(knobs);
    t.best_cost = cost;
    return t;
  };
  const std::vector<agents::Tuning> all{
      tuned("mpc", 0.1, {{"horizon", {10}, 1}}), tuned("uniform", 0.2, {}),
      tuned("priority", 0.3, {{"reserve", {0}, 0}}), tuned("demand", 0.4, {{"share", {1}, 0}}),
      tuned("dynamic_attention", 0.5, {{"temperature", {1}, 0}})};
  CHECK(best_of(all, false).rule.name == "uniform");
  CHECK(best_of(all, true).rule.name == "demand");
  CHECK(best_of({all[0], all[1], all[2]}, true).rule.name == "priority");  // strict, but it moves
  CHECK(best_of({all[0], all[1]}, true).rule.name == "uniform");  // check() does not let that come
}
