// The encoder's hand-written gradients against differences of its forward pass, in double, and both
// passes against values from independent code (attention_reference.py).
#include <doctest/doctest.h>

#include "tests/attention_nets.h"
#include "tests/attention_reference.h"

using namespace nets;

namespace {

// Four-point difference: truncation h^4 f'''''/30, at h = 1e-3 about 1e-12 f'''''/30; rounding
// about 2^-53 |f| / h = 1e-13 |f|.
double slope(Net<double>& net, double& at) {
  constexpr double h = 1e-3;
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

Agreement compare(const std::vector<double>& analytic, const std::vector<double>& numeric) {
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
Gradients gradients_of(Net<double>& net, std::int64_t most) {
  net.forward();
  net.backward();
  Gradients g;
  const auto add = [&](std::vector<double>& at, const std::vector<double>& analytic,
                       std::int64_t offset, std::int64_t size) {
    const std::int64_t taken = std::min(size, most);
    for (std::int64_t k = 0; k < taken; ++k) {
      const auto i = static_cast<std::size_t>(offset + k * size / taken);
      g.analytic.push_back(analytic[i]);
      g.numeric.push_back(slope(net, at[i]));
    }
  };
  for (const attention::Tensor& t : attention::layout(net.shape))
    add(net.p, net.d_p, t.offset, std::int64_t{t.rows} * t.cols);
  add(net.x, net.d_x, 0, static_cast<std::int64_t>(net.x.size()));
  return g;
}

struct Case {
  Shape shape;
  std::int64_t envs;
  int nodes;
};
// {features, width, heads, layers, temperature}, environments, nodes
const std::vector<Case> kCases{
    {{3, 8, 2, 1, 1}, 1, 1},    {{1, 8, 1, 1, 1}, 1, 2},  {{4, 8, 4, 1, 1}, 2, 3},
    {{2, 6, 3, 1, 2}, 1, 4},    {{7, 8, 2, 1, .5}, 1, 5}, {{3, 10, 5, 1, 1}, 1, 6},
    {{5, 12, 2, 1, 1}, 1, 7},   {{2, 8, 8, 1, 1}, 3, 2},  {{3, 8, 2, 2, 1}, 1, 3},
    {{4, 9, 3, 1, 1.5}, 1, 8},  {{16, 8, 2, 1, 1}, 1, 4}, {{3, 8, 2, 3, 1}, 1, 2},
    {{2, 7, 1, 1, 1}, 1, 9},    {{3, 16, 2, 1, 1}, 1, 3}, {{5, 8, 2, 1, 10}, 2, 5},
    {{1, 12, 4, 1, 1}, 4, 1},   {{3, 8, 2, 4, 1}, 1, 2},  {{6, 8, 1, 1, 1}, 1, 17},
    {{11, 10, 2, 1, .7}, 1, 6},
};

// Gradients of all cases, and of one with 1000 nodes. There a forward pass takes 20 ms: two
// components of every tensor.
const std::vector<Gradients>& all_gradients() {
  static const std::vector<Gradients> all = [] {
    std::vector<Gradients> made;
    for (std::size_t i = 0; i < kCases.size(); ++i) {
      Net<double> net(kCases[i].shape, kCases[i].envs, kCases[i].nodes, 100 + i);
      made.push_back(gradients_of(net, 1 << 20));
    }
    Net<double> large({3, 8, 2, 1, 1}, 1, 1000, 99);
    made.push_back(gradients_of(large, 2));
    return made;
  }();
  return all;
}

}  // namespace

TEST_CASE("backward: agrees with four-point differences in every tensor and in x") {
  REQUIRE(all_gradients().size() == 20);
  for (std::size_t i = 0; i < all_gradients().size(); ++i) {
    const Gradients& g = all_gradients()[i];
    const Agreement agreement = compare(g.analytic, g.numeric);
    CAPTURE(i);
    CAPTURE(agreement.norm_error);  // met: 1.3e-10
    CAPTURE(agreement.worst);       // met: 0.02
    CHECK(agreement.holds());
  }
}

TEST_CASE("the comparison above catches 1 % in any one component, 100 of 100") {
  int planted = 0, caught = 0;
  for (std::size_t i = 0; i < all_gradients().size(); ++i) {
    const Gradients& g = all_gradients()[i];
    double top = 0;
    for (const double v : g.numeric) top = std::max(top, std::abs(v));
    Draws draws(1, EpisodeSet::training, 0, Stream::exploration, static_cast<int>(i), 0);
    for (int here = 0; here < 5;) {
      const auto k =
          static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(g.analytic.size())));
      if (std::abs(g.analytic[k]) <= 1e-6 * top) continue;
      std::vector<double> wrong = g.analytic;
      wrong[k] *= 1.01;
      ++here;
      ++planted;
      if (!compare(wrong, g.numeric).holds()) ++caught;
    }
  }
  CHECK(planted == 100);
  CHECK(caught == 100);
}

TEST_CASE("forward, received, backward: the values of independent code") {
  namespace ref = attention_reference;
  const Shape shape{ref::kFeatures, ref::kWidth, ref::kHeads, ref::kLayers, ref::kTemperature};
  Net<double> net(shape, ref::kEnvs, ref::kNodes, 0);
  const auto number = [](std::int64_t i) { return double(i * 7919 % 2003) / 2003 - 0.5; };
  for (std::size_t i = 0; i < net.p.size(); ++i) net.p[i] = 1.5 * number(std::int64_t(i) + 1);
  for (const attention::Tensor& t : attention::layout(shape))
    if (t.name.ends_with(".gain"))
      for (int k = 0; k < t.cols; ++k) net.p[static_cast<std::size_t>(t.offset + k)] += 1;
  for (std::size_t i = 0; i < net.x.size(); ++i) net.x[i] = 4 * number(std::int64_t(i) + 5000);
  for (std::size_t i = 0; i < net.c.size(); ++i) net.c[i] = 2 * number(std::int64_t(i) + 9000);
  std::vector<double> received(std::size(ref::kReceived));
  net.forward();
  net.encoder.received(net.work, view(received, ref::kEnvs));
  net.backward();

  // Both sides round in double: some 100 roundings of 1e-16 each, on numbers up to about 50.
  const auto check = [](const char* name, const std::vector<double>& found, const auto& expected) {
    REQUIRE(found.size() == std::size(expected));
    CAPTURE(name);
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CHECK(std::abs(found[i] - expected[i]) <= 1e-12);
    }
  };
  check("h", net.h, ref::kH);
  check("received", received, ref::kReceived);
  check("d_x", net.d_x, ref::kDX);
  check("d_parameters", net.d_p, ref::kDParameters);
}
