// sim/rng.h: counter-based random numbers. A draw is a pure function of
// (seed, episode, stream, node, slot), so episodes can be made in any order, on any number of
// threads, and two policies meet the same exogenous input. Generator: Philox4x32-10
// (Salmon, Moraes, Dror, Shaw, SC 2011), from the Random123 library.
#pragma once

#include <array>
#include <cstdint>

namespace cra {

/// The ten-round Philox4x32 bijection, as published: four output words for a counter under a key.
std::array<std::uint32_t, 4> philox_block(std::array<std::uint32_t, 4> counter,
                                          std::array<std::uint32_t, 2> key);

/// What a stream of draws is for. Streams never overlap. Append only: the numbers are part of
/// what makes old results reproducible.
enum class Stream : std::uint8_t {
  noise = 0,         ///< arrival noise
  cascade = 1,       ///< platoon starts, places, lengths
  poisson = 2,       ///< compound Poisson arrivals
  window = 3,        ///< which window of a trace, and its jitter
  node_values = 4,   ///< per-node parameters given as a distribution
  exploration = 5,   ///< policy noise
  weights = 6,       ///< initial network weights
  bootstrap = 7,     ///< resampling of episodes
  bursts = 8,        ///< storms and their bursts
  diurnal = 9,       ///< time of day at the start
  regime = 10,       ///< levels of regimes
  drift = 11,        ///< steps of wandering rates
  heavy_tail = 12,   ///< numbers and sizes of jobs
  failures = 13,     ///< wear, failure, repair, health signal
  shift = 15,        ///< shifts of what progress nodes learn
  calendar = 14,     ///< importance over time
  contagion = 16,    ///< bursts that raise the chance of bursts
  frames = 17,       ///< where in its period a node is
  two_state = 18,    ///< state of a switch
  minibatches = 19,  ///< order in which a learner meets its steps
  lottery = 24,      ///< whom the server draws, and whether it finishes
};

/// Which family of episodes an episode number belongs to; families never share random numbers.
/// Append only, as streams are.
enum class EpisodeSet : std::uint8_t {
  training = 0,
  tuning = 1,
  evaluation = 2,
  warmup = 3,
  validation = 4,
};

/// The seed of the k-th of several runs that share a root; that of run 0 is the root itself.
std::uint64_t seed_of_run(std::uint64_t root, std::uint32_t run);

/// A short sequence of draws at one point (seed, episode, stream, node, slot). Cheap to make.
/// The same bits on every processor and C library; draw_grid.h has the same for many points at
/// once.
class Draws {
 public:
  /// \param set, episode  family and number (< 2^56) of the episode
  /// \param node          < 65536
  Draws(std::uint64_t seed, EpisodeSet set, std::int64_t episode, Stream stream, int node,
        std::int64_t slot);

  std::uint32_t bits();                ///< 32 uniform random bits
  double uniform();                    ///< in (0, 1], 53 bits; 1 with probability 2^-53
  double normal();                     ///< standard normal (Box-Muller)
  double gamma(double shape);          ///< Gamma(shape, 1), shape > 0 (Marsaglia, Tsang 2000)
  double log_normal(double sigma);     ///< exp(sigma Z - sigma^2 / 2), Z normal: mean 1
  std::int64_t poisson(double mean);   ///< Poisson(mean), 0 <= mean <= 1e6
  std::int64_t below(std::int64_t n);  ///< uniform integer in [0, n), n >= 1

  /// The point that many nodes and slots on. Of a sequence that nothing was drawn from.
  Draws moved(int nodes, std::int64_t slots) const;
  const std::array<std::uint32_t, 2>& key() const { return key_; }
  const std::array<std::uint32_t, 4>& counter() const { return counter_; }  ///< of the next block

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  int left_ = 0;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

}  // namespace cra
