#include "scenarios/number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

namespace cra::scenarios {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view s) {
  if (!s.empty() && (s.front() == '+' || s.front() == '-')) s.remove_prefix(1);
  return s;
}

std::string_view take_digits(std::string_view& s) {
  std::size_t n = 0;
  while (n < s.size() && is_digit(s[n])) ++n;
  const std::string_view digits = s.substr(0, n);
  s.remove_prefix(n);
  return digits;
}

bool names_no_finite_number(std::string_view s) {
  if (!s.empty() && s.front() == '.') s.remove_prefix(1);
  std::string low;
  for (const char c : s) low += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return low == "inf" || low == "nan" || low == "infinity";
}

NumberFault check_shape(std::string_view text) {
  std::string_view s = without_sign(text);
  if (names_no_finite_number(s)) return NumberFault::not_finite;
  const std::string_view whole = take_digits(s);
  bool fraction = false;
  if (!s.empty() && s.front() == '.') {
    s.remove_prefix(1);
    fraction = !take_digits(s).empty();
  }
  if (whole.empty() && !fraction) return NumberFault::not_a_number;
  if (!s.empty() && (s.front() == 'e' || s.front() == 'E')) {
    s.remove_prefix(1);
    s = without_sign(s);
    if (take_digits(s).empty()) return NumberFault::not_a_number;
  }
  if (!s.empty()) return NumberFault::not_a_number;
  if (whole.size() > 1 && whole.front() == '0') return NumberFault::leading_zero;
  return NumberFault::none;
}

// Mantissa and exponent of the shortest decimal; the exponent without `+` and leading zeros.
struct Decimal {
  std::string mantissa;
  std::string exponent;
};

Decimal shortest_decimal(double x) {
  std::array<char, 40> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x).ptr;
  Decimal d;
  d.mantissa.assign(buffer.data(), end);
  const std::size_t e = d.mantissa.find('e');
  if (e == std::string::npos) return d;
  std::string digits = d.mantissa.substr(e + 1);
  d.mantissa.resize(e);
  const bool negative = digits.front() == '-';
  digits.erase(0, digits.find_first_not_of("+-0"));
  d.exponent = (negative ? "-" : "") + digits;
  return d;
}

}  // namespace

NumberFault parse_number(std::string_view text, double& out) {
  const NumberFault fault = check_shape(text);
  if (fault != NumberFault::none) return fault;
  if (text.front() == '+') text.remove_prefix(1);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (result.ec == std::errc::result_out_of_range) {
    // from_chars does not say which end; only a negative exponent or a long 0.000... is small
    std::string_view s = without_sign(text);
    const std::size_t e = s.find_first_of("eE");
    const bool small = (e != std::string_view::npos && s.substr(e + 1, 1) == "-") ||
                       (e == std::string_view::npos && (s.front() == '0' || s.front() == '.'));
    return small ? NumberFault::too_small : NumberFault::too_large;
  }
  return NumberFault::none;
}

NumberFault parse_whole(std::string_view text, std::int64_t& out) {
  double x = 0;
  const NumberFault fault = parse_number(text, x);
  if (fault != NumberFault::none) return fault;
  if (text.front() == '+') text.remove_prefix(1);
  const auto exact = std::from_chars(text.data(), text.data() + text.size(), out);
  if (exact.ec == std::errc() && exact.ptr == text.data() + text.size()) return NumberFault::none;
  if (std::abs(x) >= 9223372036854775808.0) return NumberFault::too_large;
  if (x != std::floor(x)) return NumberFault::not_a_number;
  out = static_cast<std::int64_t>(x);
  return NumberFault::none;
}

std::string shortest(double x) {
  const Decimal d = shortest_decimal(x);
  return d.exponent.empty() ? d.mantissa : d.mantissa + "e" + d.exponent;
}

std::string yaml_float(double x) {
  Decimal d = shortest_decimal(x);
  if (d.mantissa.find('.') == std::string::npos) d.mantissa += ".0";
  if (d.exponent.empty()) return d.mantissa;
  return d.mantissa + "e" + (d.exponent.front() == '-' ? "" : "+") + d.exponent;
}

}  // namespace cra::scenarios
