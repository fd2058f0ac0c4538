#include "agents/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "agents/gamma_functions.h"
#include "agents/simplex.h"

namespace cra::agents {
namespace {

constexpr int kNormalsPerDraw = 64;  // nodes that share one sequence of exploration noise
constexpr int kGammasPerDraw = 32;   // likewise; a gamma takes about seven words of its 1020
constexpr double kLeastLogShare = -20;

/// x_n exp(r_n - max r) of one block. \param x  [N], or nullptr for ones \param scaled  may be x
void scale_by_exp(const double* x, const double* r, int nodes, double* scaled) {
  const double top = *std::max_element(r, r + nodes);
  for (int n = 0; n < nodes; ++n) scaled[n] = (x != nullptr ? x[n] : 1) * std::exp(r[n] - top);
}

/// Logits of weights and of tilts, which add up to those of the blocks. Where all blocks are equal
/// the weights' are theirs to the bit, and the tilts' are 0.
struct Split {
  std::vector<double> weight;  ///< [N]
  std::vector<double> tilt;    ///< [K, N]

  Split(const double* logits, const DecisionShape& s)
      : weight(logits, logits + s.nodes),
        tilt(logits, logits + std::ptrdiff_t{s.resources} * s.nodes) {
    for (int n = 0; n < s.nodes; ++n) {
      double& mean = weight[static_cast<std::size_t>(n)];
      for (int k = 1; k < s.resources; ++k)
        mean += (logits[k * s.nodes + n] - logits[n]) / s.resources;
    }
    for (std::size_t i = 0; i < tilt.size(); ++i) tilt[i] -= weight[i % weight.size()];
  }
};
/// Reverse of Split at node n. \param d  [K, N] gradient by the tilts, on return by the logits
void split_backward(const DecisionShape& s, int n, double d_weight, double* d) {
  const double of_mean = (d_weight - sum_of_blocks(d, s, n)) / s.resources;
  for (int k = 0; k < s.resources; ++k) d[k * s.nodes + n] += of_mean;
}

/// alpha of a Dirichlet distribution, and what it is made of.
struct Concentration {
  std::vector<double> share;  ///< [A] m, sums to 1
  std::vector<double> alpha;  ///< [A]
  double kappa, total;        ///< and the sum of alpha

  Concentration(const Dirichlet& kind, double log_kappa, const Proposal& p,
                const DecisionShape& shape)
      : share(static_cast<std::size_t>(shape.size())), kappa(std::exp(log_kappa)) {
    const int nodes = shape.nodes;
    decide(p, shape, share.data());
    const double kept = shape.reserve ? share.back() : 0;
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

/// c(), block by block. \param x [logits]
void centre_blocks(double* x, const DecisionShape& s) {
  for (int k = 0; k < s.blocks(); ++k) centre(x + std::ptrdiff_t{k} * s.nodes, s.nodes);
}

/// xi for one environment and slot, its blocks centred. \param xi [logits] on return
void draw_normals(const Drawing& when, const DecisionShape& shape, double* xi) {
  const int size = shape.logits();
  for (int first = 0; first < size; first += kNormalsPerDraw) {
    Draws draws(when.seed, EpisodeSet::training, when.episode, Stream::exploration,
                first / kNormalsPerDraw, when.slot);
    for (int n = first; n < std::min(size, first + kNormalsPerDraw); ++n) xi[n] = draws.normal();
  }
  centre_blocks(xi, shape);
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

void decide(const Proposal& p, const DecisionShape& shape, double* decision) {
  const int nodes = shape.nodes;
  const double shift = shape.reserve ? p.residual[shape.logits() - 1] : 0;  // it may be overwritten
  if (shape.resources > 0) {
    const Split split(p.residual, shape);
    scale_by_exp(p.base, split.weight.data(), nodes, decision);
    for (int k = 0; k < shape.resources; ++k) {
      const std::ptrdiff_t row = std::ptrdiff_t{k} * nodes;
      scale_by_exp(nullptr, split.tilt.data() + row, nodes, decision + shape.bundle() + row);
    }
  } else {
    scale_by_exp(p.base, p.residual, nodes, decision);
  }
  if (shape.reserve) {
    const double share = std::max(p.base[nodes], shift == 0 ? 0.0 : kReserveFloor);
    decision[nodes] = shift == 0 ? share : share / (share + (1 - share) * std::exp(-shift));
  }
}

Distribution::Distribution(const PolicyKind& kind, double log_spread, const DecisionShape& shape)
    : kind_(kind), log_spread_(log_spread), shape_(shape) {
  CRA_CHECK(logistic(kind) != nullptr || shape.resources == 0,
            "a dirichlet distribution has one block");
}

void Distribution::mean(const Proposal& p, double* decision) const {
  if (logistic(kind_) != nullptr) {
    decide(p, shape_, decision);
    return;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, shape_);
  for (int i = 0; i < shape_.size(); ++i)
    decision[i] = c.alpha[static_cast<std::size_t>(i)] / c.total;
}

double Distribution::mean_backward(const Proposal& p, const double* d_decision,
                                   double* d_residual) const {
  const int nodes = shape_.nodes, size = shape_.size();
  std::vector<double> decision(static_cast<std::size_t>(size));
  mean(p, decision.data());
  if (logistic(kind_) != nullptr) {
    const auto by_logarithm = [&](int i) {
      return d_decision[i] * decision[static_cast<std::size_t>(i)];
    };
    if (shape_.resources > 0) {
      for (int i = shape_.bundle(); i < size; ++i)
        d_residual[i - shape_.bundle()] = by_logarithm(i);
      for (int n = 0; n < nodes; ++n) split_backward(shape_, n, by_logarithm(n), d_residual);
    } else {
      for (int n = 0; n < nodes; ++n) d_residual[n] = by_logarithm(n);
    }
    if (shape_.reserve) {
      const double kept = decision[static_cast<std::size_t>(nodes)];
      d_residual[shape_.logits() - 1] = d_decision[nodes] * kept * (1 - kept);
    }
    return 0;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, shape_);
  double along = 0;
  for (int i = 0; i < size; ++i) along += d_decision[i] * decision[static_cast<std::size_t>(i)];
  std::vector<double> d_alpha(decision.size());
  for (int i = 0; i < size; ++i)
    d_alpha[static_cast<std::size_t>(i)] = (d_decision[i] - along) / c.total;
  return c.backward(d_alpha.data(), nodes, d_residual);
}

double Distribution::sample(const Proposal& p, const Drawing& when, double* action,
                            double* decision) const {
  const int nodes = shape_.nodes, logits = shape_.logits();
  if (logistic(kind_) != nullptr) {
    draw_normals(when, shape_, action);
    const double sigma = std::exp(log_spread_);
    std::vector<double> moved(p.residual, p.residual + logits);
    for (int i = 0; i < logits; ++i) {
      action[i] *= sigma;
      moved[static_cast<std::size_t>(i)] += action[i];
    }
    decide({p.base, moved.data()}, shape_, decision);
    return log_density(action, logits, shape_.dimensions(), log_spread_);
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, shape_);
  draw_log_shares(when, c.alpha, action);
  // Only ratios of weights matter: scaled so that the largest is 1 however much is kept back.
  scale_by_exp(nullptr, action, nodes, decision);
  if (shape_.reserve) decision[nodes] = std::min(1.0, std::exp(action[nodes]));
  return dirichlet_log_density(c, action);
}

Density Distribution::density(const Proposal& p, const double* action, const double* drawn,
                              double* d_log_density, double* d_entropy) const {
  Density d;
  const int logits = shape_.logits();
  if (logistic(kind_) != nullptr) {
    // The drawn logits stay, their mean moved: centred by itself, so that no move is exactly 0.
    std::vector<double> deviation(static_cast<std::size_t>(logits));
    for (int i = 0; i < logits; ++i)
      deviation[static_cast<std::size_t>(i)] = drawn[i] - p.residual[i];
    centre_blocks(deviation.data(), shape_);
    for (int i = 0; i < logits; ++i) deviation[static_cast<std::size_t>(i)] += action[i];
    const int dimensions = shape_.dimensions();
    d.log_density = log_density(deviation.data(), logits, dimensions, log_spread_);
    d.log_density_d_spread =
        log_density_d_log_sigma(deviation.data(), logits, dimensions, log_spread_);
    d.entropy = logit_entropy(dimensions, log_spread_);
    d.entropy_d_spread = dimensions;
    // c() is symmetric and idempotent, so centring the deviation once is all of its gradient.
    for (int i = 0; i < logits; ++i) {
      d_log_density[i] = log_density_d_mu(deviation[static_cast<std::size_t>(i)], log_spread_);
      d_entropy[i] = 0;
    }
    return d;
  }
  const Concentration c(std::get<Dirichlet>(kind_), log_spread_, p, shape_);
  const int nodes = shape_.nodes;
  std::vector<double> d_alpha(c.alpha.size());
  d.log_density = dirichlet_log_density(c, action);
  for (std::size_t i = 0; i < d_alpha.size(); ++i)
    d_alpha[i] = action[i] - digamma(c.alpha[i]) + digamma(c.total);
  d.log_density_d_spread = c.backward(d_alpha.data(), nodes, d_log_density);
  d.entropy = dirichlet_entropy(c);
  const double common = (c.total - static_cast<double>(logits)) * trigamma(c.total);
  for (std::size_t i = 0; i < d_alpha.size(); ++i)
    d_alpha[i] = common - (c.alpha[i] - 1) * trigamma(c.alpha[i]);
  d.entropy_d_spread = c.backward(d_alpha.data(), nodes, d_entropy);
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
