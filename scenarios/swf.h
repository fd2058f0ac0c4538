// scenarios/swf.h: jobs of a file in the Standard Workload Format (Chapin et al., JSSPP 1999), one
// at a time.
#pragma once

#include <array>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "scenarios/csv.h"

namespace cra::scenarios {

/// Reads like a CSV file whose header names the 18 fields of the format. Lines that begin with `;`
/// are comments; fields are set apart by blanks.
class SwfReader {
 public:
  static constexpr std::array<const char*, 18> kFields{"job",
                                                       "submit_time",
                                                       "wait_time",
                                                       "runtime",
                                                       "processors",
                                                       "cpu_time",
                                                       "memory",
                                                       "requested_processors",
                                                       "requested_time",
                                                       "requested_memory",
                                                       "status",
                                                       "user",
                                                       "group",
                                                       "executable",
                                                       "queue",
                                                       "partition",
                                                       "preceding_job",
                                                       "think_time"};

  explicit SwfReader(std::istream& in) : in_(in) {}

  /// The first record is the header, then come the jobs.
  bool next(std::vector<std::string>& fields);
  std::int64_t line() const { return line_; }
  const std::string& fault() const { return fault_; }

 private:
  // A line beyond this is no job; it would only fill the memory.
  static constexpr std::size_t kMaxLine = 1U << 16U;
  bool next_line();

  std::istream& in_;
  std::string text_;
  std::int64_t line_ = 0;
  bool header_given_ = false;
  std::string fault_;
};

}  // namespace cra::scenarios
