#include "attention/attend.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "attention/heads.h"

namespace cra::attention {
namespace {

// The part of one head in rows of [queries, keys, values], each `width` long, where lookers and
// those looked at are the same nodes.
template <class T>
Head<T> head_of(T* rows, int nodes, int width, int size, int h) {
  T* const first = rows + h * size;
  const std::int64_t stride = 3 * std::int64_t{width};
  return {first, stride, first + width, first + 2 * width, stride, nodes, nodes, size};
}

}  // namespace

const Tensor& find(const std::vector<Tensor>& tensors, const std::string& name) {
  const auto at =
      std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  CRA_CHECK(at != tensors.end(), "attention: no tensor " + name);
  return *at;
}

template <class T>
Attention<T>::Attention(const Shape& shape) : shape_(shape) {
  const std::vector<Tensor> tensors = layout(shape);
  // Square matrices that follow each other in the block, as one.
  const auto stacked = [&](const std::string& layer, const std::vector<std::string>& names) {
    const int d = shape.width, count = static_cast<int>(names.size());
    const std::int64_t start = find(tensors, layer + names[0] + ".weight").offset;
    for (int i = 1; i < count; ++i) {
      const std::string& name = names[static_cast<std::size_t>(i)];
      CRA_CHECK(find(tensors, layer + name + ".weight").offset == start + std::int64_t{i} * d * d,
                "attention: " + layer + name + " is out of place");
    }
    return Linear{start, -1, d, count * d};
  };
  const int blocks = shape.form == Form::induced ? 2 : 1;
  for (int l = 0; l < shape.layers; ++l) {
    const std::string name = "layer" + std::to_string(l);
    Layer layer{};
    layer.additive = layer.points = -1;
    layer.last_block = (l + 1) * blocks - 1;
    if (shape.form != Form::none) layer.qkv = stacked(name, {".query", ".key", ".value"});
    if (shape.form == Form::additive) layer.additive = find(tensors, name + ".score.weight").offset;
    if (shape.form == Form::induced) {
      layer.points = find(tensors, name + ".points").offset;
      layer.points_norm = {find(tensors, name + ".points_norm.gain").offset,
                           find(tensors, name + ".points_norm.bias").offset};
      layer.point_kv = stacked(name, {".point_key", ".point_value"});
    }
    layers_.push_back(layer);
  }
  if (shape.weights == Weights::average) {
    frozen_ = find(tensors, "frozen").offset;
    averages_ = frozen_ - weight_count(shape, shape.nodes);
  }
}

template <class T>
Look<T> Attention<T>::look_of(int block, int head, const T* parameters,
                              const Workspace<T>& w) const {
  const Block& b = w.blocks[static_cast<std::size_t>(block)];
  const std::int64_t at = b.offset + head * b.size_of_head();
  const bool additive = shape_.form == Form::additive;
  Look<T> k;
  k.scale = static_cast<T>(
      1 / (shape_.temperature * (additive ? 1 : std::sqrt(double(shape_.head_width())))));
  k.all_nodes = b.nodes;
  k.all_lookers = b.lookers;
  if (!w.random.empty()) k.table = w.random.data() + at;
  if (!w.order.empty()) k.order = w.order.data() + at;
  if (averages_ >= 0 && parameters[frozen_] != 0) k.table = parameters + averages_ + at;
  return k;
}

template <class T>
Look<T> Attention<T>::nodes_look(std::size_t layer, int head, const T* parameters,
                                 const Workspace<T>& w, std::int64_t e) const {
  const Layer& l = layers_[layer];
  Look<T> k = look_of(l.last_block, head, parameters, w);
  if (l.additive >= 0) k.additive = parameters + l.additive + head * shape_.head_width();
  k.lookers = w.present(e);
  if (l.points < 0) k.nodes = k.lookers;
  return k;
}

template <class T>
Look<T> Attention<T>::points_look(std::size_t layer, int head, const T* parameters,
                                  const Workspace<T>& w, std::int64_t e) const {
  Look<T> k = look_of(layers_[layer].last_block - 1, head, parameters, w);
  k.nodes = w.present(e);
  return k;
}

template <class T>
void Attention<T>::forward(std::size_t layer, const T* parameters, Workspace<T>& w) const {
  if (shape_.form == Form::none) return see_mean(layer, w);
  auto& held = w.layers[layer];
  linear_forward(layers_[layer].qkv, parameters, held.norm1.y.data(), w.groups().rows(),
                 w.turned.data(), held.qkv.data(), Into::overwrite);
  if (shape_.form == Form::induced)
    see_points(layer, parameters, w);
  else
    see_nodes(layer, parameters, w);
}

template <class T>
void Attention<T>::backward(std::size_t layer, const T* parameters, Workspace<T>& w,
                            T* d_parameters) const {
  if (shape_.form == Form::none) return see_mean_backward(w);
  if (shape_.form == Form::induced)
    see_points_backward(layer, parameters, w, d_parameters);
  else
    see_nodes_backward(layer, parameters, w, d_parameters);
  linear_backward(layers_[layer].qkv, parameters, w.layers[layer].norm1.y.data(), w.d_wide.data(),
                  w.groups(), w.sums.data(), d_parameters, w.d_narrow.data());
}

template <class T>
void Attention<T>::see_nodes(std::size_t layer, const T* parameters, Workspace<T>& w) const {
  auto& held = w.layers[layer];
  const int d = shape_.width, size = shape_.head_width();
  const std::int64_t block = std::int64_t{w.nodes} * padded<T>(w.nodes);
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = w.first[static_cast<std::size_t>(e)];
    const int n = w.count(e);
    if (n == 0) continue;
    for (int i = 0; i < shape_.heads; ++i)
      look(nodes_look(layer, i, parameters, w, e),
           head_of(std::as_const(held.qkv).data() + row * 3 * d, n, d, size, i), w.head.data(),
           held.weights.data() + (e * shape_.heads + i) * block,
           held.mixed.data() + row * d + i * size, d);
  }
}

template <class T>
void Attention<T>::see_nodes_backward(std::size_t layer, const T* parameters, Workspace<T>& w,
                                      T* d_parameters) const {
  const Layer& l = layers_[layer];
  const auto& held = w.layers[layer];
  const int d = shape_.width, size = shape_.head_width();
  const std::int64_t block = std::int64_t{w.nodes} * padded<T>(w.nodes);
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = w.first[static_cast<std::size_t>(e)];
    const int n = w.count(e);
    if (n == 0) continue;
    // One environment's share of the gradient of v is summed by itself, as in linear.h.
    std::fill_n(w.sums.data(), d, T{0});
    for (int i = 0; i < shape_.heads; ++i)
      look_backward(nodes_look(layer, i, parameters, w, e),
                    head_of(held.qkv.data() + row * 3 * d, n, d, size, i),
                    held.weights.data() + (e * shape_.heads + i) * block,
                    w.d_narrow.data() + row * d + i * size, d, w.head.data(),
                    head_of(w.d_wide.data() + row * 3 * d, n, d, size, i),
                    w.sums.data() + i * size);
    if (l.additive >= 0)
      for (int k = 0; k < d; ++k) d_parameters[l.additive + k] += w.sums.data()[k];
  }
}

// Every node sees the mean over all.
template <class T>
void Attention<T>::see_mean(std::size_t layer, Workspace<T>& w) const {
  const int d = shape_.width;
  auto& held = w.layers[layer];
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const int n = w.count(e);
    if (n == 0) continue;
    const T* const y = held.norm1.y.data() + w.first[static_cast<std::size_t>(e)] * d;
    T* const mixed = held.mixed.data() + w.first[static_cast<std::size_t>(e)] * d;
    std::copy(y, y + d, mixed);
    for (std::int64_t i = 1; i < n; ++i)
      for (int k = 0; k < d; ++k) mixed[k] += y[i * d + k];
    for (int k = 0; k < d; ++k) mixed[k] /= static_cast<T>(n);
    for (std::int64_t i = 1; i < n; ++i) std::copy(mixed, mixed + d, mixed + i * d);
  }
}

template <class T>
void Attention<T>::see_mean_backward(Workspace<T>& w) const {
  const int d = shape_.width;
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const int n = w.count(e);
    if (n == 0) continue;
    T* const d_mixed = w.d_narrow.data() + w.first[static_cast<std::size_t>(e)] * d;
    for (std::int64_t i = 1; i < n; ++i)
      for (int k = 0; k < d; ++k) d_mixed[k] += d_mixed[i * d + k];
    for (int k = 0; k < d; ++k) d_mixed[k] /= static_cast<T>(n);
    for (std::int64_t i = 1; i < n; ++i) std::copy(d_mixed, d_mixed + d, d_mixed + i * d);
  }
}

// The points look at the nodes; LayerNorm(point + what it saw) is what the nodes look at.
template <class T>
void Attention<T>::see_points(std::size_t layer, const T* parameters, Workspace<T>& w) const {
  const Layer& l = layers_[layer];
  auto& held = w.layers[layer];
  const int d = shape_.width, size = shape_.head_width(), m = shape_.points;
  const std::int64_t nodes_block = std::int64_t{m} * padded<T>(w.nodes);
  const std::int64_t points_block = std::int64_t{w.nodes} * padded<T>(m);
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const int n = w.count(e);
    T* const seen = w.seen.data() + e * m * d;
    if (n == 0) {  // of no consequence, but to be finite
      std::fill_n(seen, std::int64_t{m} * d, T{0});
      continue;
    }
    const T* const qkv = held.qkv.data() + w.first[static_cast<std::size_t>(e)] * 3 * d;
    for (int i = 0; i < shape_.heads; ++i) {
      const std::int64_t at = i * size;
      const Head<const T> head{parameters + l.points + at,
                               d,
                               qkv + d + at,
                               qkv + 2 * d + at,
                               3 * std::int64_t{d},
                               m,
                               n,
                               size};
      look(points_look(layer, i, parameters, w, e), head, w.head.data(),
           held.point_weights.data() + (e * shape_.heads + i) * points_block, seen + at, d);
    }
    for (std::int64_t k = 0; k < std::int64_t{m} * d; ++k) seen[k] += parameters[l.points + k];
  }
  layer_norm(w.seen.data(), w.envs * m, d, parameters + l.points_norm.gain,
             parameters + l.points_norm.bias, held.points.unit.data(),
             held.points.inverse_std.data(), held.points.y.data());
  linear_forward(l.point_kv, parameters, held.points.y.data(), w.envs * m, w.turned.data(),
                 held.point_kv.data(), Into::overwrite);
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = w.first[static_cast<std::size_t>(e)];
    const int n = w.count(e);
    if (n == 0) continue;
    const T* const kv = held.point_kv.data() + e * m * 2 * d;
    for (int i = 0; i < shape_.heads; ++i) {
      const std::int64_t at = i * size;
      const Head<const T> head{held.qkv.data() + row * 3 * d + at,
                               3 * std::int64_t{d},
                               kv + at,
                               kv + d + at,
                               2 * std::int64_t{d},
                               n,
                               m,
                               size};
      look(nodes_look(layer, i, parameters, w, e), head, w.head.data(),
           held.weights.data() + (e * shape_.heads + i) * nodes_block,
           held.mixed.data() + row * d + at, d);
    }
  }
}

template <class T>
void Attention<T>::see_points_backward(std::size_t layer, const T* parameters, Workspace<T>& w,
                                       T* d_parameters) const {
  const Layer& l = layers_[layer];
  const auto& held = w.layers[layer];
  const int d = shape_.width, size = shape_.head_width(), m = shape_.points;
  const std::int64_t nodes_block = std::int64_t{m} * padded<T>(w.nodes);
  const std::int64_t points_block = std::int64_t{w.nodes} * padded<T>(m);
  T* const d_kv = w.d_points.data();                       // [E * m, 2 d]
  T* const d_y = w.seen.data();                            // [E * m, d]
  T* const d_query = d_kv + w.first_point.back() * 2 * d;  // [m, d]
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = w.first[static_cast<std::size_t>(e)];
    const int n = w.count(e);
    T* const d_of = d_kv + e * m * 2 * d;
    if (n == 0) {
      std::fill_n(d_of, std::int64_t{m} * 2 * d, T{0});
      continue;
    }
    const T* const kv = held.point_kv.data() + e * m * 2 * d;
    for (int i = 0; i < shape_.heads; ++i) {
      const std::int64_t at = i * size;
      const Head<const T> head{held.qkv.data() + row * 3 * d + at,
                               3 * std::int64_t{d},
                               kv + at,
                               kv + d + at,
                               2 * std::int64_t{d},
                               n,
                               m,
                               size};
      const Head<T> d_head{w.d_wide.data() + row * 3 * d + at,
                           3 * std::int64_t{d},
                           d_of + at,
                           d_of + d + at,
                           2 * std::int64_t{d},
                           n,
                           m,
                           size};
      look_backward(nodes_look(layer, i, parameters, w, e), head,
                    held.weights.data() + (e * shape_.heads + i) * nodes_block,
                    w.d_narrow.data() + row * d + at, d, w.head.data(), d_head,
                    static_cast<T*>(nullptr));
    }
  }
  linear_backward(l.point_kv, parameters, held.points.y.data(), d_kv, w.point_groups(),
                  w.sums.data(), d_parameters, d_y);

  for (std::int64_t e = 0; e < w.envs; ++e) {
    const int n = w.count(e);
    if (n == 0) continue;
    // In place of the gradient by what the norm gave: that by what it was given.
    const std::int64_t points = e * m, row = w.first[static_cast<std::size_t>(e)];
    T* const d_seen = d_kv + points * 2 * d;  // free by now
    std::fill_n(d_seen, std::int64_t{m} * d, T{0});
    layer_norm_backward(d_y + points * d, m, d, parameters + l.points_norm.gain,
                        held.points.unit.data() + points * d,
                        held.points.inverse_std.data() + points, w.sums.data(), d_seen,
                        d_parameters + l.points_norm.gain, d_parameters + l.points_norm.bias);
    const T* const qkv = held.qkv.data() + row * 3 * d;
    T* const d_qkv = w.d_wide.data() + row * 3 * d;
    for (int i = 0; i < shape_.heads; ++i) {
      const std::int64_t at = i * size;
      const std::int64_t stride = 3 * std::int64_t{d};
      const Head<const T> head{
          parameters + l.points + at, d, qkv + d + at, qkv + 2 * d + at, stride, m, n, size};
      const Head<T> d_head{d_query + at, d, d_qkv + d + at, d_qkv + 2 * d + at, stride, m, n, size};
      look_backward(points_look(layer, i, parameters, w, e), head,
                    held.point_weights.data() + (e * shape_.heads + i) * points_block, d_seen + at,
                    d, w.head.data(), d_head, static_cast<T*>(nullptr));
    }
    for (std::int64_t k = 0; k < std::int64_t{m} * d; ++k)
      d_parameters[l.points + k] += d_seen[k] + d_query[k];
  }
}

template class Attention<float>;
template class Attention<double>;

}  // namespace cra::attention
