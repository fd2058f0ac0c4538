// cra export --safetensors: the parameters of the learned policy, tensor by tensor.
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tools/assemble.h"
#include "tools/export.h"
#include "tools/provenance.h"
#include "tools/recall.h"

namespace cra::tools {
namespace {

using results::values;
using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

std::string json_text(const Json& j) {
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Texts alone: what the format allows beside the tensors.
Json metadata_of(const Export& e, const agents::Network& n) {
  const results::GroupData& g = group_of(e.run, "policy", e.path);
  Json m{{"format", "cra-policy"},
         {"run_digest", attribute(e.run, kRunDigest)},
         {"policy_digest", results::digest(e.run, {"policy"})},
         {"feature", json_text(n.features)},
         {"feature_mean", json_text(n.feature_mean)},
         {"feature_scale", json_text(n.feature_scale)},
         {"base", n.base.name},
         {"base_knob", json_text(values<std::string>(g, "base_knob"))},
         {"base_knob_value", json_text(n.base.knobs)},
         {"base_floor", json_text(n.base_floor)},
         {"least_alpha", json_text(values<double>(g, "least_alpha").at(0))},
         {"temperature", json_text(n.shape.temperature)}};
  for (const char* name : {"kind", "attention", "weights", "positions"})
    m[name] = values<std::string>(g, name).at(0);
  for (const char* name : {"width", "heads", "layers", "points", "weights_seed", "weights_nodes"})
    m[name] = std::to_string(values<std::int64_t>(g, name).at(0));
  if (const results::GroupData* train = e.run.group("train")) {
    const auto& stored = values<std::int8_t>(*train, "stored");
    for (std::size_t k = 0; k < stored.size(); ++k)
      if (stored[k] != 0)
        m["updates"] = std::to_string(values<std::int64_t>(*train, "kept_update").at(k));
  }
  return m;
}

}  // namespace

void export_safetensors(const Export& e) {
  refuse_existing_file(e, e.target);
  const agents::Network n = stored_network(e.run, e.path);
  const results::GroupData& g = group_of(e.run, "policy", e.path);
  const auto& names = values<std::string>(g, "tensor");
  const auto& rows = values<std::int64_t>(g, "tensor_rows");
  const auto& cols = values<std::int64_t>(g, "tensor_cols");
  const auto& offset = values<std::int64_t>(g, "tensor_offset");
  Json header{{"__metadata__", metadata_of(e, n)}};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::int64_t begin = 4 * offset[i];
    if (header.contains(names[i]))
      throw InputError(e.path + ": /policy/tensor names " + names[i] + " twice");
    header[names[i]] = {{"dtype", "F32"},
                        {"shape", {rows[i], cols[i]}},
                        {"data_offsets", {begin, begin + 4 * rows[i] * cols[i]}}};
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  results::Bytes file(sizeof size + text.size() + 4 * n.theta.size());
  std::memcpy(file.data(), &size, sizeof size);
  std::memcpy(file.data() + sizeof size, text.data(), text.size());
  if (!n.theta.empty())
    std::memcpy(file.data() + sizeof size + text.size(), n.theta.data(), 4 * n.theta.size());
  results::write_file(e.target, file);
}

}  // namespace cra::tools
