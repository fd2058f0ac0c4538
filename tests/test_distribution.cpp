// The distributions over decisions: closed forms, gradients by differences, moments of draws.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "agents/distribution.h"
#include "agents/gamma_functions.h"
#include "agents/learned.h"
#include "agents/simplex.h"
#include "four_point.h"
#include "short_training.h"

using namespace cra;
using namespace cra::agents;
using cra::testing::check_gradient;
using cra::testing::every_kind;
using cra::testing::slope;

namespace {

using Numbers = std::vector<double>;

/// Something between 0.2 and 2, the same in every run.
Numbers some(int n, int which) {
  Numbers x;
  for (int i = 0; i < n; ++i)
    x.push_back(0.2 + 1.8 * Draws(3, EpisodeSet::tuning, which, Stream::noise, i, 0).uniform());
  return x;
}

Proposal proposal(const Numbers& base, const Numbers& residual) {
  return {base.data(), residual.data()};
}

}  // namespace

TEST_CASE("gamma functions: values that are known, and the recurrence") {
  const double pi = std::numbers::pi, euler = std::numbers::egamma;
  CHECK(std::fabs(log_gamma(1)) < 5e-14);  // of terms of up to 20, each rounded to 4e-15
  CHECK(log_gamma(0.5) == doctest::Approx(0.5 * std::log(pi)).epsilon(1e-14));
  CHECK(log_gamma(20) == doctest::Approx(std::log(121645100408832000.0)).epsilon(1e-14));
  CHECK(digamma(1) == doctest::Approx(-euler).epsilon(1e-13));
  CHECK(digamma(0.5) == doctest::Approx(-euler - 2 * std::log(2)).epsilon(1e-13));
  CHECK(trigamma(1) == doctest::Approx(pi * pi / 6).epsilon(1e-13));
  CHECK(trigamma(0.5) == doctest::Approx(pi * pi / 2).epsilon(1e-13));
  // One more for x + 1 ... across the border where the series takes over, at 10.
  for (double x = 0.05; x < 300; x *= 1.3) {
    CAPTURE(x);
    CHECK(std::fabs(log_gamma(x + 1) - log_gamma(x) - std::log(x)) < 1e-12 * (1 + x));
    CHECK(std::fabs(digamma(x + 1) - digamma(x) - 1 / x) < 1e-12 * (1 + 1 / x));
    CHECK(std::fabs(trigamma(x + 1) - trigamma(x) + 1 / (x * x)) < 1e-12 * (1 + 1 / (x * x)));
  }
}

TEST_CASE("dirichlet: t14 of the model, density, entropy and their gradient") {
  // alpha = least + kappa m: with a least of next to nothing, kappa = 9 and m = alpha / 9.
  const PolicyKind kind = Dirichlet{1e-12, 30};
  const Numbers base{2, 3, 4}, residual(3, 0.0);
  const Distribution d(kind, std::log(9.0), {3});
  const Numbers log_p{std::log(.2), std::log(.3), std::log(.5)};
  Numbers by_residual(3), of_entropy(3);
  const Density found = d.density(proposal(base, residual), log_p.data(), residual.data(),
                                  by_residual.data(), of_entropy.data());
  CHECK(found.log_density == doctest::Approx(2.022871).epsilon(1e-6));
  CHECK(found.entropy == doctest::Approx(-1.312553).epsilon(1e-6));
  // By alpha .108419, .013884, .191377: through d alpha_i / d r_j = kappa m_i ((i == j) - m_j).
  const Numbers alpha{2, 3, 4}, by_alpha{.108419, .013884, .191377};
  for (std::size_t j = 0; j < 3; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i)
      sum += by_alpha[i] * alpha[i] * ((i == j ? 1 : 0) - alpha[j] / 9);
    CHECK(by_residual[j] == doctest::Approx(sum).epsilon(2e-5));  // six digits, differences of them
  }
}

TEST_CASE("logistic_normal: t15 of the model through the distribution") {
  const PolicyKind kind = LogisticNormal{};
  const Distribution d(kind, std::log(.5), {3});
  const Numbers base(3, 1.0), mu{.5, 0, -.5}, z{.7, -.2, .1};
  Numbers deviation(3), a(3), b(3);
  for (std::size_t i = 0; i < 3; ++i) deviation[i] = z[i] - mu[i];
  centre(deviation.data(), 3);
  const double found =
      d.density(proposal(base, mu), deviation.data(), mu.data(), a.data(), b.data()).log_density;
  // Density on the simplex: minus log p, and the determinant 3 of the log-ratios' covariance.
  const Numbers p{.511409, .207923, .280667};
  double on_simplex = found - 0.5 * std::log(3);
  for (const double x : p) on_simplex -= std::log(x);
  CHECK(on_simplex == doctest::Approx(1.870867).epsilon(3e-6));  // p has six digits
}

TEST_CASE("distributions: every gradient by differences, with and without a reserve") {
  for (const PolicyKind& kind : every_kind<PolicyKind>())
    for (const int extra : {0, 1})
      for (const int nodes : {2, 3, 7}) {
        const int size = nodes + extra;
        CAPTURE(kind.index());
        CAPTURE(nodes);
        CAPTURE(extra);
        Numbers base = some(size, 1), residual = some(size, 2), drawn = some(size, 3),
                weight = some(size, 4), action(base.size()), decision(base.size());
        if (extra == 1) base.back() = 0.3;  // a share
        double log_spread = kind.index() == 0 ? -0.7 : 3.1;
        const auto distribution = [&] {
          return Distribution(kind, log_spread, {nodes, extra == 1});
        };
        distribution().sample(proposal(base, drawn), {5, 2, 4}, action.data(), decision.data());

        Numbers by_residual(base.size()), of_entropy(base.size());
        const auto density = [&] {
          return distribution().density(proposal(base, residual), action.data(), drawn.data(),
                                        by_residual.data(), of_entropy.data());
        };
        const Density at = density();
        const Numbers d_log = by_residual, d_entropy = of_entropy;
        const auto log_density_now = [&] { return density().log_density; };
        const auto entropy_now = [&] { return density().entropy; };
        check_gradient(at.log_density_d_spread, slope(log_density_now, log_spread));
        check_gradient(at.entropy_d_spread, slope(entropy_now, log_spread));
        for (std::size_t i = 0; i < residual.size(); ++i) {
          check_gradient(d_log[i], slope(log_density_now, residual[i]));
          check_gradient(d_entropy[i], slope(entropy_now, residual[i]));
        }

        // A loss of shares, and of the reserve's.
        const auto loss = [&] {
          distribution().mean(proposal(base, residual), decision.data());
          const double sum = std::accumulate(decision.begin(), decision.begin() + nodes, 0.0);
          double l = extra == 1 ? std::exp(decision.back()) : 0;
          for (std::size_t n = 0; n < static_cast<std::size_t>(nodes); ++n)
            l += weight[n] * std::sqrt(decision[n] / sum);
          return l;
        };
        loss();
        const double sum = std::accumulate(decision.begin(), decision.begin() + nodes, 0.0);
        Numbers d_decision(base.size());
        double along = 0;
        for (std::size_t n = 0; n < static_cast<std::size_t>(nodes); ++n) {
          d_decision[n] = weight[n] * 0.5 / std::sqrt(decision[n] / sum) / sum;
          along += d_decision[n] * decision[n];
        }
        for (std::size_t n = 0; n < static_cast<std::size_t>(nodes); ++n)
          d_decision[n] -= along / sum;
        if (extra == 1) d_decision.back() = std::exp(decision.back());
        Numbers d_residual(base.size());
        const double d_spread = distribution().mean_backward(proposal(base, residual),
                                                             d_decision.data(), d_residual.data());
        check_gradient(d_spread, slope(loss, log_spread));
        for (std::size_t i = 0; i < residual.size(); ++i)
          check_gradient(d_residual[i], slope(loss, residual[i]));
      }
}

TEST_CASE("distributions: a density where nothing moved has the bits of the draw") {
  for (const PolicyKind& kind : every_kind<PolicyKind>())
    for (const int extra : {0, 1})
      for (int slot = 0; slot < 200; ++slot) {
        const int nodes = 1 + slot % 9, size = nodes + extra;
        Numbers base = some(size, 1), residual = some(size, 2 + slot), action(base.size()),
                decision(base.size()), a(base.size()), b(base.size());
        if (extra == 1) base.back() = 0.3;
        const Distribution d(kind, initial_log_spread(kind, nodes), {nodes, extra == 1});
        const double drawn =
            d.sample(proposal(base, residual), {5, 2, slot}, action.data(), decision.data());
        const double found =
            d.density(proposal(base, residual), action.data(), residual.data(), a.data(), b.data())
                .log_density;
        CHECK(found == drawn);
        CHECK(std::isfinite(drawn));
      }
}

TEST_CASE("dirichlet: draws have the mean and the variance of the distribution, reserve included") {
  // m is .4 kept, .6 placed as 1 : 2 : 3; kappa 6, least .3: some alphas are below 1.
  const PolicyKind kind = Dirichlet{0.3, 30};
  const Numbers base{1, 2, 3, .4}, residual(4, 0.0);
  const Numbers alpha{.3 + 6 * .1, .3 + 6 * .2, .3 + 6 * .3, .3 + 6 * .4};
  const double total = std::accumulate(alpha.begin(), alpha.end(), 0.0);
  const Distribution d(kind, std::log(6.0), {3, true});
  Numbers decision(4), log_p(4);
  d.mean(proposal(base, residual), decision.data());
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(decision[i] == doctest::Approx(alpha[i] / total).epsilon(1e-14));

  constexpr int kCount = 40000;
  Numbers sum(4, 0.0), square(4, 0.0);
  double entropy = 0;
  for (int k = 0; k < kCount; ++k) {
    entropy -=
        d.sample(proposal(base, residual), {9, k, 1}, log_p.data(), decision.data()) / kCount;
    const double placed = std::accumulate(decision.begin(), decision.begin() + 3, 0.0);
    for (std::size_t i = 0; i < 4; ++i) {
      const double p = i == 3 ? decision[3] : (1 - decision[3]) * decision[i] / placed;
      CHECK(p == doctest::Approx(std::exp(log_p[i])).epsilon(1e-7));  // unless on its floor, e^-20
      sum[i] += p / kCount;
      square[i] += p * p / kCount;
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const double mean = alpha[i] / total, variance = mean * (1 - mean) / (total + 1);
    // Five standard errors; that of a variance is at most sqrt((kurtosis - 1) / n) of it, kurtosis
    // below 9 here.
    CHECK(std::fabs(sum[i] - mean) < 5 * std::sqrt(variance / kCount));
    CHECK(std::fabs(square[i] - sum[i] * sum[i] - variance) <
          5 * variance * std::sqrt(8.0 / kCount));
  }
  // The entropy is minus the mean log density; its spread is of order 1.
  Numbers a(4), b(4);
  CHECK(std::fabs(entropy - d.density(proposal(base, residual), log_p.data(), residual.data(),
                                      a.data(), b.data())
                                .entropy) < 5 * 2 / std::sqrt(kCount));
}

TEST_CASE("distributions: large pools and extreme residuals stay finite") {
  for (const PolicyKind& kind : every_kind<PolicyKind>())
    for (const double scale : {1.0, 50.0, 700.0}) {
      const int nodes = 300;
      Numbers base(nodes, 1.0), residual = some(nodes, 5), action(base.size()), decision(action),
                                a(action), b(action);
      for (double& r : residual) r *= scale;
      const Distribution d(kind, spread_range(kind).high, {nodes});
      const double drawn =
          d.sample(proposal(base, residual), {1, 1, 1}, action.data(), decision.data());
      const Density found =
          d.density(proposal(base, residual), action.data(), residual.data(), a.data(), b.data());
      CHECK(found.log_density == drawn);
      for (const double x :
           {drawn, found.entropy, found.log_density_d_spread, found.entropy_d_spread,
            std::accumulate(a.begin(), a.end(), 0.0), std::accumulate(b.begin(), b.end(), 0.0)})
        CHECK(std::isfinite(x));
      CHECK(*std::max_element(decision.begin(), decision.end()) > 0);
    }
}
