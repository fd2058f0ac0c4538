// Progress nodes, several resources, mixed pools.
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

namespace {

/// Progress nodes only, with three resources of class-like needs.
Params training_pool(int nodes, int slots) {
  Params p;
  p.pool.nodes = nodes;
  p.pool.groups = {{"jobs", nodes, Dynamics::progress}};
  p.pool.lag = 0.25;
  for (const char* name : {"compute", "storage", "bandwidth"}) {
    Resource r;
    r.name = name;
    r.need.given = NodeValues::Uniform{0.3, 1.2};
    r.budget = 0.7 * nodes;
    p.pool.resources.push_back(r);
  }
  p.workload.slots = slots;
  p.workload.calendar = WindowsCalendar{20, 4, 0.1, 3, 1};
  PowerLawError error;
  error.exponent.given = NodeValues::Uniform{0.7, 1.6};
  error.scale.given = NodeValues::Uniform{6, 18};
  p.progress.error = error;
  p.progress.forgetting = 0.08;
  p.progress.shift = 0.05;
  must_resolve(p);
  return p;
}

}  // namespace

TEST_CASE("waterfill: with three resources the binding one is used up and none is exceeded") {
  for (const int n : {1, 2, 31, 32, 33, 1000})
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<double> w, cap, need, budget, s(static_cast<std::size_t>(n));
      for (int i = 0; i < n; ++i) {
        Draws d(21, EpisodeSet::training, trial, Stream::noise, i, n);
        w.push_back(std::exp(2 * d.normal()));
        cap.push_back(0.2 + 4 * d.uniform());
        for (int k = 0; k < 3; ++k) need.push_back(k == i % 3 && trial % 2 ? 0 : d.uniform());
      }
      for (int k = 0; k < 3; ++k)
        budget.push_back(
            n *
            (0.05 + 0.5 * Draws(22, EpisodeSet::training, trial, Stream::noise, k, n).uniform()));
      const double theta =
          waterfill(w.data(), cap.data(), need.data(), budget.data(), 1.0, s.data(), n, 3);
      double tightest = 0;
      bool all_capped = true;
      for (int k = 0; k < 3; ++k) {
        double used = 0;
        for (int i = 0; i < n; ++i)
          used += need[3 * static_cast<std::size_t>(i) + static_cast<std::size_t>(k)] *
                  s[static_cast<std::size_t>(i)];
        tightest = std::max(tightest, used / budget[static_cast<std::size_t>(k)]);
      }
      for (std::size_t i = 0; i < s.size(); ++i) {
        const double expected = std::min(cap[i], theta * w[i]);
        all_capped = all_capped && s[i] == cap[i];
        CHECK((s[i] == cap[i] || s[i] == doctest::Approx(expected).epsilon(1e-9)));
      }
      CAPTURE(n);
      CAPTURE(trial);
      CHECK(tightest <= 1 + 1e-9);
      if (!all_capped) CHECK(tightest == doctest::Approx(1).epsilon(1e-9));
    }
}

TEST_CASE("progress: errors fall and are convex in progress; slopes are their differences") {
  for (const double exponent : {0.3, 1.0, 2.0})
    for (double x = 0; x < 40; x += 0.5) {
      const double h = 1e-5;
      const auto power = [&](double at) { return power_law_error(at, .05, .8, exponent, 7.0); };
      const auto expo = [&](double at) { return exponential_error(at, .05, .8, 7.0); };
      CHECK(power(x + 1) < power(x));
      CHECK(expo(x + 1) < expo(x));
      CHECK(power(x) + power(x + 2) > 2 * power(x + 1));
      CHECK(expo(x) + expo(x + 2) > 2 * expo(x + 1));
      CHECK(power_law_slope(x, .8, exponent, 7.0) ==
            doctest::Approx((power(x + h) - power(x - h)) / (2 * h)).epsilon(1e-6));
      CHECK(exponential_slope(x, .8, 7.0) ==
            doctest::Approx((expo(x + h) - expo(x - h)) / (2 * h)).epsilon(1e-6));
    }
}

TEST_CASE(
    "progress: constant service leads to service / forgetting; t7 of the model as its error") {
  // t7: rho = .08, x0 = (6, 12, 18), a = (.9, .8, .7), b = 1.2, R = 3, commands in the ratio of the
  // optimum.
  Params p;
  p.pool.nodes = 3;
  p.pool.groups = {{"jobs", 3, Dynamics::progress}};
  p.workload.slots = 600;
  PowerLawError error;
  error.floor = 0;
  error.gain.given = std::vector<double>{.9, .8, .7};
  error.exponent = 1.2;
  error.scale.given = std::vector<double>{6, 12, 18};
  p.progress.error = error;
  p.progress.forgetting = .08;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  const auto value = [&](const std::vector<double>& w) {
    Batch b = reset(p, x, {0});
    for (int t = 0; t < 600; ++t) step(p, x, b, {w.data(), 1, 3});
    // x settles at keep (1 - rho) x + s, that is s / rho.
    for (std::size_t n = 0; n < 3; ++n)
      CHECK(b.progress[n] == doctest::Approx(b.served[n] / .08).epsilon(1e-9));
    return 3 * b.error_cost[0];
  };
  CHECK(value({.987217, 1.069744, .943039}) == doctest::Approx(.943674).epsilon(1e-6));
  CHECK(value({1, 1, 1}) == doctest::Approx(.944505).epsilon(1e-6));
}

TEST_CASE("progress: shifts keep their share, nothing queues, budgets of all resources hold") {
  const Params p = training_pool(12, 60);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 3);
  CHECK(std::count(x.keep.begin(), x.keep.end(), 0.3) ==
        doctest::Approx(.05 * 12 * 60 * 3).epsilon(.2));
  Batch b = reset(p, x, {0, 1, 2});
  std::vector<double> w(36);
  for (int t = 0; t < 60; ++t) {
    for (std::size_t k = 0; k < 36; ++k)
      w[k] =
          Draws(8, EpisodeSet::training, t, Stream::exploration, static_cast<int>(k), 0).uniform();
    const std::vector<double> before = b.progress;
    step(p, x, b, {w.data(), 3, 12});
    for (std::int64_t e = 0; e < 3; ++e) {
      for (std::size_t k = 0; k < 3; ++k) {
        double used = 0;
        for (std::size_t n = 0; n < 12; ++n) used += b.rate[b.at(e) + n] * p.pool.needs[3 * n + k];
        CHECK(used <= p.pool.budgets[k] * (1 + 1e-9));
      }
      for (std::size_t n = 0; n < 12; ++n) {
        const std::size_t i = b.at(e) + n;
        CHECK(b.backlog[i] == 0);
        CHECK(
            b.progress[i] ==
            doctest::Approx(x.keep[x.at(e, t) + n] * .92 * before[i] + b.served[i]).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("mixed pool: queue and progress nodes side by side, each by its own rules") {
  Params p;
  p.pool.nodes = 4;
  p.pool.groups = {{"serving", 2, Dynamics::queue}, {"training", 2, Dynamics::progress}};
  p.workload.slots = 30;
  p.workload.noise = NoNoise{};
  p.workload.parts = {ConstantPart{}};
  std::get<ConstantPart>(p.workload.parts[0]).rate.given =
      NodeValues::ByGroup{{"serving", 1.0}, {"training", 0.0}};
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  const std::vector<double> even{1, 1, 1, 1};
  for (int t = 0; t < 30; ++t) step(p, x, b, {even.data(), 1, 4});
  CHECK(b.backlog[0] == doctest::Approx(0));
  CHECK(b.progress[0] == 0);
  CHECK(b.backlog[2] == 0);
  CHECK(b.progress[2] > 10);
  CHECK(b.error[2] == doctest::Approx(power_law_error(b.progress[2], .05, .8, 1.0, 10.0)));
  std::vector<float> f(4 * static_cast<std::size_t>(feature_count(p)));
  observe(p, b, {f.data(), 4, feature_count(p)});
  CHECK(feature_names(p).size() == static_cast<std::size_t>(feature_count(p)));
}

TEST_CASE("margin_ahead: before a window it sees what margin does not") {
  const Params p = training_pool(12, 60);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  std::vector<double> w(12, 1);
  int seen = 0;
  for (int t = 0; t < 40; ++t) {
    for (std::size_t n = 0; n < 12; ++n) {
      double sum = 0;
      for (int h = 0; h < kAhead && t + h < 60; ++h)
        sum += std::pow(kAheadDecay, h) * x.importance[x.at(0, t + h) + n];
      CHECK(b.margin_ahead[n] / b.margin[n] ==
            doctest::Approx(sum / b.importance[n]).epsilon(1e-9));
      if (b.window[n] == 1) seen += b.margin_ahead[n] > 5 * b.margin[n];
    }
    step(p, x, b, {w.data(), 1, 12});
  }
  CHECK(seen > 10);
}

TEST_CASE(
    "resolve: resources that nobody needs or can use up, a reserve with several, are refused") {
  const auto problem = [](auto change) {
    Params p = training_pool(3, 10);
    change(p);
    const std::vector<Problem> all = resolve(p, 1);
    return all.empty() ? std::string() : all[0].path + " " + all[0].text;
  };
  CHECK(problem([](Params&) {}).empty());
  CHECK(problem([](Params& p) { p.pool.resources[1].budget = 1e6; }).substr(0, 50) ==
        "pool.resources[1].budget is 1000000, more than all");
  CHECK(problem([](Params& p) {
          for (Resource& r : p.pool.resources) {
            r.need.given = std::vector<double>{1, 0, 1};
            r.budget = 1;
          }
        }) == "pool.resources leave node 1 without any need");
  CHECK(
      problem([](Params& p) { p.pool.reserve = SharedReserve{}; }) ==
      "pool.reserve.dispatch is optimal, which shares out one resource that all nodes need alike; "
      "this pool has 3 resources, expected priority");
  CHECK(problem([](Params& p) { std::get<PowerLawError>(p.progress.error).gain = 0.97; }) ==
        "progress.error.gain and floor sum to 1.02 at node 0, expected at most 1");
}
