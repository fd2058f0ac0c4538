// scenarios/curve.h: a measured curve, such as a validation error by progress.
#pragma once

#include <string>
#include <vector>

#include "scenarios/request_log.h"

namespace cra::scenarios {

/// Reads two numeric columns of the CSV file at `path`; x must rise from line to line.
/// \returns what is wrong; empty: there is at least one point
std::vector<TraceProblem> read_curve(const std::string& path, const std::string& x_column,
                                     const std::string& y_column, std::vector<double>& x,
                                     std::vector<double>& y);

}  // namespace cra::scenarios
