// scenarios/reader.h: fills a Params from a map of the scenario, guided by its fields(). A visitor
// in the sense of sim/base.h; reports everything that does not fit and reads on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "scenarios/report.h"
#include "scenarios/yaml.h"
#include "sim/base.h"
#include "sim/sim.h"

namespace cra::scenarios {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... Ks>
struct IsVariant<std::variant<Ks...>> : std::true_type {};

/// Names of the kinds of a variant, in order.
template <class... Ks>
std::vector<std::string> kind_names(const std::variant<Ks...>* /*type only*/) {
  return {Ks::name...};
}

/// Range and unit of a number, for its check and its message.
struct Limits {
  Range range;
  const char* unit;
};

/// "[1, 65536]", "(0, 1e9]"; infinite ends are open.
std::string range_text(const Range& r);

// The leaves. `path` is the dotted key for messages; what does not fit is reported and leaves the
// member as it was.
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               double& out);
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::int64_t& out);
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               int& out);
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::array<int, 2>& out);
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::vector<int>& out);
void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               sim::NodeValues& out);
void read_leaf(const Node& n, const std::string& path, Report& report, bool& out);
void read_leaf(const Node& n, const std::string& path, Report& report, std::string& out);
/// \returns the index of the choice, or -1 (reported)
int read_choice(const Node& n, const std::string& path, Report& report,
                const std::vector<std::string>& names);
/// Index of the kind that a scalar names, or the `kind` of a map.
/// \param fallback  the index when a map has no `kind`; -1 when it must have one
/// \returns -1 when there is none (reported)
int read_kind_name(const Node& n, const std::string& path, Report& report,
                   const std::vector<std::string>& names, int fallback);
/// False, and reported, when the node is not of that kind. `expected` completes "expected ...".
bool expect(Node::Kind kind, const Node& n, const std::string& path, Report& report,
            const char* expected);

class Reader {
 public:
  /// \param section  a map; or a scalar when a kind is given by its name alone, then nothing is set
  Reader(const Node& section, std::string path, Report& report)
      : section_(section), path_(std::move(path)), report_(report) {}

  template <class T>
  void operator()(const Key& key, T& member, const Range& range, const char* unit,
                  const char* /*doc*/) {
    if (const Node* n = take(key)) {
      read_leaf(*n, path_to(key.name), report_, Limits{range, unit}, member);
    }
  }
  template <class T>
  void operator()(const Key& key, T& member, const char* /*doc*/) {
    if (const Node* n = take(key)) read(*n, path_to(key.name), report_, member);
  }

  /// A key that is read elsewhere (`kind`).
  void also_known(const char* key) { known_.emplace_back(key); }
  /// Reports required keys that are missing and keys that nobody asked for.
  void finish();

  /// Reads a member of any type that is not a bare number.
  template <class T>
  static void read(const Node& n, const std::string& path, Report& report, T& member) {
    if constexpr (std::is_enum_v<T>) {
      const auto& names = Choices<T>::names;
      const int i = read_choice(n, path, report, {names.begin(), names.end()});
      if (i >= 0) member = static_cast<T>(i);
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
      read_leaf(n, path, report, member);
    } else if constexpr (IsVariant<T>::value) {
      read_kind(n, path, report, member, static_cast<int>(member.index()));
    } else if constexpr (IsVector<T>::value) {
      if (!expect(Node::Kind::sequence, n, path, report, "a list")) return;
      member.assign(n.items.size(), {});
      for (std::size_t i = 0; i < n.items.size(); ++i) {
        const std::string element = path + "." + std::to_string(i);
        if constexpr (IsVariant<typename T::value_type>::value) {
          read_kind(n.items[i], element, report, member[i], -1);  // a list has no default kind
        } else {
          read(n.items[i], element, report, member[i]);
        }
      }
    } else {
      if (!expect(Node::Kind::map, n, path, report, "a map of keys")) return;
      read_fields(n, path, report, member, false);
    }
  }

 private:
  template <class T>
  static void read_fields(const Node& n, const std::string& path, Report& report, T& member,
                          bool is_kind) {
    Reader reader(n, path, report);
    if (is_kind) reader.also_known("kind");
    fields(reader, member);
    reader.finish();
  }

  template <class... Ks>
  static void read_kind(const Node& n, const std::string& path, Report& report,
                        std::variant<Ks...>& member, int fallback) {
    const std::vector<std::string> names{Ks::name...};
    const int index = read_kind_name(n, path, report, names, fallback);
    int i = 0;
    const auto try_kind = [&](auto kind) {
      if (i++ != index) return;
      read_fields(n, path, report, kind, true);
      member = std::move(kind);
    };
    (try_kind(Ks{}), ...);
  }

  const Node* take(const Key& key);
  std::string path_to(const std::string& key) const {
    return path_.empty() ? key : path_ + "." + key;
  }

  const Node& section_;
  std::string path_;
  Report& report_;
  std::vector<std::string> known_;
  std::vector<std::string> missing_;
};

}  // namespace cra::scenarios
