// cra bench train: updates of the learner `apg`, on one thread and on more, and where their time
// goes.
#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agents/agents.h"
#include "scenarios/scenario.h"
#include "tools/bench.h"
#include "tools/contest.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kFewest = 3, kMost = 100;  // updates measured for each number of threads
constexpr double kEnough = 8;                    // seconds of all, after which the fewest will do

/// A scenario file, and what makes a shape of it.
struct Case {
  std::string file;
  std::vector<std::string> set;
};

/// The traffic scenario, and pools like it with more nodes and a wider network, cut after 32 slots:
/// the time of a slot does not depend on their number.
std::vector<Case> shapes() {
  const std::string file = "scenarios/traffic.yaml";
  std::vector<Case> all{{file, {}}};
  for (const std::string nodes : {"16", "64", "256"})
    all.push_back({file,
                   {"pool.nodes=" + nodes, "pool.budget=" + nodes, "workload.importance=1",
                    "workload.slots=32", "attention.width=32"}});
  return all;
}

/// The base that the scenario names, with the middle of each knob's grid; nothing is tuned here.
agents::Rule base_of(const scenarios::Settings& s) {
  const std::string& name = s.agents.agent.base;
  agents::Rule base{name == "best" ? "demand_backlog" : name, {}};
  for (const agents::Knob& knob : agents::baseline_knobs(base.name, s.sim))
    base.knobs.push_back(knob.grid[knob.grid.size() / 2]);
  return base;
}

/// The scenario's agent with a training that never ends, and that validates at its start only.
agents::Params endless(agents::Params p) {
  constexpr int kNever = 1 << 20;
  p.training.updates = p.training.validate_every = kNever;
  p.training.warmup_episodes = p.training.validation_episodes = 1;
  p.training.patience = 0;
  return p;
}

double median(std::vector<double> x) {
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::nth_element(x.begin(), middle, x.end());
  return *middle;
}

/// Updates with one number of threads, on one device.
struct Tally {
  int threads;
  agents::Trainer* trainer;
  std::string device = "cpu";
  std::vector<double> took{};        ///< seconds of each
  std::vector<double> cpu{};         ///< CPU seconds of each, of all threads
  agents::StageSeconds of_stages{};  ///< of all together
};

void update(Tally& tally) {
  agents::Trainer& trainer = *tally.trainer;
  omp_set_num_threads(tally.threads);
  const agents::StageSeconds before = trainer.seconds();
  const std::clock_t cpu = std::clock();
  const auto start = std::chrono::steady_clock::now();
  trainer.update();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  tally.took.push_back(took.count());
  tally.cpu.push_back(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
  for (std::size_t i = 0; i < before.size(); ++i)
    tally.of_stages[i] += trainer.seconds()[i] - before[i];
}

/// Shares of the time of all updates; what is left is allocating, summing gradients and waiting for
/// the other threads.
Json shares_of(const Tally& tally) {
  double all = 0, left = 1;
  for (const double t : tally.took) all += t;
  Json shares;
  for (std::size_t i = 0; i < tally.of_stages.size(); ++i) {
    const double share = tally.of_stages[i] / all;
    left -= share;
    shares[agents::kStageNames[i]] = share;
  }
  shares["rest"] = left;
  return shares;
}

/// Updates take turns with one thread and with many, or with devices: what else the machine does
/// meets all of them.
void measure(const Arguments& a, const scenarios::Settings& s, const std::vector<int>& threads,
             Json& rows) {
  if (!std::holds_alternative<agents::Pathwise>(s.agents.agent.learner))
    throw InputError(s.name +
                     ": cra bench train measures the learner apg; see --set agent.learner");
  const auto trainer_on = [&](const agents::EngineFactory& engine) {
    auto t =
        std::make_unique<agents::Trainer>(endless(s.agents), s.attention, s.sim,
                                          static_cast<std::uint64_t>(s.seed), base_of(s), engine);
    t->start();
    t->update();  // the first one meets cold caches
    return t;
  };
  const auto cpu = trainer_on(attention::make_cpu_engine);
  std::unique_ptr<agents::Trainer> gpu;
  std::vector<Tally> tallies;
  for (const int t : threads) tallies.push_back({t, cpu.get()});
  if (a.device == Device::cuda) {
    gpu = trainer_on(choose_engine(a, s));
    tallies.push_back({threads.back(), gpu.get(), "cuda " + precision_name(a)});
  }
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t round = 0; round < kMost; ++round) {
    for (Tally& tally : tallies) update(tally);
    const std::chrono::duration<double> so_far = std::chrono::steady_clock::now() - start;
    if (round + 1 >= kFewest && so_far.count() > kEnough) break;
  }
  for (const Tally& tally : tallies) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < tally.took.size(); ++i)
      ratios.push_back(tallies.front().took[i] / tally.took[i]);
    const double seconds = median(tally.took);
    const int episodes = s.agents.training.episodes;
    const double steps = static_cast<double>(episodes) * s.sim.workload.slots;
    rows.push_back(Json{{"scenario", s.name},
                        {"episodes", episodes},
                        {"nodes", s.sim.pool.nodes},
                        {"width", s.attention.width},
                        {"slots", s.sim.workload.slots},
                        {"threads", tally.threads},
                        {"device", tally.device},
                        {"updates", tally.took.size()},
                        {"update_s", seconds},
                        {"env_steps_per_s", steps / seconds},
                        {"env_steps_per_cpu_s", steps / median(tally.cpu)},
                        {"times_one_thread", median(ratios)},
                        {"shares", shares_of(tally)}});
  }
}

void print_table(const Json& report) {
  std::vector<std::vector<std::string>> rows{{"nodes", "width", "slots", "episodes", "device",
                                              "threads", "env-steps/s", "of one thread's",
                                              "per CPU second", "update"}},
      shares{{"nodes", "episodes", "device", "threads", "draw", "plant", "adjoint", "features",
              "adjoint", "attention", "gradient", "decision", "gradient", "trail", "Adam", "rest"}};
  for (const Json& r : report["train"]) {
    const std::string nodes = r["nodes"].dump(), threads = r["threads"].dump();
    const std::string episodes = r["episodes"].dump(), device = r["device"].get<std::string>();
    rows.push_back({nodes, r["width"].dump(), r["slots"].dump(), episodes, device, threads,
                    count_words(r["env_steps_per_s"].get<double>()),
                    fixed(r["times_one_thread"].get<double>(), 2) + " x",
                    count_words(r["env_steps_per_cpu_s"].get<double>()),
                    fixed(1e3 * r["update_s"].get<double>(), 1) + " ms"});
    std::vector<std::string> line{nodes, episodes, device, threads};
    for (const auto& [stage, share] : r["shares"].items())
      line.push_back(fixed(100 * share.get<double>(), 1) + " %");
    shares.push_back(std::move(line));
  }
  print("Updates of apg, medians; " + report["processor"].get<std::string>() + "\n\n" +
        table(rows, "rrrrlrrrrr") + "\nShares of their time\n\n" +
        table(shares, "rrlrrrrrrrrrrrrr"));
}

/// For every pool the smallest batch from which on the GPU is faster than all threads of the CPU.
void print_crossovers(const Json& report) {
  std::map<std::pair<int, int>, std::map<int, std::array<double, 2>>> rates;  // by pool, batch
  for (const Json& r : report["train"]) {
    const bool gpu = r["device"] != "cpu";
    double& best = rates[{r["nodes"].get<int>(), r["width"].get<int>()}][r["episodes"].get<int>()]
                        [gpu ? 1 : 0];
    best = std::max(best, r["env_steps_per_s"].get<double>());
  }
  for (const auto& [pool, of_batch] : rates) {
    std::string from = "none of these";
    for (auto it = of_batch.rbegin(); it != of_batch.rend() && it->second[1] > it->second[0]; ++it)
      from = std::to_string(it->first).append(" episodes");
    std::string line = "\n";
    line.append(std::to_string(pool.first)).append(" nodes, width ");
    line.append(std::to_string(pool.second)).append(": the GPU wins from ").append(from);
    line.append(" on; times the CPU's rate:");
    for (const auto& [batch, pair] : of_batch)
      line.append(" ")
          .append(fixed(pair[1] / pair[0], 2))
          .append(" at ")
          .append(std::to_string(batch));
    print(line);
  }
  print("\n");
}

}  // namespace

int bench_train(const Arguments& a) {
  const int most = set_threads(a);
  const std::vector<int> threads = most > 1 ? std::vector<int>{1, most} : std::vector<int>{1};
  std::vector<Case> cases;
  for (std::size_t i = 1; i < a.files.size(); ++i) cases.push_back({a.files[i], {}});
  if (cases.empty()) cases = shapes();
  // Where the GPU begins to pay is a question of the batch.
  std::vector<std::int64_t> batches{a.episodes};
  if (a.device == Device::cuda && a.episodes == 0) batches = {8, 64, 512, 4096};
  Json report{{"schema_version", 1},
              {"commit", commit()},
              {"processor", processor()},
              {"train", Json::array()}};
  for (Case& c : cases) {
    c.set.insert(c.set.end(), a.set.begin(), a.set.end());
    for (const std::int64_t episodes : batches) {
      std::vector<std::string> set = c.set;
      if (episodes > 0) set.push_back("training.episodes=" + std::to_string(episodes));
      measure(a, scenarios::load(c.file, set).settings, threads, report["train"]);
    }
  }
  if (a.json) {
    print(report.dump(2) + "\n");
  } else {
    print_table(report);
    if (a.device == Device::cuda) print_crossovers(report);
  }
  return 0;
}

}  // namespace cra::tools
