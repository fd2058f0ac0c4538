// Axes, heat maps and colours.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "tools/svg.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

constexpr int kLevels = 64;  // of a heat map's colours

std::string hexadecimal(const std::array<double, 3>& rgb) {
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string text = "#";
  for (const double c : rgb) {
    const auto byte = static_cast<unsigned>(std::lround(255 * std::clamp(c, 0.0, 1.0)));
    text += kDigits[byte / 16];
    text += kDigits[byte % 16];
  }
  return text;
}

}  // namespace

std::string viridis(double t) {
  // Least-squares polynomials of degree 6 for matplotlib's viridis (van der Walt and Smith, 2015),
  // by M. Zucker (shadertoy.com/view/WlfXRN, CC0).
  static constexpr std::array<std::array<double, 7>, 3> kCoefficients{
      {{0.2777273272234177, 0.1050930431085774, -0.3308618287255563, -4.634230498983486,
        6.228269936347081, 4.776384997670288, -5.435455855934631},
       {0.005407344544966578, 1.404613529898575, 0.214847559468213, -5.799100973351585,
        14.17993336680509, -13.74514537774601, 4.645852612178535},
       {0.3340998053353061, 1.384590162594685, 0.09509516302823659, -19.33244095627987,
        56.69055260068105, -65.35303263337234, 26.3124352495832}}};
  const double x = std::clamp(t, 0.0, 1.0);
  std::array<double, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 7; i-- > 0;) rgb.at(c) = rgb.at(c) * x + kCoefficients.at(c).at(i);
  return hexadecimal(rgb);
}

void draw_lower_axis(Svg& svg, const Plot& p, const Scale& x, const std::string& name, int about) {
  for (const Tick& t : ticks_of(x, about)) {
    const double at = x(t.value);
    svg.line(at, p.top, at, p.bottom, "grid");
    // The outermost labels stay inside the drawing.
    const double half = 0.45 * text_width(t.label);
    svg.text(std::clamp(at, half + 1, svg.width() - half - 1), p.bottom + 15, t.label, "tick",
             "middle");
  }
  svg.line(p.left, p.bottom, p.right, p.bottom, "axis");
  if (!name.empty()) svg.text((p.left + p.right) / 2, p.bottom + 32, name, "name", "middle");
}

void draw_axes(Svg& svg, const Plot& p, const Scale& x, const Scale& y, const std::string& x_name,
               const std::string& y_name, int about_x, int about_y) {
  for (const Tick& t : ticks_of(y, about_y)) {
    const double at = y(t.value);
    svg.line(p.left, at, p.right, at, "grid");
    svg.text(p.left - 6, at + 4, t.label, "tick", "end");
  }
  draw_lower_axis(svg, p, x, x_name, about_x);
  // Above the axis, not beside it: nobody has to turn the head.
  if (!y_name.empty()) svg.text(2, p.top - 9, y_name, "name");
}

std::vector<double> spread(const std::vector<double>& wanted, double least, double low,
                           double high) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
  // Blocks of labels that touch, each around the mean of what its members want.
  struct Block {
    double sum;  ///< of wanted - rank * least
    std::size_t first, count;
  };
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < order.size(); ++i) {
    blocks.push_back({std::clamp(wanted[order[i]], low, std::max(low, high)), i, 1});
    while (blocks.size() > 1) {
      const Block& b = blocks.back();
      Block& a = blocks[blocks.size() - 2];
      const double a_at = a.sum / static_cast<double>(a.count),
                   b_at = b.sum / static_cast<double>(b.count);
      if (a_at + static_cast<double>(a.count) * least <= b_at) break;
      a.sum += b.sum - static_cast<double>(a.count) * static_cast<double>(b.count) * least;
      a.count += b.count;
      blocks.pop_back();
    }
  }
  std::vector<double> placed(wanted.size());
  for (const Block& b : blocks) {
    const double length = static_cast<double>(b.count - 1) * least;
    const double start =
        std::clamp(b.sum / static_cast<double>(b.count), low, std::max(low, high - length));
    for (std::size_t i = 0; i < b.count; ++i)
      placed[order[b.first + i]] = start + static_cast<double>(i) * least;
  }
  return placed;
}

void draw_heat_map(Svg& svg, const Plot& p, const HeatMap& map) {
  const double width = (p.right - p.left) / static_cast<double>(map.columns),
               height = (p.bottom - p.top) / static_cast<double>(map.rows);
  std::vector<Path> runs(kLevels);
  const auto level = [&](std::size_t row, std::size_t column) {
    const double t = (map.value[row * map.columns + column] - map.low) / (map.high - map.low);
    return static_cast<int>(std::lround((kLevels - 1) * std::clamp(t, 0.0, 1.0)));
  };
  for (std::size_t row = 0; row < map.rows; ++row) {
    for (std::size_t from = 0; from < map.columns;) {
      std::size_t to = from + 1;
      while (to < map.columns && level(row, to) == level(row, from)) ++to;
      runs[static_cast<std::size_t>(level(row, from))]
          .move(static_cast<double>(from), static_cast<double>(row))
          .across(static_cast<double>(to - from));
      from = to;
    }
  }
  // In units of cells; strokes are as wide as a row, centred on it.
  svg.open("heat", "transform=\"translate(" + coordinate(p.left) + " " +
                       coordinate(p.top + height / 2) + ") scale(" + fixed(width, 6) + " " +
                       fixed(height, 6) + ")\"");
  for (int l = 0; l < kLevels; ++l) {
    const Path& data = runs[static_cast<std::size_t>(l)];
    if (data.empty()) continue;
    svg.open("", "stroke=\"" + viridis(static_cast<double>(l) / (kLevels - 1)) + "\"");
    svg.path(data, "");
    svg.close();
  }
  svg.close();
}

void draw_colour_bar(Svg& svg, const Plot& p, double low, double high, const std::string& name) {
  constexpr int kSteps = 48;
  const double step = (p.right - p.left) / kSteps;
  for (int i = 0; i < kSteps; ++i) {
    svg.open("", "fill=\"" + viridis((i + 0.5) / kSteps) + "\"");
    // Each reaches under the next, so that no gap shows.
    svg.rect(p.left + i * step, p.top, i + 1 < kSteps ? 1.5 * step : step, p.bottom - p.top, "");
    svg.close();
  }
  const Scale x{low, high, p.left, p.right, false};
  for (const Tick& t : ticks_of(x, 4)) {
    svg.line(x(t.value), p.bottom, x(t.value), p.bottom + 3, "axis");
    svg.text(x(t.value), p.bottom + 15, t.label, "tick", "middle");
  }
  svg.text(p.left - 8, p.bottom - 1, name, "name", "end");
}

}  // namespace cra::tools
