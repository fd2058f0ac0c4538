// The analytic policy gradient: through plant, features, base and network at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/agents.h"
#include "agents/distribution.h"
#include "agents/pathwise.h"
#include "pools.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::busy_ring;
using cra::testing::must_resolve;

namespace {

/// A network with random weights everywhere, its head included.
Network random_network(const sim::Params& p, Rule base, std::uint64_t seed, bool resource_heads) {
  Network n;
  n.features = sim::feature_names(p);
  attention::Params a;
  a.width = 8;
  n.shape = attention::shape_of(a, sim::feature_count(p), p.pool.nodes, seed);
  n.base = std::move(base);
  n.base_floor = 0.1;
  n.feature_mean.assign(n.features.size(), 0.5);
  n.feature_scale.assign(n.features.size(), 0.7);
  if (resource_heads) n.resource_heads = p.pool.resource_count();
  n.theta = attention::initial_parameters(n.shape, seed);
  const ThetaLayout layout(n.shape, n.resource_heads);
  for (std::int64_t k = layout.head(); k < layout.size(); ++k)
    n.theta.push_back(static_cast<float>(
        0.15 * Draws(seed, EpisodeSet::tuning, k, Stream::weights, 0, 0).normal()));
  return n;
}

}  // namespace

TEST_CASE("pathwise_gradient: the derivative along random directions, tensor by tensor") {
  sim::Params ring = busy_ring(5, 20);
  sim::Params reserve = busy_ring(4, 20);
  reserve.pool.need = 0.8;
  reserve.pool.reserve = sim::SharedReserve{};
  must_resolve(reserve);
  // What is seen is old, or not all of it is: gradients belong to the state that was seen.
  const auto seen = [](sim::Params p, int delay, std::vector<std::string> hidden) {
    p.observation.delay = delay;
    p.observation.hidden = std::move(hidden);
    must_resolve(p);
    return p;
  };
  sim::Params reserves = cra::testing::busy_ring_of_three(4, 20);
  reserves.pool.reserve = sim::SharedReserve{0.7, sim::Dispatch::priority};
  must_resolve(reserves);
  sim::Params per_resource = cra::testing::busy_ring_of_three(5, 20);
  per_resource.pool.action = sim::Action::per_resource;
  sim::Params split_reserves = reserves;
  split_reserves.pool.action = sim::Action::per_resource;
  sim::Params lending = ring;
  lending.pool.conflict = sim::Conflict::gps;
  struct Case {
    sim::Params p;
    Rule base;
    PolicyKind policy;
    bool resource_heads = false;
  };
  const Case cases[] = {
      {ring, {"demand_backlog", {0.5, 2, 0.25, 1}}, {}},
      {ring, {"gcmu_soft", {1, 0.1, 0.5, 1, 0.5}}, {}},
      // With nothing ahead all weights of the first slot are 0: shares are equal there.
      {ring, {"gcmu_soft", {1, 0.1, 0, 1, 0.5}}, {}},
      {ring, {"gcmu_soft", {1, 0.1, 0, 1, 0.5}}, Dirichlet{}},
      {ring, {"dynamic_attention", {1}}, {}},
      {ring, {"maxweight_soft", {0.5}}, {}},
      {ring, {"margin", {0.1, 1.5}}, {}},
      {ring, {"margin_ahead", {0.1, 1}}, {}},
      {ring, {"error", {1}}, {}},
      {reserve, {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}}, {}},
      {reserves, {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}}, {}},
      {seen(ring, 2, {}), {"demand_backlog", {0.5, 2, 0.25, 1}}, {}},
      {seen(ring, 2, {}), {"margin", {0.1, 1.5}}, {}},
      {seen(ring, 0, {"backlog"}), {"demand_backlog", {0.5, 2, 0.25, 1}}, {}},
      {seen(ring, 0, {"importance", "error"}), {"margin", {0.1, 1.5}}, {}},
      {seen(reserve, 3, {"rate", "arrivals"}), {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}}, {}},
      {per_resource, {"demand_backlog", {0.5, 2, 0.25, 1}}, {}},
      {per_resource, {"demand_backlog", {0.5, 2, 0.25, 1}}, {}, true},
      {per_resource, {"margin", {0.1, 1.5}}, {}, true},
      {seen(per_resource, 2, {}), {"demand_backlog", {0.5, 2, 0.25, 1}}, {}, true},
      {split_reserves, {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}}, {}, true},
      {lending, {"demand_backlog", {0.5, 2, 0.25, 1}}, {}},
      {ring, {"demand_backlog", {0.5, 2, 0.25, 1}}, Dirichlet{0.3, 2}},
      {reserve, {"demand_backlog", {0.5, 2, 0.25, 1, 0.2}}, Dirichlet{0.3, 2}}};
  for (const Case& c : cases) {
    const sim::Exogenous x = sim::draw(c.p, 3, EpisodeSet::training, 0, 3);
    Network n = random_network(c.p, c.base, 4, c.resource_heads);
    n.policy = c.policy;
    const bool dirichlet = std::holds_alternative<Dirichlet>(c.policy);
    if (dirichlet)
      n.theta.back() = static_cast<float>(initial_log_spread(c.policy, c.p.pool.nodes));
    const auto at = [&](const std::vector<float>& theta) {
      Network moved = n;
      moved.theta = theta;
      const LearnedNet net(moved, c.p, attention::make_cpu_engine);
      return pathwise_gradient(net, c.p, x);
    };
    const PathwiseGradient g = at(n.theta);
    // log_sigma does nothing without exploration; log_kappa draws the mean from equal shares.
    CHECK((g.gradient.back() == 0) == !dirichlet);
    for (const attention::Tensor& t : layout(n)) {
      if (t.name == "log_sigma") continue;
      double square = 0;
      for (std::int64_t i = t.offset; i < t.offset + std::int64_t{t.rows} * t.cols; ++i)
        square += double(g.gradient[static_cast<std::size_t>(i)]) *
                  double(g.gradient[static_cast<std::size_t>(i)]);
      if (square < 1e-12) continue;
      // A step along this tensor's gradient. The network is float: a cost near 1 is right to about
      // 1e-6, so the step is made to move it by about 1e-3; curvature then stays near 1 %, kinks
      // likewise.
      const double step = 1e-3 / square;
      const double most = 0.02 / std::sqrt(square);  // in norm, so that the step stays local
      const double h = std::min(step, most);
      std::vector<float> up = n.theta, down = n.theta;
      for (std::int64_t i = t.offset; i < t.offset + std::int64_t{t.rows} * t.cols; ++i) {
        const auto k = static_cast<std::size_t>(i);
        up[k] += static_cast<float>(h * double(g.gradient[k]));
        down[k] -= static_cast<float>(h * double(g.gradient[k]));
      }
      const double slope = (at(up).cost - at(down).cost) / (2 * h);
      CAPTURE(c.base.name);
      CAPTURE(t.name);
      CAPTURE(square);
      CHECK(slope == doctest::Approx(square).epsilon(0.05));
    }
  }
}
