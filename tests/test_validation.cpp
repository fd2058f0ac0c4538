// Which parameters a training returns, when it stops, and what several trainings share.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/agents.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::make_trainer;
using cra::testing::short_training;

namespace {

double validation_cost(const Network& n, const sim::Params& p, int episodes, std::uint64_t seed) {
  const sim::Exogenous x = sim::draw(p, seed, EpisodeSet::validation, 0, episodes);
  const std::vector<double> cost =
      evaluate(*make_learned(n, p, attention::make_cpu_engine), p, x).cost;
  return std::accumulate(cost.begin(), cost.end(), 0.0) / static_cast<double>(cost.size());
}

/// Steps so long that the policy gets worse.
Params reckless(int updates) {
  Params p = short_training(updates);
  std::get<Reinforce>(p.agent.learner).learning_rate = 1;
  p.training.schedule = Schedule::constant;
  p.training.warmup_updates = 0;
  return p;
}

}  // namespace

TEST_CASE("validation: before the first update, every so many, and after the last") {
  Training t;
  t.validate_every = 4;
  t.updates = 10;
  using Updates = std::vector<std::int64_t>;
  CHECK(validation_updates(t, 0) == Updates{0});
  CHECK(validation_updates(t, 3) == Updates{0});
  CHECK(validation_updates(t, 9) == Updates{0, 4, 8});
  CHECK(validation_updates(t, 10) == Updates{0, 4, 8, 10});
  t.updates = 8;
  CHECK(validation_updates(t, 8) == Updates{0, 4, 8});
}

TEST_CASE(
    "validation: what a training returns costs what its log says, and no more than its start") {
  const sim::Params p = busy_ring(5, 15);
  for (const bool careful : {true, false}) {
    Params params = careful ? short_training(6) : reckless(6);
    Trainer trainer = make_trainer(p, params);
    trainer.start();
    const double start = validation_cost(trainer.network(), p, 4, 7);
    CHECK(trainer.state().validation_cost == std::vector<double>{start});
    std::vector<double> seen{start};
    while (!trainer.finished()) {
      const UpdateStats u = trainer.update();
      CHECK(u.validation_cost.has_value() == (u.update % 2 == 0));
      if (u.validation_cost) seen.push_back(*u.validation_cost);
    }
    const TrainState& s = trainer.state();
    CHECK(s.validation_cost == seen);
    const double least = *std::min_element(seen.begin(), seen.end());
    CHECK(validation_cost(trainer.network(), p, 4, 7) == least);
    CHECK(kept_cost(params.training, s) == least);
    if (!careful) {
      REQUIRE(seen.back() > start);  // or it would prove nothing
      CHECK(kept_update(params.training, s) < 6);
    }
    CHECK(least <= start);

    params.training.keep = Keep::last;
    Trainer last = make_trainer(p, params);
    last.resume(s);
    CHECK(last.network().theta == s.theta);
    CHECK(validation_cost(last.network(), p, 4, 7) == seen.back());
    CHECK(kept_update(params.training, s) == 6);
    CHECK(kept_cost(params.training, s) == seen.back());
  }
}

TEST_CASE("validation: episodes of its own") {
  const sim::Params p = busy_ring(5, 15);
  const std::vector<double> own = sim::draw(p, 7, EpisodeSet::validation, 0, 2).arrivals;
  for (const EpisodeSet other :
       {EpisodeSet::training, EpisodeSet::tuning, EpisodeSet::evaluation, EpisodeSet::warmup})
    CHECK(sim::draw(p, 7, other, 0, 2).arrivals != own);
}

TEST_CASE("patience: stops after so many validations in vain, resumed or not") {
  const sim::Params p = busy_ring(5, 15);
  Params params = reckless(40);
  params.training.patience = 2;
  Trainer trainer = make_trainer(p, params);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  const TrainState& s = trainer.state();
  REQUIRE(s.updates < 40);
  const auto best = std::min_element(s.validation_cost.begin(), s.validation_cost.end());
  CHECK(s.validation_cost.end() - best == 3);  // the best, and two in vain
  Trainer resumed = make_trainer(p, params);
  resumed.resume(s);
  CHECK(resumed.finished());
  params.training.patience = 0;
  Trainer patient = make_trainer(p, params);
  patient.resume(s);
  CHECK_FALSE(patient.finished());
}

TEST_CASE("several trainings: share what is measured, and differ in what is drawn") {
  const sim::Params p = busy_ring(5, 15);
  const Params params = short_training(2);
  std::vector<TrainState> all;
  for (const int index : {0, 1, 2}) {
    Trainer trainer(params, attention::Params{}, p, 7, cra::testing::base_rule(),
                    attention::make_cpu_engine, index);
    trainer.start();
    const TrainState before = trainer.state();
    while (!trainer.finished()) trainer.update();
    all.push_back(trainer.state());
    // The same statistics and validation episodes: the base costs the same to the bit.
    CHECK(before.feature_mean == all[0].feature_mean);
    CHECK(before.validation_cost[0] == all[0].validation_cost[0]);
    for (int other = 0; other < index; ++other) {
      const TrainState& o = all[static_cast<std::size_t>(other)];
      CHECK(o.theta != all.back().theta);
      CHECK(o.log_cost != all.back().log_cost);
      // First weights: some are the same by design, gains of 1 and the head at 0.
      CHECK(o.theta[0] != before.theta[0]);
    }
  }
  CHECK(seed_of_run(7, 0) == 7);
  CHECK(seed_of_run(7, 1) != seed_of_run(8, 1));
}
