// scenarios/jobs.h: a list of jobs becomes starts on progress nodes.
#pragma once

#include <string>
#include <vector>

#include "scenarios/request_log.h"
#include "sim/sim.h"

namespace cra::scenarios {

/// Reads the jobs at `path`. Slots count from the first job. The k-th job of a class takes the node
/// k mod count of the group of that name, whose nodes must be progress nodes.
/// \returns what is wrong; empty: the log is filled
std::vector<TraceProblem> read_jobs(const std::string& path, const std::string& time_column,
                                    const std::string& class_column, const sim::Pool& pool,
                                    double slot_seconds, sim::JobLog& jobs);

}  // namespace cra::scenarios
