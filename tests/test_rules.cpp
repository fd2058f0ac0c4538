// Properties that every rule must have: this walks the list of all, in pools of every kind.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "agents/evolution.h"
#include "agents/rules.h"
#include "pools.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::must_resolve;

namespace {

struct Place {
  std::string name;
  sim::Params p;
};

sim::Params resources_pool(int nodes, sim::Dynamics dynamics) {
  sim::Params p;
  p.pool.nodes = nodes;
  p.pool.groups = {{"first", nodes / 2, dynamics}, {"rest", nodes - nodes / 2}};
  p.pool.groups[1].dynamics = dynamics == sim::Dynamics::progress ? sim::Dynamics::queue : dynamics;
  p.pool.capacity.given = sim::NodeValues::Uniform{1.5, 4};
  for (const char* name : {"compute", "storage", "bandwidth"}) {
    sim::Resource r;
    r.name = name;
    r.need.given = sim::NodeValues::Uniform{0.3, 1.2};
    r.budget = 0.6 * nodes;
    p.pool.resources.push_back(r);
  }
  p.workload.slots = 12;
  p.workload.importance.given = sim::NodeValues::Uniform{0.5, 2};
  sim::ConstantPart base;
  base.rate.given = sim::NodeValues::Uniform{0.3, 1};
  p.workload.parts = {base};
  p.progress.shift = 0.05;
  must_resolve(p);
  return p;
}

/// A pool of every kind that rules treat apart. T = 12: enough to fill queues and to lose nodes.
std::vector<Place> places() {
  sim::Params reserve = busy_ring(5, 12);
  reserve.pool.need = 0.8;
  reserve.pool.reserve = sim::SharedReserve{};
  must_resolve(reserve);
  sim::Params reserves = cra::testing::busy_ring_of_three(5, 12);
  reserves.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::priority};
  must_resolve(reserves);
  sim::Params failing = busy_ring(6, 12);
  failing.pool.geometry = sim::Geometry::none;
  failing.workload.parts = {failing.workload.parts[0]};
  failing.workload.failures = sim::WearFailures{0.2, 1, 0.5, {2, 4}, 0.35, 1};
  must_resolve(failing);
  sim::Params training = resources_pool(5, sim::Dynamics::progress);
  training.pool.groups = {{"jobs", 5, sim::Dynamics::progress}};
  training.workload.parts.clear();
  training.workload.calendar = sim::WindowsCalendar{6, 2, 0.1, 2, 1};
  sim::ExponentialError error;
  error.scale.given = sim::NodeValues::Uniform{6, 18};
  training.progress.error = error;
  must_resolve(training);
  sim::Params late = busy_ring(5, 12), answers = late;
  late.errors = sim::DeadlineError{};
  late.workload.abandonment = 0;
  must_resolve(late);
  answers.errors = sim::AnytimeError{};
  must_resolve(answers);
  return {
      {"queues", busy_ring(6, 12)},  {"reserve", reserve},
      {"failures", failing},         {"three resources", resources_pool(6, sim::Dynamics::queue)},
      {"progress", training},        {"mixed", resources_pool(6, sim::Dynamics::progress)},
      {"deadlines", late},           {"anytime", answers},
      {"reserve of three", reserves}};
}

/// Knobs from the middle of each grid.
Rule middle_rule(const std::string& name, const sim::Params& p) {
  Rule rule{name, {}};
  for (const Knob& k : baseline_knobs(name, p)) rule.knobs.push_back(k.grid[k.grid.size() / 2]);
  return rule;
}

Outcome outcome_of(const Rule& rule, const sim::Params& p, const sim::Exogenous& x) {
  return baseline_kind(rule.name) == Kind::oracle ? evaluate(*make_oracle(rule, p), p, x)
                                                  : evaluate(*make_baseline(rule, p), p, x);
}

std::unique_ptr<Actor> actor_of(const Rule& rule, const sim::Params& p, const sim::Exogenous& x,
                                std::unique_ptr<Policy>& policy, std::unique_ptr<Oracle>& oracle) {
  if (baseline_kind(rule.name) == Kind::oracle) {
    oracle = make_oracle(rule, p);
    return oracle->actor(x, x.episodes);
  }
  policy = make_baseline(rule, p);
  return policy->actor(x.episodes);
}

template <class Check>
void walk(Check check) {
  for (const Place& place : places()) {
    CAPTURE(place.name);
    for (const std::string& name : baselines_for(place.p)) {
      CAPTURE(name);
      check(place.p, middle_rule(name, place.p));
    }
  }
}

/// The same numbers for the nodes in reverse order. \param width  numbers of a node
void turn(std::vector<double>& x, int nodes, int width = 1) {
  std::vector<double> y;
  const auto row = static_cast<std::size_t>(nodes) * static_cast<std::size_t>(width);
  for (std::size_t from = 0; from < x.size(); from += row)
    for (int n = nodes; n-- > 0;)
      for (int k = 0; k < width; ++k)
        y.push_back(x[from + static_cast<std::size_t>(n * width + k)]);
  x = y;
}

/// The pool with its nodes in reverse order.
sim::Params turned(sim::Params p) {
  const int nodes = p.pool.nodes;
  turn(p.pool.capacity.value, nodes);
  turn(p.pool.needs, nodes, p.pool.resource_count());
  std::reverse(p.pool.dynamics.begin(), p.pool.dynamics.end());
  turn(p.workload.importance.value, nodes);
  std::visit(
      [&](auto& k) {
        if constexpr (requires { k.mean; }) turn(k.mean, nodes);
        if constexpr (requires { k.slots; }) turn(k.slots.value, nodes);
        if constexpr (requires { k.scale; }) turn(k.scale.value, nodes);
      },
      p.errors);
  std::visit(
      [&](auto& k) {
        if constexpr (requires { k.gain; })
          for (auto* values : {&k.floor, &k.gain, &k.scale}) turn(values->value, nodes);
        if constexpr (requires { k.exponent; }) turn(k.exponent.value, nodes);
      },
      p.progress.error);
  for (sim::WorkloadPart& part : p.workload.parts)
    std::visit(
        [&](auto& k) {
          if constexpr (requires { k.rate.value; }) turn(k.rate.value, nodes);
        },
        part);
  return p;
}

sim::Exogenous turned(sim::Exogenous x) {
  for (auto* column :
       {&x.arrivals, &x.availability, &x.importance, &x.health, &x.window, &x.keep, &x.young})
    turn(*column, x.nodes);
  return x;
}

}  // namespace

TEST_CASE("rules: finite weights, budgets and caps hold, in every slot of every pool") {
  walk([](const sim::Params& p, const Rule& rule) {
    const sim::Exogenous x = sim::draw(p, 5, EpisodeSet::evaluation, 0, 2);
    std::unique_ptr<Policy> policy;
    std::unique_ptr<Oracle> oracle;
    const auto actor = actor_of(rule, p, x, policy, oracle);
    sim::Batch b = sim::reset(p, x, {0, 1});
    const int size = sim::decision_size(p), nodes = p.pool.nodes;
    std::vector<double> decisions(static_cast<std::size_t>(2 * size));
    for (int t = 0; t < x.slots; ++t) {
      actor->act(b, {decisions.data(), 2, size});
      for (const double w : decisions) {
        REQUIRE(std::isfinite(w));
        REQUIRE(w >= 0);
      }
      sim::step(p, x, b, {decisions.data(), 2, size});
      for (std::int64_t e = 0; e < 2; ++e) {
        const double placed =
            size > nodes ? 1 - decisions[static_cast<std::size_t>(e * size + nodes)] : 1;
        for (int k = 0; k < p.pool.resource_count(); ++k) {
          double used = 0;
          for (int n = 0; n < nodes; ++n)
            used += p.pool.need_of(n, k) * b.grant[b.at(e) + static_cast<std::size_t>(n)];
          CHECK(used <= p.pool.budgets[static_cast<std::size_t>(k)] * placed * (1 + 1e-9));
        }
        for (int n = 0; n < nodes; ++n)
          CHECK(b.grant[b.at(e) + static_cast<std::size_t>(n)] <= p.pool.capacity[n] * (1 + 1e-9));
      }
    }
  });
}

TEST_CASE("rules: finite weights at the ends of what es may try") {
  // Beyond the grids nothing but a knob's limits stops the search; the simulator refuses what is
  // not finite.
  walk([](const sim::Params& p, const Rule& middle) {
    if (!unlearnable(middle.name).empty()) return;
    const sim::Exogenous x = sim::draw(p, 5, EpisodeSet::evaluation, 0, 2);
    const std::vector<Knob> knobs = baseline_knobs(middle.name, p);
    for (std::size_t k = 0; k < knobs.size(); ++k)
      for (const double place : {-9.0, static_cast<double>(knobs[k].grid.size()) + 9.0}) {
        Rule rule = middle;
        rule.knobs[k] = knob_at(knobs[k], place);
        CAPTURE(knobs[k].name);
        CAPTURE(rule.knobs[k]);
        std::vector<double> cost;
        CHECK_NOTHROW(cost = outcome_of(rule, p, x).cost);
        for (const double c : cost) CHECK(std::isfinite(c));
      }
  });
}

TEST_CASE("rules: the same episodes with the nodes in reverse order cost the same") {
  walk([](const sim::Params& p, const Rule& rule) {
    if (rule_entry(rule.name).ordered) return;
    const sim::Exogenous x = sim::draw(p, 6, EpisodeSet::evaluation, 0, 3);
    const sim::Params other = turned(p);
    const Outcome here = outcome_of(rule, p, x), there = outcome_of(rule, other, turned(x));
    // Sums in another order differ in the last bits; the queues of 12 slots multiply that by less
    // than 1e3, and so does a planner's root of a squared gradient.
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(there.cost[i] == doctest::Approx(here.cost[i]).epsilon(1e-9));
  });
}

TEST_CASE("rules: bits depend neither on threads nor on who else is in the batch") {
  const int before = omp_get_max_threads();
  walk([](const sim::Params& p, const Rule& rule) {
    // 18 episodes are two tiles, the first two one.
    const sim::Exogenous many = sim::draw(p, 7, EpisodeSet::evaluation, 0, 18);
    const sim::Exogenous few = sim::draw(p, 7, EpisodeSet::evaluation, 0, 2);
    omp_set_num_threads(1);
    const Outcome one = outcome_of(rule, p, many), alone = outcome_of(rule, p, few);
    omp_set_num_threads(3);
    CHECK(outcome_of(rule, p, many).cost == one.cost);
    for (std::size_t i = 0; i < 2; ++i) CHECK(alone.cost[i] == one.cost[i]);
  });
  omp_set_num_threads(before);
}

TEST_CASE("rules: pull is the derivative of the logarithm of the weights, and nothing is 0") {
  walk([](const sim::Params& p, const Rule& rule) {
    const RuleEntry& entry = rule_entry(rule.name);
    if (entry.strict || entry.actor != nullptr || entry.oracle != nullptr) return;
    const sim::Exogenous x = sim::draw(p, 8, EpisodeSet::evaluation, 0, 2);
    const auto policy = make_baseline(rule, p);
    const auto actor = policy->actor(2);
    const int size = sim::decision_size(p), nodes = p.pool.nodes;
    std::vector<double> decisions(static_cast<std::size_t>(2 * size));
    sim::Batch b = sim::reset(p, x, {0, 1});
    for (int t = 0; t < 7; ++t) {  // into the middle of an episode, where queues have grown
      actor->act(b, {decisions.data(), 2, size});
      sim::step(p, x, b, {decisions.data(), 2, size});
    }
    std::fill(b.availability.begin(), b.availability.end(), 1.0);  // all weights have a logarithm
    std::vector<double> by(b.backlog.size());
    for (std::size_t i = 0; i < by.size(); ++i)
      by[i] = Draws(9, EpisodeSet::training, 0, Stream::noise, static_cast<int>(i), 0).normal();
    // A sum that does not change when all weights are scaled: only ratios matter to the pool.
    for (std::size_t e = 0; e < 2; ++e) {
      const auto begin = by.begin() + static_cast<std::ptrdiff_t>(e) * nodes;
      const double mean = std::accumulate(begin, begin + nodes, 0.0) / nodes;
      for (auto v = begin; v != begin + nodes; ++v) *v -= mean;
    }
    const auto loss = [&] {
      actor->act(b, {decisions.data(), 2, size});
      double sum = 0;
      for (std::size_t i = 0; i < by.size(); ++i) {
        const std::size_t e = i / static_cast<std::size_t>(nodes);
        sum += by[i] * std::log(decisions[i + e * static_cast<std::size_t>(size - nodes)]);
      }
      return sum;
    };
    sim::Adjoint a(b);
    actor->pull(b, {by.data(), 2, nodes}, a);
    struct Field {
      const char* name;
      std::vector<double>*value, *slope;
    };
    for (const Field& f :
         {Field{"backlog", &b.backlog, &a.backlog}, Field{"progress", &b.progress, &a.progress},
          Field{"rate", &b.rate, &a.rate}, Field{"error", &b.error, &a.error},
          Field{"margin", &b.margin, &a.margin},
          Field{"margin_ahead", &b.margin_ahead, &a.margin_ahead}}) {
      CAPTURE(f.name);
      for (std::size_t i = 0; i < f.value->size(); ++i) {
        const double x0 = (*f.value)[i], h = 1e-5 * (1 + x0);
        if (x0 < 2 * h) continue;  // an empty queue: a kink
        (*f.value)[i] = x0 + h;
        const double up = loss();
        (*f.value)[i] = x0 - h;
        const double down = loss();
        (*f.value)[i] = x0;
        // Central differences: h^2 of curvature, and rounding 1e-15 / h.
        CHECK((up - down) / (2 * h) == doctest::Approx((*f.slope)[i]).epsilon(1e-5));
      }
    }
  });
}

TEST_CASE("rules: a node that is down keeps the share of its weight that the knob `down` says") {
  sim::Params p = places()[2].p;  // failures
  p.pool.need = 0.8;
  p.pool.reserve = sim::SharedReserve{};
  must_resolve(p);
  // Own knobs, then `down`, then the reserve; none where nothing fails, and none for rules that
  // weigh such nodes themselves.
  const auto names_of = [](const std::string& rule, const sim::Params& pool) {
    std::string names;
    for (const Knob& k : baseline_knobs(rule, pool)) names += k.name + " ";
    return names;
  };
  CHECK(names_of("demand", p) == "slow down reserve ");
  CHECK(names_of("demand", busy_ring(6, 12)) == "slow ");
  CHECK(names_of("cmu", p) == "reserve ");
  CHECK(names_of("exp_weights", p) == "temperature even reserve ");
  CHECK(names_of("mpc", p) == "horizon ");

  const sim::Exogenous x = sim::draw(p, 5, EpisodeSet::evaluation, 0, 1);
  sim::Batch b = sim::reset(p, x, {0});
  b.availability = {0, 1, 0.5, 1, 0, 1};  // down, up, half worn out
  std::vector<double> up(7), seen(7);
  const auto act = [&](double down, std::vector<double>& weights) {
    make_baseline({"demand", {2, down, 0.25}}, p)->actor(1)->act(b, {weights.data(), 1, 7});
  };
  const std::vector<double> worn = b.availability;
  b.availability.assign(6, 1);
  act(0, up);
  b.availability = worn;
  for (const double down : {0.0, 0.25, 1.0}) {
    CAPTURE(down);
    act(down, seen);
    for (std::size_t n = 0; n < 6; ++n)
      CHECK(seen[n] == doctest::Approx(up[n] * (1 - (1 - down) * (1 - worn[n]))).epsilon(1e-15));
    CHECK(seen[6] == 0.25);
  }
}

TEST_CASE("rules: who may have a say where, and what learning may start from") {
  const std::vector<Place> all = places();
  const auto offered = [&](std::size_t place, const char* name) {
    const std::vector<std::string> names = baselines_for(all[place].p);
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(offered(0, "neighbour"));   // a ring with platoons
  CHECK(!offered(2, "neighbour"));  // neither
  CHECK(offered(2, "health"));
  CHECK(!offered(0, "health"));
  for (std::size_t k = 0; k < all.size(); ++k) {
    CHECK(!offered(k, "placed"));  // no request log
    CHECK(offered(k, "drf"));
    CHECK(offered(k, "mpc_oracle"));
    CHECK(offered(k, "mpc") == (all[k].name != "deadlines"));
    CHECK(offered(k, "myopic") == (all[k].name != "deadlines"));
  }
  CHECK(!offered(4, "maxweight"));
  CHECK(!offered(5, "demand_backlog"));
  CHECK(baseline_misfit("demand", all[4].p) == "reads queues, but this pool has progress nodes");
  for (const std::string& name : baseline_names()) {
    CAPTURE(name);
    const bool smooth = !rule_entry(name).strict && unlearnable(name).empty();
    CHECK(starts_learning(name) == (smooth && baseline_kind(name) == Kind::heuristic));
    CHECK(!baseline_doc(name).empty());
  }
  CHECK(starts_learning("demand_backlog"));
  CHECK(!starts_learning("cmu"));
  CHECK(!starts_learning("neighbour"));  // an expert: only when named
  CHECK(unlearnable("cmu").empty());
  CHECK(!unlearnable("mpc").empty());
  CHECK(!unlearnable("exp_weights").empty());
}

TEST_CASE("an oracle is no policy, and a policy is no oracle") {
  const sim::Params p = busy_ring(3, 5);
  CHECK_THROWS_WITH(make_baseline({"mpc_oracle", {10}}, p),
                    "baseline mpc_oracle knows the future, which no policy does");
  CHECK_THROWS_WITH(make_oracle({"mpc", {10}}, p), "baseline mpc is not an oracle");
}

TEST_CASE("mpc_oracle: what will come helps, and the certified bound holds for it as well") {
  const sim::Params p = busy_ring(4, 24);
  const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::evaluation, 0, 8);
  const Outcome told = outcome_of({"mpc_oracle", {10}}, p, x),
                guessed = outcome_of({"mpc", {10}}, p, x);
  const Bound bound = clairvoyant_bound(p, x);
  REQUIRE(bound.reason.empty());
  double gain = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    gain += guessed.cost[i] - told.cost[i];
    CHECK(told.cost[i] >= bound.lower[i]);
  }
  CHECK(gain > 0);
}

TEST_CASE("mpc: a plan of one slot goes on from the last, and not from the heuristic again") {
  // All work is done in its slot, so nothing pulls at the plan; the heuristic, from which only the
  // first plan starts, follows the averages of the arrivals.
  sim::Params p = cra::testing::quiet_pool(2, 3, 0.1);
  p.workload.noise = sim::GammaNoise{8};
  must_resolve(p);
  const sim::Exogenous x = sim::draw(p, 3, EpisodeSet::evaluation, 0, 1);
  const auto mpc = make_baseline({"mpc", {1}}, p);
  const auto actor = mpc->actor(1);
  sim::Batch b = sim::reset(p, x, {0});
  for (int t = 0; t < 3; ++t) {
    std::vector<double> w(2);
    actor->act(b, {w.data(), 1, 2});
    CAPTURE(t);
    if (t > 0) CHECK(b.arrivals_fast[0] != b.arrivals_fast[1]);
    CHECK(w[0] == w[1]);
    sim::step(p, x, b, {w.data(), 1, 2});
  }
}

TEST_CASE("Tuning::on_edge: an edge that pays, not one that is flat or where the number ends") {
  Tuning t;
  t.knobs = {
      {"open", {1, 2}, 0}, {"flat", {1, 2}, 0}, {"ends", {0, 1}, 0, 1}, {"inner", {1, 2, 3}}};
  t.rule = {"x", {2, 2, 1, 2}};
  t.tried = {{2, 2, 1, 2}, {1, 2, 1, 2}, {2, 1, 1, 2}, {2, 2, 0, 2}};
  t.cost = {1, 1.1, 1.0005, 1.1};
  t.best_cost = 1;
  CHECK(t.on_edge() == std::vector<std::string>{"open"});
}
