// A policy read back from a result: every kind of attention and every control, exactly as it was.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "pools.h"
#include "results/results.h"
#include "tools/recall.h"

using namespace cra;
using cra::testing::busy_ring;
using results::GroupData;

namespace {

template <class E>
std::string name_of(E value) {
  return Choices<E>::names.at(static_cast<std::size_t>(value));
}

std::vector<std::string> text(const std::string& x) { return {x}; }
std::vector<std::int64_t> whole(std::int64_t x) { return {x}; }

/// /policy of a network, as results/FORMAT.md describes it.
results::RunFile stored(const agents::Network& n, std::size_t nodes = 5) {
  std::vector<std::string> tensors;
  std::vector<std::int64_t> rows;
  for (const attention::Tensor& t : agents::layout(n)) {
    tensors.push_back(t.name);
    rows.push_back(t.rows);
  }
  GroupData g{"policy", {{"tensor", tensors}, {"feature", n.features}}, {}};
  g.variables = {{"theta", n.theta},
                 {"tensor_rows", rows},
                 {"feature_mean", n.feature_mean},
                 {"feature_scale", n.feature_scale},
                 {"base_knob_value", n.base.knobs},
                 {"base", text(n.base.name)},
                 {"base_floor", std::vector<double>{n.base_floor}},
                 {"kind", text("logistic_normal")},
                 {"least_alpha", std::vector<double>{std::nan("")}},
                 {"attention", text(name_of(n.shape.form))},
                 {"width", whole(n.shape.width)},
                 {"heads", whole(n.shape.heads)},
                 {"layers", whole(n.shape.layers)},
                 {"temperature", std::vector<double>{n.shape.temperature}},
                 {"points", whole(n.shape.points)},
                 {"weights", text(name_of(n.shape.weights))},
                 {"weights_seed", whole(static_cast<std::int64_t>(n.shape.seed))},
                 {"weights_nodes", whole(n.shape.nodes)},
                 {"positions", text(name_of(n.shape.positions))}};
  return {{}, {g, {"node", {{"node", std::vector<std::string>(nodes, "node")}}, {}}}};
}

agents::Network network(const sim::Params& p, const attention::Params& a, std::uint64_t seed) {
  agents::Network n;
  n.features = sim::feature_names(p);
  n.shape = attention::shape_of(a, sim::feature_count(p), p.pool.nodes, seed);
  n.base = {"demand_backlog", {0.5, 2, 0.25, 1}};
  n.feature_mean.assign(n.features.size(), 0);
  n.feature_scale.assign(n.features.size(), 1);
  n.theta = attention::initial_parameters(n.shape, 1);
  return n;
}

}  // namespace

TEST_CASE("network_of: the shape of every kind, control and code of positions comes back") {
  const sim::Params p = busy_ring(5, 4);
  int tried = 0;
  for (const attention::Kind& kind :
       {attention::Kind(attention::Multihead{4, 2.5}), attention::Kind(attention::Dot{0.5}),
        attention::Kind(attention::Additive{3}), attention::Kind(attention::Induced{2, 7, 1.5}),
        attention::Kind(attention::None{})})
    for (std::size_t w = 0; w < Choices<attention::Weights>::names.size(); ++w) {
      attention::Params a;
      a.kind = kind;
      a.weights = static_cast<attention::Weights>(w);
      a.positions = tried % 2 == 0 ? attention::Positions::none : attention::Positions::sinusoidal;
      if (!attention::check(a).empty()) continue;
      // A seed that uses the sign of what is stored.
      const agents::Network n = network(p, a, 0xfedcba9876543210u);
      const agents::Network back = tools::network_of(stored(n), "r.h5", p);
      CAPTURE(name_of(n.shape.form));
      CAPTURE(name_of(n.shape.weights));
      CHECK(back.shape == n.shape);
      CHECK(back.theta == n.theta);
      ++tried;
    }
  CHECK(tried == 4 * 4 + 1);
}

TEST_CASE("network_of: what no encoder can be is refused, with the place") {
  const sim::Params p = busy_ring(5, 4);
  const auto message = [&](const std::string& variable, const results::Data& data) {
    results::RunFile run = stored(network(p, {}, 1));
    for (results::Variable& v : run.groups[0].variables)
      if (v.name == variable) v.data = data;
    try {
      tools::network_of(run, "r.h5", p);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(message("base_floor", std::vector<double>{0.5}) == "no error");
  CHECK(message("weights", text("magic")) ==
        "r.h5: /policy/weights is \"magic\", which this program does not know");
  CHECK(message("attention", text("")) ==
        "r.h5: /policy/attention is \"\", which this program does not know");
  CHECK(message("positions", text("polar")) ==
        "r.h5: /policy/positions is \"polar\", which this program does not know");
  CHECK(message("points", whole(3)) == "r.h5: /policy: kind multihead has no points, not 3");
  CHECK(message("points", whole(-1)) == "r.h5: /policy/points is -1");
  CHECK(message("heads", whole(3)) == "r.h5: /policy: 3 heads do not divide width 16");
  CHECK(message("layers", whole(1000000)) ==
        "r.h5: /policy: a shape of 1000000 layers, width 16, 2 heads and 0 nodes is beyond any "
        "machine");
  CHECK(message("weights", text("static")) ==
        "r.h5: /policy: static weights, and only they, are those of a number of nodes, which is 0");
}

TEST_CASE("network_of: resource heads come back by the name of their tensor, or are refused") {
  sim::Params p = cra::testing::busy_ring_of_three(5, 4);
  p.pool.action = sim::Action::per_resource;
  agents::Network n = network(p, {}, 1);
  CHECK(tools::network_of(stored(n), "r.h5", p).resource_heads == 0);
  n.resource_heads = 3;
  CHECK(tools::network_of(stored(n), "r.h5", p).resource_heads == 3);
  results::RunFile run = stored(n);
  auto& variables = run.groups.front().variables;
  const auto rows = std::find_if(variables.begin(), variables.end(),
                                 [](const auto& v) { return v.name == "tensor_rows"; });
  auto& count = std::get<std::vector<std::int64_t>>(rows->data);
  for (const std::int64_t wrong : {std::int64_t{2}, std::int64_t{1} << 40}) {
    count[count.size() - 2] = wrong;
    CHECK_THROWS_WITH_AS(tools::network_of(run, "r.h5", p),
                         doctest::Contains("resources by themselves, and this pool has 3"),
                         InputError);
  }
}

TEST_CASE("network_of: what is per share of the budget follows the number of nodes") {
  const sim::Params p = busy_ring(5, 4), larger = busy_ring(20, 4);
  agents::Network n = network(p, {}, 1);
  for (std::size_t f = 0; f < n.features.size(); ++f) n.feature_mean[f] = 1, n.feature_scale[f] = 8;
  const agents::Network same = tools::network_of(stored(n), "r.h5", p);
  CHECK(same.feature_mean == n.feature_mean);
  CHECK(same.feature_scale == n.feature_scale);
  const agents::Network back = tools::network_of(stored(n), "r.h5", larger);
  int moved = 0;
  for (std::size_t f = 0; f < n.features.size(); ++f) {
    const bool gain = n.features[f] == "marginal_gain";
    CAPTURE(n.features[f]);
    CHECK(back.feature_mean[f] == (gain ? 4 : 1));
    CHECK(back.feature_scale[f] == (gain ? 2 : 8));
    moved += gain ? 1 : 0;
  }
  CHECK(moved == 1);
  CHECK(back.base.knobs == n.base.knobs);
  n.base = {"margin", {0.5, 2}};
  CHECK(tools::network_of(stored(n), "r.h5", larger).base.knobs == std::vector<double>{2, 2});
}

TEST_CASE(
    "network_of: a pool that the policy cannot run in is refused, and what differs is named") {
  const sim::Params p = busy_ring(5, 4);
  const auto message = [&](const agents::Network& n, const sim::Params& pool) {
    try {
      tools::network_of(stored(n), "r.h5", pool);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const agents::Network n = network(p, {}, 1);
  CHECK(message(n, p) == "no error");
  CHECK(message(n, busy_ring(9, 4)) == "no error");
  sim::Params flat = p;
  flat.pool.geometry = sim::Geometry::none;
  CHECK(message(n, flat) ==
        "r.h5: its policy does not fit: it reads position_cos, position_sin, which this pool does "
        "not have");
  CHECK(message(network(flat, {}, 1), p) ==
        "r.h5: its policy does not fit: it was trained without position_cos, position_sin, which "
        "this pool has");
  agents::Network other = n;
  std::swap(other.features[0], other.features[1]);
  CHECK(message(other, p).substr(0, 85) ==
        "r.h5: its policy does not fit: it reads the features of this pool in another order: b");
  other = n;
  other.base = {"mpc", {}};
  CHECK(
      message(other, p) ==
      "r.h5: its policy does not fit: it starts from the heuristic mpc, which plans ahead in every "
      "slot");
  other.base = {"magic", {}};
  CHECK(
      message(other, p) ==
      "r.h5: its policy does not fit: it starts from the heuristic magic, which this program does "
      "not know");
  other.base = {"demand", {}};
  CHECK(message(other, p) ==
        "r.h5: its policy does not fit: it starts from the heuristic demand with 0 knobs; in this "
        "pool that heuristic has 1 (slow)");
  attention::Params fixed;
  fixed.weights = attention::Weights::average;
  CHECK(
      message(network(p, fixed, 1), busy_ring(6, 4)) ==
      "r.h5: its policy does not fit: its static attention weights are those of 5 nodes, and this "
      "pool has 6");
}
