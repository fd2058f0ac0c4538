// Grid search over a heuristic's knobs. An untuned heuristic would be a straw man.
#include <limits>
#include <numeric>

#include "agents/agents.h"

namespace cra::agents {

Tuning tune(const std::string& baseline, const sim::Params& p, const sim::Exogenous& x) {
  Tuning out;
  out.knobs = baseline_knobs(baseline);
  out.rule.name = baseline;
  std::size_t combinations = 1;
  for (const Knob& knob : out.knobs) combinations *= knob.grid.size();
  out.best_cost = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < combinations; ++c) {
    Rule rule{baseline, {}};
    std::size_t rest = c;
    for (const Knob& knob : out.knobs) {
      rule.knobs.push_back(knob.grid[rest % knob.grid.size()]);
      rest /= knob.grid.size();
    }
    const Outcome outcome = evaluate(*make_baseline(rule, p), p, x);
    const double cost = std::accumulate(outcome.cost.begin(), outcome.cost.end(), 0.0) /
                        static_cast<double>(outcome.cost.size());
    out.tried.push_back(rule.knobs);
    out.cost.push_back(cost);
    if (cost < out.best_cost) {
      out.best_cost = cost;
      out.rule = std::move(rule);
    }
  }
  return out;
}

}  // namespace cra::agents
