#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "trace_logs.h"

using namespace cra;
using namespace cra::scenarios;
using namespace cra::testing;

namespace {

/// Processors for `runtime` seconds, all on one node.
sim::TracePart swf_part() {
  sim::TracePart part;
  part.format = sim::LogFormat::swf;
  part.time_column = "submit_time";
  part.work_columns = {{"processors", 1.0, sim::Arrival::lump, 0, "runtime", ""}};
  part.buckets = {{"runtime", 1, 0}};
  part.train_fraction = 0.5;
  return part;
}

std::string job(int number, int submit, const std::string& runtime, const std::string& processors) {
  return std::to_string(number) + " " + std::to_string(submit) + " -1 " + runtime + "\t" +
         processors + " -1 -1 -1 -1 -1 1 -1 -1 -1 0 -1 -1 -1\n";
}

}  // namespace

TEST_CASE("jobs: runtime times processors, at once or one per processor and second") {
  // slots of 10 s: 3 processors for 25 s are 75 = 30 + 30 + 15; 2 for 5 s are 10
  const std::string log = "; Version: 2\n\n" + job(1, 100, "25", "3") + "  ; a remark\r\n" +
                          job(2, 112, "5", "2") + job(3, 139, "1", "1");
  sim::TracePart part = swf_part();
  CHECK(work_of(log, part, pool_of(1, 10)).work == std::vector<double>{75, 10, 0, 1});
  part.work_columns[0].arrival = sim::Arrival::stream;
  CHECK(work_of(log, part, pool_of(1, 10)).work == std::vector<double>{30, 40, 15, 1});
}

TEST_CASE("jobs: a value that is not known") {
  const std::string log = job(1, 0, "4", "1") + job(2, 1, "-1", "2") + job(3, 2, "2", "1");
  sim::TracePart part = swf_part();
  CHECK(read(log, part, pool_of(1)) ==
        Faults{"log.csv:2: runtime is -1, which stands for unknown; `missing: skip` leaves out "
               "such lines"});
  part.missing = sim::Missing::skip;
  part = work_of(log, part, pool_of(1));
  CHECK(part.requests == 2);
  CHECK(part.skipped == 1);
  CHECK(part.work == std::vector<double>{4, 0, 2});
  CHECK(read(job(1, 0, "-1", "1") + job(2, 1, "-1", "2"), part, pool_of(1)) ==
        Faults{"log.csv:1: a value is missing in each of the 2 lines"});
}

TEST_CASE("jobs: errors of lines and of the whole file") {
  const auto faults = [](const std::string& log) {
    sim::TracePart part = swf_part();
    return read(log, part, pool_of(1));
  };
  CHECK(faults(job(1, 5, "1", "1") + job(2, 4, "1", "1") + "3 6 -1 1\n" + job(4, 7, "-2", "nan") +
               job(5, 8, "1", "1")) ==
        Faults{"log.csv:2: submit_time is \"4\", earlier than in line 1; the log must be sorted by "
               "time",
               "log.csv:3: has 4 fields, a job has 18",
               "log.csv:4: processors is \"nan\", expected a number",
               "log.csv:4: runtime is \"-2\", expected a number that is not negative"});
  CHECK(faults("") == Faults{"log.csv:1: no jobs"});
  CHECK(faults("; only\n;remarks") == Faults{"log.csv:1: no jobs"});
  CHECK(faults("1 2 3" + std::string(100000, ' ') + "\n") ==
        Faults{"log.csv:1: longer than 64 KiB: not a line of a job"});
  sim::TracePart part = swf_part();
  part.work_columns[0].lasts = "run_time";
  CHECK(read(job(1, 0, "1", "1"), part, pool_of(1))
            .at(0)
            .find("log.csv:1: no column \"run_time\"; did you mean \"runtime\"?") == 0);
}

TEST_CASE("a stream until a time; each line counts as one") {
  sim::TracePart part = one_node();
  part.time_column = "from";
  part.work_columns = {{"1", 0.5, sim::Arrival::stream, 0, "", "to"}};
  part.buckets = {{"size", 1, 0}};
  // slots of 2 s; half a unit per second: 5 s are 1 + 1 + 0.5, cut where the log ends
  part = work_of("from,to,size\n0,5,1\n1,1,1\n3.5,100,1\n", part, pool_of(1, 2));
  CHECK(part.work == std::vector<double>{1, 2});
  part.work_columns = {{"1", 3, sim::Arrival::lump, 0, "", ""}};
  CHECK(work_of("from,to,size\n0,5,1\n1,1,1\n3.5,100,1\n", part, pool_of(1, 2)).work ==
        std::vector<double>{6, 3});
  part.work_columns = {{"1", 0.5, sim::Arrival::stream, 0, "", "to"}};
  CHECK(read("from,to,size\n0,5,1\n3,2,1\n4,x,1\n5,,1\n", part, pool_of(1)) ==
        Faults{"log.csv:3: to is \"2\", earlier than from \"3\"",
               "log.csv:4: to is \"x\", expected seconds, as in the lines before",
               "log.csv:5: to is empty; `missing: skip` leaves out such lines"});
}

TEST_CASE("sort: lines in any order, slots from the earliest; ends move with them") {
  sim::TracePart part = one_node();
  part.work_columns = {{"size", 1, sim::Arrival::stream, 0, "", "end"}};
  part.sort = true;
  const std::string log = "time,end,size\n12,14,5\n10,11,1\n13,14,7\n";
  CHECK(work_of(log, part, pool_of(1)).work == std::vector<double>{1, 0, 5, 12});
  part.sort = false;
  CHECK(
      read(log, part, pool_of(1)) ==
      Faults{"log.csv:3: time is \"10\", earlier than in line 2; the log must be sorted by time"});
}

TEST_CASE("top: the most frequent values of the training part, then all others") {
  sim::TracePart part = one_node();
  part.buckets = {{"team", 0, 3}};
  // training: slots 0 to 3 of 8: a once, b twice, c once (after a): b, a, others
  part = work_of("time,team,size\n0,a,1\n1,b,2\n2, b ,4\n3,c,8\n4,c,16\n5,c,32\n6,d,64\n7,a,128\n",
                 part, pool_of(3));
  CHECK(part.names[0] == std::vector<std::string>{"b", "a"});
  CHECK(part.work == std::vector<double>{0, 1, 0,  2, 0, 0,  4, 0, 0,  0, 0,   8,
                                         0, 0, 16, 0, 0, 32, 0, 0, 64, 0, 128, 0});
  part.buckets[0].top = 5;
  CHECK(read("time,team,size\n0,a,1\n1,b,2\n2,c,1\n3,d,1\n", part, pool_of(5)) ==
        Faults{"buckets.0.top: is 5, but the training part has only 2 values of \"team\""});
}

TEST_CASE("needs: the mean of a node's requests by work, against the mean of all") {
  sim::TracePart part = one_node();
  part.buckets = {{"team", 0, 3}};
  part.need_columns = {{"cpu", "cores"}, {"gpu", "cards"}};
  part.load = 0.5;
  TraceContext context{3, 1, {1, 1, 1, 1, 1, 1}, {6, 3}, {"cpu", "gpu"}};
  // training: slots 0 to 3 of 8. Work of a: 3, of b: 1, of others: none. cores: a (1*2 + 2*5) / 3
  // = 4, b 8, all (12 + 8) / 4 = 5; cards: a 0, b 2, all 0.5
  const std::string log =
      "time,team,size,cores,cards\n0,a,1,2,0\n1,a,2,5,0\n2,b,1,8,2\n4,c,9,9,9\n7,c,9,9,9\n";
  part = work_of(log, part, context);
  REQUIRE(part.needs.size() == 2);
  CHECK(part.needs[0][0] == doctest::Approx(0.8).epsilon(1e-15));
  CHECK(part.needs[0][1] == doctest::Approx(1.6).epsilon(1e-15));
  CHECK(part.needs[1][0] == 0);
  CHECK(part.needs[1][1] == doctest::Approx(4).epsilon(1e-15));
  CHECK(part.needs[0][2] == 1);
  // by construction each resource is used as much as there is mean work; gpu has the small budget
  const double work = part.mean[0] + part.mean[1] + part.mean[2];
  CHECK(work == doctest::Approx(0.5 * 3).epsilon(1e-14));
  CHECK(part.mean[0] * 0.8 + part.mean[1] * 1.6 == doctest::Approx(work).epsilon(1e-14));

  part.need_columns = {{"cpus", "cores"}, {"gpu", "cards"}, {"gpu", "cores"}};
  CHECK(read(log, part, context) ==
        Faults{"needs.0.resource: is \"cpus\", which is not in pool.resources; did you mean "
               "\"cpu\"?",
               "needs.2.resource: is \"gpu\" a second time"});
  part.need_columns = {{"cpu", "none"}};
  CHECK(
      read("time,team,size,none\n0,a,1,0\n1,b,1,0\n3,a,1,1\n", part, context) ==
      Faults{"needs.0.column: is \"none\", of which the work of the training part takes nothing"});
}

TEST_CASE("needs of a log become those of the pool, once") {
  const TemporaryFolder folder;
  std::string csv = "time,size,cores\n";
  for (int t = 0; t < 30; ++t)
    csv += std::to_string(t) + "," + std::to_string(1 + t % 2) + "," + std::to_string(3 + t % 2) +
           "\n";
  std::ofstream(folder / "log.csv") << csv;
  const std::string part =
      "    - kind: trace\n      file: log.csv\n      time_column: time\n"
      "      work: [{column: size, weight: 0.1}]\n      buckets: [{column: size, quantiles: 2}]\n"
      "      needs: [{resource: cpu, column: cores}]\n";
  const auto text = [&](const std::string& cpu, const std::string& parts) {
    return "version: 1\nname: t\npool:\n  nodes: 2\n  resources:\n    - {name: cpu" + cpu +
           "}\n    - {name: net}\nworkload:\n  slots: 4\n  noise: none\n  parts:\n" + parts +
           "evaluation: {episodes: 2}\n";
  };
  const std::string path = folder / "s.yaml";
  const Scenario s = parse(text("", part), path, {});
  const sim::Pool& pool = s.settings.sim.pool;
  // training: 21 slots, 11 of work 1 and 3 cores, 10 of work 2 and 4 cores: mean 113 / 31
  CHECK(pool.need_of(0, 0) == doctest::Approx(3 * 31.0 / 113).epsilon(1e-15));
  CHECK(pool.need_of(1, 0) == doctest::Approx(4 * 31.0 / 113).epsilon(1e-15));
  CHECK(pool.need_of(1, 1) == 1);
  CHECK(parse(s.resolved, path, {}).settings.sim.pool.needs == pool.needs);
  CHECK(faults_of(text(", need: 2", part), {}, path) ==
        Faults{path + ":6:25: pool.resources.0.need is given twice: workload.parts.0.needs.0 reads "
                      "it from the log"});
  CHECK(faults_of(text("", part + part), {}, path) ==
        Faults{path + ":6:7: pool.resources.0.need is given twice: workload.parts.1.needs.0 reads "
                      "it from the log"});
}

TEST_CASE("keys of columns that contradict each other") {
  const auto faults = [&](const sim::TracePart& given) {
    sim::TracePart part = given;
    return read("time,size\n0,4\n1,2\n", part, pool_of(1));
  };
  sim::TracePart part = one_node();
  part.work_columns[0] = {"size", 1, sim::Arrival::stream, 3, "size", "time"};
  CHECK(faults(part) == Faults{"work.0.rate: is 3, but with `lasts` the column is the rate",
                               "work.0.until: and `lasts` are both given, expected one"});
  part = one_node();
  part.buckets = {{"size", 1, 1}};
  CHECK(faults(part) == Faults{"buckets.0: has `quantiles` and `top`, expected one of them"});
  part.buckets = {{"size", 0, 0}};
  CHECK(faults(part) ==
        Faults{"buckets.0: has neither `quantiles` nor `top`, expected one of them"});
  part = one_node();
  part.work_columns[0].lasts = "size";
  CHECK(read("time,size\n0,1e200\n1,2\n", part, pool_of(1)) ==
        Faults{"log.csv:2: brings inf wu of work, expected at most 1e100"});
}

TEST_CASE("the Lublin log: what another reader finds in it") {
  const std::string path = reference_data("swf/lublin_256.swf");
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no log at " << path << " (CRA_DATA names another folder)");
    return;
  }
  sim::TracePart part = swf_part();
  part.buckets = {{"processors", 2, 0}, {"runtime", 3, 0}};
  part.train_fraction = 0.7;
  REQUIRE(read_trace(path, pool_of(6, 3600), part).empty());
  CHECK(part.requests == 10000);
  // awk '!/^;/ {s += $4 * $5} END {printf "%d", s}' gives the processor seconds of the file
  CHECK(std::accumulate(part.work.begin(), part.work.end(), 0.0) ==
        doctest::Approx(2092781168.0).epsilon(1e-12));
  CHECK(part.slots() == 2141);  // from 5094 s to 7711701 s
  CHECK(part.train_slots == 1498);
  // a stream leaves out what runs beyond the last submission, and nothing else
  part.work_columns[0].arrival = sim::Arrival::stream;
  REQUIRE(read_trace(path, pool_of(6, 3600), part).empty());
  const double streamed = std::accumulate(part.work.begin(), part.work.end(), 0.0);
  CHECK(streamed < 2092781168.0);
  CHECK(streamed > 0.97 * 2092781168.0);
}
