// The clairvoyant problem as a linear programme with cutting planes, solved by Clp: another
// formulation (commands and levels explicit, no elimination) and somebody else's solver.
#include <Clp_C_Interface.h>
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <memory>

#include "agents/bound.h"
#include "clairvoyant_problems.h"

using namespace cra;
using namespace cra::agents;
using namespace cra::testing;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::max();  // what Clp takes for it

struct Term {
  int column;
  double by;
};
using Terms = std::vector<Term>;

/// A linear programme, with convex functions of linear expressions approached from below.
class Programme {
 public:
  Programme() : model_(Clp_newModel(), Clp_deleteModel) { Clp_setLogLevel(model_.get(), 0); }

  int column(double lo, double hi, double cost) {
    const CoinBigIndex starts[] = {0, 0};
    Clp_addColumns(model_.get(), 1, &lo, &hi, &cost, starts, nullptr, nullptr);
    return columns_++;
  }
  void row(double lo, double hi, const Terms& terms) {
    std::vector<int> at;
    std::vector<double> by;
    for (const Term& term : terms) {
      at.push_back(term.column);
      by.push_back(term.by);
    }
    const CoinBigIndex starts[] = {0, static_cast<CoinBigIndex>(at.size())};
    Clp_addRows(model_.get(), 1, &lo, &hi, starts, at.data(), by.data());
  }
  void at_most(double hi, const Terms& terms) { row(-kInfinity, hi, terms); }
  void equal(double x, const Terms& terms) { row(x, x, terms); }

  struct Convex {
    double cost;
    Terms terms;      ///< the expression, without
    double constant;  ///< its constant
    std::function<double(double)> value, slope;
    int above = 0;  ///< column that lies above the function
  };
  /// Adds cost * value(terms + constant), value >= 0, to the objective.
  void add(Convex f) {
    f.above = column(0, kInfinity, f.cost);
    for (const double x : {0.0, 0.5, 2.0, 6.0}) cut(f, x);
    convex_.push_back(std::move(f));
  }

  /// Solves, cuts where the functions lie above their columns, and so on.
  double solve() {
    for (int round = 0; round < 60; ++round) {
      Clp_dual(model_.get(), 0);
      REQUIRE(Clp_status(model_.get()) == 0);
      const double* x = Clp_primalColumnSolution(model_.get());
      std::vector<double> at(x, x + columns_);
      double missing = 0;
      for (const Convex& f : convex_) {
        double expression = f.constant;
        for (const Term& term : f.terms)
          expression += term.by * at[static_cast<std::size_t>(term.column)];
        const double gap = f.value(expression) - at[static_cast<std::size_t>(f.above)];
        missing += f.cost * std::max(gap, 0.0);
        if (gap > 1e-9) cut(f, expression);
      }
      if (missing < 1e-7) break;
    }
    return Clp_objectiveValue(model_.get());
  }

 private:
  /// above >= value(x) + slope(x) (expression - x)
  void cut(const Convex& f, double x) {
    Terms terms{{f.above, -1}};
    for (const Term& term : f.terms) terms.push_back({term.column, f.slope(x) * term.by});
    at_most(f.slope(x) * (x - f.constant) - f.value(x), terms);
  }

  std::unique_ptr<Clp_Simplex, void (*)(Clp_Simplex*)> model_;
  std::vector<Convex> convex_;
  int columns_ = 0;
};

/// Least cost per slot, from below.
double by_linear_programming(const ClairvoyantProblem& p) {
  Programme lp;
  const double share = 1.0 / (p.slots * p.nodes);
  std::vector<std::vector<Terms>> budget(p.budget.size(),
                                         std::vector<Terms>(static_cast<std::size_t>(p.slots)));
  auto pool = budget;
  for (int n = 0; n < p.nodes; ++n) {
    const ClairvoyantNode& node = p.at_node(n);
    int m_before = -1, level_before = -1;
    for (int t = 0; t < p.slots; ++t) {
      const std::size_t i = p.at(t, n), slot = static_cast<std::size_t>(t);
      const double up = p.availability[i] * node.capacity;
      const bool reserve = p.reserve > 0 && node.queue();
      const int s = lp.column(0, node.capacity, share * node.price);
      const int m = lp.column(0, kInfinity, 0), v = lp.column(0, up, 0);
      const int u = lp.column(0, reserve ? up : 0, 0), level = lp.column(0, kInfinity, 0);
      Terms lag{{m, 1}, {s, -node.lag}};
      if (t > 0) lag.push_back({m_before, -(1 - node.lag)});
      lp.equal(t > 0 ? 0 : (1 - node.lag) * node.rate, lag);
      lp.at_most(0, {{v, 1}, {m, -1}});
      lp.at_most(up, {{v, 1}, {u, 1}});
      const double kept =
          node.queue() ? 1 - node.abandonment : p.retention[i] * (1 - node.forgetting);
      if (node.queue()) {
        Terms waits{{v, -1}, {u, -1}, {level, -1}};
        if (t > 0) waits.push_back({level_before, kept});
        lp.at_most(-p.arrivals[i] - (t > 0 ? 0 : node.backlog), waits);
      } else {
        Terms grows{{level, 1}, {v, -1}};
        if (t > 0) grows.push_back({level_before, -kept});
        lp.equal(t > 0 ? 0 : kept * node.effort, grows);
      }
      std::visit(
          [&](const auto& curve) {
            lp.add({share * p.importance[i],
                    {{level, 1}},
                    0,
                    [curve](double x) { return curve.value(x); },
                    [curve](double x) { return curve.slope(x); }});
          },
          node.error);
      if (p.switching > 0) {
        Terms step{{m, 1}};
        if (t > 0) step.push_back({m_before, -1});
        const double d = p.smoothing;
        lp.add({share * p.switching, step, t > 0 ? 0 : -node.rate,
                [d](double x) { return sim::movement(x, d); },
                [d](double x) { return x / std::hypot(x, d); }});
      }
      if (node.crowding > 0)
        lp.add({share * node.crowding,
                {{s, 1}},
                0,
                [](double x) { return x * x; },
                [](double x) { return 2 * x; }});
      for (int k = 0; k < p.resources; ++k) {
        Terms& row = budget[static_cast<std::size_t>(k)][slot];
        row.push_back({s, p.need_of(n, k)});
        Terms& within = pool[static_cast<std::size_t>(k)][slot];
        within.push_back({m, p.need_of(n, k)});
        if (!reserve) continue;
        row.push_back({u, p.need_of(n, k) / p.reserve});
        within.push_back({u, p.need_of(n, k) / p.reserve});
      }
      m_before = m;
      level_before = level;
    }
  }
  for (std::size_t k = 0; k < budget.size(); ++k)
    for (std::size_t t = 0; t < budget[k].size(); ++t) {
      lp.at_most(p.budget[k], budget[k][t]);
      if (p.reserve > 0) lp.at_most(p.budget[k], pool[k][t]);
    }
  return lp.solve();
}

// Clp is content with infeasibilities of 1e-7 per row; values are of order 1.
void check_agreement(const ClairvoyantProblem& p) {
  const Clairvoyant found = interior_point(p);
  const double value = by_linear_programming(p);
  const double rounding = 2e-6 * (1 + found.upper);
  CHECK(value <= found.upper + rounding);
  CHECK(value >= found.lower - rounding);
}

}  // namespace

TEST_CASE("interior_point: a linear programme agrees on t13 and t17 to t19") {
  CHECK(by_linear_programming(waves(LinearCurve{1})) == doctest::Approx(.208953).epsilon(5e-6));
  ClairvoyantProblem p = waves(BacklogCurve{2});
  CHECK(by_linear_programming(p) == doctest::Approx(.018605).epsilon(5e-5));
  p.reserve = 0.7;
  CHECK(by_linear_programming(p) == doctest::Approx(.014469).epsilon(5e-5));
  p.reserve = 0;
  for (int t = 3; t <= 6; ++t) p.availability[p.at(t, 0)] = 0;
  CHECK(by_linear_programming(p) == doctest::Approx(.105633).epsilon(1e-5));
}

TEST_CASE("interior_point: a linear programme agrees on random instances with every mechanism") {
  Dice d{std::mt19937_64(21)};
  for (int trial = 0; trial < 200; ++trial) {
    CAPTURE(trial);
    check_agreement(random_problem(d));
  }
}
