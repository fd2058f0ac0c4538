// scenarios/moment.h: numbers and points in time as the fields of a log hold them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace cra::scenarios {

/// A point in time as whole seconds and a fraction: a double holds seconds since 1970 only to
/// 0.2 us, and logs are finer than that.
struct Moment {
  std::int64_t seconds = 0;
  double fraction = 0;
};
/// Seconds from one to the other.
inline double between(const Moment& from, const Moment& to) {
  return static_cast<double>(to.seconds - from.seconds) + (to.fraction - from.fraction);
}

/// The text without blanks at its ends.
std::string_view trimmed(std::string_view s);
/// A finite number; blanks around it are allowed.
std::optional<double> to_number(std::string_view text);
/// Seconds, up to 1e15 of them either way.
std::optional<Moment> to_seconds(std::string_view text);
/// `YYYY-MM-DD hh:mm:ss.fraction`, the fraction may be missing.
std::optional<Moment> to_date(std::string_view text);

}  // namespace cra::scenarios
