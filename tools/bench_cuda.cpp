// cra bench cuda: attention's core and the encoder on the GPU, as its own events time them.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cuda/cuda.h"
#include "tools/bench.h"
#include "tools/engine_check.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string name_of(cuda::Precision p) {
  return Choices<cuda::Precision>::names[static_cast<std::size_t>(p)];
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Json json_of(const cuda::BenchRow& r, const cuda::BenchPlan& plan) {
  return {{"what", r.what},
          {"pass", r.backward ? "forward+backward" : "forward"},
          {"precision", name_of(r.precision)},
          {"environments", r.environments},
          {"nodes", r.nodes},
          {"width", r.width},
          {"heads", r.heads},
          {"layers", r.layers},
          {"microseconds", r.us},
          {"launches_per_graph", plan.launches},
          {"checked_error", error_of(r)},
          {"bytes", r.bytes},
          {"operations", r.operations},
          {"exponentials", r.exponentials}};
}

}  // namespace

int bench_cuda(const Arguments& a) {
  cuda::BenchPlan plan;
  if (a.rounds > 0) plan.rounds = a.rounds;
  const cuda::BenchReport report = cuda::bench(plan);
  if (a.json) {
    Json all{{"schema_version", 1},
             {"commit", commit()},
             {"device", report.device},
             {"compute_capability", report.compute_capability},
             {"copy_gb_per_s", report.copy_gb_per_s},
             {"rows", Json::array()}};
    for (const cuda::BenchRow& r : report.rows) all["rows"].push_back(json_of(r, plan));
    print(all.dump(2) + "\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"what", "pass", "precision", "environments", "nodes",
                                              "us", "GB/s", "TFLOP/s", "Gexp/s", "error"}};
  for (const cuda::BenchRow& r : report.rows) {
    const double us = median(r.us);
    rows.push_back({r.what, r.backward ? "both" : "forward", name_of(r.precision),
                    std::to_string(r.environments), std::to_string(r.nodes), fixed(us, 1),
                    fixed(r.bytes / us / 1e3, 0), fixed(r.operations / us / 1e6, 1),
                    fixed(r.exponentials / us / 1e3, 0), scientific(error_of(r))});
  }
  print(report.device + ", compute capability " + report.compute_capability + "; a copy moves " +
        fixed(report.copy_gb_per_s, 0) + " GB/s\n\n" + table(rows, "lllrrrrrrr"));
  return 0;
}

}  // namespace cra::tools
