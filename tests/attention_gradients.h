// tests/attention_gradients.h: the hand-written gradients of a net beside differences of its
// forward pass.
#pragma once

#include "tests/attention_nets.h"

namespace nets {

// Four-point difference: truncation h^4 f'''''/30, at h = 1e-3 about 1e-12 f'''''/30; rounding
// about 2^-53 |f| / h = 1e-13 |f|. Derivatives grow with every layer: of deep nets take a smaller
// h.
inline double slope(Net<double>& net, double& at, double h) {
  const double was = at;
  const auto loss = [&](double move) {
    at = was + move;
    return net.forward();
  };
  const double result = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
  at = was;
  return result;
}

struct Agreement {
  double norm_error = 0;  // |a - n| / |n|, 2-norms
  double worst = 0;       // largest |a_i - n_i| / (1e-6 |n_i| + 1e-9 max |n|)
  bool holds() const { return norm_error <= 1e-9 && worst <= 1; }
};

inline Agreement compare(const std::vector<double>& analytic, const std::vector<double>& numeric) {
  double square = 0, difference = 0, top = 0;
  for (std::size_t i = 0; i < numeric.size(); ++i) {
    square += numeric[i] * numeric[i];
    difference += (analytic[i] - numeric[i]) * (analytic[i] - numeric[i]);
    top = std::max(top, std::abs(numeric[i]));
  }
  Agreement result{std::sqrt(difference / square), 0};
  for (std::size_t i = 0; i < numeric.size(); ++i)
    result.worst = std::max(result.worst, std::abs(analytic[i] - numeric[i]) /
                                              (1e-6 * std::abs(numeric[i]) + 1e-9 * top));
  return result;
}

struct Gradients {
  std::vector<double> analytic, numeric;  // parameters, then x
};

// Up to `most` components of every tensor and of x, spread evenly.
inline Gradients gradients_of(Net<double>& net, std::int64_t most, double h = 1e-3) {
  net.forward();
  net.backward();
  Gradients g;
  const auto add = [&](std::vector<double>& at, const std::vector<double>& analytic,
                       std::int64_t offset, std::int64_t size) {
    const std::int64_t taken = std::min(size, most);
    for (std::int64_t k = 0; k < taken; ++k) {
      const auto i = static_cast<std::size_t>(offset + k * size / taken);
      g.analytic.push_back(analytic[i]);
      g.numeric.push_back(slope(net, at[i], h));
    }
  };
  for (const attention::Tensor& t : attention::layout(net.shape))
    if (t.name != "frozen" && !t.name.ends_with("average"))  // which no gradient moves
      add(net.p, net.d_p, t.offset, std::int64_t{t.rows} * t.cols);
  add(net.x, net.d_x, 0, static_cast<std::int64_t>(net.x.size()));
  return g;
}

}  // namespace nets
