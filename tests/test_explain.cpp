// What is said of a policy's attention: marginal values against closed forms, against the reverse
// sweep and by hand where there is none; and what explain() puts beside them, for every kind.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/learned.h"
#include "agents/marginal_value.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using attention::Weights;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::busy_ring_of_three;
using cra::testing::must_resolve;
using cra::testing::short_training;

namespace {

constexpr int kSlots = 10;

std::vector<double> random_bundles(const sim::Params& p, int slots) {
  std::vector<double> d;
  const int size = sim::bundle_size(p);
  for (int k = 0; k < slots * size; ++k) {
    Draws draws(5, EpisodeSet::training, 0, Stream::exploration, k, 0);
    d.push_back(k % size == p.pool.nodes ? 0.1 + 0.5 * draws.uniform()
                                         : std::exp(0.7 * draws.normal()));
  }
  return d;
}

/// The states before every slot of the second of two environments.
struct Course {
  const sim::Params& p;
  sim::Exogenous x;
  int size;
  std::vector<double> bundles;
  std::vector<sim::Batch> before;

  explicit Course(const sim::Params& params, int slots = kSlots)
      : p(params),
        x(sim::draw(p, 3, EpisodeSet::training, 0, 2)),
        size(sim::bundle_size(p)),
        bundles(random_bundles(p, slots)) {
    sim::Batch b = sim::reset(p, x, {1});
    for (int t = 0; t < slots; ++t) {
      before.push_back(b);
      sim::step_bundles(p, x, b, bundle(t));
    }
  }
  View<const double> bundle(int t) const { return {bundles.data() + t * size, 1, size}; }
  View<const double> from(int t) const {
    return {bundles.data() + t * size, static_cast<std::int64_t>(before.size()) - t, size};
  }
  std::vector<double> values(int t) const {
    return marginal_values(p, x, before[static_cast<std::size_t>(t)], 0, from(t));
  }
  /// -dC/dp along e_n - p, by the reverse sweep: weights count by their ratios alone, so the
  /// gradient along p itself is 0. [T, N]
  std::vector<double> swept() const {
    const int nodes = p.pool.nodes;
    std::vector<double> all(before.size() * static_cast<std::size_t>(nodes)),
        slope(static_cast<std::size_t>(size));
    sim::Adjoint a(before[0]);
    for (int t = static_cast<int>(before.size()) - 1; t >= 0; --t) {
      sim::step_bundles_backward(p, x, before[static_cast<std::size_t>(t)], bundle(t), 1, a,
                                 {slope.data(), 1, size});
      const double* w = bundle(t).data;
      const double sum = std::accumulate(w, w + nodes, 0.0);
      for (int n = 0; n < nodes; ++n)
        all[static_cast<std::size_t>(t) * static_cast<std::size_t>(nodes) +
            static_cast<std::size_t>(n)] = -sum * slope[static_cast<std::size_t>(n)];
    }
    return all;
  }
};

/// Differences over a step of 1e-5 err by its square, 1e-10 of a third derivative of some 1e3, and
/// by rounding, 1e-14 / 1e-5: 1e-6 of the largest value is ten times that. A kink within the step,
/// where the sweep takes one side, is rare.
void check_against_sweep(const sim::Params& p) {
  const Course c(p);
  const std::vector<double> swept = c.swept();
  double largest = 0;
  for (const double v : swept) largest = std::max(largest, std::fabs(v));
  CHECK(largest > 1e-2);
  int off = 0;
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  for (int t = 0; t < kSlots; ++t) {
    const std::vector<double> found = c.values(t);
    for (std::size_t n = 0; n < nodes; ++n)
      off += std::fabs(found[n] - swept[static_cast<std::size_t>(t) * nodes + n]) > 1e-6 * largest;
  }
  CHECK(off <= kSlots * p.pool.nodes / 25);
}

attention::Params attention_of(const attention::Kind& kind, Weights weights, int layers = 1) {
  attention::Params a;
  a.kind = kind;
  a.width = 8;
  a.layers = layers;
  a.weights = weights;
  return a;
}

Network trained(const sim::Params& pool, const attention::Params& a, int updates) {
  Params p = short_training(updates);
  p.agent.learner = Pathwise{};
  p.training.keep = Keep::last;
  Trainer trainer(p, a, pool, 7, base_rule(), attention::make_cpu_engine);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  return trainer.network();
}

}  // namespace

TEST_CASE("marginal_values: one slot of a linear error, by hand") {
  // s_n = B p_n, C = mean_n W_n (A_n - s_n) / scale_n: the slope by p_n is -W_n B / (N scale_n).
  sim::Params p;
  p.pool.nodes = 3;
  p.pool.budget = 2;
  p.pool.lag = 1;
  p.workload.slots = 1;
  p.workload.abandonment = 0;
  p.workload.noise = sim::NoNoise{};
  p.workload.importance.given = std::vector<double>{1, 2, 0};
  p.workload.parts = {sim::ConstantPart{3.0}};
  sim::LinearError linear;
  linear.scale.given = std::vector<double>{1, 4, 2};
  p.errors = linear;
  must_resolve(p);
  Course c(p, 1);
  for (const std::vector<double>& w : {std::vector<double>{5, 3, 2}, {1, 0, 0}}) {
    c.bundles = w;
    const double sum = w[0] + w[1] + w[2];
    const std::vector<double> slope{1 * 2 / (3 * 1.0), 2 * 2 / (3 * 4.0), 0};
    const double mean = (w[0] * slope[0] + w[1] * slope[1] + w[2] * slope[2]) / sum;
    const std::vector<double> found = c.values(0);
    // C is linear in p: rounding alone, 1e-16 / 1e-5. Without a share the floor of 1e-9 is left.
    for (std::size_t n = 0; n < 3; ++n)
      CHECK(found[n] == doctest::Approx(slope[n] - mean).epsilon(1e-8).scale(1));
  }
}

TEST_CASE("marginal_values: what the reverse sweep says, wherever there is one") {
  sim::Params ring = busy_ring(5, kSlots);
  ring.cost.worst = 0.4;
  ring.cost.use = 0.2;
  ring.cost.concentration = 0.1;
  must_resolve(ring);
  check_against_sweep(ring);
  for (const sim::Dispatch dispatch : {sim::Dispatch::optimal, sim::Dispatch::priority}) {
    sim::Params reserve = ring;
    reserve.pool.need = 0.8;
    reserve.pool.reserve = sim::SharedReserve{0.7, dispatch};
    must_resolve(reserve);
    check_against_sweep(reserve);
  }
  for (const sim::Action action : {sim::Action::per_resource, sim::Action::raw}) {
    sim::Params three = busy_ring_of_three(5, kSlots);
    three.pool.action = action;
    must_resolve(three);
    check_against_sweep(three);
    three.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::priority};
    must_resolve(three);
    check_against_sweep(three);
  }
  sim::Params mixed = busy_ring(6, kSlots);
  mixed.pool.groups = {{"serving", 3, sim::Dynamics::queue},
                       {"training", 3, sim::Dynamics::progress}};
  mixed.pool.conflict = sim::Conflict::gps;
  mixed.workload.failures = sim::WearFailures{0.3, 1, 0.5, {2, 3}, 0.3, 0.6};
  must_resolve(mixed);
  check_against_sweep(mixed);
}

TEST_CASE("marginal_values: a lottery is asked what the whole slot would be worth") {
  sim::Params p;
  p.pool.nodes = 4;
  p.pool.service = sim::LotteryService{};
  p.workload.slots = kSlots;
  p.workload.abandonment = 0;
  p.workload.parts = {sim::BernoulliPart{0.4, 2}};
  must_resolve(p);
  const Course c(p);
  int worth = 0;
  for (int t = 0; t < kSlots; ++t) {
    const auto run = [&](int winner) {
      sim::Batch b = c.before[static_cast<std::size_t>(t)];
      double cost = 0;
      for (int later = t; later < kSlots; ++later) {
        std::vector<double> w(c.bundle(later).data, c.bundle(later).data + 4);
        for (int n = 0; later == t && winner >= 0 && n < 4; ++n)
          w[static_cast<std::size_t>(n)] = n == winner ? 1 : 0;
        sim::step(p, c.x, b, {w.data(), 1, 4});
        cost += b.cost[0];
      }
      return cost;
    };
    const std::vector<double> found = c.values(t);
    for (int n = 0; n < 4; ++n) {
      CHECK(found[static_cast<std::size_t>(n)] == doctest::Approx(run(-1) - run(n)).epsilon(1e-12));
      worth += found[static_cast<std::size_t>(n)] != 0 ? 1 : 0;
    }
  }
  CHECK(worth > kSlots);
}

TEST_CASE("marginal_values: nodes that are alike are worth the same, to the bit") {
  // Nodes 0 and 1 are of no importance: whatever goes there is lost to the others, and in the same
  // way from either.
  sim::Params p = busy_ring(5, kSlots);
  p.pool.geometry = sim::Geometry::none;
  p.pool.need = 1;
  p.pool.capacity = 3;
  p.workload.importance.given = std::vector<double>{0, 0, 1, 2, 1};
  p.cost.switching = 0;
  must_resolve(p);
  Course c(p);
  for (int t = 0; t < kSlots; ++t) {
    const std::vector<double> v = c.values(t);
    CHECK(v[0] == v[1]);
    CHECK(v[0] < 0);
    CHECK(*std::max_element(v.begin(), v.end()) > 0);
  }
}

TEST_CASE("marginal_values: refuses decisions of another length") {
  const sim::Params p = busy_ring(3, kSlots);
  const Course c(p);
  CHECK_THROWS_WITH_AS(marginal_values(p, c.x, c.before[2], 0, c.from(3)),
                       "marginal_values: bundles are [7, 3], expected [8, 3]", Error);
}

TEST_CASE("explained_slots: evenly spaced, never at the ends, always one") {
  using Slots = std::vector<std::int64_t>;
  CHECK(explained_slots(60, 20) == Slots{10, 30, 50});
  CHECK(explained_slots(61, 20) == Slots{10, 30, 50});
  CHECK(explained_slots(5, 2) == Slots{1, 3});
  CHECK(explained_slots(5, 100) == Slots{2});
  CHECK(explained_slots(1, 1) == Slots{0});
}

TEST_CASE("explain: every kind and control of attention, beside what the policy does") {
  const sim::Params pool = busy_ring(5, kSlots);
  const sim::Exogenous x = sim::draw(pool, 3, EpisodeSet::evaluation, 0, 4);
  std::vector<attention::Params> choices;
  for (const attention::Kind& kind : cra::testing::every_kind<attention::Kind>())
    choices.push_back(attention_of(kind, Weights::dynamic));
  for (const Weights weights : {Weights::average, Weights::random, Weights::shuffled}) {
    choices.push_back(attention_of(attention::Induced{2, 4, 1}, weights));
    choices.push_back(attention_of(attention::Multihead{}, weights, 2));
  }
  for (const attention::Params& a : choices) {
    CAPTURE(a.kind.index());
    CAPTURE(static_cast<int>(a.weights));
    const Network net = trained(pool, a, 4);
    if (std::holds_alternative<attention::None>(a.kind)) {
      CHECK(!attends(net));
      CHECK_THROWS_AS(explain(net, pool, x, 1, 1, attention::make_cpu_engine), Error);
      continue;
    }
    REQUIRE(attends(net));
    const Explanation e = explain(net, pool, x, 3, 4, attention::make_cpu_engine);
    CHECK(e.slot == std::vector<std::int64_t>{2, 6});
    CHECK(e.map_slot == 6);
    const auto policy = make_learned(net, pool, attention::make_cpu_engine);
    const Trajectory run = record(*policy, pool, x, 3);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t s = 0; s < 2; ++s) {
        const std::size_t at = (i * 2 + s) * 5;
        const std::size_t there = x.at(static_cast<std::int64_t>(i), static_cast<int>(e.slot[s]));
        double received = 0, entropy = 0;
        for (std::size_t n = 0; n < 5; ++n) {
          const double alpha = e.received[at + n];
          received += alpha;
          entropy -= alpha * std::log(alpha);
          CHECK(e.allocation[at + n] == run.proportion[there + n]);
          CHECK(e.backlog[at + n] == run.backlog[there - 5 + n]);
        }
        CHECK(received == doctest::Approx(1).epsilon(1e-6));
        CHECK(e.entropy[i * 2 + s] == doctest::Approx(entropy).epsilon(1e-12));
        // Entropy is concave: the mean of the rows has no less of it than they have on average.
        CHECK(e.looker_entropy[i * 2 + s] <= entropy + 1e-6);
        CHECK(e.looker_entropy[i * 2 + s] > 0);
      }
    // Its map explains what was received there: episode 0, the second of the slots.
    const auto heads = static_cast<std::size_t>(e.heads);
    REQUIRE(e.map.size() == heads * 25);
    for (std::size_t n = 0; n < 5; ++n) {
      double mean = 0;
      for (std::size_t row = 0; row < heads * 5; ++row)
        mean += e.map[row * 5 + n] / static_cast<double>(heads * 5);
      CHECK(mean == doctest::Approx(e.received[5 + n]).epsilon(1e-5));
    }
  }
}

TEST_CASE(
    "explain: the base is the heuristic's shares, raised to the floor; values are open loop") {
  const sim::Params pool = busy_ring(5, kSlots);
  const sim::Exogenous x = sim::draw(pool, 3, EpisodeSet::evaluation, 0, 2);
  const Network net = trained(pool, attention_of(attention::Multihead{}, Weights::dynamic), 4);
  const Explanation e = explain(net, pool, x, 2, 4, attention::make_cpu_engine);
  const auto policy = make_learned(net, pool, attention::make_cpu_engine);
  const auto heuristic = make_baseline(net.base, pool);
  for (std::size_t i = 0; i < 2; ++i) {
    sim::Batch b = sim::reset(pool, x, {static_cast<std::int64_t>(i)});
    const auto actor = policy->actor(1), base = heuristic->actor(1);
    std::vector<double> said(kSlots * 5), weights(5), share(5);
    std::vector<sim::Batch> before;
    for (int t = 0; t < kSlots; ++t) {
      before.push_back(b);
      double* bundle = said.data() + std::ptrdiff_t{t} * 5;
      actor->act(b, {bundle, 1, 5});
      if (t == 2 || t == 6) {
        base->act(b, {weights.data(), 1, 5});
        const double least = net.base_floor * *std::max_element(weights.begin(), weights.end());
        for (double& w : weights) w = std::max(w, least);
        sim::proportions(weights.data(), 5, share.data());
        for (std::size_t n = 0; n < 5; ++n)
          CHECK(e.base[(i * 2 + (t == 6 ? 1 : 0)) * 5 + n] == share[n]);
      }
      sim::step_bundles(pool, x, b, {bundle, 1, 5});
    }
    for (const std::int64_t t : {2, 6}) {
      const std::vector<double> v = marginal_values(pool, x, before[static_cast<std::size_t>(t)], 0,
                                                    {said.data() + t * 5, kSlots - t, 5});
      for (std::size_t n = 0; n < 5; ++n)
        CHECK(e.marginal_value[(i * 2 + (t == 6 ? 1 : 0)) * 5 + n] == v[n]);
    }
  }
}

TEST_CASE("explain: refuses more episodes than there are, and more nodes than it can take") {
  sim::Params pool = busy_ring(5, kSlots);
  const Network net = trained(pool, attention_of(attention::Multihead{}, Weights::dynamic), 4);
  const sim::Exogenous x = sim::draw(pool, 3, EpisodeSet::evaluation, 0, 2);
  CHECK_THROWS_WITH_AS(explain(net, pool, x, 3, 4, attention::make_cpu_engine),
                       "explain: 3 episodes asked for, every 4 slots; 2 were drawn", Error);
  pool = busy_ring(257, kSlots);
  CHECK_THROWS_WITH_AS(explain(net, pool, x, 1, 4, attention::make_cpu_engine),
                       "explain: the pool has 257 nodes, at most 256 can be explained", Error);
}

TEST_CASE("explain: nothing to explain where attention has no say") {
  const sim::Params pool = busy_ring(5, kSlots);
  CHECK(!attends(trained(pool, attention_of(attention::Multihead{}, Weights::dynamic), 0)));
  Params p = short_training(2);
  p.agent.learner = Evolution{4};
  Trainer trainer(p, attention::Params{}, pool, 7, base_rule(), attention::make_cpu_engine);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  CHECK(!attends(trainer.network()));
}

TEST_CASE(
    "explain: the same bits for any number of threads, and wherever the policy sees old news") {
  sim::Params pool = busy_ring(5, kSlots);
  pool.observation.delay = 2;
  must_resolve(pool);
  const sim::Exogenous x = sim::draw(pool, 3, EpisodeSet::evaluation, 0, 5);
  const Network net = trained(pool, attention_of(attention::Multihead{}, Weights::dynamic), 4);
  const auto with = [&](int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    Explanation e = explain(net, pool, x, 5, 3, attention::make_cpu_engine);
    omp_set_num_threads(before);
    return e;
  };
  const Explanation one = with(1);
  CHECK(std::any_of(one.marginal_value.begin(), one.marginal_value.end(),
                    [](double v) { return v != 0; }));
  for (const int threads : {2, 3}) {
    const Explanation some = with(threads);
    CHECK(some.received == one.received);
    CHECK(some.entropy == one.entropy);
    CHECK(some.looker_entropy == one.looker_entropy);
    CHECK(some.marginal_value == one.marginal_value);
    CHECK(some.allocation == one.allocation);
    CHECK(some.base == one.base);
    CHECK(some.backlog == one.backlog);
    CHECK(some.map == one.map);
  }
}
