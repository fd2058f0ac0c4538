#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "agents/adam.h"
#include "agents/agents.h"
#include "agents/reinforce.h"
#include "agents/simplex.h"
#include "attention/encoder.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::make_trainer;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;
using cra::testing::short_training;

namespace {

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// A state's fields as names and bytes.
struct Collect {
  std::vector<std::pair<std::string, std::string>> bytes;
  template <class T>
  void operator()(const char* name, std::vector<T>& x) {
    bytes.emplace_back(name,
                       std::string(reinterpret_cast<const char*>(x.data()), x.size() * sizeof(T)));
  }
  void operator()(const char* name, std::int64_t& x) {
    bytes.emplace_back(name, std::to_string(x));
  }
};

/// Makes the field with number `at` have a size, or a count, that cannot be right.
struct Damage {
  int at = -1, seen = 0;
  template <class T>
  void operator()(const char*, std::vector<T>& x) {
    if (seen++ == at) x.pop_back();
  }
  void operator()(const char*, std::int64_t& x) {
    if (seen++ == at) x = -1;
  }
};

/// Every field of two states, bit by bit; names the first that differs.
std::string difference(TrainState a, TrainState b) {
  Collect left, right;
  fields(left, a);
  fields(right, b);
  for (std::size_t i = 0; i < left.bytes.size(); ++i)
    if (left.bytes[i] != right.bytes[i]) return left.bytes[i].first;
  return "";
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

}  // namespace

TEST_CASE("group_advantages: leave-one-out against the replicas, scaled, exactly 0 when equal") {
  Rollout r(4, 2, 2, 1, 1, 1);  // two episodes with two replicas, two slots
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
      Rollout r(replicas, replicas, 3, 1, 1, 1);
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

TEST_CASE("score gradient: every tensor of theta, 4-point differences in double (N1)") {
  // loss = sum_s weight_s log density(c(z_s - mu_s(theta)); sigma), z fixed: what REINFORCE sums.
  for (std::uint64_t net = 0; net < 20; ++net) {
    Draws draws(net, EpisodeSet::training, 0, Stream::weights, 0, 0);
    const int nodes = net == 0 ? 2 : 2 + static_cast<int>(draws.below(7)),
              heads = 1 + static_cast<int>(draws.below(2));
    // Width >= 4: layer norm of two numbers is nearly a sign, too sharp for differences of 1e-3.
    const attention::Shape shape{3, heads * (4 + static_cast<int>(draws.below(5))), heads, 1, 0.7};
    const ThetaLayout layout(shape);
    const std::int64_t slots = 3, rows = slots * nodes;
    const int size = nodes + static_cast<int>(net % 2);  // reserve or not
    const auto random = [&](std::size_t n, double scale, int stream) {
      std::vector<double> x;
      for (std::size_t i = 0; i < n; ++i)
        x.push_back(scale * Draws(net, EpisodeSet::tuning, stream, Stream::noise,
                                  static_cast<int>(i % 60000), 0)
                                .normal());
      return x;
    };
    std::vector<double> theta = random(static_cast<std::size_t>(layout.size()), 0.4, 0);
    const std::vector<double> x = random(static_cast<std::size_t>(rows * shape.features), 1, 1);
    const std::vector<double> z = random(static_cast<std::size_t>(slots * size), 1, 2),
                              weight = random(static_cast<std::size_t>(slots), 1, 3);
    const attention::Encoder<double> encoder(shape);
    attention::Workspace<double> space(shape, slots, nodes);
    std::vector<double> h(static_cast<std::size_t>(rows * shape.width));
    const auto deviation_of = [&](int s) {
      std::vector<double> deviation(static_cast<std::size_t>(size));
      const auto residual = [&](std::int64_t head, int n) {
        double sum = 0;
        for (int k = 0; k < shape.width; ++k)
          sum += kHeadGain * theta[static_cast<std::size_t>(head + k)] *
                 h[static_cast<std::size_t>((std::int64_t{s} * nodes + n) * shape.width + k)];
        return sum;
      };
      std::copy_n(z.begin() + std::ptrdiff_t{s} * size, size, deviation.begin());
      for (int n = 0; n < nodes; ++n) {
        deviation[static_cast<std::size_t>(n)] -= residual(layout.head(), n);
        if (size > nodes) deviation.back() -= residual(layout.reserve_head(), n) / nodes;
      }
      centre(deviation.data(), nodes);
      return deviation;
    };
    const auto forward = [&] {
      encoder.forward(theta.data(), {x.data(), rows, shape.features}, space,
                      {h.data(), rows, shape.width});
    };
    const auto loss = [&] {
      forward();
      double sum = 0;
      for (int s = 0; s < slots; ++s)
        sum += weight[static_cast<std::size_t>(s)] * log_density(deviation_of(s).data(), size,
                                                                 decision_dimensions(nodes, size),
                                                                 theta.back());
      return sum;
    };
    forward();
    std::vector<double> gradient(theta.size(), 0), d_h(h.size());
    for (int s = 0; s < slots; ++s) {
      const std::ptrdiff_t row = std::ptrdiff_t{s} * nodes * shape.width;
      gradient.back() += log_density_gradient(
          deviation_of(s).data(), weight[static_cast<std::size_t>(s)], theta.back(),
          Heads<const double>{theta.data() + layout.head(), theta.data() + layout.reserve_head()},
          h.data() + row, nodes, size, shape.width, d_h.data() + row,
          Heads<double>{gradient.data() + layout.head(), gradient.data() + layout.reserve_head()});
    }
    encoder.backward(theta.data(), {d_h.data(), rows, shape.width}, space, gradient.data(), {});

    std::vector<double> numeric(theta.size());
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
    double largest = 0, square = 0, off = 0;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      largest = std::max(largest, std::fabs(numeric[i]));
      square += numeric[i] * numeric[i];
      off += (gradient[i] - numeric[i]) * (gradient[i] - numeric[i]);
    }
    CAPTURE(net);
    CHECK(std::sqrt(off / square) < 1e-9);
    for (std::size_t i = 0; i < theta.size(); ++i) {
      CAPTURE(i);
      CHECK(std::fabs(gradient[i] - numeric[i]) <= 1e-6 * std::fabs(numeric[i]) + 1e-9 * largest);
    }
  }
}

TEST_CASE("reinforce_gradient: a sum over environment-slots; chunk borders do not matter") {
  // 3 environments x 50 slots = 150 steps: chunks of 64, 64 and 22. Against one step at a time.
  const sim::Params pool = busy_ring(5, 50);
  Network n;
  n.features = sim::feature_names(pool);
  n.shape = attention::shape_of(attention::Params{}, sim::feature_count(pool), pool.pool.nodes, 1);
  n.base = base_rule();
  n.feature_mean.assign(n.features.size(), 0);
  n.feature_scale.assign(n.features.size(), 1);
  n.theta = attention::initial_parameters(n.shape, 3);
  const ThetaLayout layout(n.shape);
  n.theta.resize(static_cast<std::size_t>(layout.size()), 0.1f);
  n.theta.back() = -1.0f;
  const LearnedNet net(n, pool, attention::make_cpu_engine);

  Rollout r(3, 3, 50, 5, 5, sim::feature_count(pool));
  std::vector<double> advantage(150);
  for (std::size_t i = 0; i < r.features.size(); ++i)
    r.features[i] = static_cast<float>(
        Draws(1, EpisodeSet::training, static_cast<std::int64_t>(i), Stream::noise, 0, 0).normal());
  for (std::size_t i = 0; i < 150; ++i) {
    advantage[i] =
        Draws(2, EpisodeSet::training, static_cast<std::int64_t>(i), Stream::noise, 0, 0).normal();
    for (std::size_t k = 0; k < 5; ++k)
      r.deviation[5 * i + k] = Draws(3, EpisodeSet::training, static_cast<std::int64_t>(i),
                                     Stream::noise, static_cast<int>(k), 0)
                                   .normal();
    centre(r.deviation.data() + 5 * i, 5);
  }
  const double entropy = 0.01;
  const std::vector<float> whole = reinforce_gradient(net, r, advantage, entropy);
  std::vector<double> sum(whole.size(), 0);
  for (std::size_t i = 0; i < 150; ++i) {
    Rollout one(1, 2, 1, 5, 5, r.feature_count);
    const auto f = static_cast<std::ptrdiff_t>(one.features.size());
    std::copy_n(r.features.begin() + static_cast<std::ptrdiff_t>(i) * f, f, one.features.begin());
    std::copy_n(r.deviation.begin() + static_cast<std::ptrdiff_t>(5 * i), 5, one.deviation.begin());
    const std::vector<float> part = reinforce_gradient(net, one, {advantage[i]}, entropy);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += static_cast<double>(part[k]) / 150;
  }
  double scale = 0;
  for (const double v : sum) scale = std::max(scale, std::fabs(v));
  // 150 float terms of order one, averaged: 150 * 2^-24 of the largest is generous.
  for (std::size_t k = 0; k < sum.size(); ++k)
    CHECK(std::fabs(static_cast<double>(whole[k]) - sum[k]) < 1e-5 * scale);
  CHECK(scale > 0.01);
}

TEST_CASE("adam_step: two steps by hand") {
  std::vector<float> theta{1}, m{0}, v{0};
  adam_step(theta, {0.5f}, m, v, 1, 0.1, 1e-5);
  CHECK(theta[0] == doctest::Approx(1 - 0.1 * 0.5 / (0.5 + 1e-5)).epsilon(1e-6));
  adam_step(theta, {-0.25f}, m, v, 2, 0.1, 1e-5);
  const double mean2 = (0.9 * 0.05 - 0.1 * 0.25) / (1 - 0.81),
               square2 = (0.999 * 0.00025 + 0.001 * 0.0625) / (1 - 0.998001);
  CHECK(theta[0] ==
        doctest::Approx(1 - 0.1 * 0.5 / (0.5 + 1e-5) - 0.1 * mean2 / (std::sqrt(square2) + 1e-5))
            .epsilon(1e-5));
}

TEST_CASE("training: the same bits for 1, 2, 3, 4, 8 and 16 threads, and for two runs (D1)") {
  sim::Params p = busy_ring(5, 15);
  p.pool.need = 0.8;
  p.pool.reserve = sim::SharedReserve{};
  must_resolve(p);
  const Rule base{"demand_backlog", {0.5, 2, 0.25, 1, 0.2}};
  for (const LearnerKind& learner : {LearnerKind(Pathwise{}), LearnerKind(Reinforce{})}) {
    Params params = short_training(5);
    params.agent.learner = learner;
    params.training.episodes = 9;  // more than a tile
    const auto trained = [&](int threads, std::uint64_t seed) {
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);
      Trainer trainer(params, attention::Params{}, p, seed, base, attention::make_cpu_engine);
      trainer.start();
      while (!trainer.finished()) trainer.update();
      omp_set_num_threads(before);
      return trainer.state();
    };
    const TrainState one = trained(1, 7);
    CHECK(one.updates == 5);
    CHECK(one.env_steps == 5 * 9 * 15 * (std::holds_alternative<Reinforce>(learner) ? 4 : 1));
    for (const int threads : {1, 2, 3, 4, 8, 16})
      for (int repeat = 0; repeat < 20; ++repeat) CHECK(difference(trained(threads, 7), one) == "");
    CHECK(difference(trained(1, 8), one) == "theta");  // another seed is another run
  }
}

TEST_CASE("training: stopped after each update and resumed, ends with the same bits (R7)") {
  const sim::Params p = busy_ring(5, 15);
  for (const LearnerKind& learner : {LearnerKind(Pathwise{}), LearnerKind(Reinforce{})}) {
    Params params = short_training(8);
    params.agent.learner = learner;
    Trainer straight = make_trainer(p, params);
    straight.start();
    while (!straight.finished()) straight.update();
    for (int stop = 0; stop <= 8; ++stop) {
      Trainer first = make_trainer(p, params);
      first.start();
      for (int u = 0; u < stop; ++u) first.update();
      Trainer second = make_trainer(p, params);
      second.resume(first.state());
      while (!second.finished()) second.update();
      CAPTURE(stop);
      CHECK(difference(second.state(), straight.state()) == "");
      CHECK(same_bits(second.network().theta, straight.network().theta));
    }
    // A chain: a new trainer for every update.
    TrainState state;
    {
      Trainer first = make_trainer(p, params);
      first.start();
      state = first.state();
    }
    for (int u = 0; u < 8; ++u) {
      Trainer next = make_trainer(p, params);
      next.resume(state);
      next.update();
      state = next.state();
    }
    CHECK(difference(state, straight.state()) == "");
  }
}

TEST_CASE("training: a checkpoint of other sizes is refused, field by field (R8)") {
  const sim::Params p = busy_ring(5, 15);
  Trainer trainer = make_trainer(p, short_training(3));
  trainer.start();
  trainer.update();
  Damage count;
  TrainState whole = trainer.state();
  fields(count, whole);
  for (int at = 0; at < count.seen; ++at) {
    TrainState broken = whole;
    Damage damage{at, 0};
    fields(damage, broken);
    CAPTURE(at);
    CHECK_THROWS_AS(make_trainer(p, short_training(3)).resume(broken), InputError);
  }
}

TEST_CASE("training: REINFORCE finds the better of two constant allocations") {
  // One node gets all the work. Base: uniform. Serving needs 1.6 of a budget of 2, uniform gives 1.
  sim::Params p = quiet_pool(2, 20, 0);
  p.workload.parts = {sim::ConstantPart{sim::NodeValues(0)}};
  std::get<sim::ConstantPart>(p.workload.parts[0]).rate.given = std::vector<double>{1.6, 0.1};
  must_resolve(p);
  Params params = short_training(60);
  params.training.episodes = 4;
  params.training.replicas = 8;
  std::get<Reinforce>(params.agent.learner).learning_rate = 0.01;
  Trainer trainer(params, attention::Params{}, p, 7, {"uniform", {}}, attention::make_cpu_engine);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  const double uniform = mean(evaluate(*make_baseline({"uniform", {}}, p), p, x).cost);
  const double learned =
      mean(evaluate(*make_learned(trainer.network(), p, attention::make_cpu_engine), p, x).cost);
  CHECK(learned < 0.5 * uniform);
}

TEST_CASE(
    "training: a number that is not finite stops the update, named, with the state untouched "
    "(N3)") {
  const sim::Params p = busy_ring(5, 15);
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{500}}) {
      Trainer trainer = make_trainer(p, short_training(3));
      trainer.start();
      trainer.update();  // the head is no longer zero, so weights reach the logits
      TrainState planted = trainer.state();
      planted.theta[at] = bad;
      Trainer victim = make_trainer(p, short_training(3));
      victim.resume(planted);
      CHECK_THROWS_AS(victim.update(), DivergedError);
      CHECK(difference(victim.state(), planted) == "");
    }
    Trainer trainer = make_trainer(p, short_training(3));
    trainer.start();
    TrainState planted = trainer.state();
    planted.adam_mean[3] = bad;
    Trainer victim = make_trainer(p, short_training(3));
    victim.resume(planted);
    CHECK_THROWS_AS(victim.update(), DivergedError);
    CHECK(victim.state().updates == 0);
  }
}
