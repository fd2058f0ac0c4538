// tools/report.h (internal): a result file, or several, as one page of HTML that needs nothing
// else: no network, no program, no script to be read. The order is from answer to evidence to
// detail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "results/results.h"
#include "tools/svg.h"

namespace cra::tools {

/// One policy of a result, its trainings joined; NaN stands for "does not apply", as in /summary.
struct PolicyEntry {
  std::string name;
  std::string kind;   ///< learned, heuristic, expert, planner, oracle or bound
  std::string style;  ///< CSS class of its colour: learned, best, or the kind
  double cost = 0, se = 0;
  double difference = 0, low = 0, high = 0;  ///< to the best heuristic, with its 95 % interval
  double won = 0, gap_closed = 0;
  std::vector<std::size_t>
      rows;               ///< of /eval and /trajectory, one for each training; none of a bound
  std::size_t shown = 0;  ///< of these the one of the training that is stored
  std::vector<double> episode_cost;  ///< [I] mean over trainings
};

/// A result on the page.
struct Case {
  std::string path;         ///< as given
  std::string label;        ///< short, and different from those of the others on the page
  std::string description;  ///< of the scenario, "" when it has none
  std::string scenario;     ///< name
  std::int64_t nodes = 0, slots = 0, episodes = 0, seed = 0;
  results::RunFile run;
  std::vector<PolicyEntry> entrants;  ///< by rising cost, the bound among them
  std::string best, learned;          ///< names; may be ""
  int decimals = 4;                   ///< of costs

  const PolicyEntry* find(const std::string& name) const;  ///< nullptr when it is not there
  /// Those whose slots are drawn, at most three: learned, best heuristic, and the best of another
  /// kind. Empty without /trajectory.
  std::vector<const PolicyEntry*> drawn() const;
  const results::GroupData* group(const std::string& name) const { return run.group(name); }
};

/// Reads and checks a result. \throws InputError  as results::check_run
Case read_case(const std::string& path);
/// The same of a run in memory. \param path  what it is called
Case case_of(results::RunFile run, const std::string& path);
/// Gives every case a label of its own.
void label_cases(std::vector<Case>& all);
/// Whether costs of all cases can be read off one scale: all are of the same scenario.
bool comparable(std::span<const Case> all);

/// The page. Equal cases give equal bytes.
std::string report_html(std::vector<Case> all);

// ---- its parts, each HTML; "" when there is nothing to show ----------------------------

std::string answer_part(std::span<const Case> all);
std::string table_part(std::span<const Case> all);
/// Stacked cost terms of a case, on one scale with the others where they are comparable.
std::string terms_figure(std::span<const Case> all, const Case& c);
std::string learning_part(std::span<const Case> all);
std::string episodes_part(std::span<const Case> all);
std::string slots_part(std::span<const Case> all);
std::string attention_part(std::span<const Case> all);
std::string provenance_part(std::span<const Case> all);
/// The numbers behind the figures, as JSON that can stand in a script element.
std::string data_json(std::span<const Case> all);
const char* report_css();
const char* report_script();

// ---- what the parts share --------------------------------------------------------------

/// Width of a figure, px: that of a phone, so that its text keeps its size there; two stand side by
/// side on a wide screen.
inline constexpr double kFigureWidth = 480;

/// Escaped, with no line break before a percent sign.
std::string prose(const std::string& text);
/// A figure with its heading and caption, both plain text.
std::string figure(const std::string& heading, const Svg& svg, const std::string& caption);
/// Figures of several kinds, each for every case: of one case in one grid, of several with a grid
/// for each kind, so that equal figures stand side by side. \param kinds  HTML of the figures of
/// every kind
std::string figures(std::span<const Case> all, const std::vector<std::string>& kinds);
/// A place where a figure would be, and why there is none.
std::string no_figure(const std::string& heading, const std::string& why);
/// \param content  figures  \returns "" without content
std::string section(const std::string& id, const std::string& heading, const std::string& lead,
                    const std::string& content);
/// `heading`, with the label of the case in front when there are several.
std::string heading_of(std::span<const Case> all, const Case& c, const std::string& heading);

/// Policies that a chart with a row for each has room for, by rising cost: when there are more than
/// `most`, those that are neither learned nor best nor the only one of their kind go, the costliest
/// first. \param bound  with it
std::vector<const PolicyEntry*> listed(const Case& c, std::size_t most, bool bound);
/// "12 of 20 policies; ..." for a caption, or "".
std::string left_out(const Case& c, std::size_t listed);

/// Left margin for the names of rows, px, and how many characters of a name fit into it.
double names_width(const std::vector<std::string>& names, std::size_t most_characters);

/// A part of an array of a group: `count` numbers from `first` on.
std::span<const double> part(const results::GroupData& g, const std::string& name,
                             std::size_t first, std::size_t count);
const std::vector<std::string>& texts(const results::GroupData& g, const std::string& name);
const std::vector<std::int64_t>& whole(const results::GroupData& g, const std::string& name);
const std::vector<double>& doubles(const results::GroupData& g, const std::string& name);

/// "1 episode", "128 episodes".
std::string counted(std::size_t n, const std::string& what);

}  // namespace cra::tools
