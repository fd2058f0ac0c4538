// tools/report_command.h (internal): the page of a result, written beside it.
#pragma once

#include <string>

#include "results/results.h"

namespace cra::tools {

/// The page that belongs to a result: NAME.html of NAME.h5.
std::string page_beside(const std::string& result);
/// Writes that page. \throws Error  when it cannot be written
void write_page_beside(results::RunFile run, const std::string& result);

}  // namespace cra::tools
