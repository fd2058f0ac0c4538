// tools/report_slots.h (internal): one recorded episode under one policy, and its slots made few
// enough for a page.
#pragma once

#include <string>
#include <vector>

#include "tools/report.h"

namespace cra::tools {

/// The first recorded episode of a result, for every policy that is drawn.
struct Episode {
  std::size_t nodes = 0, slots = 0;
  std::size_t columns = 0;  ///< slots, or bins of them
  std::size_t binned = 1;   ///< slots in a bin
  struct Actor {
    const PolicyEntry* entrant = nullptr;
    std::vector<double> share;    ///< [N, columns] of the placed budget, mean over the bin
    std::vector<double> load;     ///< [N, columns] work to be done, NaN at progress nodes; mean
    std::vector<double> error;    ///< [N, columns] mean
    std::vector<double> cost;     ///< [T]
    std::vector<double> reserve;  ///< [T] share of the budget kept back
  };
  std::vector<Actor> actors;
};

/// Empty actors where no episode is recorded, or of too many nodes. \param most_cells  of a map
Episode first_episode(const Case& c, std::size_t most_cells);
/// Cells of a map on a page with so many results.
std::size_t most_cells(std::size_t results);

/// Mean error of every node over recorded episodes and slots.
std::vector<double> node_errors(const Case& c, const PolicyEntry& e);

/// Allocation over time, a map for each policy: the first policies of all cases, the second ones,
/// ...
std::vector<std::string> allocation_figures(std::span<const Case> all);

}  // namespace cra::tools
