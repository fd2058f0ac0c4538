// sim/episode.h (internal): what draw() puts together for one episode.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/draw_grid.h"
#include "sim/sim.h"

namespace cra::sim {

/// Mean rates and ready arrivals of one episode, [T, N] each.
struct Inflow {
  int slots, nodes;
  double* rate;
  double* arrivals;
  double* mean = nullptr;  ///< where arrivals without noise go, if anybody wants them
  std::size_t at(std::int64_t t, int n) const { return static_cast<std::size_t>(t * nodes + n); }
};

/// Where the draws of one episode come from.
struct Episode {
  std::uint64_t seed;
  EpisodeSet set;
  std::int64_t number;

  Draws draws(Stream stream, int node, std::int64_t slot) const {
    return Draws(seed, set, number, stream, node, slot);
  }
  /// All nodes, over some slots.
  DrawGrid grid(Stream stream, std::int64_t first_slot, int slots, int nodes) const {
    return {draws(stream, 0, first_slot), slots, nodes};
  }
};

/// Adds the work of all parts; the workload's noise is applied to the summed rates.
void add_arrivals(const Params& p, const Episode& episode, Inflow& in);

/// Adds to the arrivals what the rates bring, with noise.
void add_noise(const Noise& noise, const Episode& episode, Inflow& in);

/// Importance of one episode. [T, N] each
struct Agenda {
  int slots, nodes;
  const double* arrivals;
  const double* mean;  ///< [N] long-run mean of the arrivals
  double* importance;  ///< holds the steady weights; multiplied
  double* window;      ///< slots until the next window; null without windows
  std::size_t at(std::int64_t t, int n) const { return static_cast<std::size_t>(t * nodes + n); }
};
void apply_calendar(const Calendar& calendar, const Episode& episode, Agenda& agenda);

/// Availability and health signal of one episode.
/// \param availability  [T, N] holds 1  \param health  [T, N]; null for kinds without a signal
void draw_failures(const Failures& failures, const Episode& episode, int slots, int nodes,
                   double* availability, double* health);

}  // namespace cra::sim
