#include "agents/curves.h"

#include <Eigen/Cholesky>
#include <numeric>

namespace cra::agents {

double Curve::gain_at(double service) const {
  switch (form) {
    case Form::backlog: {
      const double waiting = std::max(0.0, start - service);
      return weight * sim::backlog_phi_slope(waiting / scale) / scale;
    }
    case Form::power_law:
      return -weight * sim::power_law_slope(start + service, gain, exponent, scale);
    case Form::exponential:
      return -weight * sim::exponential_slope(start + service, gain, scale);
  }
  return 0;
}

Demand Curve::demand(double price) const {
  if (!(weight > 0) || !(gain_at(0) > price)) return {0, 0};
  switch (form) {
    case Form::backlog: {
      // W phi'(y / kappa) / kappa = price at y = kappa ((1 - price kappa / W)^(-1/2) - 1).
      const double open = 1 - price * scale / weight;
      const double waiting = scale * (1 / std::sqrt(open) - 1);
      return {start - waiting, -scale * scale / (2 * weight) / (open * std::sqrt(open))};
    }
    case Form::power_law: {
      // W a b / x0 (1 + x / x0)^-(b + 1) = price.
      const double reach = scale * std::pow(weight * gain * exponent / (scale * price),
                                            1 / (exponent + 1));  // x + x0
      return {reach - scale - start, -reach / ((exponent + 1) * price)};
    }
    case Form::exponential:
      return {scale * std::log(weight * gain / (scale * price)) - start, -scale / price};
  }
  return {0, 0};
}

std::string no_curves(const sim::Params& p) {
  bool queues = false;
  for (int n = 0; n < p.pool.nodes; ++n) queues = queues || !p.pool.is_progress(n);
  const bool smooth = std::holds_alternative<sim::BacklogError>(p.errors) ||
                      std::holds_alternative<sim::AnytimeError>(p.errors);
  const bool steps = std::holds_alternative<sim::CurveError>(p.progress.error);
  return (queues && !smooth) || (p.pool.has_progress() && steps)
             ? "needs errors that bend, but here they are straight in the service of a slot"
             : "";
}

Curve curve_of(const Seen& s, int n, double arrivals) {
  Curve c;
  c.weight = s.importance[n];
  if (!s.is_progress(n)) {
    if (const auto* k = std::get_if<sim::AnytimeError>(&s.params.errors)) {
      // A (floor + gain (1 + service / (A scale))^-exponent).
      c.form = Curve::Form::power_law;
      c.weight *= arrivals;
      c.scale = std::max(arrivals, 1e-9) * k->scale[n];
      c.gain = k->gain[n];
      c.exponent = k->exponent[n];
      return c;
    }
    c.start = s.backlog[n] + arrivals;
    c.scale = s.scale[n];
    return c;
  }
  const sim::Progress& progress = s.params.progress;
  c.start = (1 - progress.forgetting) * s.progress[n];
  if (const auto* k = std::get_if<sim::PowerLawError>(&progress.error)) {
    c.form = Curve::Form::power_law;
    c.scale = k->scale[n];
    c.gain = k->gain[n];
    c.exponent = k->exponent[n];
  } else if (const auto* e = std::get_if<sim::ExponentialError>(&progress.error)) {
    c.form = Curve::Form::exponential;
    c.scale = e->scale[n];
    c.gain = e->gain[n];
  }
  return c;
}

void kleinrock_rates(const double* load, const double* weight, double budget, double* rate, int n) {
  double total = 0, roots = 0;
  for (int i = 0; i < n; ++i) {
    total += load[i];
    roots += std::sqrt(weight[i] * load[i]);
  }
  const bool enough = budget > total && roots > 0;
  for (int i = 0; i < n; ++i)
    rate[i] = enough ? load[i] + (budget - total) * std::sqrt(weight[i] * load[i]) / roots
                     : load[i] * (total > 0 ? budget / total : 0);
}

// ---- prices --------------------------------------------------------------------------------

namespace {

constexpr int kHalvings = 100;     // to the last bit of a price
constexpr int kNewtonSteps = 200;  // a dozen, where demand does not bend at a cap or at 0
constexpr double kRidge = 1e-6;

/// What all nodes ask for at given prices.
class Market {
 public:
  Market(const sim::Pool& pool, const std::vector<double>& budget, const std::vector<double>& cap,
         const std::function<Demand(int, double)>& demand)
      : pool_(pool),
        budget_(budget),
        cap_(cap),
        demand_(demand),
        rate_(cap.size()),
        slope_(cap.size()) {}

  void ask(const std::vector<double>& price) {
    left_ = budget_;
    for (std::size_t n = 0; n < cap_.size(); ++n) {
      double sum = 0;
      for (std::size_t k = 0; k < price.size(); ++k) sum += price[k] * need(n, k);
      const Demand d = sum > 0 ? demand_(static_cast<int>(n), sum) : Demand{cap_[n], 0};
      rate_[n] = std::min(d.rate, cap_[n]);
      slope_[n] = d.rate > 0 && d.rate < cap_[n] ? d.slope : 0;
      for (std::size_t k = 0; k < price.size(); ++k) left_[k] -= rate_[n] * need(n, k);
    }
  }
  bool anything_short() const {
    return std::any_of(left_.begin(), left_.end(), [](double x) { return x < 0; });
  }
  /// Largest violation of "budgets hold, and what has a price is used up", as a share of a budget.
  double residual(const std::vector<double>& price) const {
    double worst = 0;
    for (std::size_t k = 0; k < price.size(); ++k)
      worst = std::max(worst, (price[k] > 0 ? std::abs(left_[k]) : -left_[k]) / budget_[k]);
    return worst;
  }
  /// Newton's step on the prices that may move: those above 0, and those whose budget is short.
  std::vector<double> newton(const std::vector<double>& price) const;
  std::vector<double> newton(const std::vector<double>& price,
                             const std::vector<std::size_t>& free) const;
  const std::vector<double>& left() const { return left_; }
  const std::vector<double>& rate() const { return rate_; }

 private:
  double need(std::size_t n, std::size_t k) const { return pool_.needs[n * budget_.size() + k]; }

  const sim::Pool& pool_;
  const std::vector<double>&budget_, &cap_;
  const std::function<Demand(int, double)>& demand_;
  std::vector<double> rate_, slope_, left_;
};

std::vector<double> Market::newton(const std::vector<double>& price) const {
  std::vector<std::size_t> free;
  for (std::size_t k = 0; k < price.size(); ++k)
    if (price[k] > 0 || left_[k] < 0) free.push_back(k);
  for (;;) {
    std::vector<double> step = newton(price, free);
    // A price of 0 cannot fall: without it once more.
    const auto stuck = [&](std::size_t k) { return price[k] <= 0 && step[k] < 0; };
    const auto rest = std::remove_if(free.begin(), free.end(), stuck);
    if (rest == free.end()) return step;
    free.erase(rest, free.end());
  }
}

std::vector<double> Market::newton(const std::vector<double>& price,
                                   const std::vector<std::size_t>& free) const {
  // Curvature of the dual, with a ridge for prices that move nobody: a budget's price is of the
  // order of what the whole pool is worth over that budget.
  const auto m = static_cast<Eigen::Index>(free.size());
  const double worth = std::inner_product(price.begin(), price.end(), budget_.begin(), 1e-12);
  Eigen::MatrixXd curvature = Eigen::MatrixXd::Zero(m, m);
  Eigen::VectorXd lacking(m);
  const auto at = [&](Eigen::Index i) { return free[static_cast<std::size_t>(i)]; };
  for (Eigen::Index i = 0; i < m; ++i) {
    lacking(i) = -left_[at(i)];
    for (Eigen::Index j = 0; j < m; ++j)
      for (std::size_t n = 0; n < cap_.size(); ++n)
        curvature(i, j) -= need(n, at(i)) * need(n, at(j)) * slope_[n];
    curvature(i, i) += kRidge * (curvature(i, i) + budget_[at(i)] * budget_[at(i)] / worth);
  }
  const Eigen::VectorXd moved = curvature.ldlt().solve(lacking);
  std::vector<double> step(price.size(), 0);
  for (Eigen::Index i = 0; i < m; ++i) step[at(i)] = moved(i);
  return step;
}

/// One common price per share of a budget, the largest at which something is short and the smallest
/// at which nothing is, `halvings` apart.
std::pair<double, double> bracket(Market& m, const std::vector<double>& budget, int halvings) {
  const auto is_short = [&](double level) {
    std::vector<double> price;
    for (const double b : budget) price.push_back(level / b);
    m.ask(price);
    return m.anything_short();
  };
  double low = 0, high = 1e-6;
  for (; is_short(high) && high < 1e15; high *= 8) low = high;
  for (int i = 0; i < halvings; ++i) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (is_short(middle) ? low : high) = middle;
  }
  return {low, high};
}

}  // namespace

std::vector<double> clear_market(const sim::Pool& pool, const std::vector<double>& budget,
                                 const std::vector<double>& cap,
                                 const std::function<Demand(int, double)>& demand, double* rate) {
  const std::size_t resources = budget.size();
  std::vector<double> price(resources, 0);
  Market m(pool, budget, cap, demand);
  m.ask(price);
  const auto keep = [&] { std::copy(m.rate().begin(), m.rate().end(), rate); };
  keep();
  if (!m.anything_short()) return price;
  if (resources == 1) {
    const auto [low, high] = bracket(m, budget, kHalvings);
    m.ask({high / budget[0]});
    keep();
    return {high / budget[0]};
  }
  const double start = bracket(m, budget, 6).second;
  for (std::size_t k = 0; k < resources; ++k)
    price[k] = start / budget[k] / static_cast<double>(resources);
  m.ask(price);
  for (int i = 0; i < kNewtonSteps && m.residual(price) > 1e-13; ++i) {
    const std::vector<double> step = m.newton(price);
    const std::vector<double> left = m.left();
    // The dual is convex, and what is left is its gradient: along a way its slope only rises. A way
    // is good that goes down and hardly beyond the lowest point.
    double t = 1;
    for (int h = 0; h < kHalvings; ++h, t /= 2) {
      std::vector<double> to = price, way(resources);
      for (std::size_t k = 0; k < resources; ++k) {
        to[k] = std::max(0.0, price[k] + t * step[k]);
        way[k] = to[k] - price[k];
      }
      const double before = std::inner_product(left.begin(), left.end(), way.begin(), 0.0);
      if (!(before < 0)) continue;
      m.ask(to);
      const double after = std::inner_product(way.begin(), way.end(), m.left().begin(), 0.0);
      if (after > -0.01 * before) continue;
      price = to;
      break;
    }
    m.ask(price);
  }
  keep();
  return price;
}

}  // namespace cra::agents
