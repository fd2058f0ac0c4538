#include "scenarios/dump.h"

#include <algorithm>
#include <cstddef>

#include "scenarios/number.h"

namespace cra::scenarios {
namespace {

template <class T>
std::string flow_list(const T& items) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ", ";
    out += yaml_value(item);
  }
  return out + "]";
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Words that some reader takes for a boolean or for nothing (YAML 1.1 and 1.2).
bool is_special_word(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords{"true", "false", "yes", "no", "on",
                                                          "off",  "null",  "y",   "n"};
  std::string low;
  for (const char c : text) low += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(kWords.begin(), kWords.end(), low) != kWords.end();
}

bool is_plain(std::string_view text) {
  if (text.empty() || !is_letter(text.front()) || is_special_word(text)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '/';
  });
}

}  // namespace

std::string yaml_text(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (is_plain(text)) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (u < 0x20 || u == 0x7F) {
      out += "\\x";
      out += kHex[u >> 4U];
      out += kHex[u & 15U];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string yaml_value(double x) { return yaml_float(x); }
std::string yaml_value(std::int64_t x) { return std::to_string(x); }
std::string yaml_value(int x) { return std::to_string(x); }
std::string yaml_value(const std::array<int, 2>& x) { return flow_list(x); }
std::string yaml_value(const std::vector<int>& x) { return flow_list(x); }
std::string yaml_value(bool x) { return x ? "true" : "false"; }
std::string yaml_value(const std::string& x) { return yaml_text(x); }
std::string yaml_value(const std::vector<std::string>& x) { return flow_list(x); }

std::string yaml_value(const sim::NodeValues& x) {
  struct Form {
    std::string operator()(double v) const { return yaml_float(v); }
    std::string operator()(const std::vector<double>& v) const { return flow_list(v); }
    std::string operator()(const sim::NodeValues::Uniform& u) const {
      return "{uniform: [" + yaml_float(u.lo) + ", " + yaml_float(u.hi) + "]}";
    }
    std::string operator()(const sim::NodeValues::ByGroup& groups) const {
      std::string out = "{";
      for (const auto& [name, v] : groups) {
        if (out.size() > 1) out += ", ";
        out += yaml_text(name) + ": " + yaml_float(v);
      }
      return out + "}";
    }
  };
  return std::visit(Form{}, x.given);
}

void Dumper::line(const char* key, const std::string& value) {
  std::size_t indent = static_cast<std::size_t>(indent_);
  if (in_list_) {
    out_.append(indent - 2, ' ');
    out_ += "- ";
    in_list_ = false;
  } else {
    out_.append(indent, ' ');
  }
  out_ += key;
  out_ += ':';
  if (!value.empty()) out_ += " " + value;
  out_ += '\n';
}

}  // namespace cra::scenarios
