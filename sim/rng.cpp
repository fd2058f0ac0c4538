#include "sim/rng.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "sim/base.h"
#include "sim/elementary.h"

namespace cra {

std::array<std::uint32_t, 4> philox_block(std::array<std::uint32_t, 4> counter,
                                          std::array<std::uint32_t, 2> key) {
  r123::Philox4x32::ctr_type c;
  r123::Philox4x32::key_type k;
  for (unsigned i = 0; i < 4; ++i) c[i] = counter[i];
  for (unsigned i = 0; i < 2; ++i) k[i] = key[i];
  const auto out = r123::Philox4x32_R<10>()(c, k);
  return {out[0], out[1], out[2], out[3]};
}

std::uint64_t seed_of_run(std::uint64_t root, std::uint32_t run) {
  if (run == 0) return root;
  // No Draws meets this counter: its set would be 255.
  const auto words = philox_block(
      {run, 0, 0, 255}, {static_cast<std::uint32_t>(root), static_cast<std::uint32_t>(root >> 32)});
  return (std::uint64_t{words[1]} << 32) | words[0];
}

// The 128-bit counter: slot (32) | node (16), stream (8), draw (8) | episode (56), set (8).
// The draw number counts blocks of four words; a sequence may use 256 of them before it would
// meet itself, far more than the rejection loops below ever need.
Draws::Draws(std::uint64_t seed, EpisodeSet set, std::int64_t episode, Stream stream, int node,
             std::int64_t slot)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)} {
  CRA_ASSERT(episode >= 0 && episode < (std::int64_t{1} << 56));
  CRA_ASSERT(node >= 0 && node < 65536);
  CRA_ASSERT(slot >= 0 && slot < (std::int64_t{1} << 32));
  const auto number = static_cast<std::uint64_t>(episode);
  counter_ = {static_cast<std::uint32_t>(slot),
              (static_cast<std::uint32_t>(node) << 16) | (static_cast<std::uint32_t>(stream) << 8),
              static_cast<std::uint32_t>(number),
              (static_cast<std::uint32_t>(number >> 32) << 8) | static_cast<std::uint32_t>(set)};
}

std::uint32_t Draws::bits() {
  if (left_ == 0) {
    block_ = philox_block(counter_, key_);
    const std::uint32_t draw = (counter_[1] & 0xffu) + 1;
    CRA_CHECK(draw < 256, "random sequence exhausted: more than 1020 words at one point");
    counter_[1] = (counter_[1] & ~0xffu) | draw;
    left_ = 4;
  }
  return block_[static_cast<std::size_t>(4 - left_--)];
}

double Draws::uniform() {
  // 53 bits, centred in their cell: (k + 1/2) / 2^53 is never 0; the last one rounds to 1.
  const std::uint64_t high = bits() >> 5, low = bits() >> 6;
  return (static_cast<double>((high << 26) | low) + 0.5) * 0x1.0p-53;
}

double Draws::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  const double first = uniform(), second = uniform();
  const auto pair = sim::box_muller(first, second);
  spare_normal_ = pair.sine;
  has_spare_ = true;
  return pair.cosine;
}

double Draws::gamma(double shape) {
  if (shape < 1) {
    const double scale = sim::gamma_boost(uniform(), shape);
    return gamma(shape + 1) * scale;
  }
  const sim::GammaAttempt attempt(shape);
  for (;;) {
    const double x = normal(), base = attempt.base(x);
    if (base <= 0) continue;
    const double v = base * base * base;
    if (attempt.takes(x, v, uniform())) return attempt.d * v;
  }
}

double Draws::log_normal(double sigma) { return sim::exp_of(sigma * normal() - sigma * sigma / 2); }

Draws Draws::moved(int nodes, std::int64_t slots) const {
  CRA_ASSERT(left_ == 0 && (counter_[1] & 0xffu) == 0);
  Draws there = *this;
  there.counter_[0] += static_cast<std::uint32_t>(slots);
  there.counter_[1] += static_cast<std::uint32_t>(nodes) << 16;
  return there;
}

std::int64_t Draws::poisson(double mean) {
  if (!(mean > 0)) return 0;
  if (mean < 10) {  // product of uniforms (Knuth); about mean + 1 draws
    const double limit = sim::exp_of(-mean);
    std::int64_t k = 0;
    for (double product = uniform(); product > limit; product *= uniform()) ++k;
    return k;
  }
  // Transformed rejection PTRS (Hoermann 1993), mean >= 10.
  const double b = 0.931 + 2.53 * std::sqrt(mean), a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double u = uniform() - 0.5, v = uniform();
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= v_r) return static_cast<std::int64_t>(k);
    if (k < 0 || (us < 0.013 && v > us)) continue;
    // log(k!) by Stirling's series from k + 1 upwards: no lgamma, which writes a global (signgam).
    double n = k + 1, shift = 0;
    while (n < 10) shift -= sim::log_of(n++);
    const double log_factorial = (n - 0.5) * sim::log_of(n) - n +
                                 0.5 * std::log(2 * std::numbers::pi) + 1 / (12 * n) -
                                 1 / (360 * n * n * n) + shift;
    if (sim::log_of(v * inverse_alpha / (a / (us * us) + b)) <=
        k * sim::log_of(mean) - mean - log_factorial)
      return static_cast<std::int64_t>(k);
  }
}

std::int64_t Draws::below(std::int64_t n) {
  CRA_ASSERT(n >= 1);
  // 53 bits against n: the bias is below n * 2^-53, no test can see it for n < 2^30.
  const auto k = static_cast<std::int64_t>(uniform() * static_cast<double>(n));
  return k < n ? k : n - 1;
}

}  // namespace cra
