// Learning curves: cost against env-steps, every training and their mean, beside what they are
// measured against.
#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>

#include "tools/report.h"

namespace cra::tools {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kThinPoints = 240, kThickPoints = 48;  // of a training curve, at most
constexpr double kLabels = 128;  // right margin for the names of lines, px

/// A curve for every training over common abscissae.
struct Curves {
  std::vector<double> steps;             ///< [U] env-steps of one training
  std::vector<std::vector<double>> all;  ///< [S][U], NaN after a training's end
  std::size_t binned = 1;                ///< updates behind a point
};

/// Env-steps after every update: of the training that went on longest.
std::vector<double> steps_after(const results::GroupData& train) {
  const std::size_t updates = whole(train, "update").size();
  const auto& env_steps = whole(train, "env_steps");
  std::vector<double> steps(updates, 0);
  for (std::size_t i = 0; i < env_steps.size(); ++i)
    steps[i % updates] = std::max(steps[i % updates], static_cast<double>(env_steps[i]));
  return steps;
}

double mean_of_some(std::span<const double> x) {
  double sum = 0, count = 0;
  for (const double v : x) {
    if (std::isnan(v)) continue;
    sum += v;
    count += 1;
  }
  return count > 0 ? sum / count : kMissing;
}

/// Means over as few updates a point as `most` points allow.
Curves training_curves(const results::GroupData& train, std::size_t most) {
  Curves c;
  const std::size_t updates = whole(train, "update").size();
  const std::vector<double> steps = steps_after(train);
  c.binned = (updates + most - 1) / most;
  for (std::size_t u = 0; u < updates; u += c.binned)
    c.steps.push_back(steps[std::min(updates, u + c.binned) - 1]);
  for (std::size_t k = 0; k < whole(train, "training").size(); ++k) {
    const auto cost = part(train, "cost", k * updates, updates);
    std::vector<double>& points = c.all.emplace_back();
    for (std::size_t u = 0; u < updates; u += c.binned)
      points.push_back(mean_of_some(cost.subspan(u, std::min(c.binned, updates - u))));
  }
  return c;
}

Curves validation_curves(const results::GroupData& train) {
  Curves c;
  const std::vector<double> steps = steps_after(train);
  const auto& validations = whole(train, "validation");
  for (const std::int64_t v : validations) {
    const auto at = static_cast<std::size_t>(std::max<std::int64_t>(0, v));
    c.steps.push_back(at == 0 || steps.empty() ? 0 : steps[std::min(at, steps.size()) - 1]);
  }
  for (std::size_t k = 0; k < whole(train, "training").size(); ++k) {
    const auto cost = part(train, "validation_cost", k * validations.size(), validations.size());
    c.all.emplace_back(cost.begin(), cost.end());
  }
  return c;
}

struct Band {
  std::vector<double> mean, low, high;  ///< [U]; no band where there is one training alone
};

/// Mean over trainings, and the 95 % interval of Student's t around it.
Band band_of(const Curves& c) {
  Band b;
  for (std::size_t u = 0; u < c.steps.size(); ++u) {
    std::vector<double> x;
    for (const auto& curve : c.all)
      if (!std::isnan(curve[u])) x.push_back(curve[u]);
    const results::Mean m = x.empty() ? results::Mean{kMissing, 0} : results::mean_of(x);
    const double half =
        x.size() < 2
            ? kMissing
            : m.se * boost::math::quantile(
                         boost::math::students_t(static_cast<double>(x.size() - 1)), 0.975);
    b.mean.push_back(m.mean);
    b.low.push_back(m.mean - half);
    b.high.push_back(m.mean + half);
  }
  return b;
}

/// What the curves are measured against: mean costs on the test episodes.
struct Line {
  std::string name, style;
  double cost = 0;
};
std::vector<Line> lines_of(const Case& c) {
  std::vector<Line> lines;
  const auto add = [&](const PolicyEntry* e, const std::string& name) {
    if (e != nullptr) lines.push_back({name, e->style, e->cost});
  };
  add(c.find(c.best), c.best);
  const auto expert = std::find_if(c.entrants.begin(), c.entrants.end(),
                                   [](const PolicyEntry& e) { return e.kind == "expert"; });
  if (expert != c.entrants.end()) add(&*expert, expert->name);
  for (const PolicyEntry& e : c.entrants)
    if (e.kind == "bound") add(&e, "bound");
  return lines;
}

Extent extent_of(const Case& c) {
  Extent extent;
  for (const Line& l : lines_of(c)) extent.add(l.cost);
  const results::GroupData& train = *c.group("train");
  for (const Curves& curves : {training_curves(train, kThinPoints), validation_curves(train)}) {
    // The band is cut where it reaches further: of few trainings it starts out very wide.
    for (const auto& curve : curves.all) extent.add(curve);
  }
  return extent;
}

std::vector<double> scaled(const Scale& s, const std::vector<double>& x) {
  std::vector<double> at;
  at.reserve(x.size());
  for (const double v : x) at.push_back(std::isnan(v) ? kMissing : s(v));
  return at;
}

/// A closed path between two curves, where both are.
Path area(const std::vector<double>& x, const std::vector<double>& low,
          const std::vector<double>& high) {
  const auto there = [&](std::size_t i) { return !std::isnan(low[i]) && !std::isnan(high[i]); };
  Path path;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!there(i)) continue;
    if (path.empty())
      path.move(x[i], low[i]);
    else
      path.line(x[i], low[i]);
  }
  for (std::size_t i = x.size(); i-- > 0;)
    if (there(i)) path.line(x[i], high[i]);
  if (!path.empty()) path.close();
  return path;
}

/// Thin lines for trainings; a thick one for their mean, with its band.
void draw_curves(Svg& svg, const Scale& x, const Scale& y, const Curves& thin, const Curves& thick,
                 const std::string& css) {
  const std::vector<double> at = scaled(x, thick.steps);
  const Band band = band_of(thick);
  svg.open(css);
  svg.path(area(at, scaled(y, band.low), scaled(y, band.high)), "band");
  if (thin.all.size() > 1 || thin.steps.size() > thick.steps.size())
    for (const auto& curve : thin.all)
      svg.polyline(scaled(x, thin.steps), scaled(y, curve), "thin");
  svg.polyline(at, scaled(y, band.mean), "thick");
  svg.close();
}

void draw_lines(Svg& svg, const Plot& p, const Scale& y, const std::vector<Line>& lines,
                int decimals) {
  std::vector<double> wanted;
  for (const Line& l : lines) wanted.push_back(y(l.cost));
  const std::vector<double> placed = spread(wanted, 14, p.top + 4, p.bottom - 2);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    svg.open("k-" + lines[i].style);
    svg.line(p.left, wanted[i], p.right, wanted[i], "reference");
    svg.path(Path().move(p.right, wanted[i]).line(p.right + 6, placed[i]), "leader");
    svg.text(p.right + 9, placed[i] + 4, shortened(lines[i].name, 15), "direct", "start",
             lines[i].name + ": " + number_text(lines[i].cost, decimals));
    svg.close();
  }
}

std::string panel(const Case& c, const std::string& heading, const Curves& thin,
                  const Curves& thick, const Extent& costs, const std::string& caption) {
  if (thin.steps.empty()) return no_figure(heading, "There was no update in this training.");
  const Plot p{50, 28, kFigureWidth - kLabels, 252};
  Svg svg(kFigureWidth, 290, heading, "Cost against simulated slots, with reference lines");
  Extent steps;
  steps.add(0);
  steps.add(thin.steps);
  const Scale x = steps.scale(p.left, p.right, 0), y = costs.scale(p.bottom, p.top);
  draw_axes(svg, p, x, y, "env-steps of a training", "mean cost per slot", 4);
  draw_lines(svg, p, y, lines_of(c), c.decimals);
  draw_curves(svg, x, y, thin, thick, "k-learned");
  return figure(heading, svg, caption);
}

std::string seeds_words(std::size_t trainings) {
  return trainings == 1 ? "One training."
                        : counted(trainings, "training") +
                              ", thin; their mean, thick, with its 95 % interval (Student's t).";
}

std::string lines_words(const Case& c) {
  return " Lines: mean costs on the " +
         counted(static_cast<std::size_t>(c.episodes), "test episode");
}

std::string validation_panel(std::span<const Case> all, const Case& c, const Extent& costs) {
  const results::GroupData& train = *c.group("train");
  const Curves curves = validation_curves(train);
  return panel(
      c, heading_of(all, c, "Validation"), curves, curves, costs,
      seeds_words(curves.all.size()) +
          " Cost of the policy without exploration on validation episodes of the training, "
          "which decide what is kept; the first point is before any update." +
          lines_words(c) + ", so levels of line and curve may differ a little.");
}

std::string training_panel(std::span<const Case> all, const Case& c, const Extent& costs) {
  const results::GroupData& train = *c.group("train");
  const Curves thin = training_curves(train, kThinPoints),
               thick = training_curves(train, kThickPoints);
  const std::string joined =
      thick.binned > 1
          ? "; the thick line is a mean over " + std::to_string(thick.binned) + " updates a point."
          : ".";
  return panel(c, heading_of(all, c, "Training"), thin, thick, costs,
               seeds_words(thin.all.size()) +
                   " Cost of the exploring policy on the random input of each update" + joined +
                   lines_words(c) + ".");
}

/// Validation cost of all results, each over that of its own best heuristic.
std::string overlay(std::span<const Case> all) {
  struct Drawn {
    std::string label, css;
    Curves curves;
  };
  std::vector<Drawn> drawn;
  Extent steps, costs;
  steps.add(0);
  costs.add(1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const PolicyEntry* best = all[i].find(all[i].best);
    const results::GroupData* train = all[i].group("train");
    if (best == nullptr || train == nullptr || !(best->cost > 0)) continue;
    Drawn d{all[i].label, "k c-" + std::to_string(i % 7), validation_curves(*train)};
    for (auto& curve : d.curves.all)
      for (double& v : curve) v /= best->cost;
    for (const auto& curve : d.curves.all) costs.add(curve);
    steps.add(d.curves.steps);
    drawn.push_back(std::move(d));
  }
  if (drawn.size() < 2) return "";
  const std::string heading = "All results: validation cost over that of the best heuristic";
  const Plot p{50, 28, kFigureWidth - kLabels, 252};
  Svg svg(kFigureWidth, 290, heading, "Relative cost against simulated slots, one colour a result");
  const Scale x = steps.scale(p.left, p.right, 0), y = costs.scale(p.bottom, p.top);
  draw_axes(svg, p, x, y, "env-steps of a training", "cost / cost of the best tuned heuristic", 4);
  svg.line(p.left, y(1), p.right, y(1), "zero");
  std::vector<double> ends;
  for (const Drawn& d : drawn) {
    const Band band = band_of(d.curves);
    double end = 1;
    for (const double v : band.mean)
      if (!std::isnan(v)) end = v;
    ends.push_back(y(end));
    draw_curves(svg, x, y, d.curves, d.curves, d.css);
  }
  const std::vector<double> placed = spread(ends, 14, p.top + 4, p.bottom - 2);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    svg.open(drawn[i].css);
    svg.text(p.right + 9, placed[i] + 4, shortened(drawn[i].label, 15), "direct", "start",
             drawn[i].label);
    svg.close();
  }
  return figure(heading, svg,
                "Validation cost divided by the cost of each result's own best tuned heuristic on "
                "its test episodes: below 1, learning is ahead of it.");
}

}  // namespace

std::string learning_part(std::span<const Case> all) {
  Extent shared;
  for (const Case& c : all) {
    if (c.group("train") == nullptr) continue;
    const Extent e = extent_of(c);
    shared.add(e.low);
    shared.add(e.high);
  }
  std::string validation, training;
  for (const Case& c : all) {
    if (c.group("train") == nullptr) {
      validation +=
          no_figure(heading_of(all, c, "Learning curves"),
                    "Nothing was trained in this result: it compares policies that were there.");
      continue;
    }
    const Extent costs = comparable(all) ? shared : extent_of(c);
    validation += validation_panel(all, c, costs);
    training += training_panel(all, c, costs);
  }
  return figures(all, {overlay(all), validation, training});
}

}  // namespace cra::tools
