#include "tools/svg.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/base.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr const char* kMinus = "\xE2\x88\x92";        // U+2212
constexpr const char* kEllipsis = "\xE2\x80\xA6";     // U+2026

/// Bytes of the character at `at`, 0 when they are no UTF-8 (overlong forms and surrogates
/// included).
std::size_t character_length(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length == 0 || first > 0xF4) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(at + 1);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : length;
}

/// Where the characters of a text begin.
std::vector<std::size_t> starts_of(const std::string& text) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size();
       at += std::max<std::size_t>(1, character_length(text, at)))
    starts.push_back(at);
  return starts;
}

std::string css_of(const std::string& css) { return css.empty() ? "" : " class=\"" + css + "\""; }

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text, at);
    const char c = text[at];
    if (length == 0 || (length == 1 && (static_cast<unsigned char>(c) < 32 || c == 127) &&
                        c != '\n' && c != '\t')) {
      out += kReplacement;
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out.append(text, at, length);
    }
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string shortened(const std::string& text, std::size_t most) {
  const std::vector<std::size_t> starts = starts_of(text);
  if (starts.size() <= most || most == 0) return text;
  return text.substr(0, starts[most - 1]) + kEllipsis;
}

std::string shortened_middle(const std::string& text, std::size_t most) {
  std::vector<std::size_t> starts = starts_of(text);
  constexpr std::size_t kTail = 4;
  if (starts.size() <= most || most <= kTail + 1) return shortened(text, most);
  return text.substr(0, starts[most - 1 - kTail]) + kEllipsis +
         text.substr(starts[starts.size() - kTail]);
}

double text_width(const std::string& text) {
  double width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, character_length(text, at));
    width += length >= 3 ? 12 : 7.2;
    at += length;
  }
  return width;
}

std::string number_text(double x, int decimals, bool sign) {
  std::string text = fixed(x, decimals);
  if (text[0] == '-') return kMinus + text.substr(1);
  const bool nothing = text.find_first_not_of("0.") == std::string::npos;
  return sign && !nothing ? "+" + text : text;
}

std::string coordinate(double x) {
  if (!std::isfinite(x)) throw Error("a coordinate of a drawing is not finite");
  std::string text = fixed(x, 2);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// ---- scales ----------------------------------------------------------------------------

double Scale::operator()(double x) const {
  if (std::isnan(x)) throw Error("a number of a drawing is not a number");
  const double at = std::clamp(x, low, high);
  const double share = log ? std::log(at / low) / std::log(high / low) : (at - low) / (high - low);
  return from + share * (to - from);
}

void Extent::add(double x) {
  if (!std::isfinite(x)) return;
  low = empty ? x : std::min(low, x);
  high = empty ? x : std::max(high, x);
  empty = false;
}

void Extent::add(std::span<const double> x) {
  for (const double v : x) add(v);
}

Scale Extent::scale(double from, double to, double margin) const {
  // Halves, so that the width of the largest numbers is finite.
  double half = high / 2 - low / 2;
  if (!(half > 1e-12 * std::max(std::abs(low), std::abs(high)))) {
    half = low == 0 && high == 0 ? 0.5 : std::max(std::abs(low), std::abs(high)) / 20;
    return {low - half, high + half, from, to, false};
  }
  return {low - 2 * margin * half, high + 2 * margin * half, from, to, false};
}

namespace {

std::vector<Tick> linear_ticks(const Scale& s, int about) {
  const double rough = (s.high - s.low) / std::max(1, about);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  const double step = power * (ratio < 1.42 ? 1 : ratio < 3.17 ? 2 : ratio < 7.08 ? 5 : 10);
  const int decimals = std::clamp(-static_cast<int>(std::floor(std::log10(step) + 1e-9)), 0, 12);
  std::vector<Tick> all;
  const double first = std::ceil(s.low / step - 1e-9);
  for (int i = 0; i < 50; ++i) {
    const double value = (first + i) * step;
    if (!(value <= s.high + 1e-9 * step)) break;
    const double size = std::max(std::abs(s.low), std::abs(s.high));
    std::string label = number_text(value, decimals);
    if (size >= 1e6 || (size >= 1e4 && step >= 1e3)) {
      const double unit = size >= 1e9 ? 1e9 : size >= 1e6 ? 1e6 : 1e3;
      const int digits =
          std::clamp(-static_cast<int>(std::floor(std::log10(step / unit) + 1e-9)), 0, 6);
      label = value == 0 ? "0"
                         : number_text(value / unit, digits) + (unit == 1e9   ? " G"
                                                                : unit == 1e6 ? " M"
                                                                              : " k");
    }
    all.push_back({value, label});
  }
  return all;
}

std::vector<Tick> log_ticks(const Scale& s, int about) {
  const int first = static_cast<int>(std::floor(std::log10(s.low))),
            last = static_cast<int>(std::ceil(std::log10(s.high)));
  const double decades = std::log10(s.high / s.low);
  const std::vector<double> steps =
      decades * 3 <= about ? std::vector<double>{1, 2, 5} : std::vector<double>{1};
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / std::max(1, about))));
  std::vector<Tick> all;
  for (int e = first; e <= last; ++e) {
    if (e % stride != 0) continue;
    for (const double step : steps) {
      const double value = step * std::pow(10.0, e);
      if (value < s.low * (1 - 1e-9) || value > s.high * (1 + 1e-9)) continue;
      all.push_back({value, e < -4 || e > 5 ? shortest(step) + "e" + number_text(e, 0)
                                            : number_text(value, std::max(0, -e))});
    }
  }
  return all;
}

}  // namespace

std::vector<Tick> ticks_of(const Scale& s, int about) {
  if (about <= 0) return {};
  return s.log ? log_ticks(s, about) : linear_ticks(s, about);
}

// ---- drawings --------------------------------------------------------------------------

Svg::Svg(double width, double height, const std::string& title, const std::string& description)
    : width_(width), height_(height) {
  head_ = "<svg viewBox=\"0 0 " + coordinate(width) + " " + coordinate(height) +
          "\" role=\"img\" aria-label=\"" + escaped(title) + "\"><title>" + escaped(title) +
          "</title><desc>" + escaped(description) + "</desc>";
}

void Svg::element(const std::string& start, const std::string& title) {
  body_ += start;
  if (title.empty()) {
    body_ += "/>";
    return;
  }
  const std::string name = start.substr(1, start.find(' ') - 1);
  body_ += "><title>" + escaped(title) + "</title></" + name + ">";
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& css) {
  body_ += "<line x1=\"" + coordinate(x1) + "\" y1=\"" + coordinate(y1) + "\" x2=\"" +
           coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\"" + css_of(css) + "/>";
}

void Svg::rect(double x, double y, double width, double height, const std::string& css) {
  body_ += "<rect x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" width=\"" +
           coordinate(std::max(0.0, width)) + "\" height=\"" + coordinate(std::max(0.0, height)) +
           "\"" + css_of(css) + "/>";
}

void Svg::circle(double x, double y, double radius, const std::string& css,
                 const std::string& title) {
  element("<circle cx=\"" + coordinate(x) + "\" cy=\"" + coordinate(y) + "\" r=\"" +
              coordinate(radius) + "\"" + css_of(css),
          title);
}

void Svg::polyline(std::span<const double> x, std::span<const double> y, const std::string& css,
                   const std::string& title) {
  Path line;
  bool down = false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool there = !std::isnan(x[i]) && !std::isnan(y[i]);
    if (there && down) line.line(x[i], y[i]);
    if (there && !down) line.move(x[i], y[i]);
    down = there;
  }
  path(line, css, title);
}

void Svg::path(const Path& path, const std::string& css, const std::string& title) {
  if (!path.empty()) element("<path d=\"" + path.data() + "\"" + css_of(css), title);
}

Path& Path::add(char command, double x, double y) {
  data_ += command;
  data_.append(coordinate(x)).append(" ").append(coordinate(y));
  return *this;
}

Path& Path::move(double x, double y) { return add('M', x, y); }
Path& Path::line(double x, double y) { return add('L', x, y); }

Path& Path::across(double dx) {
  data_.append("h").append(coordinate(dx));
  return *this;
}

Path& Path::down(double dy) {
  data_.append("v").append(coordinate(dy));
  return *this;
}

Path& Path::close() {
  data_ += 'Z';
  return *this;
}

void Svg::text(double x, double y, const std::string& content, const std::string& css,
               const char* anchor, const std::string& title) {
  body_ += "<text x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\"" + css_of(css);
  if (std::string(anchor) != "start") body_ += std::string(" text-anchor=\"") + anchor + "\"";
  body_ += ">";
  if (!title.empty()) body_ += "<title>" + escaped(title) + "</title>";
  body_ += escaped(content) + "</text>";
}

void Svg::open(const std::string& css, const std::string& attributes) {
  body_ += "<g" + css_of(css) + (attributes.empty() ? "" : " " + attributes) + ">";
}

void Svg::close() { body_ += "</g>"; }

std::string Svg::str() const { return head_ + body_ + "</svg>"; }

}  // namespace cra::tools
