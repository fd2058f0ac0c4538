#include "attention/workspace.h"

#include <algorithm>

#include "attention/heads.h"

namespace cra::attention {
namespace {

template <class T>
std::vector<T> zeros(std::int64_t rows, std::int64_t cols) {
  return std::vector<T>(static_cast<std::size_t>(rows * cols));
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const Shape& s, std::int64_t room, int n) : nodes(n) {
  const std::int64_t rows = room * n, d = s.width, points = room * s.points;
  const bool attends = s.form != Form::none, has_points = s.form == Form::induced;
  const auto normed = [d](std::int64_t count) {
    return Normed<T>{zeros<T>(count, d), zeros<T>(count, 1), zeros<T>(count, d)};
  };
  // The weights first: they are what may not fit.
  layers.resize(static_cast<std::size_t>(s.layers));
  for (Layer& layer : layers) {
    if (!attends) continue;
    const std::int64_t looked_at = has_points ? points : rows;
    layer.weights = zeros<T>(looked_at * s.heads, padded<T>(n));
    if (has_points) layer.point_weights = zeros<T>(rows * s.heads, padded<T>(s.points));
  }
  for (Layer& layer : layers) {
    layer.norm1 = normed(rows);
    layer.norm2 = normed(rows);
    if (attends) layer.qkv = zeros<T>(rows, 3 * d);
    layer.mixed = zeros<T>(rows, d);
    layer.hidden = zeros<T>(rows, s.mlp_width());
    if (!has_points) continue;
    layer.points = normed(points);
    layer.point_kv = zeros<T>(points, 2 * d);
  }
  first.resize(static_cast<std::size_t>(room) + 1);
  for (std::int64_t e = 0; e <= room; ++e) first_point.push_back(e * s.points);
  number.resize(static_cast<std::size_t>(rows));
  place.resize(static_cast<std::size_t>(rows));
  x = zeros<T>(rows, s.features);
  hidden = zeros<T>(rows, d);
  last = normed(rows);
  stream = zeros<T>(rows, d);
  d_wide = zeros<T>(rows, 3 * d);
  d_narrow = zeros<T>(rows, d);
  turned = zeros<T>(padded<T>(3 * d), std::max<std::int64_t>(2 * d, s.features));
  sums = zeros<T>(3 * d, 1);
  if (attends) {
    const int size = s.head_width(), looked_at = has_points ? s.points : n;
    head = zeros<T>(std::max(look_scratch<T>(n, looked_at, size),
                             has_points ? look_scratch<T>(s.points, n, size) : 0),
                    1);
  }
  if (has_points) {
    seen = zeros<T>(points, d);
    d_points = zeros<T>(2 * points + s.points, d);
  }
  blocks = blocks_of(s, n);
  if (s.weights == Weights::random) random = random_scores<T>(s, n);
  if (s.weights == Weights::shuffled) order = shuffled_orders(s, n);
  if (s.positions == Positions::sinusoidal) codes = position_codes<T>(n, s.width);
}

template struct Workspace<float>;
template struct Workspace<double>;

}  // namespace cra::attention
