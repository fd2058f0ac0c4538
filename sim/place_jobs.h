// sim/place_jobs.h (internal): windows of job lists become importance and retention.
#pragma once

#include "sim/sim.h"

namespace cra::sim {

/// Disjoint windows of so many slots that the files hold.
std::int64_t job_windows(const std::vector<JobLog>& logs, int slots);

/// What is wrong with the lists once their files have been read.
void check_jobs(const JobList& jobs, const Params& p, std::vector<Problem>& problems);

/// Puts the jobs of one episode on their nodes.
/// \param importance, keep  [T, N] of the episode; importance becomes 0 where no job counts, keep
///                          becomes 0 where one comes
void place_jobs(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t episode,
                double* importance, double* keep);

}  // namespace cra::sim
