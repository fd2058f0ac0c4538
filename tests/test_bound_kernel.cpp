// The linear algebra of the bound against dense matrices, and the same bits from every kernel.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "agents/bound_kernel.h"

using namespace cra::agents;

namespace {

using Dense = std::vector<std::vector<double>>;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

double uniform(std::mt19937_64& g, double lo, double hi) {
  return lo + (hi - lo) * static_cast<double>(g() >> 11) * 0x1p-53;
}

Dense zeros(int rows, int columns) {
  return Dense(index(rows), std::vector<double>(index(columns)));
}
double& at(Dense& a, int r, int c) { return a[index(r)][index(c)]; }

/// Inverse by Gauss and Jordan, with row pivots.
Dense inverse(Dense a) {
  const int n = static_cast<int>(a.size());
  Dense out = zeros(n, n);
  for (int i = 0; i < n; ++i) at(out, i, i) = 1;
  for (int k = 0; k < n; ++k) {
    int pivot = k;
    for (int r = k; r < n; ++r)
      if (std::abs(at(a, r, k)) > std::abs(at(a, pivot, k))) pivot = r;
    std::swap(a[index(k)], a[index(pivot)]);
    std::swap(out[index(k)], out[index(pivot)]);
    const double over = 1 / at(a, k, k);
    for (int c = 0; c < n; ++c) at(a, k, c) *= over, at(out, k, c) *= over;
    for (int r = 0; r < n; ++r) {
      const double by = at(a, r, k);
      if (r == k || by == 0) continue;
      for (int c = 0; c < n; ++c) {
        at(a, r, c) -= by * at(a, k, c);
        at(out, r, c) -= by * at(out, k, c);
      }
    }
  }
  return out;
}

// All matrices below have eigenvalues in about [1, 20]: rounding in products of a few hundred terms
// stays below 20 * 300 * 1e-16 < 1e-12.
constexpr double kRounding = 1e-12;

/// Diagonally dominant bands, another one in each lane; the last lane is an identity.
struct Chains {
  int rows, half;
  std::vector<double> a;
  std::vector<Dense> dense;

  Chains(int rows_, int half_, std::mt19937_64& g)
      : rows(rows_), half(half_), a(index(rows * (half + 1) * kLaneBlock)) {
    for (int lane = 0; lane < kLaneBlock; ++lane) {
      Dense h = zeros(rows, rows);
      for (int r = 0; r < rows; ++r)
        for (int c = std::max(0, r - half); c <= r; ++c) {
          const bool empty = lane == kLaneBlock - 1;
          const double x = c == r  ? (empty ? 1 : 2.0 * half + uniform(g, 1, 3))
                           : empty ? 0
                                   : uniform(g, -1, 1);
          at(h, r, c) = at(h, c, r) = x;
          a[index((r * (half + 1) + c - r + half) * kLaneBlock + lane)] = x;
        }
      dense.push_back(h);
    }
  }
  Bands bands() { return {a.data(), rows, half}; }
};

bool same_bits(const std::vector<double>& x, const std::vector<double>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0;
}

double worst_of(double worst, double found, double wanted) {
  return std::max(worst, std::abs(found - wanted));
}

}  // namespace

TEST_CASE("bands: solutions and the inverse near the diagonal are those of dense matrices") {
  std::mt19937_64 g(1);
  for (const int half : {2, 3, 4, 5, 7})
    for (const int rows : {1, 2, half, 31, 60}) {
      CAPTURE(half);
      CAPTURE(rows);
      Chains chains(rows, half, g);
      const int reach = half + 1;
      std::vector<double> b(index(rows * kLaneBlock));
      for (double& x : b) x = uniform(g, -1, 1);
      const std::vector<double> unfactored = chains.a;
      std::vector<double> solved, near, factored;
      for (const NewtonKernel& kernel : newton_kernels()) {
        CAPTURE(kernel.name);
        chains.a = unfactored;
        CHECK(kernel.factor_bands(chains.bands()));
        std::vector<double> x = b, close(index(rows * reach * kLaneBlock));
        kernel.solve_bands(chains.bands(), x.data());
        kernel.invert_near(chains.bands(), reach, close.data());
        if (solved.empty()) {
          solved = x, near = close, factored = chains.a;
          double off = 0;
          for (int lane = 0; lane < kLaneBlock; ++lane) {
            Dense inv = inverse(chains.dense[index(lane)]);
            for (int r = 0; r < rows; ++r) {
              double sum = 0;
              for (int c = 0; c < rows; ++c) sum += at(inv, r, c) * b[index(c * kLaneBlock + lane)];
              off = worst_of(off, x[index(r * kLaneBlock + lane)], sum);
              for (int c = r; c < std::min(rows, r + reach); ++c)
                off = worst_of(off, close[index((r * reach + c - r) * kLaneBlock + lane)],
                               at(inv, r, c));
            }
          }
          CHECK(off < kRounding);
        }
        CHECK(same_bits(x, solved));
        CHECK(same_bits(close, near));
        CHECK(same_bits(chains.a, factored));
      }
      chains.a = unfactored;
      // A pivot that is not positive, or no number, in one lane of eight.
      for (const double bad : {-1.0, std::nan("")}) {
        chains.a[index(((rows - 1) * (half + 1) + half) * kLaneBlock + 5)] = bad;
        for (const NewtonKernel& kernel : newton_kernels()) {
          std::vector<double> kept = chains.a;
          CHECK(!kernel.factor_bands({kept.data(), rows, half}));
        }
      }
    }
}

TEST_CASE("sweep: what joins chains is P H^-1 P' of dense matrices") {
  std::mt19937_64 g(2);
  for (const int slots : {1, 2, 3, 8, 9, 33})
    for (const int width : {2, 3, 5})
      for (const int half : {width, 2 * width - 1})
        for (const int patterns : {1, 2}) {
          CAPTURE(slots);
          CAPTURE(width);
          CAPTURE(half);
          CAPTURE(patterns);
          const int rows = slots * width, lanes = lanes_of(slots), size = patterns * lanes,
                    lane = 3;
          Chains chains(rows, half, g);
          Dense inv = inverse(chains.dense[lane]);
          // Pattern 0 holds two variables of a slot and one of the slot before, the others one.
          std::vector<JoinEntry> entries;
          std::vector<int> first{0};
          Dense p = zeros(patterns * slots, rows);
          for (int q = 0; q < patterns; ++q)
            for (int t = 0; t < slots; ++t) {
              const auto join = [&](int variable) {
                entries.push_back({variable, uniform(g, -1, 1)});
                at(p, q * slots + t, variable) = entries.back().by;
              };
              join(t * width + (q == 0 ? 0 : width - 1));
              if (q == 0) join(t * width + 1);
              if (q == 0 && t > 0) join((t - 1) * width);
              first.push_back(static_cast<int>(entries.size()));
            }
          Dense solved = zeros(patterns * slots, rows);  // rows are H^-1 p'
          for (int i = 0; i < patterns * slots; ++i)
            for (int r = 0; r < rows; ++r)
              for (int c = 0; c < rows; ++c) at(solved, i, r) += at(inv, r, c) * at(p, i, c);
          std::vector<double> wanted_all;
          for (const NewtonKernel& kernel : newton_kernels()) {
            CAPTURE(kernel.name);
            std::vector<double> a = chains.a;
            REQUIRE(kernel.factor_bands({a.data(), rows, half}));
            std::vector<double> start(index(patterns * slots * 2 * width));
            for (int i = 0; i < patterns * slots; ++i)
              for (int r = 0; r < 2 * width; ++r) {
                const int variable = (i % slots - 1) * width + r;
                if (variable >= 0) start[index(i * 2 * width + r)] = at(solved, i, variable);
              }
            std::vector<double> s(index(size * size), 1.0);
            std::vector<JoinTarget> joins;
            for (int q = 0; q < patterns; ++q)
              for (int other = 0; other < patterns; ++other)
                joins.push_back({s.data() + other * lanes * size + q * lanes, other, q, 0.5});
            std::vector<double> room(sweep_room(width, patterns, slots), std::nan(""));
            kernel.sweep({slots, width, half, patterns, a.data() + lane, start.data(),
                          entries.data(), first.data(), joins.data(),
                          static_cast<int>(joins.size()), size, room.data()});
            double off = 0;
            std::vector<double> all;
            for (int q = 0; q < patterns; ++q)
              for (int other = 0; other < patterns; ++other)
                for (int i = 0; i < slots; ++i)
                  for (int t = i; t < slots; ++t) {
                    const double found = s[index((other * lanes + i) * size + q * lanes + t)];
                    all.push_back(found);
                    double sum = 0;
                    for (int r = 0; r < rows; ++r)
                      sum += at(p, other * slots + i, r) * at(solved, q * slots + t, r);
                    off = worst_of(off, found, 1 + 0.5 * sum);
                  }
            CHECK(off < kRounding);
            if (wanted_all.empty()) wanted_all = all;
            CHECK(same_bits(all, wanted_all));
          }
        }
}

TEST_CASE("factor and solve: a square with unknowns of either sign, as a dense solution has it") {
  std::mt19937_64 g(3);
  for (const int size : {8, 16, 40, 72, 136})
    for (const int turned : {0, 8, 40}) {
      if (turned >= size) continue;
      CAPTURE(size);
      CAPTURE(turned);
      Dense m = zeros(size, size);  // [-A B; B' S]
      std::vector<double> given(index(size * size), std::nan("")), b;
      for (int r = 0; r < size; ++r) {
        b.push_back(uniform(g, -1, 1));
        for (int c = r; c < size; ++c) {
          const double x = c == r ? size / 4.0 + 2 : uniform(g, -0.5, 0.5);
          at(m, r, c) = at(m, c, r) = c < turned ? -x : x;
          given[index(r * size + c)] = x;
        }
      }
      Dense inv = inverse(m);
      std::vector<double> solved;
      for (const NewtonKernel& kernel : newton_kernels()) {
        CAPTURE(kernel.name);
        std::vector<double> a = given, over(index(size)), x = b;
        const DenseFactor f{a.data(), size, turned, over.data()};
        REQUIRE(kernel.factor(f));
        kernel.solve(f, x.data());
        double off = 0;
        for (int r = 0; r < size; ++r) {
          double sum = 0;
          for (int c = 0; c < size; ++c) sum += at(inv, r, c) * b[index(c)];
          off = worst_of(off, x[index(r)], sum);
        }
        CHECK(off < kRounding);
        if (solved.empty()) solved = x;
        CHECK(same_bits(x, solved));
        for (const double bad : {0.0, -1.0, std::nan("")}) {
          a = given;
          a[index((size - 1) * (size + 1))] = bad - size;
          CHECK(!kernel.factor(f));
        }
      }
    }
}
