// scenarios/dump.h: parameters as canonical YAML that reads back to the same parameters. A visitor
// in the sense of sim/base.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "scenarios/reader.h"
#include "sim/base.h"
#include "sim/sim.h"

namespace cra::scenarios {

/// Plain when every YAML reader takes it for the same text, else in double quotes.
std::string yaml_text(std::string_view text);
std::string yaml_value(double x);
std::string yaml_value(std::int64_t x);
std::string yaml_value(int x);
std::string yaml_value(const std::array<int, 2>& x);
std::string yaml_value(const std::vector<int>& x);
std::string yaml_value(const sim::NodeValues& x);
std::string yaml_value(bool x);
std::string yaml_value(const std::string& x);
std::string yaml_value(const std::vector<std::string>& x);

class Dumper {
 public:
  explicit Dumper(std::string& out, int indent = 0, bool in_list = false)
      : out_(out), indent_(indent), in_list_(in_list) {}

  template <class T>
  void operator()(const Key& key, T& member, const Range& /*range*/, const char* /*unit*/,
                  const char* /*doc*/) {
    line(key.name, yaml_value(member));
  }
  template <class T>
  void operator()(const Key& key, T& member, const char* /*doc*/) {
    if constexpr (std::is_enum_v<T>) {
      line(key.name, yaml_text(Choices<T>::names[static_cast<std::size_t>(member)]));
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                         std::is_same_v<T, std::vector<std::string>>) {
      line(key.name, yaml_value(member));
    } else if constexpr (IsVector<T>::value) {
      if (member.empty()) {
        line(key.name, "[]");
        return;
      }
      line(key.name, "");
      for (auto& item : member) {
        Dumper element(out_, indent_ + 4, true);
        element.section(item);
      }
    } else {
      line(key.name, "");
      Dumper inner(out_, indent_ + 2);
      inner.section(member);
    }
  }

  template <class... Ks>
  void section(std::variant<Ks...>& kinds) {
    std::visit(
        [&](auto& kind) {
          line("kind", kind.name);
          fields(*this, kind);
        },
        kinds);
  }
  template <class T>
  void section(T& params) {
    fields(*this, params);
  }

 private:
  // The first line of a list element carries the dash.
  void line(const char* key, const std::string& value);

  std::string& out_;
  int indent_;
  bool in_list_;
};

/// Every key of `params`, defaults included.
template <class T>
std::string dump(T params) {
  std::string out;
  Dumper dumper(out);
  dumper.section(params);
  return out;
}

}  // namespace cra::scenarios
