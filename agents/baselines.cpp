// Rules as policies: the list of all rules by name, and the actors that run them.
#include <algorithm>
#include <array>

#include "agents/rules.h"

namespace cra::agents {
namespace {

const std::vector<RuleEntry>& entries() {
  static const std::vector<RuleEntry> all = [] {
    std::vector<RuleEntry> list;
    for (const auto& some : {simple_rules(), queue_rules(), attention_rules(), margin_rules(),
                             fill_rules(), optimum_rules(), expert_rules(), planner_rules()})
      list.insert(list.end(), some.begin(), some.end());
    return list;
  }();
  return all;
}

/// The knob that every rule has in a pool with a reserve, last: the share it keeps back.
const Knob kReserveKnob{"reserve", {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}, 0, 1};

/// The knob that rules which do not weigh nodes that are down themselves have in a pool with
/// failures, after their own. At 0 a node loses its share as soon as it is seen down, and has to
/// wait for it once it is back, because placement is slow; at 1 its share is idle while it is down.
const Knob kDownKnob{"down", {0, 0.1, 0.25, 0.5, 1}, 0, 1};

bool has_down_knob(const RuleEntry& e, const sim::Params& p) {
  return e.weigh != nullptr && !e.handles_down &&
         !std::holds_alternative<sim::NoFailures>(p.workload.failures);
}

void check_knobs(const Rule& rule, const sim::Params& p) {
  const std::size_t expected = baseline_knobs(rule.name, p).size();
  CRA_CHECK(rule.knobs.size() == expected, "baseline " + rule.name + " takes " +
                                               std::to_string(expected) + " knobs, got " +
                                               std::to_string(rule.knobs.size()));
}

/// Runs a rule that keeps nothing between slots.
class RuleActor : public Actor {
 public:
  RuleActor(const RuleEntry& entry, const KnobValues& knobs, const sim::Params& p)
      : entry_(entry),
        knobs_(knobs),
        params_(p),
        down_(has_down_knob(entry, p) ? knobs[entry.knobs.size()] : 0) {
    for (int n = 0; n < p.pool.nodes; ++n) scale_.push_back(sim::backlog_scale(p, n));
  }

  void act(const sim::Batch& b, View<double> decisions) override {
    CRA_CHECK(decisions.rows == b.envs && decisions.cols == sim::bundle_size(params_),
              "act: decisions have the wrong shape");
    for (std::int64_t e = 0; e < b.envs; ++e) {
      const std::size_t row = b.at(e);
      double* w = decisions.row(e);
      entry_.weigh(seen(b, e), knobs_.data(), w);
      if (!entry_.handles_down)
        for (int n = 0; n < b.nodes; ++n)
          w[n] *= down_ + (1 - down_) * up(b)[row + static_cast<std::size_t>(n)];
      if (decisions.cols > b.nodes) w[b.nodes] = knobs_.back();
    }
  }

  void pull(const sim::Batch& b, View<const double> d_log_weights, sim::Adjoint& a) override {
    if (entry_.pull == nullptr) return;
    for (std::int64_t e = 0; e < b.envs; ++e) {
      const std::size_t row = b.at(e);
      entry_.pull(seen(b, e), knobs_.data(), d_log_weights.row(e),
                  {a.backlog.data() + row, a.rate.data() + row, a.error.data() + row,
                   a.margin.data() + row, a.margin_ahead.data() + row});
    }
  }

 private:
  // Where the slot to come is shown there is nothing to forecast.
  static const std::vector<double>& up(const sim::Batch& b) {
    return b.available_now.empty() ? b.availability : b.available_now;
  }
  static const std::vector<double>& arrivals(const sim::Batch& b) {
    return b.arrivals_now.empty() ? b.arrivals_fast : b.arrivals_now;
  }

  Seen seen(const sim::Batch& b, std::int64_t e) const {
    const std::size_t row = b.at(e);
    const auto rows_of = [row](const std::vector<double>& x) {
      return x.empty() ? nullptr : x.data() + row;
    };
    return {b.nodes,
            rows_of(b.backlog),
            rows_of(b.progress),
            rows_of(b.rate),
            rows_of(arrivals(b)),
            rows_of(b.arrivals_slow),
            b.base_rate.data(),
            rows_of(b.importance),
            rows_of(b.error),
            rows_of(b.margin),
            rows_of(b.margin_ahead),
            rows_of(up(b)),
            rows_of(b.down_slots),
            rows_of(b.health),
            params_.pool.capacity.value.data(),
            scale_.data(),
            b.episode[static_cast<std::size_t>(e)],
            b.slot,
            params_.pool.shared_reserve() != nullptr ? 1 - knobs_.back() : 1.0,
            params_};
  }

  const RuleEntry& entry_;
  const KnobValues& knobs_;
  const sim::Params& params_;
  double down_;                ///< share of its weight that a node keeps while it is down
  std::vector<double> scale_;  ///< [N]
};

class RulePolicy : public Policy {
 public:
  RulePolicy(const Rule& rule, const sim::Params& p)
      : entry_(rule_entry(rule.name)), knobs_(rule.knobs), params_(p) {
    CRA_CHECK(entry_.oracle == nullptr,
              "baseline " + rule.name + " knows the future, which no policy does");
    check_knobs(rule, p);
  }
  std::unique_ptr<Actor> actor(std::int64_t envs) const override {
    if (entry_.actor != nullptr) return entry_.actor(knobs_, params_, envs);
    return std::make_unique<RuleActor>(entry_, knobs_, params_);
  }

 private:
  const RuleEntry& entry_;
  KnobValues knobs_;
  const sim::Params& params_;
};

class RuleOracle : public Oracle {
 public:
  RuleOracle(const Rule& rule, const sim::Params& p)
      : entry_(rule_entry(rule.name)), knobs_(rule.knobs), params_(p) {
    CRA_CHECK(entry_.oracle != nullptr, "baseline " + rule.name + " is not an oracle");
    check_knobs(rule, p);
  }
  std::unique_ptr<Actor> actor(const sim::Exogenous& x, std::int64_t envs) const override {
    return entry_.oracle(knobs_, params_, x, envs);
  }

 private:
  const RuleEntry& entry_;
  KnobValues knobs_;
  const sim::Params& params_;
};

}  // namespace

const RuleEntry& rule_entry(const std::string& name) {
  std::string known;
  for (const RuleEntry& e : entries()) {
    if (e.name == name) return e;
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw Error("unknown baseline \"" + name + "\"; known: " + known);
}

std::vector<std::string> baseline_names() {
  std::vector<std::string> names;
  for (const RuleEntry& e : entries()) names.push_back(e.name);
  return names;
}

std::vector<std::string> baselines_for(const sim::Params& p) {
  std::vector<std::string> names;
  for (const RuleEntry& e : entries())
    if (e.unfit == nullptr || e.unfit(p).empty()) names.push_back(e.name);
  return names;
}

std::string baseline_misfit(const std::string& name, const sim::Params& p) {
  const RuleEntry& e = rule_entry(name);
  return e.unfit == nullptr ? "" : e.unfit(p);
}

std::string baseline_doc(const std::string& name) { return rule_entry(name).doc; }

Kind baseline_kind(const std::string& name) { return rule_entry(name).kind; }

const char* kind_name(Kind kind) {
  constexpr std::array<const char*, 4> names{"heuristic", "expert", "planner", "oracle"};
  return names.at(static_cast<std::size_t>(kind));
}

std::string unlearnable(const std::string& name) {
  const RuleEntry& e = rule_entry(name);
  if (e.kind == Kind::planner || e.kind == Kind::oracle) return "plans ahead in every slot";
  return e.actor != nullptr ? "keeps numbers of its own from slot to slot" : "";
}

bool starts_learning(const std::string& name) {
  const RuleEntry& e = rule_entry(name);
  return e.kind == Kind::heuristic && !e.strict && e.actor == nullptr;
}

std::vector<Knob> baseline_knobs(const std::string& name, const sim::Params& p) {
  const RuleEntry& e = rule_entry(name);
  std::vector<Knob> knobs = e.knobs;
  if (e.kind == Kind::planner || e.kind == Kind::oracle) return knobs;  // these plan the reserve
  if (has_down_knob(e, p)) knobs.push_back(kDownKnob);
  if (p.pool.shared_reserve() != nullptr) knobs.push_back(kReserveKnob);
  return knobs;
}

std::unique_ptr<Policy> make_baseline(const Rule& rule, const sim::Params& p) {
  return std::make_unique<RulePolicy>(rule, p);
}

std::unique_ptr<Oracle> make_oracle(const Rule& rule, const sim::Params& p) {
  return std::make_unique<RuleOracle>(rule, p);
}

}  // namespace cra::agents
