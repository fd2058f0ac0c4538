// Learners reach allocations whose optimum is known from elsewhere. What changes over time is
// hidden from the policies, so that what they learn is one allocation.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "agents/agents.h"
#include "pools.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::must_resolve;
using cra::testing::name_of;
using cra::testing::quiet_pool;

namespace {

using Numbers = std::vector<double>;

sim::NodeValues per_node(const Numbers& x) {
  sim::NodeValues v(0);
  v.given = x;
  return v;
}

/// Nodes differ by where they are on a ring: enough to tell them apart, and it never changes.
void only_places(sim::Params& p) {
  p.pool.geometry = sim::Geometry::ring;
  p.observation.hidden = {"backlog", "arrivals", "error", "rate", "progress"};
}

/// The network that a short training from equal shares ends with.
Network trained(const sim::Params& pool, const Params& params) {
  REQUIRE(check(params, pool).empty());
  attention::Params a;
  a.width = 8;
  Trainer trainer(params, a, pool, 7, {"uniform", {}}, attention::make_cpu_engine);
  trainer.start();
  while (!trainer.finished()) trainer.update();
  return trainer.network();
}

/// What a policy grants in the last slot of an episode. [N]
Numbers last_grant(const Network& n, const sim::Params& pool) {
  const sim::Exogenous x = sim::draw(pool, 1, EpisodeSet::evaluation, 0, 1);
  const Trajectory t = record(*make_learned(n, pool, attention::make_cpu_engine), pool, x, 1);
  return {t.grant.end() - pool.pool.nodes, t.grant.end()};
}

Params pathwise(int updates) {
  Params p;
  p.agent.learner = Pathwise{0.02, 1};
  p.agent.base_floor = 0;
  p.training.updates = updates;
  p.training.episodes = 1;  // nothing is random
  p.training.validation_episodes = 1;
  p.training.warmup_episodes = 1;
  return p;
}

/// Three nodes that turn service into a falling error in the same slot, on a budget of 6.
sim::Params anytime_pool(const Numbers& exponent) {
  sim::Params p = quiet_pool(3, 2, 1);
  p.pool.budget = 6;
  p.pool.lag = 1;
  p.pool.capacity = 100;
  p.workload.importance = per_node({1, 2, 3});
  sim::AnytimeError error;
  error.floor = 0;
  error.gain = per_node({.9, .8, .7});
  error.scale = per_node({1, 2, 4});
  error.exponent = per_node(exponent);
  p.errors = error;
  only_places(p);
  must_resolve(p);
  return p;
}

double anytime_value(const Numbers& s, const Numbers& exponent) {
  const Numbers w{1, 2, 3}, a{.9, .8, .7}, x0{1, 2, 4};
  double sum = 0;
  for (std::size_t n = 0; n < 3; ++n) sum += w[n] * a[n] * std::pow(1 + s[n] / x0[n], -exponent[n]);
  return sum;
}

/// Of the optimum, and of what equal shares leave to gain.
void check_value(double value, double optimum, double uniform) {
  CHECK(value <= optimum * 1.001);
  CHECK(value >= optimum * (1 - 1e-6));  // six digits of it are known
  CHECK(uniform - value >= 0.99 * (uniform - optimum));
}

}  // namespace

TEST_CASE("apg: t3 and t4 of the model, one slot's shares of a budget") {
  const Numbers one(3, 1.0), mixed{.5, 1, 1.5}, equal(3, 2.0);
  CHECK(anytime_value(equal, one) == doctest::Approx(2.5).epsilon(1e-6));
  CHECK(anytime_value(equal, mixed) == doctest::Approx(2.462710).epsilon(1e-6));
  const Numbers t3 = last_grant(trained(anytime_pool(one), pathwise(200)), anytime_pool(one));
  CHECK(std::accumulate(t3.begin(), t3.end(), 0.0) == doctest::Approx(6).epsilon(1e-9));
  check_value(anytime_value(t3, one), 2.443261, 2.5);
  const Numbers t4 = last_grant(trained(anytime_pool(mixed), pathwise(200)), anytime_pool(mixed));
  check_value(anytime_value(t4, mixed), 2.339287, 2.462710);
}

TEST_CASE("apg: t7 of the model, steady effort against forgetting") {
  sim::Params p = quiet_pool(3, 300, 0);
  p.pool.groups = {{"tasks", 3, sim::Dynamics::progress}};
  p.pool.budget = 3;
  p.pool.lag = 1;
  p.pool.capacity = 100;
  sim::PowerLawError error;
  error.floor = 0;
  error.gain = per_node({.9, .8, .7});
  error.scale = per_node({6, 12, 18});
  error.exponent = 1.2;
  p.progress.error = error;
  p.progress.forgetting = 0.08;
  p.progress.start = 1 / 0.08;  // about where it stays
  only_places(p);
  must_resolve(p);
  const Numbers s = last_grant(trained(p, pathwise(200)), p);
  const auto value = [](const Numbers& rate) {
    const Numbers a{.9, .8, .7}, x0{6, 12, 18};
    double sum = 0;
    for (std::size_t n = 0; n < 3; ++n) sum += a[n] * std::pow(1 + rate[n] / .08 / x0[n], -1.2);
    return sum;
  };
  CHECK(value({1, 1, 1}) == doctest::Approx(.944505).epsilon(1e-6));
  check_value(value(s), .943674, .944505);
}

namespace {

/// Three nodes, two resources that they need unequally, and a price on what of them is used: more
/// of it than is worth while.
struct PricedPool {
  Numbers importance{1, 2, 3}, gain{.9, .8, .7}, scale{1, 2, 4};
  Numbers need[2]{{1, 2, .5}, {1.5, .4, 1}};
  double budget[2]{7, 8}, price = 0.7;

  sim::Params params() const {
    sim::Params p = quiet_pool(3, 2, 1);
    for (const int k : {0, 1}) {
      sim::Resource r;
      r.name = k == 0 ? "compute" : "memory";
      r.need = per_node(need[k]);
      r.budget = budget[k];
      p.pool.resources.push_back(r);
    }
    p.pool.action = sim::Action::per_resource;
    p.pool.lag = 1;
    p.pool.capacity = 100;
    p.workload.importance = per_node(importance);
    p.cost.use = price;
    sim::AnytimeError error;
    error.floor = 0;
    error.gain = per_node(gain);
    error.scale = per_node(scale);
    error.exponent = 1;
    p.errors = error;
    only_places(p);
    must_resolve(p);
    return p;
  }
  /// Share of a budget that rates take.
  double used(const Numbers& s, std::size_t k) const {
    double sum = 0;
    for (std::size_t n = 0; n < 3; ++n) sum += need[k][n] * s[n] / budget[k];
    return sum;
  }
  double cost(const Numbers& s) const {
    double sum = price * (used(s, 0) + used(s, 1)) / 2;
    for (std::size_t n = 0; n < 3; ++n) sum += importance[n] * gain[n] / (1 + s[n] / scale[n]) / 3;
    return sum;
  }
  /// Rates at which the gain of service is its price less `subsidy` per share of budget k.
  Numbers rates(std::size_t k, double subsidy) const {
    Numbers s;
    for (std::size_t n = 0; n < 3; ++n) {
      const double charge = price * (need[0][n] / budget[0] + need[1][n] / budget[1]) / 2 -
                            subsidy * need[k][n] / budget[k];
      s.push_back(scale[n] * (std::sqrt(importance[n] * gain[n] / 3 / scale[n] / charge) - 1));
      CHECK(s.back() > 0);
    }
    return s;
  }
  /// Of all rates that use up budget k those of least cost: Lagrange's, by bisection.
  Numbers best_using_up(std::size_t k) const {
    double low = 0, high = 0.35;
    for (int i = 0; i < 100; ++i) {
      const double middle = (low + high) / 2;
      (used(rates(k, middle), k) < 1 ? low : high) = middle;
    }
    CHECK(used(rates(k, low), k) == doctest::Approx(1).epsilon(1e-9));
    return rates(k, low);
  }
};

}  // namespace

TEST_CASE(
    "apg with resource heads: leaves budget unused where that is best, which bundles cannot") {
  const PricedPool pool;
  const sim::Params p = pool.params();
  const Numbers best = pool.rates(0, 0);  // needs no more than there is
  CHECK(std::max(pool.used(best, 0), pool.used(best, 1)) < 0.9);
  // Water-filling goes on until one of the budgets is used up: here best the first.
  const double of_bundles = pool.cost(pool.best_using_up(0));
  CHECK(pool.used(pool.best_using_up(0), 1) < 0.9);
  CHECK(pool.cost(pool.best_using_up(1)) > of_bundles);
  CHECK(of_bundles > 1.03 * pool.cost(best));

  Params params = pathwise(300);
  const double bundle = pool.cost(last_grant(trained(p, params), p));
  CHECK(bundle <= of_bundles * 1.001);
  CHECK(bundle >= of_bundles * (1 - 1e-6));
  params.agent.resource_heads = true;
  const double heads = pool.cost(last_grant(trained(p, params), p));
  CHECK(heads <= pool.cost(best) * 1.001);
  CHECK(heads >= pool.cost(best) * (1 - 1e-6));
}

TEST_CASE("learners that explore: shares of one server among Bernoulli queues" * doctest::skip()) {
  // sum a (1 - a) / (p - a) is least, 4.562716, at shares (.114531, .188826, .318435, .378209).
  // In proportion to a it is 5.10, and equal shares let the last queue grow without end.
  const Numbers a{.05, .1, .2, .25};
  sim::Params p = quiet_pool(4, 400, 0);
  sim::BernoulliPart jobs;
  jobs.rate = per_node(a);
  p.workload.parts = {jobs};
  p.workload.abandonment = 0;
  p.errors = sim::LinearError{1};
  p.pool.service = sim::LotteryService{};
  only_places(p);
  must_resolve(p);

  // A job too many is felt until its queue is empty, tens of slots later: little discount, and no
  // trace that fades before. Returns are noisy: one pass over each update's episodes.
  Reinforce reinforce;
  GroupPpo group_ppo;
  Ppo ppo;
  A2c a2c;
  reinforce.discount = group_ppo.discount = ppo.proximal.discount = a2c.score.discount = 0.99;
  group_ppo.epochs = ppo.proximal.epochs = 1;
  ppo.critic.trace = a2c.critic.trace = 1;
  for (const LearnerKind& learner :
       {LearnerKind{reinforce}, LearnerKind{group_ppo}, LearnerKind{ppo}, LearnerKind{a2c}})
    for (const PolicyKind& policy :
         {PolicyKind{LogisticNormal{}}, PolicyKind{Dirichlet{0.3, 10}}}) {
      Params params;
      params.agent.learner = learner;
      params.agent.policy = policy;
      params.training.updates = 100;
      params.training.episodes = 16;
      params.training.warmup_episodes = 8;
      params.training.validate_every = 100;
      params.training.keep = Keep::last;
      const Numbers grant = last_grant(trained(p, params), p);
      const double sum = std::accumulate(grant.begin(), grant.end(), 0.0);
      double cost = 0;
      for (std::size_t n = 0; n < 4; ++n) {
        CHECK(grant[n] / sum > a[n]);  // else the queue grows, and the formula says nothing
        cost += a[n] * (1 - a[n]) / (grant[n] / sum - a[n]);
      }
      MESSAGE(std::string(name_of(learner)) << ", policy " << policy.index() << ": " << cost);
      CHECK(cost > 4.5627);
      CHECK(cost < 1.02 * 4.562716);
    }
}
