// tools/report_command.h (internal): the page of a result, written beside it.
#pragma once

#include <string>

#include "results/results.h"

namespace cra::tools {

/// The page that belongs to a result: NAME.html of NAME.h5.
std::string page_beside(const std::string& result);
/// Writes the page of a result to `page`. \throws Error  when that cannot be done; the result is
/// not touched
void write_page(results::RunFile run, const std::string& result, const std::string& page);

}  // namespace cra::tools
