// The reverse sweep of the plant against central differences, away from kinks, for every mechanism.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::busy_ring;
using cra::testing::busy_ring_of_three;
using cra::testing::must_resolve;

namespace {

constexpr int kSlots = 12, kEnvs = 2;

/// loss = sum over slots of the weighted cost and of a random linear function of what is observed
/// before each slot; so gradients flow through the state and through every feature.
struct Course {
  const Params& p;
  const Exogenous& x;

  double feature_weight(int t, std::size_t k) const {
    return 0.01 *
           Draws(31, EpisodeSet::tuning, t, Stream::noise, static_cast<int>(k % 60000), 0).normal();
  }

  double run(const std::vector<double>& decisions, bool features,
             std::vector<Batch>* trail = nullptr) const {
    Batch b = reset(p, x, {0, 1});
    const int size = decision_size(p), count = feature_count(p);
    std::vector<float> f(static_cast<std::size_t>(kEnvs * b.nodes * count));
    double loss = 0;
    for (int t = 0; t < kSlots; ++t) {
      if (features) {
        observe(p, b, {f.data(), kEnvs * b.nodes, count});
        for (std::size_t k = 0; k < f.size(); ++k)
          loss += feature_weight(t, k) * static_cast<double>(f[k]);
      }
      if (trail != nullptr) trail->push_back(b);
      step(p, x, b,
           {decisions.data() + static_cast<std::ptrdiff_t>(t) * kEnvs * size, kEnvs, size});
      loss += 0.7 * (b.cost[0] + b.cost[1]);
    }
    return loss;
  }

  std::vector<double> gradient(const std::vector<double>& decisions, bool features) const {
    std::vector<Batch> trail;
    run(decisions, features, &trail);
    const int size = decision_size(p), count = feature_count(p), nodes = p.pool.nodes;
    Adjoint a(trail[0]);
    std::vector<double> g(decisions.size()), d_f(static_cast<std::size_t>(kEnvs * nodes * count));
    for (int t = kSlots - 1; t >= 0; --t) {
      const std::ptrdiff_t at = std::ptrdiff_t{t} * kEnvs * size;
      step_backward(p, x, trail[static_cast<std::size_t>(t)], {decisions.data() + at, kEnvs, size},
                    0.7, a, {g.data() + at, kEnvs, size});
      if (features) {
        for (std::size_t k = 0; k < d_f.size(); ++k) d_f[k] = feature_weight(t, k);
        observe_backward(p, trail[static_cast<std::size_t>(t)], {d_f.data(), kEnvs * nodes, count},
                         a);
        settle(p, trail[static_cast<std::size_t>(t)], a);
      }
    }
    return g;
  }
};

std::vector<double> random_decisions(const Params& p, int trial) {
  std::vector<double> d;
  const int size = decision_size(p);
  for (int k = 0; k < kSlots * kEnvs * size; ++k) {
    Draws draws(5, EpisodeSet::training, trial, Stream::exploration, k, 0);
    const bool reserve = p.pool.shared_reserve() != nullptr && k % size == size - 1;
    d.push_back(reserve ? 0.1 + 0.5 * draws.uniform() : std::exp(0.7 * draws.normal()));
  }
  return d;
}

/// Largest difference between the sweep and central differences, relative to the largest gradient.
/// At a kink between the two points the difference is of the order of the slope's jump; such a
/// coordinate is recognised by one-sided differences that disagree, and counted instead.
struct Report {
  double worst = 0;
  int kinks = 0, compared = 0;
};
Report compare(const Params& p, bool features, double h, int trials = 3) {
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 2);
  const Course course{p, x};
  Report r;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> d = random_decisions(p, trial);
    const std::vector<double> g = course.gradient(d, features);
    const double middle = course.run(d, features);
    double largest = 0;
    for (const double v : g) largest = std::max(largest, std::fabs(v));
    for (std::size_t i = 0; i < d.size(); ++i) {
      const double at = d[i];
      d[i] = at + h;
      const double up = course.run(d, features);
      d[i] = at - h;
      const double down = course.run(d, features);
      d[i] = at;
      if (std::fabs((up - middle) - (middle - down)) > (features ? 5e-3 : 1e-3) * h * largest) {
        ++r.kinks;
        continue;
      }
      ++r.compared;
      r.worst = std::max(r.worst, std::fabs((up - down) / (2 * h) - g[i]) / largest);
    }
    CHECK(largest > 1e-3);
  }
  return r;
}

/// Costs alone are doubles throughout: step 1e-6, error of rounding about 1e-16 * loss / 1e-6 and
/// of truncation about 1e-12, both far below 1e-6 of the largest gradient.
void check_costs(const Params& p) {
  const Report r = compare(p, false, 1e-6);
  CHECK(r.worst < 1e-6);
  CHECK(r.kinks < r.compared / 20);
}

Params with_all_costs(Params p) {
  p.cost.switching = 0.3;
  p.cost.worst = 0.4;
  p.cost.worst_temperature = 0.3;
  p.cost.use = 0.2;
  p.cost.concentration = 0.1;
  must_resolve(p);
  return p;
}

/// What a loader would have read: a curve with few knots, so that decisions rarely meet one.
CurveError measured_curve() {
  CurveSource c;
  c.file = "none";
  c.x = {2, 5, 9, 14};
  c.error = {0.7, 0.5, 0.38, 0.33};
  CurveError k;
  k.curves = {c};
  return k;
}

Params progress_pool(const ProgressErrorModel& error) {
  Params p;
  p.pool.nodes = 6;
  p.pool.groups = {{"jobs", 6, Dynamics::progress}};
  for (const char* name : {"compute", "storage", "bandwidth"}) {
    Resource r;
    r.name = name;
    r.need.given = NodeValues::Uniform{0.3, 1.2};
    r.budget = 4;
    p.pool.resources.push_back(r);
  }
  p.workload.slots = kSlots;
  p.workload.calendar = WindowsCalendar{10, 3, 0.1, 3, 1};
  p.progress.shift = 0.1;
  p.progress.start = 3;
  p.progress.error = error;
  return with_all_costs(p);
}

/// A ring whose queues have another error model.
Params ring_with(const ErrorModel& errors) {
  Params p = busy_ring(5, kSlots);
  p.errors = errors;
  if (std::holds_alternative<DeadlineError>(errors)) p.workload.abandonment = 0;
  return with_all_costs(p);
}
DeadlineError deadlines() {
  DeadlineError k;
  k.slots.given = std::vector<double>{1, 2, 3, 4, 6};
  return k;
}

/// Two hubs, one of which follows the other, and a node that gains from both.
Params sharing_pool() {
  Params p = progress_pool(ExponentialError{});
  p.progress.sharing = {{0, {1, 2, 4}, 0.5}, {1, {2, 3}, 0.3}};
  must_resolve(p);
  return p;
}

}  // namespace

TEST_CASE("step_backward: every error of queues, and progress that is shared") {
  check_costs(ring_with(LinearError{}));
  check_costs(ring_with(MissError{}));
  check_costs(ring_with(deadlines()));
  check_costs(ring_with(AnytimeError{}));
  check_costs(sharing_pool());
  Params reserve = busy_ring(5, kSlots);
  reserve.errors = deadlines();
  reserve.workload.abandonment = 0;
  reserve.pool.need = 0.8;
  reserve.pool.reserve = SharedReserve{0.7, Dispatch::priority};
  check_costs(with_all_costs(reserve));
}

TEST_CASE("step_backward: queues with lag, caps, uneven needs and every cost term") {
  check_costs(with_all_costs(busy_ring(5, kSlots)));
  Params tight = busy_ring(5, kSlots);
  tight.pool.capacity = 1.2;
  check_costs(with_all_costs(tight));
  Params immediate = busy_ring(5, kSlots);
  immediate.pool.lag = 1;
  check_costs(with_all_costs(immediate));
}

TEST_CASE("step_backward: failures") {
  Params p = busy_ring(6, kSlots);
  p.workload.failures = WearFailures{0.3, 1, 0.5, {2, 3}, 0.3, 0.6};
  check_costs(with_all_costs(p));
}

TEST_CASE("step_backward: the reserve, by both dispatch rules") {
  for (const Dispatch dispatch : {Dispatch::optimal, Dispatch::priority}) {
    Params p = busy_ring(5, kSlots);
    p.pool.need = 0.8;
    p.pool.reserve = SharedReserve{0.7, dispatch};
    check_costs(with_all_costs(p));
    Params tight = p;  // the reserve reaches what nodes can do at all
    tight.pool.capacity.given = NodeValues::Uniform{0.9, 1.6};
    tight.pool.budget = 3.5;
    check_costs(with_all_costs(tight));
    std::get<ConstantPart>(p.workload.parts[0]).rate = 1.5;  // overloaded: the pool is always short
    check_costs(with_all_costs(p));
  }
}

TEST_CASE("step_backward: the reserve of unequal needs, of one resource and of three") {
  for (Params p : {busy_ring(5, kSlots), busy_ring_of_three(5, kSlots)}) {
    p.pool.reserve = SharedReserve{0.7, Dispatch::priority};
    check_costs(with_all_costs(p));
    Params tight = p;
    tight.pool.capacity.given = NodeValues::Uniform{0.9, 2};
    check_costs(with_all_costs(tight));
    Params gaps = p;  // some nodes need not what others are short of
    if (!gaps.pool.resources.empty()) {
      gaps.pool.resources[0].need.given = std::vector<double>{1, 0, 0.5, 0, 2};
      gaps.pool.resources[0].budget = 1.5;
      gaps.pool.resources[2].need.given = std::vector<double>{0, 1, 0, 0, 1};
      gaps.pool.resources[2].budget = 1;
      check_costs(with_all_costs(gaps));
      // Overloaded: they run out of another in turn.
      std::get<ConstantPart>(gaps.workload.parts[0]).rate = 1.5;
      gaps.pool.resources[1].budget = 2;
      check_costs(with_all_costs(gaps));
    }
    Params per_resource = p;
    per_resource.pool.action = Action::per_resource;
    check_costs(with_all_costs(per_resource));
    Params late = p;
    late.errors = deadlines();
    late.workload.abandonment = 0;
    check_costs(with_all_costs(late));
    std::get<ConstantPart>(p.workload.parts[0]).rate = 1.5;  // overloaded: the pool is always short
    check_costs(with_all_costs(p));
    Params mixed = busy_ring_of_three(6, kSlots);
    mixed.pool.groups = {{"serving", 3, Dynamics::queue}, {"training", 3, Dynamics::progress}};
    mixed.pool.reserve = p.pool.reserve;
    check_costs(with_all_costs(mixed));
  }
}

TEST_CASE("step_backward: progress with three resources, every error, and a mixed pool") {
  check_costs(progress_pool(PowerLawError{}));
  check_costs(progress_pool(ExponentialError{}));
  check_costs(progress_pool(measured_curve()));
  Params mixed = busy_ring(6, kSlots);
  mixed.pool.groups = {{"serving", 3, Dynamics::queue}, {"training", 3, Dynamics::progress}};
  check_costs(with_all_costs(mixed));
}

TEST_CASE("step_backward: every conflict rule, with one resource, with three, with a reserve") {
  for (const Conflict conflict : {Conflict::none, Conflict::priority, Conflict::round_robin,
                                  Conflict::maxmin, Conflict::gps}) {
    CAPTURE(static_cast<int>(conflict));
    Params one = busy_ring(5, kSlots);
    one.pool.conflict = conflict;
    one.pool.capacity.given = NodeValues::Uniform{0.9, 1.6};
    one.pool.budget = 3.5;
    check_costs(with_all_costs(one));
    Params three = busy_ring_of_three(5, kSlots);
    three.pool.conflict = conflict;
    three.pool.capacity.given = NodeValues::Uniform{0.9, 2};
    check_costs(with_all_costs(three));
    three.pool.reserve = SharedReserve{0.7, Dispatch::priority};
    check_costs(with_all_costs(three));
    Params reserve = one;
    reserve.pool.need = 0.8;
    reserve.pool.reserve = SharedReserve{};
    check_costs(with_all_costs(reserve));
  }
  Params mixed = busy_ring(6, kSlots);
  mixed.pool.groups = {{"serving", 3, Dynamics::queue}, {"training", 3, Dynamics::progress}};
  mixed.pool.conflict = Conflict::gps;
  mixed.workload.failures = WearFailures{0.3, 1, 0.5, {2, 3}, 0.3, 0.6};
  check_costs(with_all_costs(mixed));
}

TEST_CASE("step_backward: weights per resource, and the literal share of the capacity") {
  for (const Action action : {Action::per_resource, Action::raw}) {
    Params one = busy_ring(4, kSlots);
    one.pool.action = action;
    check_costs(with_all_costs(one));
    one.pool.capacity = 4;  // raw: now a large weight asks for more than the budget
    one.pool.budget = 1.5;
    check_costs(with_all_costs(one));
    Params three = busy_ring_of_three(5, kSlots);
    three.pool.action = action;
    check_costs(with_all_costs(three));
    Params reserve = one;
    reserve.pool.need = 0.8;
    reserve.pool.reserve = SharedReserve{};
    check_costs(with_all_costs(reserve));
  }
}

TEST_CASE("observe_backward and settle: gradients through what a policy sees") {
  // Features are floats: their rounding, about 3e-9 of the loss, over a step of 2e-3 is 1e-6, some
  // 2e-4 of the largest gradient. What passes for no kink may err by half the threshold, 2.5e-3. A
  // wrong or missing term is of order one.
  Params ring = with_all_costs(busy_ring(5, kSlots));
  Params reserve = ring;
  reserve.pool.need = 0.8;
  reserve.pool.reserve = SharedReserve{};
  must_resolve(reserve);
  for (const Params& p :
       {ring, reserve, progress_pool(PowerLawError{}), progress_pool(ExponentialError{}),
        ring_with(deadlines()), ring_with(AnytimeError{}), sharing_pool()}) {
    const Report r = compare(p, true, 2e-3, 1);
    CHECK(r.worst < 2.5e-3);
    CHECK(r.compared > r.kinks);
  }
}
