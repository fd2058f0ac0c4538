// Attention: who looks at whom, and whether that is where allocation is worth most.
#include <algorithm>
#include <array>
#include <cmath>

#include "tools/recall.h"
#include "tools/report.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostDots = 1500;
constexpr std::size_t kMostSide = 64;  // cells of a map; more nodes are joined
constexpr std::size_t kMostHeads = 8;

// ---- maps ------------------------------------------------------------------------------

/// [N, N] with neighbouring nodes joined: means over lookers, sums over those looked at.
HeatMap joined_map(std::span<const double> weights, std::size_t nodes, std::size_t join) {
  const std::size_t side = (nodes + join - 1) / join;
  HeatMap map{side, side, std::vector<double>(side * side, 0), 0, 1};
  for (std::size_t q = 0; q < nodes; ++q) {
    const std::size_t in_row = std::min(join, nodes - q / join * join);
    for (std::size_t k = 0; k < nodes; ++k)
      map.value[q / join * side + k / join] += weights[q * nodes + k] / static_cast<double>(in_row);
  }
  return map;
}

/// Names along both sides, as many as there is room for.
void draw_names(Svg& svg, const Plot& p, const std::vector<std::string>& names, bool beside) {
  const double step = (p.right - p.left) / static_cast<double>(names.size());
  std::size_t longest = 1;
  for (const std::string& n : names) longest = std::max(longest, shortened_middle(n, 9).size());
  const auto every_row = static_cast<std::size_t>(std::ceil(13 / step)),
             every_column = static_cast<std::size_t>(std::ceil(
                 (7.2 * static_cast<double>(std::min<std::size_t>(longest, 9)) + 8) / step));
  for (std::size_t n = 0; n < names.size(); ++n) {
    const double at = (static_cast<double>(n) + 0.5) * step;
    if (beside && n % every_row == 0)
      svg.text(p.left - 5, p.top + at + 4, shortened_middle(names[n], 9), "tick", "end", names[n]);
    // Names below must not reach under the next map.
    if (n % every_column == 0 &&
        at + 0.47 * text_width(shortened_middle(names[n], 9)) < p.right - p.left + 3)
      svg.text(p.left + at, p.bottom + 14, shortened_middle(names[n], 9), "tick", "middle",
               names[n]);
  }
}

std::string map_figure(std::span<const Case> all, const Case& c) {
  const results::GroupData& g = *c.group("attention");
  const auto& names = texts(g, "node");
  const std::size_t nodes = names.size(), heads = whole(g, "head").size();
  const std::string heading = heading_of(all, c, "Who looks at whom");
  if (nodes == 0 || heads == 0) return no_figure(heading, "There is no attention map.");
  const std::size_t join = (nodes + kMostSide - 1) / kMostSide, shown = std::min(heads, kMostHeads);
  const std::size_t across = shown == 1 ? 1 : shown <= 4 ? 2 : 4;
  const double left = names_width(names, 9) + 2, gap = 22;
  const double room = kFigureWidth - left - 8 - gap * static_cast<double>(across - 1);
  const double side = std::min(290.0, room / static_cast<double>(across));
  const std::size_t down = (shown + across - 1) / across;
  const double pitch = side + 44;
  Svg svg(kFigureWidth, 8 + pitch * static_cast<double>(down) + 38, heading,
          "Heat maps of attention weights, the node that looks by the node looked at");
  std::vector<HeatMap> maps;
  double top = 0;
  for (std::size_t h = 0; h < shown; ++h) {
    maps.push_back(joined_map(part(g, "map", h * nodes * nodes, nodes * nodes), nodes, join));
    for (const double w : maps.back().value) top = std::max(top, w);
  }
  std::vector<std::string> labels;
  for (std::size_t n = 0; n < nodes; n += join) labels.push_back(names[n]);
  for (std::size_t h = 0; h < shown; ++h) {
    const std::size_t line = h / across;
    const double x = left + static_cast<double>(h % across) * (side + gap),
                 y = 22 + static_cast<double>(line) * pitch;
    const Plot p{x, y, x + side, y + side};
    maps[h].high = top > 0 ? top : 1;
    svg.text(x, y - 7, std::string("head ").append(std::to_string(h + 1)), "label");
    draw_heat_map(svg, p, maps[h]);
    draw_names(svg, p, labels, h % across == 0);
  }
  const double y = 8 + pitch * static_cast<double>(down) + 6;
  draw_colour_bar(svg, {left + 118, y, left + 290, y + 10}, 0, top > 0 ? top : 1, "weight");
  std::string caption = "Attention weights of " + texts(g, "policy").at(0) + " in slot " +
                        std::to_string(whole(g, "map_slot").at(0)) +
                        " of the first episode, last layer. Row: the node that looks; column: the "
                        "node it looks at; a "
                        "row sums to 1, so that " +
                        number_text(static_cast<double>(join) / static_cast<double>(nodes), 2) +
                        " everywhere is no preference.";
  if (join > 1)
    caption.append(" ").append(std::to_string(join)).append(" neighbouring nodes share a cell.");
  if (heads > shown) caption.append(" The first ").append(counted(shown, "head")).append(".");
  return figure(heading, svg, caption);
}

// ---- attention against value -----------------------------------------------------------

/// Signed and logarithmic beyond `unit`: values are of both signs and span powers of ten.
double bent(double x, double unit) { return std::copysign(std::log10(1 + std::abs(x) / unit), x); }

/// A power of ten below which a quarter of the sizes lie.
double unit_of(std::span<const double> x) {
  std::vector<double> sizes;
  for (const double v : x)
    if (v != 0) sizes.push_back(std::abs(v));
  if (sizes.empty()) return 1;
  const auto at = static_cast<std::ptrdiff_t>(sizes.size() / 4);
  std::nth_element(sizes.begin(), sizes.begin() + at, sizes.end());
  return std::pow(10.0, std::floor(std::log10(sizes[static_cast<std::size_t>(at)])));
}

std::string power_text(double x) {
  const double size = std::abs(x);
  if (size >= 1e-3 && size < 1e5)
    return number_text(x, std::max(0, static_cast<int>(std::lround(-std::log10(size)))));
  return number_text(x < 0 ? -1 : 1, 0) + "e" + number_text(std::round(std::log10(size)), 0);
}

void draw_bent_axis(Svg& svg, const Plot& p, const Scale& y, double unit) {
  std::vector<double> values{0};
  for (int k = 0; k < 16; ++k)
    for (const double sign : {-1.0, 1.0}) values.push_back(sign * unit * std::pow(10.0, k));
  double last = -1e9;
  std::sort(values.begin(), values.end());
  for (const double v : values) {
    const double b = bent(v, unit);
    if (b < y.low || b > y.high) continue;
    const double at = y(b);
    // Around 0 powers of ten lie close together.
    if (v != 0 && (std::abs(at - y(0)) < 13 || std::abs(at - last) < 13)) continue;
    svg.line(p.left, at, p.right, at, v == 0 ? "zero" : "grid");
    svg.text(p.left - 6, at + 4, v == 0 ? "0" : power_text(v), "tick", "end");
    last = at;
  }
}

std::string scatter_figure(std::span<const Case> all, const Case& c) {
  const results::GroupData& g = *c.group("attention");
  const std::string heading =
      heading_of(all, c, "Attention received against the marginal value of allocation");
  const auto &received = doubles(g, "received"), &value = doubles(g, "marginal_value");
  if (received.empty()) return no_figure(heading, "No slot was explained.");
  const std::size_t stride = (received.size() + kMostDots - 1) / kMostDots;
  const double unit = unit_of(value);
  Extent xs, ys;
  xs.add(received);
  for (const double v : value) ys.add(bent(v, unit));
  const Plot p{62, 28, kFigureWidth - 14, 262};
  Svg svg(kFigureWidth, 300, heading, "Scatter of nodes: attention received, marginal value");
  const Scale x = xs.scale(p.left, p.right), y = ys.scale(p.bottom, p.top);
  svg.text(2, p.top - 9, "marginal value (fall of cost per share of budget)", "name");
  draw_bent_axis(svg, p, y, unit);
  draw_lower_axis(svg, p, x, "attention received, a share of all", 5);
  Path dots;
  for (std::size_t i = 0; i < received.size(); i += stride)
    dots.dot(x(received[i]), y(bent(value[i], unit)));
  svg.open("k-learned");
  svg.path(dots, "dots large");
  svg.close();
  const AttentionLine line = attention_line(g);
  std::string caption =
      "A point is a node in one of " +
      counted(static_cast<std::size_t>(line.episodes * line.slots), "explained slot") + " of " +
      counted(static_cast<std::size_t>(line.episodes), "episode") +
      "; the vertical axis is logarithmic on either side of 0.";
  if (stride > 1) caption += " Every " + std::to_string(stride) + "th point is drawn.";
  if (!std::isnan(line.attention.mean))
    caption += " Rank correlation within a slot, mean over slots and episodes: " +
               number_text(line.attention.mean, 2, true) + " \xC2\xB1 " +
               number_text(line.attention.se, 2) + " (standard error).";
  return figure(heading, svg, caption);
}

std::string correlation_figure(std::span<const Case> all, const Case& c) {
  const results::GroupData& g = *c.group("attention");
  const std::string heading = heading_of(all, c, "What the marginal value goes along with");
  const AttentionLine line = attention_line(g);
  struct Quantity {
    const char *name, *style;
    results::Mean mean;
  };
  const std::array<Quantity, 4> quantities{{{"attention", "learned", line.attention},
                                            {"own allocation", "other", line.allocation},
                                            {"base heuristic", "other", line.base},
                                            {"backlog", "other", line.backlog}}};
  const Plot p{122, 10, kFigureWidth - 70, 14 + 4 * 28};
  Svg svg(kFigureWidth, p.bottom + 40, heading, "Rank correlations with intervals, one row each");
  const Scale x{-1, 1, p.left, p.right, false};
  draw_lower_axis(svg, p, x, "rank correlation with the marginal value", 4);
  svg.line(x(0), p.top, x(0), p.bottom, "zero");
  double y = p.top + 16;
  for (const Quantity& q : quantities) {
    svg.open(std::string("row k-") + q.style);
    svg.text(p.left - 8, y + 4, q.name, "label", "end");
    if (std::isnan(q.mean.mean)) {
      svg.text(p.right + 10, y + 4, "none", "value");
    } else {
      svg.line(x(q.mean.mean - 1.96 * q.mean.se), y, x(q.mean.mean + 1.96 * q.mean.se), y, "mark");
      svg.circle(x(q.mean.mean), y, 4.5, "mark dotmark");
      svg.text(p.right + 10, y + 4, number_text(q.mean.mean, 2, true), "value");
    }
    svg.close();
    y += 28;
  }
  return figure(heading, svg,
                "Spearman's rank correlation over the " +
                    counted(static_cast<std::size_t>(line.nodes), "node") +
                    " of a slot, mean over slots and " +
                    counted(static_cast<std::size_t>(line.episodes), "episode") +
                    ", \xC2\xB1 1.96 standard errors over episodes. Where budget is spent as well "
                    "as can be, all nodes "
                    "are worth the same and no correlation is near 1: compare the rows.");
}

}  // namespace

std::string attention_part(std::span<const Case> all) {
  std::string maps, values;
  for (const Case& c : all) {
    if (c.group("attention") == nullptr) {
      maps += no_figure(heading_of(all, c, "Attention"),
                        "This result explains no attention: nothing with attention was learned, or "
                        "no episode was to be explained.");
      continue;
    }
    maps += map_figure(all, c);
    values +=
        "<div class=\"stack\">" + scatter_figure(all, c) + correlation_figure(all, c) + "</div>";
  }
  return figures(all, {maps, values});
}

}  // namespace cra::tools
