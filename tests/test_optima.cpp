// Queues whose optimum is known from elsewhere, through the simulator's lottery service.
//
// Published values are of lengths just before a slot's arrivals can be served; the simulator serves
// them in their slot, with whoever chooses knowing them. A slot begins in one with what ends in the
// other, so E[q] + E[arrivals] of the simulator is the published length.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

namespace {

using Numbers = std::vector<double>;
/// Weights of one environment. \param load  [N] jobs, those of the slot included
using Choice = std::function<void(const double* load, const double* up, double coin, double* w)>;

constexpr int kEpisode = 5500, kWarm = 500;

Params one_server(const Numbers& arrivals, const Numbers& completion) {
  Params p = quiet_pool(static_cast<int>(arrivals.size()), kEpisode, 0);
  BernoulliPart jobs;
  jobs.rate.given = arrivals;
  p.workload.parts = {jobs};
  p.workload.abandonment = 0;
  p.observation.arrivals_shown = true;
  LotteryService lottery;
  lottery.completion.given = completion;
  p.pool.service = lottery;
  must_resolve(p);
  return p;
}

/// Mean over slots of the published length of every queue. [episodes, N]
Numbers lengths(const Params& p, const Choice& choose, std::int64_t episodes) {
  constexpr std::int64_t kTile = 20;
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  Numbers all(static_cast<std::size_t>(episodes) * nodes);
  for_each_tile(tiles_of(episodes, kTile), [&](std::int64_t tile) {
    const std::int64_t first = tile * kTile, count = std::min(kTile, episodes - first);
    const Exogenous x = draw(p, 1, EpisodeSet::training, first, count);
    std::vector<std::int64_t> rows;
    for (std::int64_t e = 0; e < count; ++e) rows.push_back(e);
    Batch b = reset(p, x, rows);
    Numbers weights(b.at(count)), load(nodes);
    double* mean = all.data() + static_cast<std::size_t>(first) * nodes;
    for (int t = 0; t < kEpisode; ++t) {
      for (std::int64_t e = 0; e < count; ++e) {
        const std::size_t row = b.at(e);
        for (std::size_t n = 0; n < nodes; ++n)
          load[n] = b.backlog[row + n] + b.arrivals_now[row + n];
        Draws coin(9, EpisodeSet::training, first + e, Stream::exploration, 0, t);
        choose(load.data(), b.available_now.data() + row, coin.uniform(), weights.data() + row);
      }
      step(p, x, b, {weights.data(), count, p.pool.nodes});
      for (std::size_t i = 0; i < b.backlog.size() && t >= kWarm; ++i)
        mean[i] += (b.backlog[i] + b.base_rate[i % nodes]) / (kEpisode - kWarm);
    }
  });
  return all;
}

/// Episodes weighed by cost. \param length [episodes, N]
Numbers weighed(const Numbers& length, const Numbers& cost) {
  Numbers sum(length.size() / cost.size());
  for (std::size_t i = 0; i < length.size(); ++i)
    sum[i / cost.size()] += cost[i % cost.size()] * length[i];
  return sum;
}

/// Episodes are independent: their mean has the error of their spread. Five of those, and the
/// spread itself must be small enough to tell the values apart.
void check_mean(const Numbers& found, double expected, double most_error) {
  double mean = 0, square = 0;
  for (const double x : found) mean += x / static_cast<double>(found.size());
  for (const double x : found) square += (x - mean) * (x - mean);
  const auto count = static_cast<double>(found.size());
  const double error = std::sqrt(square / (count - 1) / count);
  CAPTURE(mean);
  CAPTURE(error);
  CHECK(error < most_error);
  CHECK(std::fabs(mean - expected) < 5 * error);
}

Choice fixed(const Numbers& share) {
  return [share](const double*, const double*, double, double* w) {
    std::copy(share.begin(), share.end(), w);
  };
}

/// Serves `first` when it has a job, else the other.
Choice strictly(int first) {
  return [first](const double* load, const double*, double, double* w) {
    const int serve = load[first] > 0 ? first : 1 - first;
    w[serve] = 1;
    w[1 - serve] = 0;
  };
}

/// Of two queues that are connected and have work: the longest (+1), the shortest (-1) or any (0);
/// a coin breaks ties.
Choice connected(int rule) {
  return [rule](const double* load, const double* up, double coin, double* w) {
    const bool a = load[0] > 0 && up[0] > 0, b = load[1] > 0 && up[1] > 0;
    const double lead = rule * (load[0] - load[1]);
    const bool first = a && (!b || (lead != 0 ? lead > 0 : coin < 0.5));
    w[0] = first ? 1 : 0;
    w[1] = first ? 0 : 1;
  };
}

/// \param episodes  of 5000 slots that count
void check_optima(std::int64_t episodes) {
  const double root = std::sqrt(1000.0 / static_cast<double>(episodes));  // 5e6 slots as the unit
  const Numbers a{.05, .1, .2, .25}, best{.114531, .188826, .318435, .378209};
  const Params four = one_server(a, {1, 1, 1, 1});
  const Numbers optimum = lengths(four, fixed(best), episodes);
  for (std::size_t n = 0; n < 4; ++n) {
    CAPTURE(n);
    Numbers only(4, 0.0);
    only[n] = 1;
    check_mean(weighed(optimum, only), a[n] * (1 - a[n]) / (best[n] - a[n]), 0.02 * root);
  }
  check_mean(weighed(optimum, {1, 1, 1, 1}), 4.562716, 0.03 * root);
  double proportional = 0;
  for (const double x : a) proportional += x * (1 - x) / (x / .6 - x);
  CHECK(proportional == doctest::Approx(5.10).epsilon(1e-12));
  check_mean(weighed(lengths(four, fixed(a), episodes), {1, 1, 1, 1}), proportional, 0.03 * root);

  const Params two = one_server({.2, .15}, {.6, .5});
  check_mean(weighed(lengths(two, strictly(1), episodes), {1, 2}), 1.689610, 0.01 * root);
  check_mean(weighed(lengths(two, strictly(0), episodes), {1, 2}), 2.063636, 0.01 * root);

  Params links = one_server({.35, .35}, {1, 1});
  Outages outages;
  outages.up = 0.8;
  links.workload.failures = outages;
  must_resolve(links);
  check_mean(weighed(lengths(links, connected(1), episodes), {1, 1}), 1.626331, 0.01 * root);
  check_mean(weighed(lengths(links, connected(0), episodes), {1, 1}), 1.723077, 0.01 * root);
  check_mean(weighed(lengths(links, connected(-1), episodes), {1, 1}), 1.873554, 0.01 * root);
}

}  // namespace

TEST_CASE("lottery: who is drawn is served one job, if it is up, has one and completes it") {
  Params p = one_server({.5, .5, .5}, {.5, .5, .5});
  Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  x.arrivals = Numbers(x.arrivals.size(), 0.0);
  x.arrivals[0] = x.arrivals[1] = x.arrivals[2] = 2;
  const Numbers w{1, 2, 1};  // shares 1/4, 1/2, 1/4
  x.ticket[0] = 0.74;
  x.completion[0] = 0.4;  // node 1, done
  x.ticket[1] = 0.76;
  x.completion[1] = 0.6;  // node 2, not done
  x.ticket[2] = 0.1;
  x.completion[2] = 0.1;
  x.availability[x.at(0, 2)] = 0;  // node 0, down
  x.steady = false;
  x.ticket[3] = 0.3;
  x.completion[3] = 0.1;  // node 1 again: its last job
  x.ticket[4] = 0.3;
  x.completion[4] = 0.1;  // node 1 has none left
  Batch b = reset(p, x, {0});
  const std::vector<Numbers> left{{2, 1, 2}, {2, 1, 2}, {2, 1, 2}, {2, 0, 2}, {2, 0, 2}};
  for (const Numbers& expected : left) {
    step(p, x, b, {w.data(), 1, 3});
    CHECK(b.backlog == expected);
    CHECK(b.rate[1] == doctest::Approx(0.25));  // what the drawing does on average, at once
  }
}

TEST_CASE("lottery: the draws are exogenous") {
  const Params p = one_server({.1, .2}, {1, 1});
  const Exogenous three = draw(p, 1, EpisodeSet::training, 0, 3),
                  last = draw(p, 1, EpisodeSet::training, 2, 1);
  CHECK(std::equal(last.ticket.begin(), last.ticket.end(), three.ticket.begin() + 2 * kEpisode));
  CHECK(std::equal(last.completion.begin(), last.completion.end(),
                   three.completion.begin() + 2 * kEpisode));
  CHECK(draw(p, 2, EpisodeSet::training, 2, 1).ticket != last.ticket);
  double mean = 0;  // uniform: five standard errors of 1 / sqrt(12 n)
  for (const double u : three.ticket) mean += u / static_cast<double>(three.ticket.size());
  CHECK(std::fabs(mean - 0.5) < 5 / std::sqrt(12 * 3.0 * kEpisode));
  CHECK(three.ticket != three.completion);
}

TEST_CASE("known optima: fixed shares, c-mu, max-weight under connectivity, by a million slots") {
  check_optima(200);
}

TEST_CASE("known optima: the same by ten million slots" * doctest::skip()) { check_optima(2000); }

TEST_CASE("static shares: the optimum of sum a / p lies where the simulator's rates say it does") {
  // min sum a_n / p_n over shares of one budget: p in proportion to sqrt(a).
  const Numbers a{1, 4, 9, 16}, best{.1, .2, .3, .4};
  Params p = quiet_pool(4, 2, 0);
  p.pool.budget = 1;
  p.pool.lag = 1;
  must_resolve(p);
  const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 1);
  const auto delay = [&](const Numbers& w) {
    Batch b = reset(p, x, {0});
    step(p, x, b, {w.data(), 1, 4});
    double sum = 0;
    for (std::size_t n = 0; n < 4; ++n) sum += a[n] / b.grant[n];
    return sum;
  };
  CHECK(delay({1, 2, 3, 4}) == doctest::Approx(100).epsilon(1e-12));
  for (std::size_t from = 0; from < 4; ++from)
    for (std::size_t to = 0; to < 4; ++to) {
      Numbers w = best;
      w[from] -= 1e-3;
      w[to] += 1e-3;
      if (from != to) CHECK(delay(w) > 100);
    }
}
