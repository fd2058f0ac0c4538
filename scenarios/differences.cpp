#include <algorithm>
#include <optional>

#include "scenarios/scenario.h"
#include "scenarios/yaml.h"

namespace cra::scenarios {
namespace {

Node tree_of(const std::string& text) {
  if (text.size() > kMaxScenarioBytes) throw InputError("a scenario of more than 1 MiB");
  Report report;
  std::optional<Node> tree = parse_yaml(text, 0, report);
  if (!report.empty() || !tree)
    throw InputError("no scenario in resolved form: " +
                     (report.empty() ? std::string("it is empty")
                                     : report.diagnostics("", text, {}).front().text));
  return *std::move(tree);
}

bool same(const Node& a, const Node& b) {
  return a.kind == b.kind && a.text == b.text && a.quoted == b.quoted &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                    [](const Node& x, const Node& y) { return x.key == y.key && same(x, y); });
}

std::string shown(const Node* node) {
  if (node == nullptr) return "";
  if (node->kind == Node::Kind::map) return "{...}";
  if (node->kind != Node::Kind::sequence) return node->text;
  const bool flat = std::all_of(node->items.begin(), node->items.end(),
                                [](const Node& n) { return n.kind == Node::Kind::scalar; });
  if (!flat) return "[...]";
  std::string text = "[";
  for (const Node& n : node->items) text += (text.size() > 1 ? ", " : "") + n.text;
  return text + "]";
}

/// A list of numbers or words is one value, not several keys.
bool has_keys(const Node& n) {
  return n.kind == Node::Kind::map ||
         (n.kind == Node::Kind::sequence &&
          std::any_of(n.items.begin(), n.items.end(),
                      [](const Node& x) { return x.kind == Node::Kind::map; }));
}

void compare(const std::string& path, const Node& a, const Node& b, std::vector<Difference>& all) {
  if (same(a, b)) return;
  if (a.kind != b.kind || !has_keys(a) || !has_keys(b)) {
    all.push_back({path, shown(&a), shown(&b)});
    return;
  }
  const std::string front = path.empty() ? "" : path + ".";
  if (a.kind == Node::Kind::map) {
    for (const Node& item : a.items) {
      const Node* other = b.find(item.key);
      if (other != nullptr)
        compare(front + item.key, item, *other, all);
      else
        all.push_back({front + item.key, shown(&item), ""});
    }
    for (const Node& item : b.items)
      if (a.find(item.key) == nullptr) all.push_back({front + item.key, "", shown(&item)});
    return;
  }
  for (std::size_t i = 0; i < std::max(a.items.size(), b.items.size()); ++i) {
    const std::string place = front + std::to_string(i);
    if (i < a.items.size() && i < b.items.size())
      compare(place, a.items[i], b.items[i], all);
    else
      all.push_back({place, shown(i < a.items.size() ? &a.items[i] : nullptr),
                     shown(i < b.items.size() ? &b.items[i] : nullptr)});
  }
}

}  // namespace

std::vector<Difference> differences(const std::string& a, const std::string& b) {
  std::vector<Difference> all;
  if (a != b) compare("", tree_of(a), tree_of(b), all);
  return all;
}

}  // namespace cra::scenarios
