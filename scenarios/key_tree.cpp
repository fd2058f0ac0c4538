#include "scenarios/key_tree.h"

#include <array>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>

#include "scenarios/dump.h"
#include "scenarios/scenario.h"

namespace cra::scenarios {
namespace {

using Type = KeyNode::Type;

Type type_of(const double&) { return Type::number; }
Type type_of(const int&) { return Type::integer; }
Type type_of(const std::int64_t&) { return Type::integer; }
Type type_of(const std::array<int, 2>&) { return Type::pair; }
Type type_of(const std::vector<int>&) { return Type::integers; }
Type type_of(const sim::NodeValues&) { return Type::per_node; }

class TreeMaker {
 public:
  explicit TreeMaker(std::vector<KeyNode>& keys) : keys_(keys) {}

  template <class T>
  void operator()(const Key& key, T& member, const Range& range, const char* unit,
                  const char* doc) {
    KeyNode& k = add(key, type_of(member), doc);
    k.range = range;
    k.unit = unit;
    k.default_ = yaml_value(member);
  }
  template <class T>
  void operator()(const Key& key, T& member, const char* doc) {
    if constexpr (std::is_enum_v<T>) {
      KeyNode& k = add(key, Type::choice, doc);
      k.names.assign(Choices<T>::names.begin(), Choices<T>::names.end());
      k.default_ = k.names[static_cast<std::size_t>(member)];
    } else if constexpr (std::is_same_v<T, bool>) {
      add(key, Type::boolean, doc).default_ = yaml_value(member);
    } else if constexpr (std::is_same_v<T, std::string>) {
      add(key, Type::text, doc).default_ = yaml_value(member);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      add(key, Type::texts, doc).default_ = yaml_value(member);
    } else if constexpr (IsVector<T>::value) {
      add_list(key, doc, static_cast<typename T::value_type*>(nullptr));
    } else if constexpr (IsVariant<T>::value) {
      KeyNode& k = add(key, Type::kind, doc);
      add_kinds(k, &member);
      k.default_ = k.kinds[member.index()].name;
    } else {
      TreeMaker inner(add(key, Type::section, doc).keys);
      fields(inner, member);
    }
  }

 private:
  KeyNode& add(const Key& key, Type type, const char* doc) {
    KeyNode k;
    k.name = key.name;
    k.required = key.required;
    k.type = type;
    k.doc = doc;
    keys_.push_back(std::move(k));
    return keys_.back();
  }
  template <class E>
  void add_list(const Key& key, const char* doc, E* /*type only*/) {
    constexpr bool kOfKinds = IsVariant<E>::value;
    KeyNode& k = add(key, kOfKinds ? Type::kinds : Type::sections, doc);
    k.default_ = std::string("[]");  // plain assignment trips -Wrestrict in g++ 12
    if constexpr (kOfKinds) {
      add_kinds(k, static_cast<E*>(nullptr));
    } else {
      E element;
      TreeMaker inner(k.keys);
      fields(inner, element);
    }
  }
  template <class... Ks>
  static void add_kinds(KeyNode& k, std::variant<Ks...>* /*type only*/) {
    (add_one_kind<Ks>(k), ...);
  }
  template <class K>
  static void add_one_kind(KeyNode& k) {
    K kind;
    k.kinds.push_back({K::name, {}});
    TreeMaker inner(k.kinds.back().keys);
    fields(inner, kind);
  }

  std::vector<KeyNode>& keys_;
};

}  // namespace

std::vector<KeyNode> key_tree() {
  std::vector<KeyNode> keys;
  TreeMaker maker(keys);
  Settings settings;
  fields(maker, settings);
  return keys;
}

}  // namespace cra::scenarios
