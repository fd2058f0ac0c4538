// A pool that is measured: what a policy is told is what it is told in the simulation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::busy_ring;
using cra::testing::must_resolve;

namespace {

using Doubles = std::vector<double>;
constexpr int kNodes = 5, kSlots = 14;

Params full_pool() {
  Params p = busy_ring(kNodes, kSlots);
  p.pool.groups = {{"queue", 3, Dynamics::queue}, {"progress", 2, Dynamics::progress}};
  p.workload.failures = WearFailures{0.2, 1, 0.5, {2, 3}, 0.3, 0.9};
  p.workload.calendar = WindowsCalendar{6, 2, 0.1, 2, 1};
  p.observation.arrivals_shown = true;
  must_resolve(p);
  return p;
}

Doubles row(const Doubles& x, const Exogenous& of, int slot) {
  if (x.empty()) return {};
  const auto from = x.begin() + static_cast<std::ptrdiff_t>(of.at(0, slot));
  return {from, from + kNodes};
}

/// What could be measured of a simulated pool before slot b.slot.
Measurement measured(const Params& p, const Exogenous& x, const Batch& b) {
  Measurement m;
  for (const MeasuredField& f : measured_fields(p)) {
    using M = Measurement;
    const bool begun = b.slot > 0;
    Doubles& to = m.*f.column;
    if (f.told == Told::first && begun) continue;
    if (f.column == &M::arrivals && begun) to = row(x.arrivals, x, b.slot - 1);
    if (f.column == &M::availability && begun) to = row(x.availability, x, b.slot - 1);
    if (f.column == &M::backlog && begun) to = b.backlog;
    if (f.column == &M::error && begun) to = b.error;
    if (f.column == &M::progress && begun) {
      to = b.progress;
      for (int n = 0; n < kNodes; ++n)
        if (!p.pool.is_progress(n)) to[static_cast<std::size_t>(n)] = 0;
    }
    if (f.column == &M::importance)
      for (int t = b.slot; t < std::min(kSlots, b.slot + f.most_rows); ++t)
        for (const double w : row(x.importance, x, t)) to.push_back(w);
    if (f.column == &M::health) to = row(x.health, x, b.slot);
    if (f.column == &M::window) to = row(x.window, x, b.slot);
    if (f.column == &M::arrivals_now) to = row(x.arrivals, x, b.slot);
    if (f.column == &M::available_now) to = row(x.availability, x, b.slot);
  }
  return m;
}

Doubles weights(int t) {
  Draws draws(7, EpisodeSet::training, 0, Stream::exploration, 0, t);
  Doubles w;
  for (int n = 0; n < kNodes; ++n) w.push_back(draws.uniform());
  return w;
}

/// The refusal of a measurement, "" when it is taken.
std::string refusal(Tracker& tracker, const Measurement& m) {
  try {
    tracker.advance(m);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("tracker: told what is measured, it shows what Sight shows of the simulation") {
  std::vector<Params> pools{busy_ring(kNodes, kSlots), full_pool(), full_pool()};
  pools[2].observation.hidden = {"importance", "arrivals"};
  pools.push_back(busy_ring(kNodes, kSlots));
  DeadlineError deadline;
  deadline.slots.given = 4.0;
  pools.back().errors = deadline;
  pools.back().workload.abandonment = 0;
  for (std::size_t i = 0; i < 3; ++i) pools[i].observation.memory = 3;
  for (Params& p : pools) {
    must_resolve(p);
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
    Batch b = reset(p, x, {0});
    Sight sight(p);
    Tracker tracker(p);
    for (int t = 0; t < kSlots; ++t) {
      const Batch& expected = sight.look(b);
      if (t == 0) tracker.start(measured(p, x, b));
      if (t > 0) tracker.advance(measured(p, x, b));
      const Batch& seen = tracker.seen();
      CAPTURE(t);
      CHECK(seen.slot == expected.slot);
      using B = Batch;
      for (const auto column :
           {&B::backlog,          &B::progress,      &B::rate,       &B::arrivals_fast,
            &B::arrivals_slow,    &B::arrivals_last, &B::importance, &B::error,
            &B::availability,     &B::down_slots,    &B::health,     &B::window,
            &B::arrivals_now,     &B::available_now, &B::margin,     &B::margin_ahead,
            &B::importance_ahead, &B::young,         &B::base_rate,  &B::arrivals_before}) {
        const Doubles &found = seen.*column, &wanted = expected.*column;
        REQUIRE(found.size() == wanted.size());
        // A few roundings: the fast path for plain queues divides by other numbers.
        for (std::size_t n = 0; n < found.size(); ++n)
          CHECK(std::abs(found[n] - wanted[n]) <= 1e-14 * std::max(1.0, std::abs(wanted[n])));
      }
      const Doubles w = weights(t);
      const Command c = tracker.command({w.data(), 1, kNodes});
      step_bundles(p, x, b, {w.data(), 1, kNodes});
      CHECK(c.slot == t);
      for (std::size_t n = 0; n < kNodes; ++n)
        CHECK(c.grant[n] == doctest::Approx(b.grant[n]).epsilon(1e-13));
    }
  }
}

TEST_CASE("tracker: what only the simulator knows cannot be tracked") {
  Params p = busy_ring(kNodes, kSlots);
  p.observation.memory = 2;
  p.observation.noiseless = true;
  must_resolve(p);
  CHECK_THROWS_WITH_AS(Tracker{p}, doctest::Contains("observation.noiseless"), Error);
}

TEST_CASE("tracker: what is wrong is named, and changes nothing") {
  const Params p = full_pool();
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  Tracker tracker(p);
  const Measurement first = measured(p, x, b);
  CHECK_THROWS_AS(tracker.hold(), Error);
  tracker.start(first);
  const Doubles w = weights(0);
  CHECK(refusal(tracker, first) ==
        "a state was measured before anything was decided on the one before it");
  tracker.command({w.data(), 1, kNodes});
  step_bundles(p, x, b, {w.data(), 1, kNodes});
  const Measurement good = measured(p, x, b);
  const auto changed = [&](Doubles Measurement::*column, Doubles to) {
    Measurement m = good;
    m.*column = std::move(to);
    return refusal(tracker, m);
  };
  using M = Measurement;
  const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
  CHECK(changed(&M::backlog, {}) ==
        "backlog is missing: work waiting at the end of the slot that ended");
  CHECK(changed(&M::backlog, {1, 2}) == "backlog has 2 numbers, expected 5, one for each node");
  CHECK(changed(&M::backlog, {0, 0, nan, 0, 0}) == "backlog of node 2 is not finite");
  CHECK(changed(&M::arrivals, {0, 0, 0, infinite, 0}) == "arrivals of node 3 is not finite");
  CHECK(changed(&M::arrivals, {-1, 0, 0, 0, 0}) ==
        "arrivals of node 0 is -1.000000, expected a number >= 0");
  CHECK(changed(&M::availability, {1, 1, 1, 1, 1.5}) ==
        "availability of node 4 is 1.500000, expected a number in [0, 1]");
  CHECK(changed(&M::backlog, {0, 0, 0, 1, 0}) ==
        "backlog of node 3 is 1.000000, expected 0: that node has none");
  CHECK(changed(&M::importance, Doubles(7, 1)) ==
        "importance has 7 numbers, expected 5, one for each node, for each of 1 to 30 slots to "
        "come");
  CHECK(changed(&M::health, {-3, 0, 0, 0, 0}) == "");  // a noisy sign may be below 0
  CHECK(tracker.seen().slot == 1);
}
