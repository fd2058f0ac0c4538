// scenarios/number.h: numbers as text, both ways, the same in every locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cra::scenarios {

enum class NumberFault {
  none,
  not_a_number,
  leading_zero,  ///< `010` is 8 to some readers and 10 to others
  not_finite,    ///< .inf, .nan and their kin
  too_large,     ///< beyond the largest double
  too_small,     ///< so close to 0 that a double cannot hold it
};

/// A YAML number, strictly: decimal digits, one point, one exponent; no `_`, no `0x`, no blanks.
NumberFault parse_number(std::string_view text, double& out);
/// The same with a whole value, exact over all of int64; `1e3` is a whole number.
/// `not_a_number` stands for a fraction as well.
NumberFault parse_whole(std::string_view text, std::int64_t& out);

/// Shortest decimal that reads back to the same double, for people: 4, 0.25, 1e9.
std::string shortest(double x);
/// The same as a float of YAML 1.1 and 1.2 alike: 4.0, 0.25, 1.0e+9. `1e9` is text to YAML 1.1.
std::string yaml_float(double x);

}  // namespace cra::scenarios
