// Learners that explore: advantages, the loss and its gradient, and what they share.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "agents/advantages.h"
#include "agents/score_learner.h"
#include "agents/surrogate.h"
#include "attention/encoder.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::every_kind;
using cra::testing::must_resolve;

namespace {

using Numbers = std::vector<double>;

Numbers random_numbers(std::size_t n, double scale, std::uint64_t seed, int stream) {
  Numbers x;
  for (std::size_t i = 0; i < n; ++i)
    x.push_back(
        scale *
        Draws(seed, EpisodeSet::tuning, stream, Stream::noise, static_cast<int>(i), 0).normal());
  return x;
}

/// A net with random weights everywhere, for a pool with a reserve.
LearnedNet random_net(const sim::Params& pool, const PolicyKind& kind, int resource_heads = 0) {
  Network n;
  n.policy = kind;
  n.features = sim::feature_names(pool);
  attention::Params a;
  a.width = 8;
  n.shape = attention::shape_of(a, sim::feature_count(pool), pool.pool.nodes, 1);
  n.base = {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}};
  n.base_floor = 0.02;
  n.feature_mean.assign(n.features.size(), 0.5);
  n.feature_scale.assign(n.features.size(), 0.7);
  n.theta = attention::initial_parameters(n.shape, 3);
  n.resource_heads = resource_heads;
  const ThetaLayout layout(n.shape, resource_heads);
  for (const double x :
       random_numbers(static_cast<std::size_t>(layout.log_spread() - layout.head()), 0.2, 4, 0))
    n.theta.push_back(static_cast<float>(x));
  n.theta.push_back(static_cast<float>(initial_log_spread(kind, pool.pool.nodes)));
  return {std::move(n), pool, attention::make_cpu_engine};
}

sim::Params pool_with_reserve() {
  sim::Params p = busy_ring(5, 25);
  p.pool.need = 0.8;
  p.pool.reserve = sim::SharedReserve{};
  must_resolve(p);
  return p;
}

std::vector<std::int64_t> all_steps(const Rollout& r) {
  std::vector<std::int64_t> steps(r.cost.size());
  std::iota(steps.begin(), steps.end(), std::int64_t{0});
  return steps;
}

}  // namespace

// ---- advantages ------------------------------------------------------------------------

TEST_CASE("group_advantages: leave-one-out against the replicas, scaled, exactly 0 when equal") {
  Rollout r(4, 2, 2, {1}, 1);  // two episodes with two replicas, two slots
  r.cost = {1, 2, 3, 2, 5, 0, 5, 0};
  const std::vector<double> a = group_advantages(r, 0.5);
  // Returns: -(1 + 1) = -2, -2 | -4, -2 | -5, 0 | -5, 0. Against the other replica: +2, 0 | -2, 0.
  const double scale = std::sqrt((4 + 4) / 8.0);
  CHECK(a[0] == doctest::Approx(2 / scale));
  CHECK(a[2] == doctest::Approx(-2 / scale));
  for (const std::size_t i : {1u, 3u, 4u, 5u, 6u, 7u}) CHECK(a[i] == 0);
}

TEST_CASE("group_advantages: equal, huge and outlying returns stay finite and bounded (N4)") {
  for (const double offset : {0.0, 1e9, 1e30}) {
    for (const int replicas : {2, 3}) {
      Rollout r(replicas, replicas, 3, {1}, 1);
      std::fill(r.cost.begin(), r.cost.end(), offset + 0.1);
      for (const double a : group_advantages(r, 0.93)) CHECK(a == 0);
      r.cost[0] += 1e30;
      for (const double a : group_advantages(r, 0.93)) {
        CHECK(std::isfinite(a));
        CHECK(std::fabs(a) <= std::sqrt(3.0 * replicas));
      }
    }
  }
}

TEST_CASE("critic_advantages: generalised advantage estimation by hand, against the replicas") {
  Rollout r(2, 2, 3, {1}, 1);
  r.cost = {1, 2, 4, 3, 0, 1};
  r.value = {0.5, -1, 2, 1, 0, -2};
  ReturnScale scale;  // of nothing yet: values are in plain units
  const double g = 0.5, l = 0.8;
  const Estimate e = critic_advantages(r, g, l, scale);
  Numbers a, target;
  for (std::size_t first : {0u, 3u}) {
    const double *c = r.cost.data() + first, *v = r.value.data() + first;
    const double d2 = -c[2] - v[2], d1 = -c[1] + g * v[2] - v[1], d0 = -c[0] + g * v[1] - v[0];
    for (const double x : {d0 + g * l * (d1 + g * l * d2), d1 + g * l * d2, d2}) a.push_back(x);
    for (std::size_t t = 0; t < 3; ++t) target.push_back(a[first + t] + v[t]);
  }
  double square = 0, mean = 0, target_square = 0;
  for (std::size_t t = 0; t < 3; ++t) square += (a[t] - a[t + 3]) * (a[t] - a[t + 3]) / 3;
  for (const double x : target) mean += x / 6;
  for (const double x : target) target_square += (x - mean) * (x - mean) / 6;
  Numbers unit;
  for (std::size_t i = 0; i < 6; ++i) {
    unit.push_back((a[i] - a[(i + 3) % 6]) / std::sqrt(square));
    CHECK(e.advantage[i] == doctest::Approx(unit[i]).epsilon(1e-13));
    CHECK(e.target[i] ==
          doctest::Approx((target[i] - mean) / std::sqrt(target_square)).epsilon(1e-13));
  }
  CHECK(scale.count == 6);

  // In other units the same: values are read with the mean and deviation of before.
  Rollout scaled = r;
  ReturnScale known{4, 3, 16};  // mean 3, deviation 2
  for (double& v : scaled.value) v = (v - 3) / 2;
  const Estimate same = critic_advantages(scaled, g, l, known);
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(same.advantage[i] == doctest::Approx(unit[i]).epsilon(1e-13));
}

TEST_CASE("critic_advantages: what all replicas meet adds nothing") {
  Rollout r(4, 2, 3, {1}, 1);
  r.cost = {1, 2, 4, 3, 0, 1, 2, 2, 0, 1, 5, 3};
  r.value = {0.5, -1, 2, 1, 0, -2, 1, 2, 1, 0, -1, 0.5};
  ReturnScale calm, burst;
  const Estimate before = critic_advantages(r, 0.9, 0.8, calm);
  for (std::size_t e : {2u, 3u}) r.cost[e * 3 + 1] += 100;  // in the second episode alone
  const Estimate after = critic_advantages(r, 0.9, 0.8, burst);
  for (std::size_t i = 0; i < r.cost.size(); ++i)
    CHECK(after.advantage[i] == doctest::Approx(before.advantage[i]).epsilon(1e-12));
}

TEST_CASE("ReturnScale: in parts what it is at once") {
  const Numbers all = random_numbers(500, 3, 1, 0);
  ReturnScale once, parts;
  once.add(all);
  for (std::size_t i = 0; i < 500; i += 50)
    parts.add({all.begin() + static_cast<std::ptrdiff_t>(i),
               all.begin() + static_cast<std::ptrdiff_t>(i) + 50});
  CHECK(parts.mean == doctest::Approx(once.mean).epsilon(1e-12));
  CHECK(parts.deviation() == doctest::Approx(once.deviation()).epsilon(1e-12));
  CHECK(once.deviation() == doctest::Approx(3).epsilon(0.2));  // five errors of 1 / sqrt(2 n)
}

// ---- the loss --------------------------------------------------------------------------

TEST_CASE("step_loss: every tensor, 4-point differences in double, all learners' losses (N1)") {
  const std::vector<Surrogate> losses{settings_of(Reinforce{}, 5).surrogate,
                                      settings_of(GroupPpo{}, 5).surrogate,
                                      settings_of(Ppo{}, 5).surrogate,
                                      settings_of(A2c{}, 5).surrogate,
                                      {0.2, 0.3, 0.7}};
  for (const PolicyKind& kind : every_kind<PolicyKind>()) {
    int clipped = 0, some_clipped = 0, some_kept = 0;
    const std::uint64_t nets = kind.index() == 0 ? 16 : 10;
    for (std::uint64_t net = 0; net < nets; ++net) {
      const Surrogate& loss_of = losses[net % losses.size()];
      Draws draws(net, EpisodeSet::training, 0, Stream::weights, 0, 0);
      const int nodes = net == 0 ? 2 : 2 + static_cast<int>(draws.below(7)),
                heads = 1 + static_cast<int>(draws.below(2)),
                resources = net < 10 ? 0 : 1 + static_cast<int>(net % 3);
      const DecisionShape to{nodes, net % 2 == 1, resources};
      // Width >= 4: layer norm of two numbers is nearly a sign, too sharp for differences of 1e-3.
      const attention::Shape shape{3, heads * (4 + static_cast<int>(draws.below(5))), heads, 1,
                                   0.7};
      const ThetaLayout layout(shape, resources);
      const int slots = 3, width = shape.width, size = to.logits();
      const std::int64_t rows = std::int64_t{slots} * nodes;
      const auto count = static_cast<std::size_t>(slots) * static_cast<std::size_t>(size);
      // Theta, then the critic's head.
      Numbers theta =
          random_numbers(static_cast<std::size_t>(layout.size() + width + 1), 0.3, net, 0);
      double& log_spread = theta[static_cast<std::size_t>(layout.log_spread())];
      log_spread = kind.index() == 0 ? -0.5 : std::log(8.0 * nodes);
      const Numbers x = random_numbers(static_cast<std::size_t>(rows * shape.features), 1, net, 1),
                    drawn = random_numbers(count, 0.1, net, 2),
                    advantage = random_numbers(slots, 1, net, 3),
                    target = random_numbers(slots, 1, net, 4);
      Numbers base = random_numbers(std::size_t{slots} * static_cast<std::size_t>(to.bundle()), 0.5,
                                    net, 5),
              action(count), decision(static_cast<std::size_t>(to.size())), log_drawn(slots);
      for (double& w : base) w = std::exp(w);
      const attention::Encoder<double> encoder(shape);
      attention::Workspace<double> space(shape, slots, nodes);
      Numbers h(static_cast<std::size_t>(rows * width)), d_h(h.size());
      Heads<const double> heads_now = layout.heads<const double>(theta.data());
      heads_now.value = theta.data() + layout.size();
      const auto forward = [&] {
        encoder.forward(theta.data(), {x.data(), rows, shape.features}, space,
                        {h.data(), rows, width});
      };
      forward();
      for (int s = 0; s < slots; ++s) {
        const std::ptrdiff_t at = std::ptrdiff_t{s} * size;
        const double* of_base = base.data() + std::ptrdiff_t{s} * to.bundle();
        if (to.reserve)
          base[static_cast<std::size_t>(std::ptrdiff_t{s} * to.bundle() + nodes)] = 0.3;
        // Drawn by a policy that is near: ratios on both sides of the clip.
        Numbers near(static_cast<std::size_t>(size));
        head_residual(heads_now, h.data() + std::ptrdiff_t{s} * nodes * width, to, width,
                      near.data());
        for (std::size_t i = 0; i < near.size(); ++i)
          near[i] += drawn[static_cast<std::size_t>(at) + i];
        log_drawn[static_cast<std::size_t>(s)] =
            Distribution(kind, log_spread, to)
                .sample({of_base, near.data()}, {net, s, 0}, action.data() + at, decision.data());
      }
      Numbers drawn_under(count);
      for (int s = 0; s < slots; ++s) {
        const std::ptrdiff_t at = std::ptrdiff_t{s} * size;
        head_residual(heads_now, h.data() + std::ptrdiff_t{s} * nodes * width, to, width,
                      drawn_under.data() + at);
        for (std::ptrdiff_t i = 0; i < size; ++i)
          drawn_under[static_cast<std::size_t>(at + i)] += drawn[static_cast<std::size_t>(at + i)];
      }
      Numbers gradient;
      const auto loss = [&] {
        forward();
        gradient.assign(theta.size(), 0);
        Heads<double> d_heads = layout.heads(gradient.data());
        d_heads.value = gradient.data() + layout.size();
        const Distribution around(kind, log_spread, to);
        double sum = 0;
        for (int s = 0; s < slots; ++s) {
          const std::ptrdiff_t at = std::ptrdiff_t{s} * size,
                               row = std::ptrdiff_t{s} * nodes * width;
          const auto i = static_cast<std::size_t>(s);
          const Step step{proposal_of(base, drawn_under, to, s), action.data() + at, log_drawn[i],
                          advantage[i], target[i]};
          const StepLoss l = step_loss(loss_of, around, step, 0.5, heads_now, h.data() + row, to,
                                       width, d_h.data() + row, d_heads);
          sum += l.loss;
          gradient[static_cast<std::size_t>(layout.log_spread())] += l.d_spread;
          clipped += std::fabs(l.ratio - 1) > 0.2 ? 1 : 0;
        }
        return sum;
      };
      clipped = 0;
      loss();
      some_clipped += clipped;
      some_kept += slots - clipped;
      encoder.backward(theta.data(), {d_h.data(), rows, width}, space, gradient.data(), {});
      const Numbers found = gradient;
      Numbers numeric(theta.size());
      const double step = 1e-3;
      for (std::size_t i = 0; i < theta.size(); ++i) {
        const double at = theta[i];
        const auto shifted = [&](double by) {
          theta[i] = at + by * step;
          return loss();
        };
        numeric[i] = (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / (12 * step);
        theta[i] = at;
      }
      double largest = 0;
      for (const double v : numeric) largest = std::max(largest, std::fabs(v));
      CAPTURE(net);
      CAPTURE(kind.index());
      CHECK(largest > 1e-3);
      for (std::size_t i = 0; i < theta.size(); ++i) {
        CAPTURE(i);
        CHECK(std::fabs(found[i] - numeric[i]) <= 1e-6 * std::fabs(numeric[i]) + 1e-9 * largest);
      }
    }
    CHECK(some_clipped > 5);
    CHECK(some_kept > 5);
  }
}

TEST_CASE("step_loss: beyond the clip only the way back is paid for") {
  const PolicyKind kind = LogisticNormal{};
  const Distribution around(kind, 0, {2});
  const Numbers base{1, 1}, nothing(2, 0.0);
  const Surrogate s{0.2, 0, 0};
  Numbers h{1, 0.5}, weights(1, 0.0), d_h(2), d_node(1), d_reserve(1);  // width 1
  const auto loss = [&](double log_drawn, double advantage) {
    return step_loss(s, around,
                     {{base.data(), nothing.data()}, nothing.data(), log_drawn, advantage, 0}, 1,
                     Heads<const double>{weights.data(), weights.data(), nullptr}, h.data(), {2}, 1,
                     d_h.data(), Heads<double>{d_node.data(), d_reserve.data(), nullptr});
  };
  const double at_mean = -0.5 * std::log(2 * std::numbers::pi);  // one dimension, sigma 1
  const auto ratio = [&](double r) { return at_mean - std::log(r); };
  CHECK(loss(ratio(1.5), 2).loss == doctest::Approx(-1.2 * 2));  // good, and far enough
  CHECK(loss(ratio(1.5), 2).d_spread == 0);
  CHECK(loss(ratio(1.5), -2).loss == doctest::Approx(1.5 * 2));  // bad: back
  CHECK(loss(ratio(1.5), -2).d_spread == doctest::Approx(1.5 * 2 * -1));
  CHECK(loss(ratio(0.5), -2).loss == doctest::Approx(0.8 * 2));
  CHECK(loss(ratio(0.5), -2).d_spread == 0);
  CHECK(loss(ratio(0.5), 2).loss == doctest::Approx(-0.5 * 2));
  CHECK(loss(ratio(1.1), 2).loss == doctest::Approx(-1.1 * 2));
  CHECK(loss(ratio(1.5), 1).divergence == doctest::Approx(0.5 - std::log(1.5)));
}

TEST_CASE("surrogate_gradient: where the policy explored all ratios are exactly 1") {
  const sim::Params pool = pool_with_reserve();
  for (const PolicyKind& kind : every_kind<PolicyKind>()) {
    const LearnedNet net = random_net(pool, kind);
    const sim::Exogenous x = sim::draw(pool, 2, EpisodeSet::training, 0, 5);
    const Rollout r = roll_out(net, nullptr, pool, x, {7, 0, 4});
    const Worth worth{group_advantages(r, 0.93), {}};
    // Other tiles than those of the roll-out: chunks of 64 of 500 steps, in another order.
    std::vector<std::int64_t> steps = all_steps(r);
    std::reverse(steps.begin(), steps.end());
    const SurrogateGradient g =
        surrogate_gradient(net, nullptr, settings_of(GroupPpo{}, 5).surrogate, r, worth, steps);
    CHECK(g.least_ratio == 1);
    CHECK(g.most_ratio == 1);
    CHECK(g.divergence == 0);
    LearnedNet moved = random_net(pool, kind);
    moved.network().theta[static_cast<std::size_t>(moved.theta_layout().head())] += 0.1f;
    const SurrogateGradient other =
        surrogate_gradient(moved, nullptr, settings_of(GroupPpo{}, 5).surrogate, r, worth, steps);
    CHECK(other.least_ratio < 0.999);
    CHECK(other.most_ratio > 1.001);
    CHECK(other.divergence > 0);
  }
}

TEST_CASE(
    "surrogate_gradient: a mean over steps; chunk borders do not matter, nor a critic's head") {
  const sim::Params pool = pool_with_reserve();
  for (const PolicyKind& kind : every_kind<PolicyKind>()) {
    const LearnedNet net = random_net(pool, kind);
    const auto width = static_cast<std::size_t>(net.theta_layout().width);
    std::vector<float> critic;
    for (const double v : random_numbers(width + 1, 0.3, 8, 0))
      critic.push_back(static_cast<float>(v));
    const sim::Exogenous x = sim::draw(pool, 2, EpisodeSet::training, 0, 3);
    const Rollout r = roll_out(net, critic.data(), pool, x, {7, 0, 2});  // 150 steps: 64, 64, 22
    CHECK(*std::max_element(r.value.begin(), r.value.end()) != 0);
    ReturnScale scale;
    Estimate e = critic_advantages(r, 0.93, 0.9, scale);
    const Worth worth{e.advantage, e.target};
    const Surrogate s{0.2, 0.01, 0.5};
    const std::vector<std::int64_t> steps = all_steps(r);
    const SurrogateGradient whole = surrogate_gradient(net, critic.data(), s, r, worth, steps);
    REQUIRE(whole.gradient.size() == net.network().theta.size() + width + 1);
    Numbers sum(whole.gradient.size(), 0);
    for (const std::int64_t step : steps) {
      const SurrogateGradient one = surrogate_gradient(net, critic.data(), s, r, worth, {{step}});
      for (std::size_t k = 0; k < sum.size(); ++k)
        sum[k] += static_cast<double>(one.gradient[k]) / static_cast<double>(steps.size());
    }
    double largest = 0;
    for (const double v : sum) largest = std::max(largest, std::fabs(v));
    // 150 float terms of order one, averaged: 150 * 2^-24 of the largest is generous.
    for (std::size_t k = 0; k < sum.size(); ++k)
      CHECK(std::fabs(static_cast<double>(whole.gradient[k]) - sum[k]) < 1e-5 * largest);
    CHECK(largest > 0.01);
  }
}

TEST_CASE(
    "epoch_order: every step once; another order in every epoch and update, none for one pass") {
  const ScoreLearner ppo = settings_of(GroupPpo{}, 5);
  const std::vector<std::int64_t> first = epoch_order(ppo, 100, 3, 0, 0);
  std::vector<std::int64_t> sorted = first, plain(100);
  std::iota(plain.begin(), plain.end(), std::int64_t{0});
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == plain);
  CHECK(first != plain);
  CHECK(epoch_order(ppo, 100, 3, 0, 0) == first);
  CHECK(epoch_order(ppo, 100, 3, 0, 1) != first);
  CHECK(epoch_order(ppo, 100, 3, 1, 0) != first);
  CHECK(epoch_order(ppo, 100, 4, 0, 0) != first);
  CHECK(epoch_order(settings_of(A2c{}, 5), 100, 3, 0, 0) == plain);
}

TEST_CASE("settings: wide pools take smaller steps, where ratios multiply") {
  CHECK(settings_of(GroupPpo{}, 50).learning_rate == GroupPpo{}.learning_rate);
  CHECK(settings_of(GroupPpo{}, 108).learning_rate ==
        doctest::Approx(GroupPpo{}.learning_rate / 3).epsilon(1e-12));
  CHECK(settings_of(Reinforce{}, 108).learning_rate == Reinforce{}.learning_rate);
  CHECK(has_critic(Ppo{}));
  CHECK(has_critic(A2c{}));
  CHECK_FALSE(has_critic(GroupPpo{}));
}
