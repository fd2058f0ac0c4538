#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "scenarios/curve.h"
#include "scenarios/dump.h"
#include "scenarios/jobs.h"
#include "scenarios/overrides.h"
#include "scenarios/reader.h"
#include "scenarios/report.h"
#include "scenarios/scenario.h"
#include "scenarios/trace.h"
#include "scenarios/yaml.h"

namespace cra::scenarios {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxName = 64;

std::string all_text(const std::vector<Diagnostic>& all) {
  std::string text;
  for (const Diagnostic& d : all) {
    if (!text.empty()) text += '\n';
    text += d.place + ": " + d.text;
    if (!d.source.empty()) text += '\n' + d.source;
  }
  return text;
}

[[noreturn]] void refuse_file(const std::string& path, std::string text) {
  throw ScenarioError({{path, std::move(text), ""}});
}

// The bytes of a scenario. Reads no more than one byte beyond the limit, whatever the file is.
std::string read_file(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) refuse_file(path, "a folder, expected a scenario file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int why = errno;
    const std::string near = why == ENOENT ? near_file(path, ".yaml") : "";
    refuse_file(path, "cannot be read: " + std::generic_category().message(why) +
                          (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?"));
  }
  std::string text(kMaxScenarioBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) refuse_file(path, "cannot be read to its end");
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

// The name becomes a file name, so it is held to letters that are harmless in one.
bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), allowed);
}

// Where to point for a dotted key: at its value, or at the key of the nearest section there is,
// unless --set gave a section whose key is in the file.
Place place_of(const Node& root, const std::string& path) {
  const Node& n = nearest(root, path);
  const bool section = n.kind == Node::Kind::map || n.kind == Node::Kind::sequence;
  const bool at_key = section && !n.key.empty() && n.key_place.source == n.place.source;
  return at_key ? n.key_place : n.place;
}

// "workload.parts[0].rate" as --set takes it: "workload.parts.0.rate".
std::string dotted(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (c != ']') out += c == '[' ? '.' : c;
  }
  return out;
}

// \param names  what a wrong text may have been meant to be
void add_problem(const Problem& p, const Node& root, Report& report,
                 const std::vector<std::string>& names = {}) {
  const std::string path = dotted(p.path);
  const std::string found = nearest(root, path).text;
  const std::string best = did_you_mean(found, names);
  const bool helps = !best.empty() && best != found;  // a name may be right, but there twice
  report.add(place_of(root, path),
             path + " " + p.text + (helps ? "; did you mean " + in_quotes(best) + "?" : ""));
}

void add_problems(const std::vector<Problem>& problems, const Node& root, Report& report) {
  for (const Problem& p : problems) add_problem(p, root, report);
}

void check_name(const Settings& s, const Node& root, Report& report) {
  const Node* n = root.find("name");
  if (n == nullptr || n->kind != Node::Kind::scalar || is_name(s.name)) return;
  report.add(n->place, "name is " + in_quotes(s.name) +
                           ", expected 1 to 64 letters, digits, `.`, `_` or `-`, the first of them "
                           "neither `.` nor `-`");
}

// The path of a log: relative to the scenario file, or, when --set gave it, to the current folder,
// as the shell completes it. In the second case the settings keep the absolute path, because the
// resolved scenario must find the log again.
std::string locate(std::string& file, const Node& key, const std::string& scenario_path) {
  if (key.place.source == 0) {
    return (fs::path(scenario_path).parent_path() / file).lexically_normal().string();
  }
  std::string given = file;
  std::error_code error;
  const fs::path absolute = fs::absolute(file, error);
  if (!error) file = absolute.lexically_normal().string();
  return given;
}

// Faults of a log; `section` is the dotted key of the section that names it.
void add_log_problems(const std::vector<TraceProblem>& problems, const std::string& section,
                      const Node& root, Report& report) {
  for (const TraceProblem& p : problems) {
    if (!p.place.empty()) {
      report.add_elsewhere(p.place, p.text);
      continue;
    }
    const std::string at = section + "." + p.key;
    std::string text = at + " " + p.text;
    if (p.key.find("file") != std::string::npos)
      text += "\n  --set " + at + "=PATH names another place";
    report.add(place_of(root, at), std::move(text));
  }
}

// The pool as it will be, before the whole of the parameters can be resolved: that wants the
// traces, and a trace wants needs and budgets. They stay empty when something is wrong; resolve()
// says what when it is asked again.
TraceContext context_of(const Settings& s) {
  sim::Params bare = s.sim;
  bare.workload.parts = {sim::ConstantPart{}};
  static_cast<void>(sim::resolve(bare, static_cast<std::uint64_t>(s.seed)));
  TraceContext context{s.sim.pool.nodes,
                       s.sim.workload.slot_seconds,
                       std::move(bare.pool.needs),
                       std::move(bare.pool.budgets),
                       {}};
  for (const sim::Resource& r : s.sim.pool.resources) context.resources.push_back(r.name);
  return context;
}

// Hands the needs of a trace on to the resources.
void give_needs(const sim::TracePart& part, const std::string& key, const Node& root,
                sim::Pool& pool, Report& report) {
  for (std::size_t i = 0; i < part.needs.size(); ++i) {
    for (std::size_t k = 0; k < pool.resources.size(); ++k) {
      sim::Resource& r = pool.resources[k];
      if (r.name != part.need_columns[i].resource) continue;
      const double* only = std::get_if<double>(&r.need.given);
      const std::string at = "pool.resources." + std::to_string(k);
      if (!r.need_of_trace.empty() || only == nullptr || *only != 1) {
        report.add(place_of(root, at + ".need"), at + ".need is given twice: " + key + ".needs." +
                                                     std::to_string(i) + " reads it from the log");
      }
      r.need_of_trace = part.needs[i];
    }
  }
}

void read_traces(Settings& s, const std::string& path, const Node& root, Report& report) {
  const TraceContext context = context_of(s);
  for (std::size_t i = 0; i < s.sim.workload.parts.size(); ++i) {
    auto* part = std::get_if<sim::TracePart>(&s.sim.workload.parts[i]);
    if (part == nullptr) continue;
    const std::string key = "workload.parts." + std::to_string(i);
    const std::string log = locate(part->file, nearest(root, key + ".file"), path);
    add_log_problems(read_trace(log, context, *part), key, root, report);
    give_needs(*part, key, root, s.sim.pool, report);
  }
}

void read_curves(sim::CurveError& error, const std::string& path, const Node& root,
                 Report& report) {
  for (std::size_t i = 0; i < error.curves.size(); ++i) {
    sim::CurveSource& source = error.curves[i];
    const std::string key = "progress.error.curves." + std::to_string(i);
    const std::string file = locate(source.file, nearest(root, key + ".file"), path);
    add_log_problems(
        read_curve(file, source.progress_column, source.value_column, source.x, source.error), key,
        root, report);
    for (double& x : source.x) x *= source.progress_scale;
    for (double& y : source.error) {
      y *= source.value_scale;
      if (source.value == sim::CurveValue::accuracy) y = 1 - y;
    }
  }
}

void read_job_lists(Settings& s, const std::string& path, const Node& root, Report& report) {
  auto* jobs = std::get_if<sim::JobList>(&s.sim.progress.jobs);
  if (jobs == nullptr) return;
  const auto read = [&](std::vector<std::string>& files, const std::string& name,
                        std::vector<sim::JobLog>& logs) {
    logs.assign(files.size(), {});
    for (std::size_t i = 0; i < files.size(); ++i) {
      const std::string key = name + "." + std::to_string(i);
      const std::string file = locate(files[i], nearest(root, "progress.jobs." + key), path);
      std::vector<TraceProblem> problems =
          read_jobs(file, jobs->time_column, jobs->class_column, s.sim.pool,
                    s.sim.workload.slot_seconds, logs[i]);
      for (TraceProblem& p : problems)
        if (p.key == "file") p.key = key;
      add_log_problems(problems, "progress.jobs", root, report);
    }
  };
  read(jobs->train_files, "train_files", jobs->train);
  read(jobs->test_files, "test_files", jobs->test);
}

// What no single key can tell; only for settings that were read without an error.
void check_whole(Settings& s, const std::string& path, const Node& root, Report& report) {
  read_traces(s, path, root, report);
  read_job_lists(s, path, root, report);
  if (auto* curves = std::get_if<sim::CurveError>(&s.sim.progress.error))
    read_curves(*curves, path, root, report);
  const bool files_are_read = report.empty();
  std::vector<Problem> of_sim = sim::resolve(s.sim, static_cast<std::uint64_t>(s.seed));
  // that a curve has no points is known when its file could not be read
  std::erase_if(of_sim, [&](const Problem& p) {
    return !files_are_read && p.path.starts_with("progress.error.curves") &&
           p.text == "gave no points";
  });
  add_problems(of_sim, root, report);
  const bool pool_is_well = report.empty();
  add_problems(attention::check(s.attention), root, report);
  std::vector<Problem> problems = agents::check(s.agents, s.sim);
  // how many evaluation windows there are is not known of a trace that could not be read
  std::erase_if(problems,
                [&](const Problem& p) { return !pool_is_well && p.path == "evaluation.episodes"; });
  for (const Problem& p : problems) {
    std::vector<std::string> names = agents::baseline_names();
    if (p.path == "agent.base") names.emplace_back("best");
    add_problem(p, root, report, names);
  }
}

}  // namespace

ScenarioError::ScenarioError(std::vector<Diagnostic> all)
    : InputError(all_text(all)), all_(std::move(all)) {}

Scenario parse(const std::string& text, const std::string& path,
               const std::vector<std::string>& overrides) {
  Scenario out;
  out.path = path;
  out.text = text;
  out.overrides = overrides;
  Report report;
  const auto stop_on_errors = [&] {
    if (!report.empty()) throw ScenarioError(report.diagnostics(path, text, overrides));
  };

  std::optional<Node> root = parse_yaml(text, 0, report);
  if (!root || root->kind == Node::Kind::null) {
    if (report.empty()) report.add({}, "empty, expected a scenario");
    stop_on_errors();
  }
  for (std::size_t i = 0; i < overrides.size() && root->kind == Node::Kind::map; ++i) {
    apply_override(*root, overrides[i], static_cast<int>(i) + 1, report);
  }
  Reader::read(*root, "", report, out.settings);
  check_name(out.settings, *root, report);
  stop_on_errors();
  check_whole(out.settings, path, *root, report);
  stop_on_errors();
  out.resolved = dump(out.settings);
  return out;
}

Scenario load(const std::string& path, const std::vector<std::string>& overrides) {
  return parse(read_file(path), path, overrides);
}

}  // namespace cra::scenarios
