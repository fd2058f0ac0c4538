// cra evaluate: saved policies and heuristics on the test episodes of scenarios, no training.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "tools/assemble.h"
#include "tools/columns.h"
#include "tools/commands.h"
#include "tools/contest.h"
#include "tools/matrix.h"
#include "tools/outputs.h"
#include "tools/plan.h"
#include "tools/provenance.h"
#include "tools/recall.h"
#include "tools/report_command.h"
#include "tools/store.h"
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

/// What every column needs of the files after --policy.
struct Stored {
  std::string file;
  results::RunFile run;  ///< /policy and /node alone
};

std::vector<Stored> read_policies(const std::vector<std::string>& files) {
  std::vector<Stored> all;
  for (const std::string& file : files) {
    results::RunFile run = results::read_run(file, results::Segments::leave);
    if (run.group("policy") == nullptr)
      throw InputError(file + ": there is no learned policy in it (no group /policy)");
    std::erase_if(run.groups, [](const results::GroupData& g) {
      return g.name != "policy" && g.name != "node";
    });
    all.push_back({file, std::move(run)});
  }
  return all;
}

/// Says no before the work when a policy cannot run in a column.
void check_fit(const Column& c, const Wanted& wanted, const std::vector<Stored>& stored,
               bool several) {
  const std::string where = several ? "in " + c.name() + ": " : "";
  const sim::Params& p = c.scenario.settings.sim;
  for (const std::string& name : wanted.baselines)
    if (const std::string why = agents::baseline_misfit(name, p); !why.empty())
      throw UsageError(where + "--policy names \"" + name + "\", which " + why);
  try {
    for (const Stored& s : stored) network_of(s.run, s.file, p);
  } catch (const InputError& e) {
    throw InputError(where + e.what());
  }
}

/// A column's comparison, from the tuning to its result file.
ColumnResult evaluate_column(const Arguments& a, const Column& c, const Wanted& wanted,
                             const std::vector<Stored>& stored, const Outputs& out,
                             Progress& progress) {
  const scenarios::Settings& s = c.scenario.settings;
  Circumstances about{a.words, run_digest(c.scenario), now_utc()};
  about.threads = set_threads(a);
  const agents::EngineFactory engine = choose_engine(a, s);
  about.device = device_text(a);  // now that it is known to be there
  std::vector<Candidate> all;
  for (const Stored& from : stored)
    all.push_back(
        learned(label_of(from.file, all), network_of(from.run, from.file, s.sim), s.sim, engine));
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
      assemble(c.scenario, about, all, tunings, x, {}, bound, summary, explained);
  results::write_run(out.result, file, s.output.compression, scenarios::segment_bytes(s.output));
  if (!out.page.empty()) write_page(file, out.result, out.page);
  return {c.name(), c.title, c.file, c.varied, summary, headline_of(file, s, out.result)};
}

/// --out names the result itself, or with several columns what their names begin with.
Outputs outputs_of(const Arguments& a, const Column& c, bool several) {
  Arguments named = a;
  if (several && !a.out.empty()) named.out.insert(a.out.size() - 3, "-" + c.stem);
  check_out(named);
  return name_outputs(named, c.stem + "-evaluate");
}

/// One column, as text or with --json as an object.
std::string shown(const Arguments& a, const ColumnResult& r) {
  return a.json ? json_text(r.summary, r.headline) : table_text(r.summary, r.headline);
}

}  // namespace

int evaluate_again(const Arguments& a, const Original& original) {
  const scenarios::Settings& s = original.scenario.settings;
  const Outputs out = name_outputs(a, s.name + "-s" + std::to_string(s.seed) + "-repeat");
  spare_original(original, out.result);
  if (a.resume) throw UsageError("--resume continues a training, and there is none in " + a.from);
  if (a.dry_run) {
    print(original.scenario.resolved);
    tell(plan_text(s, false, original.baselines.size(), out.result));
    return 0;
  }
  prepare_folder(a, out);
  const results::Lock lock(out.result);
  refuse_existing(a, out);
  Progress progress(a.quiet);
  const Column column{original.scenario.path, {}, {s.name}, "", original.scenario};
  const ColumnResult result =
      evaluate_column(a, column, {original.baselines, {}}, {}, out, progress);
  return tell_likeness(a, original, shown(a, result), out.result);
}

int evaluate(const Arguments& a) {
  check_out(a);
  const Wanted wanted = sort_out(a.policies);
  const std::vector<Column> columns = columns_of(a);
  const bool several = columns.size() > 1;
  const std::vector<Stored> stored = read_policies(wanted.files);
  std::vector<Outputs> outputs;
  for (const Column& c : columns) {
    check_fit(c, wanted, stored, several);
    outputs.push_back(outputs_of(a, c, several));
  }
  if (a.dry_run) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      print((several ? (i > 0 ? "---\n# " : "# ") + columns[i].name() + "\n" : std::string()) +
            columns[i].scenario.resolved);
      tell(plan_text(columns[i].scenario.settings, false,
                     wanted.files.size() + wanted.baselines.size(), outputs[i].result));
    }
    return 0;
  }
  std::vector<std::unique_ptr<results::Lock>> locks;
  for (const Outputs& out : outputs) {
    prepare_folder(a, out);
    locks.push_back(std::make_unique<results::Lock>(out.result));
    refuse_existing(a, out);
  }
  Progress progress(a.quiet);
  std::vector<ColumnResult> all;
  for (std::size_t i = 0; i < columns.size(); ++i)
    all.push_back(evaluate_column(a, columns[i], wanted, stored, outputs[i], progress));
  const ColumnResult& first = all.front();
  if (several) {
    print(a.json ? matrix_json(all) : matrix_text(all));
  } else {
    print(shown(a, first));
  }
  return 0;
}

}  // namespace cra::tools
