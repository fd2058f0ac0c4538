#include "agents/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "agents/gamma_functions.h"
#include "agents/learned.h"
#include "agents/simplex.h"

namespace cra::agents {
namespace {

constexpr int kNormalsPerDraw = 64;  // nodes that share one sequence of exploration noise
constexpr int kGammasPerDraw = 32;   // likewise; a gamma takes about seven words of its 1020
constexpr double kLeastLogShare = -20;

/// alpha of a Dirichlet distribution, and what it is made of.
struct Concentration {
  std::vector<double> share;  ///< [A] m, sums to 1
  std::vector<double> alpha;  ///< [A]
  double kappa, total;        ///< and the sum of alpha

  Concentration(const Dirichlet& kind, double log_kappa, const Proposal& p, int nodes, int size)
      : share(static_cast<std::size_t>(size)), kappa(std::exp(log_kappa)) {
    decide_row(p.base, p.residual, nodes, size, share.data());
    const double kept = size > nodes ? share.back() : 0;
    const double sum = std::accumulate(share.begin(), share.begin() + nodes, 0.0);
    for (int n = 0; n < nodes; ++n) share[static_cast<std::size_t>(n)] *= (1 - kept) / sum;
    alpha.resize(share.size());
    for (std::size_t i = 0; i < alpha.size(); ++i) alpha[i] = kind.least + kappa * share[i];
    total = std::accumulate(alpha.begin(), alpha.end(), 0.0);
  }

  /// From a gradient by alpha to that by the residual and by log kappa.
  double backward(const double* d_alpha, int nodes, double* d_residual) const {
    const double kept = static_cast<int>(share.size()) > nodes ? share.back() : 0;
    double placed = 0, all = 0;
    for (std::size_t i = 0; i < share.size(); ++i) all += d_alpha[i] * share[i];
    for (int n = 0; n < nodes; ++n) placed += d_alpha[n] * share[static_cast<std::size_t>(n)];
    // Of the shares among the nodes; nodes that get nothing move nothing.
    const double mean = kept < 1 ? placed / (1 - kept) : 0;
    for (int n = 0; n < nodes; ++n)
      d_residual[n] = kappa * share[static_cast<std::size_t>(n)] * (d_alpha[n] - mean);
    if (static_cast<int>(share.size()) > nodes)
      d_residual[nodes] = kappa * kept * (1 - kept) * (d_alpha[nodes] - mean);
    return kappa * all;
  }
};

double dirichlet_log_density(const Concentration& c, const double* log_p) {
  double sum = log_gamma(c.total);
  for (std::size_t i = 0; i < c.alpha.size(); ++i)
    sum += (c.alpha[i] - 1) * log_p[i] - log_gamma(c.alpha[i]);
  return sum;
}

double dirichlet_entropy(const Concentration& c) {
  double sum =
      (c.total - static_cast<double>(c.alpha.size())) * digamma(c.total) - log_gamma(c.total);
  for (const double a : c.alpha) sum += log_gamma(a) - (a - 1) * digamma(a);
  return sum;
}

/// log G, G ~ Gamma(a, 1): below 1 through Gamma(a + 1) U^(1/a), whose logarithm does not
/// underflow.
double draw_log_gamma(Draws& draws, double a) {
  if (a >= 1) return std::log(draws.gamma(a));
  const double boost = std::log(draws.uniform()) / a;
  return std::log(draws.gamma(a + 1)) + boost;
}

/// xi for one environment and slot, the nodes' part centred. \param xi [A] on return
void draw_normals(const Drawing& when, double* xi, int nodes, int size) {
  for (int first = 0; first < size; first += kNormalsPerDraw) {
    Draws draws(when.seed, EpisodeSet::training, when.episode, Stream::exploration,
                first / kNormalsPerDraw, when.slot);
    for (int n = first; n < std::min(size, first + kNormalsPerDraw); ++n) xi[n] = draws.normal();
  }
  centre(xi, nodes);
}

/// log p of one environment and slot. \param log_p [A] on return
void draw_log_shares(const Drawing& when, const std::vector<double>& alpha, double* log_p) {
  const auto size = static_cast<int>(alpha.size());
  for (int first = 0; first < size; first += kGammasPerDraw) {
    Draws draws(when.seed, EpisodeSet::training, when.episode, Stream::exploration,
                first / kGammasPerDraw, when.slot);
    for (int n = first; n < std::min(size, first + kGammasPerDraw); ++n)
      log_p[n] = draw_log_gamma(draws, alpha[static_cast<std::size_t>(n)]);
  }
  const double top = *std::max_element(log_p, log_p + size);
  double sum = 0;
  for (int n = 0; n < size; ++n) sum += std::exp(log_p[n] - top);
  const double norm = top + std::log(sum);
  for (int n = 0; n < size; ++n) log_p[n] = std::max(kLeastLogShare, log_p[n] - norm);
}

const LogisticNormal* logistic(const PolicyKind& kind) {
  return std::get_if<LogisticNormal>(&kind);
}

}  // namespace

Distribution::Distribution(const PolicyKind& kind, double log_spread, int nodes, int size)
    : kind_(kind), log_spread_(log_spread), nodes_(nodes), size_(size) {}

void Distribution::mean(const Proposal& p, double* decision) const {
  if (logistic(kind_) != nullptr) {
    decide_row(p.base, p.residual, nodes_, size_, decision);
    return;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, nodes_, size_);
  for (int i = 0; i < size_; ++i) decision[i] = c.alpha[static_cast<std::size_t>(i)] / c.total;
}

double Distribution::mean_backward(const Proposal& p, const double* d_decision,
                                   double* d_residual) const {
  std::vector<double> decision(static_cast<std::size_t>(size_));
  mean(p, decision.data());
  if (logistic(kind_) != nullptr) {
    for (int n = 0; n < nodes_; ++n)
      d_residual[n] = d_decision[n] * decision[static_cast<std::size_t>(n)];
    if (size_ > nodes_)
      d_residual[nodes_] = d_decision[nodes_] * decision.back() * (1 - decision.back());
    return 0;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, nodes_, size_);
  double along = 0;
  for (int i = 0; i < size_; ++i) along += d_decision[i] * decision[static_cast<std::size_t>(i)];
  std::vector<double> d_alpha(decision.size());
  for (int i = 0; i < size_; ++i)
    d_alpha[static_cast<std::size_t>(i)] = (d_decision[i] - along) / c.total;
  return c.backward(d_alpha.data(), nodes_, d_residual);
}

double Distribution::sample(const Proposal& p, const Drawing& when, double* action,
                            double* decision) const {
  if (logistic(kind_) != nullptr) {
    draw_normals(when, action, nodes_, size_);
    const double sigma = std::exp(log_spread_);
    std::vector<double> moved(p.residual, p.residual + size_);
    for (int i = 0; i < size_; ++i) {
      action[i] *= sigma;
      moved[static_cast<std::size_t>(i)] += action[i];
    }
    decide_row(p.base, moved.data(), nodes_, size_, decision);
    return log_density(action, size_, decision_dimensions(nodes_, size_), log_spread_);
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, nodes_, size_);
  draw_log_shares(when, c.alpha, action);
  // Only ratios of weights matter: scaled so that the largest is 1 however much is kept back.
  const double top = *std::max_element(action, action + nodes_);
  for (int n = 0; n < nodes_; ++n) decision[n] = std::exp(action[n] - top);
  if (size_ > nodes_) decision[nodes_] = std::min(1.0, std::exp(action[nodes_]));
  return dirichlet_log_density(c, action);
}

Density Distribution::density(const Proposal& p, const double* action, const double* drawn,
                              double* d_log_density, double* d_entropy) const {
  Density d;
  if (logistic(kind_) != nullptr) {
    // The drawn logits stay, their mean moved: centred by itself, so that no move is exactly 0.
    std::vector<double> deviation(static_cast<std::size_t>(size_));
    for (int i = 0; i < size_; ++i)
      deviation[static_cast<std::size_t>(i)] = drawn[i] - p.residual[i];
    centre(deviation.data(), nodes_);
    for (int i = 0; i < size_; ++i) deviation[static_cast<std::size_t>(i)] += action[i];
    const int dimensions = decision_dimensions(nodes_, size_);
    d.log_density = log_density(deviation.data(), size_, dimensions, log_spread_);
    d.log_density_d_spread =
        log_density_d_log_sigma(deviation.data(), size_, dimensions, log_spread_);
    d.entropy = logit_entropy(dimensions, log_spread_);
    d.entropy_d_spread = dimensions;
    // c() is symmetric and idempotent, so centring the deviation once is all of its gradient.
    for (int i = 0; i < size_; ++i) {
      d_log_density[i] = log_density_d_mu(deviation[static_cast<std::size_t>(i)], log_spread_);
      d_entropy[i] = 0;
    }
    return d;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, nodes_, size_);
  std::vector<double> d_alpha(c.alpha.size());
  d.log_density = dirichlet_log_density(c, action);
  for (std::size_t i = 0; i < d_alpha.size(); ++i)
    d_alpha[i] = action[i] - digamma(c.alpha[i]) + digamma(c.total);
  d.log_density_d_spread = c.backward(d_alpha.data(), nodes_, d_log_density);
  d.entropy = dirichlet_entropy(c);
  const double common = (c.total - static_cast<double>(size_)) * trigamma(c.total);
  for (std::size_t i = 0; i < d_alpha.size(); ++i)
    d_alpha[i] = common - (c.alpha[i] - 1) * trigamma(c.alpha[i]);
  d.entropy_d_spread = c.backward(d_alpha.data(), nodes_, d_entropy);
  return d;
}

double initial_log_spread(const PolicyKind& kind, int nodes) {
  if (const LogisticNormal* k = logistic(kind)) return k->log_sigma;
  const SpreadRange range = spread_range(kind);
  return std::clamp(std::log(std::get<Dirichlet>(kind).concentration * nodes), range.low,
                    range.high);
}

SpreadRange spread_range(const PolicyKind& kind) {
  return logistic(kind) != nullptr ? SpreadRange{-4, 0} : SpreadRange{0, 8};
}

double noise_of(const PolicyKind& kind, double log_spread) {
  return std::exp(logistic(kind) != nullptr ? log_spread : -0.5 * log_spread);
}

const char* spread_name(const PolicyKind& kind) {
  return logistic(kind) != nullptr ? "log_sigma" : "log_kappa";
}

}  // namespace cra::agents
