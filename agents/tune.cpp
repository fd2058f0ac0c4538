// Search over a heuristic's knobs. An untuned heuristic would be a straw man.
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "agents/agents.h"

namespace cra::agents {
namespace {

constexpr std::size_t kWholeGrid = 600;  // up to here every combination is tried

/// Positions on the grids of all knobs.
using Place = std::vector<std::size_t>;

/// Tries combinations, each at most once, and remembers the best.
class Search {
 public:
  Search(const std::string& baseline, const sim::Params& p, const sim::Exogenous& x)
      : params_(p), episodes_(x) {
    out_.knobs = baseline_knobs(baseline, p);
    out_.rule.name = baseline;
    out_.best_cost = std::numeric_limits<double>::infinity();
  }

  const std::vector<Knob>& knobs() const { return out_.knobs; }

  double cost(const Place& place) {
    const auto known = seen_.find(place);
    if (known != seen_.end()) return known->second;
    Rule rule{out_.rule.name, {}};
    for (std::size_t k = 0; k < place.size(); ++k)
      rule.knobs.push_back(out_.knobs[k].grid[place[k]]);
    const Outcome outcome = baseline_kind(rule.name) == Kind::oracle
                                ? evaluate(*make_oracle(rule, params_), params_, episodes_)
                                : evaluate(*make_baseline(rule, params_), params_, episodes_);
    const double mean = std::accumulate(outcome.cost.begin(), outcome.cost.end(), 0.0) /
                        static_cast<double>(outcome.cost.size());
    out_.tried.push_back(rule.knobs);
    out_.cost.push_back(mean);
    if (mean < out_.best_cost) {
      out_.best_cost = mean;
      out_.rule = std::move(rule);
    }
    return seen_[place] = mean;
  }

  /// Moves one knob at a time to its best value until a whole round changes nothing.
  void descend(Place place) {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t k = 0; k < place.size(); ++k) {
        Place best = place;
        for (std::size_t g = 0; g < knobs()[k].grid.size(); ++g) {
          Place other = place;
          other[k] = g;
          if (cost(other) < cost(best)) best = other;
        }
        moved = moved || best != place;
        place = best;
      }
    }
  }

  Tuning result() { return std::move(out_); }

 private:
  const sim::Params& params_;
  const sim::Exogenous& episodes_;
  Tuning out_;
  std::map<Place, double> seen_;
};

}  // namespace

std::vector<std::string> Tuning::on_edge() const {
  std::vector<std::string> names;
  for (std::size_t k = 0; k < knobs.size(); ++k) {
    const std::vector<double>& grid = knobs[k].grid;
    if (grid.size() < 2) continue;
    const bool low = rule.knobs[k] == grid.front() && grid.front() > knobs[k].least;
    const bool high = rule.knobs[k] == grid.back() && grid.back() < knobs[k].most;
    if (!low && !high) continue;
    std::vector<double> inner = rule.knobs;
    inner[k] = low ? grid[1] : grid[grid.size() - 2];
    const auto found = std::find(tried.begin(), tried.end(), inner);
    const bool flat = found != tried.end() &&
                      cost[static_cast<std::size_t>(found - tried.begin())] <= 1.001 * best_cost;
    if (!flat) names.push_back(knobs[k].name);
  }
  return names;
}

Tuning tune(const std::string& baseline, const sim::Params& p, const sim::Exogenous& x) {
  Search search(baseline, p, x);
  std::size_t combinations = 1;
  for (const Knob& knob : search.knobs()) combinations *= knob.grid.size();
  if (combinations <= kWholeGrid) {
    for (std::size_t c = 0; c < combinations; ++c) {
      Place place;
      std::size_t rest = c;
      for (const Knob& knob : search.knobs()) {
        place.push_back(rest % knob.grid.size());
        rest /= knob.grid.size();
      }
      search.cost(place);
    }
    return search.result();
  }
  // Costs are smooth in the knobs and have one basin in most pools; three starts guard the rest.
  for (const int start : {0, 1, 2}) {
    Place place;
    for (const Knob& knob : search.knobs())
      place.push_back((knob.grid.size() - 1) * static_cast<std::size_t>(start) / 2);
    search.descend(place);
  }
  return search.result();
}

}  // namespace cra::agents
