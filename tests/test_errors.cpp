// Errors: measured curves and their envelopes, and what holds of every error model there is.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
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

}  // namespace

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
