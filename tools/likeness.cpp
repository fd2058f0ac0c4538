#include "tools/likeness.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <variant>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

using results::Data;
using results::GroupData;
using results::VariableSpec;

const Data* find(const GroupData& g, const std::string& name) {
  for (const results::Axis& a : g.axes)
    if (a.name == name) return &a.labels;
  for (const results::Variable& v : g.variables)
    if (v.name == name) return &v.data;
  return nullptr;
}

std::size_t length(const Data& data) {
  return std::visit([](const auto& x) { return x.size(); }, data);
}

/// Digests are over bytes: -0 is not 0 here.
bool same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}

std::string text_of(const std::string& x) { return '"' + x + '"'; }
std::string text_of(double x) { return shortest(x); }
std::string text_of(float x) { return shortest(static_cast<double>(x)); }
std::string text_of(std::int64_t x) { return std::to_string(x); }
std::string text_of(std::int8_t x) { return x != 0 ? "true" : "false"; }

/// A label of an axis, or a value.
std::string text_at(const Data& data, std::size_t i) {
  return std::visit([i](const auto& x) { return text_of(x.at(i)); }, data);
}

std::vector<std::string> axes_of(const VariableSpec& spec) {
  std::vector<std::string> axes;
  for (const char* c = spec.dims; *c != 0; ++c) {
    if (axes.empty() || *c == ',') axes.emplace_back();
    if (*c != ',') axes.back() += *c;
  }
  return axes;
}

/// "policy uniform, episode 3" of the element with this index in row-major order.
std::string place_of(const GroupData& g, const VariableSpec& spec, std::size_t index) {
  const std::vector<std::string> axes = axes_of(spec);
  std::string text;
  for (std::size_t i = axes.size(); i-- > 0;) {
    const Data* labels = find(g, axes[i]);
    const std::size_t size = labels == nullptr ? 0 : length(*labels);
    if (size == 0) return "number " + std::to_string(index);
    const std::string label =
        axes[i] == spec.name ? std::to_string(index % size) : text_at(*labels, index % size);
    const std::string bare = label[0] == '"' ? label.substr(1, label.size() - 2) : label;
    text = axes[i] + " " + bare + (text.empty() ? "" : ", ") + text;
    index /= size;
  }
  return text;
}

std::optional<Difference> difference_of(const GroupData& there, const GroupData& here,
                                        const VariableSpec& spec) {
  const Data* a = find(there, spec.name);
  const Data* b = find(here, spec.name);
  if (a == nullptr && b == nullptr) return std::nullopt;
  Difference d{"/" + there.name + "/" + spec.name, "", "", ""};
  const auto size = [](const Data* x) {
    return x == nullptr ? "nothing" : std::to_string(length(*x)) + " values";
  };
  if (a == nullptr || b == nullptr || a->index() != b->index() || length(*a) != length(*b)) {
    d.there = size(a);
    d.here = size(b);
    return d;
  }
  const std::size_t first = std::visit(
      [b](const auto& x) {
        const auto& y = std::get<std::decay_t<decltype(x)>>(*b);
        std::size_t i = 0;
        while (i < x.size() && same(x[i], y[i])) ++i;
        return i;
      },
      *a);
  if (first == length(*a)) return std::nullopt;
  d.where = place_of(there, spec, first);
  d.there = text_at(*a, first);
  d.here = text_at(*b, first);
  return d;
}

/// Axes come first: where they differ, no element has a counterpart.
Difference first_difference(const GroupData* there, const GroupData* here,
                            const std::string& name) {
  if (there == nullptr || here == nullptr) {
    const auto word = [](const GroupData* g) { return g == nullptr ? "no such group" : "a group"; };
    return {"/" + name, "", word(there), word(here)};
  }
  for (const bool axes : {true, false}) {
    for (const VariableSpec& spec : results::schema()) {
      if (name != spec.group || (std::string(spec.dims) == spec.name) != axes) continue;
      if (const auto d = difference_of(*there, *here, spec)) return *d;
    }
  }
  throw Error("/" + name + ": the digests differ, and no value does");
}

}  // namespace

std::vector<Likeness> compare_groups(const results::RunFile& there, const results::RunFile& here) {
  std::vector<Likeness> all;
  for (const VariableSpec& spec : results::schema()) {
    const std::string name = spec.group;
    const bool seen =
        std::any_of(all.begin(), all.end(), [&](const Likeness& l) { return l.group == name; });
    const GroupData* a = there.group(name);
    const GroupData* b = here.group(name);
    if (name == "provenance" || seen || (a == nullptr && b == nullptr)) continue;
    Likeness l{name, results::digest(here, {name}), false, {}};
    l.identical = l.digest == results::digest(there, {name});
    if (!l.identical) l.difference = first_difference(a, b, name);
    all.push_back(std::move(l));
  }
  return all;
}

}  // namespace cra::tools
