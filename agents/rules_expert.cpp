// Experts: rules written for one kind of scenario, by somebody who knows how its work arrives or
// its nodes fail. They show how much of what learning gains is plain knowledge of the domain. The
// reference of a comparison stays the best heuristic, which knows what every policy knows.
#include <cmath>

#include "agents/rules.h"

namespace cra::agents {
namespace {

template <class Part>
bool has_part(const sim::Params& p) {
  for (const sim::WorkloadPart& part : p.workload.parts)
    if (std::holds_alternative<Part>(part)) return true;
  return false;
}

/// Knows which way platoons go: what is at the node before will be here soon.
struct NeighbourRule {
  static constexpr const char* name = "neighbour";
  static constexpr const char* doc =
      "(ef + backlog q + flow ef' + queue q') W, where ' is the node a platoon comes from";
  static constexpr Kind kind = Kind::expert;
  static constexpr bool ordered = true;
  static std::vector<Knob> knobs() {
    return {{"backlog", {4, 8, 16, 32, 64, 128}},
            {"flow", {0, 1, 2, 4, 8, 16}},
            {"queue", {0, 1, 4, 8, 16, 32}}};
  }
  static std::string unfit(const sim::Params& p) {
    if (p.pool.geometry == sim::Geometry::none || !has_part<sim::CascadePart>(p))
      return "knows which way platoons go, but this pool has no ring or chain with a cascade";
    return reads_queues(p);
  }
  /// The node before n; -1 at the head of a chain.
  static int before(const Seen& s, int n) {
    if (n > 0) return n - 1;
    return s.params.pool.geometry == sim::Geometry::ring ? s.nodes - 1 : -1;
  }
  static double sum(const Seen& s, const double* knob, int n) {
    const int from = before(s, n);
    return s.fast[n] + knob[0] * s.backlog[n] + 1e-6 +
           (from < 0 ? 0 : knob[1] * s.fast[from] + knob[2] * s.backlog[from]);
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = sum(s, knob, n) * s.importance[n];
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double d_sum = d[n] / sum(s, knob, n);
      a.backlog[n] += d_sum * knob[0];
      if (before(s, n) >= 0) a.backlog[before(s, n)] += d_sum * knob[2];
    }
  }
};

/// Knows that a worn node will fail and how long a repair takes: drains queues while it can, and
/// places resource at a node that is down shortly before it returns.
struct HealthRule {
  static constexpr const char* name = "health";
  static constexpr const char* doc =
      "softmax(load / mean / temperature) * capacity, load = (backlog q + ef) (1 + wear health); "
      "nodes that are down count again after `resume` slots";
  static constexpr Kind kind = Kind::expert;
  static constexpr bool handles_down = true;
  static std::vector<Knob> knobs() {
    return {{"backlog", {1, 2, 4}},
            {"wear", {0, 1, 2}},
            {"temperature", {0.5, 1, 2, 4}, 0.01},
            {"resume", {5, 6, 7, 8}, 1}};
  }
  static std::string unfit(const sim::Params& p) {
    if (std::holds_alternative<sim::NoFailures>(p.workload.failures))
      return "knows how nodes fail, but here none does";
    return reads_queues(p);
  }
  static double alarm(const Seen& s, const double* knob, int n) {
    return s.health == nullptr ? 1 : 1 + knob[1] * std::max(0.0, s.health[n]);
  }
  static double load(const Seen& s, const double* knob, int n) {
    return (knob[0] * s.backlog[n] + s.fast[n]) * alarm(s, knob, n);
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    double mean = 0, top = 0;
    for (int n = 0; n < s.nodes; ++n) {
      mean += load(s, knob, n) / s.nodes;
      top = std::max(top, load(s, knob, n));
    }
    const double scale = mean > 0 ? 1 / (mean * knob[2]) : 0;
    for (int n = 0; n < s.nodes; ++n) {
      const double up = s.down_slots[n] >= knob[3] ? 1 : s.availability[n];
      w[n] = up * s.capacity[n] * std::exp((load(s, knob, n) - top) * scale);
    }
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    double mean = 0, spread = 0;
    for (int n = 0; n < s.nodes; ++n) {
      mean += load(s, knob, n) / s.nodes;
      spread += d[n] * load(s, knob, n);
    }
    if (!(mean > 0)) return;
    for (int n = 0; n < s.nodes; ++n)
      a.backlog[n] +=
          (d[n] / mean - spread / (mean * mean) / s.nodes) / knob[2] * knob[0] * alarm(s, knob, n);
  }
};

/// Knows that placed rates move slowly: subtracts what a queue will get anyway.
struct PlacedRule {
  static constexpr const char* name = "placed";
  static constexpr const char* doc =
      "((fast ef + (1 - fast) es + backlog q + offset - placed rate) W phi'(q / scale)^slope "
      "/ sqrt(scale))^power";
  static constexpr Kind kind = Kind::expert;
  static std::vector<Knob> knobs() {
    return {{"fast", {0, 0.5, 1}, 0, 1},     {"backlog", {0.25, 0.5, 1, 2, 4, 8}},
            {"offset", {0.1, 0.3, 1}},       {"placed", {0, 0.5, 1, 1.5, 2}},
            {"slope", {0, 0.25, 0.5, 1, 2}}, {"power", {0.5, 1, 1.5, 2}}};
  }
  static std::string unfit(const sim::Params& p) {
    if (!has_part<sim::TracePart>(p))
      return "was written for request logs, but this workload has no trace";
    return reads_queues(p);
  }
  static constexpr double kLeast = 1e-3;  // what little a node gets whose queue is covered
  static double sum(const Seen& s, const double* knob, int n) {
    return knob[0] * s.fast[n] + (1 - knob[0]) * s.slow[n] + knob[1] * s.backlog[n] + knob[2] -
           knob[3] * s.rate[n];
  }
  static double steepness(const Seen& s, int n) {
    return sim::backlog_phi_slope(s.backlog[n] / s.scale[n]) + kLeast;
  }
  static void weigh(const Seen& s, const double* knob, double* w) {
    for (int n = 0; n < s.nodes; ++n)
      w[n] = std::pow(std::max(sum(s, knob, n), kLeast) * s.importance[n] *
                          std::pow(steepness(s, n), knob[4]) / std::sqrt(s.scale[n]),
                      knob[5]);
  }
  static void pull(const Seen& s, const double* knob, const double* d, Back a) {
    for (int n = 0; n < s.nodes; ++n) {
      const double scale = s.scale[n], z = s.backlog[n] / scale;
      a.backlog[n] +=
          d[n] * knob[5] * knob[4] * sim::backlog_phi_curvature(z) / (steepness(s, n) * scale);
      if (!(sum(s, knob, n) > kLeast)) continue;
      a.backlog[n] += d[n] * knob[5] * knob[1] / sum(s, knob, n);
      a.rate[n] -= d[n] * knob[5] * knob[3] / sum(s, knob, n);
    }
  }
};

}  // namespace

std::vector<RuleEntry> expert_rules() {
  return entries_of<NeighbourRule, HealthRule, PlacedRule>();
}

}  // namespace cra::agents
