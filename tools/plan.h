// tools/plan.h: what a run would do, for --dry-run.
#pragma once

#include <string>

#include "scenarios/scenario.h"

namespace cra::tools {

/// Planned work, memory and disk, in words; a few lines.
/// \param train   whether there is training at all
/// \param policies  how many meet the test episodes
std::string plan_text(const scenarios::Settings& s, bool train, std::size_t policies,
                      const std::string& result);

}  // namespace cra::tools
