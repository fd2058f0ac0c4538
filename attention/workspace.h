// attention/workspace.h: what a pass of the CPU encoder leaves for the pass back, and scratch.
//
// Nodes that are removed have no rows here: rows of the others stand close together, environment
// after environment, and everything is computed as in a pool that never had them.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/attention.h"
#include "attention/controls.h"
#include "attention/linear.h"
#include "attention/look.h"

namespace cra::attention {

/// What a layer norm leaves behind.
template <class T>
struct Normed {
  std::vector<T> unit;         ///< [E * N, d] before gain and bias
  std::vector<T> inverse_std;  ///< [E * N]
  std::vector<T> y;            ///< [E * N, d]
};

/// What backward needs of a forward pass, and scratch; nothing is allocated after this.
/// Of its room for `envs` environments a smaller pass uses the first part.
template <class T>
struct Workspace {
  Workspace(const Shape& s, std::int64_t envs, int nodes);

  struct Layer {
    Normed<T> norm1, norm2;
    std::vector<T> qkv;      ///< [E * N, 3 d] queries, keys, values; empty without attention
    std::vector<T> weights;  ///< [E, H, N, padded N] by looked-at node, see heads.h; with points
                             ///< [E, H, m, padded N]
    std::vector<T> mixed;    ///< [E * N, d] what the heads saw, side by side
    std::vector<T> hidden;   ///< [E * N, 2 d] after tanh
    // Of points only.
    std::vector<T> point_weights;  ///< [E, H, N, padded m] what the points look at
    Normed<T> points;              ///< [E * m, d] what they saw beside what they are
    std::vector<T> point_kv;       ///< [E * m, 2 d] keys and values that they show
  };

  int nodes;              ///< N
  std::int64_t envs = 0;  ///< of the pass it holds
  bool whole = true;      ///< no node was removed in it

  // Which rows there are.
  std::vector<std::int64_t> first;        ///< [E + 1] rows of environment e begin at first[e]
  std::vector<std::int64_t> first_point;  ///< [E + 1] the same of points
  std::vector<int> number;                ///< [E * N] number in the pool of the node of a row
  std::vector<int> place;                 ///< [E, N] place of a node among those there, or -1

  std::vector<T> x;       ///< [E * N, F]
  std::vector<T> hidden;  ///< [E * N, d] after the tanh of the embedding
  std::vector<Layer> layers;
  Normed<T> last;

  std::vector<T> stream;    ///< [E * N, d] residual stream; its gradient in backward
  std::vector<T> d_wide;    ///< [E * N, 3 d] gradient by the widest thing between two products
  std::vector<T> d_narrow;  ///< [E * N, d]
  std::vector<T> turned;    ///< [padded 3 d * max(2 d, F)] a weight matrix, transposed
  std::vector<T> head;      ///< scratch of look.h
  std::vector<T> sums;      ///< [3 d] sums over the nodes of an environment
  std::vector<T> seen;      ///< [E * m, d] what the points saw; gradient by it in backward
  std::vector<T> d_points;  ///< [E * m, 2 d], and [m, d] behind it

  std::vector<Block> blocks;  ///< blocks_of() the shape and N
  std::vector<T> random;      ///< [weight_count] see controls.h; or empty
  std::vector<int> order;     ///< [weight_count] see controls.h; or empty
  std::vector<T> codes;       ///< [N, d] of positions; or empty

  Groups groups() const { return {first.data(), envs}; }
  Groups point_groups() const { return {first_point.data(), envs}; }
  int count(std::int64_t e) const {
    const auto at = static_cast<std::size_t>(e);
    return static_cast<int>(first[at + 1] - first[at]);
  }
  /// Which nodes of environment e are there.
  Present present(std::int64_t e) const {
    if (whole) return {};
    return {number.data() + first[static_cast<std::size_t>(e)], place.data() + e * nodes};
  }
};

extern template struct Workspace<float>;
extern template struct Workspace<double>;

}  // namespace cra::attention
