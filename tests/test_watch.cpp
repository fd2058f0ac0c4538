// metrics.jsonl as it grows, is cut and is replaced; what is said of it. The command:
// tests/cli/watch.txt.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "sim/base.h"
#include "temporary_folder.h"
#include "tools/watch_text.h"

using namespace cra;
using namespace cra::tools;

namespace {

std::string row(int training, int update, const std::string& cost, const std::string& more = "") {
  return "{\"training\":" + std::to_string(training) + ",\"update\":" + std::to_string(update) +
         ",\"env_steps\":" + std::to_string(100 * update) + ",\"cost\":" + cost + more + "}\n";
}

void append(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app | std::ios::binary) << text;
}

}  // namespace

TEST_CASE("MetricsLog: waits for a file and for the ends of its lines") {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "a.metrics.jsonl";
  MetricsLog log(path);
  CHECK_FALSE(log.poll());
  CHECK_FALSE(log.there());
  const std::string second = row(0, 2, "0.25");
  append(path, row(0, 1, "0.5") + second.substr(0, 20));
  CHECK(log.poll());
  CHECK(log.there());
  CHECK(log.trainings().at(0).update == 1);
  CHECK_FALSE(log.poll());
  append(path, second.substr(20));
  CHECK(log.poll());
  CHECK(log.trainings().at(0).update == 2);
  CHECK(log.trainings().at(0).env_steps == 200);
  CHECK(log.trainings().at(0).cost == std::vector<double>{0.5, 0.25});
  CHECK(log.unreadable() == 0);
}

TEST_CASE("MetricsLog: a file that was cut or replaced is read anew, one that went is waited for") {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "a.metrics.jsonl";
  append(path, row(0, 1, "1") + row(0, 2, "2") + row(0, 3, "3"));
  MetricsLog log(path);
  log.poll();
  CHECK(log.trainings().at(0).cost.size() == 3);
  std::filesystem::resize_file(path, row(0, 1, "1").size());
  CHECK(log.poll());
  CHECK(log.trainings().at(0).cost == std::vector<double>{1});
  // Replaced by a longer one, as MetricsFile does when a run is resumed.
  append(path + ".new", row(0, 1, "7") + row(0, 2, "8") + row(1, 1, "9"));
  std::filesystem::rename(path + ".new", path);
  CHECK(log.poll());
  CHECK(log.trainings().at(0).cost == std::vector<double>{7, 8});
  CHECK(log.trainings().at(1).cost == std::vector<double>{9});
  std::filesystem::remove(path);
  CHECK(log.poll());
  CHECK_FALSE(log.there());
  CHECK(log.trainings().empty());
}

TEST_CASE("MetricsLog: what is no row is counted, what is not finite is shown") {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "a.metrics.jsonl";
  append(path,
         "\n{}\nnonsense\n[1]\n{\"training\":-1,\"update\":1}\n{\"training\":0,\"update\":1.5}\n"
         "{\"training\":0,\"update\":18446744073709551615}\n" +
             std::string(100000, '{') + "\n" + std::string(100000, 'x') + "\n");
  append(path, row(0, 1, "null", ",\"validation_cost\":null,\"steps_per_second\":-5"));
  MetricsLog log(path);
  log.poll();
  CHECK(log.unreadable() == 9);
  REQUIRE(log.trainings().size() == 1);
  CHECK(std::isnan(log.trainings().at(0).cost.at(0)));
  CHECK(log.trainings().at(0).speed.empty());
  const std::string text = status_text(log, {path, "a.h5", 0, 0, false, 0});
  CHECK(text.find("cost             not finite\n") != std::string::npos);
  CHECK(text.find("validation cost  not finite at update 1\n") != std::string::npos);
  CHECK(text.find("9 lines are no row of metrics\n") != std::string::npos);
}

TEST_CASE(
    "MetricsLog: a folder or a device in the file's place is an error, not a wait without end") {
  const testing::TemporaryFolder folder;
  MetricsLog inside(folder.path());
  CHECK_THROWS_AS(inside.poll(), InputError);
  MetricsLog device("/dev/zero");
  CHECK_THROWS_AS(device.poll(), InputError);
}

TEST_CASE(
    "sparkline: lowest and highest bar for the extremes, means of parts, a dot for what is "
    "missing") {
  const std::string low = "\xE2\x96\x81", high = "\xE2\x96\x88";
  CHECK(sparkline({0, 1}, 10) == low + high);
  CHECK(sparkline({0, 0, 9, 9}, 2) == low + high);
  CHECK(sparkline({5, 5, 5}, 10) == low + low + low);
  CHECK(sparkline({0, std::nan(""), 1}, 10) == low + "." + high);
  CHECK(sparkline({}, 10).empty());
}

TEST_CASE("status: how much is left follows from speed, updates and trainings") {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "a.metrics.jsonl";
  // 100 env-steps an update at 50 a second: 2 s for each.
  append(path,
         row(0, 5, "1", ",\"steps_per_second\":50") + row(1, 2, "1", ",\"steps_per_second\":50"));
  MetricsLog log(path);
  log.poll();
  // 3 of this training, 5 of the next one.
  const std::string text = status_text(log, {path, "a.h5", 5, 3, false, 0});
  CHECK(text.find("training 2 of 3, update 2 of 5 (40 %)\n") != std::string::npos);
  CHECK(text.find("time left        about 16 s\n") != std::string::npos);
  CHECK(text.find("no new line") == std::string::npos);
  CHECK(status_text(log, {path, "a.h5", 0, 0, false, 0}).find("time left") == std::string::npos);
  CHECK(status_text(log, {path, "a.h5", 5, 3, false, 90}).find("no new line for 1 min 30 s\n") !=
        std::string::npos);
  CHECK(status_text(log, {path, "a.h5", 5, 3, true, 90}).find("no new line") == std::string::npos);
  CHECK(status_text(log, {path, "a.h5", 2, 2, false, 0}).find("waiting for a.h5\n") !=
        std::string::npos);
  CHECK(status_line(log, {path, "a.h5", 5, 3, false, 0}) ==
        "training 2 of 3, update 2 of 5 (40 %), cost 1.0000, 50 env-steps/s, about 16 s left");
}
