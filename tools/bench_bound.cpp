// cra bench bound: how tight the clairvoyant bound is, and what an episode of it takes.
#include <omp.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "agents/agents.h"
#include "scenarios/scenario.h"
#include "tools/bench.h"
#include "tools/contest.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kEpisodes = 24;  // measured of each scenario
constexpr double kLeastCost = 1e-4;     // below it the slack of an episode says nothing

/// One for each kind of pool with a bound of its own: queues, a reserve, failures, progress on
/// three resources. Names as from the folder of this repository.
const std::vector<std::string>& prototypes() {
  static const std::vector<std::string> all{
      "scenarios/traffic.yaml", "scenarios/burst_reserve.yaml", "scenarios/node_failures.yaml",
      "scenarios/training.yaml"};
  return all;
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}
double median(std::vector<double> x) {
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::nth_element(x.begin(), middle, x.end());
  return *middle;
}

/// The bound of the first test episodes of a scenario; a reason where there is none.
Json measure(const scenarios::Settings& s, std::int64_t episodes) {
  Json row{{"scenario", s.name}, {"nodes", s.sim.pool.nodes}, {"slots", s.sim.workload.slots}};
  row["resources"] = s.sim.pool.resource_count();
  row["reserve"] = s.sim.pool.shared_reserve() != nullptr;
  const sim::Exogenous x =
      sim::draw(s.sim, static_cast<std::uint64_t>(s.seed), EpisodeSet::evaluation, 0, episodes);
  const agents::Bound bound = agents::clairvoyant_bound(s.sim, x);
  if (!bound.reason.empty()) {
    row["none"] = bound.reason;
    return row;
  }
  double worst = 0, steps = 0;
  for (std::size_t i = 0; i < bound.lower.size(); ++i) {
    steps += static_cast<double>(bound.steps[i]) / static_cast<double>(bound.steps.size());
    if (bound.lower[i] > kLeastCost)
      worst = std::max(worst, (bound.upper[i] - bound.lower[i]) / bound.upper[i]);
  }
  const double lower = mean(bound.lower), upper = mean(bound.upper), relaxed = mean(bound.relaxed);
  row["episodes"] = episodes;
  row["lower"] = lower;
  row["upper"] = upper;
  row["slack"] = upper > 0 ? (upper - lower) / upper : 0;
  row["slack_worst"] = worst;
  row["solver_slack"] = relaxed > 0 ? (relaxed - lower) / relaxed : 0;
  row["steps"] = steps;
  row["solve_s_mean"] = mean(bound.solve_seconds);
  row["solve_s_median"] = median(bound.solve_seconds);
  row["replay_s_mean"] = mean(bound.replay_seconds);
  row["replay_s_median"] = median(bound.replay_seconds);
  return row;
}

void print_table(const Json& report) {
  std::vector<std::vector<std::string>> rows{{"scenario", "N", "T", "K", "episodes", "lower",
                                              "upper", "slack", "worst", "solver", "steps", "solve",
                                              "(median)", "replay", "(median)"}};
  const auto percent = [](const Json& x) { return fixed(100 * x.get<double>(), 4) + " %"; };
  const auto seconds = [](const Json& x) { return fixed(1e3 * x.get<double>(), 2) + " ms"; };
  std::string reasons;
  for (const Json& r : report["bound"]) {
    const auto name = r["scenario"].get<std::string>();
    if (r.contains("none")) {
      reasons += name + " has no bound: " + r["none"].get<std::string>() + "\n";
      continue;
    }
    rows.push_back(
        {name, r["nodes"].dump(), r["slots"].dump(), r["resources"].dump(), r["episodes"].dump(),
         short_fixed(r["lower"].get<double>(), 5), short_fixed(r["upper"].get<double>(), 5),
         percent(r["slack"]), percent(r["slack_worst"]), percent(r["solver_slack"]),
         fixed(r["steps"].get<double>(), 1), seconds(r["solve_s_mean"]),
         seconds(r["solve_s_median"]), seconds(r["replay_s_mean"]), seconds(r["replay_s_median"])});
  }
  print("Clairvoyant bound, and CPU time of one thread per episode; " +
        report["processor"].get<std::string>() + "\n\n" +
        (rows.size() > 1 ? table(rows, "lrrrrrrrrrrrrrr") : "") + reasons);
}

}  // namespace

int bench_bound(const Arguments& a) {
  omp_set_num_threads(1);  // a second thread would share the caches, and slow the first one down
  std::vector<std::string> files(a.files.begin() + 1, a.files.end());
  if (files.empty()) files = prototypes();
  Json report{{"schema_version", 1},
              {"commit", commit()},
              {"processor", processor()},
              {"vectors", vector_compiled()},
              {"bound", Json::array()}};
  for (const std::string& file : files)
    report["bound"].push_back(
        measure(scenarios::load(file, a.set).settings, a.episodes > 0 ? a.episodes : kEpisodes));
  if (a.json) {
    print(report.dump(2) + "\n");
  } else {
    print_table(report);
  }
  return 0;
}

}  // namespace cra::tools
