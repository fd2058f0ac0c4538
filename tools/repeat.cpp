#include "tools/repeat.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "agents/agents.h"
#include "tools/assemble.h"
#include "tools/columns.h"
#include "tools/provenance.h"
#include "tools/recall.h"
#include "tools/store.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;

std::string key_of(const std::string& override_) {
  return override_.substr(0, override_.find('='));
}

/// Whether a key says where a log, a curve or a list of jobs is, and nothing else.
bool names_a_file(const std::string& key) {
  std::string last = key.substr(key.rfind('.') + 1);
  if (last.find_first_not_of("0123456789") == std::string::npos) {
    const std::string list = key.substr(0, key.size() - std::min(key.size(), last.size() + 1));
    last = list.substr(list.rfind('.') + 1);
  }
  return last == "file" || last == "train_files" || last == "test_files";
}

/// The keys that say where logs, curves and lists of jobs are.
Texts file_keys(const sim::Params& p) {
  Texts keys;
  for (std::size_t i = 0; i < p.workload.parts.size(); ++i)
    if (std::holds_alternative<sim::TracePart>(p.workload.parts[i]))
      keys.push_back("workload.parts." + std::to_string(i) + ".file");
  if (const auto* curves = std::get_if<sim::CurveError>(&p.progress.error))
    for (std::size_t i = 0; i < curves->curves.size(); ++i)
      keys.push_back("progress.error.curves." + std::to_string(i) + ".file");
  if (const auto* jobs = std::get_if<sim::JobList>(&p.progress.jobs)) {
    for (std::size_t i = 0; i < jobs->train_files.size(); ++i)
      keys.push_back("progress.jobs.train_files." + std::to_string(i));
    for (std::size_t i = 0; i < jobs->test_files.size(); ++i)
      keys.push_back("progress.jobs.test_files." + std::to_string(i));
  }
  return keys;
}

/// The value of a key in the resolved scenario, or of the element of a list that is written in one
/// line; "" when there is none.
std::string resolved_value(const std::string& resolved, const std::string& key) {
  std::string whole = value_in(resolved, key);
  const std::size_t dot = key.rfind('.');
  if (!whole.empty() || dot == std::string::npos) return whole;
  const std::string list = value_in(resolved, key.substr(0, dot)), index = key.substr(dot + 1);
  if (list.size() < 2 || list[0] != '[') return "";
  Texts elements = split_values(list.substr(1, list.size() - 2));
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (std::to_string(i) == index) return elements[i].substr(elements[i].find_first_not_of(' '));
  return "";
}

/// The recorded overrides. A path among them began at the folder of that call; the resolved
/// scenario has kept all of it.
Texts overrides_of(const results::RunFile& run, const std::string& resolved,
                   const std::string& path) {
  Texts all = recorded_overrides(run, path);
  for (std::string& word : all) {
    const std::string value = resolved_value(resolved, key_of(word));
    if (names_a_file(key_of(word)) && !value.empty()) word = key_of(word) + "=" + value;
  }
  return all;
}

/// What is compared before the work: nothing of it decides the numbers, all of it may change bits.
void warn_of_circumstances(const Original& o) {
  const auto there = [&](const char* name) {
    return results::values<std::string>(group_of(o.run, "provenance", o.path), name).at(0);
  };
  struct Fact {
    const char* what;
    std::string there, here;
  };
  const std::array<Fact, 6> facts{{{"version", there("version"), version()},
                                   {"commit", there("git_commit"), commit()},
                                   {"compiler", there("compiler"), compiler()},
                                   {"compiler flags", there("build_flags"), build_flags()},
                                   {"processor", there("cpu"), processor()},
                                   {"libraries", there("libraries"), json_of(libraries())}}};
  std::string unlike;
  for (const Fact& f : facts)
    if (f.there != f.here)
      unlike += std::string("\n  ") + f.what + ": " + f.there + " there, " + f.here + " here";
  if (!unlike.empty())
    warn("equal bits are promised for one version, compiler and class of processor; " + o.path +
         " was made with others:" + unlike);
}

/// Whether the logs and curves of a scenario hold what they held then; where they lie now does not
/// matter. True when the result records no digest.
bool as_recorded(scenarios::Scenario s, const std::string& resolved, const std::string& digest) {
  s.resolved = resolved;
  return digest.empty() || run_digest(s) == digest;
}

/// The recorded scenario, its logs read again. A path in it begins at the scenario's own folder,
/// and that where the program was started: the path of the scenario is tried from here and then
/// from the folders above the result, the nearest first, until all files are there and as they
/// were. \throws ScenarioError  of the first try, when there is no such folder
scenarios::Scenario read_again(const results::RunFile& run, const std::string& result,
                               const Texts& overrides) {
  namespace fs = std::filesystem;
  const auto text = [&](const char* name) {
    return results::values<std::string>(group_of(run, "provenance", result), name).at(0);
  };
  const std::string yaml = text("scenario_yaml"), path = text("scenario_path"),
                    resolved = text("resolved_yaml"), digest = attribute(run, kRunDigest);
  std::optional<scenarios::Scenario> first;
  std::optional<scenarios::ScenarioError> wrong;
  try {
    first = scenarios::parse(yaml, path, overrides);
    if (as_recorded(*first, resolved, digest)) return *first;
  } catch (const scenarios::ScenarioError& e) {
    wrong = e;
  }
  std::error_code error;
  const fs::path here = fs::current_path(error);
  fs::path folder = fs::weakly_canonical(result, error).parent_path();
  const bool seek = !error && fs::path(path).is_relative();
  for (bool last = !seek; !last; folder = folder.parent_path()) {
    last = !folder.has_relative_path();
    try {
      const std::string there = (folder / path).lexically_proximate(here).string();
      scenarios::Scenario s = scenarios::parse(yaml, there, overrides);
      if (as_recorded(s, resolved, digest)) return s;
    } catch (const scenarios::ScenarioError&) {
      continue;  // not there either: what is told is the first try
    }
  }
  if (wrong) throw scenarios::ScenarioError(*wrong);
  return *first;
}

/// Says no when a log or a curve changed; says so when that cannot be known.
void check_files(const Original& o, const std::string& resolved) {
  const Texts keys = file_keys(o.scenario.settings.sim);
  const std::string digest = attribute(o.run, kRunDigest);
  if (digest.empty() && !keys.empty())
    warn(o.path + " records no digest of its logs and curves: whether they changed is not known");
  if (as_recorded(o.scenario, resolved, digest)) return;
  if (keys.empty()) {
    warn(o.path + ": its run_digest is not that of its own scenario");
    return;
  }
  std::string where;
  for (const std::string& key : keys) where += "\n  --set " + key + "=PATH names another place";
  throw InputError(o.path +
                   ": a log or a curve changed since that run: the digest of their contents is "
                   "another" +
                   where);
}

void warn_of_scenario(const Original& o, const std::string& resolved) {
  std::string text;
  for (const std::string& d : differences(resolved, o.scenario.resolved, 20))
    if (!names_a_file(d.substr(0, d.find(' ')))) text += "\n  " + d;
  if (!text.empty()) warn("this program understands the scenario otherwise:" + text);
}

/// What an evaluation compared; baselines can be tuned again, policies of other files are not here.
Texts baselines_in(const results::RunFile& run, const std::string& path) {
  const Texts& names = results::values<std::string>(group_of(run, "eval", path), "policy");
  const Texts known = agents::baseline_names();
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw InputError(
        path + ": compares \"" + name +
        "\", a policy of another file, which is not in this one; it was made by\n  " +
        results::values<std::string>(group_of(run, "provenance", path), "command_line").at(0));
  }
  return names;
}

Json json_of(const Original& o, const std::vector<Likeness>& all, bool identical) {
  Json groups = Json::array();
  for (const Likeness& l : all) {
    Json g{{"group", l.group}, {"identical", l.identical}, {"digest", l.digest}};
    if (!l.identical)
      g["first_difference"] = {{"dataset", l.difference.dataset},
                               {"where", l.difference.where},
                               {"there", l.difference.there},
                               {"here", l.difference.here}};
    groups.push_back(std::move(g));
  }
  return {{"from", o.path}, {"identical", identical}, {"groups", groups}};
}

std::string likeness_text(const Original& o, const std::vector<Likeness>& all, bool identical) {
  std::vector<Texts> rows;
  for (const Likeness& l : all) {
    const Difference& d = l.difference;
    rows.push_back({"/" + l.group, " identical"});
    if (!l.identical)
      rows.back()[1] = " differs, first " + d.dataset +
                       (d.where.empty() ? "" : " [" + d.where + "]") + ": " + d.there + " there, " +
                       d.here + " here";
  }
  return "\nbeside " + o.path + ":\n" + table(rows, "ll") +
         (identical ? "The run is repeated: every number is the same, bit for bit.\n"
                    : "The run is not repeated: it ends with other numbers.\n");
}

}  // namespace

Original original_of(const Arguments& a) {
  for (const std::string& word : a.set)
    if (!names_a_file(key_of(word)))
      throw UsageError(
          "--from repeats a run as it was: --set may only say where a log or a curve "
          "is, not set " +
          key_of(word));
  Original o{a.from, results::read_run(a.from), {}, false, {}};
  const results::GroupData& g = group_of(o.run, "provenance", o.path);
  const auto text = [&](const char* name) { return results::values<std::string>(g, name).at(0); };
  o.trained = o.run.group("train") != nullptr;
  if (!o.trained) o.baselines = baselines_in(o.run, o.path);
  const std::string resolved = text("resolved_yaml");
  Texts overrides = overrides_of(o.run, resolved, o.path);
  overrides.insert(overrides.end(), a.set.begin(), a.set.end());
  o.scenario = read_again(o.run, o.path, overrides);
  warn_of_circumstances(o);
  warn_of_scenario(o, resolved);
  check_files(o, resolved);
  return o;
}

void spare_original(const Original& o, const std::string& result) {
  std::error_code ignored;
  if (std::filesystem::equivalent(o.path, result, ignored))
    throw UsageError(result + " is the result to repeat: --out names another file");
}

int tell_likeness(const Arguments& a, const Original& o, const std::string& shown,
                  const std::string& result) {
  const std::vector<Likeness> all = compare_groups(o.run, results::read_run(result));
  const bool identical =
      std::all_of(all.begin(), all.end(), [](const Likeness& l) { return l.identical; });
  if (a.json) {
    Json object = Json::parse(shown);
    object["repeat"] = json_of(o, all, identical);
    print(object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(shown + likeness_text(o, all, identical));
  }
  return identical ? 0 : 1;
}

}  // namespace cra::tools
