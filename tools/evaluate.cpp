// cra evaluate: saved policies and heuristics on the test episodes of a scenario, no training.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "tools/assemble.h"
#include "tools/commands.h"
#include "tools/contest.h"
#include "tools/outputs.h"
#include "tools/plan.h"
#include "tools/provenance.h"
#include "tools/recall.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

/// The words of --policy, sorted out.
struct Wanted {
  std::vector<std::string> baselines;  ///< by name
  std::vector<std::string> files;
};

/// A word is a file when there is one, or when it can be nothing else.
bool names_file(const std::string& word, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), word) != known.end()) return false;
  return exists(word) || word.find('/') != std::string::npos ||
         (word.size() > 3 && word.substr(word.size() - 3) == ".h5");
}

Wanted sort_out(const std::vector<std::string>& words) {
  const std::vector<std::string> known = agents::baseline_names();
  Wanted w;
  for (const std::string& word : words) {
    std::vector<std::string>& list = names_file(word, known) ? w.files : w.baselines;
    if (std::find(list.begin(), list.end(), word) != list.end()) {
      throw UsageError("--policy names \"" + word + "\" twice");
    }
    list.push_back(word);
  }
  for (const std::string& name : w.baselines) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = scenarios::did_you_mean(name, known);
    std::string text = "--policy is \"" + name + "\", neither a file nor a baseline";
    if (!near.empty()) text += "; did you mean \"" + near + "\"?";
    text += "\n  known baselines:";
    for (const std::string& k : known) text += (&k == known.data() ? " " : ", ") + k;
    throw UsageError(text);
  }
  return w;
}

/// "results/runs/traffic-s7.h5" is called traffic-s7; by its path when that name means another.
std::string label_of(const std::string& file, const std::vector<Candidate>& taken) {
  const std::string stem = std::filesystem::path(file).stem().string();
  const std::vector<std::string> known = agents::baseline_names();
  const bool free =
      stem != kClairvoyant && std::find(known.begin(), known.end(), stem) == known.end() &&
      std::none_of(taken.begin(), taken.end(), [&](const Candidate& c) { return c.name == stem; });
  return free ? stem : file;
}

}  // namespace

int evaluate(const Arguments& a) {
  check_out(a);
  const Wanted wanted = sort_out(a.policies);
  const scenarios::Scenario scenario = scenarios::load(a.files.at(0), a.set);
  const scenarios::Settings& s = scenario.settings;
  for (const std::string& name : wanted.baselines)
    if (const std::string why = agents::baseline_misfit(name, s.sim); !why.empty())
      throw UsageError("--policy names \"" + name + "\", which " + why);
  const Outputs out = name_outputs(a, s.name + "-s" + std::to_string(s.seed) + "-evaluate");
  if (a.dry_run) {
    print(scenario.resolved);
    tell(plan_text(s, false, wanted.files.size() + wanted.baselines.size(), out.result));
    return 0;
  }
  prepare_folder(a, out);
  const results::Lock lock(out.result);
  refuse_existing(a, out);

  Circumstances about{a.words, "", now_utc()};
  about.threads = set_threads(a);
  about.device = a.device == Device::cuda ? "cuda" : "cpu";
  const agents::EngineFactory engine = choose_engine(a, s);
  std::vector<Candidate> all;
  for (const std::string& file : wanted.files) {
    agents::Network network = network_of(results::read_run(file), file, s.sim);
    all.push_back(learned(label_of(file, all), std::move(network), s.sim, engine));
  }
  Progress progress(a.quiet);
  const std::vector<agents::Tuning> tunings = tune_all(wanted.baselines, s, progress);
  for (const agents::Tuning& t : tunings) all.push_back(baseline(t, s.sim));
  const sim::Exogenous x = evaluation_episodes(s);
  meet(all, s, x, progress);
  const agents::Bound bound = bound_episodes(a, s, progress);
  check_against(bound, all);
  // Of several policies none is the one to explain; saved ones come first.
  const std::optional<Explained> explained =
      explain_attention(wanted.files.size() == 1 ? all.data() : nullptr, s, x, engine, progress);
  progress.clear();
  const Summary summary = compare(all, s, bound);
  const results::RunFile file =
      assemble(scenario, about, all, tunings, x, {}, bound, summary, explained);
  results::write_file(out.result, results::encode(file, s.output.compression));
  const Headline headline = headline_of(file, s, out.result);
  print(a.json ? json_text(summary, headline) : table_text(summary, headline));
  return 0;
}

}  // namespace cra::tools
