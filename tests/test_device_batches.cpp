// Engines that want large batches: what changes by them and what must not; and training on the
// kernels of the GPU, run on the host.
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <memory>
#include <vector>

#include "agents/agents.h"
#include "agents/learned.h"
#include "agents/pathwise.h"
#include "cuda/cuda.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::make_trainer;
using cra::testing::short_training;

namespace {

/// The CPU's engine with a wish, and a count of the largest call.
class Wishing : public attention::Engine {
 public:
  Wishing(const attention::Shape& s, std::int64_t wish, std::int64_t* largest)
      : Engine(s), inner_(attention::make_cpu_engine(s)), wish_(wish), largest_(largest) {}
  std::int64_t wanted_batch() const override { return wish_; }

 protected:
  std::unique_ptr<attention::Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    return inner_->make_cache(envs, nodes);
  }
  void do_forward(std::span<const float> parameters, View<const float> x, int nodes,
                  attention::Cache& cache, View<float> h,
                  View<const std::uint8_t> present) const override {
#pragma omp critical
    *largest_ = std::max(*largest_, x.rows / nodes);
    inner_->forward(parameters, x, nodes, cache, h, present);
  }
  void do_backward(std::span<const float> parameters, View<const float> d_h,
                   attention::Cache& cache, std::span<float> d_parameters,
                   View<float> d_x) const override {
    inner_->backward(parameters, d_h, cache, d_parameters, d_x);
  }
  void do_received(const attention::Cache& cache, View<float> out) const override {
    inner_->received(cache, out);
  }
  void do_add_weights(const attention::Cache& cache, std::span<double> sum) const override {
    inner_->add_weights(cache, sum);
  }

 private:
  std::unique_ptr<attention::Engine> inner_;
  std::int64_t wish_;
  std::int64_t* largest_;
};

EngineFactory wishing(std::int64_t wish, std::int64_t* largest) {
  return [=](const attention::Shape& s) { return std::make_unique<Wishing>(s, wish, largest); };
}

Network trained(const sim::Params& p) {
  Params short_one = short_training(2);
  short_one.agent.learner = Pathwise{};
  Trainer trainer = make_trainer(p, short_one);
  trainer.start();
  trainer.update();
  trainer.update();
  return trainer.network();
}

}  // namespace

TEST_CASE("evaluation: episodes have the same bits however many share a call") {
  const sim::Params p = busy_ring(5, 12);
  const Network net = trained(p);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 53);
  std::int64_t largest = 0;
  const Outcome plain = evaluate(*make_learned(net, p, wishing(0, &largest)), p, x);
  CHECK(largest == 16);
  for (const std::int64_t wish : {1, 17, 48, 1000}) {
    CAPTURE(wish);
    largest = 0;
    const Outcome o = evaluate(*make_learned(net, p, wishing(wish, &largest)), p, x);
    CHECK(largest == std::min<std::int64_t>(std::max<std::int64_t>(wish, 16), 53));
    CHECK(o.cost == plain.cost);
    CHECK(o.served == plain.served);
  }
}

TEST_CASE("gradient: of any batch the same but for rounding, and the same bits on any threads") {
  const sim::Params p = busy_ring(5, 12);
  const Network net = trained(p);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::training, 0, 37);
  std::int64_t largest = 0;
  const int threads = omp_get_max_threads();
  const PathwiseGradient plain = pathwise_gradient(LearnedNet(net, p, wishing(0, &largest)), p, x);
  CHECK(largest == 8);
  double norm = 0;
  for (const double g : plain.gradient) norm += g * g;
  for (const std::int64_t wish : {1, 16, 1000}) {
    CAPTURE(wish);
    const LearnedNet of(net, p, wishing(wish, &largest));
    const PathwiseGradient one = pathwise_gradient(of, p, x);
    CHECK(one.cost == doctest::Approx(plain.cost).epsilon(1e-12));
    double off = 0;
    for (std::size_t i = 0; i < one.gradient.size(); ++i) {
      const double d = double(one.gradient[i]) - double(plain.gradient[i]);
      off += d * d;
    }
    // Sums of 37 episodes of 12 slots in float, in another order.
    CHECK(std::sqrt(off / norm) < 37 * 12 * 0x1p-24);
    for (const int t : {1, 2, 3, 8}) {
      omp_set_num_threads(t);
      CHECK(pathwise_gradient(of, p, x).gradient == one.gradient);
    }
    omp_set_num_threads(threads);
  }
}

TEST_CASE("learners that explore: the same rollouts in calls of any size") {
  const sim::Params p = busy_ring(5, 12);
  std::int64_t largest = 0;
  const auto costs = [&](std::int64_t wish) {
    Params params = short_training(2);
    params.training.episodes = 5;
    Trainer trainer(params, attention::Params{}, p, 7, base_rule(), wishing(wish, &largest));
    trainer.start();
    return trainer.update().cost;
  };
  const double plain = costs(0);
  largest = 0;
  CHECK(costs(64) == plain);
  CHECK(largest >= 20);
}

TEST_CASE("training on the GPU's kernels ends as on the CPU") {
  const sim::Params p = busy_ring(5, 12);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 8);
  const auto cost = [&](const EngineFactory& engine, const LearnerKind& learner) {
    Params params = short_training(3);
    params.agent.learner = learner;
    params.training.episodes = 4;
    Trainer trainer(params, attention::Params{}, p, 7, base_rule(), engine);
    trainer.start();
    for (int u = 0; u < 3; ++u) trainer.update();
    const Outcome o = evaluate(*make_learned(trainer.network(), p, engine), p, x);
    double sum = 0;
    for (const double c : o.cost) sum += c;
    return sum / double(o.cost.size());
  };
  for (const LearnerKind& learner : {LearnerKind{Pathwise{}}, LearnerKind{Reinforce{}}}) {
    const double cpu = cost(attention::make_cpu_engine, learner);
    const auto kernels = [&](cuda::Precision precision) {
      return cost(
          [=](const attention::Shape& s) { return cuda::make_emulated_engine(s, precision); },
          learner);
    };
    // Three updates do not amplify roundings by much.
    CHECK(kernels(cuda::Precision::fp32) == doctest::Approx(cpu).epsilon(1e-4));
    CHECK(kernels(cuda::Precision::bf16) == doctest::Approx(cpu).epsilon(2e-2));
  }
}
