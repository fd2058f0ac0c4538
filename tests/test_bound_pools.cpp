// The bound of the simulator's pools: nobody beats it, and it speaks of the same plant.
#include <doctest/doctest.h>
#include <omp.h>

#include <numeric>

#include "agents/agents.h"
#include "agents/bound.h"
#include "clairvoyant_problems.h"
#include "pools.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;
using cra::testing::trials;

namespace {

sim::Params failing_ring() {
  sim::Params p = busy_ring(5, 30);
  sim::WearFailures failures;
  failures.wear = 0.1;
  failures.worn_capacity = 0.5;
  p.workload.failures = failures;
  must_resolve(p);
  return p;
}

sim::Params reserve_ring() {
  sim::Params p = busy_ring(5, 30);
  p.pool.need = 1.0;
  p.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::optimal};
  must_resolve(p);
  return p;
}

/// Three resources, and a reserve of all of them.
sim::Params reserve_of_three() {
  sim::Params p = cra::testing::busy_ring_of_three(5, 30);
  p.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::priority};
  must_resolve(p);
  return p;
}

/// Two resources, queues and progress nodes, importance in windows, and costs of the commands.
sim::Params mixed_pool(const sim::ProgressErrorModel& error) {
  sim::Params p = busy_ring(6, 30);
  p.pool.groups = {{"queues", 2, sim::Dynamics::queue}, {"jobs", 4, sim::Dynamics::progress}};
  for (const char* name : {"compute", "bandwidth"}) {
    sim::Resource resource;
    resource.name = name;
    resource.need.given = sim::NodeValues::Uniform{0.3, 1.2};
    resource.budget = 4;
    p.pool.resources.push_back(resource);
  }
  p.workload.calendar = sim::WindowsCalendar{10, 3, 0.1, 2, 1};
  p.progress.error = error;
  p.progress.shift = 0.05;
  p.cost.use = 0.05;
  p.cost.concentration = 0.02;
  must_resolve(p);
  return p;
}

/// The queues of a ring under another error model.
sim::Params judged_ring(const sim::ErrorModel& error) {
  sim::Params p = busy_ring(4, 25);
  p.errors = error;
  // Work with deadlines leaves when it is late, and not before.
  p.workload.abandonment = std::holds_alternative<sim::DeadlineError>(error) ? 0 : 0.1;
  must_resolve(p);
  return p;
}

/// Learners of which one helps two others, by a table of measured values.
sim::Params sharing_pool() {
  sim::Params p = mixed_pool(sim::PowerLawError{});
  sim::CurveError table;
  table.curves.resize(1);
  table.curves[0].file = "measured.csv";
  table.curves[0].x = {1, 3, 6, 12};
  table.curves[0].error = {0.6, 0.35, 0.3, 0.12};
  p.progress.error = table;
  sim::Sharing sharing;
  sharing.hub = 3;
  sharing.followers = {2, 5};
  sharing.weight = 0.4;
  p.progress.sharing.push_back(sharing);
  p.cost.worst = 0.2;
  must_resolve(p);
  return p;
}

std::vector<sim::Params> pools() {
  std::vector<sim::Params> all{busy_ring(6, 40), failing_ring(), reserve_ring(), reserve_ring()};
  all.back().pool.need = 0.8;
  must_resolve(all.back());
  all.push_back(failing_ring());
  all.back().pool.need = 1.0;
  all.back().pool.reserve = sim::SharedReserve{0.5, sim::Dispatch::priority};
  all.push_back(reserve_of_three());
  all.push_back(reserve_of_three());
  all.back().cost.worst = 0.2;
  all.back().cost.use = 0.05;
  all.push_back(failing_ring());  // needs of one resource differ, too
  all.back().pool.reserve = sim::SharedReserve{0.6, sim::Dispatch::priority};
  all.push_back(mixed_pool(sim::PowerLawError{}));
  all.back().pool.reserve = sim::SharedReserve{0.8, sim::Dispatch::priority};
  all.push_back(sharing_pool());
  all.back().pool.reserve = sim::SharedReserve{0.8, sim::Dispatch::priority};
  all.push_back(busy_ring(5, 30));
  all.back().cost.worst = 0.3;
  sim::DeadlineError deadline;
  deadline.slots.given = std::vector<double>{1, 2, 4, 5};
  all.push_back(judged_ring(sim::LinearError{}));
  all.push_back(judged_ring(sim::MissError{}));
  all.push_back(judged_ring(deadline));
  all.push_back(judged_ring(sim::AnytimeError{}));
  all.push_back(sharing_pool());
  all.push_back(mixed_pool(sim::PowerLawError{}));
  all.push_back(mixed_pool(sim::ExponentialError{}));
  all.push_back(busy_ring(1, 12));
  all.push_back(quiet_pool(3, 20, 0.9));
  all.push_back(busy_ring(33, 5));
  all.push_back(busy_ring(4, 25));
  all.back().pool.lag = 1;
  all.back().workload.abandonment = 0;
  for (sim::Params& p : all) must_resolve(p);
  return all;
}

Commands commands_of(const Trajectory& t, const ClairvoyantProblem& p, std::int64_t i) {
  const auto cut = [&](const std::vector<double>& all) {
    const std::size_t size = p.at(p.slots, 0), first = static_cast<std::size_t>(i) * size;
    return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(first),
                               all.begin() + static_cast<std::ptrdiff_t>(first + size));
  };
  Commands c{cut(t.grant), {}};
  if (p.reserve > 0) c.reserve = cut(t.dispatched);
  return c;
}

}  // namespace

TEST_CASE("clairvoyant_bound: no heuristic goes below it in any episode, and it is tight") {
  // Planners take most of the time.
  const int episodes = std::max(2, trials(12));
  const auto count = static_cast<std::size_t>(episodes);
  int number = 0;
  for (const sim::Params& p : pools()) {
    CAPTURE(number++);
    const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::evaluation, 0, episodes);
    const Bound bound = clairvoyant_bound(p, x);
    REQUIRE(bound.reason.empty());
    REQUIRE(bound.lower.size() == count);
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(i);
      CHECK(bound.lower[i] >= 0);
      CHECK(bound.lower[i] <= bound.upper[i]);
      CHECK(bound.lower[i] <= bound.relaxed[i]);
      CHECK(bound.relaxed[i] - bound.lower[i] <= std::max(1e-3 * bound.relaxed[i], 2e-7));
      // A simulator that leaves no budget unused and has no reserve is the problem's own plant
      // where moving is all that a command costs.
      if (p.pool.shared_reserve() == nullptr && p.cost.use == 0)
        CHECK(bound.upper[i] - bound.lower[i] <= std::max(1e-2 * bound.upper[i], 1e-6));
    }
    for (const std::string& name : baselines_for(p)) {
      CAPTURE(name);
      Rule rule{name, {}};
      for (const Knob& knob : baseline_knobs(name, p)) rule.knobs.push_back(knob.grid.front());
      const Outcome outcome = baseline_kind(name) == Kind::oracle
                                  ? evaluate(*make_oracle(rule, p), p, x)
                                  : evaluate(*make_baseline(rule, p), p, x);
      for (std::size_t i = 0; i < count; ++i) CHECK(bound.lower[i] <= outcome.cost[i]);
    }
  }
}

TEST_CASE("clairvoyant_bound: nobody goes below it under any action and conflict rule") {
  std::vector<sim::Params> ruled;
  for (const sim::Conflict conflict : {sim::Conflict::none, sim::Conflict::priority,
                                       sim::Conflict::round_robin, sim::Conflict::maxmin}) {
    ruled.push_back(busy_ring(4, 25));
    ruled.back().pool.capacity = 1.3;
    ruled.back().pool.conflict = conflict;
    ruled.back().cost.use = 0.05;
    ruled.back().cost.concentration = 0.02;
  }
  for (const sim::Action action : {sim::Action::per_resource, sim::Action::raw}) {
    ruled.push_back(mixed_pool(sim::PowerLawError{}));
    ruled.back().pool.action = action;
    ruled.push_back(reserve_of_three());
    ruled.back().pool.action = action;
  }
  ruled.push_back(busy_ring(4, 25));  // all that gps lends could have been commanded
  ruled.back().pool.conflict = sim::Conflict::gps;
  ruled.back().pool.lag = 1;
  ruled.back().cost.switching = 0;
  ruled.back().cost.use = 0.05;
  ruled.push_back(reserve_ring());
  ruled.back().pool.conflict = sim::Conflict::gps;
  ruled.back().pool.lag = 1;
  ruled.back().cost.switching = 0;
  int number = 0;
  for (sim::Params& p : ruled) {
    must_resolve(p);
    CAPTURE(number++);
    const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::evaluation, 0, 6);
    const Bound bound = clairvoyant_bound(p, x);
    REQUIRE(bound.reason.empty());
    for (const char* name : {"uniform", "demand_backlog", "maxweight_soft", "dynamic_attention"}) {
      CAPTURE(name);
      Rule rule{name, {}};
      for (const Knob& knob : baseline_knobs(name, p)) rule.knobs.push_back(knob.grid.front());
      const Outcome outcome = evaluate(*make_baseline(rule, p), p, x);
      for (std::size_t i = 0; i < 6; ++i) CHECK(bound.lower[i] <= outcome.cost[i]);
    }
  }
}

TEST_CASE("clairvoyant_problem: what a policy did costs the same in the problem's plant") {
  int number = 0;
  for (const sim::Params& p : pools()) {
    CAPTURE(number++);
    const sim::Exogenous x = sim::draw(p, 4, EpisodeSet::evaluation, 0, 3);
    Rule rule{"demand_backlog", {}};
    for (const Knob& knob : baseline_knobs(rule.name, p)) rule.knobs.push_back(knob.grid.back());
    const auto policy = make_baseline(rule, p);
    const Outcome outcome = evaluate(*policy, p, x);
    const Trajectory trajectory = record(*policy, p, x, 3);
    for (std::int64_t i = 0; i < 3; ++i) {
      const ClairvoyantProblem problem = clairvoyant_problem(p, x, i);
      const Commands did = commands_of(trajectory, problem, i);
      CHECK(clairvoyant_cost(problem, did) ==
            doctest::Approx(outcome.cost[static_cast<std::size_t>(i)]).epsilon(1e-12));
      Commands feasible = did;
      make_feasible(problem, feasible);
      for (std::size_t j = 0; j < did.rate.size(); ++j)
        CHECK(feasible.rate[j] == doctest::Approx(did.rate[j]).epsilon(1e-9));
      for (std::size_t j = 0; j < did.reserve.size(); ++j)
        CHECK(feasible.reserve[j] == doctest::Approx(did.reserve[j]).epsilon(1e-9));
    }
  }
}

TEST_CASE("clairvoyant_bound: the same bits for any number of threads and any split") {
  sim::Params fair = busy_ring(4, 20);
  fair.cost.worst = 0.3;
  must_resolve(fair);
  const int before = omp_get_max_threads();
  int number = 0;
  for (const sim::Params& p :
       {failing_ring(), reserve_ring(), reserve_of_three(), mixed_pool(sim::PowerLawError{}),
        sharing_pool(), judged_ring(sim::DeadlineError{}), judged_ring(sim::AnytimeError{}),
        fair}) {
    CAPTURE(number++);
    const sim::Exogenous x = sim::draw(p, 5, EpisodeSet::evaluation, 0, 5);
    omp_set_num_threads(1);
    const Bound one = clairvoyant_bound(p, x);
    for (const int threads : {2, 3, 8}) {
      omp_set_num_threads(threads);
      const Bound many = clairvoyant_bound(p, x);
      CHECK(many.lower == one.lower);
      CHECK(many.upper == one.upper);
      CHECK(many.relaxed == one.relaxed);
      CHECK(many.steps == one.steps);
    }
    const Bound later = clairvoyant_bound(p, sim::draw(p, 5, EpisodeSet::evaluation, 3, 2));
    for (std::size_t i = 0; i < 2; ++i) CHECK(later.lower[i] == one.lower[i + 3]);
  }
  // One long episode alone: no thread may help inside it.
  const sim::Params long_ring = busy_ring(2, 160);
  const sim::Exogenous single = sim::draw(long_ring, 5, EpisodeSet::evaluation, 0, 1);
  omp_set_num_threads(4);
  const Bound helped = clairvoyant_bound(long_ring, single);
  omp_set_num_threads(1);
  CHECK(clairvoyant_bound(long_ring, single).lower == helped.lower);
  omp_set_num_threads(before);
}

TEST_CASE("clairvoyant_bound: a long episode has one too, by windows") {
  const sim::Params p = busy_ring(2, 900);
  const sim::Exogenous x = sim::draw(p, 5, EpisodeSet::evaluation, 0, 1);
  REQUIRE(longest_whole(clairvoyant_problem(p, x, 0)) < 900);
  const Bound bound = clairvoyant_bound(p, x);
  CHECK(bound.lower[0] > 0);
  CHECK(bound.upper[0] - bound.lower[0] <= 0.02 * bound.upper[0]);
}

TEST_CASE("simulated_cost: with a reserve, too, the simulator comes near the bound") {
  const sim::Params p = reserve_ring();
  const sim::Exogenous x = sim::draw(p, 6, EpisodeSet::evaluation, 0, 4);
  const Bound bound = clairvoyant_bound(p, x);
  for (std::size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    CHECK(bound.upper[i] >= bound.lower[i]);
    CHECK(bound.upper[i] - bound.lower[i] <= 0.06 * bound.upper[i]);
  }
}

TEST_CASE("clairvoyant_bound: the feasible side is that of bundles under every action") {
  const sim::Params bundle = mixed_pool(sim::PowerLawError{});
  const sim::Exogenous x = sim::draw(bundle, 3, EpisodeSet::evaluation, 0, 3);
  const Bound expected = clairvoyant_bound(bundle, x);
  for (const sim::Action action : {sim::Action::per_resource, sim::Action::raw}) {
    sim::Params p = bundle;
    p.pool.action = action;
    must_resolve(p);
    const Bound bound = clairvoyant_bound(p, x);
    CHECK(bound.lower == expected.lower);
    CHECK(bound.upper == expected.upper);
  }
}

TEST_CASE("clairvoyant_bound: says why there is none") {
  const auto reason = [](const auto& change) {
    sim::Params p = busy_ring(3, 4);
    change(p);
    must_resolve(p);
    const Bound bound = clairvoyant_bound(p, sim::draw(p, 1, EpisodeSet::evaluation, 0, 2));
    CHECK(bound.lower.empty());
    return bound.reason;
  };
  CHECK(reason([](sim::Params& p) { p.pool.conflict = sim::Conflict::gps; }).find("lag below 1") !=
        std::string::npos);
  CHECK(reason([](sim::Params& p) {  // busy_ring charges for movement
          p.pool.conflict = sim::Conflict::gps;
          p.pool.lag = 1;
        })
            .find("without paying") != std::string::npos);
  CHECK(reason([](sim::Params& p) { p.pool.service = sim::LotteryService{}; }).find("lottery") !=
        std::string::npos);
  CHECK(no_bound_because(reserve_ring()).empty());
  CHECK(no_bound_because(reserve_of_three()).empty());
}
