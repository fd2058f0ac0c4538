// tools/matrix.h: policies by scenarios: what `cra evaluate` prints for more than one column.
#pragma once

#include <string>
#include <vector>

#include "tools/columns.h"
#include "tools/summary.h"

namespace cra::tools {

/// What the policies achieved in one column; all columns have the same policies in the same order.
struct ColumnResult {
  std::string name;                 ///< Column::name()
  std::vector<std::string> title;   ///< Column::title
  std::string file;                 ///< of the scenario
  std::vector<std::string> varied;  ///< Column::varied
  Summary summary;
  Headline headline;
};

/// Mean costs; paired differences to the best tuned heuristic of the column; shares of the gap to
/// the bound closed, where there is one; a sentence for every learned policy; the result files.
/// \param all  not empty
std::string matrix_text(const std::vector<ColumnResult>& all);
/// The one object of `--json`, with a newline: every column as for one scenario, and the matrices
/// as lists of rows. null where a number does not apply.
std::string matrix_json(const std::vector<ColumnResult>& all);

}  // namespace cra::tools
