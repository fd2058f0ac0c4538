// The kernel of draw_grid.h, for the instruction set that the including file is compiled for.
//
// Everything is in an unnamed namespace: see simd.h.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "sim/draw_grid.h"
#include "sim/elementary.h"

namespace cra::sim {
namespace {

// Words of 32 bits lie in lanes of 64, where their products fit; the upper halves hold anything.
using Word = Words<Lanes>;
constexpr std::uint64_t kLow = 0xffffffff;

/// Products of the lower halves: an instruction that GCC's vector types have no name for.
CRA_INLINE Word product(Word a, std::uint64_t m) {
  const Word b = Word{} + m;
#if defined(__AVX512F__)
  return (Word)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Word)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (Word)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & kLow) * b;
#endif
}

/// Counters of a vector of points: they differ in slot and node only.
struct Points {
  std::uint32_t key[2], episode[2];
  Word slot, node;  ///< counter words 0 and 1
};

/// Four uniform words at each point, of block `number` of their sequences: philox_block().
struct Block {
  Word word[4];
};
CRA_INLINE Block block_at(const Points& at, std::uint64_t number) {
  Word a = at.slot, b = at.node + number, c = Word{} + at.episode[0], d = Word{} + at.episode[1];
  std::uint32_t key0 = at.key[0], key1 = at.key[1];
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Word p = product(a, 0xD2511F53), q = product(c, 0xCD9E8D57);
    a = (q >> 32) ^ b ^ std::uint64_t{key0};
    c = (p >> 32) ^ d ^ std::uint64_t{key1};
    b = q;
    d = p;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{a, b, c, d}};
}

/// Draws::uniform() of two words.
CRA_INLINE Lanes uniform_of(Word first, Word second) {
  // A whole number below 2^52 becomes a double when it is put into the low bits of 2^52.
  constexpr std::uint64_t kBits = 0x4330000000000000;
  const Lanes high = numbers_of<Lanes>(((first & kLow) >> 5) | kBits) - 0x1p52;
  const Lanes low = numbers_of<Lanes>(((second & kLow) >> 6) | kBits) - 0x1p52;
  return (high * 0x1p26 + low + 0.5) * 0x1p-53;
}
CRA_INLINE Lanes uniform_of(const Block& block, int half) {
  return uniform_of(block.word[2 * half], block.word[2 * half + 1]);
}

/// out[i] = draw(points, i, count) for all points i of the grid, a vector of them at a time; of the
/// last vector only `count` lanes are meant.
template <class Draw>
CRA_INLINE void for_points(const GridCounters& grid, double* out, Draw draw) {
  const std::ptrdiff_t size = grid.slots * grid.nodes;
  Points at{{grid.key[0], grid.key[1]}, {grid.counter[2], grid.counter[3]}, {}, {}};
  Word step;
  for (int l = 0; l < kLanes; ++l) step[l] = static_cast<std::uint64_t>(l);
  std::uint64_t slot = 0, node = 0;
  const auto nodes = static_cast<std::uint64_t>(grid.nodes);
  for (std::ptrdiff_t i = 0; i < size; i += kLanes) {
    if (node + kLanes <= nodes) {
      at.slot = Word{} + slot;
      at.node = step + node;
      node += kLanes;
    } else {
      for (int l = 0; l < kLanes; ++l) {
        if (node == nodes) {
          node = 0;
          ++slot;
        }
        at.slot[l] = slot;
        at.node[l] = node++;
      }
    }
    at.slot += std::uint64_t{grid.counter[0]};
    at.node = (at.node << 16) + std::uint64_t{grid.counter[1]};
    const std::ptrdiff_t left = size - i;
    const int count = left < kLanes ? static_cast<int>(left) : kLanes;
    const Lanes drawn = draw(at, i, count);
    if (count == kLanes)
      store<Lanes>(out + i, drawn);
    else
      for (int l = 0; l < count; ++l) out[i + l] = drawn[l];
  }
}

void draw_uniform(const GridCounters& grid, double* out) {
  for_points(
      grid, out, [](const Points& at, std::ptrdiff_t, int) __attribute__((always_inline)) {
        return uniform_of(block_at(at, 0), 0);
      });
}

/// \tparam Boosted  shape < 1
template <bool Boosted>
CRA_INLINE void draw_gamma_of(const GridCounters& grid, double shape, double* out) {
  const GammaAttempt attempt(Boosted ? shape + 1 : shape);
  for_points(
      grid, out, [&](const Points& at, std::ptrdiff_t, int) __attribute__((always_inline)) {
        const Block first = block_at(at, 0), second = block_at(at, 1);
        const Lanes u[4] = {uniform_of(first, 0), uniform_of(first, 1), uniform_of(second, 0),
                            uniform_of(second, 1)};
        constexpr int kNext = Boosted ? 1 : 0;
        const Lanes x = box_muller(u[kNext], u[kNext + 1]).cosine, base = attempt.base(x);
        const Lanes v = base * base * base;
        Lanes drawn = attempt.d * v;
        if constexpr (Boosted) drawn *= gamma_boost(u[0], shape);
        const auto taken = (base > 0.0) & attempt.takes(x, v, u[kNext + 2]);
        return taken ? drawn : Lanes{} - 1.0;
      });
}
void draw_gamma(const GridCounters& grid, double shape, double* out) {
  if (shape < 1)
    draw_gamma_of<true>(grid, shape, out);
  else
    draw_gamma_of<false>(grid, shape, out);
}

void draw_log_normal(const GridCounters& grid, double sigma, double* out) {
  for_points(
      grid, out, [&](const Points& at, std::ptrdiff_t, int) __attribute__((always_inline)) {
        const Block block = block_at(at, 0);
        const Lanes z = box_muller(uniform_of(block, 0), uniform_of(block, 1)).cosine;
        return exp_of(sigma * z - sigma * sigma / 2);
      });
}

/// Means below 10, as Draws::poisson() does them: uniform numbers are multiplied up to a limit.
void draw_poisson(const GridCounters& grid, const double* mean, double* out) {
  for_points(
      grid, out, [&](const Points& at, std::ptrdiff_t i, int count) __attribute__((always_inline)) {
        Lanes m{};
        if (count == kLanes)
          m = load<Lanes>(mean + i);
        else
          for (int l = 0; l < count; ++l) m[l] = mean[i + l];
        const auto small = m < 10.0;
        const Lanes limit = (m > 0.0) & small ? exp_of(-m) : Lanes{} + 1.0;  // 1: stops at once
        Lanes product = Lanes{} + 1.0, drawn{};
        constexpr std::uint64_t kMostBlocks = 64;
        for (std::uint64_t number = 0; number < kMostBlocks; ++number) {
          const Block block = block_at(at, number);
          product *= uniform_of(block, 0);
          drawn += product > limit ? Lanes{} + 1.0 : Lanes{};
          product *= uniform_of(block, 1);
          const auto going = product > limit;
          drawn += going ? Lanes{} + 1.0 : Lanes{};
          bool any = false;
          for (int l = 0; l < kLanes; ++l) any |= going[l] != 0;
          if (!any) break;
        }
        return (small & (product <= limit)) ? drawn : Lanes{} - 1.0;
      });
}

}  // namespace
}  // namespace cra::sim
