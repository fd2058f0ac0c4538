// Policies that decide on every resource by itself.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "agents/learned.h"
#include "agents/marginal_value.h"
#include "four_point.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::base_rule;
using cra::testing::busy_ring_of_three;
using cra::testing::check_gradient;
using cra::testing::every_kind;
using cra::testing::must_resolve;
using cra::testing::name_of;
using cra::testing::short_training;
using cra::testing::slope;

namespace {

using Numbers = std::vector<double>;

/// Something normal, the same in every run.
Numbers some(std::size_t count, double scale, int which) {
  Numbers x;
  for (std::size_t i = 0; i < count; ++i)
    x.push_back(
        scale *
        Draws(3, EpisodeSet::tuning, which, Stream::noise, static_cast<int>(i), 0).normal());
  return x;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Three resources taken one by one; nodes at their capacities are in play.
sim::Params split_pool(int nodes, int slots, bool reserve = false) {
  sim::Params p = busy_ring_of_three(nodes, slots);
  p.pool.action = sim::Action::per_resource;
  p.pool.capacity = 1.2;
  if (reserve) p.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::priority};
  must_resolve(p);
  return p;
}

Rule base_of(const sim::Params& p) {
  Rule rule = base_rule();
  if (p.pool.shared_reserve() != nullptr) rule.knobs.push_back(0.2);
  return rule;
}

/// A network with random weights everywhere but in its resource heads, whose scale is given.
Network network(const sim::Params& p, int resource_heads, double scale) {
  Network n;
  n.features = sim::feature_names(p);
  attention::Params a;
  a.width = 8;
  n.shape = attention::shape_of(a, sim::feature_count(p), p.pool.nodes, 1);
  n.base = base_of(p);
  n.base_floor = 0.02;
  n.feature_mean.assign(n.features.size(), 0.5);
  n.feature_scale.assign(n.features.size(), 0.7);
  n.resource_heads = resource_heads;
  n.theta = attention::initial_parameters(n.shape, 3);
  const auto add = [&](std::size_t count, double by, int which) {
    for (const double x : some(count, by, which)) n.theta.push_back(static_cast<float>(x));
  };
  add(2 * static_cast<std::size_t>(n.shape.width), 0.2, 1);
  add(static_cast<std::size_t>(resource_heads) * static_cast<std::size_t>(n.shape.width), scale, 2);
  n.theta.push_back(-1.0f);
  return n;
}

std::unique_ptr<Policy> policy(const Network& n, const sim::Params& p) {
  return make_learned(n, p, attention::make_cpu_engine);
}

Params training(const LearnerKind& learner, int updates) {
  Params p = short_training(updates);
  p.agent.learner = learner;
  p.agent.resource_heads = true;
  return p;
}

TrainState trained(const Params& params, const sim::Params& pool, int threads = 1) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  attention::Params small;
  small.width = 8;
  Trainer t(params, small, pool, 7, base_of(pool), attention::make_cpu_engine);
  t.start();
  while (!t.finished()) t.update();
  omp_set_num_threads(before);
  return t.state();
}

bool same_bits(const TrainState& a, const TrainState& b) {
  return same_bits(a.theta, b.theta) && same_bits(a.adam_square, b.adam_square) &&
         same_bits(a.log_cost, b.log_cost) && same_bits(a.best_theta, b.best_theta) &&
         same_bits(a.validation_cost, b.validation_cost);
}

}  // namespace

// ---- the distribution ----------------------------------------------------------------------

TEST_CASE("decide: resource logits that are equal are one logit, to the bit") {
  const DecisionShape one{5, true}, three{5, true, 3};
  Numbers base = some(6, 0.4, 1), logits = some(6, 3, 2), blocks, decision(6), split(6 + 15);
  for (double& w : base) w = std::exp(w);
  base[5] = 0.3;
  for (int k = 0; k < 3; ++k) blocks.insert(blocks.end(), logits.begin(), logits.begin() + 5);
  blocks.push_back(logits[5]);
  decide({base.data(), logits.data()}, one, decision.data());
  decide({base.data(), blocks.data()}, three, split.data());
  CHECK(std::equal(decision.begin(), decision.end(), split.begin()));
  CHECK(std::count(split.begin() + 6, split.end(), 1.0) == 15);
}

TEST_CASE("decide: without capacities in play p_kn is as base_n exp(r_kn)") {
  const DecisionShape shape{4, false, 3};
  Numbers base = some(4, 0.4, 1), logits = some(12, 1.5, 2), decision(16);
  for (double& w : base) w = std::exp(w);
  decide({base.data(), logits.data()}, shape, decision.data());
  for (std::size_t k = 0; k < 3; ++k) {
    double found = 0, expected = 0;
    for (std::size_t n = 0; n < 4; ++n) {
      found += decision[n] * decision[4 + 4 * k + n];
      expected += base[n] * std::exp(logits[4 * k + n]);
    }
    for (std::size_t n = 0; n < 4; ++n)
      CHECK(decision[n] * decision[4 + 4 * k + n] / found ==
            doctest::Approx(base[n] * std::exp(logits[4 * k + n]) / expected).epsilon(1e-12));
  }
}

TEST_CASE("logistic_normal with resource heads: every gradient by differences (N1)") {
  const PolicyKind kind = LogisticNormal{};
  for (const bool reserve : {false, true})
    for (const int resources : {1, 2, 3})
      for (const int nodes : {1, 2, 5}) {
        const DecisionShape shape{nodes, reserve, resources};
        CAPTURE(nodes);
        CAPTURE(resources);
        const auto size = static_cast<std::size_t>(shape.size()),
                   count = static_cast<std::size_t>(shape.logits()),
                   bundle = static_cast<std::size_t>(shape.bundle());
        Numbers base = some(bundle, 0.4, 1), residual = some(count, 0.5, 2),
                drawn = some(count, 0.5, 3), action(count), decision(size);
        const Numbers weight = some(size, 1, 4);
        for (double& w : base) w = std::exp(w);
        if (reserve) base.back() = 0.3;
        double log_sigma = -0.7;
        const auto around = [&] { return Distribution(kind, log_sigma, shape); };
        const double said =
            around().sample({base.data(), drawn.data()}, {5, 2, 4}, action.data(), decision.data());
        // Each block is centred by itself, and so many dimensions are left.
        for (int k = 0; k < resources; ++k)
          CHECK(std::fabs(std::accumulate(action.begin() + std::ptrdiff_t{k} * nodes,
                                          action.begin() + std::ptrdiff_t{k + 1} * nodes, 0.0)) <
                1e-14);
        CHECK(shape.dimensions() == resources * (nodes - 1) + (reserve ? 1 : 0));

        Numbers d_log(count), d_entropy(count), unused(count);
        const auto density = [&](Numbers& by_residual) {
          return around().density({base.data(), residual.data()}, action.data(), drawn.data(),
                                  by_residual.data(), d_entropy.data());
        };
        const Density at = density(d_log);
        const auto log_density_now = [&] { return density(unused).log_density; };
        check_gradient(at.log_density_d_spread, slope(log_density_now, log_sigma));
        check_gradient(at.entropy_d_spread, shape.dimensions());
        for (std::size_t i = 0; i < count; ++i)
          check_gradient(d_log[i], slope(log_density_now, residual[i]));
        std::swap(residual, drawn);  // where nothing moved: the bits of the draw
        std::copy(residual.begin(), residual.end(), drawn.begin());
        CHECK(density(unused).log_density == said);

        // A loss of shares of weights and of tilts, by the chain from them to their shares.
        const auto share_loss = [&](const double* w, const double* factor, double* d) {
          const double sum = std::accumulate(w, w + nodes, 0.0);
          double loss = 0, along = 0;
          for (int n = 0; n < nodes; ++n) {
            const double root = std::sqrt(w[n] / sum);
            loss += factor[n] * root;
            d[n] = factor[n] * 0.5 / root / sum;
            along += d[n] * w[n] / sum;
          }
          for (int n = 0; n < nodes; ++n) d[n] -= along;
          return loss;
        };
        Numbers d_decision(size), d_residual(count);
        const auto loss = [&] {
          around().mean({base.data(), residual.data()}, decision.data());
          double l = share_loss(decision.data(), weight.data(), d_decision.data());
          for (std::size_t i = bundle; i < size; i += static_cast<std::size_t>(nodes))
            l += share_loss(decision.data() + i, weight.data() + i, d_decision.data() + i);
          if (reserve) l += d_decision[bundle - 1] = std::exp(decision[bundle - 1]);
          return l;
        };
        loss();
        const double d_spread = around().mean_backward({base.data(), residual.data()},
                                                       d_decision.data(), d_residual.data());
        CHECK(d_spread == 0);
        for (std::size_t i = 0; i < count; ++i)
          check_gradient(d_residual[i], slope(loss, residual[i]));
      }
}

TEST_CASE("logistic_normal with resource heads: extreme logits stay finite") {
  const PolicyKind kind = LogisticNormal{};
  const DecisionShape shape{50, true, 3};
  const Distribution around(kind, 0, shape);
  for (const double scale : {50.0, 700.0, 1e5}) {
    Numbers base(51, 1.0), residual = some(151, scale, 5), action(151), decision(201);
    base.back() = 0.3;
    CHECK(std::isfinite(
        around.sample({base.data(), residual.data()}, {1, 1, 1}, action.data(), decision.data())));
    for (const double x : decision) {
      CHECK(x >= 0);
      CHECK(x <= 1);
    }
  }
}

// ---- the policy ----------------------------------------------------------------------------

TEST_CASE("resource heads: 0 at first, and then the policy is the one without, to the bit") {
  for (const bool reserve : {false, true}) {
    const sim::Params p = split_pool(5, 20, reserve);
    const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 20);
    const Trajectory without = record(*policy(network(p, 0, 0), p), p, x, 20);
    const Trajectory with = record(*policy(network(p, 3, 0), p), p, x, 20);
    CHECK(same_bits(with.cost, without.cost));
    CHECK(same_bits(with.proportion, without.proportion));
    CHECK(same_bits(with.resource_proportion, without.resource_proportion));
    CHECK(same_bits(with.reserve, without.reserve));
    const Trajectory moved = record(*policy(network(p, 3, 0.2), p), p, x, 20);
    CHECK_FALSE(same_bits(moved.resource_proportion, without.resource_proportion));
    CHECK((*std::max_element(moved.reserve.begin(), moved.reserve.end()) > 0) == reserve);

    // Training starts there, at the base heuristic.
    Params params = training(Pathwise{}, 1);
    params.agent.base_floor = 0;
    const TrainState s = trained(params, p);
    const sim::Exogenous v =
        sim::draw(p, 7, EpisodeSet::validation, 0, params.training.validation_episodes);
    const Numbers base = evaluate(*make_baseline(base_of(p), p), p, v).cost;
    CHECK(s.validation_cost.at(0) ==
          std::accumulate(base.begin(), base.end(), 0.0) / static_cast<double>(base.size()));
    CHECK(s.validation_cost.at(1) != s.validation_cost.at(0));
  }
}

TEST_CASE("resource heads: from heads to the cost of an episode, by differences in double (N1)") {
  // The embeddings of every slot are given; nodes run into their capacities on the way.
  const PolicyKind kind = LogisticNormal{};
  int capped = 0;
  for (const bool reserve : {false, true}) {
    const sim::Params p = split_pool(4, 12, reserve);
    const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::training, 0, 1);
    const DecisionShape shape{4, reserve, 3};
    const int width = 5;
    const auto count = static_cast<std::size_t>(shape.size());
    Numbers theta = some(5 * static_cast<std::size_t>(width), 0.2, 6);
    const Numbers h = some(12 * 4 * static_cast<std::size_t>(width), 1, 7);
    Numbers base(4, 1.0);
    if (reserve) base.push_back(0.2);
    const auto heads = [&](auto* at) {
      return Heads<std::remove_reference_t<decltype(*at)>>{at, at + width, at + 2 * width};
    };
    const Distribution around(kind, -1, shape);
    std::vector<sim::Batch> before;
    Numbers said, residuals, plain(static_cast<std::size_t>(shape.logits()));
    const auto cost = [&] {
      before.clear();
      said.clear();
      residuals.clear();
      sim::Batch b = sim::reset(p, x, {0});
      double sum = 0;
      for (int t = 0; t < 12; ++t) {
        before.push_back(b);
        Numbers residual(static_cast<std::size_t>(shape.logits())), decision(count);
        head_residual<double>(heads(static_cast<const double*>(theta.data())),
                              h.data() + std::ptrdiff_t{t} * 4 * width, shape, width,
                              residual.data());
        around.mean({base.data(), residual.data()}, decision.data());
        sim::step_bundles(p, x, b, {decision.data(), 1, shape.size()});
        sum += b.cost[0];
        // Without the tilts, need times rate.
        sim::expand(p, {decision.data(), 1, shape.bundle()}, {plain.data(), 1, shape.logits()});
        for (int n = 0; n < 4; ++n)
          capped += plain[static_cast<std::size_t>(n)] == p.pool.need_of(n, 0) * p.pool.capacity[n]
                        ? 1
                        : 0;
        said.insert(said.end(), decision.begin(), decision.end());
        residuals.insert(residuals.end(), residual.begin(), residual.end());
      }
      return sum;
    };
    cost();
    Numbers d_theta(theta.size()), d_h(static_cast<std::size_t>(4 * width)), d_decision(count),
        d_residual(static_cast<std::size_t>(shape.logits()));
    sim::Adjoint a(before[0]);
    for (std::ptrdiff_t t = 11; t >= 0; --t) {
      const double* decision = said.data() + t * shape.size();
      sim::step_bundles_backward(p, x, before[static_cast<std::size_t>(t)],
                                 {decision, 1, shape.size()}, 1, a,
                                 {d_decision.data(), 1, shape.size()});
      around.mean_backward({base.data(), residuals.data() + t * shape.logits()}, d_decision.data(),
                           d_residual.data());
      head_residual_backward<double>(heads(static_cast<const double*>(theta.data())),
                                     h.data() + t * 4 * width, d_residual.data(), shape, width,
                                     d_h.data(), heads(d_theta.data()));
    }
    for (std::size_t i = 0; i < theta.size(); ++i) {
      CAPTURE(i);
      // Two-point: the cost has kinks, and a step of 1e-5 is likely to meet none.
      const double at = theta[i];
      theta[i] = at + 1e-5;
      const double up = cost();
      theta[i] = at - 1e-5;
      const double numeric = (up - cost()) / 2e-5;
      theta[i] = at;
      CHECK(std::fabs(d_theta[i] - numeric) <= 1e-6 * std::fabs(numeric) + 1e-8);
    }
    for (const int first : {0, 2, 3, 4})
      CHECK(std::fabs(d_theta[static_cast<std::size_t>(first * width)]) > 1e-4);
  }
  CHECK(capped > 0);
}

TEST_CASE("resource heads: every learner, the same bits for any number of threads, and resumed") {
  const sim::Params p = split_pool(4, 12, true);
  for (const LearnerKind& learner : every_kind<LearnerKind>()) {
    CAPTURE(name_of(learner));
    Params params = training(learner, 4);
    params.training.episodes = 9;  // more than a tile
    if (auto* es = std::get_if<Evolution>(&params.agent.learner)) es->population = 4;
    const TrainState one = trained(params, p);
    for (const int threads : {2, 3, 8}) CHECK(same_bits(trained(params, p, threads), one));

    attention::Params small;
    small.width = 8;
    const auto trainer = [&] {
      return Trainer(params, small, p, 7, base_of(p), attention::make_cpu_engine);
    };
    TrainState state;
    {
      Trainer first = trainer();
      first.start();
      state = first.state();
    }
    for (int u = 0; u < 4; ++u) {
      Trainer next = trainer();
      next.resume(state);
      next.update();
      state = next.state();
    }
    CHECK(same_bits(state, one));

    // Tuning alone has no network, so no heads; all others move every one of them.
    Trainer last = trainer();
    last.resume(one);
    const Network n = last.network();
    const bool evolves = std::holds_alternative<Evolution>(learner);
    CHECK(n.resource_heads == (evolves ? 0 : 3));
    if (evolves) continue;
    const ThetaLayout layout(n.shape, 3);
    for (std::int64_t i = layout.head(); i < layout.log_spread(); ++i)
      CHECK(one.theta[static_cast<std::size_t>(i)] != 0);
    params.agent.resource_heads = false;
    CHECK_FALSE(same_bits(trained(params, p).log_cost, one.log_cost));
    CHECK_THROWS_WITH_AS(trainer().resume(one), doctest::Contains("checkpoint: theta has"),
                         InputError);
  }
}

TEST_CASE("resource heads: weights learned of a few nodes decide for many") {
  const sim::Params few = split_pool(4, 12), many = split_pool(9, 12);
  Network n = network(few, 3, 0.2);
  CHECK(network_misfit(n, many).empty());
  const sim::Exogenous x = sim::draw(many, 1, EpisodeSet::evaluation, 0, 3);
  const Trajectory t = record(*policy(resized(n, 4, 9), many), many, x, 3);
  REQUIRE(t.resource_proportion.size() == std::size_t{3} * 12 * 3 * 9);
  for (std::size_t i = 0; i < t.resource_proportion.size(); i += 9)
    CHECK(std::accumulate(&t.resource_proportion[i], &t.resource_proportion[i] + 9, 0.0) ==
          doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("network_misfit: resource heads where there is nothing for them to decide") {
  const sim::Params p = split_pool(4, 12);
  CHECK(network_misfit(network(p, 3, 0.2), p).empty());
  sim::Params bundles = p;
  bundles.pool.action = sim::Action::bundle;
  CHECK(network_misfit(network(p, 3, 0.2), bundles) ==
        "it decides on each resource by itself, and this pool does not take decisions per "
        "resource");
  CHECK(network_misfit(network(p, 0, 0), bundles).empty());
  CHECK(network_misfit(network(p, 2, 0.2), p) ==
        "it decides on 2 resources by themselves, and this pool has 3");
  Network dirichlet = network(p, 3, 0.2);
  dirichlet.policy = Dirichlet{};
  CHECK(network_misfit(dirichlet, p) == "it has 3 resource heads, and a dirichlet policy has none");
  Network lacking = network(p, 3, 0.2);
  lacking.theta.pop_back();
  CHECK_THROWS_WITH_AS(policy(lacking, p), doctest::Contains("theta has"), InputError);
}

TEST_CASE("check: resource heads where there is nothing for them to decide") {
  sim::Params p = split_pool(4, 12);
  Params params = training(Pathwise{}, 1);
  CHECK(check(params, p).empty());
  params.agent.policy = Dirichlet{};
  p.pool.action = sim::Action::bundle;
  const std::vector<Problem> found = check(params, p);
  REQUIRE(found.size() == 2);
  for (const Problem& problem : found) CHECK(problem.path == "agent.resource_heads");
  params.agent.resource_heads = false;
  CHECK(check(params, p).empty());
}

TEST_CASE("explain: marginal values under tilts are those of the reverse sweep") {
  const sim::Params p = split_pool(4, 12);
  const Network n = network(p, 3, 0.2);
  const sim::Exogenous x = sim::draw(p, 1, EpisodeSet::evaluation, 0, 2);
  const Explanation e = explain(n, p, x, 2, 4, attention::make_cpu_engine);
  CHECK(e.marginal_value.size() == 2 * e.slot.size() * 4);

  // The second episode once more, in reverse.
  const std::unique_ptr<Policy> who = policy(n, p);
  const std::unique_ptr<Actor> actor = who->actor(1);
  const int size = actor->size(p);
  CHECK(size == 4 + 3 * 4);
  sim::Batch b = sim::reset(p, x, {1});
  std::vector<sim::Batch> before;
  Numbers said(static_cast<std::size_t>(12 * size)), d_said(static_cast<std::size_t>(size));
  for (std::ptrdiff_t t = 0; t < 12; ++t) {
    before.push_back(b);
    actor->act(b, {said.data() + t * size, 1, size});
    sim::step_bundles(p, x, b, {said.data() + t * size, 1, size});
  }
  sim::Adjoint a(b);
  std::size_t explained = e.slot.size();
  for (std::ptrdiff_t t = 11; t >= 0; --t) {
    const double* w = said.data() + t * size;
    sim::step_bundles_backward(p, x, before[static_cast<std::size_t>(t)], {w, 1, size}, 1, a,
                               {d_said.data(), 1, size});
    if (explained == 0 || e.slot[explained - 1] != t) continue;
    --explained;
    // d C / d eps at (1 - eps) p + eps e_n, p = w / sum w: sum w (d_n - sum_j p_j d_j).
    const double sum = std::accumulate(w, w + 4, 0.0);
    const double along = std::inner_product(w, w + 4, d_said.begin(), 0.0) / sum;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t at = (e.slot.size() + explained) * 4 + i;
      CHECK(e.allocation[at] == doctest::Approx(w[i] / sum).epsilon(1e-12));
      CHECK(e.marginal_value[at] ==
            doctest::Approx(-sum * (d_said[i] - along)).epsilon(1e-3).scale(0.1));
    }
  }
  CHECK(explained == 0);
}
