// scenarios/overrides.h: `--set key.path=value` changes the tree of a scenario before it is read,
// so that one schema types and checks both.
#pragma once

#include <string>

#include "scenarios/report.h"
#include "scenarios/yaml.h"

namespace cra::scenarios {

/// Puts the value of one argument into the tree. Maps on the way are made when they are missing,
/// elements of a list go by their number from 0, and a kind given by its name alone
/// (`noise: gamma`) becomes a map so that its keys can be set.
/// \param source  number of the argument from 1, for places
void apply_override(Node& root, const std::string& argument, int source, Report& report);

/// The node a dotted key stands for, or its nearest parent that the scenario has.
const Node& nearest(const Node& root, const std::string& path);

}  // namespace cra::scenarios
