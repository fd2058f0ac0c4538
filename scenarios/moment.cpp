#include "scenarios/moment.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <system_error>

namespace cra::scenarios {
namespace {

// `digits` digits at the start of s, which are then gone; -1 when there are none.
int take_int(std::string_view& s, std::size_t digits) {
  int x = 0;
  const auto r = std::from_chars(s.data(), s.data() + std::min(digits, s.size()), x);
  if (r.ec != std::errc() || r.ptr != s.data() + digits || s.front() == '-') return -1;
  s.remove_prefix(digits);
  return x;
}

bool take(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

}  // namespace

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

std::optional<double> to_number(std::string_view text) {
  text = trimmed(text);
  double x = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), x);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || !std::isfinite(x)) {
    return std::nullopt;
  }
  return x;
}

std::optional<Moment> to_seconds(std::string_view text) {
  const std::optional<double> x = to_number(text);
  if (!x || std::abs(*x) > 1e15) return std::nullopt;
  const double whole = std::floor(*x);
  return Moment{static_cast<std::int64_t>(whole), *x - whole};
}

std::optional<Moment> to_date(std::string_view text) {
  std::string_view s = trimmed(text);
  const int year = take_int(s, 4);
  if (year < 0 || !take(s, '-')) return std::nullopt;
  const int month = take_int(s, 2);
  if (month < 0 || !take(s, '-')) return std::nullopt;
  const int day = take_int(s, 2);
  if (day < 0 || !take(s, ' ')) return std::nullopt;
  const int hour = take_int(s, 2);
  if (hour < 0 || hour > 23 || !take(s, ':')) return std::nullopt;
  const int minute = take_int(s, 2);
  if (minute < 0 || minute > 59 || !take(s, ':')) return std::nullopt;
  const int second = take_int(s, 2);
  if (second < 0 || second > 59) return std::nullopt;
  Moment m;
  if (!s.empty()) {
    const bool digits =
        s.size() > 1 && s.front() == '.' &&
        std::all_of(s.begin() + 1, s.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::optional<double> fraction = digits ? to_number(s) : std::nullopt;
    if (!fraction) return std::nullopt;
    m.fraction = *fraction;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  m.seconds = ((std::int64_t{days} * 24 + hour) * 60 + minute) * 60 + second;
  return m;
}

}  // namespace cra::scenarios
