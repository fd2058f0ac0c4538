#include "tools/engine_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "sim/rng.h"

namespace cra::tools {
namespace {

using attention::Form;
using attention::Positions;
using attention::Shape;
using attention::Weights;

std::vector<float> normals(std::int64_t count, int which) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = static_cast<float>(
        Draws(1, EpisodeSet::training, 0, Stream::exploration, which, i).normal());
  return values;
}

Shape shape(Form form, int features, int width, int heads, int layers) {
  Shape s;
  s.form = form;
  s.features = features;
  s.width = width;
  s.heads = heads;
  s.layers = layers;
  if (form == Form::induced) s.points = 7;
  return s;
}
Shape controlled(Shape s, Weights weights, int nodes) {
  s.weights = weights;
  if (weights == Weights::average)
    s.nodes = nodes;
  else
    s.seed = 5;
  return s;
}

/// A batch, and room for what an engine makes of it.
struct Work {
  explicit Work(const EngineCase& c)
      : rows(c.environments * c.nodes),
        parameters(parameters_of(c)),
        x(normals(rows * c.shape.features, 1)),
        d_h(normals(rows * c.shape.width, 2)) {
    if (!c.removed) return;
    present.assign(static_cast<std::size_t>(rows), 1);
    // Two of five, and of several environments the second as a whole.
    for (std::int64_t i = 0; i < rows; ++i)
      if (i * 7919 % 5 < 2 || (c.environments > 1 && i / c.nodes == 1))
        present[static_cast<std::size_t>(i)] = 0;
  }

  static std::vector<float> parameters_of(const EngineCase& c) {
    std::vector<float> p = attention::initial_parameters(c.shape, 1);
    const std::vector<float> moves = normals(static_cast<std::int64_t>(p.size()), 0);
    // Weights as training begins with them; biases and gains moved, so that none is 0 or 1.
    for (const Tensor& t : attention::layout(c.shape))
      for (std::int64_t k = t.offset; t.rows == 1 && k < t.offset + t.cols; ++k)
        p[static_cast<std::size_t>(k)] += 0.1f * moves[static_cast<std::size_t>(k)];
    if (c.shape.weights == Weights::average) {
      // Any positive numbers will do, their sums make them weights.
      std::vector<double> sum(static_cast<std::size_t>(attention::weight_count(c.shape, c.nodes)));
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = 1 + std::sin(double(i)) / 2;
      const Tensor frozen = attention::layout(c.shape).back();
      std::fill(p.begin() + frozen.offset - std::ssize(sum), p.end(), 0.f);
      attention::freeze(c.shape, sum, p);
    }
    return p;
  }
  using Tensor = attention::Tensor;

  std::int64_t rows;
  std::vector<float> parameters, x, d_h;
  std::vector<std::uint8_t> present;  ///< empty: all are there
};

struct Made {
  std::vector<float> h, received, gradient, d_x;
  std::vector<double> weights;
};

Made run(const attention::Engine& engine, const EngineCase& c, const Work& work,
         attention::Cache& cache) {
  const Shape& s = c.shape;
  Made m;
  m.h.resize(work.d_h.size());
  m.received.resize(static_cast<std::size_t>(work.rows));
  m.gradient.resize(work.parameters.size());
  m.d_x.resize(work.x.size());
  View<const std::uint8_t> present;
  if (c.removed) present = {work.present.data(), c.environments, c.nodes};
  engine.forward(work.parameters, {work.x.data(), work.rows, s.features}, c.nodes, cache,
                 {m.h.data(), work.rows, s.width}, present);
  engine.received(cache, {m.received.data(), c.environments, c.nodes});
  if (s.form != Form::none && !c.removed) {
    m.weights.resize(static_cast<std::size_t>(attention::weight_count(s, c.nodes)));
    engine.add_weights(cache, m.weights);
  }
  engine.backward(work.parameters, {work.d_h.data(), work.rows, s.width}, cache, m.gradient,
                  {m.d_x.data(), work.rows, s.features});
  return m;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(double(v)));
  return most;
}

double error_of(std::span<const float> exact, std::span<const float> other, double scale) {
  double most = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double off = std::abs(double(exact[i]) - double(other[i]));
    if (!(off <= std::numeric_limits<double>::max()))
      return std::numeric_limits<double>::infinity();
    most = std::max(most, off);
  }
  return most == 0 ? 0 : most / scale;
}

constexpr double kSmall = 0.1;  // see ArrayError

double error_by_rows(std::span<const float> exact, std::span<const float> other, std::size_t cols) {
  double most = 0;
  for (std::size_t at = 0; at < exact.size(); at += cols) {
    const auto row = exact.subspan(at, cols);
    most = std::max(most, error_of(row, other.subspan(at, cols), largest(row)));
  }
  return most;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

std::string EngineCase::text() const {
  const auto counted = [](std::int64_t n, const std::string& what) {
    return ", " + std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  std::string t = Choices<Form>::names[static_cast<std::size_t>(shape.form)];
  if (shape.weights != Weights::dynamic)
    t += std::string(", ") + Choices<Weights>::names[static_cast<std::size_t>(shape.weights)];
  t += ", width " + std::to_string(shape.width) + counted(shape.heads, "head") +
       counted(shape.layers, "layer");
  if (shape.points > 0) t += counted(shape.points, "point");
  if (shape.positions != Positions::none) t += ", positions";
  t += counted(nodes, "node") + counted(environments, "environment");
  return removed ? t + ", some removed" : t;
}

std::vector<EngineCase> engine_cases(bool large) {
  std::vector<Shape> shapes{
      shape(Form::multihead, 5, 16, 2, 1), shape(Form::multihead, 16, 64, 4, 2),
      shape(Form::multihead, 3, 48, 2, 1), shape(Form::multihead, 9, 32, 1, 1),
      shape(Form::multihead, 3, 10, 5, 1), shape(Form::multihead, 6, 20, 2, 2),
      shape(Form::multihead, 6, 64, 8, 1), shape(Form::dot, 6, 24, 1, 1),
      shape(Form::dot, 6, 64, 1, 1),       shape(Form::dot, 6, 72, 1, 1),
      shape(Form::additive, 5, 20, 1, 2),  shape(Form::induced, 5, 20, 2, 2),
      shape(Form::induced, 5, 64, 4, 1),   shape(Form::none, 5, 20, 1, 2)};
  for (const int heads : {5, 6, 7})  // head widths of 40, 48, 56
    shapes.push_back(shape(Form::dot, 4, 8 * heads, 1, 1));
  shapes[0].temperature = 0.5;
  shapes[1].positions = Positions::sinusoidal;
  shapes[4].positions = Positions::sinusoidal;
  shapes.back().temperature = 2;

  std::vector<int> sizes{1, 17, 33};
  if (large) sizes = {1, 2, 16, 17, 31, 32, 33, 64, 65, 100, 129, 256, 257, 600};
  std::vector<EngineCase> cases;
  for (const Shape& s : shapes)
    for (const int n : sizes) {
      const std::int64_t envs = large ? 4096 / n + 3 : 40 / n + 2;
      cases.push_back({s, n, envs, false});
      cases.push_back({s, n, envs, true});
    }
  const int n = 12;
  for (const Form form : {Form::multihead, Form::additive, Form::induced})
    for (const Weights weights : {Weights::random, Weights::shuffled, Weights::average}) {
      const int heads = form == Form::additive ? 1 : 2;
      const Shape s = controlled(shape(form, 5, 20, heads, 2), weights, n);
      for (const bool removed : {false, true}) cases.push_back({s, n, large ? 300 : 4, removed});
    }
  // More than a block of threads holds, and than 65,535 units.
  cases.push_back({shape(Form::multihead, 4, 16, 2, 1), large ? 1500 : 530, 1, false});
  cases.push_back({shape(Form::multihead, 7, 64, 2, 1), 200, large ? 60 : 1, true});
  if (large) cases.push_back({shape(Form::multihead, 4, 16, 2, 1), 3, 40000, false});
  return cases;
}

std::vector<ArrayError> compare_engines(const attention::Engine& exact,
                                        const attention::Engine& other, const EngineCase& c) {
  const Work work(c);
  const auto exact_cache = exact.make_cache(c.environments, c.nodes);
  // Room for more than the batch: rows of an earlier, larger batch must do no harm.
  const auto cache = other.make_cache(c.environments + 1, c.nodes);
  const Made want = run(exact, c, work, *exact_cache), got = run(other, c, work, *cache);
  std::vector<ArrayError> errors;
  const auto cols = [](int n) { return static_cast<std::size_t>(n); };
  errors.push_back({"embedding", error_by_rows(want.h, got.h, cols(c.shape.width))});
  errors.push_back({"received", error_by_rows(want.received, got.received, cols(c.nodes))});
  if (!want.weights.empty()) {
    const std::vector<float> a(want.weights.begin(), want.weights.end());
    const std::vector<float> b(got.weights.begin(), got.weights.end());
    errors.push_back({"weights", error_of(a, b, largest(a))});
  }
  errors.push_back({"by features", error_of(want.d_x, got.d_x, largest(want.d_x)), true});
  const double all = largest(want.gradient);
  for (const attention::Tensor& t : attention::layout(c.shape)) {
    const auto part = [&](const std::vector<float>& from) {
      return std::span<const float>(from).subspan(
          static_cast<std::size_t>(t.offset),
          static_cast<std::size_t>(t.rows) * static_cast<std::size_t>(t.cols));
    };
    const auto exact_part = part(want.gradient);
    std::string name = t.name;
    if (name.starts_with("layer")) name.erase(0, name.find('.') + 1);
    errors.push_back(
        {"by " + name,
         error_of(exact_part, part(got.gradient), std::max(largest(exact_part), kSmall * all)),
         true});
  }
  return errors;
}

bool repeats(const attention::Engine& engine, const EngineCase& c) {
  const Work work(c);
  const auto one = engine.make_cache(c.environments, c.nodes);
  const auto two = engine.make_cache(c.environments + 1, c.nodes);
  const Made first = run(engine, c, work, *one), again = run(engine, c, work, *one);
  const Made other = run(engine, c, work, *two);
  const auto alike = [&](const Made& m) {
    return same(first.h, m.h) && same(first.gradient, m.gradient) && same(first.d_x, m.d_x) &&
           same(first.received, m.received) && first.weights == m.weights;
  };
  return alike(again) && alike(other);
}

std::vector<cuda::CoreShape> core_shapes(bool large) {
  std::vector<cuda::CoreShape> shapes;
  const std::vector<int> sizes =
      large ? std::vector<int>{1, 7, 16, 17, 31, 32, 33, 64, 100, 128, 129, 256, 512, 777, 1500}
            : std::vector<int>{1, 17, 33, 100};
  for (int size = 8; size <= 64; size += 8)
    for (const int n : sizes) shapes.push_back({(large ? 2000 : 50) / n + 1, n, 3, size});
  if (large) shapes.push_back({70000, 5, 2, 16});
  return shapes;
}

namespace {

/// One head of one environment in double, from rows [N, 3, H, size].
struct PlainHead {
  PlainHead(std::span<const float> qkv, std::span<const float> d_out, const cuda::CoreShape& s,
            std::int64_t e, int h)
      : n(s.nodes), size(s.size) {
    const std::int64_t width = std::int64_t{s.heads} * size, at = h * std::int64_t{size};
    const auto rows = [&](std::span<const float> from, std::int64_t stride, std::int64_t col) {
      std::vector<double> r;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < size; ++k)
          r.push_back(double(from[static_cast<std::size_t>((e * n + i) * stride + col + k)]));
      return r;
    };
    q = rows(qkv, 3 * width, at);
    k = rows(qkv, 3 * width, width + at);
    v = rows(qkv, 3 * width, 2 * width + at);
    g = rows(d_out, width, at);
    out.assign(q.size(), 0);
    d_q = d_k = d_v = out;
    const double scale = 1 / std::sqrt(double(size));
    std::vector<double> a(static_cast<std::size_t>(n)), d(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      double most = -std::numeric_limits<double>::infinity(), sum = 0, mean = 0;
      for (std::size_t j = 0; j < a.size(); ++j)
        most = std::max(most, a[j] = scale * dot(q, i, k, j));
      for (double& x : a) sum += x = std::exp(x - most);
      for (std::size_t j = 0; j < a.size(); ++j) {
        a[j] /= sum;
        d[j] = dot(g, i, v, j);
        mean += a[j] * d[j];
      }
      for (std::size_t j = 0; j < a.size(); ++j) {
        add(out, i, a[j], v, j);
        add(d_v, j, a[j], g, i);
        add(d_q, i, scale * a[j] * (d[j] - mean), k, j);
        add(d_k, j, scale * a[j] * (d[j] - mean), q, i);
      }
    }
  }
  double dot(const std::vector<double>& a, std::size_t i, const std::vector<double>& b,
             std::size_t j) const {
    double sum = 0;
    for (std::size_t c = 0; c < static_cast<std::size_t>(size); ++c)
      sum += a[i * static_cast<std::size_t>(size) + c] * b[j * static_cast<std::size_t>(size) + c];
    return sum;
  }
  void add(std::vector<double>& to, std::size_t i, double by, const std::vector<double>& from,
           std::size_t j) const {
    for (std::size_t c = 0; c < static_cast<std::size_t>(size); ++c)
      to[i * static_cast<std::size_t>(size) + c] +=
          by * from[j * static_cast<std::size_t>(size) + c];
  }
  std::int64_t n, size;
  std::vector<double> q, k, v, g, out, d_q, d_k, d_v;
};

/// \param d_qkv  may be empty, and d_out then too: nothing came back
std::vector<ArrayError> core_errors(const cuda::CoreShape& s, std::span<const float> qkv,
                                    std::span<const float> d_out, std::span<const float> out,
                                    std::span<const float> d_qkv) {
  const std::int64_t width = std::int64_t{s.heads} * s.size;
  const std::vector<float> none(d_out.empty() ? out.size() : 0);
  if (d_out.empty()) d_out = none;
  std::vector<ArrayError> errors{{"core", 0, false},
                                 {"core by queries", 0, true},
                                 {"core by keys", 0, true},
                                 {"core by values", 0, true}};
  for (std::int64_t e = 0; e < s.environments; ++e)
    for (int h = 0; h < s.heads; ++h) {
      const PlainHead plain(qkv, d_out, s, e, h);
      const auto check = [&](std::size_t which, const std::vector<double>& want,
                             std::span<const float> got, std::int64_t stride, std::int64_t col) {
        const std::vector<float> a(want.begin(), want.end());
        std::vector<float> b;
        for (std::int64_t i = 0; i < s.nodes; ++i)
          for (std::int64_t c = 0; c < s.size; ++c)
            b.push_back(got[static_cast<std::size_t>((e * s.nodes + i) * stride + col + c)]);
        // One node alone has no gradient by its score: what is left is the rounding of numbers
        // about 1.
        const double error = which == 0 ? error_by_rows(a, b, static_cast<std::size_t>(s.size))
                                        : error_of(a, b, s.nodes == 1 ? 1 : largest(a));
        errors[which].error = std::max(errors[which].error, error);
      };
      const std::int64_t at = std::int64_t{h} * s.size;
      check(0, plain.out, out, width, at);
      if (d_qkv.empty()) continue;
      check(1, plain.d_q, d_qkv, 3 * width, at);
      check(2, plain.d_k, d_qkv, 3 * width, width + at);
      check(3, plain.d_v, d_qkv, 3 * width, 2 * width + at);
    }
  return errors;
}

}  // namespace

std::vector<ArrayError> compare_core(cuda::Core& core, const cuda::CoreShape& s,
                                     cuda::Precision precision) {
  const std::int64_t width = std::int64_t{s.heads} * s.size, rows = s.environments * s.nodes;
  std::vector<float> qkv = normals(rows * 3 * width, 3), d_out = normals(rows * width, 4);
  if (precision == cuda::Precision::bf16)
    for (auto* values : {&qkv, &d_out})
      for (float& v : *values) v = cuda::rounded_to_bf16(v);
  core.set(qkv, d_out);
  core.forward();
  core.backward();
  return core_errors(s, qkv, d_out, core.out(), core.d_qkv());
}

double error_of(const cuda::BenchRow& r) {
  if (r.layers == 0) {
    double most = 0;
    const cuda::CoreShape s{1, r.nodes, r.heads, r.width / r.heads};
    for (const ArrayError& e : core_errors(s, r.in, r.d_out, r.out, r.d_in))
      most = std::max(most, e.error);
    return most;
  }
  const Shape s = cuda::bench_shape();
  const auto exact = attention::make_exact_engine(s);
  const auto cache = exact->make_cache(1, r.nodes);
  std::vector<float> h(r.out.size());
  exact->forward(attention::initial_parameters(s, 1), {r.in.data(), r.nodes, s.features}, r.nodes,
                 *cache, {h.data(), r.nodes, s.width}, {});
  return error_by_rows(h, r.out, static_cast<std::size_t>(s.width));
}

namespace {

/// Half a unit in the last place of numbers about 1.
double rounding(cuda::Precision precision) {
  switch (precision) {
    case cuda::Precision::tf32:
      return 0x1p-12;
    case cuda::Precision::bf16:
      return 0x1p-9;
    default:
      return 0x1p-22;
  }
}

}  // namespace

double allowed_of_core(cuda::Precision precision) {
  switch (precision) {
    case cuda::Precision::tf32:
      return 2e-2 / 8;  // three bits more than bf16
    case cuda::Precision::bf16:
      return 2e-2;
    default:
      return 1e-5;
  }
}

double allowed_of_encoder(cuda::Precision precision, bool gradient) {
  const double places = gradient ? 40 : 20;
  return std::min(places * rounding(precision), precision == cuda::Precision::fp32 ? 1e-5 : 1.0);
}

}  // namespace cra::tools
