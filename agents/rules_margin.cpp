// Rules that weigh nodes by their error, or by what service gains there.
#include <algorithm>
#include <cmath>

#include "agents/rules.h"

namespace cra::agents {
namespace {

/// Serves where service gains most just now. Myopic: under lag or decay it comes late.
struct MarginRule {
  static constexpr const char* name = "margin";
  static constexpr const char* doc =
      "(marginal gain of service per share of the budget + offset)^power";
  static std::vector<Knob> knobs() {
    return {{"offset", {0, 0.01, 0.1, 1}}, {"power", {0.25, 0.5, 1, 1.5, 2, 3, 4, 6}}};
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = std::pow(s.margin[n] + knob[0], knob[1]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n)
      if (s.margin[n] + knob[0] > 1e-12) a.margin[n] += d[n] * knob[1] / (s.margin[n] + knob[0]);
  }
};

/// The same with the importance of the coming slots where the calendar is known.
struct MarginAheadRule {
  static constexpr const char* name = "margin_ahead";
  static constexpr const char* doc =
      "(marginal gain, importance summed over the coming slots, + offset)^power";
  static std::vector<Knob> knobs() { return MarginRule::knobs(); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = std::pow(s.margin_ahead[n] + knob[0], knob[1]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n)
      if (s.margin_ahead[n] + knob[0] > 1e-12)
        a.margin_ahead[n] += d[n] * knob[1] / (s.margin_ahead[n] + knob[0]);
  }
};

/// More to the worse.
struct ErrorRule {
  static constexpr const char* name = "error";
  static constexpr const char* doc = "(W (error + 0.1))^power";
  static std::vector<Knob> knobs() { return {{"power", {0.25, 0.5, 1, 1.5, 2, 3, 4, 6}}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n)
      w[n] = std::pow(s.importance[n] * (s.error[n] + 0.1), knob[0]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) a.error[n] += d[n] * knob[0] / (s.error[n] + 0.1);
  }
};

}  // namespace

std::vector<RuleEntry> margin_rules() {
  return entries_of<MarginRule, MarginAheadRule, ErrorRule>();
}

}  // namespace cra::agents
