// The learned policy with every kind of attention and every control: it trains, the same bits come
// out of any number of threads and of any interruption, and static weights are frozen half way.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "agents/learned.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using attention::Weights;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::short_training;

namespace {

/// Every kind of the variant, and every control of one of them.
std::vector<attention::Params> choices() {
  std::vector<attention::Params> all;
  const auto add = [&](const attention::Kind& kind, Weights weights) {
    attention::Params p;
    p.kind = kind;
    p.width = 8;
    p.weights = weights;
    all.push_back(p);
  };
  for (const attention::Kind& kind :
       {attention::Kind(attention::Multihead{}), attention::Kind(attention::Dot{}),
        attention::Kind(attention::Additive{}), attention::Kind(attention::Induced{2, 4, 1}),
        attention::Kind(attention::None{})}) {
    CHECK(kind.index() == all.size());  // every kind of the list
    add(kind, Weights::dynamic);
  }
  CHECK(all.size() == std::variant_size_v<attention::Kind>);
  for (const Weights weights : {Weights::average, Weights::random, Weights::shuffled})
    add(attention::Induced{2, 4, 1}, weights);
  add(attention::Multihead{}, Weights::average);
  all.back().positions = attention::Positions::sinusoidal;
  return all;
}

Trainer trainer_of(const sim::Params& pool, const attention::Params& a, int updates,
                   const LearnerKind& learner) {
  Params p = short_training(updates);
  p.agent.learner = learner;
  p.training.keep = Keep::last;
  return {p, a, pool, 7, base_rule(), attention::make_cpu_engine};
}

std::vector<float> values_of(const Network& n, const std::string& ending) {
  std::vector<float> all;
  for (const attention::Tensor& t : layout(n))
    if (t.name.ends_with(ending))
      all.insert(all.end(), n.theta.begin() + t.offset,
                 n.theta.begin() + t.offset + std::int64_t{t.rows} * t.cols);
  return all;
}

}  // namespace

TEST_CASE("training: every kind and control moves its weights, the same for any interruption") {
  const sim::Params pool = busy_ring(5, 10);
  for (const attention::Params& a : choices())
    for (const LearnerKind& learner : {LearnerKind(Pathwise{}), LearnerKind(Reinforce{})}) {
      const auto trained = [&](int threads, int stop) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        Trainer first = trainer_of(pool, a, 6, learner);
        first.start();
        for (int u = 0; u < stop; ++u) first.update();
        Trainer second = trainer_of(pool, a, 6, learner);
        second.resume(first.state());
        while (!second.finished()) second.update();
        omp_set_num_threads(before);
        return second.network();
      };
      const Network straight = trained(1, 0);
      CAPTURE(a.kind.index());
      CAPTURE(static_cast<int>(a.weights));
      CHECK(first_non_finite(std::span<const float>(straight.theta)) < 0);
      CHECK(straight.theta != attention::initial_parameters(straight.shape, 7));
      CHECK(values_of(straight, "layer0.out.weight") !=
            values_of(trainer_of(pool, a, 6, learner).network(), "layer0.out.weight"));
      for (const int stop : {2, 3, 4}) CHECK(trained(3, stop).theta == straight.theta);
    }
}

TEST_CASE("static: dynamic in the first half of training, then frozen at what was learned") {
  const sim::Params pool = busy_ring(5, 10);
  attention::Params a;
  a.width = 8;
  Trainer dynamic = trainer_of(pool, a, 6, Pathwise{});
  a.weights = Weights::average;
  Trainer trainer = trainer_of(pool, a, 6, Pathwise{});
  trainer.start();
  dynamic.start();
  const auto encoder = [](const Trainer& t) {
    std::vector<float> theta = t.network().theta;
    theta.resize(static_cast<std::size_t>(
        attention::parameter_count(attention::Shape{t.network().shape.features, 8, 2, 1})));
    return theta;
  };
  for (int u = 0; u < 3; ++u) {
    trainer.update();
    dynamic.update();
    CHECK(encoder(trainer) == encoder(dynamic));
    CHECK(values_of(trainer.network(), "frozen") == std::vector<float>{0});
  }
  trainer.update();
  dynamic.update();
  CHECK(encoder(trainer) != encoder(dynamic));
  CHECK(values_of(trainer.network(), "frozen") == std::vector<float>{1});
  const std::vector<float> average = values_of(trainer.network(), "average");
  CHECK(average.size() == 2 * 5 * 5);
  // For every head and looker they are logarithms of weights that add up to 1.
  for (std::size_t h = 0; h < 2; ++h)
    for (std::size_t i = 0; i < 5; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < 5; ++j)
        sum += std::exp(static_cast<double>(average[h * 25 + j * 5 + i]));
      CHECK(sum == doctest::Approx(1).epsilon(1e-6));
    }
  // Not those of equal weights: something was looked at.
  CHECK(*std::max_element(average.begin(), average.end()) > std::log(0.2) + 1e-3);
  while (!trainer.finished()) trainer.update();
  CHECK(values_of(trainer.network(), "average") == average);

  const sim::Params other = busy_ring(6, 10);
  CHECK_THROWS_WITH_AS(
      make_learned(trainer.network(), other, attention::make_cpu_engine),
      "the policy does not fit this pool: its static attention weights are those of 5 nodes, "
      "and this pool has 6",
      InputError);
  CHECK_NOTHROW(make_learned(dynamic.network(), other, attention::make_cpu_engine));
}

TEST_CASE("sum_attention: the weights that a policy meets, one by one, of every slot and episode") {
  const sim::Params pool = busy_ring(4, 6);
  attention::Params a;
  a.width = 8;
  Trainer trainer = trainer_of(pool, a, 4, Pathwise{});
  trainer.start();
  for (int u = 0; u < 3; ++u) trainer.update();
  const LearnedNet net(trainer.network(), pool, attention::make_cpu_engine);
  // More episodes than groups. Each alone is a group of its own; the sums differ by rounding only.
  const sim::Exogenous x = sim::draw(pool, 3, EpisodeSet::warmup, 0, 11);
  const std::vector<double> all = sum_attention(net, pool, x);
  std::vector<double> one_by_one(all.size(), 0);
  for (std::int64_t i = 0; i < 11; ++i) {
    const std::vector<double> one =
        sum_attention(net, pool, sim::draw(pool, 3, EpisodeSet::warmup, i, 1));
    for (std::size_t k = 0; k < one.size(); ++k) one_by_one[k] += one[k];
  }
  double total = 0;
  for (std::size_t k = 0; k < all.size(); ++k) {
    CHECK(all[k] == doctest::Approx(one_by_one[k]).epsilon(1e-13));
    total += all[k];
  }
  // Every looker gives away 1: of 2 heads and 4 nodes in 6 slots of 11 episodes.
  CHECK(total == doctest::Approx(2 * 4 * 6 * 11).epsilon(1e-6));
}
