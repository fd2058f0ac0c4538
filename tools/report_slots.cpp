// What happens slot by slot: allocation, where policies part from the bound, errors of nodes, the
// reserve.
#include "tools/report_slots.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cra::tools {
namespace {

constexpr double kLabels = 128;  // right margin for the names of lines, px
constexpr std::size_t kMostNames = 26;

/// A line for each policy over the slots of the episode, named at its end.
struct Lines {
  std::string y_name, caption, description;
  std::vector<std::vector<double>> value;  ///< [policies][T]
  bool zero = false;                       ///< whether 0 has a line of its own
};

std::string lines_figure(const std::string& heading, const Episode& e, const Lines& lines) {
  const Plot p{50, 28, kFigureWidth - kLabels, 232};
  Svg svg(kFigureWidth, 270, heading, lines.description);
  Extent extent;
  extent.add(0);
  for (const auto& v : lines.value) extent.add(v);
  const Scale x{0, static_cast<double>(e.slots), p.left, p.right, false},
      y = extent.scale(p.bottom, p.top);
  draw_axes(svg, p, x, y, "slot", lines.y_name);
  if (lines.zero) svg.line(p.left, y(0), p.right, y(0), "zero");
  std::vector<double> ends;
  for (const auto& v : lines.value) ends.push_back(y(v.back()));
  const std::vector<double> placed = spread(ends, 14, p.top + 4, p.bottom - 2);
  for (std::size_t i = lines.value.size(); i-- > 0;) {
    std::vector<double> at, height;
    const std::size_t stride = (e.slots + 479) / 480;
    for (std::size_t t = 0; t < e.slots; t += stride) {
      const std::size_t last = std::min(e.slots, t + stride) - 1;
      at.push_back(x(static_cast<double>(last + 1)));
      height.push_back(y(lines.value[i][last]));
    }
    const PolicyEntry& who = *e.actors[i].entrant;
    svg.open("k-" + who.style);
    svg.polyline(at, height, "thick");
    svg.text(p.right + 9, placed[i] + 4, shortened(who.name, 15), "direct", "start", who.name);
    svg.close();
  }
  return figure(heading, svg, lines.caption);
}

/// The certified bound of the first episode; NaN without one.
double bound_of_first(const Case& c) { return doubles(*c.group("eval"), "bound_lower").at(0); }

/// The cost of every slot of the best heuristic, to spread the bound by; empty without one.
std::vector<double> pattern_of(const Episode& e) {
  for (const Episode::Actor& a : e.actors)
    if (a.entrant->style == "best" &&
        std::all_of(a.cost.begin(), a.cost.end(), [](double x) { return x >= 0; }))
      return a.cost;
  return {};
}

/// Cost of every slot that is set against a policy's: the bound of the episode, spread.
std::vector<double> spread_bound(const Episode& e, double bound) {
  const auto slots = static_cast<double>(e.slots);
  std::vector<double> pattern = pattern_of(e);
  const double sum = std::accumulate(pattern.begin(), pattern.end(), 0.0);
  if (!(sum > 0)) return std::vector<double>(e.slots, bound);
  for (double& x : pattern) x *= bound * slots / sum;
  return pattern;
}

std::string regret_over_time(std::span<const Case> all, const Case& c, const Episode& e) {
  const double bound = bound_of_first(c);
  const bool bounded = !std::isnan(bound);
  const std::vector<double> against =
      bounded ? spread_bound(e, bound) : std::vector<double>(e.slots, 0);
  Lines lines;
  lines.zero = true;
  lines.description = "Cost so far minus the bound's share, one line per policy";
  for (const Episode::Actor& a : e.actors) {
    std::vector<double>& sum = lines.value.emplace_back();
    double so_far = 0;
    for (std::size_t t = 0; t < e.slots; ++t) sum.push_back(so_far += a.cost[t] - against[t]);
  }
  if (!bounded) {
    lines.y_name = "cost so far";
    lines.caption = "Cost summed from slot 0 on, first test episode. There is no bound.";
    return lines_figure(heading_of(all, c, "Cost over time"), e, lines);
  }
  lines.y_name = "cost so far, above the bound's share";
  lines.caption =
      "Costs summed from slot 0 on, first test episode, minus the certified bound of the episode "
      "(" +
      number_text(bound * static_cast<double>(e.slots), c.decimals > 2 ? c.decimals - 2 : 0) +
      "). It is known for the whole episode only; here it is spread " +
      (pattern_of(e).empty() ? "evenly over the slots"
                             : "over the slots like the costs of " + c.best) +
      ". The end of a line is the regret of the episode; its course shows when policies part.";
  return lines_figure(heading_of(all, c, "Regret over time"), e, lines);
}

std::string reserve_figure(std::span<const Case> all, const Case& c, const Episode& e) {
  if (texts(*c.group("node"), "reserve_dispatch").at(0) == "none") return "";
  Lines lines;
  lines.y_name = "share of the budget kept back";
  lines.description = "Reserve over the slots of an episode, one line per policy";
  lines.caption =
      "What each policy keeps back for bursts, first test episode; it is sent where work piles up "
      "within the slot, at an efficiency of " +
      number_text(doubles(*c.group("node"), "reserve_efficiency").at(0), 2) + ".";
  for (const Episode::Actor& a : e.actors) lines.value.push_back(a.reserve);
  return lines_figure(heading_of(all, c, "Use of the reserve"), e, lines);
}

// ---- errors by node --------------------------------------------------------------------

struct NodeErrors {
  std::vector<const PolicyEntry*> who;
  std::vector<std::vector<double>> mean;  ///< [policies][N]
};

NodeErrors errors_of(const Case& c, const Episode& e) {
  NodeErrors all;
  for (const Episode::Actor& a : e.actors) {
    if (all.who.size() == 2) break;
    all.who.push_back(a.entrant);
    all.mean.push_back(node_errors(c, *a.entrant));
  }
  return all;
}

void draw_who(Svg& svg, const std::vector<const PolicyEntry*>& who, double left) {
  double x = left;
  for (const PolicyEntry* w : who) {
    const std::string name = shortened(w->name, 22);
    svg.open("k-" + w->style);
    svg.circle(x + 5, 12, 4.5, "mark dotmark");
    svg.text(x + 14, 16, name, "direct", "start", w->name);
    svg.close();
    x += 32 + text_width(name);
  }
}

/// A dot per policy, joined by a line that shows the difference.
void draw_pair(Svg& svg, const NodeErrors& all, std::size_t node, const std::string& name,
               const std::function<std::pair<double, double>(double)>& place) {
  if (all.mean.size() == 2) {
    const auto [x1, y1] = place(all.mean[0][node]);
    const auto [x2, y2] = place(all.mean[1][node]);
    svg.line(x1, y1, x2, y2, "join");
  }
  for (std::size_t i = all.who.size(); i-- > 0;) {
    const auto [x, y] = place(all.mean[i][node]);
    svg.open("k-" + all.who[i]->style);
    svg.circle(x, y, all.mean[0].size() > kMostNames ? 3 : 4.5, "mark dotmark",
               name + ", " + all.who[i]->name + ": " + number_text(all.mean[i][node], 4));
    svg.close();
  }
}

std::string errors_figure(std::span<const Case> all, const Case& c, const Episode& e,
                          const Extent& extent) {
  const std::string heading = heading_of(all, c, "Error of each node");
  const NodeErrors errors = errors_of(c, e);
  const auto& names = texts(*c.group("trajectory"), "node");
  const std::size_t recorded = whole(*c.group("trajectory"), "episode").size();
  const std::string caption = "Mean error over the slots of " +
                              counted(recorded, "recorded episode") +
                              ", not weighted by importance.";
  if (e.nodes <= kMostNames) {
    const double left = names_width(names, 14);
    const double step = std::clamp(240 / static_cast<double>(e.nodes), 15.0, 24.0);
    const Plot p{left, 28, kFigureWidth - 14, 30 + step * static_cast<double>(e.nodes)};
    Svg svg(kFigureWidth, p.bottom + 40, heading, "Mean error by node, one dot per policy");
    Scale x = extent.scale(p.left + 8, p.right - 8);
    if (extent.low >= 0) x.low = std::max(0.0, x.low);
    draw_who(svg, errors.who, left);
    draw_lower_axis(svg, p, x, "mean error", 5);
    for (std::size_t n = 0; n < e.nodes; ++n) {
      const double y = p.top + (static_cast<double>(n) + 0.5) * step;
      svg.text(left - 8, y + 4, shortened_middle(names[n], 14), "label", "end", names[n]);
      draw_pair(svg, errors, n, names[n], [&](double v) { return std::pair(x(v), y); });
    }
    return figure(heading, svg, caption);
  }
  const Plot p{50, 44, kFigureWidth - 14, 250};
  Svg svg(kFigureWidth, 288, heading, "Mean error by node, one dot per policy");
  const Scale x{-1, static_cast<double>(e.nodes), p.left, p.right, false},
      y = extent.scale(p.bottom, p.top);
  draw_who(svg, errors.who, p.left);
  draw_axes(svg, p, x, y, "number of the node, in the order of the scenario", "mean error");
  for (std::size_t n = 0; n < e.nodes; ++n)
    draw_pair(svg, errors, n, names[n],
              [&](double v) { return std::pair(x(static_cast<double>(n)), y(v)); });
  return figure(heading, svg, caption);
}

Extent errors_extent(const Case& c, const Episode& e) {
  Extent extent;
  for (const auto& mean : errors_of(c, e).mean) extent.add(mean);
  return extent;
}

}  // namespace

std::string slots_part(std::span<const Case> all) {
  std::vector<Episode> episodes;
  Extent shared;
  for (const Case& c : all) {
    episodes.push_back(first_episode(c, most_cells(all.size())));
    if (episodes.back().actors.empty()) continue;
    const Extent e = errors_extent(c, episodes.back());
    shared.add(e.low);
    shared.add(e.high);
  }
  std::vector<std::string> kinds = allocation_figures(all);
  std::string regrets, errors, reserves;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Episode& e = episodes[i];
    if (e.actors.empty()) continue;
    regrets += regret_over_time(all, all[i], e);
    errors += errors_figure(all, all[i], e, comparable(all) ? shared : errors_extent(all[i], e));
    reserves += reserve_figure(all, all[i], e);
  }
  kinds.insert(kinds.end(), {regrets, errors, reserves});
  return figures(all, kinds);
}

}  // namespace cra::tools
