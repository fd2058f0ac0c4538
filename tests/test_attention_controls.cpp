// What takes the place of dynamic attention weights, codes of positions, and how they are
// described.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <set>

#include "attention/controls.h"
#include "attention/formulas.h"
#include "attention/heads.h"
#include "attention/lanes.h"
#include "tests/attention_nets.h"

using namespace nets;
using attention::Form;
using attention::Positions;
using attention::Weights;

namespace {

Shape controlled(Form form, Weights weights, int nodes) {
  Shape s = shape_of_form(form, 3, 8, 2, 2);
  s.weights = weights;
  if (weights == Weights::random || weights == Weights::shuffled) s.seed = 9;
  if (weights == Weights::average) s.nodes = nodes;
  return s;
}

/// A net of `like`'s shape but another source of weights, with `like`'s parameters and inputs.
Net<double> with_weights(const Net<double>& like, Weights weights) {
  Net<double> net(controlled(like.shape.form, weights, like.nodes), like.envs, like.nodes, 1);
  std::fill(net.p.begin(), net.p.end(), 0.0);  // averaged weights are not frozen
  const std::size_t shared = std::min(net.p.size(), like.p.size());
  std::copy_n(like.p.begin(), shared, net.p.begin());
  net.x = like.x;
  return net;
}

/// [weight_count] of a net's last pass, summed over its environments.
std::vector<double> weights_of(const Net<double>& net) {
  std::vector<double> sum(std::size_t(attention::weight_count(net.shape, net.nodes)));
  net.encoder.add_weights(net.work, sum.data());
  return sum;
}

/// Calls check(column) for the weights of every looker, [looked at].
template <class Check>
void for_each_looker(const Shape& s, int nodes, const std::vector<double>& weights, Check check) {
  for (const attention::Block& b : attention::blocks_of(s, nodes))
    for (int h = 0; h < s.heads; ++h)
      for (int i = 0; i < b.lookers; ++i) {
        std::vector<double> column;
        for (int j = 0; j < b.nodes; ++j)
          column.push_back(weights[std::size_t(b.offset + h * b.size_of_head() +
                                               std::int64_t{j} * b.lookers + i)]);
        check(column);
      }
}

constexpr Form kWithWeights[] = {Form::multihead, Form::dot, Form::additive, Form::induced};

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

TEST_CASE("shuffled: the dynamic weights of every looker, in another order; the same one always") {
  for (const Form form : kWithWeights) {
    // One layer: what a second sees depends on what the first made of it.
    Net<double> dynamic(shape_of_form(form, 3, 8, 2, 1), 1, 7, 2);
    Shape s = dynamic.shape;
    s.weights = Weights::shuffled;
    s.seed = 9;
    Net<double> net(s, 1, 7, 2);
    const std::vector<int> order = attention::shuffled_orders(s, 7);
    // With points, what the second softmax sees depends on the first, which is shuffled: only the
    // first can be compared.
    const std::size_t compared =
        form == Form::induced ? std::size_t(s.heads) * 7 * 3 : order.size();
    int moved = 0, lookers = 0;
    for (int input = 0; input < 2; ++input) {
      dynamic.forward();
      net.forward();
      std::vector<std::vector<double>> expected;
      for_each_looker(s, 7, weights_of(dynamic),
                      [&](const std::vector<double>& column) { expected.push_back(column); });
      std::size_t at = 0, looker = 0;
      for_each_looker(s, 7, weights_of(net), [&](const std::vector<double>& column) {
        if (at < compared)
          for (std::size_t t = 0; t < column.size(); ++t)
            CHECK(column[std::size_t(order[at + t])] == expected[looker][t]);
        moved += at < compared && column != expected[looker];
        lookers += at < compared;
        at += column.size();
        ++looker;
      });
      for (Net<double>* each : {&dynamic, &net})
        for (double& x : each->x) x = -1.5 * x;
    }
    CHECK(moved >= lookers - 2);  // of 7! or 3! orders one moves nothing
  }
}

TEST_CASE("shuffled: every order is a permutation, and places are as likely as others") {
  Shape s = shape_of_form(Form::multihead, 1, 4, 4, 3);
  s.weights = Weights::shuffled;
  s.seed = 1;
  const int nodes = 10;
  const std::vector<int> orders = attention::shuffled_orders(s, nodes);
  REQUIRE(orders.size() == 4 * 3 * 100);
  std::vector<int> first(nodes);
  for (std::size_t at = 0; at < orders.size(); at += nodes) {
    const std::set<int> all(orders.begin() + std::ptrdiff_t(at),
                            orders.begin() + std::ptrdiff_t(at) + nodes);
    CHECK(all.size() == nodes);
    CHECK(*all.begin() == 0);
    CHECK(*all.rbegin() == nodes - 1);
    ++first[std::size_t(orders[at])];
  }
  // 120 orders: 12 of each expected with a deviation of 3.3; five of these are allowed.
  for (const int count : first) CHECK(std::abs(count - 12) <= 16);
  s.seed = 2;
  CHECK(attention::shuffled_orders(s, nodes) != orders);
}

TEST_CASE(
    "random: weights do not depend on what is seen, but on the seed; of variance 1 as scores") {
  for (const Form form : kWithWeights) {
    Net<double> net(controlled(form, Weights::random, 6), 1, 6, 2);
    net.forward();
    const std::vector<double> before = weights_of(net);
    for (double& x : net.x) x += 1;
    net.forward();
    CHECK(weights_of(net) == before);
    net.shape.seed = 10;
    Net<double> other(net.shape, 1, 6, 2);
    other.forward();
    CHECK(weights_of(other) != before);
  }
  Shape s = shape_of_form(Form::multihead, 1, 8, 8, 2);
  s.weights = Weights::random;
  s.temperature = 0.5;
  const int nodes = 20;
  const std::vector<double> scores = attention::random_scores<double>(s, nodes);
  double sum = 0, square = 0;
  for (const double score : scores) {
    sum += score;
    square += score * score;
    CHECK(std::abs(score) <= 2 * std::sqrt(3.0));
  }
  const auto count = static_cast<double>(scores.size());
  CHECK(count == 2 * 8 * 400);
  // Mean 0 and, over a temperature of 1/2, variance 4; five standard errors (the square of a
  // uniform number has a deviation of 0.894 of its mean).
  CHECK(std::abs(sum / count) <= 5 * 2 / std::sqrt(count));
  CHECK(std::abs(square / count - 4) <= 5 * 4 * 0.894 / std::sqrt(count));
  // A pair of nodes keeps its score in a larger pool.
  const std::vector<double> large = attention::random_scores<double>(s, 30);
  for (std::size_t j = 0; j < 20; ++j)
    for (std::size_t i = 0; i < 20; ++i) CHECK(large[j * 30 + i] == scores[j * 20 + i]);
}

TEST_CASE("static: dynamic to the bit until frozen; then the average, whatever is seen") {
  for (const Form form : kWithWeights) {
    Net<double> dynamic(controlled(form, Weights::dynamic, 6), 5, 6, 2);
    Net<double> net = with_weights(dynamic, Weights::average);
    dynamic.forward();
    net.forward();
    CHECK(net.h == dynamic.h);
    const std::vector<double> sum = weights_of(net);

    std::vector<float> p(net.p.begin(), net.p.end());
    CHECK_FALSE(attention::is_frozen(net.shape, p));
    attention::freeze(net.shape, sum, p);
    CHECK(attention::is_frozen(net.shape, p));
    net.p.assign(p.begin(), p.end());
    for (double& x : net.x) x = 2 * x + 1;
    net.forward();
    const std::vector<double> frozen = weights_of(net);
    // Logarithms of up to about 10 are kept as floats: their rounding is relative to a weight. The
    // sum of five environments is compared with the sum of five equal passes.
    for (std::size_t i = 0; i < sum.size(); ++i)
      CHECK(std::abs(frozen[i] - sum[i]) <= 2 * 10 * 0x1.0p-24 * sum[i] + 1e-12);
  }
}

TEST_CASE("freeze: weights that were 0 all the time stay next to 0, and nothing becomes infinite") {
  Shape s = shape_of_form(Form::multihead, 1, 2, 1, 1);
  s.weights = Weights::average;
  s.nodes = 3;
  std::vector<float> p = parameters(s, 1);
  const std::vector<double> sum{2, 1, 0, /**/ 0, 1, 0, /**/ 0, 0, 5};
  attention::freeze(s, sum, p);
  Net<double> net(s, 1, 3, 1);
  net.p.assign(p.begin(), p.end());
  net.forward();
  const std::vector<double> weights = weights_of(net);
  const double expected[] = {1, .5, 0, 0, .5, 0, 0, 0, 1};
  for (std::size_t i = 0; i < 9; ++i) CHECK(std::abs(weights[i] - expected[i]) <= 1e-15);
  // Whoever an average knows may be removed: those that it does not know share alike.
  CHECK(std::all_of(p.begin(), p.end(), [](float v) { return std::isfinite(v); }));
  const std::vector<double> selfish{1, 0, 1, /**/ 0, 1, 0, /**/ 0, 0, 0};
  attention::freeze(s, selfish, p);
  net.p.assign(p.begin(), p.end());
  net.present = {0, 1, 1};
  net.forward();
  std::vector<double> seen(3);
  net.encoder.received(net.work, view(seen, 1));
  // The second looks at itself; the third, whose average is all the first's, at both alike.
  CHECK(seen[0] == 0);
  CHECK(seen[1] == doctest::Approx(0.75).epsilon(1e-12));
  CHECK(seen[2] == doctest::Approx(0.25).epsilon(1e-12));
  CHECK(message_of([&] { attention::freeze(s, std::vector<double>(9), p); }) ==
        "attention: there are no weights to freeze");
  CHECK(message_of([&] { attention::freeze(s, std::vector<double>(8), p); }) ==
        "attention: weights or parameters of another shape cannot be frozen");
  s.weights = Weights::dynamic;
  s.nodes = 0;
  CHECK(message_of([&] { attention::freeze(s, sum, p); }) ==
        "attention: only static weights can be frozen");
}

TEST_CASE("Engine::add_weights: adds up over calls, and says no where there is nothing to add") {
  const Shape s = shape_of_form(Form::induced, 3, 8, 2, 2);
  const auto engine = attention::make_cpu_engine(s);
  const auto cache = engine->make_cache(2, 5);
  const std::vector<float> p = parameters(s, 1), x = normals<float>(2 * 5 * 3, 1, 1);
  std::vector<float> h(2 * 5 * 8);
  std::vector<double> sum(std::size_t(attention::weight_count(s, 5)));
  CHECK(message_of([&] { engine->add_weights(*cache, sum); }) ==
        "attention: the cache holds no forward pass yet");
  engine->forward(p, view(x, 10), 5, *cache, view(h, 10));
  engine->add_weights(*cache, sum);
  engine->add_weights(*cache, sum);
  // Two environments, twice: what a looker gives away adds up to 4.
  for_each_looker(s, 5, sum, [](const std::vector<double>& column) {
    double all = 0;
    for (const double a : column) all += a;
    CHECK(std::abs(all - 4) <= 4 * 6 * 0x1.0p-24);
  });
  CHECK(message_of([&] { engine->add_weights(*cache, std::span(sum).first(3)); }) ==
        "attention: there are 120 weights, not 3");
  const std::vector<std::uint8_t> present(10, 1);
  engine->forward(p, view(x, 10), 5, *cache, view(h, 10), {present.data(), 2, 5});
  CHECK(message_of([&] { engine->add_weights(*cache, sum); }) ==
        "attention: weights of a pass with removed nodes do not add up");
  CHECK(message_of([&] {
          engine->forward(p, view(x, 10), 5, *cache, view(h, 10), {present.data(), 5, 2});
        }) == "attention: present is [5, 2], expected [2, 5]");

  const Shape none = shape_of_form(Form::none, 3, 8, 2, 2);
  const auto other = attention::make_cpu_engine(none);
  const auto other_cache = other->make_cache(2, 5);
  other->forward(parameters(none, 1), view(x, 10), 5, *other_cache, view(h, 10));
  CHECK(message_of([&] { other->add_weights(*other_cache, sum); }) ==
        "attention: without attention there are no weights to add");
}

TEST_CASE("position codes: sines and cosines of the C library, up to the last of 65536 nodes") {
  for (const int width : {2, 5, 16, 64}) {
    const std::vector<double> codes = attention::position_codes<double>(65536, width);
    double worst = 0;
    for (int n = 0; n < 65536; n += n < 100 ? 1 : 977)
      for (int k = 0; k < width; ++k) {
        const int pair = k / 2;
        const double angle = n * std::pow(10000.0, -2.0 * pair / width);
        const double right = k % 2 == 0 ? std::sin(angle) : std::cos(angle);
        worst = std::max(
            worst, std::abs(codes[std::size_t(n) * std::size_t(width) + std::size_t(k)] - right));
      }
    // 65536 turns of four roundings each, by an angle that is a sixteenth power of a number with
    // three: a hundredth of the rounding of a float.
    CHECK(worst <= 65536 * (4 + 16 * 3) * 0x1.0p-53);
  }
}

TEST_CASE("entropy: 0 for one, ln N for all alike, and by hand between") {
  const std::vector<float> one{0, 1, 0}, alike(50, 1.f / 50), three{.5f, .25f, .25f};
  CHECK(attention::entropy(one) == 0);
  CHECK(attention::entropy(alike) == doctest::Approx(std::log(50.0)).epsilon(1e-7));
  CHECK(attention::entropy(three) == doctest::Approx(1.5 * std::log(2.0)).epsilon(1e-12));
}

TEST_CASE("attention_map: its mean over heads and lookers is what was received, for every kind") {
  for (const attention::Form form : nets::kForms)
    for (const attention::Weights weights : nets::kWeights) {
      Shape s = nets::shape_of_form(form, 3, 8, 2, 2);
      if (form == attention::Form::none) {
        CHECK_THROWS_WITH_AS(attention::attention_map(s, 7, {}),
                             "attention: without attention there is no map of it", Error);
        continue;
      }
      s.weights = weights;
      if (weights == attention::Weights::random || weights == attention::Weights::shuffled)
        s.seed = 5;
      if (weights == attention::Weights::average) s.nodes = 7;
      CAPTURE(nets::name_of(form));
      CAPTURE(nets::name_of(weights));
      const auto engine = attention::make_cpu_engine(s);
      const auto cache = engine->make_cache(1, 7);
      const std::vector<float> p = nets::parameters(s, 3), x = nets::normals<float>(21, 3, 1);
      std::vector<float> h(56), seen(7);
      engine->forward(p, {x.data(), 7, 3}, 7, *cache, {h.data(), 7, 8});
      engine->received(*cache, {seen.data(), 1, 7});
      std::vector<double> all(static_cast<std::size_t>(attention::weight_count(s, 7)), 0.0);
      engine->add_weights(*cache, all);
      const std::vector<double> map = attention::attention_map(s, 7, all);
      const auto rows = static_cast<std::size_t>(s.heads) * 7;
      REQUIRE(map.size() == rows * 7);
      std::vector<double> mean(7, 0.0);
      // Weights are floats, of relative error 6e-8; a row sums seven of them or of their products.
      for (std::size_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (std::size_t j = 0; j < 7; ++j) {
          sum += map[r * 7 + j];
          mean[j] += map[r * 7 + j] / static_cast<double>(rows);
        }
        CHECK(sum == doctest::Approx(1).epsilon(1e-6));
      }
      for (std::size_t j = 0; j < 7; ++j)
        CHECK(mean[j] == doctest::Approx(static_cast<double>(seen[j])).epsilon(1e-6));
      CHECK_THROWS_AS(attention::attention_map(s, 6, all), Error);
    }
}

TEST_CASE("attention_map: lookers by hand, also through points") {
  const Shape direct{1, 2, 1, 1, 1};
  // Blocks are [looked at, looker].
  const std::vector<double> weights{.9, .2, .1, .8};
  CHECK(attention::attention_map(direct, 2, weights) == std::vector<double>{.9, .1, .2, .8});
  Shape induced = nets::shape_of_form(attention::Form::induced, 1, 2, 1, 1);
  induced.points = 2;
  // Points see the nodes as (1, 0) and (.25, .75); node 0 sees the first point alone, node 1 half
  // of each.
  const std::vector<double> through{1, .25, 0, .75, /**/ 1, .5, 0, .5};
  CHECK(attention::attention_map(induced, 2, through) == std::vector<double>{1, 0, .625, .375});
}

TEST_CASE("additive scores: closed form of two nodes and two lookers") {
  // Rows of query, key, value, of one number each; v = 2, scale = 1/2.
  const std::vector<double> qkv{.3, -.1, 0, /**/ -.4, .8, 0};
  const attention::Head<const double> head{qkv.data(), 3, qkv.data() + 1, qkv.data() + 2, 3, 2,
                                           2,          1};
  const int wide = attention::padded<double>(2);
  const double v = 2;
  std::vector<double> scratch(std::size_t(2 * wide)), a(std::size_t(2 * wide));
  attention::additive_scores(head, &v, 0.5, scratch.data(), a.data());
  const double expected[] = {std::tanh(.2), std::tanh(-.5), std::tanh(1.1), std::tanh(.4)};
  for (int j = 0; j < 2; ++j)
    for (int i = 0; i < 2; ++i)
      CHECK(std::abs(a[std::size_t(j * wide + i)] - expected[2 * j + i]) <= 1e-15);
}

TEST_CASE("shape_of: every kind and control; seeds and nodes only where they matter") {
  attention::Params p;
  p.width = 24;
  p.layers = 3;
  p.kind = attention::Dot{2};
  Shape s{11, 24, 1, 3, 2, Form::dot};
  CHECK(attention::shape_of(p, 11, 12, 13) == s);
  p.kind = attention::Additive{.5};
  s.form = Form::additive;
  s.temperature = .5;
  CHECK(attention::shape_of(p, 11, 12, 13) == s);
  p.weights = Weights::random;
  s.weights = Weights::random;
  s.seed = 13;
  CHECK(attention::shape_of(p, 11, 12, 13) == s);
  p.weights = s.weights = Weights::average;
  s.seed = 0;
  s.nodes = 12;
  CHECK(attention::shape_of(p, 11, 12, 13) == s);
  p.weights = s.weights = Weights::dynamic;
  s.nodes = 0;
  p.positions = s.positions = Positions::sinusoidal;
  p.kind = attention::Induced{4, 7, 3};
  s.form = Form::induced;
  s.heads = 4;
  s.points = 7;
  s.temperature = 3;
  CHECK(attention::shape_of(p, 11, 12, 13) == s);
  p.kind = attention::None{};
  CHECK(attention::shape_of(p, 11, 12, 13) ==
        Shape{11, 24, 1, 3, 1, Form::none, 0, Weights::dynamic, Positions::sinusoidal});
  CHECK(attention::check(p).empty());
  p.weights = Weights::shuffled;
  REQUIRE(attention::check(p).size() == 1);
  CHECK(attention::check(p)[0].path == "attention.weights");
  CHECK(attention::check(p)[0].text ==
        "is shuffled, but attention.kind is none, which has no weights");
}

TEST_CASE("fault_of: names what no encoder can have") {
  const auto fault = [](auto change) {
    Shape s = shape_of_form(Form::induced, 3, 8, 2, 1);
    change(s);
    return attention::fault_of(s);
  };
  CHECK(fault([](Shape&) {}).empty());
  CHECK(fault([](Shape& s) { s.points = 0; }) == "kind induced has 1 to 1024 points, not 0");
  CHECK(fault([](Shape& s) { s.points = 1025; }) == "kind induced has 1 to 1024 points, not 1025");
  CHECK(fault([](Shape& s) { s.form = Form::multihead; }) == "kind multihead has no points, not 3");
  CHECK(fault([](Shape& s) { s.form = Form::dot; }) == "kind dot has one head, not 2");
  CHECK(fault([](Shape& s) {
          s = shape_of_form(Form::none, 3, 8, 1, 1);
          s.weights = Weights::random;
        }) == "kind none has no weights");
  CHECK(fault([](Shape& s) { s.weights = Weights::average; }) ==
        "static weights, and only they, are those of a number of nodes, which is 0");
  CHECK(fault([](Shape& s) { s.nodes = 4; }) ==
        "static weights, and only they, are those of a number of nodes, which is 4");
  CHECK(fault([](Shape& s) { s.temperature = std::numeric_limits<double>::quiet_NaN(); }) ==
        "temperature is nan, expected above 0 and at most 1e6");
  CHECK(fault([](Shape& s) { s.layers = 65; }) ==
        "a shape of 65 layers, width 8, 2 heads and 0 nodes is beyond any machine");
  const auto engine = attention::make_cpu_engine(controlled(Form::multihead, Weights::average, 6));
  CHECK(message_of([&] { engine->make_cache(1, 7); }) ==
        "attention: static weights are those of 6 nodes, not of 7");
}

TEST_CASE("layout: tensors of every kind without gap or overlap, names unique") {
  for (const Form form : kForms)
    for (const Weights weights : kWeights) {
      if (form == Form::none && weights != Weights::dynamic) continue;
      const Shape s = controlled(form, weights, 5);
      std::set<std::string> names;
      std::int64_t next = 0;
      for (const attention::Tensor& t : attention::layout(s)) {
        CHECK(t.offset == next);
        next += std::int64_t{t.rows} * t.cols;
        CHECK(names.insert(t.name).second);
      }
      CHECK(attention::parameter_count(s) == next);
      // By hand: what every kind has, then what it has of its own in each of two layers.
      const std::int64_t d = 8, m = s.points;
      std::int64_t own = 0;
      if (form != Form::none) own += 3 * d * d;
      if (form == Form::additive) own += d;
      if (form == Form::induced) own += m * d + 2 * d + 2 * d * d;
      const std::int64_t shared = (4 * d + (d + 1) * d) + (d + 1) * 2 * d + (2 * d + 1) * d;
      std::int64_t count = 4 * d + (d + 1) * d + 2 * d + 2 * (shared + own);
      if (weights == Weights::average) count += attention::weight_count(s, 5) + 1;
      CHECK(next == count);
    }
}
