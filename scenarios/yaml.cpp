#include "scenarios/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace cra::scenarios {
namespace {

constexpr const char* kTooMany = "more than 100000 values";
static_assert(kMaxYamlNodes == 100000);

// False when `s` begins with a quote that does not end in it. yaml-cpp takes the end of the text
// after a line break for a closing quote; parse_yaml adds a missing one, so that it always does
// and the place of the quote can be told.
bool closes_quote(std::string_view s) {
  if (s.empty() || (s.front() != '"' && s.front() != '\'')) return true;
  const char quote = s.front();
  for (std::size_t i = 1; i < s.size(); ++i) {
    if (quote == '"' && s[i] == '\\') {
      ++i;
    } else if (s[i] == quote) {
      if (quote == '"' || i + 1 == s.size() || s[i + 1] != quote) return true;
      ++i;  // '' stands for one '
    }
  }
  return false;
}

// Thrown after the reason has been reported, to leave yaml-cpp's parser.
struct Stop : std::exception {};

class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string_view text, int source, Report& report)
      : text_(text), source_(source), report_(report) {}

  std::optional<Node> take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    stop(mark, at(mark).substr(0, 3) == "---"
                   ? "a second document starts here; a scenario is one document"
                   : "text after the end of the document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (expects_key()) stop(mark, "a key is missing here");
    Node n;
    n.kind = Node::Kind::null;
    n.place = place_of_null(mark);
    deliver(std::move(n), mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    if (expects_key()) stop(mark, "an alias cannot be a key; write the key out");
    report_.add(place(mark), "aliases (`*name`) are not allowed; write the value out");
    Node n;
    n.kind = Node::Kind::broken;
    n.place = place(mark);
    deliver(std::move(n), mark);
  }
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    report_.add(place(mark), "anchor " + in_quotes("&" + name) +
                                 ": anchors and aliases are not allowed; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    check_tag(mark, tag);
    if (value.find('\0') != std::string::npos) stop(mark, "text with a NUL character");
    if (!closes_quote(at(mark))) stop(mark, "a quote that is never closed");
    if (expects_key()) {
      take_key(mark, value, tag == "!");
      return;
    }
    Node n;
    n.kind = Node::Kind::scalar;
    n.place = place(mark);
    n.text = value;
    n.quoted = tag == "!";
    deliver(std::move(n), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, Node::Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, Node::Kind::map);
  }
  void OnMapEnd() override { close(); }

  [[noreturn]] void stop(const YAML::Mark& mark, std::string text) {
    report_.add(place(mark), std::move(text));
    throw Stop();
  }

 private:
  struct Frame {
    Node node;
    bool has_key = false;  // of a map: the key came, the value is next
    std::string key;
    Place key_place;
    bool drop = false;  // the value belongs to a key that is not allowed
    std::unordered_map<std::string, int> line_of_key;
  };

  Place place(const YAML::Mark& mark) const {
    if (mark.is_null()) return {source_, 1, 1};
    return {source_, mark.line + 1, mark.column + 1};
  }
  std::string_view at(const YAML::Mark& mark) const {
    if (mark.pos < 0 || static_cast<std::size_t>(mark.pos) >= text_.size()) return {};
    return text_.substr(static_cast<std::size_t>(mark.pos));
  }
  // yaml-cpp marks a missing value at the token that follows it, which may be lines below.
  Place place_of_null(const YAML::Mark& mark) const {
    const std::string_view here = at(mark);
    if (here.substr(0, 1) == "~" || here.substr(0, 4) == "null" || here.substr(0, 4) == "Null" ||
        here.substr(0, 4) == "NULL" || stack_.empty()) {
      return place(mark);
    }
    const Frame& f = stack_.back();
    return f.has_key ? f.key_place : f.node.place;
  }

  bool expects_key() const {
    return !stack_.empty() && stack_.back().node.kind == Node::Kind::map && !stack_.back().has_key;
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" stands for a plain scalar or collection, "!" for a quoted one; a written `!` looks alike
    const bool written = at(mark).substr(0, 1) == "!";
    if (tag.empty() || tag == "?" || (tag == "!" && !written)) return;
    report_.add(place(mark), "tag " + in_quotes(tag) +
                                 ": tags are not allowed; what a value is follows from its key");
  }

  void count(const YAML::Mark& mark) {
    if (++nodes_ > kMaxYamlNodes) {
      stop(mark, kTooMany);
    }
  }

  void take_key(const YAML::Mark& mark, const std::string& key, bool is_quoted) {
    count(mark);
    Frame& f = stack_.back();
    f.has_key = true;
    f.key = key;
    f.key_place = place(mark);
    f.drop = false;
    if (key == "<<" && !is_quoted) {
      report_.add(f.key_place, "merge key `<<` is not allowed; write the keys out");
      f.drop = true;
      return;
    }
    const auto [first, is_new] = f.line_of_key.emplace(key, f.key_place.line);
    if (is_new) return;
    f.drop = true;
    if (report_.full()) {
      report_.count();
      return;
    }
    report_.add(f.key_place, "key " + in_quotes(key) + " is set twice: in line " +
                                 std::to_string(first->second) + " and in line " +
                                 std::to_string(f.key_place.line));
  }

  void open(const YAML::Mark& mark, const std::string& tag, Node::Kind kind) {
    if (expects_key()) {
      stop(mark, "a key must be plain text, not a list or a map (or a bracket is never closed)");
    }
    check_tag(mark, tag);
    if (stack_.size() >= static_cast<std::size_t>(kMaxYamlDepth)) {
      stop(mark, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels");
    }
    count(mark);
    Frame f;
    f.node.kind = kind;
    f.node.place = place(mark);
    stack_.push_back(std::move(f));
  }
  void close() {
    Node n = std::move(stack_.back().node);
    stack_.pop_back();
    put(std::move(n));
  }
  void deliver(Node n, const YAML::Mark& mark) {
    count(mark);
    put(std::move(n));
  }
  void put(Node n) {
    if (stack_.empty()) {
      root_ = std::move(n);
      return;
    }
    Frame& f = stack_.back();
    if (f.node.kind == Node::Kind::map) {
      f.has_key = false;
      if (f.drop) return;
      n.key = std::move(f.key);
      n.key_place = f.key_place;
    }
    f.node.items.push_back(std::move(n));
  }

  std::string_view text_;
  int source_;
  Report& report_;
  std::vector<Frame> stack_;
  std::optional<Node> root_;
  int documents_ = 0;
  int nodes_ = 0;
};

// Length of the UTF-8 character at the start of s; 0 when there is none (overlong forms,
// surrogates and code points beyond U+10FFFF are none).
std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned a = byte(0);
  const unsigned b = byte(1);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a <= 0xDF && tail(1)) return 2;
  if (a >= 0xE0 && a <= 0xEF && tail(1) && tail(2)) {
    if ((a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F)) return 0;
    return 3;
  }
  if (a >= 0xF0 && a <= 0xF4 && tail(1) && tail(2) && tail(3)) {
    if ((a == 0xF0 && b < 0x90) || (a == 0xF4 && b > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

// Counts the characters that make values, so that a hostile megabyte of brackets is refused before
// yaml-cpp spends a quarter of a second on it. Text may hold them too, but not by the ten thousand.
class Tally {
 public:
  bool too_many(std::string_view text, std::size_t i) {
    static constexpr std::string_view kMakers = "[{,&*!%";
    const char c = text[i];
    if (kMakers.find(c) != std::string_view::npos) return ++makers_ > kMaxYamlNodes;
    if (c != ':' && c != '-' && c != '?') return false;
    const char next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (next != ' ' && next != '\n' && next != '\r' && next != c) return false;
    return ++pairs_ > kMaxYamlNodes / 2;
  }

 private:
  int makers_ = 0;
  int pairs_ = 0;  // a key and a value, or an element and its dash
};

// Reports the first byte that YAML text may not hold. yaml-cpp itself guesses an encoding and
// takes 0x04 for the end of the file.
bool is_text(std::string_view text, int source, Report& report) {
  static constexpr char kHex[] = "0123456789abcdef";
  Place place{source, 1, 1};
  Tally tally;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (tally.too_many(text, i)) {
      report.add(place, kTooMany);
      return false;
    }
    const std::string hex{kHex[c >> 4U], kHex[c & 15U]};
    if (c == 0) {
      report.add(place, "NUL byte: not a text file");
      return false;
    }
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
      report.add(place, "control character 0x" + hex + ": not a text file");
      return false;
    }
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      report.add(place, "byte 0x" + hex + " is not UTF-8: save the file as UTF-8 text");
      return false;
    }
    i += length;
    place.column += static_cast<int>(length);
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    }
  }
  return true;
}

bool is_indented_with_tab(std::string_view text, int line) {
  for (int l = 1; l < line; ++l) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

}  // namespace

const Node* Node::find(std::string_view name) const {
  const auto it =
      std::find_if(items.begin(), items.end(), [&](const Node& n) { return n.key == name; });
  return it == items.end() ? nullptr : &*it;
}

Node* Node::find(std::string_view name) {
  return const_cast<Node*>(std::as_const(*this).find(name));
}

std::string Node::describe() const {
  switch (kind) {
    case Kind::sequence:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::scalar:
      return quoted ? "the text " + in_quotes(text) : in_quotes(text);
    case Kind::null:
    case Kind::broken:
      break;
  }
  return "empty";
}

std::optional<Node> parse_yaml(std::string_view text, int source, Report& report) {
  const Place start{source, 1, 1};
  if (text.size() > kMaxScenarioBytes) {
    report.add(start, "larger than 1 MiB: not a scenario");
    return std::nullopt;
  }
  text = without_mark(text);
  if (!is_text(text, source, report)) return std::nullopt;
  Builder builder(text, source, report);
  try {
    const bool ends_line = !text.empty() && text.back() == '\n';
    std::istringstream in(std::string(text) + (ends_line ? "" : "\n"));  // see closes_quote()
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take();
  } catch (const Stop&) {
  } catch (const YAML::Exception& e) {
    const Place place =
        e.mark.is_null() ? start : Place{source, e.mark.line + 1, e.mark.column + 1};
    std::string reason = "not valid YAML: " + e.msg;
    if (is_indented_with_tab(text, place.line)) reason += " (the line is indented with a tab)";
    report.add(place, std::move(reason));
  } catch (const std::exception& e) {
    report.add(start, std::string("not valid YAML: ") + e.what());
  }
  return std::nullopt;
}

}  // namespace cra::scenarios
