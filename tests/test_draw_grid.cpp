// Draws in vectors against class Draws, bit for bit, on every instruction set here.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "sim/draw_grid.h"

namespace {

using namespace cra;       // NOLINT(google-build-using-namespace): test file
using namespace cra::sim;  // NOLINT(google-build-using-namespace): test file

constexpr int kNodes[] = {1, 7, 8, 31, 32, 33, 1000};
constexpr Stream kStreams[] = {Stream::noise, Stream::poisson};
constexpr std::int64_t kFirstSlot = 70000;  // as that of a later part of a workload

/// Compares draws(grid, kernel) with one(point, i) at all sizes, of all streams, by all kernels.
template <class All, class One>
void check_bits(All draws, One one) {
  for (const int nodes : kNodes)
    for (const Stream stream : kStreams) {
      // A seed, an episode and a set that use every word of key and counter.
      constexpr std::uint64_t kSeed = 0x123456789abcdef0;
      constexpr std::int64_t kEpisode = (std::int64_t{5} << 40) + 17;
      const auto point = [&](int n, std::int64_t t) {
        return Draws(kSeed, EpisodeSet::validation, kEpisode, stream, n, t);
      };
      const int slots = nodes == 1000 ? 7 : 200;
      const DrawGrid grid{point(0, kFirstSlot), slots, nodes};
      Numbers expected;
      for (int t = 0; t < slots; ++t)
        for (int n = 0; n < nodes; ++n)
          expected.push_back(one(point(n, kFirstSlot + t), expected.size()));
      for (const DrawKernel& kernel : draw_kernels()) {
        const Numbers found = draws(grid, kernel);
        CAPTURE(kernel.name);
        CAPTURE(nodes);
        REQUIRE(found.size() == expected.size());
        CHECK(std::memcmp(found.data(), expected.data(), found.size() * sizeof(double)) == 0);
      }
    }
}

TEST_CASE("uniform of a grid: the bits of Draws") {
  check_bits([](const DrawGrid& g, const DrawKernel& k) { return uniform(g, k); },
             [](Draws d, std::size_t) { return d.uniform(); });
}

TEST_CASE("gamma of a grid: the bits of Draws") {
  for (const double shape : {0.05, 0.3, 0.999, 1.0, 8.0, 100.0, 1e6}) {
    CAPTURE(shape);
    check_bits([&](const DrawGrid& g, const DrawKernel& k) { return gamma(g, shape, k); },
               [&](Draws d, std::size_t) { return d.gamma(shape); });
  }
}

TEST_CASE("log_normal of a grid: the bits of Draws") {
  for (const double sigma : {0.0, 0.5, 10.0, 400.0}) {  // the last meets both ends of exp_of
    CAPTURE(sigma);
    check_bits([&](const DrawGrid& g, const DrawKernel& k) { return log_normal(g, sigma, k); },
               [&](Draws d, std::size_t) { return d.log_normal(sigma); });
  }
}

TEST_CASE("poisson of a grid: the bits of Draws, with means on both sides of every branch") {
  const auto mean_at = [](std::size_t i) {
    constexpr double kMeans[] = {0, 0.01, 0.7, 3, 9.999999, 10, 250, -1, 5, 0.2, 8};
    return kMeans[i % 11];
  };
  check_bits(
      [&](const DrawGrid& g, const DrawKernel& k) {
        Numbers mean;
        for (int i = 0; i < g.slots * g.nodes; ++i)
          mean.push_back(mean_at(static_cast<std::size_t>(i)));
        return poisson(g, mean, k);
      },
      [&](Draws d, std::size_t i) { return static_cast<double>(d.poisson(mean_at(i))); });
}

TEST_CASE("kernels of a grid: most draws of gamma take one attempt, none of the others more") {
  const DrawGrid grid{Draws(1, EpisodeSet::training, 0, Stream::noise, 0, 0), 100, 100};
  const GridCounters counters{{grid.first.key()[0], grid.first.key()[1]},
                              {grid.first.counter()[0], grid.first.counter()[1],
                               grid.first.counter()[2], grid.first.counter()[3]},
                              grid.slots,
                              grid.nodes};
  for (const DrawKernel& kernel : draw_kernels()) {
    const auto unfinished = [](const Numbers& x) {
      return std::count_if(x.begin(), x.end(), [](double v) { return v < 0; });
    };
    Numbers out(10000);
    CAPTURE(kernel.name);
    // Acceptance is at least 0.95 at shape 1 and grows with it (Marsaglia, Tsang 2000, table 1).
    kernel.gamma(counters, 1, out.data());
    CHECK(unfinished(out) > 0);
    CHECK(unfinished(out) < 600);
    kernel.poisson(counters, Numbers(out.size(), 9.5).data(), out.data());
    CHECK(unfinished(out) == 0);
  }
}

}  // namespace
