#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "agents/adam.h"
#include "agents/agents.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::every_kind;
using cra::testing::make_trainer;
using cra::testing::must_resolve;
using cra::testing::name_of;
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
  for (const LearnerKind& learner : every_kind<LearnerKind>()) {
    CAPTURE(name_of(learner));
    Params params = short_training(5);
    params.agent.learner = learner;
    params.agent.policy = Dirichlet{};
    if (auto* es = std::get_if<Evolution>(&params.agent.learner)) es->population = 6;
    params.training.episodes = 9;  // more than a tile
    const auto trained = [&](int threads, std::uint64_t seed) {
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);
      attention::Params small;
      small.width = 8;
      Trainer trainer(params, small, p, seed, base, attention::make_cpu_engine);
      trainer.start();
      while (!trainer.finished()) trainer.update();
      omp_set_num_threads(before);
      return trainer.state();
    };
    const TrainState one = trained(1, 7);
    CHECK(one.updates == 5);
    const bool exact = std::holds_alternative<Pathwise>(learner),
               evolves = std::holds_alternative<Evolution>(learner);
    CHECK(one.env_steps == 5 * 9 * 15 * (exact ? 1 : evolves ? 6 : 4));
    for (const int threads : {1, 2, 3, 4, 8, 16})
      for (int repeat = 0; repeat < 2; ++repeat) CHECK(difference(trained(threads, 7), one) == "");
    CHECK(difference(trained(1, 8), one) != "");  // another seed is another run
  }
}

TEST_CASE("training: stopped after each update and resumed, ends with the same bits (R7)") {
  const sim::Params p = busy_ring(5, 15);
  for (const LearnerKind& learner : every_kind<LearnerKind>())
    for (const PolicyKind& policy : every_kind<PolicyKind>()) {
      CAPTURE(name_of(learner));
      Params params = short_training(8);
      params.agent.learner = learner;
      params.agent.policy = policy;
      if (auto* es = std::get_if<Evolution>(&params.agent.learner)) es->population = 4;
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
        CHECK(second.network().base.knobs == straight.network().base.knobs);
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

TEST_CASE("training: every learner with a network finds the better of two constant allocations") {
  // One node gets all the work. Base: uniform. Serving needs 1.6 of a budget of 2, uniform gives 1.
  sim::Params p = quiet_pool(2, 20, 0);
  p.workload.parts = {sim::ConstantPart{sim::NodeValues(0)}};
  std::get<sim::ConstantPart>(p.workload.parts[0]).rate.given = std::vector<double>{1.6, 0.1};
  must_resolve(p);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  const double uniform = mean(evaluate(*make_baseline({"uniform", {}}, p), p, x).cost);
  for (const LearnerKind& learner : every_kind<LearnerKind>()) {
    if (std::holds_alternative<Evolution>(learner)) continue;  // equal shares have no knobs
    Params params = short_training(60);
    params.agent.learner = learner;
    params.training.episodes = 4;
    params.training.replicas = 8;
    std::visit(
        [](auto& k) {
          if constexpr (requires { k.learning_rate; }) k.learning_rate = 0.01;
          if constexpr (requires { k.proximal; }) k.proximal.learning_rate = 0.01;
          if constexpr (requires { k.score; }) k.score.learning_rate = 0.01;
        },
        params.agent.learner);
    attention::Params small;
    small.width = 8;
    Trainer trainer(params, small, p, 7, {"uniform", {}}, attention::make_cpu_engine);
    trainer.start();
    while (!trainer.finished()) trainer.update();
    const double learned =
        mean(evaluate(*make_learned(trainer.network(), p, attention::make_cpu_engine), p, x).cost);
    CAPTURE(name_of(learner));
    CHECK(learned < 0.5 * uniform);
  }
}

/// What a training says that goes on from a state.
std::string complaint_of(const sim::Params& p, const Params& params, const TrainState& planted) {
  Trainer victim = make_trainer(p, params);
  victim.resume(planted);
  std::string said = "nothing";
  try {
    while (!victim.finished()) victim.update();
  } catch (const DivergedError& e) {
    said = e.what();
  }
  CHECK(difference(victim.state(), planted) == "");  // the update that failed left no trace
  return said;
}

TEST_CASE(
    "training: a number that is not finite stops the update, named, with the state untouched "
    "(N3)") {
  const sim::Params p = busy_ring(5, 15);
  for (const LearnerKind& learner : every_kind<LearnerKind>()) {
    if (std::holds_alternative<Evolution>(learner)) continue;  // nothing is learned by gradient
    CAPTURE(name_of(learner));
    Params params = short_training(3);
    params.agent.learner = learner;
    params.training.validate_every = 10;
    Trainer trainer = make_trainer(p, params);
    trainer.start();
    trainer.update();  // the head is no longer zero, so weights reach the logits
    const TrainState whole = trainer.state();
    const auto said = [&](auto plant) {
      TrainState planted = whole;
      plant(planted);
      return complaint_of(p, params, planted);
    };
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
      const auto starts = [](const std::string& text, const char* with) {
        CAPTURE(text);
        CHECK(text.find("training diverged in update 2: " + std::string(with)) == 0);
      };
      starts(said([&](TrainState& s) { s.theta[0] = bad; }),
             "theta[0] (embed.0.weight[0]) is not finite");
      starts(said([&](TrainState& s) { s.theta[500] = bad; }), "theta[500] (");
      starts(said([&](TrainState& s) { s.adam_mean[3] = bad; }),
             "adam_mean[3] (embed.0.weight[3]) is not finite");
      starts(said([&](TrainState& s) { s.adam_square[3] = bad; }), "adam_square[3] (");
      starts(said([&](TrainState& s) { s.feature_scale[2] = static_cast<double>(bad); }),
             "the statistics of feature rate are not finite");
    }
  }
}
