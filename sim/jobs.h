// sim/jobs.h: jobs that come and go at progress nodes. Part of sim/sim.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/pool.h"

namespace cra::sim {

/// Every progress node trains one thing for ever.
struct NoJobs {
  static constexpr const char* name = "none";
};
template <class V>
void fields(V&, NoJobs&) {}

/// When jobs of one file start, and where. J is their number.
struct JobLog {
  std::int64_t slots = 0;          ///< slots from the first job to the last
  std::vector<std::int64_t> slot;  ///< [J] slot in which the job comes, ascending
  std::vector<int> node;           ///< [J] progress node that it takes
};
/// A progress node is a place for one job at a time. A job of a class takes the places of the group
/// of that name in turn, so it replaces the oldest: progress there starts from nothing in the slot
/// in which it comes, and its error counts for `duration` slots from the next one on, or until
/// another job takes the place. An empty place counts for nothing. Windows of `workload.slots`
/// slots are cut from the files; a job that is under way when a window begins starts there afresh,
/// for the slots that it has left.
struct JobList {
  static constexpr const char* name = "list";
  std::vector<std::string> train_files;
  std::vector<std::string> test_files;
  std::string time_column;
  std::string class_column;
  NodeValues duration{60.0};

  std::vector<JobLog> train, test;  ///< the files as the loader (scenarios) has read them
};
template <class V>
void fields(V& v, JobList& k) {
  v(required("train_files"), k.train_files,
    "lists of jobs for training and tuning, CSV with a header line; relative to the scenario file");
  v(required("test_files"), k.test_files, "lists of jobs for evaluation");
  v(required("time_column"), k.time_column,
    "column of the times at which jobs come: seconds, or `YYYY-MM-DD hh:mm:ss.fraction`; sorted");
  v(required("class_column"), k.class_column,
    "column that names the group of nodes on which a job runs");
  v("duration", k.duration, Range{1, 1e9}, "slots", "slots for which the error of a job counts");
}
using Jobs = std::variant<NoJobs, JobList>;

}  // namespace cra::sim
