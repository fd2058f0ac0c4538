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
using cra::testing::quiet_pool;

namespace {

/// Exogenous input with given arrivals, [T, N], one episode.
Exogenous with_arrivals(const Params& p, std::vector<double> arrivals) {
  Exogenous x;
  x.episodes = 1;
  x.slots = static_cast<int>(arrivals.size()) / p.pool.nodes;
  x.nodes = p.pool.nodes;
  x.availability.assign(arrivals.size(), 1);
  for (int t = 0; t < x.slots; ++t)
    x.importance.insert(x.importance.end(), p.workload.importance.value.begin(),
                        p.workload.importance.value.end());
  x.arrivals = std::move(arrivals);
  return x;
}

View<const double> row(const std::vector<double>& w, std::int64_t envs = 1) {
  return {w.data(), envs, static_cast<std::int64_t>(w.size()) / envs};
}

/// Random positive weights for slot t.
std::vector<double> random_weights(std::int64_t envs, int nodes, int t) {
  std::vector<double> w;
  for (std::int64_t e = 0; e < envs; ++e)
    for (int n = 0; n < nodes; ++n)
      w.push_back(
          std::exp(2 * Draws(5, EpisodeSet::training, e, Stream::exploration, n, t).normal()));
  return w;
}

}  // namespace

TEST_CASE("waterfill: t2 of the model, the first node capped and its excess spread") {
  const std::vector<double> w{5, 3, 2}, cap{3, 10, 10}, need{1, 1, 1};
  std::vector<double> s(3);
  const double theta = waterfill(w.data(), cap.data(), need.data(), 10.0, s.data(), 3);
  CHECK(s[0] == doctest::Approx(3).epsilon(1e-12));
  CHECK(s[1] == doctest::Approx(4.2).epsilon(1e-12));
  CHECK(s[2] == doctest::Approx(2.8).epsilon(1e-12));
  CHECK(theta == doctest::Approx(1.4).epsilon(1e-12));
}

TEST_CASE("waterfill: agrees with bisection on theta, over sizes and needs") {
  for (const int n : {1, 2, 31, 32, 33, 1000}) {
    Draws draws(n, EpisodeSet::training, 0, Stream::noise, 0, 0);
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<double> w, cap, need, s(static_cast<std::size_t>(n));
      for (int i = 0; i < n; ++i) {
        Draws d(11, EpisodeSet::training, trial, Stream::noise, i, n);
        w.push_back(std::exp(2 * d.normal()));
        cap.push_back(0.2 + 4 * d.uniform());
        need.push_back(0.3 + d.uniform());
      }
      const double budget = n * (0.1 + draws.uniform());
      waterfill(w.data(), cap.data(), need.data(), budget, s.data(), n);
      const auto used = [&](double theta) {
        double sum = 0;
        for (std::size_t i = 0; i < s.size(); ++i) sum += need[i] * std::min(cap[i], theta * w[i]);
        return sum;
      };
      double lo = 0, hi = 1e12;
      for (int k = 0; k < 200; ++k) (used((lo + hi) / 2) < budget ? lo : hi) = (lo + hi) / 2;
      CAPTURE(n);
      CAPTURE(trial);
      for (std::size_t i = 0; i < s.size(); ++i)
        CHECK(s[i] == doctest::Approx(std::min(cap[i], hi * w[i])).epsilon(1e-9));
    }
  }
}

TEST_CASE("waterfill: no preference spreads evenly, extreme weights stay inside caps and budget") {
  const std::vector<double> cap{2, 2, 2}, need{1, 1, 1};
  std::vector<double> s(3);
  const std::vector<double> zero(3, 0.0);
  waterfill(zero.data(), cap.data(), need.data(), 3.0, s.data(), 3);
  for (const double v : s) CHECK(v == doctest::Approx(1));
  for (const std::vector<double>& w :
       {std::vector<double>{1e300, 1e-300, 1}, {1e-320, 0, 0}, {1, 1e-12, 1e-15}}) {
    waterfill(w.data(), cap.data(), need.data(), 3.0, s.data(), 3);
    CHECK(s[0] == 2);
    CHECK(s[0] + s[1] + s[2] == doctest::Approx(3).epsilon(1e-9));
    for (const double v : s) CHECK((v >= 0 && v <= 2));
  }
  CHECK(
      std::isinf(waterfill(cap.data(), cap.data(), need.data(), 7.0, s.data(), 3)));  // all capped
}

TEST_CASE("step: t11 of the model, value and gradient of two slots of one queue") {
  // N = 1, q0 = 3, A = (1, 1), commands (1.5, 1.5), theta = .1, kappa = 1, no lag. One node takes
  // what the budget allows, so the command of a slot is that slot's budget.
  Params p = quiet_pool(1, 2, 0.5);
  p.pool.lag = 1;
  p.workload.abandonment = 0.1;
  p.errors = BacklogError{1.0};
  must_resolve(p);
  const Exogenous x = with_arrivals(p, {1, 1});
  const auto value = [&](double s0, double s1) {
    Batch b = reset(p, x, {0});
    b.backlog[0] = 3;
    double cost = 0;
    for (const double s : {s0, s1}) {
      Params slot = p;
      slot.pool.budgets = {s};
      step(slot, x, b, row({1.0}));
      cost += b.cost[0];
    }
    return cost;
  };
  CHECK(value(1.5, 1.5) == doctest::Approx(2.899351).epsilon(1e-6));
  const double h = 1e-5;
  CHECK((value(1.5 + h, 1.5) - value(1.5 - h, 1.5)) / (2 * h) ==
        doctest::Approx(-1.699359).epsilon(1e-6));
  CHECK((value(1.5, 1.5 + h) - value(1.5, 1.5 - h)) / (2 * h) ==
        doctest::Approx(-0.867769).epsilon(1e-6));
}

TEST_CASE("step: t12 of the model, lag from 0 towards 1") {
  Params p = quiet_pool(1, 5, 0);
  const Exogenous x = with_arrivals(p, std::vector<double>(5, 0));
  Batch b = reset(p, x, {0});
  b.rate[0] = 0;
  for (const double expected : {0.25, 0.4375, 0.578125, 0.683594, 0.762695}) {
    step(p, x, b, row({1.0}));
    CHECK(b.rate[0] == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("formulas: t16 of the model, the sources' rules") {
  std::vector<double> a{.5, .3, .2};
  const std::vector<double> g{.1, .2, .4};
  exponentiated_gradient(a.data(), g.data(), .5, 3);
  CHECK(a[0] == doctest::Approx(.406225).epsilon(1e-6));
  CHECK(a[1] == doctest::Approx(.297699).epsilon(1e-6));
  CHECK(a[2] == doctest::Approx(.296076).epsilon(1e-6));

  const std::vector<double> w{.4, .3, .2, .1}, c{4, 3, 2, 1};
  std::vector<double> p(4);
  raw_proportions(w.data(), c.data(), 10.0, p.data(), 4);
  CHECK(p[0] == doctest::Approx(.16));
  CHECK(p[1] == doctest::Approx(.09));
  CHECK(p[2] == doctest::Approx(.04));
  CHECK(p[3] == doctest::Approx(.01));
  capacity_proportions(w.data(), c.data(), p.data(), 4);
  CHECK(p[0] == doctest::Approx(.533333).epsilon(1e-6));
  CHECK(p[1] == doctest::Approx(.3));
  CHECK(p[2] == doctest::Approx(.133333).epsilon(1e-5));
  CHECK(p[3] == doctest::Approx(.033333).epsilon(1e-4));

  const std::vector<double> error{.1, .2, .5};
  std::vector<double> score(3);
  source_scores(error.data(), score.data(), 3);
  CHECK(score[0] == doctest::Approx(1.8));
  CHECK(score[1] == doctest::Approx(1.6));
  CHECK(score[2] == doctest::Approx(1.0));
}

TEST_CASE("step: a slot worked by hand, every term of the cost") {
  // Two nodes, budget 2, lag .5, theta .1, scale 2, W = (1, 3), switching .2 with d = .02.
  Params p = quiet_pool(2, 1, 0);
  p.pool.lag = 0.5;
  p.workload.abandonment = 0.1;
  p.workload.importance.given = std::vector<double>{1, 3};
  p.cost.switching = 0.2;
  must_resolve(p);
  const Exogenous x = with_arrivals(p, {4, 0.5});
  Batch b = reset(p, x, {0});
  step(p, x, b, row({3, 1}));  // command (1.5, .5), rates (1.25, .75)
  CHECK(b.grant == std::vector<double>{1.5, 0.5});
  CHECK(b.rate == std::vector<double>{1.25, 0.75});
  CHECK(b.served == std::vector<double>{1.25, 0.5});  // the second queue is empty before its rate
  CHECK(b.lost[0] == doctest::Approx(.275));
  CHECK(b.backlog[0] == doctest::Approx(2.475));
  CHECK(b.backlog[1] == 0);
  const double z = 2.75 / 2, error = z * z / (1 + z);
  CHECK(b.error[0] == doctest::Approx(error));
  CHECK(b.error_cost[0] == doctest::Approx(error / 2));
  const double moved = 2 * (std::sqrt(.25 * .25 + .02 * .02) - .02);
  CHECK(b.switching_cost[0] == doctest::Approx(.2 * moved / 2));
  CHECK(b.cost[0] == doctest::Approx(b.error_cost[0] + b.switching_cost[0]));
  CHECK(b.score[0] == doctest::Approx((1 * (1 - error) + 3) / 4));
}

TEST_CASE("step: budgets, caps and work balance hold in every slot, at awkward sizes") {
  for (const int nodes : {1, 2, 31, 32, 33, 1000}) {
    const int slots = nodes == 1000 ? 10 : 40;
    const Params p = busy_ring(nodes, slots);
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 3);
    Batch b = reset(p, x, {0, 1, 2});
    std::vector<double> arrived(3, 0), served(3, 0), lost(3, 0);
    for (int t = 0; t < slots; ++t) {
      step(p, x, b, row(random_weights(3, nodes, t), 3));
      for (std::int64_t e = 0; e < 3; ++e) {
        double used = 0;
        for (int n = 0; n < nodes; ++n) {
          const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
          used += b.rate[i] * p.pool.need[n];
          CHECK(b.rate[i] <= p.pool.capacity[n] * (1 + 1e-9));
          CHECK(b.backlog[i] >= 0);
          arrived[static_cast<std::size_t>(e)] +=
              x.arrivals[x.at(e, t) + static_cast<std::size_t>(n)];
          served[static_cast<std::size_t>(e)] += b.served[i];
          lost[static_cast<std::size_t>(e)] += b.lost[i];
        }
        CHECK(used <= p.pool.budget * (1 + 1e-9));
      }
    }
    for (std::size_t e = 0; e < 3; ++e) {
      const double* q = b.backlog.data() + b.at(static_cast<std::int64_t>(e));
      const double waiting = std::accumulate(q, q + nodes, 0.0);
      CHECK(arrived[e] == doctest::Approx(served[e] + lost[e] + waiting).epsilon(1e-9));
    }
  }
}

TEST_CASE("step: permuting the nodes permutes everything") {
  const int nodes = 7, slots = 20;
  const Params p = busy_ring(nodes, slots);
  const std::vector<int> order{3, 0, 6, 1, 5, 2, 4};
  const auto permuted = [&](const std::vector<double>& v) {
    std::vector<double> out(v.size());
    for (std::size_t i = 0; i < v.size(); ++i)
      out[i] = v[i - i % nodes + static_cast<std::size_t>(order[i % nodes])];
    return out;
  };
  Params other = p;
  other.pool.capacity.value = permuted(p.pool.capacity.value);
  other.pool.needs = permuted(p.pool.needs);
  other.workload.importance.value = permuted(p.workload.importance.value);
  auto& scale = std::get<BacklogError>(other.errors).scale;
  scale.value = permuted(scale.value);
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  Exogenous y = x;
  y.arrivals = permuted(x.arrivals);
  y.importance = permuted(x.importance);
  Batch a = reset(p, x, {0}), b = reset(other, y, {0});
  for (int t = 0; t < slots; ++t) {
    const std::vector<double> w = random_weights(1, nodes, t);
    step(p, x, a, row(w));
    step(other, y, b, row(permuted(w)));
    const std::vector<double> expected = permuted(a.backlog);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(b.backlog[i] == doctest::Approx(expected[i]).epsilon(1e-12));
    CHECK(b.cost[0] == doctest::Approx(a.cost[0]).epsilon(1e-12));
  }
}

TEST_CASE("observe: nothing of the future; another future leaves every feature as it is") {
  const Params p = busy_ring(5, 12);
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  for (int cut = 0; cut < 12; ++cut) {
    Exogenous other = x;  // same past, the slots from `cut` on in reverse order
    for (int t = cut; t < 12; ++t)
      for (std::size_t n = 0; n < 5; ++n)
        other.arrivals[other.at(0, t) + n] = x.arrivals[x.at(0, cut + 11 - t) + n] + 1;
    Batch a = reset(p, x, {0}), b = reset(p, other, {0});
    for (int t = 0; t < cut; ++t) {
      step(p, x, a, row(random_weights(1, 5, t)));
      step(p, other, b, row(random_weights(1, 5, t)));
    }
    std::vector<float> fa(5 * static_cast<std::size_t>(feature_count(p))), fb(fa.size());
    observe(p, a, {fa.data(), 5, feature_count(p)});
    observe(p, b, {fb.data(), 5, feature_count(p)});
    CHECK(fa == fb);
    step(p, x, a, row(random_weights(1, 5, cut)));
    step(p, other, b, row(random_weights(1, 5, cut)));
    CHECK(a.arrivals_last != b.arrivals_last);  // the futures did differ
  }
}

TEST_CASE("observe: one name for each feature, position features only with a geometry") {
  Params p = busy_ring(4, 5);
  CHECK(feature_names(p).size() == static_cast<std::size_t>(feature_count(p)));
  CHECK(feature_names(p).back() == "position_sin");
  p.pool.geometry = Geometry::none;
  CHECK(feature_names(p).size() == static_cast<std::size_t>(feature_count(p)));
  CHECK(feature_names(p).back() == "mean_arrivals_slow");
}

TEST_CASE("draw: the first 3 of 10 episodes are 3 episodes; families and seeds differ") {
  const Params p = busy_ring(6, 30);
  const Exogenous ten = draw(p, 1, EpisodeSet::evaluation, 0, 10),
                  three = draw(p, 1, EpisodeSet::evaluation, 0, 3);
  CHECK(std::equal(three.arrivals.begin(), three.arrivals.end(), ten.arrivals.begin()));
  const Exogenous later = draw(p, 1, EpisodeSet::evaluation, 2, 1);
  CHECK(std::equal(later.arrivals.begin(), later.arrivals.end(),
                   ten.arrivals.begin() + static_cast<std::ptrdiff_t>(ten.at(2, 0))));
  CHECK(draw(p, 2, EpisodeSet::evaluation, 0, 3).arrivals != three.arrivals);
  CHECK(draw(p, 1, EpisodeSet::tuning, 0, 3).arrivals != three.arrivals);
}

TEST_CASE("draw: exogenous input is the same under any two policies") {
  const Params p = busy_ring(6, 30);
  const Exogenous x = draw(p, 1, EpisodeSet::evaluation, 0, 2), before = x;
  Batch b = reset(p, x, {0, 1});
  for (int t = 0; t < 30; ++t) step(p, x, b, row(random_weights(2, 6, t), 2));
  CHECK(x.arrivals == before.arrivals);
  CHECK(draw(p, 1, EpisodeSet::evaluation, 0, 2).arrivals == before.arrivals);
}

TEST_CASE("draw: mean load of each part is what its rates say") {
  // 400 episodes x 60 slots; tolerance five standard errors of the slot means, generously
  // correlated.
  Params p = quiet_pool(6, 60, 0.4);
  p.pool.geometry = Geometry::ring;
  const auto mean = [&] {
    const Exogenous x = draw(p, 9, EpisodeSet::training, 0, 400);
    return std::accumulate(x.arrivals.begin(), x.arrivals.end(), 0.0) /
           static_cast<double>(x.arrivals.size());
  };
  CHECK(mean() == doctest::Approx(0.4).epsilon(1e-12));
  p.workload.noise = GammaNoise{8};
  CHECK(mean() == doctest::Approx(0.4).epsilon(0.01));
  p.workload.noise = PoissonNoise{0.5};
  CHECK(mean() == doctest::Approx(0.4).epsilon(0.02));
  p.workload.noise = NoNoise{};
  p.workload.parts = {PoissonPart{0.7, 0.25}};
  must_resolve(p);
  CHECK(mean() == doctest::Approx(0.7).epsilon(0.02));
  // start * mean length * height platoon-work per slot, over 6 nodes: .06 * 18 * 3 / 6 = .54.
  // Platoons from before slot 0 are there, so this holds from the first slot on.
  p.workload.parts = {CascadePart{}};
  CHECK(mean() == doctest::Approx(0.54).epsilon(0.05));
}

TEST_CASE("draw: a platoon moves along the ring, one node every hop slots") {
  Params p = quiet_pool(5, 40, 0);
  p.pool.geometry = Geometry::ring;
  p.workload.parts = {CascadePart{0.02, {20, 20}, 4, 3}};
  must_resolve(p);
  int handovers = 0;
  for (std::int64_t i = 0; i < 50; ++i) {
    const Exogenous x = draw(p, 4, EpisodeSet::training, i, 1);
    for (int t = 0; t + 1 < 40; ++t) {
      const double* now = x.arrivals.data() + x.at(0, t);
      const double* next = x.arrivals.data() + x.at(0, t + 1);
      if (std::accumulate(now, now + 5, 0.0) != 3 || std::accumulate(next, next + 5, 0.0) != 3)
        continue;  // one platoon
      const auto at = std::max_element(now, now + 5) - now,
                 to = std::max_element(next, next + 5) - next;
      if (at == to) continue;
      if ((at + 1) % 5 != to) continue;  // another platoon took over in the same slot
      ++handovers;
    }
  }
  CHECK(handovers > 50);
}

TEST_CASE("draw: trace windows: evaluation disjoint from training, in order, complete") {
  Params p = quiet_pool(2, 5, 0);
  TracePart trace;
  const int total = 60;
  trace.train_slots = 40;
  trace.mean = {1, 1};
  for (int s = 0; s < total; ++s) trace.work.insert(trace.work.end(), {double(s), 1000.0 + s});
  trace.jitter = 3;
  p.workload.parts = {trace};
  must_resolve(p);
  CHECK(evaluation_limit(p) == 4);
  const Exogenous test = draw(p, 1, EpisodeSet::evaluation, 0, 4);
  for (int i = 0; i < 4; ++i)
    for (int t = 0; t < 5; ++t) CHECK(test.arrivals[test.at(i, t)] == 40 + 5 * i + t);
  CHECK_THROWS_WITH(
      draw(p, 1, EpisodeSet::evaluation, 0, 5),
      "evaluation.episodes: 5 asked for, but the test part of the log holds 4 disjoint "
      "windows of 5 slots");
  std::vector<double> offsets;
  for (const EpisodeSet set : {EpisodeSet::training, EpisodeSet::tuning, EpisodeSet::warmup}) {
    const Exogenous x = draw(p, 1, set, 0, 200);
    for (std::int64_t i = 0; i < 200; ++i) {
      const double first = x.arrivals[x.at(i, 0)], second = x.arrivals[x.at(i, 0) + 1] - 1000;
      CHECK(first >= 0);
      CHECK(first + 4 < 40);  // never a slot of the last part
      CHECK(second >= 0);
      CHECK(second + 4 < 40);
      CHECK(std::fabs(first - second) <= 6);  // jitter of each node is at most 3
      for (int t = 0; t < 5; ++t) CHECK(x.arrivals[x.at(i, t)] == first + t);
      offsets.push_back(first);
    }
  }
  CHECK(*std::min_element(offsets.begin(), offsets.end()) == 0);
  CHECK(*std::max_element(offsets.begin(), offsets.end()) == 35);
}

TEST_CASE("step: wrong weights are refused, with environment and node") {
  const Params p = quiet_pool(2, 1, 0.5);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 2);
  Batch b = reset(p, x, {0, 1});
  CHECK_THROWS_WITH(step(p, x, b, row({1, 1})), "step: decisions are [1, 2], expected [2, 2]");
  CHECK_THROWS_WITH(
      step(p, x, b, row({1, 1, 1, -1}, 2)),
      "step: weight of environment 1, node 1 is -1.000000, expected a finite number >= 0");
  CHECK_THROWS(step(p, x, b, row({1, 1, std::nan(""), 1}, 2)));
  step(p, x, b, row({1, 1, 1, 1}, 2));
  CHECK_THROWS_WITH(step(p, x, b, row({1, 1, 1, 1}, 2)), "step: the episode of 1 slots is over");
  CHECK_THROWS(reset(p, x, {2}));
}

TEST_CASE("resolve: what no single key can tell") {
  const auto problem = [](auto change) {
    Params p;
    p.pool.nodes = 3;
    p.workload.parts = {ConstantPart{}};
    change(p);
    const std::vector<Problem> all = resolve(p, 1);
    return all.empty() ? std::string() : all[0].path + " " + all[0].text;
  };
  CHECK(problem([](Params&) {}).empty());
  CHECK(problem([](Params& p) {
          p.pool.capacity.given = std::vector<double>{1, 2};
        }) == "pool.capacity has 2 numbers, expected one for each of the 3 nodes");
  CHECK(problem([](Params& p) { p.pool.budget = 13; }) ==
        "pool.budget is 13, more than all nodes together can use (sum of capacity * need = 12)");
  CHECK(problem([](Params& p) {
          p.pool.groups = {{"a", 2}};
        }) == "pool.groups holds 2 nodes, expected pool.nodes = 3");
  CHECK(problem([](Params& p) {
          p.pool.groups = {{"a", 2}, {"b", 1}};
          p.pool.capacity.given = NodeValues::ByGroup{{"a", 1.0}};
        }) == "pool.capacity has no number for the group \"b\"");
  CHECK(problem([](Params& p) {
          p.pool.groups = {{"a", 2}, {"b", 1}};
          p.pool.capacity.given = NodeValues::ByGroup{{"a", 1.0}, {"b", 2.0}, {"c", 2.0}};
        }) == "pool.capacity names the group \"c\", which is not in pool.groups (a, b)");
  CHECK(problem([](Params& p) { p.workload.parts.clear(); }) ==
        "workload.parts is empty: no work would ever arrive at the queue nodes");
}

TEST_CASE("repeat: copies go the way of what they are copies of, in every column") {
  // Failures, a calendar, deadlines, progress and shown arrivals fill the columns that may be
  // empty.
  Params p = busy_ring(5, 12);
  p.pool.groups = {{"queue", 3, Dynamics::queue}, {"progress", 2, Dynamics::progress}};
  p.workload.failures = WearFailures{0.2, 1, 0.5, {2, 3}, 0.3, 0.9};
  p.workload.calendar = WindowsCalendar{6, 2, 0.1, 2, 1};
  p.workload.abandonment = 0;
  p.errors = DeadlineError{};
  p.observation.arrivals_shown = true;
  must_resolve(p);
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 3);
  Batch b = reset(p, x, {0, 1, 2});
  for (int t = 0; t < 5; ++t) {
    const std::vector<double> w = random_weights(3, 5, t);
    step(p, x, b, row(w, 3));
  }
  CHECK((!b.young.empty() && !b.health.empty() && !b.window.empty() && !b.arrivals_now.empty() &&
         !b.progress.empty()));
  const Batch at_once = repeat(b, 1, 4);
  CHECK(at_once.slot == 5);
  CHECK(at_once.episode == std::vector<std::int64_t>{1, 1, 1, 1});
  CHECK(at_once.error_cost == std::vector<double>(4, b.error_cost[1]));
  Batch copies = at_once;
  const int count = feature_count(p);
  std::vector<float> of_one(static_cast<std::size_t>(3 * 5 * count)),
      of_copies(static_cast<std::size_t>(4 * 5 * count));
  for (int t = 5; t < 12; ++t) {
    observe(p, b, {of_one.data(), 15, count});
    observe(p, copies, {of_copies.data(), 20, count});
    const std::vector<double> w = random_weights(3, 5, t);
    std::vector<double> same;
    for (int e = 0; e < 4; ++e) {
      same.insert(same.end(), w.begin() + 5, w.begin() + 10);
      CHECK(std::equal(of_copies.begin() + std::ptrdiff_t{e} * 5 * count,
                       of_copies.begin() + std::ptrdiff_t{e + 1} * 5 * count,
                       of_one.begin() + std::ptrdiff_t{5} * count));
    }
    step(p, x, b, row(w, 3));
    step(p, x, copies, row(same, 4));
    for (const auto column :
         {&Batch::cost, &Batch::error_cost, &Batch::switching_cost, &Batch::fairness_cost,
          &Batch::use_cost, &Batch::score, &Batch::waste})
      CHECK(copies.*column == std::vector<double>(4, (b.*column)[1]));
    for (const auto column : {&Batch::backlog, &Batch::progress, &Batch::rate, &Batch::served,
                              &Batch::lost, &Batch::error, &Batch::grant, &Batch::dispatched})
      CHECK(std::equal((copies.*column).begin() + 15, (copies.*column).end(),
                       (b.*column).begin() + 5, (b.*column).begin() + 10));
  }
  CHECK_THROWS_WITH_AS(repeat(b, 3, 1), "repeat: environment 3, 1 times, of a batch of 3", Error);
}

TEST_CASE("resolve: groups, lists and distributions fill every node") {
  Params p;
  p.pool.nodes = 3;
  p.pool.groups = {{"a", 2}, {"b", 1}};
  p.pool.capacity.given = NodeValues::ByGroup{{"b", 5.0}, {"a", 1.0}};
  p.pool.need.given = NodeValues::Uniform{0.5, 0.6};
  p.workload.parts = {ConstantPart{}};
  must_resolve(p);
  CHECK(p.pool.capacity.value == std::vector<double>{1, 1, 5});
  CHECK(p.pool.budget == 3);
  for (int n = 0; n < 3; ++n) CHECK((p.pool.need[n] > 0.5 && p.pool.need[n] < 0.6));
  CHECK(p.pool.need[0] != p.pool.need[1]);
}
