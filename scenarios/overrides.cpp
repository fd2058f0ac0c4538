#include "scenarios/overrides.h"

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace cra::scenarios {
namespace {

// "a.b[2].c" and "a.b.2.c" alike.
std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.' || c == '[') {
      parts.emplace_back();
    } else if (c != ']') {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<std::size_t> index_of(const std::string& text) {
  std::size_t i = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), i);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return std::nullopt;
  return i;
}

bool names_a_kind(const Node& n) {
  return n.kind == Node::Kind::scalar && !n.text.empty() &&
         ((n.text[0] >= 'a' && n.text[0] <= 'z') || (n.text[0] >= 'A' && n.text[0] <= 'Z'));
}

// Makes `n` a map, keeping the name of a kind.
void become_map(Node& n, const Place& place) {
  Node map;
  map.kind = Node::Kind::map;
  map.place = place;
  map.key = n.key;
  map.key_place = n.key_place;
  if (names_a_kind(n)) {
    Node kind = n;
    kind.key = "kind";
    kind.key_place = n.place;
    map.items.push_back(std::move(kind));
  }
  n = std::move(map);
}

// The child of `n` called `name`, made when missing. nullptr: reported.
Node* step_into(Node& n, const std::string& name, const std::string& so_far, const Place& place,
                Report& report) {
  if (n.kind == Node::Kind::sequence) {
    const std::optional<std::size_t> i = index_of(name);
    if (i && *i < n.items.size()) return &n.items[*i];
    const std::size_t size = n.items.size();
    report.add(place, "no element " + in_quotes(name) + " in " + so_far + ": it has " +
                          (size == 0   ? "no elements"
                           : size == 1 ? "one element, number 0"
                                       : std::to_string(size) + " elements, numbers 0 to " +
                                             std::to_string(size - 1)));
    return nullptr;
  }
  if (n.kind != Node::Kind::map) become_map(n, place);
  if (Node* found = n.find(name)) return found;
  Node made;
  made.place = place;
  made.key = name;
  made.key_place = place;
  n.items.push_back(std::move(made));
  return &n.items.back();
}

}  // namespace

void apply_override(Node& root, const std::string& argument, int source, Report& report) {
  const Place place{source, 1, 1};
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos) {
    report.add(place, "no \"=\" in it, expected key.path=value");
    return;
  }
  const std::string path = argument.substr(0, equals);
  const std::vector<std::string> parts = split_path(path);
  for (const std::string& part : parts) {
    if (!part.empty()) continue;
    report.add(place, "a key is missing in " + in_quotes(path) + ", expected key.path=value");
    return;
  }
  if (parts.size() > static_cast<std::size_t>(kMaxYamlDepth)) {
    report.add(place, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels");
    return;
  }
  const std::size_t before = report.size();
  std::optional<Node> value =
      parse_yaml(std::string_view(argument).substr(equals + 1), source, report);
  if (!value) {
    value.emplace();
    if (report.size() > before) value->kind = Node::Kind::broken;
  }
  Node* n = &root;
  std::string so_far;
  for (const std::string& part : parts) {
    n = step_into(*n, part, so_far, place, report);
    if (n == nullptr) return;
    so_far += (so_far.empty() ? "" : ".") + part;
  }
  value->key = n->key;
  value->key_place = n->key_place;
  value->place = place;
  *n = std::move(*value);
}

const Node& nearest(const Node& root, const std::string& path) {
  const Node* n = &root;
  for (const std::string& part : split_path(path)) {
    const Node* next = nullptr;
    if (n->kind == Node::Kind::map) {
      next = n->find(part);
    } else if (n->kind == Node::Kind::sequence) {
      const std::optional<std::size_t> i = index_of(part);
      if (i && *i < n->items.size()) next = &n->items[*i];
    }
    if (next == nullptr) break;
    n = next;
  }
  return *n;
}

}  // namespace cra::scenarios
