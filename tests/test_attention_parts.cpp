// The parts of the CPU engine: exp and tanh, the product, one head's softmax.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "attention/heads.h"
#include "attention/lanes.h"
#include "attention/product.h"
#include "tests/attention_nets.h"

using namespace cra;
using namespace cra::attention;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The value in the last lane; the others hold something else.
template <Floats (*f)(Floats)>
float in_last_lane(float x) {
  Floats v{};
  v[Lanes<float>::count - 1] = x;
  return f(v)[Lanes<float>::count - 1];
}
float exp_of(float x) { return in_last_lane<exp_nonpositive>(x); }
float tanh_of(float x) { return in_last_lane<hyperbolic_tangent>(x); }

// Softmax of dot_scores for rows of [query, key, value], as a[j][i].
template <class T>
std::vector<T> weights(const std::vector<T>& qkv, int nodes, int size, T scale) {
  const std::int64_t stride = 3 * std::int64_t{size};
  const Head<const T> head{
      qkv.data(), stride, qkv.data() + size, qkv.data() + 2 * size, stride, nodes, nodes, size};
  const int wide = padded<T>(nodes);
  std::vector<T> scratch(std::size_t(size) * std::size_t(wide));
  std::vector<T> a(std::size_t(nodes) * std::size_t(wide)), tight;
  dot_scores(head, scale, scratch.data(), a.data());
  softmax(a.data(), nodes, nodes);
  for (int j = 0; j < nodes; ++j)
    for (int i = 0; i < nodes; ++i)
      tight.push_back(a[std::size_t(j) * std::size_t(wide) + std::size_t(i)]);
  return tight;
}

}  // namespace

TEST_CASE("exp_nonpositive: within 1e-7 of the C library in double, 0 far down, NaN stays") {
  for (double x = -86; x <= 0; x += 1.7e-4) {
    const auto y = static_cast<float>(x);
    const double right = std::exp(double{y});
    if (std::abs(double{exp_of(y)} - right) > 1e-7 * right) FAIL_CHECK("exp of " << y);
  }
  CHECK(exp_of(0.f) == 1.f);
  for (const float x : {-86.01f, -1e4f, -3e38f, -kInf}) CHECK(exp_of(x) == 0.f);
  CHECK(std::isnan(exp_of(kNan)));
}

TEST_CASE("hyperbolic_tangent: within 5e-7 of the C library in double, odd, bounded, NaN stays") {
  for (double x = 1e-6; x <= 20; x += x < 0.01 ? 1e-6 : 1.3e-4) {
    const auto y = static_cast<float>(x);
    const double right = std::tanh(double{y});
    if (std::abs(double{tanh_of(y)} - right) > 5e-7 * right) FAIL_CHECK("tanh of " << y);
    if (tanh_of(-y) != -tanh_of(y) || tanh_of(y) > 1.f) FAIL_CHECK("tanh of -" << y);
  }
  for (const float x : {9.1f, 50.f, 3e38f, kInf}) CHECK(tanh_of(x) == 1.f);
  CHECK(tanh_of(0.f) == 0.f);
  CHECK(tanh_of(1e-30f) == 1e-30f);
  CHECK(std::isnan(tanh_of(kNan)));
}

TEST_CASE(
    "multiply: every element is the sum in order, each product added with one rounding, at any "
    "size") {
  // The sizes cross every border between vectors, short vectors and single columns.
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 7, 31, 33})
    for (const std::int64_t cols : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33})
      for (const std::int64_t inner : {1, 2, 19}) {
        const auto a = nets::normals<float>(rows * inner, 1, 0);
        const auto b = nets::normals<float>(inner * cols, 1, 1);
        const auto start = nets::normals<float>(cols, 1, 2);
        const auto old = nets::normals<float>(rows * cols, 1, 3);
        nets::with_all_kernels([&] {
          std::vector<float> plain = old, added = old, turned = old;
          multiply<float>({a.data(), inner, 1}, b.data(), cols, plain.data(), cols, rows, inner,
                          cols, start.data(), Into::overwrite);
          multiply<float>({a.data(), inner, 1}, b.data(), cols, added.data(), cols, rows, inner,
                          cols, nullptr, Into::add);
          multiply<float>({a.data(), 1, rows}, b.data(), cols, turned.data(), cols, rows, inner,
                          cols, nullptr, Into::overwrite);
          int wrong = 0;
          for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < cols; ++j) {
              float from_start = start[std::size_t(j)], from_zero = 0, of_turned = 0;
              for (std::int64_t k = 0; k < inner; ++k) {
                const float right = b[std::size_t(k * cols + j)];
                from_start = std::fma(a[std::size_t(i * inner + k)], right, from_start);
                from_zero = std::fma(a[std::size_t(i * inner + k)], right, from_zero);
                of_turned = std::fma(a[std::size_t(k * rows + i)], right, of_turned);
              }
              const auto at = std::size_t(i * cols + j);
              wrong += plain[at] != from_start;
              wrong += added[at] != old[at] + from_zero;
              wrong += turned[at] != of_turned;
            }
          CAPTURE(rows);
          CAPTURE(cols);
          CAPTURE(inner);
          CHECK(wrong == 0);
        });
      }
}

TEST_CASE("multiply: does not touch what lies between the rows of C") {
  const auto a = nets::normals<float>(5 * 3, 1, 0), b = nets::normals<float>(3 * 7, 1, 1);
  nets::with_all_kernels([&] {
    std::vector<float> c(5 * 9, 99.f);
    multiply<float>({a.data(), 3, 1}, b.data(), 7, c.data(), 9, 5, 3, 7, nullptr, Into::overwrite);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t j = 7; j < 9; ++j) CHECK(c[i * 9 + j] == 99.f);
  });
}

TEST_CASE("kernels: the baseline is always there; others are wider; another choice can be undone") {
  const auto& all = all_kernels();
  CHECK(std::string(all.front().name) == "base");
  for (std::size_t i = 1; i < all.size(); ++i) CHECK(all[i].lanes > all[i - 1].lanes);
  const std::size_t before = use_kernels(0);
  CHECK(before == all.size() - 1);
  CHECK(kernels<float>().lanes == all.front().lanes);
  CHECK(use_kernels(before) == 0);
  CHECK_THROWS_AS(use_kernels(all.size()), Error);
}

TEST_CASE("CoreWork: what is measured is right, with every instruction set and at awkward sizes") {
  for (const int nodes : {1, 17, 100}) {
    CoreWork work(2, nodes, 2, 12);
    CHECK(work.forward_operations() == 4.0 * 2 * 2 * nodes * nodes * 12);
    work.plain_forward();
    work.plain_backward();
    CHECK((nodes == 1 || work.difference() > 0.1));  // nothing to compare with yet
    for (std::size_t i = 0; i < CoreWork::instruction_sets().size(); ++i) {
      work.forward(i);
      work.backward(i);
      // Sums of up to `nodes` and of 12 terms, of scores of up to about 12 * 4 * 4.
      CHECK(work.difference() <= 200 * std::sqrt(nodes + 24.0) * 0x1.0p-24);
      CHECK(CoreWork::run_peak(i) > 0);
    }
  }
}

TEST_CASE(
    "dot_scores and softmax: closed form t1, q = (1, 0), keys (1, 0), (0, 1), (1, 1), d = 2") {
  // Rows of query (2), key (2), value (2); the first query is t1's.
  const std::vector<double> qkv{1, 0, 1, 0, 0, 0, /**/ 0, 0, 0, 1, 0, 0, /**/ 0, 0, 1, 1, 0, 0};
  const std::vector<double> a = weights(qkv, 3, 2, 1 / std::sqrt(2.0));
  const double expected[] = {.401112, .197776, .401112};
  for (std::size_t j = 0; j < 3; ++j) {
    CHECK(std::abs(a[j * 3] - expected[j]) <= 5e-7);
    CHECK(a[j * 3 + 1] == doctest::Approx(1.0 / 3).epsilon(1e-15));  // a query of 0 sees all alike
  }
}

TEST_CASE("dot_scores and softmax: columns sum to 1 at sizes 1, 31, 32, 33, 1000") {
  for (const int nodes : {1, 31, 32, 33, 1000}) {
    const auto qkv = nets::normals<float>(std::int64_t{nodes} * 12, 5, 0);
    const std::vector<float> a = weights(qkv, nodes, 4, 0.5f);
    for (int i = 0; i < nodes; ++i) {
      double sum = 0;
      for (int j = 0; j < nodes; ++j)
        sum += a[std::size_t(j) * std::size_t(nodes) + std::size_t(i)];
      // The sum rounds `nodes` times, each division once more.
      CHECK(std::abs(sum - 1) <= (nodes + 1) * 0x1.0p-24);
    }
  }
}

TEST_CASE("dot_scores and softmax: scores of 3e38 and -3e38 are safe in float") {
  // One feature: score(i, j) = q_i k_j.
  const std::vector<float> qkv{1.5e19f, 2e19f, 0, /**/ 0, -2e19f, 0, /**/ -1.5e19f, 1.9e19f, 0};
  const std::vector<float> a = weights(qkv, 3, 1, 1.f);
  const float expected[3][3] = {{1, 1.f / 3, 0}, {0, 1.f / 3, 1}, {0, 1.f / 3, 0}};
  for (std::size_t j = 0; j < 3; ++j)
    for (std::size_t i = 0; i < 3; ++i) CHECK(a[j * 3 + i] == expected[j][i]);

  // Two equal largest scores share.
  const std::vector<float> even{1.5e19f, 2e19f, 0, /**/ 0, 2e19f, 0};
  CHECK(weights(even, 2, 1, 1.f)[0] == 0.5f);
}

TEST_CASE("dot_scores and softmax: a score that is not finite makes its own column NaN, no other") {
  for (const float bad : {kInf, kNan}) {
    const std::vector<float> qkv{bad, 1, 0, /**/ 1, 2, 0};
    const std::vector<float> a = weights(qkv, 2, 1, 1.f);
    CHECK(std::isnan(a[0]));
    CHECK(std::isnan(a[2]));
    CHECK(std::isfinite(a[1]));
    CHECK(std::isfinite(a[3]));
  }
}

TEST_CASE(
    "layer_norm: mean 0 and variance 1 by row, also far from 0; equal numbers give the bias") {
  const int width = 7;
  std::vector<double> x = nets::normals<double>(2 * width, 3, 0);
  for (std::size_t k = 0; k < 7; ++k) x[k] = 1e3 * x[k] + 1e6;
  for (std::size_t k = 7; k < 14; ++k) x[k] = 4;
  const std::vector<double> gain(7, 2.0), bias(7, 0.5);
  std::vector<double> unit(14), inverse(2), y(14);
  layer_norm(x.data(), 2, width, gain.data(), bias.data(), unit.data(), inverse.data(), y.data());
  double sum = 0, square = 0;
  for (std::size_t k = 0; k < 7; ++k) {
    sum += unit[k];
    square += unit[k] * unit[k];
    CHECK(y[k] == 2 * unit[k] + 0.5);
    CHECK(y[k + 7] == 0.5);
  }
  CHECK(std::abs(sum) <= 1e-12);
  CHECK(std::abs(square / 7 - 1) <= 1e-10);  // 1e-5 in 1e6
  CHECK(inverse[1] == doctest::Approx(1 / std::sqrt(1e-5)));
}
