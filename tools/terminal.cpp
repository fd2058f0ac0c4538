#include "tools/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace cra::tools {
namespace {

/// Number of characters of UTF-8 text: bytes that do not continue one.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

void print(const std::string& data) {
  errno = 0;
  const bool all = std::fwrite(data.data(), 1, data.size(), stdout) == data.size();
  if (!all || std::fflush(stdout) != 0) {
    const std::string text =
        std::string("cannot write to standard output: ") + std::strerror(errno);
    if (errno == EPIPE) throw ClosedPipe(text);
    throw Error(text);
  }
}

void tell(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stderr) != text.size()) return;
}

void warn(const std::string& text) {
  tell("cra: " + coloured("warning:", Colour::yellow) + " " + text + "\n");
}

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

bool colour_allowed() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != 0) return false;
  const char* term = std::getenv("TERM");
  return term == nullptr || std::strcmp(term, "dumb") != 0;
}

std::string coloured(const std::string& text, Colour colour) {
  if (!stderr_is_terminal() || !colour_allowed()) return text;
  static constexpr std::array<const char*, 3> kCodes{"31;1", "33;1", "1"};
  return std::string("\x1b[") + kCodes.at(static_cast<std::size_t>(colour)) + "m" + text +
         "\x1b[0m";
}

std::string fixed(double x, int decimals) {
  if (!std::isfinite(x)) return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
  std::array<char, 400> buffer{};  // 309 digits of the largest double, and decimals
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x,
                                          std::chars_format::fixed, decimals);
  if (error != std::errc()) return shortest(x);
  std::string text(buffer.data(), end);
  // A negative number that rounds to nothing is not negative.
  if (text[0] == '-' && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

std::string short_fixed(double x, int decimals, bool sign) {
  std::string text = fixed(x, decimals);
  const bool minus = text[0] == '-';
  if (minus) text.erase(0, 1);
  if (text.size() > 1 && text[0] == '0') text.erase(0, 1);
  return (minus ? "-" : sign ? "+" : "") + text;
}

std::string scientific(double x) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x,
                                    std::chars_format::scientific, 1);
  return {buffer.data(), result.ptr};
}

std::string shortest(double x) {
  std::array<char, 32> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x);
  return {buffer.data(), result.ptr};
}

std::string count_words(double n) {
  struct Step {
    double size;
    const char* word;
  };
  for (const Step s : {Step{1e9, " G"}, Step{1e6, " M"}, Step{1e4, " k"}}) {
    const double unit = s.size == 1e4 ? 1e3 : s.size;
    if (n >= s.size) return fixed(n / unit, n / unit < 10 ? 2 : n / unit < 100 ? 1 : 0) + s.word;
  }
  return fixed(n, 0);
}

std::string duration_words(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 10) return fixed(seconds, 1) + " s";
  const auto s = static_cast<long long>(std::llround(seconds));
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return std::to_string(s / 60) + " min " + std::to_string(s % 60) + " s";
  return std::to_string(s / 3600) + " h " + std::to_string(s / 60 % 60) + " min";
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& align) {
  std::vector<std::size_t> width;
  for (const auto& row : rows) {
    if (width.size() < row.size()) width.resize(row.size(), 0);
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], characters(row[c]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string gap(width[c] - characters(row[c]), ' ');
      line += "  " + (align[c] == 'l' ? row[c] + gap : gap + row[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace cra::tools
