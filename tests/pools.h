// tests/pools.h: small pools that tests simulate.
#pragma once

#include <stdexcept>
#include <vector>

#include "sim/sim.h"

namespace cra::testing {

inline void must_resolve(sim::Params& p, std::uint64_t seed = 1) {
  const std::vector<Problem> problems = sim::resolve(p, seed);
  if (!problems.empty()) throw std::runtime_error(problems[0].path + " " + problems[0].text);
}

/// A ring with platoons, gamma noise, switching cost and uneven nodes: every term is in play.
inline sim::Params busy_ring(int nodes, int slots) {
  sim::Params p;
  p.pool.nodes = nodes;
  p.pool.geometry = sim::Geometry::ring;
  p.pool.capacity.given = sim::NodeValues::Uniform{1.5, 4};
  p.pool.need.given = sim::NodeValues::Uniform{0.5, 1.5};
  p.pool.budget = 0.9 * nodes;
  p.workload.slots = slots;
  p.workload.importance.given = sim::NodeValues::Uniform{0.5, 2};
  sim::ConstantPart base;
  base.rate.given = sim::NodeValues::Uniform{0.2, 0.6};
  p.workload.parts = {base, sim::CascadePart{0.1, {4, 9}, 2, 3}, sim::PoissonPart{0.2, 0.1}};
  p.cost.switching = 0.1;
  must_resolve(p);
  return p;
}

/// The same with three resources in place of one.
inline sim::Params busy_ring_of_three(int nodes, int slots) {
  sim::Params p = busy_ring(nodes, slots);
  for (const char* name : {"compute", "storage", "bandwidth"}) {
    sim::Resource r;
    r.name = name;
    r.need.given = sim::NodeValues::Uniform{0.3, 1.2};
    r.budget = 0.7 * nodes;
    p.pool.resources.push_back(r);
  }
  must_resolve(p);
  return p;
}

/// Nodes without noise or bursts: constant arrivals.
inline sim::Params quiet_pool(int nodes, int slots, double rate) {
  sim::Params p;
  p.pool.nodes = nodes;
  p.workload.slots = slots;
  p.workload.noise = sim::NoNoise{};
  p.workload.parts = {sim::ConstantPart{rate}};
  must_resolve(p);
  return p;
}

}  // namespace cra::testing
