#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "scenarios/curve.h"
#include "scenarios/jobs.h"
#include "trace_logs.h"

using namespace cra;
using namespace cra::scenarios;
using namespace cra::testing;

namespace {

/// Two places for `a`, then a queue, then one place for `b`.
sim::Pool places() {
  sim::Pool pool;
  pool.nodes = 4;
  pool.groups = {{"a", 2, sim::Dynamics::progress},
                 {"q", 1, sim::Dynamics::queue},
                 {"b", 1, sim::Dynamics::progress}};
  return pool;
}

std::string without(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part);
  return at == std::string::npos ? text : text.substr(0, at) + text.substr(at + part.size());
}

Faults texts(const std::vector<TraceProblem>& problems, const std::string& folder) {
  Faults faults;
  for (const TraceProblem& p : problems)
    faults.push_back((p.place.empty() ? p.key : without(p.place, folder + "/")) + ": " + p.text);
  return faults;
}

Faults jobs_of(const std::string& text, sim::JobLog& jobs, double slot_seconds = 1) {
  const TemporaryFolder folder;
  std::ofstream(folder / "jobs.csv", std::ios::binary) << text;
  return texts(read_jobs(folder / "jobs.csv", "time", "class", places(), slot_seconds, jobs),
               folder.path());
}

Faults curve_of(const std::string& text, std::vector<double>& x, std::vector<double>& y) {
  const TemporaryFolder folder;
  std::ofstream(folder / "curve.csv", std::ios::binary) << text;
  return texts(read_curve(folder / "curve.csv", "x", "y", x, y), folder.path());
}

/// A pool whose two places of `a` and one of `b` are filled from lists, along measured curves.
std::string list_scenario(const std::string& train, const std::string& test) {
  return "version: 1\nname: t\npool:\n  nodes: 3\n  groups:\n"
         "    - {name: a, count: 2, dynamics: progress}\n"
         "    - {name: b, count: 1, dynamics: progress}\n"
         "workload: {slots: 4, importance: [1, 1, 3]}\n"
         "progress:\n  jobs:\n    kind: list\n    train_files: [" +
         train + "]\n    test_files: [" + test +
         "]\n    time_column: time\n    class_column: class\n    duration: {a: 3, b: 2}\n"
         "  error:\n    kind: curve\n    curves:\n"
         "      - {file: curve.csv, progress_column: x, value_column: y, value_scale: 0.01}\n"
         "evaluation: {episodes: 2}\n";
}

}  // namespace

TEST_CASE("jobs take the places of their group in turn") {
  sim::JobLog jobs;
  CHECK(jobs_of("id,time,class\n1,10,a\n2,11.9,b\n3,12,a\n4,12, a\n5,15,b\n", jobs) == Faults{});
  CHECK(jobs.slots == 6);
  CHECK(jobs.slot == std::vector<std::int64_t>{0, 1, 2, 2, 5});
  CHECK(jobs.node == std::vector<int>{0, 3, 1, 0, 3});
  CHECK(jobs_of("time,class\n10,a\n15.9,b\n", jobs, 3) == Faults{});
  CHECK(jobs.slot == std::vector<std::int64_t>{0, 1});
}

TEST_CASE("lists of jobs that cannot be used") {
  const auto faults = [](const std::string& text) {
    sim::JobLog jobs;
    return jobs_of(text, jobs);
  };
  const std::string groups = "\n  groups: \"a\", \"b\"";
  CHECK(
      faults("time,class\n0,a\n1,c\n2,q\n3,c\n") ==
      Faults{"jobs.csv:3: class is \"c\", but no group of progress nodes has that name" + groups,
             "jobs.csv:4: class is \"q\", but no group of progress nodes has that name" + groups});
  CHECK(faults("") ==
        Faults{"jobs.csv:1: empty, expected a header line with the names of columns"});
  CHECK(faults("time,class\n") == Faults{"jobs.csv:1: a header, but no requests"});
  CHECK(faults("time\n1\n") == Faults{"jobs.csv:1: no column \"class\"\n  columns: \"time\""});
  CHECK(faults("time,class\n2,a\n1,a\nx,a\n,a\n3\n4,\n") ==
        Faults{"jobs.csv:3: time is \"1\", earlier than in line 2; the log must be sorted by time",
               "jobs.csv:4: time is \"x\", expected seconds, as in the lines before",
               "jobs.csv:5: time is empty, expected a value",
               "jobs.csv:6: has 1 field, the header has 2",
               "jobs.csv:7: class is empty, expected a value"});
  CHECK(faults("time,class\n0,a\n1e14,a\n") ==
        Faults{"file: covers 1e14 s, more than 1e9 slots: raise workload.slot_seconds"});
}

TEST_CASE("curves: points as they are, and what is no curve") {
  std::vector<double> x, y;
  CHECK(curve_of("y,n,x\n5,0,1\n7,0,2.5\n", x, y) == Faults{});
  CHECK(x == std::vector<double>{1, 2.5});
  CHECK(y == std::vector<double>{5, 7});
  CHECK(curve_of("x,y\n1,2\n1,3\n0.5,1\n2,1\n", x, y) ==
        Faults{"curve.csv:3: x is 1, not above 1 in line 2; a curve must rise in it",
               "curve.csv:4: x is 0.5, not above 1 in line 3; a curve must rise in it"});
  CHECK(curve_of("x,y\n-1,2\n1,nan\n2,1e999\n3\n", x, y) ==
        Faults{"curve.csv:2: x is \"-1\", expected a number that is not negative",
               "curve.csv:3: y is \"nan\", expected a number",
               "curve.csv:4: y is \"1e999\", expected a number",
               "curve.csv:5: has 1 field, the header has 2"});
  CHECK(curve_of("x,z\n1,2\n", x, y) ==
        Faults{"curve.csv:1: no column \"y\"\n  columns: \"x\", \"z\""});
  std::string many = "x,y\n";
  for (int i = 0; i < 100001; ++i) many += std::to_string(i) + ",1\n";
  CHECK(curve_of(many, x, y) == Faults{"file: has 100001 points, expected at most 100000"});
  CHECK(x.size() == 2);  // what was read before stays
}

TEST_CASE("a pool filled from lists: who counts, when, and what is forgotten") {
  const TemporaryFolder folder;
  std::ofstream(folder / "train.csv") << "time,class\n0,a\n9,a\n";
  // slots: a at 0 (node 0) and 2 (1), b at 3 (2), a at 5 (0), the end at 9 (node 1)
  std::ofstream(folder / "test.csv") << "time,class\n7,a\n9,a\n10,b\n12,a\n16,a\n";
  std::ofstream(folder / "curve.csv") << "x,y\n1,40\n2,20\n3,30\n4,90\n";
  const std::string path = folder / "s.yaml";
  const Scenario s = parse(list_scenario("train.csv", "test.csv"), path, {});
  sim::Params p = s.settings.sim;
  CHECK(parse(s.resolved, path, {}).resolved == s.resolved);

  // accuracy in percent: error 1 at nothing, then .6, .8, .7, .1; .8 and .7 lie above the envelope
  const sim::CurveError& error = std::get<sim::CurveError>(p.progress.error);
  REQUIRE(error.of(2).curve.x == std::vector<double>{0, 1, 4});
  CHECK(error.of(2).curve.error[2] == doctest::Approx(0.1).epsilon(1e-12));

  // ten slots of the test list: two windows of four
  CHECK(sim::evaluation_limit(p) == 2);
  const sim::Exogenous test = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  CHECK(test.importance == std::vector<double>{0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0,    // 0 to 3
                                               0, 1, 3, 0, 1, 3, 1, 0, 0, 1, 0, 0});  // 4 to 7
  CHECK(test.keep == std::vector<double>{0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0,
                                         1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1});
  // training: every place of the window in the list occurs, and nothing else
  const sim::Exogenous train = sim::draw(p, 1, EpisodeSet::training, 0, 200);
  std::vector<int> seen(7, 0);
  for (std::int64_t i = 0; i < 200; ++i) {
    // node 0 has a job in slots 1 to 3 of the list: the window begins where that says
    std::vector<int> counted;
    for (int t = 0; t < 4; ++t) counted.push_back(train.importance[train.at(i, t)] > 0 ? 1 : 0);
    int first = 0;
    for (; first < 7; ++first) {
      std::vector<int> expected;
      for (int t = first; t < first + 4; ++t) expected.push_back(t >= 1 && t <= 3 ? 1 : 0);
      if (expected == counted) break;
    }
    REQUIRE(first < 7);
    ++seen[static_cast<std::size_t>(first)];
  }
  for (int first = 0; first < 4; ++first) CHECK(seen[static_cast<std::size_t>(first)] > 0);
  CHECK(seen[4] > 0);  // 4 to 6 look alike: nothing counts

  // a job that takes an occupied place ends the one before: its slot counts for neither
  std::ofstream(folder / "test.csv") << "time,class\n0,b\n2,b\n9,a\n";
  p = parse(list_scenario("train.csv", "test.csv"), path, {"progress.jobs.duration=3"})
          .settings.sim;
  const sim::Exogenous twice = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  std::vector<double> of_b;
  for (int i = 0; i < 2; ++i)
    for (int t = 0; t < 4; ++t) of_b.push_back(twice.importance[twice.at(i, t) + 2]);
  CHECK(of_b == std::vector<double>{0, 3, 0, 3, 3, 3, 0, 0});
}

TEST_CASE("a pool filled from lists: files that are missing or too short") {
  const TemporaryFolder folder;
  std::ofstream(folder / "list.csv") << "time,class\n0,a\n9,a\n";
  std::ofstream(folder / "short.csv") << "time,class\n0,a\n2,a\n";
  const std::string path = folder / "s.yaml";
  const std::string nowhere =
      "\"\n  such a file is not part of this program; the head of the scenario says where to get "
      "it\n  --set ";
  // without the curve there is one fault, not one for each that follows from it
  CHECK(faults_of(list_scenario("list.csv", "none.csv"), {}, path) ==
        Faults{path + ":13:18: progress.jobs.test_files.0 names no file: looked for \"" +
                   (folder / "none.csv") + nowhere +
                   "progress.jobs.test_files.0=PATH names another place",
               path + ":20:16: progress.error.curves.0.file names no file: looked for \"" +
                   (folder / "curve.csv") + nowhere +
                   "progress.error.curves.0.file=PATH names another place"});
  std::ofstream(folder / "curve.csv") << "x,y\n1,40\n2,20\n";
  CHECK(faults_of(list_scenario("list.csv", "short.csv"), {}, path).at(0) ==
        path +
            ":13:5: progress.jobs.test_files cover at most 3 slots, fewer than one window of 4 "
            "slots");
  CHECK(faults_of(list_scenario("", "list.csv"), {}, path) ==
        Faults{path + ":12:5: progress.jobs.train_files is an empty list"});
  std::ofstream(folder / "curve.csv") << "x,y\n1,40\n2,x\n";
  CHECK(faults_of(list_scenario("list.csv", "list.csv"), {}, path) ==
        Faults{(folder / "curve.csv") + ":3: y is \"x\", expected a number"});
}

TEST_CASE("the lists and curves of Pollux, and the trace of recommendation services, load") {
  const std::string data = reference_data("");
  if (!std::filesystem::exists(data + "dl-workloads") || !std::filesystem::exists(data + "dlrm")) {
    MESSAGE("skipped: no reference data at " << data << " (CRA_DATA names another folder)");
    return;
  }
  const std::string folder = std::string(CRA_SOURCE_DIR) + "/scenarios/";
  const auto list = [&](int first, int last) {
    std::string out = "[";
    for (int i = first; i <= last; ++i)
      out += (i > first ? ", " : "") + data + "dl-workloads/workload-" + std::to_string(i) + ".csv";
    return out + "]";
  };
  std::vector<std::string> set{"progress.jobs.train_files=" + list(1, 4),
                               "progress.jobs.test_files=" + list(5, 6)};
  const std::vector<std::string> curves{"ncf/validation-4096",        "cifar10/validation-1024",
                                        "deepspeech2/validation-160", "bert/validation-96",
                                        "yolov3/validation-64",       "imagenet/validation-1600"};
  for (std::size_t i = 0; i < curves.size(); ++i)
    set.push_back("progress.error.curves." + std::to_string(i) + ".file=" + data +
                  "learning-curves/" + curves[i] + ".csv");
  const sim::Params real = load(folder + "training_real_curves.yaml", set).settings.sim;
  CHECK(sim::evaluation_limit(real) == 12);
  const auto& jobs = std::get<sim::JobList>(real.progress.jobs);
  for (const sim::JobLog& log : jobs.train) CHECK(log.slot.size() == 160);
  // a fair share for the time of a job ends where the measured curve does
  const auto& error = std::get<sim::CurveError>(real.progress.error);
  for (int n = 0; n < 17; ++n) {
    CAPTURE(n);
    CHECK(error.of(n).x.back() == doctest::Approx(jobs.duration[n]).epsilon(0.002));
    CHECK(error.of(n).curve.error.back() < 0.6);
    CHECK(error.of(n).curve.error.front() == 1);
  }

  const sim::Params dlrm =
      load(folder + "dlrm_three_resources.yaml",
           {"workload.parts.0.file=" + data + "dlrm/disaggregated_DLRM_trace.csv"})
          .settings.sim;
  const auto& trace = std::get<sim::TracePart>(dlrm.workload.parts[0]);
  CHECK(trace.requests == 12390);  // counted by another program, like the numbers below
  CHECK(trace.skipped == 23871 - 12390);
  CHECK(trace.slots() == 4461);
  CHECK(trace.names[0][0] == "app_87");
  CHECK(trace.names[0][1] == "app_0");
  // counted to two digits
  CHECK(dlrm.pool.need_of(0, 0) == doctest::Approx(0.91).epsilon(0.006));
  CHECK(dlrm.pool.need_of(0, 1) == doctest::Approx(0.35).epsilon(0.02));
  CHECK(dlrm.pool.need_of(0, 2) == doctest::Approx(4.24).epsilon(0.002));
  CHECK(dlrm.pool.need_of(15, 2) == doctest::Approx(0.76).epsilon(0.01));
}

TEST_CASE("the jobs of Lublin's model load as ten widths") {
  const std::string log = reference_data("swf/lublin_256.swf");
  if (!std::filesystem::exists(log)) {
    MESSAGE("skipped: no log at " << log << " (CRA_DATA names another folder)");
    return;
  }
  const sim::Params p = load(std::string(CRA_SOURCE_DIR) + "/scenarios/batch_cluster.yaml",
                             {"workload.parts.0.file=" + log})
                            .settings.sim;
  const auto& trace = std::get<sim::TracePart>(p.workload.parts[0]);
  CHECK(trace.requests == 10000);
  CHECK(sim::evaluation_limit(p) == 26);
  // The most frequent widths of the first 70 % of the time, counted by another program, and their
  // shares of the processor time in it, to two digits.
  CHECK(trace.names[0] ==
        std::vector<std::string>{"1", "4", "8", "16", "32", "2", "64", "128", "256"});
  const std::vector<double> share{0.05, 0.08, 0.15, 0.40, 0.85, 0.03, 0.76, 2.37, 3.18, 2.12};
  const std::vector<double> base = sim::mean_rate(p);
  for (std::size_t n = 0; n < 10; ++n) {
    CAPTURE(n);
    CHECK(std::abs(base[n] - 0.5 * share[n]) < 0.5 * 0.005 + 1e-9);
  }
}
