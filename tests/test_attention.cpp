// The encoder through its public header: parameters, properties of the map, accuracy, wrong calls.
#include <doctest/doctest.h>

#include <new>
#include <numeric>
#include <set>
#include <stdexcept>

#include "tests/attention_nets.h"

using namespace nets;

TEST_CASE("check: heads divide width, width is at least 2") {
  CHECK(attention::check({}).empty());
  attention::Params p;
  p.kind = attention::Multihead{3, 1};
  REQUIRE(attention::check(p).size() == 1);
  CHECK(attention::check(p)[0].path == "attention.kind.heads");
  CHECK(attention::check(p)[0].text == "is 3, which does not divide attention.width 16");
  p.width = 1;
  p.kind = attention::Multihead{1, 1};
  REQUIRE(attention::check(p).size() == 1);
  CHECK(attention::check(p)[0].path == "attention.width");
}

TEST_CASE("shape_of: carries every parameter") {
  attention::Params p;
  p.kind = attention::Multihead{4, 2.5};
  p.width = 24;
  p.layers = 3;
  CHECK(attention::shape_of(p, 11, 12, 13) == Shape{11, 24, 4, 3, 2.5});
}

TEST_CASE("layout: tensors without gap or overlap, names unique, count as counted by hand") {
  for (const Shape& s : {Shape{16, 16, 2, 1, 1}, Shape{3, 6, 3, 4, 1}, Shape{1, 2, 1, 1, 1}}) {
    const auto tensors = attention::layout(s);
    std::set<std::string> names;
    std::int64_t next = 0;
    for (const attention::Tensor& t : tensors) {
      CHECK(t.offset == next);
      next += std::int64_t{t.rows} * t.cols;
      names.insert(t.name);
    }
    CHECK(names.size() == tensors.size());
    const std::int64_t f = s.features, d = s.width;
    const std::int64_t embed = (f + 1) * d + (d + 1) * d, norm = 2 * d;
    const std::int64_t heads = 3 * d * d + (d + 1) * d, mlp = (d + 1) * 2 * d + (2 * d + 1) * d;
    CHECK(next == embed + s.layers * (norm + heads + norm + mlp) + norm);
    CHECK(attention::parameter_count(s) == next);
  }
}

TEST_CASE(
    "initial_parameters: gains 1, biases 0, weights of variance 1 / inputs, fixed by the seed") {
  const Shape s{16, 32, 2, 2, 1};
  const std::vector<float> p = attention::initial_parameters(s, 7);
  for (const attention::Tensor& t : attention::layout(s)) {
    CAPTURE(t.name);
    const auto first = p.begin() + t.offset;
    const std::vector<float> values(first, first + std::int64_t{t.rows} * t.cols);
    const auto n = static_cast<double>(values.size());
    if (!t.name.ends_with(".weight")) {
      CHECK(t.rows == 1);
      const float expected = t.name.ends_with(".gain") ? 1.f : 0.f;
      CHECK(std::all_of(values.begin(), values.end(), [&](float v) { return v == expected; }));
      continue;
    }
    double sum = 0, square = 0;
    for (const float v : values) {
      sum += v;
      square += double{v} * v;
      CHECK(std::abs(v) <= std::sqrt(3.0 / t.cols));
    }
    // Five standard errors; the square of a uniform number has a deviation of 0.894 of its mean.
    CHECK(std::abs(sum / n) <= 5 * std::sqrt(1.0 / t.cols / n));
    CHECK(std::abs(square / n * t.cols - 1) <= 5 * 0.894 / std::sqrt(n));
  }
  CHECK(attention::initial_parameters(s, 7) == p);
  CHECK(attention::initial_parameters(s, 8) != p);
}

TEST_CASE("permuting the nodes permutes the embeddings and nothing else") {
  for (const int nodes : {2, 9, 33}) {
    const Shape s{4, 12, 3, 2, 1};
    Net<double> net(s, 2, nodes, 11);
    net.forward();
    const std::vector<double> straight = net.h;
    std::vector<double> seen(static_cast<std::size_t>(net.rows)), seen_moved = seen;
    net.encoder.received(net.work, view(seen, 2));

    // Node n goes to place (n + 1) % nodes, after a reversal: no node of `nodes` > 2 stays.
    const auto place = [&](std::int64_t row) {
      const std::int64_t e = row / nodes, n = row % nodes;
      return e * nodes + (nodes - n) % nodes;
    };
    const std::vector<double> x = net.x;
    const auto copy_row = [](const std::vector<double>& from, std::int64_t a,
                             std::vector<double>& to, std::int64_t b, std::int64_t cols) {
      std::copy(from.begin() + a * cols, from.begin() + (a + 1) * cols, to.begin() + b * cols);
    };
    for (std::int64_t r = 0; r < net.rows; ++r) copy_row(x, r, net.x, place(r), s.features);
    net.forward();
    net.encoder.received(net.work, view(seen_moved, 2));
    double worst = 0, moved = 0;
    for (std::int64_t r = 0; r < net.rows; ++r) {
      for (std::int64_t k = 0; k < s.width; ++k) {
        const double was = straight[std::size_t(r * s.width + k)];
        worst = std::max(worst, std::abs(net.h[std::size_t(place(r) * s.width + k)] - was));
        moved = std::max(moved, std::abs(net.h[std::size_t(r * s.width + k)] - was));
      }
      worst = std::max(worst, std::abs(seen_moved[std::size_t(place(r))] - seen[std::size_t(r)]));
    }
    CHECK(worst <= 1e-12);
    if (nodes > 2) CHECK(moved > 0.01);  // the nodes do differ
  }
}

TEST_CASE("environments do not see each other; nodes of one environment do") {
  Net<double> net({3, 8, 2, 1, 1}, 2, 4, 12);
  net.forward();
  const std::vector<double> before = net.h;
  net.x[0] += 1;  // first environment, first node
  net.forward();
  double near = 0;
  for (std::size_t k = 0; k < 8; ++k) near += std::abs(net.h[3 * 8 + k] - before[3 * 8 + k]);
  CHECK(near > 1e-6);
  CHECK(std::equal(net.h.begin() + 32, net.h.end(), before.begin() + 32));
}

TEST_CASE("received: rows sum to 1, also with 1000 nodes; with one node it is 1") {
  for (const int nodes : {1, 31, 32, 33, 1000}) {
    Net<float> net({3, 8, 2, 2, 1}, 2, nodes, 13);
    net.forward();
    std::vector<float> seen(static_cast<std::size_t>(net.rows));
    net.encoder.received(net.work, view(seen, 2));
    for (int e = 0; e < 2; ++e) {
      const auto first = seen.begin() + std::int64_t{e} * nodes;
      const double sum = std::accumulate(first, first + nodes, 0.0);
      // Each weight is a quotient by a sum of `nodes` roundings; the mean rounds once more.
      CHECK(std::abs(sum - 1) <= (nodes + 2) * 0x1.0p-24);
    }
    if (nodes == 1) CHECK(seen[0] == 1.f);
  }
}

TEST_CASE("the temperature divides the scores: very hot attention is the mean") {
  Net<double> net({3, 8, 2, 1, 1e6}, 1, 5, 14);
  net.forward();
  std::vector<double> seen(5);
  net.encoder.received(net.work, view(seen, 1));
  for (const double v : seen) CHECK(std::abs(v - 0.2) < 1e-5);
}

TEST_CASE("float engine: as close to double as its roundings allow, at 1, 31, 32, 33, 1000 nodes") {
  for (const int nodes : {1, 31, 32, 33, 1000}) {
    const Shape s{9, 16, 2, 1, 1};
    Net<double> exact(s, 2, nodes, 15);
    Net<float> net(s, 2, nodes, 15);
    exact.forward();
    exact.backward();
    const auto engine = attention::make_cpu_engine(s);
    const auto cache = engine->make_cache(2, nodes);
    engine->forward(net.p, view(std::as_const(net.x), net.rows), nodes, *cache,
                    view(net.h, net.rows));
    engine->backward(net.p, view(std::as_const(net.c), net.rows), *cache, net.d_p,
                     view(net.d_x, net.rows));
    const auto error = [](const std::vector<float>& a, const std::vector<double>& b) {
      double difference = 0, top = 0;
      for (std::size_t i = 0; i < b.size(); ++i) {
        difference = std::max(difference, std::abs(double{a[i]} - b[i]));
        top = std::max(top, std::abs(b[i]));
      }
      return difference / top;
    };
    // Every number passes about this many roundings of at most 2^-24 on its way (sums over F, six
    // times d, twice 2 d, d / H and twice N; seven each in two tanh and 2 d in three norms), as
    // many again backward. Roundings do not conspire: n of them add up like sqrt(n), and twice that
    // is allowed. Magnitudes are those of the largest entry.
    const double path = 9 + 10 * 16 + 8 + 2 * nodes + 2 * 7 + 3 * 2 * 16;
    CAPTURE(nodes);
    CHECK(error(net.h, exact.h) <= 2 * std::sqrt(path) * 0x1.0p-24);
    CHECK(error(net.d_x, exact.d_x) <= 2 * std::sqrt(2 * path) * 0x1.0p-24);
    CHECK(error(net.d_p, exact.d_p) <= 2 * std::sqrt(2 * path) * 0x1.0p-24);
  }
}

namespace {

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a wrong call is refused with what was found and what would be right") {
  const Shape s{3, 8, 2, 1, 1};
  const auto engine = attention::make_cpu_engine(s);
  const auto count = std::size_t(attention::parameter_count(s));
  std::vector<float> p(count), x(4 * 3), h(4 * 8), gradient(count), seen(4);
  const auto cache = engine->make_cache(2, 2);
  const View<const float> x_view{x.data(), 4, 3}, d_h{h.data(), 4, 8};
  const View<float> h_view{h.data(), 4, 8};
  const auto forward = [&](std::span<const float> block, View<const float> in, int nodes,
                           View<float> out) {
    return message_of([&] { engine->forward(block, in, nodes, *cache, out); });
  };
  const auto backward = [&](View<const float> d, std::span<float> block, View<float> d_x) {
    return message_of([&] { engine->backward(p, d, *cache, block, d_x); });
  };

  CHECK(backward(d_h, gradient, {}) == "attention: the cache holds no forward pass yet");
  CHECK(message_of([&] {
          engine->received(*cache, {seen.data(), 2, 2});
        }) == "attention: the cache holds no forward pass yet");

  CHECK(forward(std::span(p).first(count - 1), x_view, 2, h_view) ==
        "attention: the parameter block has 695 numbers, this shape needs 696");
  CHECK(forward(p, x_view, 4, h_view) == "attention: the cache is for 2 nodes, not 4");
  CHECK(forward(p, {x.data(), 3, 3}, 2, h_view) ==
        "attention: x has 3 rows, expected a positive multiple of 2 nodes");
  CHECK(forward(p, {x.data(), 0, 3}, 2, h_view) ==
        "attention: x has 0 rows, expected a positive multiple of 2 nodes");
  CHECK(forward(p, {x.data(), 6, 3}, 2, h_view) ==
        "attention: the cache has room for 2 environments, not 3");
  CHECK(forward(p, {x.data(), 4, 4}, 2, h_view) == "attention: x is [4, 4], expected [4, 3]");
  CHECK(forward(p, {nullptr, 4, 3}, 2, h_view) == "attention: x has no data");
  CHECK(forward(p, x_view, 2, {h.data(), 2, 8}) == "attention: h is [2, 8], expected [4, 8]");

  CHECK(forward(p, x_view, 2, h_view) == "no error");
  CHECK(backward({h.data(), 2, 8}, gradient, {}) == "attention: d_h is [2, 8], expected [4, 8]");
  CHECK(backward(d_h, std::span(gradient).first(5), {}) ==
        "attention: the gradient block has 5 numbers, this shape needs 696");
  CHECK(backward(d_h, gradient, {x.data(), 4, 2}) == "attention: d_x is [4, 2], expected [4, 3]");
  CHECK(backward(d_h, gradient, {}) == "no error");
  CHECK(message_of([&] {
          engine->received(*cache, {seen.data(), 1, 4});
        }) == "attention: out is [1, 4], expected [2, 2]");

  const auto other = attention::make_cpu_engine({3, 8, 4, 1, 1});
  CHECK(message_of([&] { other->forward(p, x_view, 2, *cache, h_view); }) ==
        "attention: the cache was made for another shape of encoder");
  CHECK(message_of([&] { engine->make_cache(0, 2); }) ==
        "attention: a cache needs at least one environment and one node, not 0 and 2");
  CHECK(message_of([&] { engine->make_cache(1 << 20, 65536); }) ==
        "attention: 1048576 environments of 65536 nodes are too many for one call");
  CHECK(message_of([] {
          attention::make_cpu_engine({3, 9, 2, 1, 1});
        }) == "attention: 2 heads do not divide width 9");
  CHECK(message_of([] {
          attention::make_cpu_engine({0, 8, 2, 1, 1});
        }) ==
        "attention: a shape needs features, heads and layers >= 1 and width >= 2, not features 0, "
        "heads 2, layers 1 and width 8");
  CHECK(message_of([] {
          attention::make_cpu_engine({3, 8, 2, 1, 0});
        }) == "attention: temperature is 0, expected above 0 and at most 1e6");
}

namespace {

// An engine of another device, one that may also be out of memory.
class Elsewhere : public attention::Engine {
 public:
  explicit Elsewhere(const Shape& s) : Engine(s) {}

 private:
  struct Foreign : attention::Cache {
    Foreign(const Shape& s, std::int64_t envs, int nodes) : Cache(s, envs, nodes) {}
  };
  std::unique_ptr<attention::Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    if (envs == 2) throw std::bad_alloc();
    if (envs == 3) throw std::length_error("vector");
    return std::make_unique<Foreign>(shape(), envs, nodes);
  }
  void do_forward(std::span<const float>, View<const float>, int, attention::Cache&, View<float>,
                  View<const std::uint8_t>) const override {}
  void do_backward(std::span<const float>, View<const float>, attention::Cache&, std::span<float>,
                   View<float>) const override {}
  void do_received(const attention::Cache&, View<float>) const override {}
  void do_add_weights(const attention::Cache&, std::span<double>) const override {}
};

}  // namespace

TEST_CASE("a cache made by the engine of another device is refused") {
  const Shape s{1, 2, 1, 1, 1};
  const std::vector<float> p = parameters(s, 1), x(1);
  std::vector<float> h(2);
  const auto cache = Elsewhere(s).make_cache(1, 1);
  CHECK(message_of([&] {
          attention::make_cpu_engine(s)->forward(p, view(x, 1), 1, *cache, view(h, 1));
        }) == "attention: this cache was made by the engine of another device");
}

TEST_CASE("not enough memory for a cache is an error that says why") {
  for (const int envs : {2, 3})
    CHECK(message_of([&] {
            Elsewhere({1, 2, 1, 1, 1}).make_cache(envs, 1000);
          }) ==
          "attention: not enough memory for " + std::to_string(envs) +
              " environments of 1000 nodes; the attention weights grow with the square of the "
              "nodes");
}
