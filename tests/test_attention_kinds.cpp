// Every kind of attention under every control: gradients, what may be permuted, removed nodes,
// sizes.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

#include "tests/attention_gradients.h"

using namespace nets;
using attention::Form;
using attention::Positions;
using attention::Weights;

namespace {

struct Variety {
  Shape shape;
  bool removes;  // some nodes
};

// Every kind with every source of weights, one to four layers, with and without positions, with all
// nodes and with some removed.
std::vector<Variety> varieties() {
  std::vector<Variety> all;
  int turn = 0;
  for (const Form form : kForms)
    for (const Weights weights : kWeights) {
      if (form == Form::none && weights != Weights::dynamic) continue;
      for (const int layers : {1, 2, 3 + turn % 2}) {
        Shape s = shape_of_form(form, 2, 6, 2, layers);
        s.temperature = 0.8;
        s.weights = weights;
        s.positions = turn % 3 == 1 ? Positions::sinusoidal : Positions::none;
        if (weights == Weights::random || weights == Weights::shuffled) s.seed = 3;
        if (weights == Weights::average) s.nodes = 4;
        all.push_back({s, turn++ % 2 == 1});
      }
    }
  return all;
}

void remove_some(Net<double>& net) { net.present = {1, 0, 1, 1, 0, 1, 0, 0}; }

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("backward: every kind, control, depth and choice of nodes agrees with differences") {
  const auto all = varieties();
  CHECK(all.size() == 3 * (4 * 4 + 1));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Shape& s = all[i].shape;
    Net<double> net(s, 2, 4, 200 + i);
    if (all[i].removes) remove_some(net);
    // All components of one layer; of more, some of every tensor.
    const Gradients g = gradients_of(net, s.layers == 1 ? 40 : 5, 3e-4);
    const Agreement agreement = compare(g.analytic, g.numeric);
    CAPTURE(name_of(s.form));
    CAPTURE(name_of(s.weights));
    CAPTURE(s.layers);
    CAPTURE(agreement.norm_error);  // met: 8.1e-11
    CAPTURE(agreement.worst);       // met: 0.0033
    CHECK(agreement.holds());
    // The comparison sees 1 % in the largest component of any tensor but those of 0.
    std::vector<double> wrong = g.analytic;
    wrong[wrong.size() / 2] *= 1.01;
    if (std::abs(wrong[wrong.size() / 2]) > 1e-3) CHECK_FALSE(compare(wrong, g.numeric).holds());
  }
}

TEST_CASE("averaged weights and what says that they are frozen have no gradient") {
  for (const Form form : {Form::multihead, Form::additive, Form::induced}) {
    Shape s = shape_of_form(form, 3, 6, 2, 2);
    s.weights = Weights::average;
    s.nodes = 5;
    Net<double> net(s, 2, 5, 3);
    net.forward();
    net.backward();
    int held = 0;
    for (const attention::Tensor& t : attention::layout(s)) {
      if (t.name != "frozen" && !t.name.ends_with("average")) continue;
      for (std::int64_t k = 0; k < std::int64_t{t.rows} * t.cols; ++k, ++held)
        CHECK(net.d_p[static_cast<std::size_t>(t.offset + k)] == 0);
    }
    CHECK(held == attention::weight_count(s, 5) + 1);
  }
}

TEST_CASE("permuting the nodes permutes the embeddings, of every kind without a place for nodes") {
  for (const Form form : kForms)
    for (const bool positions : {false, true}) {
      const int nodes = 9;
      Shape s = shape_of_form(form, 4, 12, 3, 2);
      if (positions) s.positions = Positions::sinusoidal;
      Net<double> net(s, 1, nodes, 11);
      net.forward();
      const std::vector<double> h = net.h, x = net.x;
      // Node n goes to place (2 n + 1) % 9.
      const auto place = [&](int n) { return (2 * n + 1) % nodes; };
      for (int n = 0; n < nodes; ++n)
        std::copy_n(x.begin() + std::ptrdiff_t{n} * s.features, s.features,
                    net.x.begin() + std::ptrdiff_t{place(n)} * s.features);
      net.forward();
      double worst = 0;
      for (int n = 0; n < nodes; ++n)
        for (int k = 0; k < s.width; ++k)
          worst = std::max(worst, std::abs(net.h[std::size_t(place(n)) * 12 + std::size_t(k)] -
                                           h[std::size_t(n) * 12 + std::size_t(k)]));
      CAPTURE(name_of(form));
      if (positions)
        CHECK(worst > 0.01);
      else
        CHECK(worst <= 1e-12);
    }
}

TEST_CASE("removed nodes: the others fare, to the bit, as in a pool without them") {
  const int nodes = 11;
  const std::vector<int> there{0, 2, 3, 7, 8, 10};  // more than one vector, and a rest
  for (const Form form : kForms)
    for (const int layers : {1, 2}) {
      const Shape s = shape_of_form(form, 3, 8, 2, layers);
      CAPTURE(name_of(form));
      const auto few = static_cast<int>(there.size());
      // Three environments: all there, some there, nobody there.
      Net<float> net(s, 3, nodes, 21), small(s, 1, few, 21), whole(s, 1, nodes, 21);
      net.present.assign(std::size_t{3} * nodes, 0);
      std::fill_n(net.present.begin(), nodes, std::uint8_t{1});
      for (const int n : there) net.present[std::size_t(nodes) + std::size_t(n)] = 1;
      for (int i = 0; i < few; ++i) {
        const std::ptrdiff_t row = nodes + there[std::size_t(i)];
        std::copy_n(net.x.begin() + row * 3, 3, small.x.begin() + std::ptrdiff_t{i} * 3);
        std::copy_n(net.c.begin() + row * 8, 8, small.c.begin() + std::ptrdiff_t{i} * 8);
      }
      std::copy_n(net.x.begin(), whole.x.size(), whole.x.begin());
      std::copy_n(net.c.begin(), whole.c.size(), whole.c.begin());
      // Features of nodes that are not there are not read.
      for (int n = 0; n < 3 * nodes; ++n)
        if (net.present[std::size_t(n)] == 0)
          std::fill_n(net.x.begin() + std::ptrdiff_t{n} * 3, 3, std::nanf(""));
      std::vector<float> seen(net.present.size()), seen_small(there.size());
      for (Net<float>* each : {&net, &small, &whole}) {
        each->forward();
        each->backward();
      }
      net.encoder.received(net.work, view(seen, 3));
      small.encoder.received(small.work, view(seen_small, 1));

      std::vector<float> h(net.h.size()), d_x(net.x.size()), received(seen.size());
      std::copy(whole.h.begin(), whole.h.end(), h.begin());
      std::copy(whole.d_x.begin(), whole.d_x.end(), d_x.begin());
      std::copy_n(seen.begin(), nodes, received.begin());
      for (int i = 0; i < few; ++i) {
        const std::ptrdiff_t row = nodes + there[std::size_t(i)];
        std::copy_n(small.h.begin() + std::ptrdiff_t{i} * 8, 8, h.begin() + row * 8);
        std::copy_n(small.d_x.begin() + std::ptrdiff_t{i} * 3, 3, d_x.begin() + row * 3);
        received[std::size_t(row)] = seen_small[std::size_t(i)];
      }
      CHECK(same_bits(net.h, h));
      CHECK(same_bits(net.d_x, d_x));
      CHECK(same_bits(seen, received));
      // The whole pool's gradient first, then that of the few, as two calls add them.
      whole.encoder.forward(whole.p.data(), view(std::as_const(whole.x), nodes), whole.work,
                            view(whole.h, nodes));
      std::vector<float> sum(net.p.size());
      for (Net<float>* each : {&whole, &small})
        each->encoder.backward(each->p.data(), view(std::as_const(each->c), each->rows), each->work,
                               sum.data(), {});
      CHECK(same_bits(net.d_p, sum));
    }
}

TEST_CASE("received: rows sum to 1 at 1, 31, 32, 33, 1000 nodes, of every kind and control") {
  for (const Form form : kForms)
    for (const Weights weights : kWeights) {
      if (form == Form::none && weights != Weights::dynamic) continue;
      for (const int nodes : {1, 31, 32, 33, 1000}) {
        // Tables of 1000 nodes take seconds to draw, and are no other code than those of 33.
        if (nodes == 1000 && weights != Weights::dynamic) continue;
        Shape s = shape_of_form(form, 3, 8, 2, 1);
        s.weights = weights;
        if (weights == Weights::average) s.nodes = nodes;
        Net<float> net(s, 2, nodes, 13);
        std::vector<float> seen(static_cast<std::size_t>(net.rows));
        net.present.assign(seen.size(), 1);
        if (nodes > 1) net.present[std::size_t(nodes)] = 0;  // of the second environment
        net.forward();
        net.encoder.received(net.work, view(seen, 2));
        CAPTURE(name_of(form));
        CAPTURE(name_of(weights));
        CAPTURE(nodes);
        for (int e = 0; e < 2; ++e) {
          const auto first = seen.begin() + std::int64_t{e} * nodes;
          const double sum = std::accumulate(first, first + nodes, 0.0);
          // Each weight is a quotient by a sum of `nodes` roundings, twice with points; the mean
          // rounds once more for every head.
          CHECK(std::abs(sum - 1) <= (2 * nodes + 8) * 0x1.0p-24);
          CHECK(std::all_of(first, first + nodes, [](float a) { return a >= 0; }));
        }
        if (nodes > 1) CHECK(seen[std::size_t(nodes)] == 0.f);
        if (form == Form::none && nodes == 33) CHECK(seen[0] == 1.f / 33);
      }
    }
}

TEST_CASE("float: as close to double as its roundings allow, of every kind, at 1, 32, 33, 1000") {
  for (const Form form : kForms)
    for (const int nodes : {1, 32, 33, 1000}) {
      Shape s = shape_of_form(form, 9, 16, 2, 1);
      if (nodes == 1000) s = shape_of_form(form, 9, 8, 2, 1);
      Net<double> exact(s, 1, nodes, 15);
      Net<float> net(s, 1, nodes, 15);
      exact.forward();
      exact.backward();
      net.forward();
      net.backward();
      const auto error = [](const std::vector<float>& a, const std::vector<double>& b) {
        double difference = 0, top = 0;
        for (std::size_t i = 0; i < b.size(); ++i) {
          difference = std::max(difference, std::abs(double{a[i]} - b[i]));
          top = std::max(top, std::abs(b[i]));
        }
        return difference / top;
      };
      // As in test_attention.cpp: two tanh and twelve sums over d where that has two and ten, for
      // additive scores and for points; sums over points are shorter than those over nodes.
      const double path = 9 + 14 * 16 + 8 + 2 * nodes + 4 * 7 + 4 * 2 * 16;
      CAPTURE(name_of(form));
      CAPTURE(nodes);
      CHECK(error(net.h, exact.h) <= 2 * std::sqrt(path) * 0x1.0p-24);
      CHECK(error(net.d_x, exact.d_x) <= 2 * std::sqrt(2 * path) * 0x1.0p-24);
      CHECK(error(net.d_p, exact.d_p) <= 2 * std::sqrt(2 * path) * 0x1.0p-24);
    }
}

TEST_CASE("weights serve another number of nodes: the same block, and the same pool twice over") {
  // Every node has a twin: the softmax halves each weight and meets each value twice, so the
  // embeddings are those of the pool without twins.
  for (const Form form : kForms) {
    const Shape s = shape_of_form(form, 3, 8, 2, 2);
    Net<double> small(s, 1, 5, 31), large(s, 1, 10, 31);
    CHECK(large.p == small.p);
    for (std::size_t n = 0; n < 10; ++n)
      std::copy_n(small.x.begin() + std::ptrdiff_t(n / 2) * 3, 3,
                  large.x.begin() + std::ptrdiff_t(n) * 3);
    small.forward();
    large.forward();
    double worst = 0;
    for (std::size_t n = 0; n < 10; ++n)
      for (std::size_t k = 0; k < 8; ++k)
        worst = std::max(worst, std::abs(large.h[n * 8 + k] - small.h[n / 2 * 8 + k]));
    CAPTURE(name_of(form));
    CHECK(worst <= 1e-12);
  }
}

TEST_CASE("dot is multihead with one head, to the bit") {
  const Shape dot = shape_of_form(Form::dot, 3, 8, 1, 2);
  Shape multihead = dot;
  multihead.form = Form::multihead;
  Net<float> one(dot, 2, 9, 4), other(multihead, 2, 9, 4);
  for (Net<float>* each : {&one, &other}) {
    each->forward();
    each->backward();
  }
  CHECK(same_bits(one.h, other.h));
  CHECK(same_bits(one.d_p, other.d_p));
}

TEST_CASE("none: every node sees the mean of all, of those that are there") {
  Net<double> net(shape_of_form(Form::none, 3, 8, 2, 1), 2, 4, 5);
  remove_some(net);
  net.forward();
  const auto& layer = net.work.layers[0];
  // Rows 0 to 2 are of the first environment, row 3 of the second.
  for (std::size_t k = 0; k < 8; ++k) {
    const auto& y = layer.norm1.y;
    const double mean = (y[k] + y[8 + k] + y[16 + k]) / 3;
    for (std::size_t n = 0; n < 3; ++n)
      CHECK(layer.mixed[n * 8 + k] == doctest::Approx(mean).epsilon(1e-14));
    CHECK(layer.mixed[24 + k] == y[24 + k]);
  }
}

TEST_CASE("induced: with one point all nodes see the same; weights grow with N, not with N^2") {
  Shape s = shape_of_form(Form::induced, 3, 8, 2, 1);
  s.points = 1;
  Net<double> net(s, 1, 6, 6);
  net.forward();
  const std::vector<double>& mixed = net.work.layers[0].mixed;
  for (std::size_t n = 1; n < 6; ++n)
    for (std::size_t k = 0; k < 8; ++k) CHECK(mixed[n * 8 + k] == mixed[k]);
  CHECK(attention::weight_count(s, 2000) == 2 * attention::weight_count(s, 1000));
  s = shape_of_form(Form::multihead, 3, 8, 2, 1);
  CHECK(attention::weight_count(s, 2000) == 4 * attention::weight_count(s, 1000));
}
