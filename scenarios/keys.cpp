#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "scenarios/key_tree.h"
#include "scenarios/reader.h"
#include "scenarios/scenario.h"

namespace cra::scenarios {
namespace {

using Type = KeyNode::Type;

const char* type_name(Type type) {
  switch (type) {
    case Type::number:
      return "number";
    case Type::integer:
      return "integer";
    case Type::per_node:
      return "per-node";
    case Type::boolean:
      return "boolean";
    case Type::text:
      return "text";
    case Type::choice:
      return "choice";
    case Type::kind:
      return "kind";
    case Type::section:
      return "section";
    case Type::pair:
    case Type::integers:
    case Type::texts:
    case Type::sections:
    case Type::kinds:
      return "list";
  }
  return "";
}

// Range of a number; the names of a choice or of kinds.
std::string values_of(const KeyNode& k) {
  std::string out;
  for (const std::string& n : k.names) out += (out.empty() ? "" : ", ") + n;
  for (const KeyNode::Kind& kind : k.kinds) out += (out.empty() ? "" : ", ") + kind.name;
  const bool bounded = std::isfinite(k.range.lo) || std::isfinite(k.range.hi);
  return out.empty() && bounded ? range_text(k.range) : out;
}

void flatten(const std::vector<KeyNode>& keys, const std::string& prefix,
             std::vector<KeyInfo>& out) {
  for (const KeyNode& k : keys) {
    const std::string path = prefix + k.name;
    out.push_back({path, type_name(k.type), k.unit, values_of(k),
                   k.required ? "required" : k.default_, k.doc});
    flatten(k.keys, path + (k.type == Type::sections ? "[]." : "."), out);
    for (const KeyNode::Kind& kind : k.kinds)
      flatten(kind.keys, path + "[" + kind.name + "].", out);
  }
}

std::string in_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::vector<KeyInfo> keys() {
  std::vector<KeyInfo> out;
  flatten(key_tree(), "", out);
  return out;
}

std::string keys_markdown() {
  std::string out =
      "| key | type | unit | values | default | meaning |\n"
      "|---|---|---|---|---|---|\n";
  for (const KeyInfo& k : keys()) {
    const bool is_code = !k.default_.empty() && k.default_ != "required";
    out += "| `" + k.path + "` | " + k.type + " | " + in_cell(k.unit) + " | " + in_cell(k.range);
    out += is_code ? " | `" : " | ";
    out += in_cell(k.default_);
    out += is_code ? "` | " : " | ";
    out += in_cell(k.doc) + " |\n";
  }
  return out;
}

}  // namespace cra::scenarios
