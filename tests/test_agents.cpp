#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/agents.h"
#include "agents/learned.h"
#include "agents/simplex.h"
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

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

}  // namespace

TEST_CASE("log_density: t15 of the model, Gaussian logits and the density on the simplex") {
  const std::vector<double> mu{.5, 0, -.5}, z{.7, -.2, .1};
  const double log_sigma = std::log(.5);
  std::vector<double> deviation(3), p(3);
  for (std::size_t i = 0; i < 3; ++i) deviation[i] = z[i] - mu[i];
  CHECK(log_density(deviation.data(), 3, 3, log_sigma) == doctest::Approx(-1.557374).epsilon(1e-6));
  CHECK(logit_entropy(3, log_sigma) == doctest::Approx(2.177374).epsilon(1e-6));
  const std::vector<double> even(3, 1.0);
  decide({even.data(), z.data()}, {3}, p.data());
  const double sum = p[0] + p[1] + p[2];
  CHECK(p[0] / sum == doctest::Approx(.511409).epsilon(1e-5));
  CHECK(p[1] / sum == doctest::Approx(.207923).epsilon(1e-5));
  CHECK(p[2] / sum == doctest::Approx(.280667).epsilon(1e-5));
  // On the simplex with log-ratios to node 3 the covariance is sigma^2 (I + 11'), of determinant
  // sigma^4 * 3; the quadratic form is that of the centred deviation, the Jacobian prod 1 / p.
  centre(deviation.data(), 3);
  double log_simplex = log_density(deviation.data(), 3, DecisionShape{3}.dimensions(), log_sigma) -
                       0.5 * std::log(3);
  for (const double x : p) log_simplex -= std::log(x / sum);
  CHECK(log_simplex == doctest::Approx(1.870867).epsilon(1e-6));
}

TEST_CASE(
    "tune: the grid of every baseline, or a search on it, and the cheapest of what was tried") {
  const sim::Params p = busy_ring(4, 15);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::tuning, 0, 2);
  for (const std::string& name : baselines_for(p)) {
    CAPTURE(name);
    const Tuning t = tune(name, p, x);
    std::size_t combinations = 1;
    for (const Knob& knob : t.knobs) {
      combinations *= knob.grid.size();
      CHECK(std::is_sorted(knob.grid.begin(), knob.grid.end()));
      CHECK(knob.grid.front() >= knob.least);
      CHECK(knob.grid.back() <= knob.most);
    }
    CHECK((combinations > 600 || t.cost.size() == combinations));
    CHECK(t.best_cost == *std::min_element(t.cost.begin(), t.cost.end()));
    if (baseline_kind(name) != Kind::oracle)
      CHECK(mean(evaluate(*make_baseline(t.rule, p), p, x).cost) ==
            doctest::Approx(t.best_cost).epsilon(1e-12));
  }
}

TEST_CASE("baselines: unknown names and wrong knob counts are refused") {
  const sim::Params p = busy_ring(3, 5);
  std::string known;
  for (const std::string& name : baseline_names()) known += (known.empty() ? "" : ", ") + name;
  CHECK_THROWS_WITH(make_baseline({"unifrom", {}}, p),
                    ("unknown baseline \"unifrom\"; known: " + known).c_str());
  CHECK_THROWS_WITH(make_baseline({"demand", {}}, p), "baseline demand takes 1 knobs, got 0");
}

TEST_CASE("record: with a delay a policy acts on old states, and what is stored is the truth") {
  sim::Params p = busy_ring(5, 20);
  p.observation.delay = 2;
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 1);
  const auto policy = make_baseline(base_rule(), p);
  const Trajectory t = record(*policy, p, x, 1);
  const auto actor = policy->actor(1);
  std::vector<sim::Batch> states{sim::reset(p, x, {0})};
  std::vector<double> w(5);
  for (std::size_t s = 0; s < 20; ++s) {
    actor->act(states[s < 2 ? 0 : s - 2], {w.data(), 1, 5});
    states.push_back(states.back());
    sim::step(p, x, states.back(), {w.data(), 1, 5});
    const double sum = std::accumulate(w.begin(), w.end(), 0.0);
    for (std::size_t n = 0; n < 5; ++n) {
      CHECK(t.proportion[s * 5 + n] == doctest::Approx(w[n] / sum).epsilon(1e-12));
      CHECK(t.backlog[s * 5 + n] == states.back().backlog[n]);
    }
    CHECK(t.cost[s] == states.back().cost[0]);
  }
}

TEST_CASE("Trainer: statistics and roll-outs are of what is seen") {
  sim::Params p = busy_ring(5, 20);
  p.observation.delay = 20;  // nothing but the state before slot 0 is ever seen
  Params a = short_training(2);
  a.training.episodes = 64;
  a.training.replicas = 2;
  a.agent.policy = LogisticNormal{-4};  // hardly any exploration: close to the base itself
  a.agent.learner = Reinforce{};
  a.agent.base_floor = 0;
  Trainer trainer = make_trainer(p, a, 1);
  trainer.start();
  CHECK(trainer.state().feature_mean[0] == 0);  // no backlog
  const double cost = trainer.update().cost;
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::training, 0, 64);
  const auto base = make_baseline(base_rule(), p);
  CHECK(cost == doctest::Approx(mean(evaluate(*base, p, x).cost)).epsilon(0.01));
  p.observation.delay = 0;
  CHECK(std::fabs(mean(evaluate(*base, p, x).cost) / cost - 1) > 0.1);
}

TEST_CASE(
    "evaluate: means over slots of what record stores, the first of many episodes are the few") {
  const sim::Params p = busy_ring(5, 20);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 40);
  const auto policy = make_baseline(base_rule(), p);
  const Outcome all = evaluate(*policy, p, x);
  const Trajectory t = record(*policy, p, x, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    double cost = 0, score = 0;
    for (std::size_t s = 0; s < 20; ++s) {
      cost += t.cost[i * 20 + s] / 20;
      score += t.score[i * 20 + s] / 20;
      const double* proportion = t.proportion.data() + (i * 20 + s) * 5;
      CHECK(std::accumulate(proportion, proportion + 5, 0.0) == doctest::Approx(1).epsilon(1e-12));
    }
    CHECK(all.cost[i] == doctest::Approx(cost).epsilon(1e-12));
    CHECK(all.score[i] == doctest::Approx(score).epsilon(1e-12));
    CHECK(all.cost[i] == doctest::Approx(all.error_cost[i] + all.switching_cost[i]).epsilon(1e-12));
  }
  const Outcome few = evaluate(*policy, p, sim::draw(p, 1, EpisodeSet::evaluation, 0, 3));
  for (std::size_t i = 0; i < 3; ++i) CHECK(few.cost[i] == all.cost[i]);
}

TEST_CASE("learned policy: before any update it is its base heuristic") {
  const sim::Params p = busy_ring(6, 30);
  Params exact = short_training(1);
  exact.agent.base_floor = 0;
  Trainer trainer = make_trainer(p, exact);
  trainer.start();
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 20);
  const Outcome learned =
      evaluate(*make_learned(trainer.network(), p, attention::make_cpu_engine), p, x);
  const Outcome base = evaluate(*make_baseline(base_rule(), p), p, x);
  for (std::size_t i = 0; i < 20; ++i) CHECK(learned.cost[i] == base.cost[i]);
}

TEST_CASE("learned policy: runs in pools of another size, refuses other features") {
  const sim::Params small = busy_ring(4, 10), large = busy_ring(33, 10);
  Trainer trainer = make_trainer(small, short_training(1));
  trainer.start();
  const sim::Exogenous x = sim::draw(large, 1, EpisodeSet::evaluation, 0, 2);
  CHECK(std::isfinite(
      mean(evaluate(*make_learned(trainer.network(), large, attention::make_cpu_engine), large, x)
               .cost)));
  const sim::Params flat = quiet_pool(4, 10, 0.5);
  CHECK_THROWS_AS(make_learned(trainer.network(), flat, attention::make_cpu_engine), InputError);
}

TEST_CASE("check: what no single key of the agents can tell") {
  sim::Params pool = busy_ring(3, 5);
  Params p;
  CHECK(check(p, pool).empty());
  p.agent.base = "beast";
  p.evaluation.baselines = {"uniform", "uniform", "greedy"};
  const std::vector<Problem> all = check(p, pool);
  REQUIRE(all.size() == 3);
  CHECK(all[0].path == "evaluation.baselines[1]");
  CHECK(all[0].text == "names \"uniform\" a second time");
  CHECK(all[1].path == "evaluation.baselines[2]");
  CHECK(all[2].path == "agent.base");

  p = Params{};
  p.agent.base = "mpc";
  p.evaluation.baselines = {"mpc", "health"};
  const std::vector<Problem> more = check(p, pool);
  REQUIRE(more.size() == 2);
  CHECK(more[0].path == "evaluation.baselines[1]");
  CHECK(more[0].text == "is \"health\", which knows how nodes fail, but here none does");
  CHECK(more[1].path == "agent.base");
  CHECK(more[1].text ==
        "is \"mpc\", which plans ahead in every slot; a policy can start from any other baseline");
}
