// From decisions to commanded rates: actions, conflict rules, lending within a slot.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::busy_ring;
using cra::testing::busy_ring_of_three;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

namespace {

using Numbers = std::vector<double>;

const Conflict kRules[] = {Conflict::waterfill,   Conflict::none,   Conflict::priority,
                           Conflict::round_robin, Conflict::maxmin, Conflict::gps};

Numbers random_decisions(const Params& p, std::int64_t envs, int t) {
  Numbers d;
  for (std::int64_t k = 0; k < envs * decision_size(p); ++k)
    d.push_back(std::exp(
        2 *
        Draws(7, EpisodeSet::training, t, Stream::exploration, static_cast<int>(k), 0).normal()));
  return d;
}

/// Uncapped shares of ten are (5, 3, 2); the first node can take 3.
Params three_nodes(Conflict conflict) {
  Params p = quiet_pool(3, 4, 0);
  p.pool.capacity.given = Numbers{3, 10, 10};
  p.pool.budget = 10;
  p.pool.lag = 1;
  p.pool.conflict = conflict;
  must_resolve(p);
  return p;
}

/// Commanded rates of weights (5, 3, 2) in the given slot.
Numbers granted(const Params& p, int slot = 0) {
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  b.slot = slot;
  const Numbers w{5, 3, 2};
  step(p, x, b, {w.data(), 1, 3});
  return b.grant;
}

void check_near(const Numbers& found, const Numbers& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("conflict: who gets the two units that the first node cannot take") {
  check_near(granted(three_nodes(Conflict::waterfill)), {3, 4.2, 2.8});
  check_near(granted(three_nodes(Conflict::gps)), {3, 4.2, 2.8});
  check_near(granted(three_nodes(Conflict::none)), {3, 3, 2});
  check_near(granted(three_nodes(Conflict::maxmin)), {3, 4, 3});
  Params p = three_nodes(Conflict::priority);
  check_near(granted(p), {3, 5, 2});  // a tie goes to the lower index
  p.workload.importance.given = Numbers{1, 1, 2};
  must_resolve(p);
  check_near(granted(p), {3, 3, 4});
  p.pool.capacity.given = Numbers{3, 10, 3};  // the most important is full after one unit
  must_resolve(p);
  check_near(granted(p), {3, 4, 3});
  p = three_nodes(Conflict::round_robin);
  p.pool.quantum = 0.75;
  check_near(granted(p, 0), {3, 4.25, 2.75});  // turns of nodes 1, 2, then what is left
  check_near(granted(p, 2), {3, 3.75, 3.25});  // node 2 is first
  p.pool.quantum = 1e-3;                       // many rounds: as good as equal
  check_near(granted(p), {3, 4, 3});
}

TEST_CASE("conflict: what nobody gets is reported, and only where there is any") {
  for (const Conflict rule : kRules) {
    const Params p = three_nodes(rule);
    const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
    Batch b = reset(p, x, {0});
    const Numbers w{5, 3, 2};
    step(p, x, b, {w.data(), 1, 3});
    CHECK(b.waste[0] == doctest::Approx(rule == Conflict::none ? 0.2 : 0).epsilon(1e-12));
  }
}

TEST_CASE("action raw: about 1/N of the pool is used, never more than the budget") {
  Params p = quiet_pool(4, 2, 0);
  p.pool.capacity.given = Numbers{4, 3, 2, 1};
  p.pool.budget = 10;
  p.pool.action = Action::raw;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  const Numbers w{4, 3, 2, 1};
  step(p, x, b, {w.data(), 1, 4});
  check_near(b.grant, {1.6, 0.9, 0.4, 0.1});  // the sources' example: .30 of the pool
  p.pool.budget = 2;
  must_resolve(p);
  b = reset(p, x, {0});
  step(p, x, b, {w.data(), 1, 4});
  check_near(b.grant, {1.6 / 1.5, 0.9 / 1.5, 0.4 / 1.5, 0.1 / 1.5});
}

TEST_CASE("action per_resource: a node runs at what it has least of; the rest is waste") {
  Params p = quiet_pool(2, 2, 0);
  for (const char* name : {"compute", "bandwidth"}) {
    Resource r;
    r.name = name;
    r.budget = 2;
    p.pool.resources.push_back(r);
  }
  p.pool.action = Action::per_resource;
  must_resolve(p);
  REQUIRE(decision_size(p) == 4);
  REQUIRE(bundle_size(p) == 2);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  const Numbers decision{1, 1, 1, 3};
  step(p, x, b, {decision.data(), 1, 4});
  check_near(b.grant, {0.5, 1});
  CHECK(b.waste[0] == doctest::Approx(0.25).epsilon(1e-12));  // (.5 / 2 + .5 / 2) / 2
}

TEST_CASE("rates stay inside caps and budgets, and no rule leaves what somebody could take") {
  for (const int n : {1, 31, 32, 33})
    for (const bool three : {false, true}) {
      std::vector<Params> pools;
      for (const Conflict rule : kRules) {
        pools.push_back(three ? busy_ring_of_three(n, 8) : busy_ring(n, 8));
        pools.back().pool.conflict = rule;
      }
      for (const Action action : {Action::per_resource, Action::raw}) {
        pools.push_back(pools[0]);
        pools.back().pool.action = action;
      }
      for (Params& p : pools) {
        p.cost.use = 0.3;
        must_resolve(p);
        CAPTURE(n);
        CAPTURE(three);
        CAPTURE(static_cast<int>(p.pool.conflict));
        CAPTURE(static_cast<int>(p.pool.action));
        const Exogenous x = draw(p, 2, EpisodeSet::training, 0, 3);
        Batch b = reset(p, x, {0, 1, 2});
        for (int t = 0; t < 8; ++t) {
          const Batch before = b;
          const Numbers d = random_decisions(p, 3, t);
          step(p, x, b, {d.data(), 3, decision_size(p)});
          for (std::size_t e = 0; e < 3; ++e) {
            const std::size_t row = b.at(static_cast<std::int64_t>(e));
            double use = 0;
            bool used_up = false, all_capped = true;
            for (int k = 0; k < p.pool.resource_count(); ++k) {
              const double budget = p.pool.budgets[static_cast<std::size_t>(k)];
              double used = 0, done = 0, placed = 0;
              for (int i = 0; i < n; ++i) {
                const std::size_t at = row + static_cast<std::size_t>(i);
                used += p.pool.need_of(i, k) * b.grant[at];
                done += p.pool.need_of(i, k) * b.served[at];
                placed += p.pool.need_of(i, k) * b.rate[at];
              }
              CHECK(used <= budget * (1 + 1e-9));
              CHECK(done <= placed * (1 + 1e-9));  // lending never serves more than is placed
              used_up = used_up || used >= budget * (1 - 1e-9);
              use += used / budget / p.pool.resource_count();
            }
            for (std::size_t i = row; i < row + static_cast<std::size_t>(n); ++i) {
              const double cap = p.pool.capacity[static_cast<int>(i - row)];
              CHECK(b.grant[i] >= 0);
              CHECK(b.grant[i] <= cap * (1 + 1e-12));
              CHECK(b.served[i] <= cap * (1 + 1e-12));
              all_capped = all_capped && b.grant[i] >= cap * (1 - 1e-12);
              const std::size_t from = x.at(before.episode[e], t) + (i - row);
              CHECK(b.served[i] + b.lost[i] + b.backlog[i] ==
                    doctest::Approx(before.backlog[i] + x.arrivals[from]).epsilon(1e-9));
            }
            const bool wasteful =
                p.pool.conflict == Conflict::none || p.pool.action != Action::bundle;
            CHECK((wasteful || used_up || all_capped));
            CHECK(b.waste[e] >= -1e-12);
            CHECK(b.use_cost[e] == doctest::Approx(0.3 * use).epsilon(1e-12));  // as commanded
          }
        }
      }
    }
}

TEST_CASE("gps: what a node has no work for serves the others by weight, within the slot") {
  Params p = three_nodes(Conflict::gps);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {1, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  Batch b = reset(p, x, {0});
  const Numbers w{5, 3, 2};
  step(p, x, b, {w.data(), 1, 3});
  check_near(b.served, {1, 4.2 + 1.2, 2.8 + 0.8});
  check_near(b.rate, {3, 4.2, 2.8});  // nothing was moved
  // A node that is down lends all it has; the one that has too little work takes what it needs.
  x.arrivals = {9, 4.5, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  std::fill_n(x.availability.begin(), 3, 1.0);
  x.availability[0] = 0;
  x.steady = false;
  b = reset(p, x, {0});
  step(p, x, b, {w.data(), 1, 3});
  check_near(b.served, {0, 4.5, 5.5});
}

TEST_CASE("expand: a bundle per resource grants what the bundle grants") {
  for (const int n : {1, 5, 32}) {
    Params bundle = busy_ring_of_three(n, 4);
    Params split = bundle;
    split.pool.action = Action::per_resource;
    const Exogenous x = draw(bundle, 2, EpisodeSet::training, 0, 2);
    Batch a = reset(bundle, x, {0, 1}), b = reset(split, x, {0, 1});
    for (int t = 0; t < 4; ++t) {
      const Numbers w = random_decisions(bundle, 2, t);
      step_bundles(bundle, x, a, {w.data(), 2, n});
      step_bundles(split, x, b, {w.data(), 2, n});
      // Weights within a factor of 1e9, as here, are not raised on the way.
      for (std::size_t i = 0; i < a.grant.size(); ++i)
        CHECK(b.grant[i] == doctest::Approx(a.grant[i]).epsilon(1e-9));
    }
  }
  // Where a node needs nothing of what is scarce, it is granted no less.
  Params p = busy_ring_of_three(3, 4);
  p.pool.resources[0].need.given = Numbers{2, 2, 0};
  must_resolve(p);
  Params split = p;
  split.pool.action = Action::per_resource;
  const Exogenous x = draw(p, 2, EpisodeSet::training, 0, 1);
  Batch a = reset(p, x, {0}), b = reset(split, x, {0});
  const Numbers w{1, 2, 1};
  step_bundles(p, x, a, {w.data(), 1, 3});
  step_bundles(split, x, b, {w.data(), 1, 3});
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(b.grant[i] >= a.grant[i] * (1 - 1e-8));  // weights of 0 are raised
}

TEST_CASE("expand: tilts multiply the shares of resources; equal ones change no bit") {
  Params p = busy_ring_of_three(3, 2);
  CHECK(is_bundle(p, 3));
  CHECK_FALSE(is_bundle(p, 3 + 9));
  p.pool.action = Action::per_resource;
  REQUIRE(tilted_size(p) == 3 + 9);
  CHECK(is_bundle(p, 3));
  CHECK(is_bundle(p, 3 + 9));
  CHECK_FALSE(is_bundle(p, 9));
  Numbers w = random_decisions(p, 1, 0), plain(9), tilted(9);
  w.resize(3);
  expand(p, {w.data(), 1, 3}, {plain.data(), 1, 9});
  w.resize(12, 1.0);
  expand(p, {w.data(), 1, 12}, {tilted.data(), 1, 9});
  CHECK(tilted == plain);
  for (std::size_t i = 3; i < 12; ++i) w[i] = 0.1 * static_cast<double>(i);
  expand(p, {w.data(), 1, 12}, {tilted.data(), 1, 9});
  for (std::size_t i = 0; i < 9; ++i) CHECK(tilted[i] == plain[i] * w[i + 3]);
}

TEST_CASE("expand_backward: central differences, with and without tilts") {
  for (const bool reserve : {false, true})
    for (const bool tilt : {false, true}) {
      Params p = busy_ring_of_three(6, 2);
      p.pool.action = Action::per_resource;
      p.pool.capacity = 1.1;
      if (reserve) p.pool.reserve = SharedReserve{0.7, Dispatch::priority};
      must_resolve(p);
      const int size = decision_size(p), count = tilt ? tilted_size(p) : bundle_size(p);
      Numbers w, d_decisions, d_bundle(static_cast<std::size_t>(count)),
          out(static_cast<std::size_t>(size));
      for (int k = 0; k < size; ++k)
        d_decisions.push_back(Draws(1, EpisodeSet::training, 0, Stream::noise, k, 0).normal());
      for (int i = 0; i < count; ++i)
        w.push_back(std::exp(Draws(2, EpisodeSet::training, 0, Stream::noise, i, 0).normal()));
      if (reserve) w[6] = 0.3;
      const auto loss = [&](const Numbers& bundle) {
        expand(p, {bundle.data(), 1, count}, {out.data(), 1, size});
        return std::inner_product(out.begin(), out.end(), d_decisions.begin(), 0.0);
      };
      expand_backward(p, {w.data(), 1, count}, {d_decisions.data(), 1, size},
                      {d_bundle.data(), 1, count});
      for (std::size_t i = 0; i < w.size(); ++i) {
        Numbers up = w, down = w;
        up[i] += 1e-6;
        down[i] -= 1e-6;
        // Rounding of a loss of order 1 over 2e-6: about 1e-10.
        CHECK(d_bundle[i] ==
              doctest::Approx((loss(up) - loss(down)) / 2e-6).epsilon(1e-6).scale(1));
      }
    }
}

TEST_CASE("resolve: mechanisms of a pool that do not go together are refused") {
  const auto problems = [](const auto& change) {
    Params p = busy_ring(3, 4);
    change(p);
    return resolve(p, 1);
  };
  const auto raw = problems([](Params& p) {
    p.pool.action = Action::raw;
    p.pool.conflict = Conflict::maxmin;
  });
  REQUIRE(raw.size() == 1);
  CHECK(raw[0].path == "pool.conflict");
  const auto lottery = problems([](Params& p) {
    p.pool.need = 1;
    p.pool.service = LotteryService{};
    p.pool.reserve = SharedReserve{};
    p.pool.conflict = Conflict::none;
  });
  REQUIRE(lottery.size() == 2);
  CHECK(lottery[0].path == "pool.service");
}
