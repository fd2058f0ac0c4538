#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scenarios/key_tree.h"
#include "scenarios/scenario.h"

namespace cra::scenarios {
namespace {

using Json = nlohmann::ordered_json;
using Type = KeyNode::Type;

Json schema_of(const KeyNode& k);

Json bounded(const char* type, const Range& r) {
  Json j{{"type", type}};
  // whole numbers as such: an editor shows "1 to 65536", not "1.0 to 65536.0"
  const auto bound = [](double x) -> Json {
    if (x == std::floor(x) && std::abs(x) < 1e15) return static_cast<std::int64_t>(x);
    return x;
  };
  if (std::isfinite(r.lo)) j[r.lo_open ? "exclusiveMinimum" : "minimum"] = bound(r.lo);
  if (std::isfinite(r.hi)) j[r.hi_open ? "exclusiveMaximum" : "maximum"] = bound(r.hi);
  return j;
}

Json list_of(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }

Json pair_of(Json items) {
  Json j = list_of(std::move(items));
  j["minItems"] = 2;
  j["maxItems"] = 2;
  return j;
}

// \param kind  of a kind: its name; a default kind need not be named
Json map_of(const std::vector<KeyNode>& keys, const std::string& kind, bool is_default = false) {
  Json properties = Json::object();
  Json required = Json::array();
  if (!kind.empty()) {
    properties["kind"] = {{"const", kind}};
    if (!is_default) required.push_back("kind");
  }
  for (const KeyNode& k : keys) {
    properties[k.name] = schema_of(k);
    if (k.required) required.push_back(k.name);
  }
  Json j{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) j["required"] = required;
  return j;
}

// A map with `kind`, or the bare name of a kind that needs no key.
Json kind_of(const KeyNode& k) {
  Json alternatives = Json::array();
  Json bare = Json::array();
  for (const KeyNode::Kind& kind : k.kinds) {
    alternatives.push_back(map_of(kind.keys, kind.name, kind.name == k.default_));
    bool needs_key = false;
    for (const KeyNode& key : kind.keys) needs_key = needs_key || key.required;
    if (!needs_key) bare.push_back(kind.name);
  }
  if (!bare.empty()) alternatives.push_back({{"enum", bare}});
  return {{"oneOf", alternatives}};
}

Json per_node(const Range& range) {
  const Json number = bounded("number", range);
  return {{"oneOf",
           {number,
            list_of(number),
            {{"type", "object"},
             {"properties", {{"uniform", pair_of(number)}}},
             {"required", {"uniform"}},
             {"additionalProperties", false}},
            {{"type", "object"}, {"additionalProperties", number}}}}};
}

Json schema_of(const KeyNode& k) {
  Json j;
  switch (k.type) {
    case Type::number:
      j = bounded("number", k.range);
      break;
    case Type::integer:
      j = bounded("integer", k.range);
      break;
    case Type::pair:
      j = pair_of(bounded("integer", k.range));
      break;
    case Type::integers:
      j = list_of(bounded("integer", k.range));
      break;
    case Type::per_node:
      j = per_node(k.range);
      break;
    case Type::boolean:
      j = {{"type", "boolean"}};
      break;
    case Type::text:
      j = {{"type", "string"}};
      break;
    case Type::choice:
      j = {{"enum", k.names}};
      break;
    case Type::kind:
      j = kind_of(k);
      break;
    case Type::section:
      j = map_of(k.keys, "");
      break;
    case Type::texts:
      j = list_of({{"type", "string"}});
      break;
    case Type::sections:
      j = list_of(map_of(k.keys, ""));
      break;
    case Type::kinds:
      j = list_of(kind_of(k));
      break;
  }
  j["description"] = k.unit.empty() || k.unit == "1" ? k.doc : k.doc + " [" + k.unit + "]";
  return j;
}

}  // namespace

std::string keys_json_schema() {
  Json j{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "cra scenario"}};
  j.update(map_of(key_tree(), ""));
  return j.dump(2) + "\n";
}

}  // namespace cra::scenarios
