// agents/curves.h (internal): what service in one slot does to the error of a node, as a convex
// curve with its inverse, and the rates at which all nodes value the budgets alike.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agents/rules.h"

namespace cra::agents {

/// Rate that a node asks for at a price of service, and how that rate moves with the price.
struct Demand {
  double rate, slope;
};

/// W eps of one node at the end of a slot, by its service s in that slot.
struct Curve {
  enum class Form { backlog, power_law, exponential };
  Form form = Form::backlog;
  double weight = 0;    ///< W
  double start = 0;     ///< work that waits with what comes; or progress without service [wu]
  double scale = 1;     ///< kappa or x0 [wu]
  double gain = 0;      ///< a of a progress error
  double exponent = 0;  ///< b of a power law

  /// What a further unit of service gains, -d(W eps)/ds >= 0; never rises with s.
  double gain_at(double service) const;
  /// The least service >= 0 at which no further unit gains more than the price > 0.
  Demand demand(double price) const;
};

/// Empty, or why the errors of a pool have no such curves here.
std::string no_curves(const sim::Params& p);
/// The curve of node n in the coming slot. \param arrivals  forecast of what comes [wu]
Curve curve_of(const Seen& s, int n, double arrivals);

/// Rates in [0, cap] at which node n asks for demand(n, price of its needs), with one price for
/// each budget, such that no budget is exceeded and none that has a price is left over: the optimum
/// of a sum of concave values inside the budgets. One budget: by halving; several: Newton steps on
/// the convex dual.
/// \param cap [N]  \param budget [K]  \param rate [N] on return
/// \returns prices [K], 0 where the budget suffices
std::vector<double> clear_market(const sim::Pool& pool, const std::vector<double>& budget,
                                 const std::vector<double>& cap,
                                 const std::function<Demand(int, double)>& demand, double* rate);

/// Square-root capacity assignment (Kleinrock 1964): rates that minimise the sum of W l / (s - l),
/// the mean number in M/M/1 queues, at a total budget; in proportion to load when that is short.
/// \param load, weight [n]  \param rate [n] on return
void kleinrock_rates(const double* load, const double* weight, double budget, double* rate, int n);

}  // namespace cra::agents
