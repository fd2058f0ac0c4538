// Text and numbers of drawings: nothing leaves its place, nothing that is not finite gets in.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "sim/base.h"
#include "tools/svg.h"

using namespace cra;
using namespace cra::tools;

TEST_CASE("escaped: markup, control characters and broken UTF-8 come out harmless") {
  CHECK(escaped("a<b>&\"'c") == "a&lt;b&gt;&amp;&quot;&#39;c");
  CHECK(escaped("\xC2\xB5 \xE4\xB8\xAD \xF0\x9F\x99\x82") ==
        "\xC2\xB5 \xE4\xB8\xAD \xF0\x9F\x99\x82");
  const std::string replaced = "\xEF\xBF\xBD";
  CHECK(escaped(std::string("a\x00"
                            "b",
                            3)) == "a" + replaced + "b");
  CHECK(escaped("a\x1b[31m\x7f") == "a" + replaced + "[31m" + replaced);
  // A lone continuation, an overlong "/", a surrogate, a cut sequence, a byte that is never UTF-8.
  CHECK(escaped("\x80") == replaced);
  CHECK(escaped("\xC0\xAF") == replaced + replaced);
  CHECK(escaped("\xED\xA0\x80") == replaced + replaced + replaced);
  CHECK(escaped("\xE4\xB8<") == replaced + replaced + "&lt;");
  CHECK(escaped("\xFF<") == replaced + "&lt;");
  CHECK(escaped("two\nlines\t") == "two\nlines\t");
}

TEST_CASE("shortened: by characters, not bytes") {
  CHECK(shortened("short", 5) == "short");
  CHECK(shortened("longer", 5) == "long\xE2\x80\xA6");
  CHECK(shortened("\xC2\xB5\xC2\xB5\xC2\xB5", 2) == "\xC2\xB5\xE2\x80\xA6");
  CHECK(shortened_middle("compute_bound-12", 9) ==
        "comp\xE2\x80\xA6"
        "d-12");
  CHECK(shortened_middle("node-12", 9) == "node-12");
}

TEST_CASE("coordinate: at most two digits, and nothing that is not finite") {
  CHECK(coordinate(3) == "3");
  CHECK(coordinate(-0.001) == "0");
  CHECK(coordinate(12.345678) == "12.35");
  CHECK(coordinate(100) == "100");
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()})
    CHECK_THROWS_AS(coordinate(bad), Error);
  CHECK_THROWS_AS((Scale{0, 1, 0, 100, false})(std::nan("")), Error);
}

TEST_CASE("scales: ends meet ends, what is outside is clamped, decades are equally long") {
  const Scale linear{2, 6, 10, 50, false};
  CHECK(linear(2) == 10);
  CHECK(linear(4) == 30);
  CHECK(linear(99) == 50);
  CHECK(linear(-99) == 10);
  const Scale log{0.01, 100, 0, 80, true};
  CHECK(log(1) == doctest::Approx(40));
  CHECK(log(10) - log(1) == doctest::Approx(20));
  CHECK(log(0) == 0);
  Extent none;
  none.add(std::nan(""));
  none.add(std::numeric_limits<double>::infinity());
  CHECK(none.empty);
  for (const double x : {0.0, 5.0, -1e300}) {
    Extent one;
    one.add(x);
    const Scale s = one.scale(0, 10);
    CHECK(s.low < x);
    CHECK(s.high > x);
  }
}

TEST_CASE("ticks: round numbers in order, inside, about as many as asked for, each label its own") {
  for (const double high : {1e-9, 0.013, 0.7, 1.0, 3.3, 97.0, 12345.0, 3.1e6, 4e12})
    for (const double low : {0.0, -high / 3, high * 0.9}) {
      CAPTURE(low);
      CAPTURE(high);
      const Scale s{low, high, 0, 1, false};
      const std::vector<Tick> ticks = ticks_of(s, 5);
      CHECK(ticks.size() >= 3);
      CHECK(ticks.size() <= 9);
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        CHECK(ticks[i].value >= low - 1e-6 * high);
        CHECK(ticks[i].value <= high * (1 + 1e-6));
        if (i > 0) {
          CHECK(ticks[i].value > ticks[i - 1].value);
          CHECK(ticks[i].label != ticks[i - 1].label);
        }
      }
    }
  const std::vector<Tick> million = ticks_of({0, 2.1e6, 0, 1, false}, 4);
  CHECK(million.front().label == "0");
  CHECK(million.back().label == "2.0 M");
  const std::vector<Tick> log = ticks_of({0.002, 3, 0, 1, true}, 4);
  REQUIRE(log.size() == 3);
  CHECK(log[0].label == "0.01");
  CHECK(log[2].label == "1");
}

TEST_CASE("spread: labels keep their distance and order, and move no further than they must") {
  CHECK(spread({10, 50}, 14, 0, 100) == std::vector<double>{10, 50});
  // Two that want one place are moved apart by the same length.
  CHECK(spread({50, 50}, 14, 0, 100) == std::vector<double>{43, 57});
  CHECK(spread({60, 50, 55}, 10, 0, 100) == std::vector<double>{65, 45, 55});
  CHECK(spread({99, 98}, 14, 0, 100) == std::vector<double>{100, 86});
  CHECK(spread({0, 1, 2}, 10, 0, 100) == std::vector<double>{0, 10, 20});
  CHECK(spread({}, 10, 0, 100).empty());
}

TEST_CASE(
    "a drawing holds its title and description, escaped, and interrupts lines at what is missing") {
  Svg svg(100, 50, "a <title>", "a & b");
  const std::vector<double> x{0, 1, 2, 3}, y{0, 1, std::nan(""), 3};
  svg.polyline(x, y, "thick");
  svg.text(1, 2, "</text>");
  const std::string text = svg.str();
  CHECK(text.find("<title>a &lt;title&gt;</title><desc>a &amp; b</desc>") != std::string::npos);
  CHECK(text.find("d=\"M0 0L1 1M3 3\"") != std::string::npos);
  CHECK(text.find("&lt;/text&gt;</text>") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
}
