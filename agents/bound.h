// agents/bound.h: what an allocator that knew the whole episode could reach, with a certificate.
//
// The clairvoyant problem of one episode is a convex program: errors are convex in the commands
// (model section 1.11). interior_point() solves it; certificate() turns multipliers, good or bad,
// into a cost that no policy can beat in that episode (bound section 1.3). Nothing here knows the
// simulator but clairvoyant_problem(), so that the bound can be tested on problems of its own.
//
// Units as in sim.h. Arrays [T, N] are row-major: slot t, node n at t * N + n.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "sim/sim.h"

namespace cra::agents {

// ---- errors of a node --------------------------------------------------------------------
//
// A curve is a convex function of the node's level: the work that waits (queue nodes) or the
// effort so far (progress nodes). Levels are clamped at -scale / 2: an interior point may step a
// little below 0, where the formulas would run into their pole. lowest() is the level in [0, top]
// at which weight * error + price * level is least.

/// phi(y / scale) of the waiting work y, phi(z) = z^2 / (1 + z).
struct BacklogCurve {
  static constexpr bool of_waiting_work = true;
  double scale = 1;

  double shifted(double y) const { return 1 + std::max(y / scale, -0.5); }
  double value(double y) const { return sim::backlog_phi(shifted(y) - 1); }
  double slope(double y) const { return sim::backlog_phi_slope(shifted(y) - 1) / scale; }
  double curvature(double y) const {
    const double z = shifted(y);
    return 2 / (scale * scale * z * z * z);
  }
  double lowest(double weight, double price, double top) const {
    if (price >= 0) return 0;
    const double steepness = -price * scale / weight;
    if (!(steepness < 1)) return top;
    return std::min(top, scale * (1 / std::sqrt(1 - steepness) - 1));
  }
};

/// slope * y of the waiting work: the share of work that misses its deadline, or plain holding.
struct LinearCurve {
  static constexpr bool of_waiting_work = true;
  double rise = 1;

  double value(double y) const { return rise * y; }
  double slope(double) const { return rise; }
  double curvature(double) const { return 0; }
  double lowest(double weight, double price, double top) const {
    return weight * rise + price < 0 ? top : 0;
  }
};

/// c + a (1 + x / x0)^(-b) of the effort x.
struct PowerCurve {
  static constexpr bool of_waiting_work = false;
  double a = 1, b = 1, c = 0, x0 = 1;

  double shifted(double x) const { return 1 + std::max(x / x0, -0.5); }
  double value(double x) const { return c + a * std::pow(shifted(x), -b); }
  double slope(double x) const { return -a * b / x0 * std::pow(shifted(x), -b - 1); }
  double curvature(double x) const {
    return a * b * (b + 1) / (x0 * x0) * std::pow(shifted(x), -b - 2);
  }
  double lowest(double weight, double price, double top) const {
    if (price <= 0) return top;
    const double level = x0 * (std::pow(weight * a * b / (x0 * price), 1 / (b + 1)) - 1);
    return std::clamp(level, 0.0, top);
  }
};

/// c + a exp(-x / x0) of the effort x.
struct ExponentialCurve {
  static constexpr bool of_waiting_work = false;
  double a = 1, c = 0, x0 = 1;

  double height(double x) const { return a * std::exp(-std::max(x / x0, -0.5)); }
  double value(double x) const { return c + height(x); }
  double slope(double x) const { return -height(x) / x0; }
  double curvature(double x) const { return height(x) / (x0 * x0); }
  double lowest(double weight, double price, double top) const {
    if (price <= 0) return top;
    if (!(weight > 0)) return 0;
    return std::clamp(x0 * std::log(weight * a / (x0 * price)), 0.0, top);
  }
};

/// A table of effort and error, straight between knots and flat beyond the last; convex and
/// non-increasing.
struct TableCurve {
  static constexpr bool of_waiting_work = false;
  std::vector<double> x;      ///< [M] rising [wu]
  std::vector<double> error;  ///< [M]

  /// Slope of the segment behind knot j.
  double slope_of(std::size_t j) const {
    return j + 1 < x.size() ? (error[j + 1] - error[j]) / (x[j + 1] - x[j]) : 0;
  }
  std::size_t segment(double level) const {
    const auto after = std::upper_bound(x.begin() + 1, x.end(), level);
    return static_cast<std::size_t>(after - x.begin()) - 1;
  }
  double value(double level) const {
    const std::size_t j = segment(level);
    return error[j] + slope_of(j) * (level - x[j]);
  }
  double slope(double level) const { return slope_of(segment(level)); }
  double curvature(double) const { return 0; }
  /// The least is at a knot or at an end of [0, top]; trying all of them needs no convexity.
  double lowest(double weight, double price, double top) const {
    double best = 0, least = weight * value(0);
    const auto consider = [&](double level) {
      const double cost = weight * value(level) + price * level;
      if (cost < least) best = level, least = cost;
    };
    consider(top);
    for (const double knot : x)
      if (knot > 0 && knot < top) consider(knot);
    return best;
  }
};

using ErrorCurve =
    std::variant<BacklogCurve, LinearCurve, PowerCurve, ExponentialCurve, TableCurve>;

// ---- the problem -------------------------------------------------------------------------

/// Service of one node that also counts as effort of another.
struct Feed {
  int follower = 0;   ///< a progress node
  double weight = 0;  ///< effort per service, >= 0
};

inline constexpr int kMostFeeders = 8;  ///< of one node

/// One node: what is constant over the episode, and where it starts.
struct ClairvoyantNode {
  double capacity = 1;        ///< C, most it can be told to do, over all resources [wu/slot]
  double lag = 1;             ///< eta in (0, 1]: m_t = (1 - eta) m_{t-1} + eta s_t
  double abandonment = 0;     ///< theta in [0, 1): share of waiting work lost in a slot
  double forgetting = 0;      ///< rho in [0, 1): share of effort lost in a slot
  double rate = 0;            ///< m_{-1} in [0, C] [wu/slot]
  double backlog = 0;         ///< q_0, waiting before slot 0 [wu]; queue nodes
  double effort = 0;          ///< x_{-1}, effort before slot 0 [wu]; progress nodes
  ErrorCurve error;           ///< of waiting work: a queue node; of effort: a progress node
  double price = 0;           ///< cost of a unit of command, >= 0 [slot/wu]
  double crowding = 0;        ///< cost of its square, >= 0 [(slot/wu)^2]
  bool deadline = false;      ///< a queue whose error, a LinearCurve, is of the work it misses
  std::vector<Feed> feeds{};  ///< of a progress node

  bool queue() const {
    return std::visit([](const auto& curve) { return curve.of_waiting_work; }, error);
  }
};

/// All of one episode. Choose commands 0 <= s <= C with sum_n d_nk s_n <= R_k in every slot (and,
/// with a reserve, work u that it does at once) so that the mean over slots and nodes of
/// importance * error + switching * movement + price * s + crowding * s^2 is least, together with
/// worst times the soft maximum of all errors in a slot, temperature * log mean exp(error /
/// temperature). An error is factor_t * curve(level / stretch_t), of this level:
///   queue:    y_t = max(q_t + A_t - min(m_t, b_t C) - u_t, 0),  q_{t+1} = (1 - theta) y_t
///   deadline: y'_t as y_t; the level is what is missed of it, e_t = max(y'_t - room_t, 0), and
///             y_t = y'_t - e_t
///   progress: x_t = keep_t (1 - rho) x_{t-1} + v_t + sum_h weight_h v_ht, over the nodes h that
///             feed it; v = min(m_t, b_t C)
///   reserve:  sum d (s + u / omega) <= R,  sum d (m + u / omega) <= R,  of every resource, and
///             u <= b C - min(m, b C)
struct ClairvoyantProblem {
  int slots = 0;                      ///< T
  int nodes = 0;                      ///< N
  int resources = 1;                  ///< K
  std::vector<ClairvoyantNode> node;  ///< [N]
  std::vector<double> need;           ///< [N, K] resource per work d >= 0 [ru/wu]
  std::vector<double> budget;         ///< [K] R > 0 [ru/slot]
  std::vector<double> arrivals;       ///< [T, N] A >= 0 [wu]; queue nodes
  std::vector<double> availability;   ///< [T, N] b in [0, 1]
  std::vector<double> importance;     ///< [T, N] W >= 0
  std::vector<double> retention;      ///< [T, N] keep in [0, 1]; progress nodes
  std::vector<double> factor;         ///< [T, N] >= 0 of the error; empty: 1
  std::vector<double> stretch;        ///< [T, N] > 0 of its level; empty: 1
  std::vector<double> room;           ///< [T, N] >= 0 work that is in time; empty: no deadlines
  double worst = 0;                   ///< weight of the soft worst error, >= 0
  double temperature = 0.1;           ///< its softness
  double switching = 0;               ///< weight of movement, >= 0
  double smoothing = 0.02;            ///< movement = sqrt(dm^2 + smoothing^2) - smoothing
  double reserve = 0;                 ///< omega in [0, 1]; 0 = none. Needs one lag

  std::size_t at(int t, int n) const {
    return static_cast<std::size_t>(t) * static_cast<std::size_t>(nodes) +
           static_cast<std::size_t>(n);
  }
  double need_of(int n, int k) const {
    return need[static_cast<std::size_t>(n) * static_cast<std::size_t>(resources) +
                static_cast<std::size_t>(k)];
  }
  const ClairvoyantNode& at_node(int n) const { return node[static_cast<std::size_t>(n)]; }
  double factor_of(std::size_t i) const { return factor.empty() ? 1 : factor[i]; }
  double stretch_of(std::size_t i) const { return stretch.empty() ? 1 : stretch[i]; }
};

/// The nodes that feed node n, where `follower` is the one that feeds.
std::vector<Feed> feeders(const ClairvoyantProblem& p, int n);

/// \throws Error  naming the first array of a wrong size or number out of its range
void check(const ClairvoyantProblem& p);

/// What to do in every slot.
struct Commands {
  std::vector<double> rate;     ///< [T, N] s [wu/slot]
  std::vector<double> reserve;  ///< [T, N] u [wu]; empty without a reserve
};

/// Clips and scales commands into the budgets and caps.
void make_feasible(const ClairvoyantProblem& p, Commands& c);

/// What commands lead to in the problem's own plant. What the reserve is told to do beyond the work
/// or the capacity that is left, it does not do.
struct Course {
  std::vector<double> rate;   ///< [T, N] placed rate m
  std::vector<double> level;  ///< [T, N] what the node carries on: y, or x
  double cost = 0;            ///< per slot
};
Course follow(const ClairvoyantProblem& p, const Commands& c);
/// Its cost.
double clairvoyant_cost(const ClairvoyantProblem& p, const Commands& c);

// ---- the certificate ---------------------------------------------------------------------

/// Prices of the constraints, in units of N T times the cost.
struct Multipliers {
  std::vector<double> work;      ///< [T, N] lambda >= 0: waiting work (effort) appears (vanishes)
  std::vector<double> serve;     ///< [T, N] mu >= 0: service stays within the placed rate
  std::vector<double> budget;    ///< [T, K] nu >= 0
  std::vector<double> pool;      ///< [T, K] xi >= 0: reserve within what is not placed; else empty
  std::vector<double> movement;  ///< [T, N] |p| <= switching; empty without switching
  std::vector<double> fairness;  ///< [T, N] >= 0, shares of the worst error; empty without its cost
};

/// A cost per slot that no commands go below, for any multipliers in their ranges: the Lagrangian
/// dual value, every inner minimum in closed form, less what rounding can have added. O(N T K).
/// -infinity when a multiplier is not finite or out of range.
double certificate(const ClairvoyantProblem& p, const Multipliers& prices);

// ---- the solution ------------------------------------------------------------------------

/// Stops when upper - lower is at most relative * upper, or absolute. Much below 1e-7 the
/// factorisations run out of digits.
struct Tolerance {
  double relative = 1e-4;
  double absolute = 1e-7;  ///< in units of the mean importance
  int steps = 80;
};

struct Clairvoyant {
  double lower = 0;         ///< certified: no commands cost less [cost per slot]
  double upper = 0;         ///< cost of `commands`: clairvoyant_cost
  int steps = 0;            ///< Newton steps taken
  Commands commands;        ///< the best found, feasible
  Multipliers multipliers;  ///< the best found
};

/// Solves the problem by a primal-dual interior point method. Steps cost O(N T^2 + (T K)^3), and
/// memory is O(T^2 + (T K)^2). Runs in the calling thread.
/// \throws Error  as check()
Clairvoyant interior_point(const ClairvoyantProblem& p, const Tolerance& tolerance = {});

/// The same window by window, each solved from where the one before left it and a good part beyond
/// its end; for horizons that are too long to be solved whole. What effort is good for beyond that
/// is guessed, from the course that all windows together took in the pass before. Joined
/// multipliers are as good a certificate of the whole horizon as any. \param window  slots that
/// each window keeps, > 0
Clairvoyant by_windows(const ClairvoyantProblem& p, int window, const Tolerance& tolerance = {});

/// Slots above which clairvoyant() works by windows; by what all nodes share in a slot.
int longest_whole(const ClairvoyantProblem& p);
/// interior_point(), by windows where the horizon is too long.
Clairvoyant clairvoyant(const ClairvoyantProblem& p, const Tolerance& tolerance = {});

// ---- the simulator's problem -------------------------------------------------------------

/// Why the pool has no clairvoyant bound; empty when it has one.
std::string no_bound_because(const sim::Params& p);
/// The problem of episode i of x. \param p resolved, and no_bound_because(p) is empty
ClairvoyantProblem clairvoyant_problem(const sim::Params& p, const sim::Exogenous& x,
                                       std::int64_t i);
/// Cost per slot of commands in the simulator, episode i of x, given as weights of bundles that are
/// filled like water, whatever the pool's own action and conflict rule. Where there is a reserve,
/// its dispatch is the simulator's and the commands are polished by gradient steps there.
double simulated_cost(const sim::Params& p, const sim::Exogenous& x, std::int64_t i,
                      const ClairvoyantProblem& problem, const Commands& c);

}  // namespace cra::agents
