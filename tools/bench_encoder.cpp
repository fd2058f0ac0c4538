// cra bench attention, second part: the whole encoder, how its time grows with the nodes, and a
// training step of it alone.
#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "agents/agents.h"
#include "attention/attention.h"
#include "tools/bench.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;
using Work = std::function<void()>;

constexpr int kFeatures = 16;
constexpr std::int64_t kTileEnvs = 8;  // environments that training runs together
constexpr std::size_t kRounds = 9;
constexpr double kRoundSeconds = 0.02;  // of each work in a round
constexpr std::array<int, 9> kNodes{16, 17, 32, 33, 64, 65, 100, 128, 256};
constexpr std::array<int, 2> kStepNodes{16, 64};
constexpr std::array<std::int64_t, 2> kStepEnvs{32, 256};

attention::Shape shape() {
  attention::Params p;
  p.kind = attention::Multihead{4, 1};
  p.width = 64;
  p.layers = 2;
  return attention::shape_of(p, kFeatures, 0, 0);
}

/// Operations of the products of a forward pass of one environment.
double operations(const attention::Shape& s, double nodes) {
  const double d = s.width;
  return 2 * nodes * (s.features * d + d * d + s.layers * (4 * d * d + 2 * d * s.mlp_width())) +
         4 * nodes * nodes * d * s.layers;
}

/// Seconds of a call, and CPU seconds of all threads.
struct Median {
  double wall, cpu;
};

Median seconds_of(const Work& work, int repeats) {
  const std::clock_t cpu = std::clock();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) work();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return {took.count() / repeats,
          static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC / repeats};
}

double middle_of(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + kRounds / 2, x.end());
  return x[kRounds / 2];
}

/// Of each work. They take turns, so that what else the machine does meets all.
std::vector<Median> medians_of(const std::vector<Work>& works) {
  std::vector<int> repeats;
  std::vector<std::vector<double>> wall(works.size()), cpu(works.size());
  for (const Work& work : works) {
    work();
    repeats.push_back(std::max(1, static_cast<int>(kRoundSeconds / seconds_of(work, 1).wall)));
  }
  for (std::size_t round = 0; round < kRounds; ++round)
    for (std::size_t i = 0; i < works.size(); ++i) {
      const Median took = seconds_of(works[i], repeats[i]);
      wall[i].push_back(took.wall);
      cpu[i].push_back(took.cpu);
    }
  std::vector<Median> all;
  for (std::size_t i = 0; i < works.size(); ++i)
    all.push_back({middle_of(wall[i]), middle_of(cpu[i])});
  return all;
}

/// Forward passes of one tile on one thread.
struct Pass {
  std::vector<float> x, h;
  std::unique_ptr<attention::Cache> cache;
};

double exponent(double times, double nodes) { return std::log(times) / std::log(nodes); }

}  // namespace

Json bench_encoder_scaling() {
  const attention::Shape s = shape();
  const std::unique_ptr<attention::Engine> engine = attention::make_cpu_engine(s);
  const std::vector<float> theta = attention::initial_parameters(s, 1);
  std::vector<Pass> passes(kNodes.size());
  std::vector<Work> works;
  for (std::size_t i = 0; i < kNodes.size(); ++i) {
    Pass& p = passes[i];
    const std::int64_t rows = kTileEnvs * kNodes[i];
    p.cache = engine->make_cache(kTileEnvs, kNodes[i]);
    p.h.resize(static_cast<std::size_t>(rows * s.width));
    for (std::int64_t k = 0; k < rows * s.features; ++k)
      p.x.push_back(static_cast<float>(std::sin(0.1 * static_cast<double>(k))));
    works.emplace_back([&, i, rows] {
      Pass& q = passes[i];
      engine->forward(theta, {q.x.data(), rows, s.features}, kNodes[i], *q.cache,
                      {q.h.data(), rows, s.width});
    });
  }
  std::vector<double> seconds;  // of CPU: one thread, and others want the core too
  for (const Median& m : medians_of(works)) seconds.push_back(m.cpu);
  const auto at = [&](int nodes) {
    return seconds[static_cast<std::size_t>(std::find(kNodes.begin(), kNodes.end(), nodes) -
                                            kNodes.begin())];
  };
  Json report{{"width", s.width},
              {"heads", s.heads},
              {"layers", s.layers},
              {"forward", Json::array()},
              {"exponents", Json::array()}};
  for (std::size_t i = 0; i < kNodes.size(); ++i) {
    Json row{{"nodes", kNodes[i]}, {"us_per_env", seconds[i] / kTileEnvs * 1e6}};
    // Between two powers of 2: the time beside that of a straight line through theirs.
    if (int low = 16; (kNodes[i] & (kNodes[i] - 1)) != 0) {
      while (2 * low < kNodes[i]) low *= 2;
      const double part = static_cast<double>(kNodes[i] - low) / low;
      row["of_line"] = seconds[i] / ((1 - part) * at(low) + part * at(2 * low));
    }
    report["forward"].push_back(std::move(row));
  }
  for (const int low : {16, 64})
    report["exponents"].push_back(
        Json{{"from", low},
             {"to", 4 * low},
             {"time", exponent(at(4 * low) / at(low), 4)},
             {"operations", exponent(operations(s, 4 * low) / operations(s, low), 4)}});
  return report;
}

Json bench_encoder_step(int most) {
  struct Case {
    int nodes, threads;
    std::int64_t envs;
    std::unique_ptr<agents::EncoderStep> step;
  };
  std::vector<Case> cases;
  for (const int nodes : kStepNodes)
    for (const std::int64_t envs : kStepEnvs)
      for (const int threads : most > 1 ? std::vector<int>{1, most} : std::vector<int>{1})
        cases.push_back(
            {nodes, threads, envs, std::make_unique<agents::EncoderStep>(shape(), envs, nodes)});
  Json rows = Json::array();
  std::vector<Work> works;
  for (const Case& c : cases) {
    Json row{{"nodes", c.nodes}, {"envs", c.envs}, {"threads", c.threads}};
    row["features"] = kFeatures;
    row["loss"] = c.step->gradient();
    row["gradient_norm"] = c.step->gradient_norm();
    row["scores"] = std::vector<double>(c.step->scores().begin(),
                                        c.step->scores().begin() + c.nodes);  // of environment 0
    rows.push_back(std::move(row));
    works.emplace_back([&c] {
      omp_set_num_threads(c.threads);
      c.step->step();
    });
  }
  const std::vector<Median> medians = medians_of(works);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto samples = static_cast<double>(cases[i].envs);
    rows[i]["samples_per_s"] = samples / medians[i].wall;
    rows[i]["samples_per_cpu_s"] = samples / medians[i].cpu;
  }
  return rows;
}

}  // namespace cra::tools
