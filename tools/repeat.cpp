#include "tools/repeat.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
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

bool reads_files(const sim::Params& p) {
  const auto& parts = p.workload.parts;
  return std::any_of(parts.begin(), parts.end(),
                     [](const sim::WorkloadPart& part) {
                       return std::holds_alternative<sim::TracePart>(part);
                     }) ||
         std::holds_alternative<sim::CurveError>(p.progress.error) ||
         std::holds_alternative<sim::JobList>(p.progress.jobs);
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

/// Says no when a log or a curve changed; says so when that cannot be known.
void check_files(const Original& o, const std::string& resolved) {
  const bool any = reads_files(o.scenario.settings.sim);
  if (!o.trained) {
    if (any)
      warn(o.path + " records no digest of its logs and curves: whether they changed is not known");
    return;
  }
  // Where a file lies now does not matter: only its contents are compared.
  scenarios::Scenario as_there = o.scenario;
  as_there.resolved = resolved;
  if (run_digest(as_there) == attribute(o.run, kRunDigest)) return;
  if (!any) {
    warn(o.path + ": its run_digest is not that of its own scenario");
    return;
  }
  throw InputError(o.path +
                   ": a log or a curve changed since that run: the digest of their contents is "
                   "another\n  --set KEY=PATH names another place of one");
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
  o.trained = !attribute(o.run, kRunDigest).empty();
  if (!o.trained) o.baselines = baselines_in(o.run, o.path);
  const std::string resolved = text("resolved_yaml");
  Texts overrides = overrides_of(o.run, resolved, o.path);
  overrides.insert(overrides.end(), a.set.begin(), a.set.end());
  o.scenario = scenarios::parse(text("scenario_yaml"), text("scenario_path"), overrides);
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
