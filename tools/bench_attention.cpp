// cra bench attention: the core of attention on one thread, its data in the cache of its core, as a
// share of what multiply-adds of the same vectors reach here, and beside plain loops in double.
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "tools/bench.h"
#include "tools/contest.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kHeads = 4, kSize = 16;  // a width of 64
constexpr std::array<int, 3> kNodes{16, 64, 256};
/// Weights, queries, keys, values and their gradients of so many rows stay in 1 MB.
constexpr std::int64_t kRows = 256;

double rate(double operations, double seconds) { return operations / seconds / 1e9; }

/// One number of nodes: of every instruction set, and of plain loops.
void measure(int nodes, const std::vector<double>& peaks, Json& rows) {
  attention::CoreWork work(kRows / nodes, nodes, kHeads, kSize);
  const double forward = work.forward_operations();
  const auto add = [&](const std::string& name, double peak, double there, double back) {
    Json row{{"nodes", nodes},
             {"loops", name},
             {"forward_gflops", rate(forward, there)},
             {"both_gflops", rate(3 * forward, there + back)}};
    if (peak > 0) {
      row["forward_of_peak"] = rate(forward, there) / peak;
      row["both_of_peak"] = rate(3 * forward, there + back) / peak;
    }
    rows.push_back(std::move(row));
  };
  const auto nothing = [] {};
  const double there = median_seconds(nothing, [&] { work.plain_forward(); });
  const double back = median_seconds(nothing, [&] { work.plain_backward(); });
  add("plain double", 0, there, back);
  const std::vector<std::string> sets = attention::CoreWork::instruction_sets();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const double fast_there = median_seconds(nothing, [&] { work.forward(i); });
    const double fast_back = median_seconds(nothing, [&] { work.backward(i); });
    // Figures of a wrong result would be worth nothing. Sums of 256 roundings.
    CRA_CHECK(work.difference() <= 1e-4, "bench: fast and plain loops disagree");
    add(sets[i], peaks[i], fast_there, fast_back);
  }
}

void print_encoder(const Json& report) {
  const Json& e = report["encoder"];
  std::vector<std::vector<std::string>> rows{{"nodes", "forward, CPU time", "of a straight line"}},
      steps{{"nodes", "environments", "threads", "samples/s", "per CPU second"}};
  for (const Json& r : e["forward"])
    rows.push_back({r["nodes"].dump(), fixed(r["us_per_env"].get<double>(), 1) + " us",
                    r.contains("of_line") ? fixed(r["of_line"].get<double>(), 2) : ""});
  print("\nThe whole encoder, width " + e["width"].dump() + ", " + e["layers"].dump() +
        " layers, per environment\n\n" + table(rows, "rrr") + "\n");
  for (const Json& x : e["exponents"])
    print("from " + x["from"].dump() + " to " + x["to"].dump() + " nodes: time grows as N^" +
          fixed(x["time"].get<double>(), 2) + ", operations as N^" +
          fixed(x["operations"].get<double>(), 2) + "\n");
  for (const Json& r : report["training_step"])
    steps.push_back({r["nodes"].dump(), r["envs"].dump(), r["threads"].dump(),
                     count_words(r["samples_per_s"].get<double>()),
                     count_words(r["samples_per_cpu_s"].get<double>())});
  print("\nA training step of it: forward, backward, Adam\n\n" + table(steps, "rrrrr"));
}

}  // namespace

int bench_attention(const Arguments& a) {
  Json report{{"schema_version", 1},       {"commit", commit()},  {"processor", processor()},
              {"heads", kHeads},           {"head_width", kSize}, {"peaks", Json::array()},
              {"attention", Json::array()}};
  std::vector<double> peaks;
  const std::vector<std::string> sets = attention::CoreWork::instruction_sets();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    double operations = 0;
    const double seconds =
        median_seconds([] {}, [&] { operations = attention::CoreWork::run_peak(i); });
    peaks.push_back(rate(operations, seconds));
    report["peaks"].push_back(Json{{"loops", sets[i]}, {"gflops", peaks.back()}});
  }
  for (const int nodes : kNodes) measure(nodes, peaks, report["attention"]);
  report["encoder"] = bench_encoder_scaling();
  report["training_step"] = bench_encoder_step(set_threads(a));
  if (a.json) {
    print(report.dump(2) + "\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows{
      {"nodes", "loops", "forward", "of peak", "forward + backward", "of peak"}};
  const auto share = [](const Json& row, const char* key) {
    return row.contains(key) ? fixed(100 * row[key].get<double>(), 0) + " %" : std::string();
  };
  for (const Json& r : report["attention"])
    rows.push_back({std::to_string(r["nodes"].get<int>()), r["loops"].get<std::string>(),
                    fixed(r["forward_gflops"].get<double>(), 1), share(r, "forward_of_peak"),
                    fixed(r["both_gflops"].get<double>(), 1), share(r, "both_of_peak")});
  print("Attention's core on one thread, width 64, heads of 16, GFLOP/s of its products; " +
        report["processor"].get<std::string>() + "\n\n" + table(rows, "rlrrrr") + "\n");
  for (const Json& p : report["peaks"])
    print("multiply-adds, " + p["loops"].get<std::string>() + ": " +
          fixed(p["gflops"].get<double>(), 0) + " GFLOP/s\n");
  print_encoder(report);
  return 0;
}

}  // namespace cra::tools
