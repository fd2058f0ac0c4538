#include "scenarios/report.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace cra::scenarios {
namespace {

constexpr std::size_t kClip = 60;          // bytes of a foreign text in a message
constexpr std::size_t kSourceBefore = 60;  // bytes of the source line before the caret
constexpr std::size_t kSourceAfter = 40;   // and after it

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

std::size_t characters(std::string_view s) {
  return static_cast<std::size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return !continues_character(c); }));
}

// Appends s with control bytes as \xNN: a message must not be able to steer the terminal.
void append_printable(std::string& out, std::string_view s) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\n') {
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
}

std::string_view clipped(std::string_view s, std::size_t bytes) {
  if (s.size() <= bytes) return s;
  while (bytes > 0 && continues_character(s[bytes])) --bytes;
  return s.substr(0, bytes);
}

// The line that holds `place`, without its line end.
std::string_view line_of(std::string_view text, int line) {
  std::size_t begin = 0;
  for (int l = 1; l < line; ++l) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return {};
    begin = end + 1;
  }
  std::string_view found = text.substr(begin, text.find('\n', begin) - begin);
  if (!found.empty() && found.back() == '\r') found.remove_suffix(1);
  return found;
}

// The source line and a caret below `column` (bytes, from 1), both indented by four.
std::string with_caret(std::string_view line, int column) {
  std::size_t at = std::min(static_cast<std::size_t>(column - 1), line.size());
  std::string_view shown = line;
  if (at > kSourceBefore) {
    std::size_t cut = at - kSourceBefore;
    while (cut < at && continues_character(shown[cut])) ++cut;
    shown.remove_prefix(cut);
    at -= cut;
  }
  shown = clipped(shown, at + kSourceAfter);
  std::string out = "    ";
  for (const char c : shown) {
    const auto u = static_cast<unsigned char>(c);
    out +=
        u < 0x20 || u == 0x7F ? ' ' : c;  // tabs and their kin take one column, so the caret fits
  }
  out += "\n    ";
  out.append(characters(shown.substr(0, at)), ' ');
  out += '^';
  return out;
}

}  // namespace

std::string_view without_mark(std::string_view text) {
  return text.substr(0, 3) == "\xEF\xBB\xBF" ? text.substr(3) : text;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  const std::string_view shown = clipped(text, kClip);
  append_printable(out, shown);
  if (shown.size() < text.size()) out += "...";
  out += '"';
  return out;
}

void Report::add(const Place& place, std::string text) {
  if (full()) {
    count();
  } else {
    found_.push_back({place, std::move(text)});
  }
}

void Report::add_elsewhere(std::string place, std::string text) {
  elsewhere_.push_back({std::move(place), std::move(text), ""});
}

std::vector<Diagnostic> Report::diagnostics(const std::string& path, std::string_view text,
                                            const std::vector<std::string>& overrides) const {
  std::vector<Found> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Found& a, const Found& b) {
    return std::tie(a.place.source, a.place.line, a.place.column) <
           std::tie(b.place.source, b.place.line, b.place.column);
  });
  text = without_mark(text);
  std::vector<Diagnostic> all;
  for (const Found& f : sorted) {
    if (all.size() == kShown) break;
    Diagnostic d;
    d.text = f.text;
    if (f.place.source == 0) {
      const std::string_view line = line_of(text, f.place.line);
      const auto column = static_cast<std::size_t>(f.place.column - 1);
      d.place = path + ":" + std::to_string(f.place.line) + ":" +
                std::to_string(characters(line.substr(0, std::min(column, line.size()))) + 1);
      if (!line.empty()) d.source = with_caret(line, f.place.column);
    } else {
      const std::string& given = overrides[static_cast<std::size_t>(f.place.source - 1)];
      const std::string_view shown = clipped(given, 2 * kClip);
      d.place = "--set ";
      append_printable(d.place, shown);
      if (shown.size() < given.size()) d.place += "...";
    }
    all.push_back(std::move(d));
  }
  const std::size_t hidden = sorted.size() - all.size() + uncounted_;
  if (hidden > 0) {
    all.push_back({all.back().place, "... and " + std::to_string(hidden) + " more", ""});
  }
  all.insert(all.end(), elsewhere_.begin(), elsewhere_.end());
  return all;
}

}  // namespace cra::scenarios
