#include "scenarios/jobs.h"

#include <cstddef>
#include <cstdint>

#include "scenarios/number.h"
#include "scenarios/report.h"

namespace cra::scenarios {
namespace {

constexpr double kMaxSlots = 1e9;

// Where the jobs of one class run, and how many there have been.
struct Places {
  int first = 0;
  int count = 0;  // 0: the class has no group
  std::int64_t jobs = 0;
};

std::vector<Places> places_of(const std::vector<std::string>& classes, const sim::Pool& pool) {
  std::vector<Places> places(classes.size());
  int first = 0;
  for (const sim::Group& group : pool.groups) {
    for (std::size_t c = 0; c < classes.size(); ++c) {
      if (classes[c] == group.name && group.dynamics == sim::Dynamics::progress)
        places[c] = {first, group.count, 0};
    }
    first += group.count;
  }
  return places;
}

std::string unknown_class(const std::string& column, const std::string& found,
                          const sim::Pool& pool) {
  std::vector<std::string> known;
  std::string list;
  for (const sim::Group& group : pool.groups) {
    if (group.dynamics != sim::Dynamics::progress) continue;
    known.push_back(group.name);
    list += (list.empty() ? "" : ", ") + in_quotes(group.name);
  }
  const std::string best = did_you_mean(found, known);
  return column + " is " + in_quotes(found) + ", but no group of progress nodes has that name" +
         (best.empty() ? "" : "; did you mean " + in_quotes(best) + "?") +
         "\n  groups: " + (list.empty() ? "none" : list);
}

}  // namespace

std::vector<TraceProblem> read_jobs(const std::string& path, const std::string& time_column,
                                    const std::string& class_column, const sim::Pool& pool,
                                    double slot_seconds, sim::JobLog& jobs) {
  LogQuery query;
  query.time_column = time_column;
  query.names = {class_column};
  RequestLog log;
  std::vector<TraceProblem> problems = read_log(path, query, log);
  if (!problems.empty()) return problems;
  if (log.time.back() / slot_seconds > kMaxSlots) {
    return {{"", "file",
             "covers " + shortest(log.time.back()) +
                 " s, more than 1e9 slots: raise "
                 "workload.slot_seconds"}};
  }
  const NameColumn& classes = log.names[0];
  std::vector<Places> places = places_of(classes.names, pool);
  std::vector<bool> reported(places.size(), false);
  jobs = {};
  for (std::size_t r = 0; r < log.size(); ++r) {
    const auto c = static_cast<std::size_t>(classes.id[r]);
    Places& place = places[c];
    if (place.count == 0) {
      if (!reported[c] && problems.size() < kMaxLogFaults) {
        problems.push_back({path + ":" + std::to_string(log.line[r]), "",
                            unknown_class(class_column, classes.names[c], pool)});
      }
      reported[c] = true;
      continue;
    }
    jobs.slot.push_back(static_cast<std::int64_t>(log.time[r] / slot_seconds));
    jobs.node.push_back(place.first + static_cast<int>(place.jobs++ % place.count));
  }
  if (problems.empty()) jobs.slots = jobs.slot.back() + 1;
  return problems;
}

}  // namespace cra::scenarios
