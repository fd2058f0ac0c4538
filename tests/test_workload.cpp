// Workload parts, failures and calendars: what their parameters promise.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

namespace {

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

/// A pool whose only work is one part, without noise.
Params with_part(WorkloadPart part, int nodes = 6, int slots = 60) {
  Params p = quiet_pool(nodes, slots, 0);
  p.workload.parts = {std::move(part)};
  must_resolve(p);
  return p;
}

Exogenous many(const Params& p, std::int64_t episodes = 300) {
  return draw(p, 9, EpisodeSet::training, 0, episodes);
}

}  // namespace

TEST_CASE("workload parts: the mean of each is what its parameters say") {
  // Tolerances: a few standard errors over 300 episodes, correlated within each.
  BurstsPart bursts;  // storm share .03 / .07, a burst in 40 % of its slots, 2.5 slots of height 3,
                      // 6 nodes
  CHECK(mean_of(many(with_part(bursts)).arrivals) ==
        doctest::Approx(.03 / .07 * .4 * 2.5 * 3 / 6).epsilon(.07));
  bursts.width = 2;
  CHECK(mean_of(many(with_part(bursts)).arrivals) ==
        doctest::Approx(.03 / .07 * .4 * 2.5 * 3 / 3).epsilon(.07));
  DiurnalPart diurnal;
  diurnal.rate = 0.5;
  CHECK(mean_of(many(with_part(diurnal)).arrivals) == doctest::Approx(0.5).epsilon(.03));
  RegimePart regime;
  CHECK(mean_of(many(with_part(regime)).arrivals) == doctest::Approx(0.5).epsilon(.04));
  DriftPart drift;
  CHECK(mean_of(many(with_part(drift)).arrivals) == doctest::Approx(0.5).epsilon(.02));
  HeavyTailPart heavy;
  const Params p = with_part(heavy);
  const double job = (1.5 * .1 - .1 * std::pow(.1 / 20, .5)) / .5;  // Pareto 1.5 from .1, cut at 20
  CHECK(base_rate(p)[0] == doctest::Approx(.2 * job).epsilon(1e-12));
  CHECK(mean_of(many(p, 2000).arrivals) == doctest::Approx(.2 * job).epsilon(.04));
}

TEST_CASE("diurnal: a wave of its period and phase") {
  DiurnalPart part;
  part.rate = 1;
  part.swing = 0.5;
  part.period = 20;
  part.random_start = false;
  part.phase.given = std::vector<double>{0, 0.25};
  const Exogenous x = draw(with_part(part, 2, 40), 1, EpisodeSet::training, 0, 1);
  CHECK(x.arrivals[x.at(0, 0)] == doctest::Approx(1));
  CHECK(x.arrivals[x.at(0, 0) + 1] == doctest::Approx(1.5));
  CHECK(x.arrivals[x.at(0, 5)] == doctest::Approx(1.5));
  CHECK(x.arrivals[x.at(0, 25)] == doctest::Approx(1.5));
  CHECK(x.arrivals[x.at(0, 15)] == doctest::Approx(0.5));
}

TEST_CASE("drift: levels stay between their limits and wander") {
  DriftPart part;
  part.rate = 1;
  part.spread = 0.5;
  part.low = 0.8;
  part.high = 1.3;
  const Exogenous x = many(with_part(part), 20);
  CHECK(*std::min_element(x.arrivals.begin(), x.arrivals.end()) == doctest::Approx(0.8));
  CHECK(*std::max_element(x.arrivals.begin(), x.arrivals.end()) == doctest::Approx(1.3));
}

TEST_CASE("failures: repairs last as long as said, warnings come first, the signal tells") {
  Params p = quiet_pool(8, 150, 0.5);
  WearFailures wear;
  wear.worn_capacity = 0.9;
  p.workload.failures = wear;
  must_resolve(p);
  const Exogenous x = many(p, 60);
  int repairs = 0;
  double healthy = 0, worn = 0, healthy_count = 0, worn_count = 0;
  for (std::int64_t i = 0; i < 60; ++i)
    for (std::size_t n = 0; n < 8; ++n) {
      int worn_for = 0, down_for = 0;
      bool seen_start = false;
      for (int t = 0; t < 150; ++t) {
        const double up = x.availability[x.at(i, t) + n], signal = x.health[x.at(i, t) + n];
        if (up == 1) (healthy += signal, ++healthy_count);
        if (up == 0.9) (worn += signal, ++worn_count);
        if (up == 0 && down_for == 0) seen_start = t > 0;
        if (up == 0 && down_for == 0 && t > 30) CHECK(worn_for >= wear.warning);
        if (up != 0 && down_for > 0) {
          if (seen_start) {
            CHECK(down_for >= 6);
            CHECK(down_for <= 10);
            ++repairs;
          }
          down_for = 0;
        }
        worn_for = up == 0.9 ? worn_for + 1 : up == 1 ? 0 : worn_for;
        if (up == 0) ++down_for;
      }
    }
  CHECK(repairs > 300);
  CHECK(std::fabs(healthy / healthy_count) < 5 * .35 / std::sqrt(healthy_count));
  CHECK(std::fabs(worn / worn_count - 1) < 5 * .35 / std::sqrt(worn_count));
  // Cycle: 1 / .012 healthy, about 5 + 1 / .4 worn, 8 down; over 93 slots per cycle.
  const double down = double(std::count(x.availability.begin(), x.availability.end(), 0.0)) /
                      double(x.availability.size());
  CHECK(down == doctest::Approx(8 / (1 / .012 + 5 + 1 / .4 + 8)).epsilon(.1));
}

TEST_CASE("failures: a node that is down serves nothing; policies learn of it one slot later") {
  Params p = quiet_pool(2, 3, 0.5);
  p.workload.failures = WearFailures{};
  must_resolve(p);
  Exogenous x = many(p, 1);
  std::fill(x.availability.begin(), x.availability.end(), 1.0);
  x.availability[x.at(0, 1)] = 0;
  Batch b = reset(p, x, {0});
  const std::vector<double> even{1, 1};
  step(p, x, b, {even.data(), 1, 2});
  CHECK(b.served[0] > 0);
  CHECK(b.availability[0] == 1);
  step(p, x, b, {even.data(), 1, 2});
  CHECK(b.served[0] == 0);
  CHECK(b.availability[0] == 0);
  CHECK(b.down_slots[0] == 1);
  step(p, x, b, {even.data(), 1, 2});
  CHECK(b.served[0] > 0);
  CHECK(b.down_slots[0] == 0);
}

TEST_CASE("calendar: windows keep the mean importance, and tell how far they are") {
  Params p = quiet_pool(8, 100, 0.5);
  p.workload.importance = 2;
  p.workload.calendar = WindowsCalendar{};
  must_resolve(p);
  const Exogenous x = many(p, 40);
  CHECK(mean_of(x.importance) == doctest::Approx(2).epsilon(1e-9));  // two whole cycles
  const double inside = 2 * (50 - .1 * 42) / 8;
  for (std::int64_t i = 0; i < 40; ++i)
    for (int t = 0; t + 1 < 100; ++t)
      for (std::size_t n = 0; n < 8; ++n) {
        const double w = x.importance[x.at(i, t) + n], ahead = x.window[x.at(i, t) + n];
        CHECK(w == doctest::Approx(ahead == 0 ? inside : .2));
        if (ahead > 0) CHECK(x.window[x.at(i, t + 1) + n] == ahead - 1);
      }
  p.workload.calendar = WalkCalendar{};
  must_resolve(p);
  const Exogenous walk = many(p, 40);
  CHECK(*std::min_element(walk.importance.begin(), walk.importance.end()) > 0);
  CHECK(walk.importance[walk.at(0, 50)] != walk.importance[walk.at(0, 51)]);
}

TEST_CASE("resolve: pairs in the wrong order and windows as long as their cycle are refused") {
  Params p = quiet_pool(2, 10, 0.5);
  p.workload.parts.push_back(BurstsPart{0.1, 0.1, 0.1, {5, 2}, 1, 1});
  DriftPart drift;
  drift.low = 1;
  p.workload.failures = WearFailures{0.1, 1, 0.5, {9, 3}, 0, 1};
  p.workload.calendar = WindowsCalendar{10, 10, 0.1, 1, 0};
  const std::vector<Problem> all = resolve(p, 1);
  REQUIRE(all.size() == 3);
  CHECK(all[0].path + " " + all[0].text ==
        "workload.parts[1].length is [5, 2], expected the smaller number first");
  CHECK(all[1].path == "workload.failures.down");
  CHECK(all[2].path + " " + all[2].text ==
        "workload.calendar.length is 10, expected less than the period of 10");
}
