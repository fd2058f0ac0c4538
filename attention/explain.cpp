#include "attention/explain.h"

#include <algorithm>
#include <array>

#include "attention/controls.h"
#include "attention/heads.h"

namespace cra::attention {
namespace {

// Sums in double: that of up to 65536 floats would not add up to 1 any more.
template <class T>
void directly(const Shape& s, const Workspace<T>& w, std::int64_t e, T* out) {
  const int n = w.count(e), heads = s.heads, wide = padded<T>(n);
  const std::int64_t block = std::int64_t{w.nodes} * padded<T>(w.nodes);
  for (int j = 0; j < n; ++j) {
    double sum = 0;
    for (int h = 0; h < heads; ++h) {
      const T* const row =
          w.layers.back().weights.data() + (e * heads + h) * block + std::int64_t{j} * wide;
      for (int i = 0; i < n; ++i) sum += row[i];
    }
    out[j] = static_cast<T>(sum / (double(heads) * n));
  }
}

// What the nodes look at a point, on average, it passes on to those that it looks at.
template <class T>
void through_points(const Shape& s, const Workspace<T>& w, std::int64_t e, T* out) {
  const int n = w.count(e), heads = s.heads, m = s.points;
  const std::int64_t nodes_block = std::int64_t{m} * padded<T>(w.nodes);
  const std::int64_t points_block = std::int64_t{w.nodes} * padded<T>(m);
  std::array<double, kMostPoints> of_point{};
  std::fill_n(out, n, T{0});
  for (int h = 0; h < heads; ++h) {
    const T* const a = w.layers.back().weights.data() + (e * heads + h) * nodes_block;
    const T* const b = w.layers.back().point_weights.data() + (e * heads + h) * points_block;
    for (std::size_t p = 0; p < static_cast<std::size_t>(m); ++p) {
      of_point[p] = 0;
      for (int i = 0; i < n; ++i) of_point[p] += a[static_cast<std::int64_t>(p) * padded<T>(n) + i];
    }
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t p = 0; p < static_cast<std::size_t>(m); ++p)
        sum += of_point[p] * b[std::int64_t{j} * padded<T>(m) + static_cast<std::int64_t>(p)];
      out[j] += static_cast<T>(sum / (double(heads) * n));
    }
  }
}

}  // namespace

template <class T>
void received(const Shape& s, const Workspace<T>& w, View<T> out) {
  for (std::int64_t e = 0; e < w.envs; ++e) {
    const int n = w.count(e);
    T* const to = out.row(e);
    if (n > 0 && s.form == Form::none)
      std::fill_n(to, n, static_cast<T>(1.0 / n));
    else if (n > 0 && s.form == Form::induced)
      through_points(s, w, e, to);
    else if (n > 0)
      directly(s, w, e, to);
    if (w.whole) continue;
    // To their places in the pool, from the last: none is overwritten before it has moved.
    for (int node = w.nodes - 1; node >= 0; --node) {
      const int place = w.present(e).place_of(node);
      to[node] = place < 0 ? T{0} : to[place];
    }
  }
}

template <class T>
void add_weights(const Shape& s, const Workspace<T>& w, double* sum) {
  for (std::size_t b = 0; b < w.blocks.size(); ++b) {
    const Block& block = w.blocks[b];
    const bool induced = s.form == Form::induced;
    const auto& layer = w.layers[induced ? b / 2 : b];
    const T* from = induced && b % 2 == 0 ? layer.point_weights.data() : layer.weights.data();
    const std::int64_t wide = padded<T>(block.lookers);
    for (std::int64_t e = 0; e < w.envs; ++e) {
      double* to = sum + block.offset;
      // Of the heads of an environment the rows follow each other.
      for (std::int64_t row = 0; row < std::int64_t{s.heads} * block.nodes; ++row) {
        for (int i = 0; i < block.lookers; ++i) to[i] += double(from[i]);
        from += wide;
        to += block.lookers;
      }
    }
  }
}

std::vector<double> attention_map(const Shape& s, int nodes, std::span<const double> weights) {
  CRA_CHECK(s.form != Form::none, "attention: without attention there is no map of it");
  CRA_CHECK(static_cast<std::int64_t>(weights.size()) == weight_count(s, nodes),
            "attention: there are " + std::to_string(weight_count(s, nodes)) + " weights, not " +
                std::to_string(weights.size()));
  const std::vector<Block> blocks = blocks_of(s, nodes);
  const Block& last = blocks.back();  // [H, looked at, N]: nodes, or points
  const auto n = static_cast<std::size_t>(nodes), seen = static_cast<std::size_t>(last.nodes);
  std::vector<double> map(static_cast<std::size_t>(s.heads) * n * n, 0.0);
  for (std::size_t h = 0; h < static_cast<std::size_t>(s.heads); ++h) {
    const double* const by_node = weights.data() + last.offset + h * seen * n;
    double* const to = map.data() + h * n * n;
    if (s.form != Form::induced) {
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) to[i * n + j] = by_node[j * n + i];
      continue;
    }
    const Block& points = blocks[blocks.size() - 2];  // [H, N, points]
    const double* const by_point = weights.data() + points.offset + h * n * seen;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t m = 0; m < seen; ++m)
        for (std::size_t j = 0; j < n; ++j)
          to[i * n + j] += by_node[m * n + i] * by_point[j * seen + m];
  }
  return map;
}

template void received(const Shape&, const Workspace<float>&, View<float>);
template void received(const Shape&, const Workspace<double>&, View<double>);
template void add_weights(const Shape&, const Workspace<float>&, double*);
template void add_weights(const Shape&, const Workspace<double>&, double*);

}  // namespace cra::attention
