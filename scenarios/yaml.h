// scenarios/yaml.h: the small, strict part of YAML that scenarios use, as a tree with places.
//
// Built from yaml-cpp's events, never from its node tree: there, ten bytes (`a: &a [*a]`) crash a
// tree walker, duplicate keys pass silently, and 430 bytes of aliases grow without bound.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/report.h"

namespace cra::scenarios {

constexpr std::size_t kMaxScenarioBytes = std::size_t{1} << 20U;
constexpr int kMaxYamlDepth = 32;
constexpr int kMaxYamlNodes = 100000;

struct Node {
  enum class Kind {
    null,      ///< no value, `~` or `null`
    scalar,    ///< `text`
    sequence,  ///< `items`
    map,       ///< `items`, each with its `key`
    broken,    ///< already reported; say nothing more about it
  };
  Kind kind = Kind::null;
  Place place;
  std::string text;
  bool quoted = false;  ///< scalar in quotes or a block scalar: text, never a number
  std::vector<Node> items;
  std::string key;  ///< of an item of a map
  Place key_place;

  /// The item of a map with that key, or nullptr.
  const Node* find(std::string_view name) const;
  Node* find(std::string_view name);
  /// "a map", "a list", "no value" or the quoted text, for messages.
  std::string describe() const;
};

/// The tree of a text. Adds to `report` everything that is not allowed: anchors, aliases, tags,
/// merge keys, duplicate keys, keys that are not plain text, a second document, bytes that are not
/// UTF-8 text, too much depth or too many nodes, and syntax errors.
/// \returns nothing when there is no tree worth looking at: empty text, or an error that stopped
///          the parser (reported)
std::optional<Node> parse_yaml(std::string_view text, int source, Report& report);

}  // namespace cra::scenarios
