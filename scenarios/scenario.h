// scenarios/scenario.h: a scenario file becomes the Params of the simulator, the attention and
// the agents. Strict: everything that is not understood is an error with file:line:column, and
// all errors are reported at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "attention/attention.h"
#include "sim/base.h"
#include "sim/sim.h"

namespace cra::scenarios {

struct Output {
  int trajectories = 2;
  int compression = 1;
  bool observations = false;
  std::int64_t segment_mib = 256;
};
template <class V>
void fields(V& v, Output& o) {
  v("trajectories", o.trajectories, Range{0, 1000}, "",
    "evaluation episodes stored slot by slot for each policy");
  v("compression", o.compression, Range{0, 9}, "",
    "gzip level of the arrays in the result file; 0 = none");
  v("observations", o.observations,
    "also store the features that each policy saw in them; may double the file");
  v("segment_mib", o.segment_mib, Range{0, 2048}, "MiB",
    "trajectories of more than this go to files of at most this beside the result; 0 = never");
}

/// The bound on a file of trajectories in bytes; 0 = none.
inline std::size_t segment_bytes(const Output& o) {
  return static_cast<std::size_t>(o.segment_mib) << 20;
}

/// The parameters a scenario file sets.
struct Settings {
  int version = 1;
  std::string name;
  std::string description;
  std::int64_t seed = 1;
  sim::Params sim;
  attention::Params attention;
  agents::Params agents;
  Output output;
};
template <class V>
void fields(V& v, Settings& s) {
  v(required("version"), s.version, Range{1, 1}, "", "version of the scenario format");
  v(required("name"), s.name, "short name: letters, digits, `.`, `_`, `-`; names the result file");
  v("description", s.description, "one paragraph: what is modelled, and why a heuristic may lose");
  v("seed", s.seed, Range{0, 9007199254740992.0}, "", "root of all random numbers");
  fields(v, s.sim);
  v("attention", s.attention, "the encoder over nodes");
  fields(v, s.agents);
  v("output", s.output, "what the result file holds beyond the summary");
}

/// A loaded scenario: settings, the text they came from, and their resolved form.
struct Scenario {
  Settings settings;
  std::string path;                    ///< as given
  std::string text;                    ///< the file's bytes
  std::vector<std::string> overrides;  ///< --set arguments, as given
  std::string resolved;                ///< canonical YAML of every key, defaults included
};

/// One thing wrong, with its place.
struct Diagnostic {
  std::string place;   ///< "file:line:column", or "--set key=value"
  std::string text;    ///< what was found; what would be right
  std::string source;  ///< the source line with a caret below, two lines; may be empty
};

/// All that is wrong with a scenario; what() is the text of every diagnostic, in order of place.
class ScenarioError : public InputError {
 public:
  explicit ScenarioError(std::vector<Diagnostic> all);
  const std::vector<Diagnostic>& diagnostics() const { return all_; }

 private:
  std::vector<Diagnostic> all_;
};

/// Reads, overrides, checks and resolves a scenario, traces included.
/// \param overrides  "key.path=value", applied in order; a path of a log in one of them starts at
///                   the current folder, in the file at the file's own
/// \throws ScenarioError  with everything that is wrong (exit 3)
Scenario load(const std::string& path, const std::vector<std::string>& overrides);
/// The same from text; `path` names it in messages and anchors relative paths.
Scenario parse(const std::string& text, const std::string& path,
               const std::vector<std::string>& overrides);

/// A key that two resolved scenarios do not share.
struct Difference {
  std::string path;  ///< e.g. "workload.parts.1.height", as for an override
  std::string a, b;  ///< values as text, "{...}" or "[...]" when they are deeper; "" when absent
};
/// The deepest keys in which two scenarios in resolved form differ, in the order of `a`, then those
/// of `b` alone. \throws InputError  when a text is no YAML that a scenario may be written in
std::vector<Difference> differences(const std::string& a, const std::string& b);

/// One key as `cra keys` lists it.
struct KeyInfo {
  std::string path;  ///< e.g. "workload.parts[cascade].height"
  std::string type;  ///< number, integer, boolean, text, choice, per-node, kind, list, section
  std::string unit;
  std::string range;     ///< "(0, 1]", "" when any
  std::string default_;  ///< as YAML; "required" when there is none
  std::string doc;
};
std::vector<KeyInfo> keys();
/// The same as a Markdown table, and as JSON Schema (draft 7).
std::string keys_markdown();
std::string keys_json_schema();

/// The closest of `known` when at most two edits (Damerau-Levenshtein) away, case aside, else "".
/// Serves flags, subcommands, overrides, keys and enum values alike.
std::string did_you_mean(const std::string& found, const std::vector<std::string>& known);
/// The file that a path without one was meant to name: the closest name in its folder, as a path.
/// \param ending  of the names that count, ".yaml"; a path without it is taken to lack it. "": all
std::string near_file(const std::string& path, const std::string& ending);

}  // namespace cra::scenarios
