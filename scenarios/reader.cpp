#include "scenarios/reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scenarios/number.h"

namespace cra::scenarios {
namespace {

std::string list_text(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

std::string suggestion(const std::string& found, const std::vector<std::string>& known) {
  const std::string best = did_you_mean(found, known);
  return best.empty() ? "" : "; did you mean \"" + best + "\"?";
}

// "pool.nodes is "many", expected a whole number"
void report_unexpected(const Node& n, const std::string& path, Report& report,
                       const std::string& expected) {
  if (n.kind == Node::Kind::broken) return;
  const std::string subject = path.empty() ? "the scenario" : path;
  report.add(n.place, subject + " is " + n.describe() + ", expected " + expected);
}

void report_fault(NumberFault fault, const Node& n, const std::string& path, Report& report,
                  const char* expected) {
  const std::string found = path + " is " + in_quotes(n.text) + ", ";
  switch (fault) {
    case NumberFault::leading_zero:
      report.add(n.place, found + "a number with a leading zero: octal to some, decimal to others");
      break;
    case NumberFault::not_finite:
      report.add(n.place, found + "expected a finite number");
      break;
    case NumberFault::too_large:
      report.add(n.place, found + "a number too large to hold");
      break;
    case NumberFault::too_small:
      report.add(n.place, found + "a number too close to 0 to hold; write 0 if that is meant");
      break;
    case NumberFault::not_a_number:
    case NumberFault::none:
      report.add(n.place, found + "expected " + expected);
      break;
  }
}

// A plain scalar, or reported.
bool expect_plain(const Node& n, const std::string& path, Report& report, const char* expected) {
  if (n.kind == Node::Kind::scalar && n.quoted) {
    report.add(n.place,
               path + " is " + n.describe() + ", expected " + expected + " without quotes");
    return false;
  }
  return expect(Node::Kind::scalar, n, path, report, expected);
}

void report_outside(const Node& n, const std::string& path, Report& report, const Limits& limits) {
  std::string text = path + " is " + n.text + ", outside " + range_text(limits.range);
  const std::string unit = limits.unit;
  if (!unit.empty() && unit != "1") text += " " + unit;
  report.add(n.place, std::move(text));
}

constexpr const char* kPerNode =
    "a number, a list with a number for each node, {uniform: [lo, hi]} or {group: number, ...}";

bool read_number(const Node& n, const std::string& path, Report& report, const Limits& limits,
                 const char* expected, double& out) {
  if (!expect_plain(n, path, report, expected)) return false;
  double x = 0;
  const NumberFault fault = parse_number(n.text, x);
  if (fault != NumberFault::none) {
    report_fault(fault, n, path, report, expected);
    return false;
  }
  if (!limits.range.contains(x)) {
    report_outside(n, path, report, limits);
    return false;
  }
  out = x;
  return true;
}

// Beyond 2^53 neighbours share a double, so an upper end is compared once more as a whole number.
bool contains_whole(const Range& r, std::int64_t x) {
  constexpr double kInt64End = 9223372036854775808.0;
  return r.contains(static_cast<double>(x)) &&
         !(x > 0 && r.hi < kInt64End && x > static_cast<std::int64_t>(r.hi));
}

void read_uniform(const Node& n, const std::string& path, Report& report, const Limits& limits,
                  sim::NodeValues& out) {
  if (n.items.size() != 2) {
    report.add(n.place,
               path + " has " + std::to_string(n.items.size()) + " elements, expected [lo, hi]");
    return;
  }
  sim::NodeValues::Uniform u;
  const bool lo = read_number(n.items[0], path + ".0", report, limits, "a number", u.lo);
  const bool hi = read_number(n.items[1], path + ".1", report, limits, "a number", u.hi);
  if (!lo || !hi) return;
  if (u.lo > u.hi) {
    report.add(n.place,
               path + " is [" + shortest(u.lo) + ", " + shortest(u.hi) + "], expected lo <= hi");
    return;
  }
  out.given = u;
}

}  // namespace

std::string range_text(const Range& r) {
  const bool lo = std::isfinite(r.lo);
  const bool hi = std::isfinite(r.hi);
  std::string out = r.lo_open || !lo ? "(" : "[";
  out += lo ? shortest(r.lo) : "-inf";
  out += ", ";
  out += hi ? shortest(r.hi) : "inf";
  out += r.hi_open || !hi ? ')' : ']';
  return out;
}

bool expect(Node::Kind kind, const Node& n, const std::string& path, Report& report,
            const char* expected) {
  if (n.kind == kind) return true;
  report_unexpected(n, path, report, expected);
  return false;
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               double& out) {
  read_number(n, path, report, limits, "a number", out);
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::int64_t& out) {
  constexpr const char* kExpected = "a whole number";
  if (!expect_plain(n, path, report, kExpected)) return;
  std::int64_t x = 0;
  const NumberFault fault = parse_whole(n.text, x);
  if (fault != NumberFault::none) {
    report_fault(fault, n, path, report, kExpected);
  } else if (!contains_whole(limits.range, x)) {
    report_outside(n, path, report, limits);
  } else {
    out = x;
  }
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               int& out) {
  // every int key has a range inside int, but a future one may forget it
  Limits narrow = limits;
  narrow.range.lo = std::max(narrow.range.lo, double{std::numeric_limits<int>::min()});
  narrow.range.hi = std::min(narrow.range.hi, double{std::numeric_limits<int>::max()});
  std::int64_t x = out;
  read_leaf(n, path, report, narrow, x);
  out = static_cast<int>(x);
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::array<int, 2>& out) {
  if (!expect(Node::Kind::sequence, n, path, report, "two whole numbers, [lo, hi]")) return;
  if (n.items.size() != 2) {
    report.add(n.place, path + " has " + std::to_string(n.items.size()) +
                            " elements, expected two whole numbers, [lo, hi]");
    return;
  }
  std::array<int, 2> found = out;
  read_leaf(n.items[0], path + ".0", report, limits, found[0]);
  read_leaf(n.items[1], path + ".1", report, limits, found[1]);
  if (found[0] > found[1]) {
    report.add(n.place, path + " is [" + std::to_string(found[0]) + ", " +
                            std::to_string(found[1]) + "], expected lo <= hi");
    return;
  }
  out = found;
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               std::vector<int>& out) {
  if (!expect(Node::Kind::sequence, n, path, report, "a list of whole numbers")) return;
  out.assign(n.items.size(), 0);
  for (std::size_t i = 0; i < n.items.size(); ++i)
    read_leaf(n.items[i], path + "." + std::to_string(i), report, limits, out[i]);
}

void read_leaf(const Node& n, const std::string& path, Report& report, const Limits& limits,
               sim::NodeValues& out) {
  switch (n.kind) {
    case Node::Kind::sequence: {
      std::vector<double> list(n.items.size());
      for (std::size_t i = 0; i < n.items.size(); ++i) {
        read_number(n.items[i], path + "." + std::to_string(i), report, limits, "a number",
                    list[i]);
      }
      out.given = std::move(list);
      return;
    }
    case Node::Kind::map: {
      const Node* uniform = n.find("uniform");
      if (n.items.size() == 1 && uniform != nullptr && uniform->kind == Node::Kind::sequence) {
        read_uniform(*uniform, path + ".uniform", report, limits, out);
        return;
      }
      sim::NodeValues::ByGroup groups;
      for (const Node& item : n.items) {
        double x = 0;
        read_number(item, path + "." + item.key, report, limits, "a number", x);
        groups.emplace_back(item.key, x);
      }
      out.given = std::move(groups);
      return;
    }
    default: {
      double x = 0;
      if (read_number(n, path, report, limits, kPerNode, x)) out.given = x;
    }
  }
}

void read_leaf(const Node& n, const std::string& path, Report& report, bool& out) {
  if (!expect_plain(n, path, report, "true or false")) return;
  if (n.text == "true" || n.text == "false") {
    out = n.text == "true";
  } else {
    report_unexpected(n, path, report, "true or false");
  }
}

void read_leaf(const Node& n, const std::string& path, Report& report, std::string& out) {
  if (expect(Node::Kind::scalar, n, path, report, "text")) out = n.text;
}

int read_choice(const Node& n, const std::string& path, Report& report,
                const std::vector<std::string>& names) {
  const std::string expected = "one of: " + list_text(names);
  if (!expect(Node::Kind::scalar, n, path, report, expected.c_str())) return -1;
  const auto it = std::find(names.begin(), names.end(), n.text);
  if (it != names.end()) return static_cast<int>(it - names.begin());
  report_unexpected(n, path, report, expected + suggestion(n.text, names));
  return -1;
}

int read_kind_name(const Node& n, const std::string& path, Report& report,
                   const std::vector<std::string>& names, int fallback) {
  if (n.kind == Node::Kind::map) {
    const Node* named = n.find("kind");
    if (named != nullptr) return read_choice(*named, path + ".kind", report, names);
    if (fallback < 0) {
      report.add(n.key.empty() ? n.place : n.key_place,
                 "missing required key \"kind\" in " + path + "\n  kinds: " + list_text(names));
    }
    return fallback;
  }
  if (n.kind == Node::Kind::scalar) return read_choice(n, path, report, names);
  report_unexpected(n, path, report, "a kind (" + list_text(names) + ") or a map with `kind`");
  return -1;
}

const Node* Reader::take(const Key& key) {
  known_.emplace_back(key.name);
  const Node* n = section_.kind == Node::Kind::map ? section_.find(key.name) : nullptr;
  if (n == nullptr && key.required) missing_.emplace_back(key.name);
  return n;
}

void Reader::finish() {
  const std::string where = path_.empty() ? "" : " in " + path_;
  for (const std::string& key : missing_) {
    report_.add(section_.key.empty() ? section_.place : section_.key_place,
                "missing required key " + in_quotes(key) + where);
  }
  if (section_.kind != Node::Kind::map) return;
  for (const Node& item : section_.items) {
    if (std::find(known_.begin(), known_.end(), item.key) != known_.end()) continue;
    if (report_.full()) {
      report_.count();
      continue;
    }
    report_.add(item.key_place, "unknown key " + in_quotes(item.key) + where +
                                    suggestion(item.key, known_) +
                                    "\n  known keys: " + list_text(known_));
  }
}

}  // namespace cra::scenarios
