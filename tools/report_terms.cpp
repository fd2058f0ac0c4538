// Of what the cost of every policy is made.
#include <algorithm>
#include <array>
#include <cmath>

#include "tools/report.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostRows = 14;

struct Term {
  const char *name, *variable, *css;
};
constexpr std::array<Term, 4> kTerms{{{"errors", "error_cost", "t-error"},
                                      {"switching", "switching_cost", "t-switching"},
                                      {"fairness", "fairness_cost", "t-fairness"},
                                      {"use", "use_cost", "t-use"}}};

/// Mean over episodes and trainings.
double mean_term(const Case& c, const PolicyEntry& e, const char* variable) {
  const auto episodes = static_cast<std::size_t>(c.episodes);
  double sum = 0;
  for (const std::size_t row : e.rows)
    sum += results::mean_of(part(*c.group("eval"), variable, row * episodes, episodes)).mean;
  return sum / static_cast<double>(std::max<std::size_t>(1, e.rows.size()));
}

double bound_cost(const Case& c) {
  for (const PolicyEntry& e : c.entrants)
    if (e.kind == "bound") return e.cost;
  return std::nan("");
}

Extent terms_extent(const Case& c) {
  Extent extent;
  extent.add(0);
  for (const PolicyEntry* e : listed(c, kMostRows, false)) extent.add(e->cost);
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

}  // namespace

std::string terms_figure(std::span<const Case> all, const Case& c) {
  Extent extent;
  for (const Case& other : comparable(all) ? all : std::span(&c, 1)) {
    extent.add(terms_extent(other).low);
    extent.add(terms_extent(other).high);
  }
  const std::string heading = heading_of(all, c, "What the cost is made of");
  const std::vector<const PolicyEntry*> rows = listed(c, kMostRows, false);
  std::vector<Term> there;
  for (const Term& t : kTerms)
    if (std::any_of(rows.begin(), rows.end(),
                    [&](const PolicyEntry* e) { return mean_term(c, *e, t.variable) != 0; }))
      there.push_back(t);
  std::vector<std::string> names;
  for (const PolicyEntry* e : rows) names.push_back(e->name);
  const double left = names_width(names, 20), step = 21;
  const Plot p{left, 26, kFigureWidth - 66, 30 + step * static_cast<double>(rows.size())};
  Svg svg(kFigureWidth, p.bottom + 40, heading, "Stacked bars of cost terms, one per policy");
  Scale x = extent.scale(p.left, p.right, 0);
  x.low = std::min(0.0, x.low);
  draw_legend(svg, there, left);
  draw_lower_axis(svg, p, x, "mean cost per slot", 4);
  double y = p.top + step / 2 + 2;
  for (const PolicyEntry* e : rows) {
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

}  // namespace cra::tools
