#include "attention/encoder.h"

#include <algorithm>
#include <cmath>

#include "attention/heads.h"
#include "attention/lanes.h"
#include "attention/product.h"

namespace cra::attention {
namespace {

const Tensor& find(const std::vector<Tensor>& tensors, const std::string& name) {
  const auto at =
      std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  CRA_CHECK(at != tensors.end(), "attention: no tensor " + name);
  return *at;
}

template <class T>
std::vector<T> zeros(std::int64_t rows, std::int64_t cols) {
  return std::vector<T>(static_cast<std::size_t>(rows * cols));
}

template <class T>
void apply_tanh(T* x, std::int64_t size) {
  using V = typename Lanes<T>::Vector;
  constexpr std::int64_t count = Lanes<T>::count;
  std::int64_t i = 0;
  for (; i + count <= size; i += count) store(x + i, hyperbolic_tangent(load<V>(x + i)));
  if (i < size) {
    T rest[count] = {};
    std::copy(x + i, x + size, rest);
    store(rest, hyperbolic_tangent(load<V>(rest)));
    std::copy(rest, rest + (size - i), x + i);
  }
}

// Gradient through y = tanh(x), in place: d_x = (1 - y^2) d_y.
template <class T>
void tanh_backward(const T* y, std::int64_t size, T* d) {
  for (std::int64_t i = 0; i < size; ++i) d[i] *= T{1} - y[i] * y[i];
}

// y = x W^T + b, or y += that. W is transposed first: rows of B must be contiguous in product.h.
template <class T, class Linear>
void linear_forward(const Linear& l, const T* parameters, const T* x, std::int64_t rows,
                    Workspace<T>& w, T* y, Into into) {
  const T* const weight = parameters + l.weight;
  T* const turned = w.turned.data();
  for (int o = 0; o < l.outputs; ++o)
    for (int i = 0; i < l.inputs; ++i)
      turned[std::int64_t{i} * l.outputs + o] = weight[std::int64_t{o} * l.inputs + i];
  multiply<T>({x, l.inputs, 1}, turned, l.outputs, y, l.outputs, rows, l.inputs, l.outputs,
              l.bias < 0 ? nullptr : parameters + l.bias, into);
}

// d_W += d_y^T x and d_b += sum d_y, one environment after the other; d_x = d_y W unless d_x is
// null. Each environment is summed by itself first: whoever shares the call, it adds the same bits.
template <class T, class Linear>
void linear_backward(const Linear& l, const T* parameters, const T* x, const T* d_y,
                     Workspace<T>& w, T* d_parameters, T* d_x) {
  const std::int64_t nodes = w.nodes;
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const T* const d = d_y + e * nodes * l.outputs;
    multiply<T>({d, 1, l.outputs}, x + e * nodes * l.inputs, l.inputs, d_parameters + l.weight,
                l.inputs, l.outputs, nodes, l.inputs, nullptr, Into::add);
    if (l.bias < 0) continue;
    T* const sum = w.sums.data();
    std::copy(d, d + l.outputs, sum);
    for (std::int64_t n = 1; n < nodes; ++n)
      for (int o = 0; o < l.outputs; ++o) sum[o] += d[n * l.outputs + o];
    for (int o = 0; o < l.outputs; ++o) d_parameters[l.bias + o] += sum[o];
  }
  if (d_x != nullptr)
    multiply<T>({d_y, l.outputs, 1}, parameters + l.weight, l.inputs, d_x, l.inputs, w.envs * nodes,
                l.outputs, l.inputs, nullptr, Into::overwrite);
}

// The part of one head in rows of [queries, keys, values], each `width` long.
template <class T>
Head<T> head_of(T* rows, int nodes, int width, int size, int h) {
  T* const first = rows + h * size;
  return {first, first + width, first + 2 * width, 3 * std::int64_t{width}, nodes, size};
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const Shape& s, std::int64_t room, int n) : nodes(n) {
  const std::int64_t rows = room * n, d = s.width, wide = padded<T>(n);
  const auto normed = [&] {
    return Normed<T>{zeros<T>(rows, d), zeros<T>(rows, 1), zeros<T>(rows, d)};
  };
  // The weights first: they are what may not fit.
  layers.resize(static_cast<std::size_t>(s.layers));
  for (Layer& layer : layers) layer.weights = zeros<T>(rows * s.heads, wide);
  for (Layer& layer : layers) {
    layer.norm1 = normed();
    layer.norm2 = normed();
    layer.qkv = zeros<T>(rows, 3 * d);
    layer.mixed = zeros<T>(rows, d);
    layer.hidden = zeros<T>(rows, s.mlp_width());
  }
  x = zeros<T>(rows, s.features);
  hidden = zeros<T>(rows, d);
  last = normed();
  stream = zeros<T>(rows, d);
  d_wide = zeros<T>(rows, 3 * d);
  d_narrow = zeros<T>(rows, d);
  turned = zeros<T>(3 * d, std::max<std::int64_t>(d, s.features));
  head = zeros<T>(n + s.head_width(), wide);
  sums = zeros<T>(3 * d, 1);
}

template <class T>
Encoder<T>::Encoder(const Shape& shape) : shape_(shape) {
  const std::vector<Tensor> tensors = layout(shape);
  const auto linear = [&](const std::string& name) {
    const Tensor& weight = find(tensors, name + ".weight");
    return Linear{weight.offset, find(tensors, name + ".bias").offset, weight.cols, weight.rows};
  };
  const auto norm = [&](const std::string& name) {
    return Norm{find(tensors, name + ".gain").offset, find(tensors, name + ".bias").offset};
  };
  embed0_ = linear("embed.0");
  embed1_ = linear("embed.1");
  for (int l = 0; l < shape.layers; ++l) {
    const std::string name = "layer" + std::to_string(l);
    const std::int64_t query = find(tensors, name + ".query.weight").offset;
    const std::int64_t square = std::int64_t{shape.width} * shape.width;
    CRA_ASSERT(find(tensors, name + ".key.weight").offset == query + square);
    CRA_ASSERT(find(tensors, name + ".value.weight").offset == query + 2 * square);
    layers_.push_back({norm(name + ".norm1"), norm(name + ".norm2"),
                       Linear{query, -1, shape.width, 3 * shape.width}, linear(name + ".out"),
                       linear(name + ".mlp.0"), linear(name + ".mlp.1")});
    static_cast<void>(square);
  }
  last_ = norm("norm");
}

template <class T>
T Encoder<T>::score_scale() const {
  return static_cast<T>(1 / (shape_.temperature * std::sqrt(double(shape_.head_width()))));
}

template <class T>
void Encoder<T>::norm_forward(const Norm& n, const T* parameters, Workspace<T>& w,
                              Normed<T>& out) const {
  layer_norm(w.stream.data(), w.envs * w.nodes, shape_.width, parameters + n.gain,
             parameters + n.bias, out.unit.data(), out.inverse_std.data(), out.y.data());
}

template <class T>
void Encoder<T>::norm_backward(const Norm& n, const T* parameters, const T* d_y,
                               const Normed<T>& held, Workspace<T>& w, T* d_parameters) const {
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = e * w.nodes, at = row * shape_.width;
    layer_norm_backward(d_y + at, w.nodes, shape_.width, parameters + n.gain, held.unit.data() + at,
                        held.inverse_std.data() + row, w.sums.data(), w.stream.data() + at,
                        d_parameters + n.gain, d_parameters + n.bias);
  }
}

template <class T>
void Encoder<T>::forward(const T* parameters, View<const T> x, Workspace<T>& w, View<T> h) const {
  const int nodes = w.nodes, d = shape_.width, size = shape_.head_width();
  const std::int64_t rows = x.rows, block = std::int64_t{nodes} * padded<T>(nodes);
  w.envs = rows / nodes;
  std::copy(x.data, x.data + x.size(), w.x.data());

  linear_forward(embed0_, parameters, w.x.data(), rows, w, w.hidden.data(), Into::overwrite);
  apply_tanh(w.hidden.data(), rows * d);
  linear_forward(embed1_, parameters, w.hidden.data(), rows, w, w.stream.data(), Into::overwrite);

  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    auto& held = w.layers[l];
    norm_forward(layer.norm1, parameters, w, held.norm1);
    linear_forward(layer.qkv, parameters, held.norm1.y.data(), rows, w, held.qkv.data(),
                   Into::overwrite);
    for (std::int64_t e = 0; e < w.envs; ++e) {
      const T* const qkv = held.qkv.data() + e * nodes * 3 * d;
      for (int i = 0; i < shape_.heads; ++i) {
        const Head<const T> head = head_of(qkv, nodes, d, size, i);
        T* const a = held.weights.data() + (e * shape_.heads + i) * block;
        attention_weights(head, score_scale(), w.head.data(), a);
        mix(head, a, held.mixed.data() + e * nodes * d + i * size, d);
      }
    }
    linear_forward(layer.out, parameters, held.mixed.data(), rows, w, w.stream.data(), Into::add);

    norm_forward(layer.norm2, parameters, w, held.norm2);
    linear_forward(layer.mlp0, parameters, held.norm2.y.data(), rows, w, held.hidden.data(),
                   Into::overwrite);
    apply_tanh(held.hidden.data(), rows * shape_.mlp_width());
    linear_forward(layer.mlp1, parameters, held.hidden.data(), rows, w, w.stream.data(), Into::add);
  }

  norm_forward(last_, parameters, w, w.last);
  std::copy(w.last.y.data(), w.last.y.data() + rows * d, h.data);
}

template <class T>
void Encoder<T>::backward(const T* parameters, View<const T> d_h, Workspace<T>& w, T* d_parameters,
                          View<T> d_x) const {
  const int nodes = w.nodes, d = shape_.width, size = shape_.head_width();
  const std::int64_t rows = w.envs * nodes, block = std::int64_t{nodes} * padded<T>(nodes);
  T* const d_stream = w.stream.data();
  T* const d_wide = w.d_wide.data();
  T* const d_narrow = w.d_narrow.data();

  // Every norm_backward adds to d_stream what flows past its branch.
  std::fill(d_stream, d_stream + rows * d, T{0});
  norm_backward(last_, parameters, d_h.data, w.last, w, d_parameters);

  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    const auto& held = w.layers[l];
    linear_backward(layer.mlp1, parameters, held.hidden.data(), d_stream, w, d_parameters, d_wide);
    tanh_backward(held.hidden.data(), rows * shape_.mlp_width(), d_wide);
    linear_backward(layer.mlp0, parameters, held.norm2.y.data(), d_wide, w, d_parameters, d_narrow);
    norm_backward(layer.norm2, parameters, d_narrow, held.norm2, w, d_parameters);

    linear_backward(layer.out, parameters, held.mixed.data(), d_stream, w, d_parameters, d_narrow);
    for (std::int64_t e = 0; e < w.envs; ++e) {
      const std::int64_t at = e * nodes * 3 * d;
      for (int i = 0; i < shape_.heads; ++i)
        attention_backward(head_of(held.qkv.data() + at, nodes, d, size, i), score_scale(),
                           held.weights.data() + (e * shape_.heads + i) * block,
                           d_narrow + e * nodes * d + i * size, d, w.head.data(),
                           head_of(d_wide + at, nodes, d, size, i));
    }
    linear_backward(layer.qkv, parameters, held.norm1.y.data(), d_wide, w, d_parameters, d_narrow);
    norm_backward(layer.norm1, parameters, d_narrow, held.norm1, w, d_parameters);
  }

  linear_backward(embed1_, parameters, w.hidden.data(), d_stream, w, d_parameters, d_narrow);
  tanh_backward(w.hidden.data(), rows * d, d_narrow);
  linear_backward(embed0_, parameters, w.x.data(), d_narrow, w, d_parameters, d_x.data);
}

template <class T>
void Encoder<T>::received(const Workspace<T>& w, View<T> out) const {
  const int nodes = w.nodes, heads = shape_.heads, wide = padded<T>(nodes);
  const std::vector<T>& weights = w.layers.back().weights;
  for (std::int64_t e = 0; e < w.envs; ++e)
    for (int j = 0; j < nodes; ++j) {
      // In double: the sum of up to 65536 floats would not add up to 1 any more.
      double sum = 0;
      for (int i = 0; i < heads; ++i) {
        const T* const row = weights.data() + ((e * heads + i) * nodes + j) * wide;
        for (int n = 0; n < nodes; ++n) sum += row[n];
      }
      out.row(e)[j] = static_cast<T>(sum / (double(heads) * nodes));
    }
}

template struct Workspace<float>;
template struct Workspace<double>;
template class Encoder<float>;
template class Encoder<double>;

}  // namespace cra::attention
