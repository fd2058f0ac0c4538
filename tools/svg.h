// tools/svg.h (internal): drawings as SVG text, and the pieces that charts share: scales, ticks,
// axes, heat maps. Colours are CSS classes, so that one drawing serves light, dark and print; no
// number that is not finite gets into an attribute. The same calls give the same bytes.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace cra::tools {

/// Text as it may stand between tags and in quoted attributes of HTML and SVG. Whoever wrote it
/// cannot leave it: & < > " ' become entities; control characters and bytes that are not UTF-8
/// become U+FFFD.
std::string escaped(const std::string& text);

/// At most `most` characters of UTF-8 text, the last of them an ellipsis when some are left out.
std::string shortened(const std::string& text, std::size_t most);

/// The same with the ellipsis before the last four: names often differ in their numbers alone.
std::string shortened_middle(const std::string& text, std::size_t most);

/// Width of a text of 12 px in px; a guess on the safe side, as the font is the reader's.
double text_width(const std::string& text);

/// Digits as a reader expects them: a true minus sign (U+2212), a zero before the point.
std::string number_text(double x, int decimals, bool sign = false);

/// From numbers to coordinates.
struct Scale {
  double low = 0, high = 1;  ///< ends of the numbers; low < high
  double from = 0, to = 1;   ///< their coordinates, px
  bool log = false;          ///< logarithmic; then 0 < low
  /// The coordinate of a number, clamped to the ends. \throws Error  when it is NaN
  double operator()(double x) const;
};

/// The numbers that a chart has to hold. Those that are not finite are left out.
struct Extent {
  double low = 0, high = 0;
  bool empty = true;
  void add(double x);
  void add(std::span<const double> x);
  /// Ends for a scale: `margin` of the width more at either side; never of no width. 0 for an empty
  /// one.
  Scale scale(double from, double to, double margin = 0.04) const;
};

struct Tick {
  double value = 0;
  std::string label;
};
/// Some `about` round numbers within a scale: steps of 1, 2 or 5 times a power of ten; powers of
/// ten, and 2 and 5 times them where there is room, on a logarithmic one.
std::vector<Tick> ticks_of(const Scale& s, int about);

/// What a path element draws.
class Path {
 public:
  Path& move(double x, double y);
  Path& line(double x, double y);
  Path& across(double dx);  ///< to the right
  Path& down(double dy);
  /// A point, as round as the ends of its stroke.
  Path& dot(double x, double y) { return move(x, y).across(0); }
  Path& close();
  bool empty() const { return data_.empty(); }
  const std::string& data() const { return data_; }

 private:
  Path& add(char command, double x, double y);
  std::string data_;
};

/// A drawing under way.
class Svg {
 public:
  Svg(double width, double height, const std::string& title, const std::string& description);

  void line(double x1, double y1, double x2, double y2, const std::string& css);
  void rect(double x, double y, double width, double height, const std::string& css);
  /// \param title  shown by the browser when the pointer rests there; may be empty
  void circle(double x, double y, double radius, const std::string& css,
              const std::string& title = "");
  /// A line through points; a NaN on either side interrupts it.
  void polyline(std::span<const double> x, std::span<const double> y, const std::string& css,
                const std::string& title = "");
  void path(const Path& path, const std::string& css, const std::string& title = "");
  /// \param anchor  start, middle or end
  void text(double x, double y, const std::string& content, const std::string& css = "",
            const char* anchor = "start", const std::string& title = "");
  /// Begins a group. \param attributes  more of them, already escaped
  void open(const std::string& css, const std::string& attributes = "");
  void close();

  double width() const { return width_; }
  double height() const { return height_; }
  /// The whole element.
  std::string str() const;

 private:
  void element(const std::string& start, const std::string& title);

  double width_, height_;
  std::string head_, body_;
};

/// A coordinate with at most two digits. \throws Error  when it is not finite
std::string coordinate(double x);

// ---- charts ----------------------------------------------------------------------------

/// The rectangle that data are drawn in, px.
struct Plot {
  double left = 0, top = 0, right = 0, bottom = 0;
};

/// Grid lines, ticks and names of both axes.
/// \param about_x, about_y  ticks, about; 0 for none
void draw_axes(Svg& svg, const Plot& p, const Scale& x, const Scale& y, const std::string& x_name,
               const std::string& y_name, int about_x = 5, int about_y = 5);
/// The lower axis alone, with grid lines.
void draw_lower_axis(Svg& svg, const Plot& p, const Scale& x, const std::string& name,
                     int about = 5);

/// Positions as near to the wanted ones as a distance of `least` allows, within [low, high] when
/// there is room; in the order given.
std::vector<double> spread(const std::vector<double>& wanted, double least, double low,
                           double high);

/// A matrix as coloured cells, row 0 at the top.
struct HeatMap {
  std::size_t rows = 0, columns = 0;
  std::vector<double> value;  ///< [rows, columns]
  double low = 0, high = 1;   ///< of the colours
};
/// Runs of cells of one colour as one stroke: vectors, so that print is crisp, and small.
void draw_heat_map(Svg& svg, const Plot& p, const HeatMap& map);
/// The colours from low to high with ticks below.
void draw_colour_bar(Svg& svg, const Plot& p, double low, double high, const std::string& name);
/// "#rrggbb" of the map viridis at t in [0, 1].
std::string viridis(double t);

}  // namespace cra::tools
