// sim/conflict.h (internal): who gets what nodes at their capacity cannot take, and its reverse.
// Model section 1.5; water-filling, the default, is in sim/formulas.h and sim/waterfill.h.
#pragma once

#include <vector>

#include "sim/sim.h"

namespace cra::sim {

/// A piece of the excess, and what kept it from being larger.
struct Gift {
  static constexpr int kRoom = -1;     ///< the capacity of the node
  static constexpr int kQuantum = -2;  ///< the size of a turn
  int node;
  double rate;  ///< [wu/slot]
  int limit;    ///< one of these, or the resource that ran out
};

/// How rates came about under a rule that clips and then gives the excess away.
struct Redistribution {
  double theta = 0;             ///< uncapped rates are theta w / max w
  int scarce = 0;               ///< resource that sets theta
  std::vector<double> clipped;  ///< [N] min(capacity, theta w)
  std::vector<double> left;     ///< [K] excess [ru/slot]
  std::vector<Gift> gifts;      ///< in the order they were given; of priority and round_robin
  // Of maxmin: the excess by equal water-filling.
  std::vector<double> ones, room, extra;  ///< [N]
  double level = 0;
};

/// Everything about a slot that decides who comes first.
struct Turn {
  int slot;                  ///< t
  const double* importance;  ///< [N]
};

/// Rates by clipping the uncapped shares and giving the excess on by `p.pool.conflict`.
/// \param w      [N] weights  \param scale  share of every budget that is placed
/// \param rate   [N] on return
/// \returns share of the budgets that nobody uses because of the clipping, mean over resources
double clip_and_give(const Params& p, const double* w, double scale, const Turn& turn,
                     Redistribution& r, double* rate);

/// Reverse of clip_and_give(). \param d_rate [N] used up \param d_w [N] written
/// \returns gradient by the scale
double clip_and_give_backward(const Params& p, const double* w, double scale,
                              const Redistribution& r, double* d_rate, double* d_w);

}  // namespace cra::sim
