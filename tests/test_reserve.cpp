// The reserve: dispatch rules, its budget, its place in the decision.
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
using cra::testing::must_resolve;

namespace {

struct Case {
  std::vector<double> load, limit, importance, scale;
  double pool;
};

Case random_case(int n, int trial) {
  Case c;
  for (int i = 0; i < n; ++i) {
    Draws d(3, EpisodeSet::training, trial, Stream::noise, i, n);
    c.load.push_back(d.uniform() < 0.3 ? 0 : 4 * d.uniform());
    c.limit.push_back(c.load.back() * std::min(1.0, 1.5 * d.uniform()));
    c.importance.push_back(d.uniform() < 0.1 ? 0 : 2 * d.uniform());
    c.scale.push_back(0.5 + 2 * d.uniform());
  }
  const double total = std::accumulate(c.limit.begin(), c.limit.end(), 0.0);
  c.pool = total * 1.3 * Draws(4, EpisodeSet::training, trial, Stream::noise, 0, n).uniform();
  return c;
}

double error_of(const Case& c, const std::vector<double>& u) {
  double sum = 0;
  for (std::size_t i = 0; i < u.size(); ++i)
    sum += c.importance[i] * backlog_phi((c.load[i] - u[i]) / c.scale[i]);
  return sum;
}

}  // namespace

TEST_CASE("dispatch: both rules stay inside limits and pool, and use the pool up when they can") {
  for (const int n : {1, 2, 31, 32, 33, 1000})
    for (int trial = 0; trial < 20; ++trial) {
      const Case c = random_case(n, trial);
      const double total = std::accumulate(c.limit.begin(), c.limit.end(), 0.0);
      std::vector<double> u(c.load.size());
      CAPTURE(n);
      CAPTURE(trial);
      for (const bool optimal : {false, true}) {
        if (optimal) {
          dispatch_optimally(c.load.data(), c.limit.data(), c.importance.data(), c.scale.data(),
                             c.pool, u.data(), n);
        } else {
          dispatch_by_priority(c.limit.data(), c.importance.data(), c.pool, u.data(), n);
        }
        const double used = std::accumulate(u.begin(), u.end(), 0.0);
        CHECK(used <= c.pool * (1 + 1e-9));
        for (std::size_t i = 0; i < u.size(); ++i) {
          CHECK(u[i] >= 0);
          CHECK(u[i] <= c.limit[i] * (1 + 1e-12));
        }
        if (!optimal) CHECK(used == doctest::Approx(std::min(c.pool, total)).epsilon(1e-9));
        if (!optimal) continue;
        // Optimal leaves alone what does not matter while the pool is short. The level is found to
        // some roundings of a sum of n numbers: n 2^-50 of the total.
        double wanted = 0;
        for (std::size_t i = 0; i < u.size(); ++i) wanted += c.importance[i] > 0 ? c.limit[i] : 0;
        CHECK(used ==
              doctest::Approx(total <= c.pool ? total : std::min(c.pool, wanted)).epsilon(1e-11));
      }
    }
}

TEST_CASE("dispatch_optimally: no transfer between two nodes lowers the error") {
  for (int trial = 0; trial < 200; ++trial) {
    const int n = 6;
    const Case c = random_case(n, trial);
    std::vector<double> u(6), v(6);
    dispatch_optimally(c.load.data(), c.limit.data(), c.importance.data(), c.scale.data(), c.pool,
                       u.data(), n);
    const double best = error_of(c, u);
    dispatch_by_priority(c.limit.data(), c.importance.data(), c.pool, v.data(), n);
    CHECK(best <= error_of(c, v) + 1e-12);
    for (std::size_t a = 0; a < 6; ++a)
      for (std::size_t b = 0; b < 6; ++b) {
        const double move = std::min({1e-3, u[a], c.limit[b] - u[b]});
        if (a == b || move <= 0) continue;
        std::vector<double> w = u;
        w[a] -= move;
        w[b] += move;
        CHECK(error_of(c, w) >= best - 1e-12);
      }
  }
}

TEST_CASE(
    "reserve: a burst is served in its slot, at its efficiency, from what was kept and not "
    "placed") {
  // Two nodes, budget 2, lag 1: with half kept back each node has a rate of .5, the pool is .7.
  Params p = cra::testing::quiet_pool(2, 1, 0);
  p.pool.lag = 1;
  p.pool.reserve = SharedReserve{0.7, Dispatch::optimal};
  must_resolve(p);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {3, 0};
  Batch b = reset(p, x, {0});
  const std::vector<double> decision{1, 1, 0.5};
  step(p, x, b, {decision.data(), 1, 3});
  CHECK(b.rate[0] == doctest::Approx(.5));
  CHECK(b.served[0] == doctest::Approx(.5));
  CHECK(b.dispatched[0] == doctest::Approx(.7));
  CHECK(b.dispatched[1] == 0);
  CHECK(b.backlog[0] == doctest::Approx((3 - 1.2) * .98));
  // With lag the placed rate falls slowly, and the pool is only what it has freed.
  p.pool.lag = 0.5;
  b = reset(p, x, {0});
  step(p, x, b, {decision.data(), 1, 3});
  CHECK(b.rate[0] == doctest::Approx(.75));
  CHECK(b.dispatched[0] == doctest::Approx(.7 * .5));
}

TEST_CASE("reserve: budgets, caps and work balance hold under random decisions") {
  for (const Dispatch dispatch : {Dispatch::optimal, Dispatch::priority}) {
    Params p = busy_ring(9, 60);
    p.pool.need = 1;
    p.pool.reserve = SharedReserve{0.7, dispatch};
    p.workload.failures = WearFailures{};
    must_resolve(p);
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 4);
    Batch b = reset(p, x, {0, 1, 2, 3});
    std::vector<double> in(4, 0), out(4, 0), decision(40);
    for (int t = 0; t < 60; ++t) {
      for (std::size_t k = 0; k < 40; ++k)
        decision[k] = Draws(8, EpisodeSet::training, t, Stream::exploration, static_cast<int>(k), 0)
                          .uniform();
      step(p, x, b, {decision.data(), 4, 10});
      for (std::int64_t e = 0; e < 4; ++e) {
        double used = 0;
        for (std::size_t n = 0; n < 9; ++n) {
          const std::size_t i = b.at(e) + n;
          const double cap = p.pool.capacity[static_cast<int>(n)] * x.availability[x.at(e, t) + n];
          CHECK(b.served[i] + b.dispatched[i] <= cap * (1 + 1e-9) + 1e-12);
          CHECK(b.backlog[i] >= 0);
          used += b.rate[i] + b.dispatched[i] / 0.7;
          in[static_cast<std::size_t>(e)] += x.arrivals[x.at(e, t) + n];
          out[static_cast<std::size_t>(e)] += b.served[i] + b.dispatched[i] + b.lost[i];
        }
        CHECK(used <= p.pool.budget * (1 + 1e-9));
      }
    }
    for (std::int64_t e = 0; e < 4; ++e) {
      const double* q = b.backlog.data() + b.at(e);
      const auto at = static_cast<std::size_t>(e);
      CHECK(in[at] == doctest::Approx(out[at] + std::accumulate(q, q + 9, 0.0)).epsilon(1e-9));
    }
  }
}

TEST_CASE("reserve: with a need of 1/2 it serves twice the work") {
  Params p = cra::testing::quiet_pool(2, 1, 0);
  p.pool.lag = 1;
  p.pool.need = 0.5;
  p.pool.reserve = SharedReserve{0.7, Dispatch::optimal};
  must_resolve(p);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {3.5, 0};
  Batch b = reset(p, x, {0});
  const std::vector<double> decision{1, 1, 0.5};
  step(p, x, b, {decision.data(), 1, 3});
  CHECK(b.served[0] == doctest::Approx(1));
  CHECK(b.dispatched[0] == doctest::Approx(1.4));
}

TEST_CASE(
    "reserve: several resources by hand, shares, then what still fits in order of importance") {
  // All is kept back, so nothing is placed; half of it is work. Node 2 has no need of the second
  // resource, which runs out: importance * work (1, 1, .75) asks for 2 of the 1 that is there.
  Params p = cra::testing::quiet_pool(3, 1, 0);
  p.pool.lag = 1;
  p.pool.resources.resize(2);
  p.pool.resources[0].name = "first";
  p.pool.resources[0].budget = 6;
  p.pool.resources[1].budget = 2;
  p.pool.resources[1].need.given = std::vector<double>{1, 1, 0};
  p.pool.reserve = SharedReserve{0.5, Dispatch::priority};
  p.workload.importance.given = std::vector<double>{1, .5, .25};
  must_resolve(p);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {1, 2, 3};
  Batch b = reset(p, x, {0});
  const std::vector<double> decision{1, 1, 1, 1};
  step(p, x, b, {decision.data(), 1, 4});
  CHECK(b.rate[0] == 0);
  CHECK(b.dispatched[0] == doctest::Approx(.5));
  CHECK(b.dispatched[1] == doctest::Approx(.5));
  CHECK(b.dispatched[2] == doctest::Approx(.375 + 1.625));  // the rest of the 3 of the first
}

TEST_CASE("reserve: the same resource twice is as good as once") {
  Params one = busy_ring(6, 40), two = one;
  one.pool.need = two.pool.need = 0.8;
  one.pool.reserve = two.pool.reserve = SharedReserve{0.7, Dispatch::priority};
  two.pool.resources.resize(2);
  two.pool.resources[0].name = "first";
  for (Resource& r : two.pool.resources) {
    r.need = 0.8;
    r.budget = one.pool.budget;
  }
  must_resolve(one);
  must_resolve(two);
  const Exogenous x = draw(one, 3, EpisodeSet::training, 0, 2);
  Batch a = reset(one, x, {0, 1}), b = reset(two, x, {0, 1});
  double sent = 0;
  for (int t = 0; t < 40; ++t) {
    std::vector<double> decision;
    for (int k = 0; k < 14; ++k)
      decision.push_back(Draws(8, EpisodeSet::training, t, Stream::exploration, k, 0).uniform());
    step(one, x, a, {decision.data(), 2, 7});
    step(two, x, b, {decision.data(), 2, 7});
    for (std::size_t i = 0; i < 12; ++i) {
      CHECK(a.dispatched[i] == doctest::Approx(b.dispatched[i]).epsilon(1e-10));
      sent += a.dispatched[i];
    }
  }
  CHECK(sent > 5);
}

TEST_CASE("reserve: of unequal needs it fits every budget, and nobody could have more of it") {
  for (Params p : {busy_ring(9, 60), cra::testing::busy_ring_of_three(9, 60)}) {
    p.workload.parts = {ConstantPart{0.3}, BurstsPart{}};
    p.pool.reserve = SharedReserve{0.7, Dispatch::priority};
    p.workload.failures = WearFailures{};
    must_resolve(p);
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 4);
    Batch b = reset(p, x, {0, 1, 2, 3});
    std::vector<double> decision(40);
    int stopped = 0, satisfied = 0;
    for (int t = 0; t < 60; ++t) {
      for (std::size_t k = 0; k < 40; ++k)
        decision[k] = Draws(8, EpisodeSet::training, t, Stream::exploration, static_cast<int>(k), 0)
                          .uniform();
      const Batch before = b;
      step(p, x, b, {decision.data(), 4, 10});
      for (std::int64_t e = 0; e < 4; ++e) {
        const double kept = decision[static_cast<std::size_t>(10 * e + 9)];
        std::vector<bool> spent;
        for (int k = 0; k < p.pool.resource_count(); ++k) {
          double placed = 0, sent = 0;
          for (int n = 0; n < 9; ++n) {
            const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
            placed += p.pool.need_of(n, k) * b.rate[i];
            sent += p.pool.need_of(n, k) * b.dispatched[i] / 0.7;
          }
          const double budget = p.pool.budgets[static_cast<std::size_t>(k)];
          CHECK(placed + sent <= budget * (1 + 1e-9));
          CHECK(sent <= kept * budget * (1 + 1e-9));
          spent.push_back(sent >= std::min(kept * budget, budget - placed) - 1e-9 * budget);
        }
        for (int n = 0; n < 9; ++n) {
          const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
          const std::size_t there = x.at(e, t) + static_cast<std::size_t>(n);
          const double up = p.pool.capacity[n] * x.availability[there];
          const double left = before.backlog[i] + x.arrivals[there] - b.served[i];
          const double limit = std::min(left, std::max(0.0, up - b.served[i]));
          CHECK(b.dispatched[i] >= 0);
          CHECK(b.dispatched[i] <= limit + 1e-12);
          const bool all = b.dispatched[i] >= limit - 1e-9;
          bool short_of = false;
          for (int k = 0; k < p.pool.resource_count(); ++k)
            short_of = short_of || (p.pool.need_of(n, k) > 0 && spent[static_cast<std::size_t>(k)]);
          CHECK((all || short_of));
          (all ? satisfied : stopped) += limit > 0 ? 1 : 0;
        }
      }
    }
    CHECK(stopped > 100);
    CHECK(satisfied > 100);
  }
}

TEST_CASE("reserve: the optimum is refused where needs differ, and priority is named") {
  Params p = cra::testing::quiet_pool(2, 1, 0);
  p.pool.reserve = SharedReserve{};
  p.pool.need.given = std::vector<double>{1, 2};
  const auto problem = [&] {
    const std::vector<Problem> all = resolve(p, 1);
    return all.size() == 1 ? all[0].path + " " + all[0].text : std::to_string(all.size());
  };
  CHECK(
      problem() ==
      "pool.reserve.dispatch is optimal, which shares out one resource that all nodes need alike; "
      "these nodes differ in `need`, expected priority");
  p.pool.reserve = SharedReserve{0.7, Dispatch::priority};
  CHECK(problem() == "0");
}

TEST_CASE("costs: the soft worst node, use and concentration, by hand") {
  Params p = cra::testing::quiet_pool(2, 1, 0);
  p.cost.worst = 0.5;
  p.cost.use = 0.3;
  p.cost.concentration = 0.2;
  must_resolve(p);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {5, 1.5};
  Batch b = reset(p, x, {0});
  const std::vector<double> w{3, 1};
  step(p, x, b, {w.data(), 1, 2});  // grants 1.5 and .5 of a budget of 2: shares .75 and .25
  const double t = 0.1,
               soft = t * std::log((std::exp(b.error[0] / t) + std::exp(b.error[1] / t)) / 2);
  CHECK(b.fairness_cost[0] == doctest::Approx(.5 * soft));
  CHECK(b.use_cost[0] == doctest::Approx(.3 * 1 + .2 * 2 * (.75 * .75 + .25 * .25)));
  CHECK(b.cost[0] == doctest::Approx(b.error_cost[0] + b.switching_cost[0] + b.fairness_cost[0] +
                                     b.use_cost[0]));
}
