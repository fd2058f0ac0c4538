// The evolution strategy over knobs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "agents/evolution.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring;
using cra::testing::short_training;

TEST_CASE("knobs: the grid at whole numbers, linear between and beyond, never past the limits") {
  const Knob knob{"k", {0.5, 1, 4}, 0.25, 6};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(knob_at(knob, static_cast<double>(i)) == knob.grid[i]);  // to the bit
    CHECK(place_of(knob, knob.grid[i]) == static_cast<double>(i));
  }
  CHECK(knob_at(knob, 1.5) == doctest::Approx(2.5));
  CHECK(knob_at(knob, 2.5) == doctest::Approx(5.5));
  CHECK(knob_at(knob, -0.25) == doctest::Approx(0.375));
  CHECK(knob_at(knob, 9) == 6);
  CHECK(knob_at(knob, -9) == 0.25);
  CHECK(place_of(knob, 2.5) == doctest::Approx(1.5));
  CHECK(place_of(knob, 0) == 0);
  CHECK(place_of(knob, 9) == 2);
  CHECK(knob_at({"k", {3}, 0, 100}, 1) == doctest::Approx(6));
}

TEST_CASE("evolve: the mean of the better half by rank, the spread about the old mean") {
  // Recomputed from the candidates' own costs, each evaluated by itself.
  const sim::Params p = busy_ring(4, 15);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::training, 0, 3);
  const Search from{{1, 2, 1.5, 0.5}, {0.5, 1, 0.25, 0}};
  const Evolution settings{4, 1, 0.3};
  const Generation g = evolve(settings, from, base_rule(), p, x, 9, 2);
  struct Candidate {
    std::vector<double> places;
    double cost;
  };
  std::vector<Candidate> all;
  for (int i = 0; i < 4; ++i) {
    Draws draws(9, EpisodeSet::training, 2, Stream::exploration, i / 2, 0);
    Candidate c{from.mean, 0};
    for (std::size_t k = 0; k < 4; ++k)
      c.places[k] += (i % 2 == 0 ? 1 : -1) * from.spread[k] * draws.normal();
    for (const double cost :
         evaluate(*make_baseline(rule_at(base_rule(), c.places, p), p), p, x).cost)
      c.cost += cost / 3;
    all.push_back(c);
  }
  double mean = 0;
  for (const Candidate& c : all) mean += c.cost / 4;
  CHECK(g.cost == doctest::Approx(mean).epsilon(1e-12));
  std::sort(all.begin(), all.end(),
            [](const Candidate& a, const Candidate& b) { return a.cost < b.cost; });
  const double w0 = std::log(2.5), w1 = std::log(2.5) - std::log(2.0);
  for (std::size_t k = 0; k < 4; ++k) {
    const double a = all[0].places[k] - from.mean[k], b = all[1].places[k] - from.mean[k];
    CHECK(g.next.mean[k] ==
          doctest::Approx(from.mean[k] + (w0 * a + w1 * b) / (w0 + w1)).epsilon(1e-12));
    const double square = (w0 * a * a + w1 * b * b) / (w0 + w1);
    CHECK(g.next.spread[k] ==
          doctest::Approx(
              std::max(1e-3, std::sqrt(0.7 * from.spread[k] * from.spread[k] + 0.3 * square)))
              .epsilon(1e-12));
  }
}

TEST_CASE("es: starts as its base to the bit, finds better knobs, and returns them") {
  const sim::Params p = busy_ring(5, 30);
  Params params = short_training(25);
  params.agent.learner = Evolution{};
  params.training.episodes = 4;
  params.training.validation_episodes = 16;
  Rule poor{"demand_backlog", {}};
  for (const Knob& knob : baseline_knobs(poor.name, p)) poor.knobs.push_back(knob.grid.front());
  Trainer trainer(params, attention::Params{}, p, 7, poor, attention::make_cpu_engine);
  trainer.start();
  const sim::Exogenous x = sim::draw(p, 7, EpisodeSet::evaluation, 0, 64);
  const auto cost_of = [&](const Network& n) {
    return evaluate(*make_learned(n, p, attention::make_cpu_engine), p, x).cost;
  };
  const std::vector<double> rule = evaluate(*make_baseline(poor, p), p, x).cost;
  CHECK(cost_of(trainer.network()) == rule);
  while (!trainer.finished()) trainer.update();
  const std::vector<double> found = cost_of(trainer.network());
  CHECK(trainer.network().base.knobs != poor.knobs);
  CHECK(found == evaluate(*make_baseline(trainer.network().base, p), p, x).cost);
  double sum = 0, square = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    sum += found[i] - rule[i];
    square += (found[i] - rule[i]) * (found[i] - rule[i]);
  }
  const double n = 64, se = std::sqrt((square / n - sum * sum / n / n) / (n - 1));
  CAPTURE(sum / n);
  CHECK(sum / n < -5 * se);
}

TEST_CASE("check: es wants a base that has knobs") {
  Params params;
  params.agent.learner = Evolution{};
  const sim::Params pool = busy_ring(3, 5);
  params.agent.base = "best";  // whichever it is
  CHECK(check(params, pool).empty());
  params.agent.base = "demand_backlog";
  CHECK(check(params, pool).empty());
  params.agent.base = "uniform";
  const std::vector<Problem> problems = check(params, pool);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].path == "agent.base");
  CHECK(problems[0].text ==
        "is \"uniform\", which has no knobs, and es moves nothing else; agent.base=best would do");
}

TEST_CASE("check: es wants a best baseline that has knobs") {
  Params params;
  params.agent.learner = Evolution{};
  const sim::Params pool = busy_ring(3, 5);
  const auto said = [&](const char* base, std::vector<std::string> compared) {
    params.agent.base = base;
    params.evaluation.baselines = std::move(compared);
    std::string text;
    for (const Problem& p : check(params, pool)) text += p.path + " " + p.text;
    return text;
  };
  CHECK(said("best", {"uniform", "demand_backlog"}).empty());
  const char* best =
      "agent.base is best, but nothing in evaluation.baselines has knobs to learn, and es moves "
      "nothing else; agent.base=demand would do";
  CHECK(said("best", {"uniform", "random"}) == best);
  CHECK(said("best", {"uniform", "mpc"}) == best);  // has a knob, and cannot be a base
  CHECK(said("uniform", {"uniform", "random"}) ==
        "agent.base is \"uniform\", which has no knobs, and es moves nothing else; "
        "agent.base=demand would do");
}
