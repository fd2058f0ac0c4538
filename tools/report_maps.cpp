// Allocation over time: node by slot, with the load drawn over it.
#include <algorithm>
#include <cmath>

#include "tools/report_slots.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostLines = 24;  // nodes; beyond, rows are too low for a line each

/// What lies over the colours.
struct Overlay {
  std::vector<double> value;  ///< [N, columns], NaN where there is none
  double top = 0;             ///< height of a row, or what counts as much
};

double quantile_of(std::vector<double> x, double q) {
  std::erase_if(x, [](double v) { return std::isnan(v); });
  if (x.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(x.size() - 1));
  std::nth_element(x.begin(), x.begin() + at, x.end());
  return x[static_cast<std::size_t>(at)];
}

/// Load at queue nodes; where no node is a queue, the error.
bool has_queues(const Episode& e) {
  return std::any_of(e.actors.begin(), e.actors.end(), [](const Episode::Actor& a) {
    return std::any_of(a.load.begin(), a.load.end(), [](double x) { return !std::isnan(x); });
  });
}

const std::vector<double>& over(const Episode::Actor& a, bool queues) {
  return queues ? a.load : a.error;
}

/// Ends of the colours and of the overlay over all policies of some episodes.
struct Ranges {
  double share = 0, line = 0, mark = 0;
};
Ranges ranges_of(std::span<const Episode> episodes) {
  std::vector<double> shares, lines;
  Ranges r;
  for (const Episode& e : episodes)
    for (const Episode::Actor& a : e.actors) {
      shares.insert(shares.end(), a.share.begin(), a.share.end());
      const std::vector<double>& line = over(a, has_queues(e));
      lines.insert(lines.end(), line.begin(), line.end());
      r.share = std::max(r.share, 1.2 / static_cast<double>(e.nodes));
    }
  r.share = std::min(1.0, std::max(r.share, quantile_of(shares, 0.99)));
  r.line = quantile_of(lines, 0.995);
  r.mark = quantile_of(lines, 0.9);
  return r;
}

/// A line in every row, its foot on the row's lower edge.
void draw_lines(Svg& svg, const Plot& p, const Episode& e, const std::vector<double>& value,
                double top) {
  if (!(top > 0)) return;
  const double height = (p.bottom - p.top) / static_cast<double>(e.nodes),
               width = (p.right - p.left) / static_cast<double>(e.columns);
  Path path;
  for (std::size_t n = 0; n < e.nodes; ++n) {
    const double foot = p.top + static_cast<double>(n + 1) * height - 1;
    bool down = false;
    for (std::size_t i = 0; i < e.columns; ++i) {
      const double x = value[n * e.columns + i];
      if (std::isnan(x)) continue;
      const double across = p.left + (static_cast<double>(i) + 0.5) * width,
                   y = foot - std::min(1.0, x / top) * (height - 2);
      if (down)
        path.line(across, y);
      else
        path.move(across, y);
      down = true;
    }
  }
  svg.path(path, "halo");
  svg.path(path, "over");
}

/// Frames around cells where the value reaches `mark`.
void draw_frames(Svg& svg, const Plot& p, const Episode& e, const std::vector<double>& value,
                 double mark) {
  if (!(mark > 0)) return;
  const double height = (p.bottom - p.top) / static_cast<double>(e.nodes),
               width = (p.right - p.left) / static_cast<double>(e.columns);
  const auto high = [&](std::size_t n, std::size_t i) {
    return n < e.nodes && i < e.columns && value[n * e.columns + i] >= mark;
  };
  Path path;
  for (std::size_t n = 0; n < e.nodes; ++n)
    for (std::size_t i = 0; i < e.columns; ++i) {
      if (!high(n, i)) continue;
      const double x = p.left + static_cast<double>(i) * width,
                   y = p.top + static_cast<double>(n) * height;
      if (n == 0 || !high(n - 1, i)) path.move(x, y).across(width);
      if (!high(n + 1, i)) path.move(x, y + height).across(width);
      if (i == 0 || !high(n, i - 1)) path.move(x, y).down(height);
      if (!high(n, i + 1)) path.move(x + width, y).down(height);
    }
  svg.path(path, "frame");
}

void draw_node_names(Svg& svg, const Plot& p, const std::vector<std::string>& names) {
  const double height = (p.bottom - p.top) / static_cast<double>(names.size());
  const auto every = static_cast<std::size_t>(std::ceil(13 / height));
  for (std::size_t n = 0; n < names.size(); n += every)
    svg.text(p.left - 6, p.top + (static_cast<double>(n) + 0.5) * height + 4,
             shortened_middle(names[n], 12), "tick", "end", names[n]);
}

/// A map, with what the script needs to say what is under the pointer.
void draw_map(Svg& svg, const Plot& p, const Episode& e, const Episode::Actor& a,
              std::size_t number, std::size_t actor, const Ranges& r) {
  svg.open("map", "data-case=\"" + std::to_string(number) + "\" data-actor=\"" +
                      std::to_string(actor) + "\" data-box=\"" + coordinate(p.left) + " " +
                      coordinate(p.top) + " " + coordinate(p.right) + " " + coordinate(p.bottom) +
                      "\"");
  draw_heat_map(svg, p, {e.nodes, e.columns, a.share, 0, r.share});
  const std::vector<double>& value = over(a, has_queues(e));
  if (e.nodes <= kMostLines)
    draw_lines(svg, p, e, value, r.line);
  else
    draw_frames(svg, p, e, value, r.mark);
  svg.close();
}

std::string caption_of(const Episode& e, const Ranges& r) {
  const bool queues = has_queues(e);
  const std::string what = queues ? "work to be done (waiting and arriving)" : "error of the node";
  std::string text =
      "Colour: share of the placed budget that the policy asks for, the same scale "
      "for all policies; shares above its end have the last colour. ";
  if (e.nodes <= kMostLines)
    text += "White line in each row: " + what + "; the full height of a row is " +
            number_text(r.line, r.line < 1 ? 3 : 1) + (queues ? " wu." : ".");
  else
    text += "White frames: slots and nodes with the most " +
            std::string(queues ? "work to be done" : "error") + ", " +
            number_text(r.mark, r.mark < 1 ? 3 : 1) + (queues ? " wu" : "") + " or more.";
  text += " First test episode.";
  if (e.binned > 1) text += " A column is the mean of " + std::to_string(e.binned) + " slots.";
  return text;
}

std::string map_figure(std::span<const Case> all, std::size_t number, const Episode& e,
                       std::size_t actor, const Ranges& r) {
  const Case& c = all[number];
  const Episode::Actor& a = e.actors[actor];
  const std::string heading =
      heading_of(all, c,
                 "Allocation by " + a.entrant->name +
                     (a.entrant->style == "best"     ? ", the best tuned heuristic"
                      : a.entrant->kind == "learned" ? ", learned"
                                                     : ", " + a.entrant->kind));
  const auto& names = texts(*c.group("trajectory"), "node");
  const double row = std::clamp(264 / static_cast<double>(e.nodes), 3.0, 34.0);
  const Plot p{names_width(names, 12) + 2, 8, kFigureWidth - 12,
               8 + row * static_cast<double>(e.nodes)};
  Svg svg(kFigureWidth, p.bottom + 74, heading,
          "Heat map, nodes by slots: share of the budget, with the load drawn over it");
  draw_node_names(svg, p, names);
  draw_map(svg, p, e, a, number, actor, r);
  Plot below = p;
  below.top = p.bottom;
  draw_lower_axis(svg, below, {0, static_cast<double>(e.slots), p.left, p.right, false}, "", 6);
  svg.text(p.right, p.bottom + 30, "slot", "name", "end");
  draw_colour_bar(svg, {p.left + 118, p.bottom + 40, p.left + 290, p.bottom + 50}, 0, r.share,
                  "share of budget");
  return figure(heading, svg,
                actor == 0 ? caption_of(e, r)
                           : "The same episode, colours and " +
                                 std::string(e.nodes <= kMostLines ? "lines" : "frames") +
                                 ", under " + a.entrant->name + ".");
}

}  // namespace

std::vector<std::string> allocation_figures(std::span<const Case> all) {
  std::vector<Episode> episodes;
  for (const Case& c : all) episodes.push_back(first_episode(c, most_cells(all.size())));
  const bool one_scale = comparable(all);
  const Ranges shared = ranges_of(episodes);
  std::vector<std::string> kinds(3);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Ranges r = one_scale ? shared : ranges_of(std::span(episodes).subspan(i, 1));
    if (episodes[i].actors.empty())
      kinds[0] += no_figure(heading_of(all, all[i], "Allocation over time"),
                            episodes[i].nodes == 0
                                ? "No episode was recorded slot by slot (output.trajectories is 0)."
                                : "There are " + counted(episodes[i].nodes, "node") +
                                      ": too many for a page. The result file has every slot.");
    for (std::size_t a = 0; a < episodes[i].actors.size(); ++a)
      kinds.at(a) += map_figure(all, i, episodes[i], a, r);
  }
  return kinds;
}

}  // namespace cra::tools
