#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "scenario_texts.h"
#include "temporary_folder.h"
#include "trace_logs.h"

using namespace cra;
using namespace cra::scenarios;
using namespace cra::testing;

namespace {

Faults faults_in(const std::string& csv) {
  sim::TracePart part = one_node();
  return read(csv, part, pool_of(1));
}

sim::TracePart llm_part() {
  sim::TracePart part;
  part.time_column = "TIMESTAMP";
  part.work_columns = {{"ContextTokens", 0.25e-3, sim::Arrival::lump, 0, "", ""},
                       {"GeneratedTokens", 0.01, sim::Arrival::lump, 0, "", ""}};
  part.buckets = {{"ContextTokens", 3, 0}, {"GeneratedTokens", 3, 0}};
  part.train_fraction = 0.7;
  part.load = 0.8;
  return part;
}

}  // namespace

TEST_CASE("lumps: weight times value in the slot of the request, from the first request on") {
  sim::TracePart part = one_node();
  part.work_columns[0].weight = 0.5;
  part = work_of("time,size\n100,4\n100.9,2\n101.0,8\n103.2,6\n", part, pool_of(1));
  CHECK(part.work == std::vector<double>{3, 4, 0, 3});
  CHECK(part.requests == 4);
  CHECK(part.slots() == 4);
  CHECK(part.train_slots == 2);
  CHECK(part.mean == std::vector<double>{3.5});
}

TEST_CASE("lumps: columns add up, slots may be longer than a second") {
  sim::TracePart part = one_node();
  part.work_columns.push_back({"more", 10, sim::Arrival::lump, 0, "", ""});
  part = work_of("more,time,size\n1,0,4\n0,1.5,2\n2,2,1\n1,5.9,1\n", part, pool_of(1, 2));
  CHECK(part.work == std::vector<double>{16, 21, 11});
  CHECK(part.train_slots == 1);
}

TEST_CASE("streams: rate in each slot, the remainder in the last, nothing beyond the log") {
  sim::TracePart part = one_node();
  part.work_columns[0] = {"size", 0.5, sim::Arrival::stream, 10, "", ""};
  part = work_of("time,size\n0,25\n0.99,10\n2,0\n3,4\n5,35\n", part, pool_of(1));
  // 25 = 10 + 10 + 5 in slots 0 to 2, 10 in slot 0, 4 in slot 3, 10 of 35 in slot 5, the last
  CHECK(part.work == std::vector<double>{10, 5, 2.5, 2, 0, 5});
  part.work_columns[0].rate = 10;
  part = work_of("time,size\n0,25\n3,1\n", part, pool_of(1, 2));
  CHECK(part.work == std::vector<double>{10, 3});  // 20 units in a slot of 2 s
}

TEST_CASE("buckets: quantiles of the training part, ties in the lower bucket, row-major nodes") {
  sim::TracePart part = one_node();
  part.buckets = {{"size", 2, 0}, {"other", 2, 0}};
  part.train_fraction = 0.5;
  // training: slots 0 and 1 of 4. Median of sizes 1 2 3 4: 2.5; of others 5 5 5 9: 5
  const std::string csv =
      "time,size,other\n0,1,5\n0.5,2,9\n1,3,5\n1.5,4,5\n2,2.5,6\n2.1,2.6,5\n3,100,100\n";
  part = work_of(csv, part, pool_of(4));
  REQUIRE(part.edges.size() == 2);
  CHECK(part.edges[0] == std::vector<double>{2.5});
  CHECK(part.edges[1] == std::vector<double>{5});
  CHECK(part.train_slots == 2);
  CHECK(part.work == std::vector<double>{1, 2, 0, 0,      // (1, 5) -> 0, (2, 9) -> 1
                                         0, 0, 7, 0,      // (3, 5), (4, 5) -> 2
                                         0, 2.5, 2.6, 0,  // (2.5, 6) -> 1, (2.6, 5) -> 2
                                         0, 0, 0, 100});
  CHECK(part.mean == std::vector<double>{0.5, 1, 3.5, 0});
}

TEST_CASE("buckets: an atom fills one bucket and leaves others empty") {
  sim::TracePart part = one_node();
  part.buckets = {{"size", 3, 0}};
  part = work_of("time,size\n0,7\n1,7\n2,7\n3,9\n", part, pool_of(3));
  CHECK(part.edges[0] == std::vector<double>{7, 7});
  CHECK(part.work == std::vector<double>{7, 0, 0, 7, 0, 0, 7, 0, 0, 0, 0, 9});
}

TEST_CASE("buckets: thirds of six interpolate between order statistics") {
  sim::TracePart part = one_node();
  part.buckets = {{"size", 3, 0}};
  part.train_fraction = 0.9;
  // training: slots 0 to 8 of 10, sizes 0 10 20 30 40 60: positions 5/3 and 10/3
  part = work_of("time,size\n0,60\n1,10\n2,20\n3,30\n4,40\n5,0\n9,1\n", part, pool_of(3));
  REQUIRE(part.edges[0].size() == 2);
  CHECK(part.edges[0][0] == doctest::Approx(50.0 / 3).epsilon(1e-15));
  CHECK(part.edges[0][1] == doctest::Approx(100.0 / 3).epsilon(1e-15));
}

TEST_CASE("load: needs times work of the training part is that share of the budget") {
  sim::TracePart part = one_node();
  part.buckets = {{"size", 2, 0}};
  part.load = 0.5;
  TraceContext context{2, 1, {1, 3}, {8}, {}};
  part = work_of("time,size\n0,1\n1,3\n2,5\n3,1\n", part, context);
  // training mean (0.5, 1.5), needs (1, 3): 5 ru a slot; wanted 0.5 * 8 = 4: factor 0.8
  CHECK(part.mean[0] == doctest::Approx(0.4).epsilon(1e-15));
  CHECK(part.mean[1] == doctest::Approx(1.2).epsilon(1e-15));
  CHECK(part.work[5] == doctest::Approx(4).epsilon(1e-15));
  context.budgets = {2};  // factor 0.2
  part.load = 0.5;
  part = work_of("time,size\n0,1\n1,3\n2,5\n3,1\n", part, context);
  CHECK(part.mean[1] == doctest::Approx(0.3).epsilon(1e-15));
  // of two resources the one that is short first: 5 of 10 and 2 of 2 without scaling, factor 0.5
  context = {2, 1, {1, 1, 3, 1}, {10, 2}, {"a", "b"}};
  part = work_of("time,size\n0,1\n1,3\n2,5\n3,1\n", part, context);
  CHECK(part.mean[1] == doctest::Approx(0.75).epsilon(1e-15));
  // a resource that nobody needs is never short
  context = {2, 1, {1, 0, 3, 0}, {8, 1}, {"a", "b"}};
  part = work_of("time,size\n0,1\n1,3\n2,5\n3,1\n", part, context);
  CHECK(part.mean[1] == doctest::Approx(1.2).epsilon(1e-15));
}

TEST_CASE("train_fraction: a share in decimals gives the whole number it means") {
  sim::TracePart part = one_node();
  part.train_fraction = 0.29;  // 0.29 * 100 is 28.999999999999996
  std::string csv = "time,size\n";
  for (int t = 0; t < 100; ++t) csv += std::to_string(t) + ",1\n";
  CHECK(work_of(csv, part, pool_of(1)).train_slots == 29);
}

TEST_CASE("files as they come: CRLF, byte order mark, quotes, blanks, no last line end") {
  const std::vector<double> expected{4, 2};
  for (const char* csv :
       {"time,size\n0,4\n1,2", "time,size\r\n0,4\r\n1,2\r\n",
        "\xEF\xBB\xBFtime,size\n0,4\n1,2\n\n\r\n", "\"time\",\"size\"\n\"0\",\"4\"\n1,\"2\"\n",
        "time,size\n0, 4\n1,2 \n", "time,note,size\n0,\"a, \"\"b\"\"\nc\",4\n1,,2\n"}) {
    CAPTURE(csv);
    CHECK(work_of(csv, one_node(), pool_of(1)).work == expected);
  }
}

TEST_CASE("times may be dates: across midnight, the end of February, and 100 ns") {
  const auto slots_of = [](const std::string& first, const std::string& last) {
    return work_of("time,size\n" + first + ",1\n" + last + ",1\n", one_node(), pool_of(1)).slots();
  };
  CHECK(slots_of("2023-11-16 23:59:58.5", "2023-11-17 00:00:00.4999999") == 2);
  CHECK(slots_of("2023-11-16 23:59:58.5", "2023-11-17 00:00:00.5000000") == 3);
  CHECK(slots_of("2024-02-28 23:59:59", "2024-03-01 00:00:00") == 86402);
  CHECK(slots_of("2023-02-28 23:59:59", "2023-03-01 00:00:00") == 2);
}

TEST_CASE("errors of lines: file:line, what was found, what is expected") {
  CHECK(faults_in("time,size\n0,4\n1,x\n2,\n3,-1\n4,nan\n5,inf\n6,1e999\n") ==
        Faults{"log.csv:3: size is \"x\", expected a number",
               "log.csv:4: size is empty; `missing: skip` leaves out such lines",
               "log.csv:5: size is \"-1\", expected a number that is not negative",
               "log.csv:6: size is \"nan\", expected a number",
               "log.csv:7: size is \"inf\", expected a number",
               "log.csv:8: size is \"1e999\", expected a number"});
  CHECK(
      faults_in("time,size\n5,1\n7,1\n6.5,1\n7,1\n") ==
      Faults{"log.csv:4: time is \"6.5\", earlier than in line 3; the log must be sorted by time"});
  CHECK(faults_in("time,size\n0,1\n1\n2,1,3\n\n3,1\n") ==
        Faults{"log.csv:3: has 1 field, the header has 2",
               "log.csv:4: has 3 fields, the header has 2", "log.csv:5: blank line"});
  CHECK(faults_in("time,size\nnoon,1\n") ==
        Faults{"log.csv:2: time is \"noon\", expected seconds or YYYY-MM-DD hh:mm:ss.fraction"});
  CHECK(
      faults_in("time,size\n0,1\n2023-11-16 00:00:00,1\n") ==
      Faults{
          "log.csv:3: time is \"2023-11-16 00:00:00\", expected seconds, as in the lines before"});
  CHECK(faults_in("time,size\n2023-11-16 00:00:00,1\n7,1\n") ==
        Faults{"log.csv:3: time is \"7\", expected YYYY-MM-DD hh:mm:ss.fraction, as in the lines "
               "before"});
  CHECK(faults_in("time,size\n0,\"1\n2,3\n") == Faults{"log.csv:2: a quote that is not closed"});
  CHECK(faults_in("time,size\n0,1\"\n2,3\n") ==
        Faults{"log.csv:2: a quote inside a field that does not begin with one"});
  CHECK(faults_in("time,size\n0,\"1\"2\n2,3\n") == Faults{"log.csv:2: text after a closing quote"});
}

TEST_CASE("dates that do not exist") {
  for (const char* date :
       {"2023-02-29 00:00:00", "2023-13-01 00:00:00", "2023-00-01 00:00:00", "2023-04-31 00:00:00",
        "2023-01-01 24:00:00", "2023-01-01 00:60:00", "2023-01-01 00:00:60", "2023-1-01 00:00:00",
        "2023-01-01T00:00:00", "2023-01-01", "2023-01-01 00:00:00.", "2023-01-01 00:00:00.5x",
        "-023-01-01 00:00:00", "2023-01-01 00:00:00Z"}) {
    CHECK(faults_in("time,size\n" + std::string(date) + ",1\n") ==
          Faults{"log.csv:2: time is \"" + std::string(date) +
                 "\", expected seconds or YYYY-MM-DD hh:mm:ss.fraction"});
  }
}

TEST_CASE("errors of the header and of the whole file") {
  CHECK(faults_in("") ==
        Faults{"log.csv:1: empty, expected a header line with the names of columns"});
  CHECK(faults_in("time,size\n") == Faults{"log.csv:1: a header, but no requests"});
  CHECK(faults_in("tmie,length\n0,1\n") ==
        Faults{"log.csv:1: no column \"time\"; did you mean \"tmie\"?\n  columns: \"tmie\", "
               "\"length\"",
               "log.csv:1: no column \"size\"\n  columns: \"tmie\", \"length\""});
  CHECK(faults_in("time,size,size\n0,1,1\n") ==
        Faults{"log.csv:1: two columns are called \"size\""});
  CHECK(faults_in("time,size\n" + std::string(2000000, '1') + "\n").at(0) ==
        "log.csv:2: longer than 1 MiB: not a line of a request log");
  const Faults binary = faults_in(std::string("\x89HDF\r\n\x1a\n\0\0,\"", 12));
  REQUIRE(binary.size() == 2);
  CHECK(binary[0] == "log.csv:1: no column \"time\"\n  columns: \"\x89HDF\"");
}

TEST_CASE("20 faults of one log are listed, then no more is read") {
  std::string csv = "time,size\n";
  for (int i = 0; i < 1000; ++i) csv += std::to_string(i) + ",x\n";
  const Faults faults = faults_in(csv);
  REQUIRE(faults.size() == 21);
  CHECK(faults[19] == "log.csv:21: size is \"x\", expected a number");
  CHECK(faults[20] == "log.csv:22: ... and more");
}

TEST_CASE("keys that do not fit the log or each other") {
  const std::string csv = "time,size\n0,4\n1,2\n";
  const auto faults = [&](const sim::TracePart& given, const TraceContext& context) {
    sim::TracePart part = given;
    return read(csv, part, context);
  };
  sim::TracePart part = one_node();
  part.work_columns[0].arrival = sim::Arrival::stream;
  CHECK(faults(part, pool_of(1)) == Faults{"work.0.rate: is 0, but a stream needs a rate above 0"});
  part = one_node();
  part.work_columns[0].rate = 2.5;
  CHECK(faults(part, pool_of(1)) ==
        Faults{"work.0.rate: is 2.5, but only a stream has a rate; a lump has none"});
  part = one_node();
  part.buckets = {{"size", 2, 0}, {"size", 3, 0}};
  CHECK(faults(part, pool_of(5)) == Faults{"buckets: make 2 x 3 = 6 nodes, but pool.nodes is 5"});
  part.buckets.clear();
  part.work_columns.clear();
  CHECK(faults(part, pool_of(1)) == Faults{"work: is empty, expected at least one column",
                                           "buckets: is empty, expected at least one column"});
  CHECK(faults(one_node(), pool_of(1, 100)) ==
        Faults{"file: covers 1 s, too short for a training part of one slot of 100 s"});
  CHECK(faults(one_node(), pool_of(1, 1e-9)) ==
        Faults{"file: covers 1 s, which is 1e9 slots for pool.nodes = 1: too much to hold; raise "
               "workload.slot_seconds"});
  part = one_node();
  part.load = 0.5;
  CHECK(read("time,size\n0,0\n1,2\n", part, pool_of(1)) ==
        Faults{"load: cannot be reached: the training part of the log holds no work"});
}

TEST_CASE("files that are no log") {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& path) {
    sim::TracePart part = one_node();
    const std::vector<TraceProblem> all = read_trace(path, pool_of(1), part);
    REQUIRE(all.size() == 1);
    CHECK(all[0].key == "file");
    return all[0].text;
  };
  CHECK(fault(folder.path()) == "names a folder: \"" + folder.path() + "\"");
  CHECK(fault("/dev/zero") == "is not a regular file: \"/dev/zero\"");
  CHECK(fault("no.csv").find("names no file: looked for \"no.csv\"\n  such a file is not part of "
                             "this program; the head of the scenario says where to get it") == 0);
  const std::string huge = folder / "huge.csv";
  std::ofstream(huge) << "time,size\n";
  std::filesystem::resize_file(huge, (std::uintmax_t{1} << 30U) + 1);  // sparse: takes no room
  CHECK(fault(huge) == "is larger than 1 GiB: \"" + huge + "\"");
}

TEST_CASE("a scenario finds its log beside it; a path from --set starts at the current folder") {
  const TemporaryFolder folder;
  std::string csv = "time,size\n";
  for (int t = 0; t < 30; ++t) csv += std::to_string(t) + ",1\n";
  std::ofstream(folder / "log.csv") << csv;
  std::ofstream(folder / "bad.csv") << "time,size\n0,x\n";
  const std::string text =
      "version: 1\nname: t\npool: {nodes: 1}\nworkload:\n  slots: 4\n  noise: none\n  parts:\n"
      "    - kind: trace\n      file: log.csv\n      time_column: time\n"
      "      work: [{column: size, weight: 1}]\n      buckets: [{column: size, quantiles: 1}]\n"
      "evaluation: {episodes: 2}\n";
  const std::string path = folder / "s.yaml";
  const Scenario s = parse(text, path, {});
  CHECK(std::get<sim::TracePart>(s.settings.sim.workload.parts[0]).requests == 30);
  CHECK(s.resolved.find("      file: log.csv\n") != std::string::npos);
  // its dump reads back beside the log
  CHECK(parse(s.resolved, path, {}).resolved == s.resolved);
  // from --set: the log is found from here, and the dump finds it from anywhere
  const std::string relative = std::filesystem::relative(folder / "log.csv").string();
  const Scenario set = parse(text, "elsewhere/s.yaml", {"workload.parts.0.file=" + relative});
  CHECK(parse(set.resolved, "anywhere/s.yaml", {}).resolved == set.resolved);
  // faults of the log come with its name and line, after those of the scenario
  CHECK(faults_of(text + "attention: {width: 5}\n",
                  {"workload.parts.0.file=" + (folder / "bad.csv")}, path) ==
        Faults{path + ":14:1: attention.kind.heads is 2, which does not divide attention.width 5",
               (folder / "bad.csv") + ":2: size is \"x\", expected a number"});
  CHECK(faults_of(text, {"workload.slots=50"}, path)
            .at(0)
            .find(path + ":8:7: workload.parts.0.train_fraction leaves 21 training slots") == 0);
}

TEST_CASE("the LLM log: the numbers that are known of it") {
  const std::string path = reference_data("llm-inference/conv.csv");
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no request log at " << path << " (CRA_DATA names another folder)");
    return;
  }
  sim::TracePart part = llm_part();
  REQUIRE(read_trace(path, pool_of(9), part).empty());
  CHECK(part.requests == 19366);
  CHECK(part.slots() == 3502);  // 58 minutes
  CHECK(part.train_slots == 2451);
  CHECK((part.slots() - part.train_slots) / 105 == 10);
  CHECK(part.edges[0] == std::vector<double>{407, 1107});
  CHECK(part.edges[1] == std::vector<double>{90, 217});
  CHECK(std::accumulate(part.mean.begin(), part.mean.end(), 0.0) ==
        doctest::Approx(0.8 * 9).epsilon(1e-12));
  // published to two digits: work per slot of each class at load 0.8 of a budget of 9
  const std::vector<double> published{.32, .84, .04, .12, .25, 3.11, .65, .49, 1.38};
  for (std::size_t n = 0; n < 9; ++n) {
    CAPTURE(n);
    CHECK(std::abs(part.mean[n] - published[n]) <= 0.0051);  // rounding, and the last slot
  }
}
