#include "sim/place_jobs.h"

#include <algorithm>
#include <cmath>

namespace cra::sim {

std::int64_t job_windows(const std::vector<JobLog>& logs, int slots) {
  std::int64_t windows = 0;
  for (const JobLog& log : logs) windows += log.slots / slots;
  return windows;
}

namespace {

struct Window {
  const JobLog* log;
  std::int64_t first;
};

// Evaluation: the disjoint windows of the files in order. Training: any place in any file, each
// place as likely as any other.
Window window_of(const JobList& jobs, int slots, std::uint64_t seed, EpisodeSet set,
                 std::int64_t episode) {
  if (set == EpisodeSet::evaluation) {
    std::int64_t left = episode;
    for (const JobLog& log : jobs.test) {
      if (left < log.slots / slots) return {&log, left * slots};
      left -= log.slots / slots;
    }
    throw Error("draw: the test files hold no window " + std::to_string(episode));
  }
  const auto places = [&](const JobLog& log) {
    return std::max<std::int64_t>(0, log.slots - slots + 1);
  };
  std::int64_t all = 0;
  for (const JobLog& log : jobs.train) all += places(log);
  // Slots beyond those from which traces draw their windows.
  std::int64_t left = Draws(seed, set, episode, Stream::window, 0, 2000000).below(all);
  for (const JobLog& log : jobs.train) {
    if (left < places(log)) return {&log, left};
    left -= places(log);
  }
  throw Error("draw: the training files hold no window");
}

}  // namespace

void check_jobs(const JobList& jobs, const Params& p, std::vector<Problem>& problems) {
  const std::string path = "progress.jobs";
  if (!p.pool.has_progress())
    problems.push_back({path, "need progress nodes, and this pool has none"});
  if (jobs.train_files.empty()) problems.push_back({path + ".train_files", "is an empty list"});
  if (jobs.test_files.empty()) problems.push_back({path + ".test_files", "is an empty list"});
  const auto check = [&](const std::vector<JobLog>& logs, const std::string& key) {
    std::int64_t longest = 0;
    for (const JobLog& log : logs) longest = std::max(longest, log.slots);
    // A file that could not be read has been reported already.
    if (longest > 0 && longest < p.workload.slots)
      problems.push_back({path + key, "cover at most " + std::to_string(longest) +
                                          " slots, fewer than one window of " +
                                          std::to_string(p.workload.slots) + " slots"});
  };
  check(jobs.train, ".train_files");
  check(jobs.test, ".test_files");
}

void place_jobs(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t episode,
                double* importance, double* keep) {
  const auto* jobs = std::get_if<JobList>(&p.progress.jobs);
  if (jobs == nullptr) return;
  const std::int64_t slots = p.workload.slots;
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  const Window window = window_of(*jobs, p.workload.slots, seed, set, episode);
  // The first slot after the last one in which the node's job counts; before its first job, none.
  std::vector<std::int64_t> end(nodes, 0), start(nodes, 0);
  std::size_t next = 0;
  const JobLog& log = *window.log;
  for (std::int64_t t = -window.first; t < slots; ++t) {
    for (; next < log.slot.size() && log.slot[next] - window.first == t; ++next) {
      const int n = log.node[next];
      start[static_cast<std::size_t>(n)] = t + 1;
      end[static_cast<std::size_t>(n)] =
          t + 1 + static_cast<std::int64_t>(std::llround(jobs->duration[n]));
      if (t >= 0) keep[static_cast<std::size_t>(t) * nodes + static_cast<std::size_t>(n)] = 0;
    }
    if (t < 0) continue;
    for (std::size_t n = 0; n < nodes; ++n)
      if (p.pool.is_progress(static_cast<int>(n)) && (t < start[n] || t >= end[n]))
        importance[static_cast<std::size_t>(t) * nodes + n] = 0;
  }
}

}  // namespace cra::sim
