// cra bench sim: time of each stage of a slot, and what this machine's memory would allow.
#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "sim/sim.h"
#include "tools/bench.h"
#include "tools/contest.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSlots = 60;                 // of one measured episode
constexpr std::int64_t kTileNodes = 4096;  // nodes of the environments that roll out together
// Memory a slot touches per node of the pool below, columns of doubles: read are the weights,
// arrivals, availability, importance of this slot and the next, backlog, rate, two averages and the
// slots down; written are the last five, last arrivals, importance, availability, error, grant,
// served, lost, the two margins and the importance ahead.
constexpr double kStepBytes = 8.0 * (10 + 15);

struct Size {
  std::int64_t envs;
  int nodes;
};
// Short rows that fit the caches, rows in between, long rows, and a state beyond the last cache.
constexpr std::array<Size, 4> kSizes{{{1024, 16}, {4096, 64}, {1024, 256}, {16384, 64}}};

/// Bytes read and written per second by a copy of two arrays far larger than the caches.
double copy_bandwidth() {
  constexpr std::int64_t kTile = std::int64_t{1} << 21, kTiles = 64;  // 128 MiB each
  std::vector<char> from(kTile * kTiles, 1), to(kTile * kTiles, 0);
  const double seconds =
      median_seconds([] {},
                     [&] {
                       for_each_tile(kTiles, [&](std::int64_t i) {
                         std::memcpy(to.data() + i * kTile, from.data() + i * kTile, kTile);
                       });
                     });
  return 2 * static_cast<double>(kTile * kTiles) / seconds;
}

/// A pool of queues whose parameters and input are closed formulas, so that a program in another
/// language can run the same episode and must end at the same cost (tools/bench_sim.py does).
sim::Params plain_pool(int nodes) {
  sim::Params p;
  p.pool.nodes = nodes;
  p.pool.capacity = 2.0;  // some nodes are capped in every slot
  p.workload.slots = kSlots;
  p.cost.switching = 0.02;
  sim::ConstantPart steady;
  steady.rate = 0.7;
  p.workload.parts.emplace_back(steady);
  const std::vector<Problem> problems = sim::resolve(p, 1);
  CRA_CHECK(problems.empty(), "bench: the pool is not sound");
  return p;
}

sim::Exogenous formula_input(const sim::Params& p, std::int64_t envs) {
  sim::Exogenous x = sim::draw(p, 1, EpisodeSet::training, 0, envs);
  for (std::int64_t e = 0; e < envs; ++e)
    for (int t = 0; t < kSlots; ++t)
      for (int n = 0; n < p.pool.nodes; ++n) {
        const std::size_t i = x.at(e, t) + static_cast<std::size_t>(n);
        x.arrivals[i] = 0.7 + 0.6 * std::sin(0.7 * t + 0.3 * static_cast<double>(e) + 1.1 * n);
        x.importance[i] = 1 + 0.5 * std::cos(2.3 * n);  // the same in every slot: x stays steady
      }
  return x;
}

std::vector<double> formula_weights(const sim::Params& p, std::int64_t envs) {
  std::vector<double> w;
  for (std::int64_t e = 0; e < envs; ++e)
    for (int n = 0; n < p.pool.nodes; ++n)
      w.push_back(std::exp(std::sin(0.9 * static_cast<double>(e) + 1.7 * n)));
  return w;
}

/// Episodes first .. first + count - 1, as far as they exist. \returns mean cost of the first
double roll_out(const sim::Params& p, const sim::Exogenous& x, View<const double> decisions,
                std::int64_t first, std::int64_t count) {
  count = std::min(count, x.episodes - first);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), first);
  sim::Batch batch = sim::reset(p, x, std::move(rows));
  double cost = 0;
  for (int t = 0; t < kSlots; ++t) {
    sim::step(p, x, batch, {decisions.row(first), count, decisions.cols});
    cost += batch.cost[0];
  }
  return cost / kSlots;
}

/// One size with the current number of threads: seconds per slot of each stage.
Json measure(const Size& size, int threads, double bandwidth) {
  const sim::Params p = plain_pool(size.nodes);
  const double node_slots = static_cast<double>(size.envs) * size.nodes;
  Json row{{"envs", size.envs}, {"nodes", size.nodes}, {"threads", threads}};
  const double draw =
      median_seconds([] {}, [&] { sim::draw(p, 1, EpisodeSet::training, 0, size.envs); });
  row["draw_ns_per_node_slot"] = draw / kSlots / node_slots * 1e9;

  const sim::Exogenous x = formula_input(p, size.envs);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(size.envs));
  std::iota(rows.begin(), rows.end(), 0);
  const sim::Batch start = sim::reset(p, x, std::move(rows));
  const std::vector<double> weights = formula_weights(p, size.envs);
  const View<const double> decisions{weights.data(), size.envs, size.nodes};
  sim::Batch batch = start;
  double cost = 0;
  const double step = median_seconds([&] { batch = start; },
                                     [&] {
                                       cost = 0;
                                       for (int t = 0; t < kSlots; ++t) {
                                         sim::step(p, x, batch, decisions);
                                         cost += batch.cost[0];
                                       }
                                     }) /
                      kSlots;
  row["slot_env_steps_per_s"] = static_cast<double>(size.envs) / step;
  row["step_ns_per_node_slot"] = step / node_slots * 1e9;
  row["step_of_copy_bandwidth"] = kStepBytes * node_slots / step / bandwidth;

  // Whole episodes, a tile of environments after the other, as evaluation and training run them: a
  // tile stays in the cache, and only arrivals come from memory.
  const std::int64_t tile = std::max<std::int64_t>(1, kTileNodes / size.nodes);
  const auto roll_out_all = [&] {
    for_each_tile(tiles_of(size.envs, tile),
                  [&](std::int64_t i) { roll_out(p, x, decisions, i * tile, tile); });
  };
  const double rollout = median_seconds([] {}, roll_out_all) / kSlots;
  row["env_steps_per_s"] = static_cast<double>(size.envs) / rollout;
  row["rollout_ns_per_node_slot"] = rollout / node_slots * 1e9;
  row["cost_of_first_env"] = roll_out(p, x, decisions, 0, 1);
  CRA_CHECK(row["cost_of_first_env"] == cost / kSlots, "bench: tiles and slots disagree");

  std::vector<float> features(static_cast<std::size_t>(size.envs * size.nodes) *
                              static_cast<std::size_t>(sim::feature_count(p)));
  const double observe = median_seconds(
      [] {},
      [&] {
        sim::observe(p, batch, {features.data(), size.envs * size.nodes, sim::feature_count(p)});
      });
  row["observe_ns_per_node_slot"] = observe / node_slots * 1e9;
  sim::Adjoint adjoint(start);
  std::vector<double> d_decisions(weights.size());
  const double backward =
      median_seconds([] {},
                     [&] {
                       sim::step_backward(p, x, start, decisions, 1, adjoint,
                                          {d_decisions.data(), size.envs, size.nodes});
                     });
  row["backward_ns_per_node_slot"] = backward / node_slots * 1e9;
  return row;
}

void print_table(const Json& report) {
  std::vector<std::vector<std::string>> rows{{"envs", "nodes", "threads", "env-steps/s", "draw",
                                              "rollout", "slot", "observe", "reverse",
                                              "slot's memory rate"}};
  const auto ns = [](const Json& x) { return fixed(x.get<double>(), 1) + " ns"; };
  for (const Json& r : report["sim"])
    rows.push_back({std::to_string(r["envs"].get<std::int64_t>()),
                    std::to_string(r["nodes"].get<int>()), std::to_string(r["threads"].get<int>()),
                    count_words(r["env_steps_per_s"].get<double>()), ns(r["draw_ns_per_node_slot"]),
                    ns(r["rollout_ns_per_node_slot"]), ns(r["step_ns_per_node_slot"]),
                    ns(r["observe_ns_per_node_slot"]), ns(r["backward_ns_per_node_slot"]),
                    fixed(100 * r["step_of_copy_bandwidth"].get<double>(), 0) + " % of a copy's"});
  print("Time per node and slot of each stage; " + report["processor"].get<std::string>() + "\n\n" +
        table(rows, "rrrrrrrrrr") + "\n");
  for (const Json& c : report["copy"])
    print("copy of memory, " + std::to_string(c["threads"].get<int>()) + " threads: " +
          fixed(c["bytes_per_s"].get<double>() / 1e9, 1) + " GB/s read and written\n");
}

}  // namespace

int bench_sim(const Arguments& a) {
  const int most = set_threads(a);
  Json report{{"schema_version", 1},      {"commit", commit()},
              {"processor", processor()}, {"vectors", sim::step_vectors()},
              {"copy", Json::array()},    {"sim", Json::array()}};
  for (const int threads : most > 1 ? std::vector<int>{1, most} : std::vector<int>{1}) {
    omp_set_num_threads(threads);
    const double bandwidth = copy_bandwidth();
    report["copy"].push_back(Json{{"threads", threads}, {"bytes_per_s", bandwidth}});
    for (const Size& size : kSizes) report["sim"].push_back(measure(size, threads, bandwidth));
  }
  if (a.json) {
    print(report.dump(2) + "\n");
  } else {
    print_table(report);
  }
  return 0;
}

}  // namespace cra::tools
