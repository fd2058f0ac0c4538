#include "tools/contest.h"

#include <omp.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>

#include "attention/attention.h"
#include "cuda/cuda.h"
#include "sim/sim.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace cra::tools {

int set_threads(const Arguments& a) {
  int threads = a.threads;
  const char* omp = std::getenv("OMP_NUM_THREADS");
  const char* slurm = std::getenv("SLURM_CPUS_PER_TASK");
  if (threads == 0 && (omp == nullptr || *omp == 0) && slurm != nullptr) {
    // Not ours to complain about: what is no number is passed over.
    std::from_chars(slurm, slurm + std::strlen(slurm), threads);
    threads = std::clamp(threads, 0, 1024);
  }
  if (threads > 0) omp_set_num_threads(threads);
  return omp_get_max_threads();
}

agents::EngineFactory choose_engine(const Arguments& a, const scenarios::Settings& s) {
  if (a.device != Device::cuda) return attention::make_cpu_engine;
  const auto features = static_cast<int>(sim::feature_names(s.sim).size());
  const cuda::Precision precision = a.precision;
  cuda::make_engine(attention::shape_of(s.attention, features, s.sim.pool.nodes,
                                        static_cast<std::uint64_t>(s.seed)),
                    precision);
  return [precision](const attention::Shape& shape) { return cuda::make_engine(shape, precision); };
}

std::string precision_name(const Arguments& a) {
  return Choices<cuda::Precision>::names[static_cast<std::size_t>(a.precision)];
}

std::string device_text(const Arguments& a) {
  if (a.device != Device::cuda) return "cpu";
  std::string text = "cuda ";
  return text.append(precision_name(a)).append(" (").append(cuda::devices().at(0)).append(")");
}

std::vector<std::string> baselines_of(const scenarios::Settings& s) {
  const agents::Evaluation& e = s.agents.evaluation;
  std::vector<std::string> all = agents::baselines_for(s.sim);
  const auto unwanted = [&](const std::string& name) {
    const agents::Kind kind = agents::baseline_kind(name);
    const bool plans = kind == agents::Kind::planner || kind == agents::Kind::oracle;
    const bool named = std::find(e.baselines.begin(), e.baselines.end(), name) != e.baselines.end();
    return !named && (plans ? !e.planners : !e.baselines.empty());
  };
  all.erase(std::remove_if(all.begin(), all.end(), unwanted), all.end());
  return all;
}

std::vector<agents::Tuning> tune_all(const std::vector<std::string>& names,
                                     const scenarios::Settings& s, Progress& progress) {
  const auto seed = static_cast<std::uint64_t>(s.seed);
  const sim::Exogenous x =
      sim::draw(s.sim, seed, EpisodeSet::tuning, 0, s.agents.evaluation.tuning_episodes);
  progress.stage("tuning baselines", static_cast<std::int64_t>(names.size()));
  std::vector<agents::Tuning> all;
  for (const std::string& name : names) {
    check_stop();
    all.push_back(agents::tune(name, s.sim, x));
    progress.step(static_cast<std::int64_t>(all.size()), name);
  }
  check_stop();
  return all;
}

const agents::Tuning& best_of(const std::vector<agents::Tuning>& all, bool by_knobs) {
  const auto rank = [&](const agents::Tuning& t) {
    const std::string& name = t.rule.name;
    const bool stuck = by_knobs && (t.knobs.empty() || !agents::unlearnable(name).empty());
    return std::tuple(stuck, !agents::starts_learning(name), t.best_cost);
  };
  return *std::min_element(
      all.begin(), all.end(),
      [&](const agents::Tuning& a, const agents::Tuning& b) { return rank(a) < rank(b); });
}

Candidate baseline(agents::Tuning tuning, const sim::Params& p) {
  Candidate c;
  c.name = c.title = tuning.rule.name;
  const agents::Kind kind = agents::baseline_kind(c.name);
  c.kind = agents::kind_name(kind);
  if (kind == agents::Kind::oracle) {
    c.oracle = agents::make_oracle(tuning.rule, p);
  } else {
    c.policy = agents::make_baseline(tuning.rule, p);
  }
  c.tuning = std::move(tuning);
  return c;
}

Candidate learned(const std::string& name, agents::Network network, const sim::Params& p,
                  const agents::EngineFactory& engine) {
  Candidate c;
  c.name = c.title = name;
  c.kind = "learned";
  c.policy = agents::make_learned(network, p, engine);
  c.network = std::move(network);
  return c;
}

sim::Exogenous evaluation_episodes(const scenarios::Settings& s) {
  return sim::draw(s.sim, static_cast<std::uint64_t>(s.seed), EpisodeSet::evaluation, 0,
                   s.agents.evaluation.episodes);
}

void meet(std::vector<Candidate>& all, const scenarios::Settings& s, const sim::Exogenous& x,
          Progress& progress) {
  progress.stage("evaluating policies", static_cast<std::int64_t>(all.size()));
  const std::int64_t recorded = std::min<std::int64_t>(s.output.trajectories, x.episodes);
  std::int64_t done = 0;
  for (Candidate& c : all) {
    check_stop();
    const auto run = [&](const auto& who) {
      c.outcome = agents::evaluate(who, s.sim, x);
      if (recorded > 0)
        c.trajectory = agents::record(who, s.sim, x, recorded, s.output.observations);
    };
    c.oracle ? run(*c.oracle) : run(*c.policy);
    progress.step(++done, c.name);
  }
  check_stop();
}

std::optional<Explained> explain_attention(const Candidate* candidate, const scenarios::Settings& s,
                                           const sim::Exogenous& x,
                                           const agents::EngineFactory& engine,
                                           Progress& progress) {
  const agents::Evaluation& e = s.agents.evaluation;
  if (candidate == nullptr || e.explained_episodes == 0 ||
      s.sim.pool.nodes > agents::kMostExplained || !agents::attends(*candidate->network))
    return std::nullopt;
  check_stop();
  progress.stage("explaining attention", 1);
  Explained out{candidate->name, agents::explain(*candidate->network, s.sim, x,
                                                 std::min(e.explained_episodes, x.episodes),
                                                 e.explained_every, engine)};
  progress.step(1, candidate->name);
  check_stop();
  return out;
}

agents::Bound bound_episodes(const Arguments& a, const scenarios::Settings& s, Progress& progress) {
  agents::Bound all;
  if (!s.agents.evaluation.bound) {
    all.reason = "switched off by evaluation.bound";
    return all;
  }
  // Chunk by chunk, so that a signal is heard; enough episodes in each for all threads.
  const std::int64_t episodes = s.agents.evaluation.episodes;
  const std::int64_t chunk = std::max<std::int64_t>(16, omp_get_max_threads());
  progress.stage("bounding the cost", episodes);
  for (std::int64_t first = 0; first < episodes; first += chunk) {
    check_stop();
    const sim::Exogenous x =
        sim::draw(s.sim, static_cast<std::uint64_t>(s.seed), EpisodeSet::evaluation, first,
                  std::min(chunk, episodes - first));
    const agents::Bound some = agents::clairvoyant_bound(s.sim, x);
    if (!some.reason.empty()) {
      all = some;
      break;
    }
    all.lower.insert(all.lower.end(), some.lower.begin(), some.lower.end());
    all.upper.insert(all.upper.end(), some.upper.begin(), some.upper.end());
    all.relaxed.insert(all.relaxed.end(), some.relaxed.begin(), some.relaxed.end());
    all.steps.insert(all.steps.end(), some.steps.begin(), some.steps.end());
    progress.step(first + x.episodes);
  }
  check_stop();
  progress.clear();
  if (!all.reason.empty() && !a.quiet) tell("cra: bound: none: " + all.reason + "\n");
  return all;
}

void check_against(const agents::Bound& bound, const std::vector<Candidate>& all) {
  for (const Candidate& c : all) {
    for (std::size_t i = 0; i < bound.lower.size(); ++i) {
      if (c.outcome.cost[i] >= results::least_cost(bound.lower[i])) continue;
      throw Error(c.name + " costs " + shortest(c.outcome.cost[i]) + " in test episode " +
                  std::to_string(i) + ", less than the certified bound " +
                  shortest(bound.lower[i]) +
                  ", which no policy can: this is a fault of the program, please report it; "
                  "evaluation.bound=false goes on without the bound");
    }
  }
}

Summary compare(const std::vector<Candidate>& all, const scenarios::Settings& s,
                const agents::Bound& bound) {
  std::vector<Contestant> contestants;
  for (const Candidate& c : all) {
    const bool tuned = c.tuning && !c.tuning->knobs.empty();
    if (c.training < 0) {
      contestants.push_back({c.title, c.kind, tuned, c.outcome.cost, c.outcome.score, {}});
    } else {
      if (c.training == 0) contestants.push_back({c.title, c.kind, tuned, {}, {}, {}});
      add_training(contestants.back(), c.outcome.cost, c.outcome.score);
    }
  }
  return summarise(contestants, s.agents.evaluation.resamples, static_cast<std::uint64_t>(s.seed),
                   bound);
}

}  // namespace cra::tools
