// tools/columns.h: the scenarios that `cra evaluate` compares policies on, one column each.
#pragma once

#include <string>
#include <vector>

#include "scenarios/scenario.h"
#include "tools/arguments.h"

namespace cra::tools {

/// A scenario, as it is or with some keys at one of the values of --vary.
struct Column {
  std::string file;
  std::vector<std::string> varied;  ///< key.path=value, in the order of the command line
  std::vector<std::string> title;   ///< [1 + varied] short: name of the scenario, "level=easy"
  std::string stem;  ///< of its result file, unlike all others: "traffic-s1-level-easy"
  scenarios::Scenario scenario;
  /// The title in one word, unlike all others: "traffic level=easy".
  std::string name() const;
};

/// "a,[b,c],{d: e}" cut at the commas outside brackets, braces and quotes.
std::vector<std::string> split_values(const std::string& text);

/// Every scenario of a call with every combination of the values of --vary; keys that stand in one
/// --vary change together. Loads them.
/// \throws UsageError  on a file or key named twice, no value, or lists of unlike lengths
/// \throws ScenarioError  as scenarios::load
std::vector<Column> columns_of(const Arguments& a);

}  // namespace cra::tools
