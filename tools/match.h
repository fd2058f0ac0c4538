// tools/match.h: whether two results speak of the same test episodes.
#pragma once

#include <string>
#include <vector>

#include "scenarios/scenario.h"
#include "tools/entrant.h"

namespace cra::tools {

enum class Footing {
  paired,    ///< the same episodes
  unpaired,  ///< other episodes of the same scenario: the seeds differ
  none,      ///< nothing can be said of the policies alone
};

struct Match {
  Footing footing = Footing::none;
  std::string why;           ///< why they are not the same episodes, as the end of a sentence
  std::size_t episodes = 0;  ///< that both have, of paired ones; else 0
  /// Keys of the scenarios that differ: those that make episodes or their cost, and those of how a
  /// policy is made, which are what is compared.
  std::vector<scenarios::Difference> world, making;
  std::vector<std::string> evidence;  ///< numbers of the files that agree, in words
};

/// The scenarios' text says what ought to be the same, the numbers in the files whether it is: a
/// log of the same name may have changed, and so may the program. Numbers agree to 1e-9 of their
/// size, so that files from different processors do.
Match match(const Entrant& a, const Entrant& b);

}  // namespace cra::tools
