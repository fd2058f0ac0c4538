// Attention without learning: the controls against which learned attention is to be read.
#include <algorithm>
#include <cmath>

#include "agents/rules.h"

namespace cra::agents {
namespace {

/// w = softmax(score / mean / temperature) * capacity. \param w [N] the scores; on return weights
void attend(const Seen& s, double temperature, double* w) {
  double mean = 0, top = 0;
  for (int n = 0; n < s.nodes; ++n) {
    mean += w[n] / s.nodes;
    top = std::max(top, w[n]);
  }
  const double scale = mean > 0 ? 1 / (mean * temperature) : 0;
  for (int n = 0; n < s.nodes; ++n) w[n] = s.capacity[n] * std::exp((w[n] - top) * scale);
}

/// How much work a node faces: q + ef; W error where progress takes the place of a queue.
double load_of(const Seen& s, int n) {
  return s.is_progress(n) ? s.importance[n] * s.error[n] : s.backlog[n] + s.fast[n];
}

const std::vector<double> kTemperatures{0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8};
constexpr double kSharpest = 0.01;  // the largest score takes all; at 0 nothing is defined

struct DynamicAttentionRule {
  static constexpr const char* name = "dynamic_attention";
  static constexpr const char* doc =
      "softmax(load / mean / temperature) * capacity; load = q + ef, or W error of progress nodes";
  static std::vector<Knob> knobs() { return {{"temperature", kTemperatures, kSharpest}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = load_of(s, n);
    attend(s, knob[0], w);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    double mean = 0, spread = 0;
    for (int n = 0; n < s.nodes; ++n) {
      mean += load_of(s, n) / s.nodes;
      spread += d[n] * load_of(s, n);
    }
    if (!(mean > 0)) return;
    // log w_n = load_n / (mean temperature) + ...: what is common to all nodes changes nothing.
    for (int n = 0; n < s.nodes; ++n) {
      const double d_load = (d[n] / mean - spread / (mean * mean) / s.nodes) / knob[0];
      if (s.is_progress(n)) {
        a.error[n] += d_load * s.importance[n];
      } else {
        a.backlog[n] += d_load;
      }
    }
  }
};

struct StaticAttentionRule {
  static constexpr const char* name = "static_attention";
  static constexpr const char* doc =
      "dynamic_attention with the load of an average slot: mean arrivals, or W of progress nodes";
  static std::vector<Knob> knobs() { return {{"temperature", kTemperatures, kSharpest}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = s.is_progress(n) ? s.importance[n] : s.base[n];
    attend(s, knob[0], w);
  }
};

struct RandomAttentionRule {
  static constexpr const char* name = "random_attention";
  static constexpr const char* doc = "dynamic_attention with loads drawn anew in every slot";
  static constexpr bool strict = true;
  static constexpr bool ordered = true;
  static std::vector<Knob> knobs() { return {{"temperature", {0.5, 1, 2, 8}, kSharpest}}; }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = chance(s, n);
    attend(s, knob[0], w);
  }
};

}  // namespace

std::vector<RuleEntry> attention_rules() {
  return entries_of<DynamicAttentionRule, StaticAttentionRule, RandomAttentionRule>();
}

}  // namespace cra::agents
