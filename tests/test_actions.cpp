// Policies in pools that take other decisions than theirs, and learners where there is no gradient.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "agents/agents.h"
#include "pools.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::busy_ring_of_three;
using cra::testing::must_resolve;

namespace {

Params quick(const LearnerKind& learner) {
  Params p;
  p.agent.learner = learner;
  p.training.updates = 2;
  p.training.episodes = 2;
  p.training.replicas = 2;
  p.training.warmup_episodes = 2;
  return p;
}

double trained(const sim::Params& pool, const LearnerKind& learner) {
  attention::Params attention;
  attention.width = 8;
  Trainer trainer(quick(learner), attention, pool, 1, {"uniform", {}}, attention::make_cpu_engine);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  return trainer.state().log_gradient_norm.back();
}

sim::Params lottery_pool() {
  sim::Params p = busy_ring(3, 20);
  p.pool.service = sim::LotteryService{0.8, 0.5};
  p.workload.parts = {sim::BernoulliPart{0.2, 0.5}};
  must_resolve(p);
  return p;
}

}  // namespace

TEST_CASE("per_resource: policies that speak of bundles cost what they cost in a bundle pool") {
  const sim::Params bundle = busy_ring_of_three(5, 20);
  sim::Params split = bundle;
  split.pool.action = sim::Action::per_resource;
  const sim::Exogenous x = sim::draw(bundle, 1, EpisodeSet::evaluation, 0, 3);
  const Rule rule{"demand_backlog", {0.5, 2, 0.25, 1}};
  const auto a = record(*make_baseline(rule, bundle), bundle, x, 3);
  const auto b = record(*make_baseline(rule, split), split, x, 3);
  CHECK(a.resource_proportion.empty());
  REQUIRE(b.resource_proportion.size() == 3 * 20 * 3 * 5);
  for (std::size_t i = 0; i < a.cost.size(); ++i) {
    CHECK(b.cost[i] == doctest::Approx(a.cost[i]).epsilon(1e-9));
    CHECK(a.waste[i] == 0);
  }
  CHECK(*std::max_element(b.waste.begin(), b.waste.end()) > 0.01);
  for (std::size_t i = 0; i < b.resource_proportion.size(); i += 5)
    CHECK(std::accumulate(&b.resource_proportion[i], &b.resource_proportion[i] + 5, 0.0) ==
          doctest::Approx(1).epsilon(1e-12));
  CHECK(trained(split, Pathwise{}) > 0);
  CHECK(trained(split, Reinforce{}) > 0);
}

TEST_CASE("lottery: apg is refused in plain words, reinforce learns") {
  const sim::Params p = lottery_pool();
  const std::vector<Problem> refused = check(quick(Pathwise{}), p);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].path == "agent.learner");
  CHECK(refused[0].text.find("learners that explore work") != std::string::npos);
  CHECK(check(quick(Reinforce{}), p).empty());
  CHECK(trained(p, Reinforce{}) > 0);
  CHECK(
      clairvoyant_bound(p, sim::draw(p, 1, EpisodeSet::evaluation, 0, 2)).reason.find("lottery") !=
      std::string::npos);
}
