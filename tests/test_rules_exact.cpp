// Rules against closed forms, hand calculations and the conditions of their optimum.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "agents/agents.h"
#include "agents/curves.h"
#include "agents/rules.h"
#include "pools.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

namespace {

constexpr double kSix = 1e-6;  // the reference has six digits

/// A pool with given needs [N, K] and budgets [K]; caps out of reach.
sim::Params pool_of(std::vector<double> needs, std::vector<double> budgets, double cap = 1e6) {
  sim::Params p;
  p.pool.nodes = static_cast<int>(needs.size() / budgets.size());
  p.pool.lag = 1;
  p.pool.capacity = cap;
  for (std::size_t k = 0; k < budgets.size(); ++k) {
    sim::Resource r;
    r.name = std::string(1, static_cast<char>(97 + k));
    std::vector<double> column;
    for (std::size_t n = k; n < needs.size(); n += budgets.size()) column.push_back(needs[n]);
    r.need.given = column;
    r.budget = budgets[k];
    p.pool.resources.push_back(r);
  }
  p.workload.abandonment = 0;
  p.workload.noise = sim::NoNoise{};
  p.workload.parts = {sim::ConstantPart{}};
  must_resolve(p);
  return p;
}

/// A batch of one environment, at its start.
sim::Batch batch_of(const sim::Params& p) {
  return sim::reset(p, sim::draw(p, 1, EpisodeSet::evaluation, 0, 1), {0});
}

std::vector<double> weights(const Rule& rule, const sim::Params& p, const sim::Batch& b) {
  std::vector<double> w(static_cast<std::size_t>(sim::decision_size(p)));
  const auto policy = make_baseline(rule, p);
  policy->actor(1)->act(b, {w.data(), 1, static_cast<std::int64_t>(w.size())});
  return w;
}

std::vector<double> filled(const sim::Params& p, const std::vector<double>& w) {
  std::vector<double> s(w.size());
  sim::waterfill(w.data(), p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
                 1.0, s.data(), p.pool.nodes, p.pool.resource_count());
  return s;
}

double number(int trial, int i, int n) {
  return Draws(31, EpisodeSet::training, trial, Stream::noise, i, n).uniform();
}

struct Market {
  std::vector<double> rate, price;
  double value = 0;  ///< sum of gain (1 + x / scale)^-exponent, or gain exp(-x / scale), times W
};
Market clear(const std::vector<Curve>& curves, double budget) {
  const std::vector<double> ones(curves.size(), 1.0);
  const sim::Params p = pool_of(ones, {budget});
  Market m;
  m.rate.resize(curves.size());
  m.price = clear_market(
      p.pool, {budget}, std::vector<double>(curves.size(), 1e6),
      [&](int n, double price) { return curves[static_cast<std::size_t>(n)].demand(price); },
      m.rate.data());
  for (std::size_t n = 0; n < curves.size(); ++n) {
    const Curve& c = curves[n];
    const double x = c.start + m.rate[n];
    m.value += c.weight * (c.form == Curve::Form::power_law
                               ? sim::power_law_error(x, 0.0, c.gain, c.exponent, c.scale)
                               : sim::exponential_error(x, 0.0, c.gain, c.scale));
  }
  return m;
}

void check_rates(const Market& m, const std::vector<double>& rate, double price, double value) {
  for (std::size_t n = 0; n < rate.size(); ++n)
    CHECK(m.rate[n] == doctest::Approx(rate[n]).epsilon(kSix));
  if (price > 0) CHECK(m.price[0] == doctest::Approx(price).epsilon(5 * kSix));
  CHECK(m.value == doctest::Approx(value).epsilon(kSix));
}

/// Costs sum_i c_i q_i after each slot until all is served, with strict priority by c-mu.
double served_out(std::vector<double> cost, std::vector<double> importance) {
  sim::Params p = pool_of({1, 1}, {1});
  p.workload.parts = {sim::ConstantPart{0.0}};
  p.workload.importance.given = std::move(importance);
  must_resolve(p);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 1);
  sim::Batch b = sim::reset(p, x, {0});
  b.backlog = {4, 3};
  const auto policy = make_baseline({"cmu", {}}, p);
  const auto actor = policy->actor(1);
  std::vector<double> w(2);
  double sum = 0;
  for (int t = 0; t < 8; ++t) {
    actor->act(b, {w.data(), 1, 2});
    sim::step(p, x, b, {w.data(), 1, 2});
    sum += cost[0] * b.backlog[0] + cost[1] * b.backlog[1];
  }
  return sum;
}

}  // namespace

TEST_CASE("drf: t2 of the model, the example of its authors") {
  sim::Params p = pool_of({1, 4, 3, 1}, {9, 18});
  p.pool.groups = {{"users", 2, sim::Dynamics::progress}};  // they always ask for more
  must_resolve(p);
  const std::vector<double> w = weights({"drf", {}}, p, batch_of(p));
  CHECK(w[0] == doctest::Approx(3).epsilon(1e-12));
  CHECK(w[1] == doctest::Approx(2).epsilon(1e-12));
  CHECK(w[0] * largest_share(p, 0) == doctest::Approx(2.0 / 3).epsilon(1e-12));
  CHECK(w[1] * largest_share(p, 1) == doctest::Approx(2.0 / 3).epsilon(1e-12));
}

TEST_CASE("clear_market: t3, t4, t5, t7 of the model, one-slot optima in closed form") {
  using Form = Curve::Form;
  const auto power = [](double w, double a, double x0, double b) {
    return Curve{Form::power_law, w, 0, x0, a, b};
  };
  check_rates(clear({power(1, .9, 1, 1), power(2, .8, 2, 1), power(3, .7, 4, 1)}, 6),
              {1.188306, 2.126309, 2.685385}, .187943, 2.443261);
  check_rates(clear({power(1, .9, 1, .5), power(2, .8, 2, 1), power(3, .7, 4, 1.5)}, 6),
              {.787588, 2.122583, 3.089829}, .188283, 2.339287);
  // e^{-ks} with k = (1, .5, .25), W and a those of t3: the weights of the value are W a.
  const std::vector<Curve> exponential{Curve{Form::exponential, 1, 0, 1, 1, 0},
                                       Curve{Form::exponential, 1, 0, 2, 1, 0},
                                       Curve{Form::exponential, 1, 0, 4, 1, 0}};
  check_rates(clear(exponential, 6), {1.847353, 2.308412, 1.844235}, .157654, 1.103577);
  check_rates(clear(exponential, 1), {.795431, .204569, 0}, .451386, 2.354159);
  // In a steady state progress is rate / forgetting: scales shrink by that factor.
  check_rates(
      clear({power(1, .9, 6 * .08, 1.2), power(1, .8, 12 * .08, 1.2), power(1, .7, 18 * .08, 1.2)},
            3),
      {.987217, 1.069744, .943039}, 0, .943674);
}

TEST_CASE("kleinrock_rates: t6 of the model") {
  const double load[]{1, 2, 3}, weight[]{4, 1, 1}, expected[]{2.165894, 2.824411, 4.009694};
  double s[3], value = 0;
  kleinrock_rates(load, weight, 9, s, 3);
  for (int i = 0; i < 3; ++i) {
    CHECK(s[i] == doctest::Approx(expected[i]).epsilon(kSix));
    value += weight[i] * load[i] / (s[i] - load[i]);
  }
  CHECK(value == doctest::Approx(8.828012).epsilon(kSix));
}

TEST_CASE("cmu: t8 of the model, 27 in the right order and 39 in the wrong one") {
  // The pool gives nobody less than 1e-9 of the largest weight: 8 slots lose that much each.
  CHECK(served_out({2, 1}, {2, 1}) == doctest::Approx(27).epsilon(1e-8));
  CHECK(served_out({2, 1}, {1, 2}) == doctest::Approx(39).epsilon(1e-8));
}

TEST_CASE("t9 of the model: placing ahead of known work costs 1.25, uniform 2") {
  sim::Params p = pool_of({1, 1}, {2});
  p.pool.lag = 0.5;
  p.workload.slots = 2;
  must_resolve(p);
  sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 1);
  x.arrivals = {0, 0, 3, 0};
  const auto waiting = [&](Actor& actor) {
    sim::Batch b = sim::reset(p, x, {0});
    std::vector<double> w(2);
    double sum = 0;
    for (int t = 0; t < 2; ++t) {
      actor.act(b, {w.data(), 1, 2});
      sim::step(p, x, b, {w.data(), 1, 2});
      sum += b.backlog[0] + b.backlog[1];
    }
    return sum;
  };
  const auto oracle = make_oracle({"mpc_oracle", {10}}, p);
  const auto uniform = make_baseline({"uniform", {}}, p);
  CHECK(waiting(*uniform->actor(1)) == doctest::Approx(2).epsilon(1e-12));
  // 25 steps of up to 0.3 on both logits leave the idle node e^-12 of the other at best; after half
  // of them it is e^-6 = 0.2 %, and the rest is worth less than that.
  CHECK(waiting(*oracle->actor(x, 1)) == doctest::Approx(1.25).epsilon(0.003));
}

TEST_CASE("t10 of the model: with quadratic cost the one-slot optimum is (1,0), (0,1), (.5,.5)") {
  // phi(y / kappa) kappa^2 / 2 is y^2 / 2 but for 1 / kappa.
  const double kappa = 1e6;
  const auto slot = [&](double first, double second) {
    std::vector<double> s(2);
    const sim::Params p = pool_of({1, 1}, {1});
    const Curve curves[]{{Curve::Form::backlog, kappa * kappa, first, kappa, 0, 0},
                         {Curve::Form::backlog, kappa * kappa, second, kappa, 0, 0}};
    clear_market(
        p.pool, {1}, {10, 10}, [&](int n, double price) { return curves[n].demand(price); },
        s.data());
    return std::vector<double>{first - s[0], second - s[1]};
  };
  double cost = 0;
  std::vector<double> q{2, 0};
  for (const auto& arrivals : {std::vector<double>{0, 0}, {0, 2}, {0, 0}}) {
    q = slot(q[0] + arrivals[0], q[1] + arrivals[1]);
    cost += (q[0] * q[0] + q[1] * q[1]) / 2;
  }
  // The inverse of a slope 2 z near z = 1e-6 loses ten digits: 1e-16 / 1e-6 of a unit of z.
  CHECK(cost == doctest::Approx(1.75).epsilon(1e-4));
}

TEST_CASE("myopic: the gradient of the coming slot's cost is one price for all who are served") {
  for (const int n : {1, 31, 32, 33}) {
    sim::Params p = pool_of(std::vector<double>(static_cast<std::size_t>(n), 1.0), {0.8 * n}, 3);
    p.workload.importance.given = sim::NodeValues::Uniform{0.5, 2};
    must_resolve(p);
    sim::Batch b = batch_of(p);
    for (int i = 0; i < n; ++i) {
      b.backlog[static_cast<std::size_t>(i)] = 1 + 4 * number(0, i, n);
      b.arrivals_fast[static_cast<std::size_t>(i)] = number(1, i, n);
    }
    const std::vector<double> s = weights({"myopic", {1, 0}}, p, b);
    double low = 1e300, high = 0, used = 0;
    for (int i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double scale = sim::backlog_scale(p, i),
                   y = b.backlog[at] + b.arrivals_fast[at] - s[at];
      const double gain = p.workload.importance[i] * sim::backlog_phi_slope(y / scale) / scale;
      used += s[at];
      if (s[at] > 1e-9) low = std::min(low, s[at] < 3 - 1e-9 ? gain : 1e300);
      if (s[at] < 3 - 1e-9) high = std::max(high, gain);
    }
    CHECK(used == doctest::Approx(0.8 * n).epsilon(1e-9));
    // Those served gain no less than those who could have more.
    if (high > 0 && low < 1e300) CHECK(low >= high * (1 - 1e-9));
    // Under lag the other form commands the same placed rates when nothing is moved.
    CHECK(weights({"myopic", {1, 1}}, p, b) == s);
  }
}

TEST_CASE("proportional_fair: the conditions of its optimum, for one and three resources") {
  for (const int resources : {1, 3})
    for (const int n : {1, 31, 32, 33}) {
      CAPTURE(resources);
      CAPTURE(n);
      std::vector<double> needs, budgets;
      for (int i = 0; i < n * resources; ++i) needs.push_back(0.2 + number(2, i, n));
      for (int k = 0; k < resources; ++k) {
        double all = 0;
        for (int i = 0; i < n; ++i)
          all += 1.2 * needs[static_cast<std::size_t>(i) * static_cast<std::size_t>(resources) +
                             static_cast<std::size_t>(k)];
        budgets.push_back(all * (0.3 + 0.5 * number(3, k, n)));
      }
      sim::Params p = pool_of(needs, budgets, 1.2);
      p.workload.importance.given = sim::NodeValues::Uniform{0.5, 2};
      must_resolve(p);
      const std::vector<double> s = weights({"proportional_fair", {}}, p, batch_of(p));
      const std::vector<double> again = filled(p, s);
      std::vector<double> rate(s.size());
      const std::vector<double> price = clear_market(
          p.pool, budgets, std::vector<double>(s.size(), 1.2),
          [&](int i, double c) {
            return Demand{p.workload.importance[i] / c, -p.workload.importance[i] / (c * c)};
          },
          rate.data());
      for (int i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        CHECK(again[at] == doctest::Approx(s[at]).epsilon(1e-9));  // water-filling leaves it
        CHECK(s[at] == doctest::Approx(rate[at]).epsilon(1e-12));
        double cost = 0;
        for (int k = 0; k < resources; ++k)
          cost += price[static_cast<std::size_t>(k)] * p.pool.need_of(i, k);
        const double gain = p.workload.importance[i] / s[at];
        if (s[at] < 1.2 * (1 - 1e-9)) {
          CHECK(gain == doctest::Approx(cost).epsilon(1e-9));
        } else {
          CHECK(gain >= cost * (1 - 1e-9));
        }
      }
      for (int k = 0; k < resources; ++k) {
        double used = 0;
        for (int i = 0; i < n; ++i) used += p.pool.need_of(i, k) * s[static_cast<std::size_t>(i)];
        const double budget = budgets[static_cast<std::size_t>(k)];
        CHECK(used <= budget * (1 + 1e-9));
        if (price[static_cast<std::size_t>(k)] > 0)
          CHECK(used == doctest::Approx(budget).epsilon(1e-9));
        CHECK(price[static_cast<std::size_t>(k)] >= 0);
      }
    }
}

TEST_CASE("clear_market: water-filling over noisy channels, max sum log(1 + p / noise)") {
  // Known optimum: a power of 1 over noise (.1, .2, .5, 1) goes (.5, .4, .1, 0), for 3.072693 nats
  // (channel capacity; Cover and Thomas, Elements of Information Theory, section 9.4).
  const std::vector<double> noise{.1, .2, .5, 1}, best{.5, .4, .1, 0};
  const sim::Params p = pool_of({1, 1, 1, 1}, {1}, 1);
  std::vector<double> power(4);
  const std::vector<double> price = clear_market(
      p.pool, {1}, {1, 1, 1, 1},
      [&](int n, double c) {
        const double asked = 1 / c - noise[static_cast<std::size_t>(n)];
        return asked > 0 ? Demand{asked, -1 / (c * c)} : Demand{0, 0};
      },
      power.data());
  double capacity = 0;
  for (std::size_t n = 0; n < 4; ++n) {
    CHECK(power[n] == doctest::Approx(best[n]).epsilon(1e-9));
    capacity += std::log1p(power[n] / noise[n]);
  }
  CHECK(capacity == doctest::Approx(3.072693).epsilon(2e-7));  // six digits
  CHECK(price[0] == doctest::Approx(1 / .6).epsilon(1e-9));    // the water stands at .6
}

TEST_CASE("clear_market: three budgets, curves that bend at caps and at 0: prices and rates fit") {
  for (int trial = 0; trial < 2000; ++trial) {
    constexpr int kNodes = 6, kResources = 3;
    sim::Pool pool;
    pool.nodes = kNodes;
    Draws d(5, EpisodeSet::training, trial, Stream::noise, 0, 0);
    for (int i = 0; i < kNodes * kResources; ++i) pool.needs.push_back(0.3 + 0.9 * d.uniform());
    const std::vector<double> budget(kResources, 0.6 * kNodes);
    std::vector<double> cap, rate(kNodes);
    std::vector<Curve> curves;
    for (int n = 0; n < kNodes; ++n) {
      cap.push_back(1.5 + 2.5 * d.uniform());
      const double weight = 0.5 + 1.5 * d.uniform(), start = 8 * d.uniform();
      curves.push_back(n % 2 ? Curve{Curve::Form::power_law, weight, start, 10, 0.8, 1}
                             : Curve{Curve::Form::backlog, weight, start / 3, 2, 0, 0});
    }
    pool.budgets = budget;
    const std::vector<double> price = clear_market(
        pool, budget, cap,
        [&](int n, double p) { return curves[static_cast<std::size_t>(n)].demand(p); },
        rate.data());
    for (std::size_t k = 0; k < kResources; ++k) {
      double left = budget[k];
      for (std::size_t n = 0; n < kNodes; ++n) left -= rate[n] * pool.needs[n * kResources + k];
      CHECK(left >= -1e-9 * budget[k]);
      if (price[k] > 0) CHECK(left <= 1e-9 * budget[k]);
    }
    for (std::size_t n = 0; n < kNodes; ++n) {
      double cost = 0;
      for (std::size_t k = 0; k < kResources; ++k)
        cost += price[k] * pool.needs[n * kResources + k];
      const double gain = curves[n].gain_at(rate[n]);
      if (rate[n] > 0 && cost > 0) CHECK(gain >= cost * (1 - 1e-9));
      if (rate[n] < cap[n]) CHECK(gain <= cost * (1 + 1e-9) + 1e-12);
    }
  }
}

TEST_CASE("maxmin: the level that sorting gives") {
  for (const int n : {1, 31, 32, 33}) {
    sim::Params p = pool_of(std::vector<double>(static_cast<std::size_t>(n), 1.0), {0.5 * n});
    sim::Batch b = batch_of(p);
    std::vector<double> need;
    for (int i = 0; i < n; ++i) {
      b.backlog[static_cast<std::size_t>(i)] = number(4, i, n);
      b.arrivals_fast[static_cast<std::size_t>(i)] = number(5, i, n);
      need.push_back(number(4, i, n) + number(5, i, n));
    }
    std::vector<double> sorted = need;
    std::sort(sorted.begin(), sorted.end());
    double left = 0.5 * n, level = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      level = left / static_cast<double>(sorted.size() - i);
      if (sorted[i] > level) break;
      left -= sorted[i];
    }
    if (std::accumulate(need.begin(), need.end(), 0.0) < 0.5 * n) continue;  // all get all
    const std::vector<double> s = weights({"maxmin", {}}, p, b);
    for (std::size_t i = 0; i < need.size(); ++i)
      CHECK(s[i] == doctest::Approx(std::min(need[i], level)).epsilon(1e-9));
  }
}

TEST_CASE("round_robin: quanta in turn, from one node further each slot") {
  sim::Params p = pool_of({1, 1, 1}, {3});  // a fair share is 1
  sim::Batch b = batch_of(p);
  b.backlog = {5, 0.25, 5};
  std::fill(b.arrivals_fast.begin(), b.arrivals_fast.end(), 0.0);
  const Rule whole{"round_robin", {1}};
  CHECK(weights(whole, p, b) == std::vector<double>{1.75, 0.25, 1});
  b.slot = 2;
  CHECK(weights(whole, p, b) == std::vector<double>{1, 0.25, 1.75});
}

TEST_CASE("greedy_margin: small quanta come to the one-slot optimum") {
  sim::Params p = pool_of({1, 0.5, 2, 1}, {3}, 5);
  p.pool.groups = {{"jobs", 4, sim::Dynamics::progress}};
  p.progress.error = sim::PowerLawError{};
  must_resolve(p);
  sim::Batch b = batch_of(p);
  b.progress = {3, 5, 1, 8};
  const std::vector<double> best = weights({"myopic", {1, 0}}, p, b);
  const std::vector<double> greedy = weights({"greedy_margin", {0.01}}, p, b);
  // A quantum is 0.01 of the budget over 4 nodes; each node is at most one quantum off.
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(std::abs(greedy[i] - best[i]) <= 0.01 / 4 / largest_share(p, static_cast<int>(i)) + 1e-9);
}

TEST_CASE("exp_weights: shares move by the slope of the last slot's cost, by differences") {
  const sim::Params p = busy_ring(4, 10);
  const sim::Exogenous x = sim::draw(p, 2, EpisodeSet::evaluation, 0, 1);
  const double temperature = 0.3;
  const auto policy = make_baseline({"exp_weights", {temperature, 0}}, p);
  const auto actor = policy->actor(1);
  sim::Batch b = sim::reset(p, x, {0});
  std::vector<double> w(4), gain(4), next(4);
  for (int t = 0; t < 5; ++t) {
    actor->act(b, {w.data(), 1, 4});
    CHECK(std::accumulate(w.begin(), w.end(), 0.0) == doctest::Approx(1).epsilon(1e-12));
    if (t > 0)
      for (std::size_t n = 0; n < 4; ++n) CHECK(w[n] == doctest::Approx(next[n]).epsilon(1e-6));
    const auto cost_at = [&](std::vector<double> decision) {
      sim::Batch after = b;
      sim::step(p, x, after, {decision.data(), 1, 4});
      return after.cost[0];
    };
    double sum = 0;
    for (std::size_t n = 0; n < 4; ++n) {
      std::vector<double> up = w, down = w;
      up[n] += 1e-6;
      down[n] -= 1e-6;
      gain[n] = -(cost_at(up) - cost_at(down)) / 2e-6;
    }
    for (std::size_t n = 0; n < 4; ++n) sum += next[n] = w[n] * std::exp(gain[n] / temperature);
    for (std::size_t n = 0; n < 4; ++n) next[n] /= sum;
    sim::step(p, x, b, {w.data(), 1, 4});
  }
}

TEST_CASE("random: uniform on the simplex, another draw for every slot, episode and node") {
  sim::Params p = quiet_pool(3, 400, 0.5);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  sim::Batch b = sim::reset(p, x, {0, 1});
  const auto policy = make_baseline({"random", {}}, p);
  const auto actor = policy->actor(2);
  std::vector<double> w(6), last;
  double sum = 0, square = 0;
  for (int t = 0; t < 400; ++t) {
    b.slot = t;
    actor->act(b, {w.data(), 2, 3});
    CHECK(w != last);
    for (std::size_t e = 0; e < 2; ++e) {
      const double share = w[3 * e] / (w[3 * e] + w[3 * e + 1] + w[3 * e + 2]);
      sum += share / 800;
      square += share * share / 800;
    }
    last = w;
  }
  // Dirichlet(1, 1, 1): mean 1/3, variance 1/18; of 800 draws within 4 standard errors, .033 and
  // .013 (the square's deviation is below .18, checked by Beta(1, 2): E x^4 = 1/15).
  CHECK(std::abs(sum - 1.0 / 3) < 4 * std::sqrt(1.0 / 18 / 800));
  CHECK(std::abs(square - 1.0 / 6) < 4 * std::sqrt((1.0 / 15 - 1.0 / 36) / 800));
}
