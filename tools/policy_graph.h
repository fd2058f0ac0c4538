// tools/policy_graph.h: a learned policy as an ONNX graph: from raw features to proportions. What
// each input and output is stands in results/FORMAT.md, "The policy in other programs".
#pragma once

#include <optional>

#include "agents/agents.h"
#include "tools/onnx_graph.h"

namespace cra::tools {

/// A learned policy with what the graph needs to know of its pool.
struct StoredPolicy {
  agents::Network network;
  int nodes = 1;                  ///< of the pool that it was trained in
  bool base_is_input = true;      ///< false: the base gives every node the same
  std::optional<double> reserve;  ///< share that the base keeps back, in a pool with a reserve
};

/// Adds inputs, nodes and outputs of the policy to a graph. \throws InputError  when the policy
/// cannot be written as one
void add_policy(OnnxGraph& g, const StoredPolicy& p);

/// Why the graph serves one number of nodes only; empty when it serves any.
std::string one_size_because(const attention::Shape& s);

}  // namespace cra::tools
