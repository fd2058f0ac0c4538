#include "attention/encoder.h"

#include <algorithm>

#include "attention/formulas.h"
#include "attention/heads.h"
#include "attention/kernels.h"

namespace cra::attention {
namespace {

// Gradient through y = tanh(x), in place: d_x = (1 - y^2) d_y.
template <class T>
void tanh_backward(const T* y, std::int64_t size, T* d) {
  for (std::int64_t i = 0; i < size; ++i) d[i] *= tanh_slope<T>(y[i]);
}

// Which nodes are there: rows close up over those that are not.
template <class T>
void take_rows(View<const std::uint8_t> present, std::int64_t rows, Workspace<T>& w) {
  const std::int64_t nodes = w.nodes;
  w.envs = rows / nodes;
  w.whole = present.data == nullptr;
  std::int64_t row = 0;
  for (std::int64_t e = 0; e < w.envs; ++e) {
    w.first[static_cast<std::size_t>(e)] = row;
    if (w.whole) {
      row += nodes;
      continue;
    }
    const std::int64_t start = row;
    for (int n = 0; n < w.nodes; ++n) {
      const bool there = present.row(e)[n] != 0;
      w.place[static_cast<std::size_t>(e * nodes + n)] = there ? static_cast<int>(row - start) : -1;
      if (there) w.number[static_cast<std::size_t>(row++)] = n;
    }
  }
  w.first[static_cast<std::size_t>(w.envs)] = row;
}

// Rows of those that are there. \param to  [first[E], cols]
template <class T>
void gather(const Workspace<T>& w, const T* from, std::int64_t cols, T* to) {
  if (w.whole) {
    std::copy(from, from + w.groups().rows() * cols, to);
    return;
  }
  for (std::int64_t e = 0; e < w.envs; ++e)
    for (std::int64_t r = w.first[static_cast<std::size_t>(e)];
         r < w.first[static_cast<std::size_t>(e) + 1]; ++r) {
      const T* const row = from + (e * w.nodes + w.number[static_cast<std::size_t>(r)]) * cols;
      std::copy(row, row + cols, to + r * cols);
    }
}

// The reverse: rows of those that are not there become 0. May be done in place: from the last row
// to the first, none is overwritten before it has moved.
template <class T>
void scatter(const Workspace<T>& w, const T* from, std::int64_t cols, T* to) {
  if (w.whole) {
    if (from != to) std::copy(from, from + w.groups().rows() * cols, to);
    return;
  }
  for (std::int64_t e = w.envs; e-- > 0;)
    for (std::int64_t n = w.nodes; n-- > 0;) {
      const int place = w.place[static_cast<std::size_t>(e * w.nodes + n)];
      T* const row = to + (e * w.nodes + n) * cols;
      if (place < 0) {
        std::fill(row, row + cols, T{0});
        continue;
      }
      const T* const old = from + (w.first[static_cast<std::size_t>(e)] + place) * cols;
      if (old != row) std::copy_backward(old, old + cols, row + cols);
    }
}

}  // namespace

template <class T>
Encoder<T>::Encoder(const Shape& shape) : shape_(shape), attention_(shape) {
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
    layers_.push_back({norm(name + ".norm1"), norm(name + ".norm2"), linear(name + ".out"),
                       linear(name + ".mlp.0"), linear(name + ".mlp.1")});
  }
  last_ = norm("norm");
}

template <class T>
void Encoder<T>::norm_forward(const Norm& n, const T* parameters, Workspace<T>& w,
                              Normed<T>& out) const {
  layer_norm(w.stream.data(), w.groups().rows(), shape_.width, parameters + n.gain,
             parameters + n.bias, out.unit.data(), out.inverse_std.data(), out.y.data());
}

template <class T>
void Encoder<T>::norm_backward(const Norm& n, const T* parameters, const T* d_y,
                               const Normed<T>& held, Workspace<T>& w, T* d_parameters) const {
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const std::int64_t row = w.first[static_cast<std::size_t>(e)], at = row * shape_.width;
    layer_norm_backward(d_y + at, w.count(e), shape_.width, parameters + n.gain,
                        held.unit.data() + at, held.inverse_std.data() + row, w.sums.data(),
                        w.stream.data() + at, d_parameters + n.gain, d_parameters + n.bias);
  }
}

template <class T>
void Encoder<T>::forward(const T* parameters, View<const T> x, Workspace<T>& w, View<T> h,
                         View<const std::uint8_t> present) const {
  take_rows(present, x.rows, w);
  gather(w, x.data, x.cols, w.x.data());
  const int d = shape_.width;
  const std::int64_t rows = w.groups().rows();
  const auto apply = [&](const Linear& l, const std::vector<T>& from, std::vector<T>& to,
                         Into into) {
    linear_forward(l, parameters, from.data(), rows, w.turned.data(), to.data(), into);
  };

  apply(embed0_, w.x, w.hidden, Into::overwrite);
  kernels<T>().tanh(w.hidden.data(), rows * d);
  apply(embed1_, w.hidden, w.stream, Into::overwrite);
  if (!w.codes.empty()) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t n = w.whole ? r % w.nodes : w.number[static_cast<std::size_t>(r)];
      for (int k = 0; k < d; ++k) w.stream.data()[r * d + k] += w.codes.data()[n * d + k];
    }
  }

  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    auto& held = w.layers[l];
    norm_forward(layer.norm1, parameters, w, held.norm1);
    attention_.forward(l, parameters, w);
    apply(layer.out, held.mixed, w.stream, Into::add);

    norm_forward(layer.norm2, parameters, w, held.norm2);
    apply(layer.mlp0, held.norm2.y, held.hidden, Into::overwrite);
    kernels<T>().tanh(held.hidden.data(), rows * shape_.mlp_width());
    apply(layer.mlp1, held.hidden, w.stream, Into::add);
  }

  norm_forward(last_, parameters, w, w.last);
  scatter(w, w.last.y.data(), d, h.data);
}

template <class T>
void Encoder<T>::backward(const T* parameters, View<const T> d_h, Workspace<T>& w, T* d_parameters,
                          View<T> d_x) const {
  const int d = shape_.width;
  const std::int64_t rows = w.groups().rows();
  T* const d_stream = w.stream.data();
  T* const d_wide = w.d_wide.data();
  T* const d_narrow = w.d_narrow.data();
  const auto pull = [&](const Linear& l, const std::vector<T>& x, const T* d_y, T* to) {
    linear_backward(l, parameters, x.data(), d_y, w.groups(), w.sums.data(), d_parameters, to);
  };

  // Every norm_backward adds to d_stream what flows past its branch.
  std::fill(d_stream, d_stream + rows * d, T{0});
  gather(w, d_h.data, d, d_narrow);
  norm_backward(last_, parameters, d_narrow, w.last, w, d_parameters);

  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    const auto& held = w.layers[l];
    pull(layer.mlp1, held.hidden, d_stream, d_wide);
    tanh_backward(held.hidden.data(), rows * shape_.mlp_width(), d_wide);
    pull(layer.mlp0, held.norm2.y, d_wide, d_narrow);
    norm_backward(layer.norm2, parameters, d_narrow, held.norm2, w, d_parameters);

    pull(layer.out, held.mixed, d_stream, d_narrow);
    attention_.backward(l, parameters, w, d_parameters);
    norm_backward(layer.norm1, parameters, d_narrow, held.norm1, w, d_parameters);
  }

  // Codes of positions are added, and have no gradient of their own.
  pull(embed1_, w.hidden, d_stream, d_narrow);
  tanh_backward(w.hidden.data(), rows * d, d_narrow);
  pull(embed0_, w.x, d_narrow, d_x.data);
  if (d_x.data != nullptr) scatter(w, d_x.data, d_x.cols, d_x.data);
}

template class Encoder<float>;
template class Encoder<double>;

}  // namespace cra::attention
