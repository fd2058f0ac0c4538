// scenarios/request_log.h: the columns of a request log that a scenario names, as numbers.
#pragma once

#include <string>
#include <vector>

namespace cra::scenarios {

/// One thing wrong with a log, or with a key of the trace part that names it.
struct TraceProblem {
  std::string place;  ///< "file:line"; empty when the key is at fault
  std::string key;    ///< dotted, below the part: "file", "work.1.rate"; empty with a place
  std::string text;
};

/// Requests in order of time. R is their number.
struct RequestLog {
  std::vector<double> time;                 ///< [R] seconds since the first request, ascending
  std::vector<std::vector<double>> values;  ///< [column][R] finite, >= 0; columns as asked for
};

/// Most faults of the lines of one log that are listed.
constexpr std::size_t kMaxLogFaults = 20;

/// Reads the time column and the named numeric columns of the CSV file at `path`.
/// Times are seconds, or `YYYY-MM-DD hh:mm:ss.fraction`; the first one decides for all.
std::vector<TraceProblem> read_log(const std::string& path, const std::string& time_column,
                                   const std::vector<std::string>& columns, RequestLog& log);

}  // namespace cra::scenarios
