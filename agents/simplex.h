// agents/simplex.h (internal): the logistic-normal distribution over allocations.
//
// The action is z = mu + sigma c(xi) with xi ~ N(0, I); the pool sees softmax(z). A common shift of
// z changes nothing downstream, so it is removed: c(x) = x - mean(x), and N' = N - 1 dimensions
// remain. All in double: densities underflow in float long before policies stop being useful.
#pragma once

#include <cmath>
#include <numbers>

namespace cra::agents {

/// c(x): removes the mean, in place. \param x [n]
template <class T>
void centre(T* x, int n) {
  T mean = 0;
  for (int i = 0; i < n; ++i) mean += x[i] / n;
  for (int i = 0; i < n; ++i) x[i] -= mean;
}

/// log density of a normal deviation of `dimensions` dimensions with standard deviation sigma.
/// \param deviation [n]; for allocations c(z - mu), which sums to 0 in every block,
/// with DecisionShape::dimensions()
template <class T>
T log_density(const T* deviation, int n, int dimensions, T log_sigma) {
  using std::exp;
  T square = 0;
  for (int i = 0; i < n; ++i) square += deviation[i] * deviation[i];
  return T(-0.5) * square * exp(-2 * log_sigma) -
         dimensions * (log_sigma + T(0.5) * std::log(2 * std::numbers::pi_v<T>));
}

/// Entropy of the logits (not of the proportions): dimensions (log(2 pi e) / 2 + log sigma).
template <class T>
T logit_entropy(int dimensions, T log_sigma) {
  return dimensions * (T(0.5) * (1 + std::log(2 * std::numbers::pi_v<T>)) + log_sigma);
}

/// d log density / d mu_i = deviation_i / sigma^2.
template <class T>
T log_density_d_mu(T deviation, T log_sigma) {
  using std::exp;
  return deviation * exp(-2 * log_sigma);
}

/// d log density / d log sigma = |deviation|^2 / sigma^2 - dimensions.
template <class T>
T log_density_d_log_sigma(const T* deviation, int n, int dimensions, T log_sigma) {
  using std::exp;
  T square = 0;
  for (int i = 0; i < n; ++i) square += deviation[i] * deviation[i];
  return square * exp(-2 * log_sigma) - dimensions;
}

}  // namespace cra::agents
