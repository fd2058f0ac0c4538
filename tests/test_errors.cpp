// Errors: measured curves and their envelopes, and what holds of every error model there is.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::must_resolve;

namespace {

/// The envelope by its definition: the least error that a mixture of two points reaches whose mean
/// progress is no more than x.
double envelope_at(const std::vector<double>& x, const std::vector<double>& e, double at) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] > at) continue;
    least = std::min(least, e[i]);
    for (std::size_t j = 0; j < x.size(); ++j)
      if (x[j] > at) least = std::min(least, e[i] + (at - x[i]) / (x[j] - x[i]) * (e[j] - e[i]));
  }
  return least;
}

double interpolated(const Curve& c, double at) {
  for (std::size_t i = 1; i < c.x.size(); ++i)
    if (at <= c.x[i])
      return c.error[i - 1] +
             (at - c.x[i - 1]) / (c.x[i] - c.x[i - 1]) * (c.error[i] - c.error[i - 1]);
  return c.error.back();
}

CurveSource measured(std::vector<double> x, std::vector<double> error,
                     const std::string& group = "") {
  CurveSource c;
  c.file = "none";
  c.x = std::move(x);
  c.error = std::move(error);
  c.group = group;
  return c;
}

/// Progress nodes in two groups; curves are set by the test.
Params curve_pool(std::vector<CurveSource> curves) {
  Params p;
  p.pool.nodes = 5;
  p.pool.groups = {
      {"a", 1, Dynamics::queue}, {"b", 2, Dynamics::progress}, {"c", 2, Dynamics::progress}};
  p.workload.slots = 10;
  p.workload.parts = {ConstantPart{}};
  CurveError k;
  k.curves = std::move(curves);
  p.progress.error = k;
  return p;
}

std::string problem_of(Params p) {
  const std::vector<Problem> all = resolve(p, 1);
  return all.empty() ? "" : all[0].path + " " + all[0].text;
}

/// One node that is looked at and one that takes the rest of the budget and matters to nobody, so
/// that a decision is the first node's rate.
constexpr double kBudget = 10;
Params watched(const ErrorModel& errors, int slots) {
  Params p;
  p.pool.nodes = 2;
  p.pool.capacity = kBudget;
  p.pool.budget = kBudget;
  p.workload.slots = slots;
  p.workload.abandonment = std::holds_alternative<DeadlineError>(errors) ? 0 : 0.1;
  p.workload.importance.given = std::vector<double>{1, 0};
  p.workload.parts = {ConstantPart{0.9}, PoissonPart{0.3, 0.3}};
  p.errors = errors;
  must_resolve(p);
  return p;
}
void serve(const Params& p, const Exogenous& x, Batch& b, double rate) {
  const std::vector<double> w{rate, kBudget - rate};
  step(p, x, b, {w.data(), 1, 2});
}

/// The same for progress: the second node follows the first.
Params watched_progress(const ProgressErrorModel& error, int slots) {
  Params p;
  p.pool.nodes = 3;
  p.pool.groups = {{"jobs", 3, Dynamics::progress}};
  p.pool.capacity = kBudget;
  p.pool.budget = kBudget;
  p.workload.slots = slots;
  p.workload.importance.given = std::vector<double>{1, 1, 0};
  p.progress.error = error;
  p.progress.sharing = {{0, {1}, 0.5}};
  p.progress.shift = 0.1;
  must_resolve(p);
  return p;
}

/// Calls test(model) for every kind of a variant, as it is by default.
template <class Test, class... Ks>
void for_each_kind(const std::variant<Ks...>& /*type only*/, Test test) {
  (test(std::variant<Ks...>{Ks{}}), ...);
}
/// A measured curve in place of the one that is empty by default.
ProgressErrorModel filled(ProgressErrorModel error) {
  if (auto* k = std::get_if<CurveError>(&error))
    k->curves = {measured({2, 4, 9, 20}, {.6, .5, .3, .25})};
  return error;
}

double draw_uniform(int trial, int t, int what) {
  return Draws(51, EpisodeSet::training, trial, Stream::noise, t, what).uniform();
}

/// Mean cost of an episode by the rates that a node is given.
double episode_cost(const Params& p, const Exogenous& x, const std::vector<double>& rates) {
  Batch b = reset(p, x, {0});
  double sum = 0;
  for (const double rate : rates) {
    std::vector<double> w(static_cast<std::size_t>(p.pool.nodes), 0);
    w.front() = rate;
    w.back() = kBudget - rate;
    step(p, x, b, {w.data(), 1, p.pool.nodes});
    sum += b.cost[0];
  }
  return sum / x.slots;
}

/// The mean of two plans costs no more than the mean of their costs, and more service costs less.
void check_convex(const Params& p) {
  const Exogenous x = draw(p, 5, EpisodeSet::training, 0, 1);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<double> one, other, mean, more;
    for (int t = 0; t < x.slots; ++t) {
      one.push_back(3 * draw_uniform(trial, t, 0));
      other.push_back(trial % 2 ? 3 * draw_uniform(trial, t, 1) : one.back());
      if (trial % 2 == 0 && t == trial % x.slots) other.back() += 1;
      mean.push_back((one.back() + other.back()) / 2);
      more.push_back(std::max(one.back(), other.back()));
    }
    const double cost_one = episode_cost(p, x, one), cost_other = episode_cost(p, x, other);
    // Costs are of order 1; what rounding adds is far below 1e-12.
    CHECK(episode_cost(p, x, mean) <= (cost_one + cost_other) / 2 + 1e-12);
    CHECK(episode_cost(p, x, more) <= std::min(cost_one, cost_other) + 1e-12);
  }
}

}  // namespace

TEST_CASE("every error model: falls with the service of a slot, and less and less") {
  for_each_kind(ErrorModel{}, [](const ErrorModel& errors) {
    const Params p = watched(errors, 20);
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
    Batch b = reset(p, x, {0});
    CAPTURE(errors.index());
    double range = 0;
    for (int t = 0; t < 20; ++t) {
      std::vector<double> error;
      for (int k = 0; k < 40; ++k) {
        Batch tried = b;
        serve(p, x, tried, 0.2 * (k + 1));  // weights count as 1e-9 of the largest at least
        error.push_back(tried.error[0]);
      }
      // Errors are of order 1, and so is what rounds in the water-filling of 10 wu: 1e-12 is ample.
      for (std::size_t k = 1; k < error.size(); ++k) {
        CHECK(error[k] <= error[k - 1] + 1e-14);
        if (k > 1) CHECK(error[k] - error[k - 1] >= error[k - 1] - error[k - 2] - 1e-12);
      }
      range = std::max(range, error.front() - error.back());
      serve(p, x, b, draw_uniform(0, t, 2));
    }
    CHECK(range > 0.05);
  });
}

TEST_CASE("every error model: the cost of an episode is convex in the rates, and falls with them") {
  for_each_kind(ErrorModel{}, [](const ErrorModel& errors) {
    CAPTURE(errors.index());
    check_convex(watched(errors, 12));
  });
  for_each_kind(ProgressErrorModel{}, [](const ProgressErrorModel& error) {
    CAPTURE(error.index());
    check_convex(watched_progress(filled(error), 12));
  });
}

TEST_CASE("every error model: work that arrives is served, lost or waits") {
  for_each_kind(ErrorModel{}, [](const ErrorModel& errors) {
    CAPTURE(errors.index());
    Params p = watched(errors, 60);
    if (!std::holds_alternative<AnytimeError>(errors))
      p.pool.reserve = SharedReserve{0.7, Dispatch::priority};
    must_resolve(p);
    const Exogenous x = draw(p, 4, EpisodeSet::training, 0, 1);
    Batch b = reset(p, x, {0});
    double arrived = 0, left = 0, lost = 0;
    for (int t = 0; t < 60; ++t) {
      std::vector<double> w{draw_uniform(1, t, 0), 9, 0.05};
      w.resize(static_cast<std::size_t>(decision_size(p)));
      const std::vector<double> before = b.backlog;
      step(p, x, b, {w.data(), 1, decision_size(p)});
      for (std::size_t n = 0; n < 2; ++n) {
        arrived += x.arrivals[x.at(0, t) + n];
        left += b.served[n] + b.dispatched[n] + b.lost[n];
        lost += b.lost[n];
        if (std::holds_alternative<AnytimeError>(errors)) CHECK(b.backlog[n] == 0);
      }
    }
    if (std::holds_alternative<AnytimeError>(errors)) {
      CHECK(lost == 0);  // every slot's work is answered; `served` is the effort
    } else {
      CHECK(arrived == doctest::Approx(left + b.backlog[0] + b.backlog[1]).epsilon(1e-12));
      CHECK(lost > 0.1);
    }
  });
}

TEST_CASE("deadline: the same as buckets by remaining slots, earliest deadline first") {
  for (const int slots : {1, 2, 3, 5, 9})
    for (int trial = 0; trial < 10; ++trial) {
      DeadlineError errors;
      errors.slots = slots;
      Params p = watched(errors, 40);
      p.pool.lag = 1;
      must_resolve(p);
      const Exogenous x =
          draw(p, 100 + static_cast<std::uint64_t>(trial), EpisodeSet::training, 0, 1);
      Batch b = reset(p, x, {0});
      std::vector<double> bucket(static_cast<std::size_t>(slots), 0);  // [0]: due in this slot
      double total_late = 0;
      for (int t = 0; t < 40; ++t) {
        const double rate = 1.4 * draw_uniform(trial, t, slots);
        serve(p, x, b, rate);
        bucket.back() += x.arrivals[x.at(0, t)];
        double can = rate;
        for (double& work : bucket) {
          const double done = std::min(work, can);
          work -= done;
          can -= done;
        }
        const double late = bucket.front();
        bucket.erase(bucket.begin());
        bucket.push_back(0);
        double waits = 0;
        for (const double work : bucket) waits += work;
        // Sums of at most 40 numbers of order 1 in another order; weights above 1e-9 of the
        // largest.
        CHECK(b.lost[0] == doctest::Approx(late).epsilon(1e-8));
        CHECK(b.backlog[0] == doctest::Approx(waits).epsilon(1e-8));
        CHECK(b.error[0] == doctest::Approx(late / 1.2).epsilon(1e-8));  // 0.9 + 0.3 arrive
        total_late += late;
      }
      CHECK(total_late > 0.1);
    }
}

TEST_CASE("deadline: a policy sees what is due") {
  DeadlineError errors;
  errors.slots = 3;
  const Params p = watched(errors, 20);
  const Exogenous x = draw(p, 9, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  for (int t = 0; t < 10; ++t) serve(p, x, b, 0.3);
  // Of two slots' work at most, what is not of the last slot is due.
  CHECK(b.young[0] == x.arrivals[x.at(0, 9)]);
  CHECK(feature_names(p)[14] == "due");
  std::vector<float> f(2 * static_cast<std::size_t>(feature_count(p)));
  observe(p, b, {f.data(), 2, feature_count(p)});
  const double due = std::max(0.0, b.backlog[0] - x.arrivals[x.at(0, 9)]);
  CHECK(due > 0);
  CHECK(static_cast<double>(f[14]) == doctest::Approx(due / (3 * 1.2)).epsilon(1e-6));
}

TEST_CASE("t3, t4 and t5 of the model: optimal values, and margins that are equal there") {
  const auto check = [](const ProgressErrorModel& error, const std::vector<double>& importance,
                        double budget, const std::vector<double>& rates, double value, double mu) {
    Params p;
    p.pool.nodes = 3;
    p.pool.groups = {{"jobs", 3, Dynamics::progress}};
    p.pool.capacity = 6;
    p.pool.budget = budget;
    p.pool.lag = 1;
    p.workload.slots = 2;
    p.workload.importance.given = importance;
    p.progress.error = error;
    must_resolve(p);
    const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
    Batch b = reset(p, x, {0});
    step(p, x, b, {rates.data(), 1, 3});
    CHECK(3 * b.error_cost[0] == doctest::Approx(value).epsilon(1e-6));
    for (std::size_t n = 0; n < 3; ++n) {
      const double margin = b.margin[n] / budget;  // per wu, as one wu takes 1 / budget of it
      if (rates[n] > 0) CHECK(margin == doctest::Approx(mu).epsilon(1e-5));
      if (rates[n] == 0) CHECK(margin < mu);
    }
  };
  PowerLawError power;
  power.floor = 0;
  power.gain.given = std::vector<double>{.9, .8, .7};
  power.exponent = 1;
  power.scale.given = std::vector<double>{1, 2, 4};
  check(power, {1, 2, 3}, 6, {1.188306, 2.126309, 2.685385}, 2.443261, .187943);
  power.exponent.given = std::vector<double>{.5, 1, 1.5};
  check(power, {1, 2, 3}, 6, {.787588, 2.122583, 3.089829}, 2.339287, .188283);
  ExponentialError exponential;
  exponential.floor = 0;
  exponential.gain = 1;
  exponential.scale.given = std::vector<double>{1, 2, 4};
  check(exponential, {1, 1, 1}, 6, {1.847353, 2.308412, 1.844235}, 1.103577, .157654);
  check(exponential, {1, 1, 1}, 1, {.795431, .204569, 0}, 2.354159, .451386);
}

TEST_CASE("scores: none changes a cost; the uniform policy's is 0 against itself") {
  std::vector<double> cost, score;
  for (const ScoreKind kind : {ScoreKind::linear, ScoreKind::reference, ScoreKind::source}) {
    Params p = cra::testing::quiet_pool(3, 40, 0.9);
    std::get<ConstantPart>(p.workload.parts[0]).rate.given = std::vector<double>{.5, 1.3, 1.1};
    p.cost.score = kind;
    must_resolve(p);
    const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 2);
    CHECK(x.reference_error.size() == (kind == ScoreKind::reference ? 2 : 0));
    Batch b = reset(p, x, {1});
    const std::vector<double> even{2, 2, 2};
    double total = 0;
    for (int t = 0; t < 40; ++t) {
      step(p, x, b, {even.data(), 1, 3});
      cost.push_back(b.cost[0]);
      total += b.score[0] / 40;
    }
    score.push_back(total);
  }
  double mean = 0;
  for (std::size_t t = 0; t < 40; ++t) {
    CHECK(cost[t] == cost[t + 40]);
    CHECK(cost[t] == cost[t + 80]);
    mean += cost[t] / 40;
  }
  CHECK(score[0] == doctest::Approx(1 - mean).epsilon(1e-12));  // all are equally important
  CHECK(std::fabs(score[1]) < 1e-12);
  CHECK(score[2] != doctest::Approx(score[0]));
}

TEST_CASE("scores: a system without error is perfect by `reference`, whatever the scenario") {
  Params p = cra::testing::quiet_pool(2, 10, 0.1);
  p.cost.score = ScoreKind::reference;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  CHECK(x.reference_error[0] == 1e-3);  // the least: equal shares make no error here
  Batch b = reset(p, x, {0});
  const std::vector<double> even{1, 1};
  step(p, x, b, {even.data(), 1, 2});
  CHECK(b.score[0] == 1);
}

TEST_CASE("the sources' score, smoothed: close to it for large errors, bounded for small ones") {
  const std::vector<double> error{.1, .2, .5}, none{0, 0}, awful{3, 1};
  std::vector<double> score(3);
  // 0.05 log(e^2 + e^4 + e^10) = .500140513; the sources' own are 1.8, 1.6, 1.
  smooth_source_scores(error.data(), score.data(), 3);
  CHECK(score[0] == doctest::Approx(1.799494).epsilon(1e-6));
  CHECK(score[1] == doctest::Approx(1.599550).epsilon(1e-6));
  CHECK(score[2] == doctest::Approx(.999719).epsilon(1e-6));
  smooth_source_scores(none.data(), score.data(), 2);
  CHECK(score[0] == doctest::Approx(20));
  smooth_source_scores(awful.data(), score.data(), 2);
  CHECK(score[0] == 0);
  CHECK(score[1] == 0);
}

TEST_CASE("resolve: errors and sharing that contradict the rest are refused") {
  const auto queue = [](const ErrorModel& errors, auto change) {
    Params p = watched(errors, 5);
    change(p);
    return problem_of(p);
  };
  CHECK(queue(MissError{}, [](Params& p) { p.workload.abandonment = 0; }) ==
        "workload.abandonment is 0, but `miss` errors are the work that is abandoned");
  CHECK(queue(DeadlineError{}, [](Params& p) { p.workload.abandonment = 0.5; }) ==
        "workload.abandonment is 0.5, expected 0 with `deadline` errors: work leaves when it is "
        "late");
  CHECK(queue(DeadlineError{}, [](Params& p) {
          std::get<DeadlineError>(p.errors).slots.given = std::vector<double>{2, 2.5};
        }) == "errors.slots is 2.5 at node 1, expected a whole number");
  CHECK(queue(AnytimeError{}, [](Params& p) { std::get<AnytimeError>(p.errors).gain = 1.0; }) ==
        "errors.gain and floor sum to 1.05 at node 0, expected at most 1");
  CHECK(queue(AnytimeError{}, [](Params& p) { p.pool.reserve = SharedReserve{}; }) ==
        "pool.reserve serves work that waits; with `anytime` errors none does");
  CHECK(queue(MissError{}, [](Params& p) { p.pool.reserve = SharedReserve{}; }).substr(0, 35) ==
        "pool.reserve.dispatch is optimal, w");
  const auto shared = [](const std::vector<Sharing>& sharing) {
    Params p = curve_pool({measured({1}, {.5})});
    p.progress.sharing = sharing;
    return problem_of(p);
  };
  CHECK(shared({{1, {2, 3, 4}, 0.7}, {2, {3}, 0.3}}).empty());
  CHECK(shared({{0, {2}, 0.5}}) ==
        "progress.sharing[0].hub is 0, expected the number of a progress node");
  CHECK(shared({{1, {7}, 0.5}}) ==
        "progress.sharing[0].followers hold 7, expected the number of a progress node");
  CHECK(shared({{1, {1}, 0.5}}) ==
        "progress.sharing[0].followers hold the hub 1, which is none of them");
  CHECK(shared({{1, {3}, 0.7}, {2, {3}, 0.4}}) ==
        "progress.sharing[1].weight makes the weights of node 3 sum to 1.1, expected at most 1");
}

TEST_CASE("sharing: a hub's service advances its followers and counts in its margin") {
  Params p = watched_progress(ExponentialError{}, 3);
  p.progress.shift = 0;
  p.pool.lag = 1;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  const std::vector<double> w{4, 1, 5};
  step(p, x, b, {w.data(), 1, 3});
  CHECK(b.progress[0] == doctest::Approx(4));
  CHECK(b.progress[1] == doctest::Approx(1 + 0.5 * 4));
  CHECK(b.progress[2] == doctest::Approx(5));
  const double hub = .08 * std::exp(-.4), follower = .08 * std::exp(-.3);  // .8 / 10 e^(-x / 10)
  CHECK(b.margin[0] == doctest::Approx(kBudget * (hub + 0.5 * follower)));
  CHECK(b.margin[1] == doctest::Approx(kBudget * follower));
}

TEST_CASE("convex_envelope: is the largest convex falling function below random points") {
  for (const int count : {1, 2, 3, 31, 32, 33})
    for (int trial = 0; trial < 10; ++trial) {
      std::vector<double> x, e;
      for (int i = 0; i < count; ++i) {
        Draws d(41, EpisodeSet::training, trial, Stream::noise, i, count);
        x.push_back(std::floor(20 * d.uniform()));  // some progress is measured twice
        e.push_back(1 / (1 + x.back() / 5) + 0.2 * d.uniform());
      }
      const Curve c = convex_envelope(x, e);
      CAPTURE(count);
      CAPTURE(trial);
      for (std::size_t i = 0; i < x.size(); ++i)
        // Both sides are a handful of operations on numbers of order 1: 1e-13 is ample.
        CHECK(interpolated(c, x[i]) == doctest::Approx(envelope_at(x, e, x[i])).epsilon(1e-13));
      for (std::size_t i = 1; i < c.x.size(); ++i) {
        CHECK(c.x[i] > c.x[i - 1]);
        CHECK(c.error[i] < c.error[i - 1]);
        if (i > 1)
          CHECK((c.error[i] - c.error[i - 1]) / (c.x[i] - c.x[i - 1]) >
                (c.error[i - 1] - c.error[i - 2]) / (c.x[i - 1] - c.x[i - 2]));
      }
    }
  CHECK_THROWS_AS(convex_envelope({}, {}), Error);
  CHECK_THROWS_AS(convex_envelope({1, 2}, {1}), Error);
}

TEST_CASE("curve: nodes take the curves of their group, or the common ones, in turn") {
  Params p = curve_pool({measured({1}, {.5}), measured({2}, {.4}), measured({3}, {.3}, "c")});
  must_resolve(p);
  CHECK(std::get<CurveError>(p.progress.error).source == std::vector<int>{-1, 0, 1, 2, 2});
}

TEST_CASE("curve: the envelope's error and slope drive a node, and its change is reported") {
  // From (0, 1) by (10, .5) and (20, .4) to (40, .3): .62 at 15 lies above, 15 is on the chord .45;
  // .35 at 60 is worse than what was there before, so the end is flat.
  Params p = curve_pool({measured({10, 15, 20, 40, 60}, {.5, .62, .4, .3, .35})});
  p.pool.capacity = 1e3;
  p.pool.budget = 100;
  p.pool.lag = 1;
  p.progress.forgetting = 0;
  must_resolve(p);
  const CurveSource& c = std::get<CurveError>(p.progress.error).of(1);
  CHECK(c.curve.x == std::vector<double>{0, 10, 20, 40});
  CHECK(c.curve.error == std::vector<double>{1, .5, .4, .3});
  CHECK(c.change == doctest::Approx(.17).epsilon(1e-12));
  CHECK(progress_scale(p, 1) == doctest::Approx(7));  // half of .7 is gone at .65
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  // 5 wu a slot for node 1, slot by slot along the curve; a fair share takes 1/100 of the budget
  // for each wu, so the margin is 100 times the slope.
  const std::vector<double> w{.90, .05, .05, 0, 0};
  const std::vector<double> error{.75, .5, .45, .4, .375, .35, .325, .3, .3, .3};
  const std::vector<double> margin{5, 1, 1, .5, .5, .5, .5, 0, 0, 0};
  for (std::size_t t = 0; t < 9; ++t) {
    step(p, x, b, {w.data(), 1, 5});
    CHECK(b.progress[1] == doctest::Approx(5.0 * static_cast<double>(t + 1)).epsilon(1e-6));
    CHECK(b.error[1] == doctest::Approx(error[t]).epsilon(1e-6));
    // Rounding decides the side of a knot; look in the middle of the segments.
    if (t % 2 == 0 || t > 7) CHECK(b.margin[1] == doctest::Approx(margin[t]).epsilon(1e-6));
  }
}

TEST_CASE("curve: groups that are not there, nodes without a curve, bad points are refused") {
  const CurveSource good = measured({1}, {.5});
  CHECK(problem_of(curve_pool({good})).empty());
  CHECK(problem_of(curve_pool({})) == "progress.error.curves hold no curve for node 1");
  CHECK(problem_of(curve_pool({measured({1}, {.5}, "b")})) ==
        "progress.error.curves hold no curve for node 3");
  CHECK(problem_of(curve_pool({good, measured({1}, {.5}, "d")})) ==
        "progress.error.curves[1].group is \"d\", which is not in pool.groups");
  CHECK(problem_of(curve_pool({measured({}, {})})) ==
        "progress.error.curves[0].file gave no points");
  CHECK(problem_of(curve_pool({measured({1}, {-.5})})).substr(0, 72) ==
        "progress.error.curves[0].file has an error of -0.5 at a progress of 1, e");
}
