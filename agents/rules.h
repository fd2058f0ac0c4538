// agents/rules.h (internal): what a rule is made of, and the list of all rules.
//
// A rule turns what is known before the slot into weights of the nodes; the pool water-fills them.
// Adding one: write a struct in the rules_*.cpp of its kind with
//   name, doc                   as tables show them
//   knobs()                     what the tuner may set, with grids; optional
//   weigh(seen, knob, w)        the weights, finite and >= 0
//   pull(seen, knob, d, back)   the reverse of weigh(), when weights depend on what decisions move
// and these where they hold:
//   kind                        Kind::expert, Kind::planner, Kind::oracle; a heuristic otherwise
//   strict = true               weights jump or vanish: no start for a policy that learns
//   ordered = true              the order of the nodes matters, if only at ties
//   handles_down = true         weighs nodes that are down itself; other rules get a knob for the
//                               share of its weight that a node keeps while it is down
//   unfit(p)                    why it has nothing to say in a pool; empty when it has
//   actor(...) or oracle(...)   instead of weigh(), for rules that keep something between slots
// and put the struct in the list at the end of the file.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "agents/agents.h"

namespace cra::agents {

/// What a rule reads: one environment's rows, [N] each, see sim::Batch.
struct Seen {
  int nodes;
  const double* backlog;       ///< q
  const double* progress;      ///< x; nullptr without progress nodes
  const double* rate;          ///< m, placed now
  const double* fast;          ///< ef; arrivals of the coming slot where they are shown
  const double* slow;          ///< es
  const double* base;          ///< steady mean arrivals
  const double* importance;    ///< W
  const double* error;         ///< eps
  const double* margin;        ///< marginal gain of service per budget share, times W
  const double* margin_ahead;  ///< the same with the importance of the coming slots
  const double* availability;  ///< as seen in the slot before, or of the coming one if shown
  const double* down_slots;
  const double* health;  ///< nullptr without failures
  const double* capacity;
  const double* scale;  ///< backlog that counts as large, kappa
  std::int64_t episode;
  int slot;
  double placed;  ///< share of the budget that is placed, what the reserve leaves
  const sim::Params& params;

  bool is_progress(int n) const { return params.pool.is_progress(n); }
};

/// Where the reverse of a rule sends gradients: one environment's rows of an adjoint, [N] each.
struct Back {
  double* backlog;
  double* rate;
  double* error;
  double* margin;
  double* margin_ahead;
};

using KnobValues = std::vector<double>;

/// A rule as data, so that a name becomes functions once, at load.
struct RuleEntry {
  std::string name, doc;
  Kind kind;
  std::vector<Knob> knobs;
  bool strict, ordered, handles_down;
  std::string (*unfit)(const sim::Params&);
  void (*weigh)(const Seen&, const double* knob, double* w);
  /// nullptr: weights do not depend on what decisions move, or the rule is strict
  void (*pull)(const Seen&, const double* knob, const double* d_log_w, Back);
  std::unique_ptr<Actor> (*actor)(const KnobValues&, const sim::Params&, std::int64_t envs);
  std::unique_ptr<Actor> (*oracle)(const KnobValues&, const sim::Params&, const sim::Exogenous&,
                                   std::int64_t envs);
};

template <class R>
RuleEntry entry_of() {
  RuleEntry e{R::name, R::doc,  Kind::heuristic, {},      false,   false,
              false,   nullptr, nullptr,         nullptr, nullptr, nullptr};
  if constexpr (requires { R::kind; }) e.kind = R::kind;
  if constexpr (requires { R::knobs(); }) e.knobs = R::knobs();
  if constexpr (requires { R::strict; }) e.strict = R::strict;
  if constexpr (requires { R::ordered; }) e.ordered = R::ordered;
  if constexpr (requires { R::handles_down; }) e.handles_down = R::handles_down;
  if constexpr (requires { &R::unfit; }) e.unfit = &R::unfit;
  if constexpr (requires { &R::weigh; }) e.weigh = &R::weigh;
  if constexpr (requires { &R::pull; }) e.pull = &R::pull;
  if constexpr (requires { &R::actor; }) e.actor = &R::actor;
  if constexpr (requires { &R::oracle; }) e.oracle = &R::oracle;
  return e;
}
template <class... R>
std::vector<RuleEntry> entries_of() {
  return {entry_of<R>()...};
}

// The lists, one per file, in the order in which results list them.
std::vector<RuleEntry> simple_rules();
std::vector<RuleEntry> queue_rules();
std::vector<RuleEntry> margin_rules();
std::vector<RuleEntry> attention_rules();
std::vector<RuleEntry> fill_rules();
std::vector<RuleEntry> optimum_rules();
std::vector<RuleEntry> expert_rules();
std::vector<RuleEntry> planner_rules();

/// The rule of a name. \throws Error on an unknown one
const RuleEntry& rule_entry(const std::string& name);

/// unfit() of rules whose weights mean nothing at a progress node.
inline std::string reads_queues(const sim::Params& p) {
  return p.pool.has_progress() ? "reads queues, but this pool has progress nodes" : "";
}

/// unfit() of rules that learn or plan by the gradient through the simulator.
inline std::string needs_gradient(const sim::Params& p) {
  return p.pool.lottery() != nullptr
             ? "follows the gradient through the simulator, and service by lottery has none"
             : "";
}

/// A draw from Exp(1) that belongs to the episode, the slot and the node.
inline double chance(const Seen& s, int n) {
  constexpr std::uint64_t kKey = 0x72616e646f6d;  // a policy has no seed
  Draws draws(kKey, EpisodeSet::evaluation, s.episode, Stream::exploration, n, s.slot);
  return -std::log(draws.uniform());
}

}  // namespace cra::agents
