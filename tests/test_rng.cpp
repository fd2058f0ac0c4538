#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "sim/rng.h"

using namespace cra;

TEST_CASE("philox_block: the published known-answer vectors") {
  // Random123 1.14, tests/kat_vectors, "philox4x32 10".
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox_block({0, 0, 0, 0}, {0, 0}) ==
        Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox_block({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox_block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Draws: every coordinate of a point changes the sequence") {
  std::set<std::uint32_t> first;
  const auto add = [&](Draws d) { first.insert(d.bits()); };
  add(Draws(7, EpisodeSet::training, 5, Stream::noise, 3, 2));
  add(Draws(8, EpisodeSet::training, 5, Stream::noise, 3, 2));
  add(Draws(7 + (std::uint64_t{1} << 40), EpisodeSet::training, 5, Stream::noise, 3, 2));
  add(Draws(7, EpisodeSet::tuning, 5, Stream::noise, 3, 2));
  add(Draws(7, EpisodeSet::training, 6, Stream::noise, 3, 2));
  add(Draws(7, EpisodeSet::training, 5 + (std::int64_t{1} << 32), Stream::noise, 3, 2));
  add(Draws(7, EpisodeSet::training, 5, Stream::cascade, 3, 2));
  add(Draws(7, EpisodeSet::training, 5, Stream::noise, 4, 2));
  add(Draws(7, EpisodeSet::training, 5, Stream::noise, 65535, 2));
  add(Draws(7, EpisodeSet::training, 5, Stream::noise, 3, 3));
  CHECK(first.size() == 10);
}

TEST_CASE("Draws: the same point gives the same sequence, across blocks") {
  Draws a(1, EpisodeSet::evaluation, 2, Stream::poisson, 3, 4), b = a;
  for (int i = 0; i < 100; ++i) CHECK(a.bits() == b.bits());
}

TEST_CASE("Draws: a sequence that would meet itself stops instead") {
  Draws d(1, EpisodeSet::training, 0, Stream::noise, 0, 0);
  for (int i = 0; i < 255 * 4; ++i) d.bits();
  CHECK_THROWS(d.bits());
}

namespace {

struct Sample {
  double mean = 0, variance = 0;
};

/// Moments over n points; one draw at each, as the simulator uses them.
template <class F>
Sample sample(int n, F draw) {
  std::vector<double> x;
  for (int i = 0; i < n; ++i)
    x.push_back(draw(Draws(99, EpisodeSet::training, i, Stream::noise, 0, i % 7)));
  Sample s;
  for (const double v : x) s.mean += v / n;
  for (const double v : x) s.variance += (v - s.mean) * (v - s.mean) / (n - 1);
  return s;
}

}  // namespace

TEST_CASE("Draws: moments of each distribution, within five standard errors") {
  constexpr int kCount = 200000;
  const auto near = [](double found, double expected, double se) {
    CAPTURE(found);
    CAPTURE(expected);
    CHECK(std::fabs(found - expected) < 5 * se);
  };
  const double root = std::sqrt(double{kCount});
  const Sample u = sample(kCount, [](Draws d) { return d.uniform(); });
  near(u.mean, 0.5, std::sqrt(1.0 / 12) / root);
  near(u.variance, 1.0 / 12, std::sqrt(1.0 / 180) / root);
  const Sample z = sample(kCount, [](Draws d) { return d.normal(); });
  near(z.mean, 0, 1 / root);
  near(z.variance, 1, std::sqrt(2.0) / root);
  for (const double shape : {0.3, 1.0, 8.0}) {
    const Sample g = sample(kCount, [&](Draws d) { return d.gamma(shape); });
    near(g.mean, shape, std::sqrt(shape) / root);
    near(g.variance, shape, std::sqrt(2 * shape * shape + 6 * shape) / root);
  }
  for (const double mean : {0.2, 3.0, 9.9, 10.1, 250.0}) {
    const Sample p = sample(kCount, [&](Draws d) { return static_cast<double>(d.poisson(mean)); });
    near(p.mean, mean, std::sqrt(mean) / root);
    near(p.variance, mean, std::sqrt(2 * mean * mean + mean) / root);
  }
  const Sample b = sample(kCount, [](Draws d) { return static_cast<double>(d.below(6)); });
  near(b.mean, 2.5, std::sqrt(35.0 / 12) / root);
}

TEST_CASE("Draws: poisson of a mean of 0 is 0, uniform stays inside (0, 1)") {
  Draws d(3, EpisodeSet::training, 0, Stream::noise, 0, 0);
  CHECK(d.poisson(0) == 0);
  for (int i = 0; i < 100; ++i) {
    const double u = d.uniform();
    CHECK((u > 0 && u < 1));
  }
}
