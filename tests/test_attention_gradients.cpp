// The encoder's hand-written gradients against differences of its forward pass, in double, and both
// passes against values from independent code (attention_reference.py).
#include <doctest/doctest.h>

#include "tests/attention_gradients.h"
#include "tests/attention_reference.h"

using namespace nets;

namespace {

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
  const auto number = [](std::int64_t i) { return double(i * 7919 % 2003) / 2003 - 0.5; };
  for (const attention_reference::Case& expected : attention_reference::kCases) {
    CAPTURE(expected.name);
    Net<double> net(expected.shape, expected.envs, expected.nodes, 0);
    for (std::size_t i = 0; i < net.p.size(); ++i) net.p[i] = 1.5 * number(std::int64_t(i) + 1);
    for (const attention::Tensor& t : attention::layout(net.shape)) {
      if (t.name.ends_with(".gain"))
        for (int k = 0; k < t.cols; ++k) net.p[static_cast<std::size_t>(t.offset + k)] += 1;
      if (t.name == "frozen") net.p[static_cast<std::size_t>(t.offset)] = 1;
    }
    for (std::size_t i = 0; i < net.x.size(); ++i) net.x[i] = 4 * number(std::int64_t(i) + 5000);
    for (std::size_t i = 0; i < net.c.size(); ++i) net.c[i] = 2 * number(std::int64_t(i) + 9000);
    for (const char* there = expected.present; *there != '\0'; ++there)
      net.present.push_back(*there == '1');
    std::vector<double> received(static_cast<std::size_t>(net.rows));
    net.forward();
    net.encoder.received(net.work, view(received, expected.envs));
    net.backward();

    // Both sides round in double: some 100 roundings of 1e-16 each, on numbers up to about 50.
    const auto check = [](const char* name, const std::vector<double>& found,
                          std::span<const double> right) {
      REQUIRE(found.size() == right.size());
      CAPTURE(name);
      double worst = 0;
      for (std::size_t i = 0; i < found.size(); ++i)
        worst = std::max(worst, std::abs(found[i] - right[i]));
      CHECK(worst <= 1e-12);
    };
    check("h", net.h, expected.h);
    check("received", received, expected.received);
    check("d_x", net.d_x, expected.d_x);
    check("d_parameters", net.d_p, expected.d_parameters);
  }
}
