// scenarios/request_log.h: the columns of a log that a scenario names, as numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/sim.h"

namespace cra::scenarios {

/// One thing wrong with a log, or with a key that names it.
struct TraceProblem {
  std::string place;  ///< "file:line"; empty when the key is at fault
  std::string key;    ///< dotted, below the part: "file", "work.1.rate"; empty with a place
  std::string text;
};

/// What to read of a log. A column may be named more than once.
struct LogQuery {
  sim::LogFormat format = sim::LogFormat::csv;
  std::string time_column;           ///< empty: lines have no time
  std::vector<std::string> numbers;  ///< columns of finite numbers >= 0
  std::vector<std::string> ends;     ///< columns of times, not before that of the line
  std::vector<std::string> names;    ///< columns of any text
  sim::Missing missing = sim::Missing::refuse;
  bool may_skip = false;  ///< there is a key `missing`, for messages
  bool sort = false;      ///< lines may come in any order; otherwise they must be in order of time
};

/// A column of text; equal texts have equal numbers.
struct NameColumn {
  std::vector<std::string> names;  ///< in order of their first line
  std::vector<int> id;             ///< [R] index in `names`
};

/// Lines in order of time. R is their number.
struct RequestLog {
  std::vector<double> time;                 ///< [R] seconds since the first line, ascending
  std::vector<std::vector<double>> values;  ///< [numbers][R]
  std::vector<std::vector<double>> ends;    ///< [ends][R] seconds since the first line, >= time
  std::vector<NameColumn> names;            ///< [names]
  std::vector<std::int64_t> line;           ///< [R] where it stands in the file
  std::int64_t skipped = 0;                 ///< lines left out because a value is missing
  std::size_t size() const { return line.size(); }
};

/// Most faults of the lines of one log that are listed.
constexpr std::size_t kMaxLogFaults = 20;

/// Reads the named columns of the file at `path`. Times are seconds, or
/// `YYYY-MM-DD hh:mm:ss.fraction`; the first one decides for all.
/// \returns what is wrong; empty: the log has at least one line
std::vector<TraceProblem> read_log(const std::string& path, const LogQuery& query, RequestLog& log);

}  // namespace cra::scenarios
