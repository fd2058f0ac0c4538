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

/// log density of n - 1 centred dimensions at the centred deviation c(z - mu).
/// \param deviation [n], sums to 0
template <class T>
T logistic_normal_log_density(const T* deviation, int n, T log_sigma) {
  using std::exp;
  T square = 0;
  for (int i = 0; i < n; ++i) square += deviation[i] * deviation[i];
  const T inverse_variance = exp(-2 * log_sigma);
  return T(-0.5) * square * inverse_variance -
         (n - 1) * (log_sigma + T(0.5) * std::log(2 * std::numbers::pi_v<T>));
}

/// Entropy of the logits (not of the proportions): (n - 1) (log(2 pi e) / 2 + log sigma).
template <class T>
T logistic_normal_entropy(int n, T log_sigma) {
  return (n - 1) * (T(0.5) * (1 + std::log(2 * std::numbers::pi_v<T>)) + log_sigma);
}

/// d log density / d mu_i = deviation_i / sigma^2.
template <class T>
T logistic_normal_d_mu(T deviation, T log_sigma) {
  using std::exp;
  return deviation * exp(-2 * log_sigma);
}

/// d log density / d log sigma = |deviation|^2 / sigma^2 - (n - 1).
template <class T>
T logistic_normal_d_log_sigma(const T* deviation, int n, T log_sigma) {
  using std::exp;
  T square = 0;
  for (int i = 0; i < n; ++i) square += deviation[i] * deviation[i];
  return square * exp(-2 * log_sigma) - (n - 1);
}

}  // namespace cra::agents
