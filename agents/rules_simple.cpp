// Rules that look at no queue and no error.
#include <algorithm>
#include <cmath>

#include "agents/rules.h"

namespace cra::agents {
namespace {

struct UniformRule {
  static constexpr const char* name = "uniform";
  static constexpr const char* doc = "the same share for every node";
  static void weigh(const Seen& s, const double*, double* w) { std::fill_n(w, s.nodes, 1.0); }
};

struct CapacityRule {
  static constexpr const char* name = "capacity";
  static constexpr const char* doc = "shares in proportion to capacity";
  static void weigh(const Seen& s, const double*, double* w) {
    std::copy_n(s.capacity, s.nodes, w);
  }
};

/// The square root of the weight is what minimises sum W / share.
struct StaticRule {
  static constexpr const char* name = "static";
  static constexpr const char* doc = "steady mean arrivals * sqrt(W), whatever happens";
  static std::string unfit(const sim::Params& p) { return reads_queues(p); }
  static void weigh(const Seen& s, const double*, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = s.base[n] * std::sqrt(s.importance[n]);
  }
};

/// A control: what any rule must beat. Exponential draws, normalised, are uniform on the simplex.
/// A policy has no seed: the draws are those of the episode's number and the slot.
struct RandomRule {
  static constexpr const char* name = "random";
  static constexpr const char* doc = "shares drawn anew in every slot, uniform on the simplex";
  static constexpr bool strict = true;
  static constexpr bool ordered = true;
  static void weigh(const Seen& s, const double*, double* w) {
    for (int n = 0; n < s.nodes; ++n) w[n] = chance(s, n);
  }
};

}  // namespace

std::vector<RuleEntry> simple_rules() {
  return entries_of<UniformRule, CapacityRule, StaticRule, RandomRule>();
}

}  // namespace cra::agents
