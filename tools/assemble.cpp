#include "tools/assemble.h"

#include <algorithm>

#include "tools/assemble_groups.h"
#include "tools/provenance.h"

namespace cra::tools {
namespace {

std::string joined(const Texts& words, const char* between) {
  std::string all;
  for (const std::string& w : words) all += (all.empty() ? "" : between) + w;
  return all;
}

GroupData provenance(const scenarios::Scenario& s, const Circumstances& c,
                     const std::string& finished) {
  return {"provenance",
          {},
          {{"scenario_yaml", text(s.text)},
           {"resolved_yaml", text(s.resolved)},
           {"scenario_path", text(s.path)},
           {"overrides", text(joined(s.overrides, "\n"))},
           {"command_line", text(joined(c.words, " "))},
           {"version", text(version())},
           {"git_commit", text(commit())},
           {"compiler", text(compiler())},
           {"build_flags", text(build_flags())},
           {"libraries", text(json_of(libraries()))},
           {"host", text(host())},
           {"cpu", text(processor())},
           {"device", text(c.device)},
           {"threads", integer(c.threads)},
           {"seed", integer(s.settings.seed)},
           {"rng", text("Philox4x32-10; counter = (set, episode, stream, node, slot), key = seed")},
           {"started", text(c.started)},
           {"finished", text(finished)},
           {"train_seconds", number(c.train_seconds)},
           {"attempts", integer(c.attempts)}}};
}

}  // namespace

results::RunFile assemble(const scenarios::Scenario& s, const Circumstances& c,
                          const std::vector<Candidate>& all,
                          const std::vector<agents::Tuning>& tunings, const sim::Exogenous& x,
                          const std::vector<agents::TrainState>& trainings,
                          const agents::Bound& bound, const Summary& summary,
                          const std::optional<Explained>& explained) {
  const std::string now = now_utc();
  results::RunFile run;
  run.attributes = {{"title", s.settings.name + ", seed " + std::to_string(s.settings.seed)},
                    {"history", now + " " + joined(c.words, " ")},
                    {"date_created", now},
                    {"status", "complete"},
                    {kRunDigest, c.digest}};
  run.groups.push_back(provenance(s, c, now));
  run.groups.push_back(node_group(s.settings.sim, x));
  const agents::Training& training = s.settings.agents.training;
  if (!trainings.empty()) run.groups.push_back(train_group(training, trainings));
  run.groups.push_back(eval_group(all, x, bound));
  if (all.front().trajectory.episodes > 0) {
    run.groups.push_back(trajectory_group(all, s.settings.sim, x));
  }
  if (explained) run.groups.push_back(attention_group(*explained, s.settings.sim.pool));
  if (!trainings.empty()) {
    const auto best = static_cast<std::int64_t>(best_training(training, trainings));
    for (const Candidate& candidate : all)
      if (candidate.training == best)
        run.groups.push_back(policy_group(*candidate.network, s.settings));
  }
  if (!tunings.empty()) run.groups.push_back(tuning_group(tunings));
  std::int64_t env_steps = 0;
  for (const agents::TrainState& t : trainings) env_steps += t.env_steps;
  run.groups.push_back(summary_group(summary, env_steps));
  return run;
}

}  // namespace cra::tools
