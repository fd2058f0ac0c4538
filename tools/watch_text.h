// tools/watch_text.h (internal): how a run stands, in words.
#pragma once

#include <cstdint>
#include <string>

#include "tools/watch_log.h"

namespace cra::tools {

/// What is known of a run beside its lines.
struct RunFacts {
  std::string metrics, result;  ///< paths
  std::int64_t updates = 0;     ///< of a training, 0 when not known
  std::int64_t seeds = 0;       ///< trainings, 0 when not known
  bool complete = false;        ///< the result is there, and not older than the last line
  double age = 0;               ///< seconds since the last line
};

/// Several lines, each with a newline.
std::string status_text(const MetricsLog& log, const RunFacts& facts);
/// The same in one line, without a newline.
std::string status_line(const MetricsLog& log, const RunFacts& facts);

}  // namespace cra::tools
