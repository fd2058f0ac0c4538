// The interior point method for the clairvoyant problem, and the bound of whole sets of episodes.
//
// Mehrotra's predictor-corrector on the nonlinear problem: rows G x + slack = h, dual > 0.
// Predictor: centring 0; centring = (complementarity after it / now)^3; corrector with the
// second-order term. One common step for both sides: separate ones are not valid for a nonlinear
// objective.
#include "agents/bound.h"

#include <ctime>
#include <limits>

#include "agents/agents.h"
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

constexpr double kToBorder = 0.995;  // share of the way to the nearest border
constexpr int kLookEvery = 3;        // steps between certificates far from the solution
constexpr double kClose = 1e-4;      // complementarity below which every step is looked at
constexpr int kRefinements = 2;  // of the corrector at most; the predictor only sets the centring
constexpr double kShort = 0.2;   // steps shorter than this are taken towards the middle instead
constexpr int kPatience = 4;     // steps without progress of the complementarity, likewise
constexpr double kProgress = 0.7;
constexpr double kToMiddle = 0.5;  // with this share of the complementarity
constexpr double kStuck = 1e-9;    // a step this short gets nowhere

/// Units that make the fair share about 1 wu per slot, and importance about 1: the start of the
/// method speaks of such problems. Powers of two, so that scaling there and back is exact.
struct Units {
  double work = 1;
  double importance = 1;
  std::vector<double> resource;
};

double power_of_two(double x) {
  return x > 0 && std::isfinite(x) ? std::exp2(std::round(std::log2(x))) : 1;
}

Units units_of(const ClairvoyantProblem& p) {
  Units u;
  double capacity = 0, importance = 0, share = 1;
  for (const ClairvoyantNode& node : p.node) capacity += node.capacity / p.nodes;
  for (const double w : p.importance) importance += w / static_cast<double>(p.importance.size());
  for (int k = 0; k < p.resources; ++k) {
    const double budget = p.budget[static_cast<std::size_t>(k)];
    double most = 0;
    for (int n = 0; n < p.nodes; ++n) most += p.need_of(n, k) * p.at_node(n).capacity;
    if (most > 0) share = std::min(share, budget / most);
    u.resource.push_back(power_of_two(budget / p.nodes));
  }
  u.work = power_of_two(capacity * share);
  u.importance = power_of_two(importance);
  return u;
}

struct InWork {
  double work;
  ErrorCurve operator()(const BacklogCurve& c) const { return BacklogCurve{c.scale / work}; }
  ErrorCurve operator()(const LinearCurve& c) const { return LinearCurve{c.rise * work}; }
  ErrorCurve operator()(const PowerCurve& c) const {
    return PowerCurve{c.a, c.b, c.c, c.x0 / work};
  }
  ErrorCurve operator()(const ExponentialCurve& c) const {
    return ExponentialCurve{c.a, c.c, c.x0 / work};
  }
  ErrorCurve operator()(TableCurve c) const {
    for (double& x : c.x) x /= work;
    return c;
  }
};

void scale_all(std::vector<double>& values, double by) {
  for (double& v : values) v *= by;
}

ClairvoyantProblem in_units(ClairvoyantProblem p, const Units& u) {
  for (ClairvoyantNode& node : p.node) {
    for (double* work : {&node.capacity, &node.rate, &node.backlog, &node.effort}) *work /= u.work;
    node.error = std::visit(InWork{u.work}, node.error);
    node.price *= u.work / u.importance;
    node.crowding *= u.work * u.work / u.importance;
  }
  for (std::size_t i = 0; i < p.need.size(); ++i)
    p.need[i] *= u.work / u.resource[i % p.budget.size()];
  for (std::size_t k = 0; k < p.budget.size(); ++k) p.budget[k] /= u.resource[k];
  scale_all(p.arrivals, 1 / u.work);
  scale_all(p.room, 1 / u.work);
  scale_all(p.importance, 1 / u.importance);
  p.worst /= u.importance;
  p.switching *= u.work / u.importance;
  p.smoothing /= u.work;
  return p;
}

/// Back from units u to those of the problem.
void out_of_units(const Units& u, Clairvoyant& c) {
  c.lower *= u.importance;
  c.upper *= u.importance;
  scale_all(c.commands.rate, u.work);
  scale_all(c.commands.reserve, u.work);
  const double per_work = u.importance / u.work;
  for (auto* prices : {&c.multipliers.work, &c.multipliers.serve, &c.multipliers.movement})
    scale_all(*prices, per_work);
  for (std::size_t i = 0; i < c.multipliers.budget.size(); ++i)
    c.multipliers.budget[i] *= u.importance / u.resource[i % u.resource.size()];
  for (std::size_t i = 0; i < c.multipliers.pool.size(); ++i)
    c.multipliers.pool[i] *= u.importance / u.resource[i % u.resource.size()];
}

double complementarity(const std::vector<double>& slack, const std::vector<double>& dual) {
  double sum = 0;
  for (std::size_t i = 0; i < slack.size(); ++i) sum += slack[i] * dual[i];
  return sum / static_cast<double>(slack.size());
}

/// Longest step in [0, 1] of both sides that stays inside.
double longest_step(const Point& at, const Point& move) {
  double step = 1 / kToBorder;
  for (std::size_t i = 0; i < at.slack.size(); ++i) {
    if (move.slack[i] < 0) step = std::min(step, -at.slack[i] / move.slack[i]);
    if (move.dual[i] < 0) step = std::min(step, -at.dual[i] / move.dual[i]);
  }
  return step * kToBorder;
}

/// One iterate and the room for a step from it.
class Method {
 public:
  explicit Method(const Program& program)
      : program_(program),
        newton_(program),
        at_(start(program)),
        residual_(program.rows),
        target_(program.rows),
        weighted_(program.rows) {
    move_.slack.resize(program.rows);
    move_.dual.resize(program.rows);
  }

  const Point& at() const { return at_; }
  double centre() const { return complementarity(at_.slack, at_.dual); }

  /// \returns false when it got nowhere
  bool step() {
    const double now = centre();
    ++idle_;
    if (now < kProgress * lowest_) {
      lowest_ = now;
      idle_ = 0;
    }
    program_.times(at_.x, residual_);
    for (std::size_t i = 0; i < residual_.size(); ++i) residual_[i] += at_.slack[i] - program_.h[i];
    if (!newton_.factor(at_)) return false;

    for (std::size_t i = 0; i < target_.size(); ++i) target_[i] = at_.slack[i] * at_.dual[i];
    direction(0);
    const double reach = longest_step(at_, move_);
    double after = 0;
    for (std::size_t i = 0; i < target_.size(); ++i)
      after += (at_.slack[i] + reach * move_.slack[i]) * (at_.dual[i] + reach * move_.dual[i]);
    after /= static_cast<double>(target_.size());
    const double ratio = after / now, centring = ratio * ratio * ratio * now;

    for (std::size_t i = 0; i < target_.size(); ++i)
      target_[i] += move_.slack[i] * move_.dual[i] - centring;
    direction(kRefinements);
    double length = longest_step(at_, move_);
    if (length < kShort || idle_ > kPatience) {
      // The second-order term can point out of the cone for ever, or round in circles: go to the
      // middle instead, first order only.
      for (std::size_t i = 0; i < target_.size(); ++i)
        target_[i] = at_.slack[i] * at_.dual[i] - kToMiddle * now;
      direction(kRefinements);
      length = longest_step(at_, move_);
    }
    if (!(length > kStuck)) return false;
    follow_pull(length);
    for (std::size_t i = 0; i < at_.x.size(); ++i) at_.x[i] += length * move_.x[i];
    for (std::size_t i = 0; i < at_.slack.size(); ++i) {
      at_.slack[i] += length * move_.slack[i];
      at_.dual[i] += length * move_.dual[i];
    }
    return std::isfinite(centre());
  }

 private:
  /// Solves for `move_` that brings slack * dual towards slack * dual - target_.
  void direction(int refinements) {
    for (std::size_t i = 0; i < weighted_.size(); ++i)
      weighted_[i] = at_.dual[i] + (at_.dual[i] * residual_[i] - target_[i]) / at_.slack[i];
    move_.x.resize(at_.x.size());
    program_.gradient(at_.x, weighted_, move_.x);
    for (double& v : move_.x) v = -v;
    newton_.solve(move_.x, refinements);
    program_.times(move_.x, move_.slack);
    for (std::size_t i = 0; i < weighted_.size(); ++i) {
      move_.slack[i] = -residual_[i] - move_.slack[i];
      move_.dual[i] = -(target_[i] + at_.dual[i] * move_.slack[i]) / at_.slack[i];
    }
  }

  /// Moves the slopes of the movement cost along with x, which is not moved yet.
  void follow_pull(double length) {
    const ClairvoyantProblem& p = program_.p;
    if (p.switching == 0) return;
    for (int t = 0; t < p.slots; ++t)
      for (int n = 0; n < p.nodes; ++n) {
        double& pull = at_.pull[p.at(t, n)];
        const double step = program_.step(at_.x, n, t);
        // The move of the step: that of m_t less that of m_{t-1}, which is 0 before slot 0.
        const double change = program_.step(move_.x, n, t) + (t > 0 ? 0 : p.at_node(n).rate);
        const double goal = switching_slope(p, step) + switching_curvature(p, step, pull) * change;
        pull = std::clamp(pull + length * (goal - pull), -p.switching, p.switching);
      }
  }

  const Program& program_;
  Newton newton_;
  Point at_, move_;
  double lowest_ = std::numeric_limits<double>::infinity();  ///< complementarity
  int idle_ = 0;                                             ///< steps since it was reached
  std::vector<double> residual_, target_, weighted_;
};

/// Keeps the better of what is known and what the iterate offers, each side on its own.
void keep_best(const Program& program, const Point& at, Clairvoyant& best) {
  Multipliers prices = program.multipliers(at);
  const double lower = certificate(program.p, prices);
  if (lower > best.lower || best.multipliers.work.empty()) {
    best.lower = lower;
    best.multipliers = std::move(prices);
  }
  Commands commands = program.commands(at.x);
  const double upper = clairvoyant_cost(program.p, commands);
  if (upper < best.upper) {
    best.upper = upper;
    best.commands = std::move(commands);
  }
}

/// CPU time of the calling thread [s].
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Clairvoyant interior_point(const ClairvoyantProblem& p, const Tolerance& tolerance) {
  check(p);
  const Units units = units_of(p);
  const ClairvoyantProblem scaled = in_units(p, units);
  const Program program(scaled);
  Method method(program);
  Clairvoyant best;
  best.lower = -std::numeric_limits<double>::infinity();
  best.upper = std::numeric_limits<double>::infinity();
  for (bool going = true;;) {
    const bool last = !going || best.steps >= tolerance.steps;
    if (last || best.steps % kLookEvery == 0 || method.centre() < kClose) {
      keep_best(program, method.at(), best);
      const double slack = best.upper - best.lower;
      if (last || slack <= tolerance.relative * best.upper || slack <= tolerance.absolute) break;
    }
    going = method.step();
    if (going) ++best.steps;
  }
  out_of_units(units, best);
  best.lower = std::max(best.lower, 0.0);  // errors are not negative
  return best;
}

Bound clairvoyant_bound(const sim::Params& p, const sim::Exogenous& x) {
  Bound out;
  out.reason = no_bound_because(p);
  if (!out.reason.empty()) return out;
  const auto episodes = static_cast<std::size_t>(x.episodes);
  out.lower.resize(episodes);
  out.upper.resize(episodes);
  out.relaxed.resize(episodes);
  out.steps.resize(episodes);
  out.solve_seconds.resize(episodes);
  out.replay_seconds.resize(episodes);
  for_each_tile(x.episodes, [&](std::int64_t i) {
    const double start = thread_seconds();
    const ClairvoyantProblem problem = clairvoyant_problem(p, x, i);
    const Clairvoyant found = clairvoyant(problem);
    const double solved = thread_seconds();
    const auto at = static_cast<std::size_t>(i);
    out.lower[at] = found.lower;
    out.relaxed[at] = found.upper;
    out.upper[at] = simulated_cost(p, x, i, problem, found.commands);
    out.steps[at] = found.steps;
    out.solve_seconds[at] = solved - start;
    out.replay_seconds[at] = thread_seconds() - solved;
  });
  return out;
}

}  // namespace cra::agents
