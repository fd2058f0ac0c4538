#include "scenarios/curve.h"

#include <cstddef>
#include <utility>

#include "scenarios/number.h"

namespace cra::scenarios {
namespace {

// A curve of more points is no measurement; its knots would stand in every result.
constexpr std::size_t kMaxPoints = 100000;

}  // namespace

std::vector<TraceProblem> read_curve(const std::string& path, const std::string& x_column,
                                     const std::string& y_column, std::vector<double>& x,
                                     std::vector<double>& y) {
  LogQuery query;
  query.numbers = {x_column, y_column};
  RequestLog log;
  std::vector<TraceProblem> problems = read_log(path, query, log);
  if (!problems.empty()) return problems;
  if (log.size() > kMaxPoints) {
    return {{"", "file",
             "has " + std::to_string(log.size()) + " points, expected at most " +
                 std::to_string(kMaxPoints)}};
  }
  const std::vector<double>& at = log.values[0];
  for (std::size_t i = 1; i < at.size() && problems.size() < kMaxLogFaults; ++i) {
    if (at[i] > at[i - 1]) continue;
    problems.push_back({path + ":" + std::to_string(log.line[i]), "",
                        x_column + " is " + shortest(at[i]) + ", not above " + shortest(at[i - 1]) +
                            " in line " + std::to_string(log.line[i - 1]) +
                            "; a curve must rise in it"});
  }
  if (!problems.empty()) return problems;
  x = std::move(log.values[0]);
  y = std::move(log.values[1]);
  return {};
}

}  // namespace cra::scenarios
