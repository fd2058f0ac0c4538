// agents/decision_shape.h (internal): what the network of a policy says in one environment and
// slot, and the decision that becomes of it.
//
//   logits    [B, N], then the log-odds of a reserve's share. One block is of all resources
//             together; with resource heads there is one for every resource, B = K.
//   decision  a bundle of sim/sim.h: weights [N], then the share of the reserve; with resource
//             heads tilted, [K, N] more.
#pragma once

namespace cra::agents {

struct DecisionShape {
  int nodes = 0;         ///< N
  bool reserve = false;  ///< whether a share of the budget can be kept back
  int resources = 0;     ///< K with resource heads, else 0

  constexpr int blocks() const { return resources > 0 ? resources : 1; }
  constexpr int logits() const { return blocks() * nodes + (reserve ? 1 : 0); }
  constexpr int bundle() const { return nodes + (reserve ? 1 : 0); }
  constexpr int size() const { return bundle() + resources * nodes; }
  /// Of logits, those that matter: a shift of a block changes nothing, one of log-odds does.
  constexpr int dimensions() const { return blocks() * (nodes - 1) + (reserve ? 1 : 0); }
};

}  // namespace cra::agents
