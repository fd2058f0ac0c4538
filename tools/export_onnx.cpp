// cra export --onnx: the learned policy as a graph that other runtimes can run.
#include <nlohmann/json.hpp>

#include "tools/assemble.h"
#include "tools/export.h"
#include "tools/policy_graph.h"
#include "tools/provenance.h"
#include "tools/recall.h"
#include "tools/store.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using results::values;
using Json = nlohmann::ordered_json;

StoredPolicy policy_of(const results::RunFile& run, const std::string& path) {
  StoredPolicy p{stored_network(run, path), 1, true, {}};
  if (p.network.resource_heads > 0)
    throw InputError(path +
                     ": its policy decides on every resource by itself (agent.resource_heads); "
                     "--onnx writes policies with one share for each node");
  const results::GroupData& node = group_of(run, "node", path);
  p.nodes = static_cast<int>(values<std::string>(node, "node").size());
  if (p.network.shape.nodes != 0) p.nodes = p.network.shape.nodes;
  const auto& knobs = values<std::string>(group_of(run, "policy", path), "base_knob");
  const bool kept = values<std::string>(node, "reserve_dispatch").at(0) != "none";
  if (kept && (knobs.empty() || knobs.back() != "reserve"))
    throw InputError(path + ": the pool has a reserve, and the base heuristic no knob for it");
  if (kept) p.reserve = p.network.base.knobs.back();
  p.base_is_input = p.network.base.name != "uniform" || knobs.size() > (kept ? 1U : 0U);
  return p;
}

void add_metadata(OnnxGraph& g, const Export& e, const StoredPolicy& p) {
  const results::GroupData& about = group_of(e.run, "provenance", e.path);
  const auto text = [&](const char* name) { return values<std::string>(about, name).at(0); };
  const auto& knobs = values<std::string>(group_of(e.run, "policy", e.path), "base_knob");
  Json base{{"name", p.network.base.name}, {"knobs", Json::object()}};
  for (std::size_t k = 0; k < knobs.size(); ++k) base["knobs"][knobs[k]] = p.network.base.knobs[k];
  const auto json = [](const Json& j) {
    return j.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  g.metadata("features", json(p.network.features));
  g.metadata("nodes", std::to_string(p.nodes));
  g.metadata("nodes_fixed_because", one_size_because(p.network.shape));
  g.metadata("base", json(base));
  g.metadata("scenario", value_in(text("resolved_yaml"), "name"));
  g.metadata("seed", std::to_string(values<std::int64_t>(about, "seed").at(0)));
  g.metadata("cra_version", text("version"));
  g.metadata("cra_commit", text("git_commit"));
  g.metadata("run_digest", attribute(e.run, kRunDigest));
  g.metadata("policy_digest", results::digest(e.run, {"policy"}));
}

}  // namespace

void export_onnx(const Export& e) {
  refuse_existing_file(e, e.target);
  const StoredPolicy policy = policy_of(e.run, e.path);
  OnnxGraph graph;
  try {
    add_policy(graph, policy);
  } catch (const InputError& error) {
    throw InputError(e.path + ": " + error.what());
  }
  add_metadata(graph, e, policy);
  const std::string model =
      graph.model("policy", version(),
                  "features of the nodes of a pool to shares of its budget; see FORMAT.md of cra");
  constexpr std::size_t kMostBytes = (std::size_t{1} << 31) - 1;  // of a protobuf
  if (model.size() > kMostBytes)
    throw InputError(e.path + ": its policy is too large for an ONNX file, which holds 2 GiB");
  results::write_file(e.target, std::as_bytes(std::span(model)));
}

}  // namespace cra::tools
