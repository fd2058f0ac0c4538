// What lottery service builds on: jobs that come one at a time, nodes that are connected or not,
// policies that are shown the slot to come.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

TEST_CASE("bernoulli: a job or none in each slot, with the probability of the node") {
  Params p = quiet_pool(3, 50, 0);
  BernoulliPart part;
  part.rate.given = std::vector<double>{0, 0.3, 1};
  part.size = 2;
  p.workload.parts = {part};
  must_resolve(p);
  CHECK(base_rate(p) == std::vector<double>{0, 0.6, 2});
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 400);
  double sum = 0;
  for (std::size_t i = 0; i < x.arrivals.size(); i += 3) {
    CHECK(x.arrivals[i] == 0);
    CHECK((x.arrivals[i + 1] == 0 || x.arrivals[i + 1] == 2));
    CHECK(x.arrivals[i + 2] == 2);
    sum += x.arrivals[i + 1] / 2;
  }
  // 20,000 independent slots: five standard errors of sqrt(.3 .7 / 20000).
  CHECK(std::fabs(sum / 20000 - 0.3) < 5 * std::sqrt(.3 * .7 / 20000));
  CHECK(draw(p, 1, EpisodeSet::training, 7, 1).arrivals ==
        std::vector<double>(x.arrivals.begin() + static_cast<std::ptrdiff_t>(x.at(7, 0)),
                            x.arrivals.begin() + static_cast<std::ptrdiff_t>(x.at(8, 0))));
  p.workload.parts = {part, part};  // the second does not repeat the first
  must_resolve(p);
  const Exogenous both = draw(p, 1, EpisodeSet::training, 0, 1);
  CHECK(std::count(both.arrivals.begin(), both.arrivals.end(), 2.0) > 5);
}

TEST_CASE("outages: independent from slot to slot, with the probability of the node") {
  Params p = quiet_pool(2, 50, 0.1);
  Outages outages;
  outages.up.given = std::vector<double>{0.8, 1};
  p.workload.failures = outages;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 400);
  CHECK(x.health.empty());
  double up = 0, twice = 0;
  for (std::int64_t i = 0; i < 400; ++i)
    for (int t = 0; t < 50; ++t) {
      const double now = x.availability[x.at(i, t)];
      CHECK((now == 0 || now == 1));
      CHECK(x.availability[x.at(i, t) + 1] == 1);
      up += now;
      if (t > 0) twice += now * x.availability[x.at(i, t - 1)];
    }
  CHECK(std::fabs(up / 20000 - 0.8) < 5 * std::sqrt(.8 * .2 / 20000));
  CHECK(std::fabs(twice / 19600 - 0.64) < 5 * std::sqrt(.64 * .36 * 2 / 19600));
  // A policy is told who is up, but there is no signal of wear to be told.
  const std::vector<std::string> names = feature_names(p);
  CHECK(std::count(names.begin(), names.end(), "availability") == 1);
  CHECK(std::count(names.begin(), names.end(), "health") == 0);
  const Batch b = reset(p, x, {0});
  std::vector<float> f(2 * static_cast<std::size_t>(feature_count(p)));
  observe(p, b, {f.data(), 2, feature_count(p)});
}

TEST_CASE("arrivals_shown: the slot to come is seen, and only that one") {
  Params p = quiet_pool(2, 4, 0.5);
  p.workload.failures = Outages{};
  p.observation.arrivals_shown = true;
  must_resolve(p);
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = {1, 2, 3, 4, 5, 6, 7, 8};
  x.availability = {1, 0, 1, 1, 0, 1, 0, 0};
  const std::vector<std::string> names = feature_names(p);
  const auto column = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  const std::int64_t arrivals = column("arrivals_now"), available = column("available_now");
  REQUIRE(available < feature_count(p));
  Batch b = reset(p, x, {0});
  const std::vector<double> even{1, 1};
  for (int t = 0; t < 4; ++t) {
    std::vector<float> f(2 * static_cast<std::size_t>(feature_count(p)));
    const View<float> features{f.data(), 2, feature_count(p)};
    observe(p, b, features);
    for (int n = 0; n < 2; ++n) {
      const std::size_t at = x.at(0, t) + static_cast<std::size_t>(n);
      CHECK(b.arrivals_now[static_cast<std::size_t>(n)] == x.arrivals[at]);
      CHECK(features.row(n)[arrivals] == static_cast<float>(x.arrivals[at]));
      CHECK(features.row(n)[available] == static_cast<float>(x.availability[at]));
    }
    step(p, x, b, {even.data(), 1, 2});
  }
  p.observation.arrivals_shown = false;
  CHECK(reset(p, x, {0}).arrivals_now.empty());
}

TEST_CASE("memory: the slots before are seen one by one, the latest first") {
  for (const bool noiseless : {false, true})
    for (const bool plain : {true, false}) {  // both ways of the simulator
      CAPTURE(noiseless);
      CAPTURE(plain);
      Params p = quiet_pool(2, 5, 0.5);
      p.workload.noise = GammaNoise{4};
      if (!plain) p.cost.use = 0.1;
      p.observation.memory = 3;
      p.observation.noiseless = noiseless;
      must_resolve(p);
      const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 2);
      REQUIRE(x.mean_arrivals.size() == (noiseless ? x.arrivals.size() : 0));
      const std::vector<double>& shown = noiseless ? x.mean_arrivals : x.arrivals;
      if (noiseless)
        for (const double mean : shown) CHECK(mean == doctest::Approx(0.5));
      const std::vector<std::string> names = feature_names(p);
      const auto first = std::find(names.begin(), names.end(), "arrivals_before_1");
      REQUIRE(names.end() - first >= 3);
      CHECK(first[2] == "arrivals_before_3");
      Batch b = reset(p, x, {0, 1, 1});
      const std::vector<double> even(6, 1);
      for (int t = 0; t < 5; ++t) {
        std::vector<float> f(6 * static_cast<std::size_t>(feature_count(p)));
        const View<float> features{f.data(), 6, feature_count(p)};
        observe(p, b, features);
        for (int e = 0; e < 3; ++e)
          for (int n = 0; n < 2; ++n)
            for (int ago = 1; ago <= 3; ++ago) {
              const std::size_t at = x.at(e == 0 ? 0 : 1, t - ago) + static_cast<std::size_t>(n);
              const double want = t < ago ? b.base_rate[static_cast<std::size_t>(n)] : shown[at];
              const float* const row = features.row(2 * e + n);
              CHECK(row[first - names.begin() + ago - 1] ==
                    static_cast<float>(want / (p.pool.budget / 2)));
            }
        std::vector<double> last(b.arrivals_before.end() - 6, b.arrivals_before.end());
        last.resize(12);
        std::copy_n(last.begin(), 6, last.begin() + 6);
        CHECK(repeat(b, 2, 2).arrivals_before == last);
        step(p, x, b, {even.data(), 3, 2});
      }
    }
  Params p = quiet_pool(2, 5, 0.5);
  p.observation.noiseless = true;
  CHECK(sim::resolve(p, 1).size() == 1);
}
