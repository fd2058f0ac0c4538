// scenarios/key_tree.h: every key of a scenario as data, for the lists that people and editors
// read. Made by a visitor of fields(), so it cannot forget a key.
#pragma once

#include <string>
#include <vector>

#include "sim/base.h"

namespace cra::scenarios {

struct KeyNode {
  enum class Type {
    number,
    integer,
    pair,      ///< two integers [lo, hi]
    integers,  ///< a list of integers
    per_node,
    boolean,
    text,
    choice,    ///< one of `names`
    kind,      ///< one of `kinds`
    section,   ///< a map of `keys`
    texts,     ///< a list of text
    sections,  ///< a list of maps of `keys`
    kinds,     ///< a list, each element one of `kinds`
  };
  struct Kind {
    std::string name;
    std::vector<KeyNode> keys;
  };

  std::string name;
  bool required = false;
  Type type = Type::text;
  Range range;
  std::string unit;
  std::string doc;
  std::string default_;  ///< as YAML, empty for sections
  std::vector<std::string> names;
  std::vector<KeyNode> keys;
  std::vector<Kind> kinds;
};

/// The keys of the top level.
std::vector<KeyNode> key_tree();

}  // namespace cra::scenarios
