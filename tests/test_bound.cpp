// The clairvoyant problem on its own: known optima, the certificate under fire, invariances.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "agents/bound.h"
#include "clairvoyant_problems.h"

using namespace cra;
using namespace cra::agents;
using namespace cra::testing;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
// Six given digits are good to half a unit of the last one; the method is asked for 1e-6 relative.
const Tolerance kFine{1e-6, 1e-8, 80};

void check_value(const ClairvoyantProblem& p, double value, double digits = 1e-6) {
  const Clairvoyant found = interior_point(p, kFine);
  CAPTURE(found.steps);
  CHECK(found.lower <= found.upper);
  CHECK(found.lower > value - digits);
  CHECK(found.upper < value + digits);
}

Commands constant_commands(const ClairvoyantProblem& p, double rate) {
  return {std::vector<double>(p.at(p.slots, 0), rate), {}};
}

}  // namespace

TEST_CASE("interior_point: t13, the linear programme on four queues") {
  const ClairvoyantProblem p = waves(LinearCurve{1});
  check_value(p, .208953);
  CHECK(clairvoyant_cost(p, constant_commands(p, 1)) == doctest::Approx(.588877).epsilon(1e-6));
}

TEST_CASE("interior_point: t17, the same with the backlog error") {
  const ClairvoyantProblem p = waves(BacklogCurve{2});
  check_value(p, .018605);
  CHECK(clairvoyant_cost(p, constant_commands(p, 1)) == doctest::Approx(.070048).epsilon(1e-5));
}

TEST_CASE("interior_point: t18, with a reserve") {
  ClairvoyantProblem p = waves(BacklogCurve{2});
  p.reserve = 0.7;
  check_value(p, .014469);
}

TEST_CASE("interior_point: t19, a node that is down for four slots") {
  ClairvoyantProblem p = waves(BacklogCurve{2});
  for (int t = 3; t <= 6; ++t) p.availability[p.at(t, 0)] = 0;
  check_value(p, .105633);
}

TEST_CASE("interior_point: t9, resource is placed before the work arrives") {
  ClairvoyantProblem p = empty_problem(2, 2, 2);
  for (ClairvoyantNode& node : p.node) {
    node = {4, 0.5, 0, 0, 1, 0, 0, LinearCurve{1}};
  }
  p.arrivals[p.at(1, 0)] = 3;
  const double per_slot = 1 / 4.0;  // the given values are sums over two slots and two nodes
  check_value(p, 1.25 * per_slot);
  CHECK(clairvoyant_cost(p, {{2, 0, 2, 0}, {}}) == doctest::Approx(1.25 * per_slot));
  CHECK(clairvoyant_cost(p, {{1, 1, 2, 0}, {}}) == doctest::Approx(1.5 * per_slot));
  CHECK(clairvoyant_cost(p, {{1, 1, 1, 1}, {}}) == doctest::Approx(2.0 * per_slot));
}

TEST_CASE("interior_point: t8, two queues are emptied in the order of c mu") {
  ClairvoyantProblem p = empty_problem(7, 2, 1);
  for (ClairvoyantNode& node : p.node) node = {1, 1, 0, 0, 0, 4, 0, LinearCurve{1}};
  p.node[1].backlog = 3;
  for (int t = 0; t < 7; ++t) p.importance[p.at(t, 0)] = 2;
  check_value(p, 27 / 14.0, 1e-5);
}

TEST_CASE("interior_point: t3 to t5, one slot of effort on diminishing returns") {
  ClairvoyantProblem p = empty_problem(1, 3, 6);
  const double a[] = {.9, .8, .7}, x0[] = {1, 2, 4}, b[] = {.5, 1, 1.5};
  const auto fill = [&](const auto& curve_of) {
    for (int n = 0; n < 3; ++n)
      p.node[static_cast<std::size_t>(n)] = {10, 1, 0, 0, 0, 0, 0, curve_of(n)};
  };
  p.importance = {1, 2, 3};
  fill([&](int n) -> ErrorCurve { return PowerCurve{a[n], 1, 0, x0[n]}; });
  check_value(p, 2.443261 / 3);
  const Clairvoyant found = interior_point(p, kFine);
  // The value is flat at the optimum: 1e-6 of it is 1e-3 of the commands.
  CHECK(found.commands.rate[0] == doctest::Approx(1.188306).epsilon(2e-3));
  CHECK(found.commands.rate[1] == doctest::Approx(2.126309).epsilon(2e-3));
  CHECK(found.multipliers.budget[0] == doctest::Approx(.187943).epsilon(2e-3));
  fill([&](int n) -> ErrorCurve { return PowerCurve{a[n], b[n], 0, x0[n]}; });
  check_value(p, 2.339287 / 3);
  p.importance = {1, 1, 1};
  fill([&](int n) -> ErrorCurve { return ExponentialCurve{1, 0, x0[n]}; });
  check_value(p, 1.103577 / 3);
  p.budget = {1};
  check_value(p, 2.354159 / 3);
}

TEST_CASE("interior_point: one slot without lag is the myopic optimum in closed form") {
  Dice d{std::mt19937_64(5)};
  for (int trial = 0; trial < 50; ++trial) {
    CAPTURE(trial);
    const int nodes = 1 + d.below(6);
    ClairvoyantProblem p = empty_problem(1, nodes, 0.3 * nodes);
    std::vector<double> load, scale;
    for (int n = 0; n < nodes; ++n) {
      const auto i = static_cast<std::size_t>(n);
      scale.push_back(d.uniform(0.3, 4));
      load.push_back(d.uniform(0.5, 3));
      p.node[i] = {100, 1, 0, 0, 0, 0, 0, BacklogCurve{scale[i]}};
      p.arrivals[i] = load[i];
      p.importance[i] = d.uniform(0.2, 3);
      p.need[i] = d.uniform(0.5, 1.5);
    }
    // y = scale ((1 - mu d scale / W)^(-1/2) - 1), all of the load where mu is that high; mu so
    // that the budget is used up.
    const auto waiting = [&](std::size_t i, double mu) {
      const double steep = mu * p.need[i] * scale[i] / p.importance[i];
      return steep < 1 ? std::min(load[i], scale[i] * (1 / std::sqrt(1 - steep) - 1)) : load[i];
    };
    double low = 0, high = 1e3;
    for (int halving = 0; halving < 200; ++halving) {
      const double mu = (low + high) / 2;
      double used = 0;
      for (std::size_t i = 0; i < load.size(); ++i) used += p.need[i] * (load[i] - waiting(i, mu));
      (used > p.budget[0] ? low : high) = mu;
    }
    double value = 0;
    for (std::size_t i = 0; i < load.size(); ++i)
      value += p.importance[i] * sim::backlog_phi(waiting(i, low) / scale[i]) / nodes;
    const Clairvoyant found = interior_point(p, kFine);
    CHECK(found.lower <= value * (1 + 1e-12));
    CHECK(found.upper >= value * (1 - 1e-12));
    CHECK(found.upper - found.lower <= 2e-6 * value + 1e-8);
  }
}

TEST_CASE("certificate: no multipliers, good or bad, bound a cost that can be had") {
  Dice d{std::mt19937_64(11)};
  double widest = 0;
  for (int trial = 0; trial < trials(1500); ++trial) {
    CAPTURE(trial);
    widest = std::max(widest, certified_slack(random_problem(d), 70, true, d));
  }
  MESSAGE("widest slack " << 100 * widest << " %");
}

TEST_CASE("certificate: refuses multipliers out of their range") {
  const ClairvoyantProblem p = waves(BacklogCurve{2});
  Multipliers prices = interior_point(p).multipliers;
  CHECK(certificate(p, prices) > 0);
  for (auto* some : {&prices.work, &prices.serve, &prices.budget}) {
    const double kept = some->at(3);
    for (const double bad : {-1e-9, kInf, std::nan("")}) {
      some->at(3) = bad;
      CHECK(certificate(p, prices) == -kInf);
    }
    some->at(3) = kept;
  }
  prices.work.pop_back();
  CHECK(certificate(p, prices) == -kInf);
}

TEST_CASE("make_feasible: commands keep to caps and budgets, and feasible ones stay") {
  Dice d{std::mt19937_64(3)};
  for (int trial = 0; trial < 200; ++trial) {
    const ClairvoyantProblem p = random_problem(d);
    Commands c = random_commands(p, d);
    std::vector<double> m;
    for (const ClairvoyantNode& node : p.node) m.push_back(node.rate);
    for (int t = 0; t < p.slots; ++t) {
      std::vector<double> used(p.budget.size()), pool(used);
      for (int n = 0; n < p.nodes; ++n) {
        const std::size_t i = p.at(t, n);
        const double spare = p.reserve > 0 ? c.reserve[i] / p.reserve : 0;
        CHECK(c.rate[i] >= 0);
        CHECK(c.rate[i] <= p.at_node(n).capacity);
        m[static_cast<std::size_t>(n)] =
            sim::lagged(m[static_cast<std::size_t>(n)], c.rate[i], p.at_node(n).lag);
        for (int k = 0; k < p.resources; ++k) {
          pool[static_cast<std::size_t>(k)] +=
              p.need_of(n, k) * (m[static_cast<std::size_t>(n)] + spare);
          used[static_cast<std::size_t>(k)] += p.need_of(n, k) * (c.rate[i] + spare);
        }
      }
      for (std::size_t k = 0; k < used.size(); ++k) CHECK(used[k] <= p.budget[k] * (1 + 1e-12));
      for (std::size_t k = 0; p.reserve > 0 && k < pool.size(); ++k)
        CHECK(pool[k] <= p.budget[k] * (1 + 1e-12));
    }
    const Commands before = c;
    make_feasible(p, c);
    for (std::size_t i = 0; i < c.rate.size(); ++i)
      CHECK(c.rate[i] == doctest::Approx(before.rate[i]).epsilon(1e-12));
  }
}

TEST_CASE("interior_point: units of work, resource and importance do not matter") {
  Dice d{std::mt19937_64(8)};
  for (int trial = 0; trial < 20; ++trial) {
    CAPTURE(trial);
    const ClairvoyantProblem p = random_problem(d);
    ClairvoyantProblem q = p;
    const double work = 0x1p-20, resource = 0x1p13, importance = 0x1p7;
    for (ClairvoyantNode& node : q.node) {
      for (double* x : {&node.capacity, &node.rate, &node.backlog, &node.effort}) *x *= work;
      if (auto* c = std::get_if<BacklogCurve>(&node.error)) c->scale *= work;
      if (auto* c = std::get_if<LinearCurve>(&node.error)) c->rise /= work;
      if (auto* c = std::get_if<PowerCurve>(&node.error)) c->x0 *= work;
      if (auto* c = std::get_if<ExponentialCurve>(&node.error)) c->x0 *= work;
    }
    for (double& x : q.arrivals) x *= work;
    for (double& x : q.importance) x *= importance;
    for (double& x : q.need) x *= resource / work;
    for (double& x : q.budget) x *= resource;
    for (ClairvoyantNode& node : q.node) {
      node.price *= importance / work;
      node.crowding *= importance / (work * work);
    }
    q.switching *= importance / work;
    q.smoothing *= work;
    const Clairvoyant a = interior_point(p), b = interior_point(q);
    CHECK(a.steps == b.steps);  // powers of two: the same bits
    CHECK(a.lower * importance == b.lower);
    CHECK(a.upper * importance == b.upper);
    CHECK(certificate(q, b.multipliers) ==
          doctest::Approx(importance * certificate(p, a.multipliers)).epsilon(1e-9));
  }
}

TEST_CASE("interior_point: an episode without work costs nothing") {
  const ClairvoyantProblem p = [] {
    ClairvoyantProblem q = waves(BacklogCurve{2});
    q.arrivals.assign(q.arrivals.size(), 0);
    return q;
  }();
  const Clairvoyant found = interior_point(p);
  CHECK(found.lower == 0);
  CHECK(found.upper >= 0);
  CHECK(found.upper <= 1e-7);
}

TEST_CASE("check: names what is wrong with a problem") {
  const auto refused = [](const auto& change, const char* text) {
    ClairvoyantProblem p = waves(BacklogCurve{2});
    change(p);
    CHECK_THROWS_WITH_AS(interior_point(p), doctest::Contains(text), Error);
  };
  refused([](auto& p) { p.arrivals[5] = -1; }, "arrivals[5]");
  refused([](auto& p) { p.availability[7] = 1.5; }, "availability[7]");
  refused([](auto& p) { p.importance[2] = std::nan(""); }, "importance[2]");
  refused([](auto& p) { p.retention.pop_back(); }, "retention has 39 numbers, expected 40");
  refused([](auto& p) { p.budget[0] = 0; }, "budget[0]");
  refused([](auto& p) { p.node[1].rate = 11; }, "node[1]: rate");
  refused([](auto& p) { p.node[2].lag = 0; }, "node[2]: lag");
  refused([](auto& p) { p.node[0].crowding = -1; }, "node[0]: price");
  refused([](auto& p) { p.node[3].error = BacklogCurve{0}; }, "node[3]: error curve");
  refused([](auto& p) { p.reserve = 0.5, p.node[0].lag = 0.4; }, "a reserve needs one lag");
  refused([](auto& p) { p.reserve = 0.5, p.node[0].rate = 9; }, "before slot 0 exceeds");
}
