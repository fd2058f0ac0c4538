// Draws whole episodes up front: arrivals, importance, retention, failures.
#include <algorithm>

#include "sim/episode.h"
#include "sim/errors.h"
#include "sim/place_jobs.h"
#include "sim/score.h"

namespace cra::sim {

std::int64_t evaluation_limit(const Params& p) {
  std::int64_t limit = std::int64_t{1} << 31;
  for (const WorkloadPart& part : p.workload.parts)
    if (const auto* trace = std::get_if<TracePart>(&part))
      limit = std::min(limit, (trace->slots() - trace->train_slots) / p.workload.slots);
  if (const auto* jobs = std::get_if<JobList>(&p.progress.jobs))
    limit = std::min(limit, job_windows(jobs->test, p.workload.slots));
  return limit;
}

Exogenous draw(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t first,
               std::int64_t count) {
  CRA_CHECK(first >= 0 && count >= 1, "draw: episodes " + std::to_string(first) + " + " +
                                          std::to_string(count) +
                                          ", expected a first >= 0 and a count >= 1");
  if (set == EpisodeSet::evaluation && first + count > evaluation_limit(p))
    throw Error("evaluation.episodes: " + std::to_string(first + count) +
                " asked for, but the test part of the log holds " +
                std::to_string(evaluation_limit(p)) + " disjoint windows of " +
                std::to_string(p.workload.slots) + " slots");
  Exogenous x;
  x.episodes = count;
  x.slots = p.workload.slots;
  x.nodes = p.pool.nodes;
  const std::size_t size = x.at(count, 0);
  x.arrivals.assign(size, 0);
  if (p.observation.noiseless) x.mean_arrivals.resize(size);
  x.availability.assign(size, 1);
  x.importance.resize(size);
  if (p.pool.has_progress()) x.keep.assign(size, 1);
  if (std::holds_alternative<WearFailures>(p.workload.failures)) x.health.assign(size, 0);
  if (p.pool.lottery() != nullptr) {
    x.ticket.resize(static_cast<std::size_t>(count * x.slots));
    x.completion.resize(x.ticket.size());
  }
  if (std::holds_alternative<WindowsCalendar>(p.workload.calendar)) x.window.assign(size, 0);
  const auto* deadline = std::get_if<DeadlineError>(&p.errors);
  if (deadline != nullptr) x.young.assign(size, 0);
  const std::vector<double> mean = mean_rate(p);
  for_each_tile(count, [&](std::int64_t i) {
    const Episode episode{seed, set, first + i};
    std::vector<double> rate(static_cast<std::size_t>(x.slots) * static_cast<std::size_t>(x.nodes),
                             0);
    Inflow in{x.slots, x.nodes, rate.data(), x.arrivals.data() + x.at(i, 0)};
    if (!x.mean_arrivals.empty()) in.mean = x.mean_arrivals.data() + x.at(i, 0);
    add_arrivals(p, episode, in);
    if (deadline != nullptr) fill_young(*deadline, x, i);
    const std::size_t first_slot = x.at(i, 0);
    for (int t = 0; t < x.slots; ++t)
      std::copy(p.workload.importance.value.begin(), p.workload.importance.value.end(),
                x.importance.begin() + static_cast<std::ptrdiff_t>(x.at(i, t)));
    Agenda agenda{x.slots,
                  x.nodes,
                  x.arrivals.data() + first_slot,
                  mean.data(),
                  x.importance.data() + first_slot,
                  x.window.empty() ? nullptr : x.window.data() + first_slot};
    apply_calendar(p.workload.calendar, episode, agenda);
    if (!x.keep.empty() && p.progress.shift > 0) {
      const Numbers drawn = uniform(episode.grid(Stream::shift, 0, x.slots, x.nodes));
      for (std::size_t k = 0; k < drawn.size(); ++k)
        if (drawn[k] < p.progress.shift) x.keep[first_slot + k] = p.progress.keep;
    }
    place_jobs(p, seed, set, first + i, x.importance.data() + first_slot,
               x.keep.empty() ? nullptr : x.keep.data() + first_slot);
    draw_failures(p.workload.failures, episode, x.slots, x.nodes,
                  x.availability.data() + first_slot,
                  x.health.empty() ? nullptr : x.health.data() + first_slot);
    for (int t = 0; t < x.slots && !x.ticket.empty(); ++t) {
      Draws draws = episode.draws(Stream::lottery, 0, t);
      const auto at = static_cast<std::size_t>(i * x.slots + t);
      x.ticket[at] = draws.uniform();
      x.completion[at] = draws.uniform();
    }
  });
  x.steady = std::holds_alternative<NoFailures>(p.workload.failures) &&
             std::holds_alternative<SteadyCalendar>(p.workload.calendar) &&
             std::holds_alternative<NoJobs>(p.progress.jobs);
  if (p.cost.score == ScoreKind::reference) fill_reference_errors(p, x);
  return x;
}

}  // namespace cra::sim
