// What every policy costs on the test episodes: how far above the bound, and of what the cost is
// made.
#include <algorithm>
#include <array>
#include <cmath>

#include "tools/report.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostRows = 14;
constexpr std::size_t kMostDots = 256;  // of a row

/// Linear interpolation between order statistics; x is sorted and not empty.
double quantile(const std::vector<double>& x, double q) {
  const double at = q * static_cast<double>(x.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, x.size() - 1);
  return x[below] + (at - static_cast<double>(below)) * (x[above] - x[below]);
}

/// A row of the strip chart.
struct Strip {
  const PolicyEntry* entrant = nullptr;
  std::vector<double> value;   ///< [I] regret, or cost where there is no bound
  std::vector<double> sorted;  ///< [I]
};

std::vector<Strip> strips_of(const Case& c) {
  const PolicyEntry* bound = nullptr;
  for (const PolicyEntry& e : c.entrants)
    if (e.kind == "bound") bound = &e;
  std::vector<Strip> all;
  for (const PolicyEntry* e : listed(c, kMostRows, false)) {
    Strip s{e, e->episode_cost, {}};
    if (bound != nullptr)
      for (std::size_t i = 0; i < s.value.size(); ++i)
        s.value[i] = std::max(0.0, s.value[i] - bound->episode_cost[i]);
    s.sorted = s.value;
    std::sort(s.sorted.begin(), s.sorted.end());
    all.push_back(std::move(s));
  }
  return all;
}

/// Linear from 0, or logarithmic where the medians are far apart; what is 0 then stands at the left
/// end.
Scale strip_scale(const std::vector<Strip>& strips, double from, double to) {
  Extent all, medians;
  all.add(0);
  for (const Strip& s : strips) {
    all.add(s.sorted);
    if (const double median = quantile(s.sorted, 0.5); median > 0) medians.add(median);
  }
  if (!medians.empty && medians.high > 15 * medians.low)
    return {medians.low / 10, std::max(all.high, medians.high), from, to, true};
  Scale linear = all.scale(from, to, 0.02);
  if (all.low >= 0) linear.low = 0;
  return linear;
}

void draw_strip(Svg& svg, const Scale& x, double y, const Strip& s, int decimals) {
  const std::size_t stride = (s.value.size() + kMostDots - 1) / kMostDots;
  Path dots;
  for (std::size_t i = 0; i < s.value.size(); i += stride) {
    const double jitter = static_cast<double>(i * 7919 % 17) / 16 - 0.5;
    dots.dot(x(s.value[i]), y + 11 * jitter);
  }
  svg.path(dots, "dots");
  const auto at = [&](double q) { return quantile(s.sorted, q); };
  svg.line(x(at(0.25)), y, x(at(0.75)), y, "box");
  svg.circle(x(at(0.5)), y, 4.5, "mark dotmark",
             s.entrant->name + ": median " + number_text(at(0.5), decimals) + ", quartiles " +
                 number_text(at(0.25), decimals) + " and " + number_text(at(0.75), decimals));
}

std::string regret(std::span<const Case> all, const Case& c, const Scale* shared) {
  const bool bounded = std::any_of(c.entrants.begin(), c.entrants.end(),
                                   [](const PolicyEntry& e) { return e.kind == "bound"; });
  const std::string heading = heading_of(
      all, c, bounded ? "Regret to the certified bound, by episode" : "Cost, by episode");
  const std::vector<Strip> strips = strips_of(c);
  std::vector<std::string> names;
  for (const Strip& s : strips) names.push_back(s.entrant->name);
  const double left = names_width(names, 20), step = 21;
  const Plot p{left, 10, kFigureWidth - 14, 14 + step * static_cast<double>(strips.size())};
  Svg svg(kFigureWidth, p.bottom + 40, heading,
          "One point per test episode, with quartiles and median, one row per policy");
  Scale x = shared != nullptr ? *shared : strip_scale(strips, 0, 1);
  x.from = p.left + 8;
  x.to = p.right - 8;
  draw_lower_axis(svg, p, x,
                  std::string(bounded ? "cost minus bound, per slot" : "mean cost per slot") +
                      (x.log ? " (logarithmic; 0 at the left end)" : ""),
                  4);
  double y = p.top + step / 2 + 2;
  for (const Strip& s : strips) {
    svg.open("row k-" + s.entrant->style, "data-policy=\"" + escaped(s.entrant->name) + "\"");
    svg.text(left - 8, y + 4, shortened(s.entrant->name, 20), "label", "end", s.entrant->name);
    draw_strip(svg, x, y, s, c.decimals);
    svg.close();
    y += step;
  }
  std::string caption = "A point is one of " +
                        counted(static_cast<std::size_t>(c.episodes), "test episode") +
                        "; bars reach from the lower to the upper quartile, circles are medians.";
  if (static_cast<std::size_t>(c.episodes) > kMostDots)
    caption += " Every " +
               std::to_string((static_cast<std::size_t>(c.episodes) + kMostDots - 1) / kMostDots) +
               "th episode has a point.";
  if (bounded)
    caption +=
        " No policy can get to the left of 0; how near one could come without knowing the "
        "future is not known.";
  else
    caption += " There is no bound: " + texts(*c.group("eval"), "bound_reason").at(0) + ".";
  return figure(heading, svg, caption + left_out(c, strips.size()));
}

/// Learned against best heuristic, an episode a point.
std::string duel(std::span<const Case> all, const Case& c) {
  const PolicyEntry *learned = c.find(c.learned), *best = c.find(c.best);
  if (learned == nullptr || best == nullptr) return "";
  const std::string heading = heading_of(all, c, "Learned against the best tuned heuristic");
  Extent extent;
  extent.add(learned->episode_cost);
  extent.add(best->episode_cost);
  const Plot p{58, 28, 400, 370};
  Svg svg(kFigureWidth, 408, heading, "One point per test episode, cost under either policy");
  const Scale x = extent.scale(p.left, p.right), y = extent.scale(p.bottom, p.top);
  draw_axes(svg, p, x, y, "cost under " + shortened(best->name, 30),
            "cost under " + shortened(learned->name, 30));
  svg.line(x(x.low), y(x.low), x(x.high), y(x.high), "zero");
  svg.text(p.right + 4, p.top + 4, "equal", "small");
  Path dots;
  std::size_t won = 0;
  for (std::size_t i = 0; i < best->episode_cost.size(); ++i) {
    dots.dot(x(best->episode_cost[i]), y(learned->episode_cost[i]));
    won += learned->episode_cost[i] < best->episode_cost[i] ? 1U : 0U;
  }
  svg.open("k-learned");
  svg.path(dots, "dots large");
  svg.close();
  return figure(heading, svg,
                "A point is a test episode; below the line the learned policy costs less: " +
                    std::to_string(won) + " of " + counted(best->episode_cost.size(), "episode") +
                    ".");
}

}  // namespace

std::string episodes_part(std::span<const Case> all) {
  std::vector<Strip> strips;
  for (const Case& c : all)
    for (Strip& s : strips_of(c)) strips.push_back(std::move(s));
  const Scale shared = strip_scale(strips, 0, 1);
  const bool one_scale = comparable(all);
  std::string regrets, duels;
  for (const Case& c : all) {
    regrets += regret(all, c, one_scale ? &shared : nullptr);
    duels += duel(all, c);
  }
  return figures(all, {regrets, duels});
}

}  // namespace cra::tools
