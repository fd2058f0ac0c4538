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
  const Entrant* entrant = nullptr;
  std::vector<double> value;   ///< [I] regret, or cost where there is no bound
  std::vector<double> sorted;  ///< [I]
};

std::vector<Strip> strips_of(const Case& c) {
  const Entrant* bound = nullptr;
  for (const Entrant& e : c.entrants)
    if (e.kind == "bound") bound = &e;
  std::vector<Strip> all;
  for (const Entrant* e : listed(c, kMostRows, false)) {
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
  std::string dots;
  for (std::size_t i = 0; i < s.value.size(); i += stride) {
    const double jitter = static_cast<double>(i * 7919 % 17) / 16 - 0.5;
    dots += "M" + coordinate(x(s.value[i])) + " " + coordinate(y + 11 * jitter) + "h0";
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
                                   [](const Entrant& e) { return e.kind == "bound"; });
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

// ---- cost terms ------------------------------------------------------------------------

struct Term {
  const char *name, *variable, *css;
};
constexpr std::array<Term, 4> kTerms{{{"errors", "error_cost", "t-error"},
                                      {"switching", "switching_cost", "t-switching"},
                                      {"fairness", "fairness_cost", "t-fairness"},
                                      {"use", "use_cost", "t-use"}}};

/// Mean over episodes and trainings.
double mean_term(const Case& c, const Entrant& e, const char* variable) {
  const auto episodes = static_cast<std::size_t>(c.episodes);
  double sum = 0;
  for (const std::size_t row : e.rows)
    sum += results::mean_of(part(*c.group("eval"), variable, row * episodes, episodes)).mean;
  return sum / static_cast<double>(std::max<std::size_t>(1, e.rows.size()));
}

double bound_cost(const Case& c) {
  for (const Entrant& e : c.entrants)
    if (e.kind == "bound") return e.cost;
  return std::nan("");
}

Extent terms_extent(const Case& c) {
  Extent extent;
  extent.add(0);
  for (const Entrant* e : listed(c, kMostRows, false)) extent.add(e->cost);
  return extent;
}

/// Names of the terms that are there, above the bars.
void draw_legend(Svg& svg, const std::vector<Term>& terms, double left) {
  double x = left;
  for (const Term& t : terms) {
    svg.rect(x, 6, 11, 11, t.css);
    svg.text(x + 16, 16, t.name, "label");
    x += 34 + text_width(t.name);
  }
}

std::string terms(std::span<const Case> all, const Case& c, const Extent& extent) {
  const std::string heading = heading_of(all, c, "What the cost is made of");
  const std::vector<const Entrant*> rows = listed(c, kMostRows, false);
  std::vector<Term> there;
  for (const Term& t : kTerms)
    if (std::any_of(rows.begin(), rows.end(),
                    [&](const Entrant* e) { return mean_term(c, *e, t.variable) != 0; }))
      there.push_back(t);
  std::vector<std::string> names;
  for (const Entrant* e : rows) names.push_back(e->name);
  const double left = names_width(names, 20), step = 21;
  const Plot p{left, 26, kFigureWidth - 66, 30 + step * static_cast<double>(rows.size())};
  Svg svg(kFigureWidth, p.bottom + 40, heading, "Stacked bars of cost terms, one per policy");
  Scale x = extent.scale(p.left, p.right, 0);
  x.low = std::min(0.0, x.low);
  draw_legend(svg, there, left);
  draw_lower_axis(svg, p, x, "mean cost per slot", 4);
  double y = p.top + step / 2 + 2;
  for (const Entrant* e : rows) {
    svg.open("row k-" + e->style, "data-policy=\"" + escaped(e->name) + "\"");
    svg.text(left - 8, y + 4, shortened(e->name, 20), "label", "end", e->name);
    double from = 0;
    for (const Term& t : there) {
      const double size = mean_term(c, *e, t.variable);
      svg.rect(x(from), y - 7, x(from + size) - x(from), 14, t.css);
      from += size;
    }
    svg.text(kFigureWidth - 4, y + 4, number_text(e->cost, c.decimals), "value", "end");
    svg.close();
    y += step;
  }
  std::string caption = "Mean over " +
                        counted(static_cast<std::size_t>(c.episodes), "test episode") +
                        "; the number is the sum.";
  if (const double bound = bound_cost(c); !std::isnan(bound)) {
    svg.open("k-bound");
    svg.line(x(bound), p.top, x(bound), p.bottom, "reference");
    svg.close();
    caption += " Dashed: the certified bound, " + number_text(bound, c.decimals) + ".";
  }
  if (there.size() == 1) caption += " The other terms are 0 in this scenario.";
  return figure(heading, svg, caption + left_out(c, rows.size()));
}

}  // namespace

std::string episodes_part(std::span<const Case> all) {
  std::vector<Strip> strips;
  Extent cost;
  for (const Case& c : all) {
    for (Strip& s : strips_of(c)) strips.push_back(std::move(s));
    cost.add(terms_extent(c).high);
  }
  cost.add(0);
  const Scale shared = strip_scale(strips, 0, 1);
  const bool one_scale = comparable(all);
  std::string html;
  for (const Case& c : all) {
    html += regret(all, c, one_scale ? &shared : nullptr);
    html += terms(all, c, one_scale ? cost : terms_extent(c));
  }
  return "<div class=\"figures\">" + html + "</div>";
}

}  // namespace cra::tools
