// Rules that weigh nodes by what arrives and waits there.
#include <algorithm>
#include <cmath>

#include "agents/rules.h"

namespace cra::agents {
namespace {

struct DemandRule {
  static constexpr const char* name = "demand";
  static constexpr const char* doc = "shares in proportion to recent arrivals, ef + slow es";
  static std::vector<Knob> knobs() { return {{"slow", {0, 0.25, 0.5, 1, 2, 4, 8}}}; }
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = s.fast[n] + knob[0] * s.slow[n];
  }
};

/// The strongest simple rule where work queues.
struct DemandBacklogRule {
  static constexpr const char* name = "demand_backlog";
  static constexpr const char* doc = "(fast ef + (1 - fast) es + backlog q + offset) W^power";
  static std::vector<Knob> knobs() {
    return {{"fast", {0, 0.5, 1}, 0, 1},
            {"backlog", {0.25, 0.5, 1, 2, 4, 8, 16, 32, 64}},
            {"offset", {0.01, 0.05, 0.25, 1}},
            {"power", {0, 0.5, 1, 1.5, 2}}};
  }
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n)
      w[n] = (knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n] + knob[1] * s.backlog[n] + knob[2]) *
             std::pow(s.importance[n], knob[3]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double sum =
          knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n] + knob[1] * s.backlog[n] + knob[2];
      a.backlog[n] += d[n] * knob[1] / sum;
    }
  }
};

/// The generalised c-mu rule (Van Mieghem 1995) weighs a queue by the slope of its error; in
/// proportion instead of in strict order, because under lag a strict order starves.
struct SoftGeneralisedCmuRule {
  static constexpr const char* name = "gcmu_soft";
  static constexpr const char* doc =
      "(backlog q + ef + offset) W^importance (phi'((q + ahead ef) / scale) / scale)^power";
  static std::vector<Knob> knobs() {
    return {{"backlog", {1, 8, 64}},
            {"offset", {0.01, 0.1}},
            {"ahead", {0, 0.5}},
            {"importance", {0.5, 0.75, 1, 1.5, 2}},
            {"power", {0.125, 0.25, 0.5, 1, 1.5, 2, 3}}};
  }
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) {
      const double z = (s.backlog[n] + knob[2] * s.fast[n]) / s.scale[n];
      w[n] = (knob[0] * s.backlog[n] + s.fast[n] + knob[1]) * std::pow(s.importance[n], knob[3]) *
             std::pow(sim::backlog_phi_slope(z) / s.scale[n], knob[4]);
    }
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double z = (s.backlog[n] + knob[2] * s.fast[n]) / s.scale[n];
      a.backlog[n] += d[n] * knob[0] / (knob[0] * s.backlog[n] + s.fast[n] + knob[1]);
      if (z > 1e-9)  // at an empty queue the weight is 0 and has no logarithm
        a.backlog[n] += d[n] * knob[4] * sim::backlog_phi_curvature(z) /
                        (sim::backlog_phi_slope(z) * s.scale[n]);
    }
  }
};

/// Max-weight (Tassiulas, Ephremides 1992) with a softmax in place of the strict order.
struct SoftMaxWeightRule {
  static constexpr const char* name = "maxweight_soft";
  static constexpr const char* doc = "softmax(sharpness W (q + ef))";
  static std::vector<Knob> knobs() {
    return {{"sharpness", {0.0625, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8}}};
  }
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double* knob, double* w) {
    double top = 0;
    for (int n = 0; n < s.nodes; ++n) {
      w[n] = knob[0] * s.importance[n] * (s.backlog[n] + s.fast[n]);
      top = std::max(top, w[n]);
    }
    for (int n = 0; n < s.nodes; ++n) w[n] = std::exp(w[n] - top);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) a.backlog[n] += d[n] * knob[0] * s.importance[n];
  }
};

}  // namespace

std::vector<RuleEntry> queue_rules() {
  return entries_of<DemandRule, DemandBacklogRule, SoftGeneralisedCmuRule, SoftMaxWeightRule>();
}

}  // namespace cra::agents
