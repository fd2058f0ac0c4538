// cuda/mma.h: products of tiles on the matrix units, the same text for every precision.
//
// With g = lane / 4 and t = lane % 4 a lane holds, of a tile of 16 rows and 8 columns, the numbers
//   [0] = (g, 2 t)  [1] = (g, 2 t + 1)  [2] = (g + 8, 2 t)  [3] = (g + 8, 2 t + 1),
// be the tile a sum (Tile), or a left operand with its 8 columns summed over (Left). A right
// operand (Right), summed over its 8 rows, is held as (2 t, g), (2 t + 1, g). That is the layout of
// PTX's m16n8k16 for bfloat16, where a sum can so become a left operand without moving; for tf32
// m16n8k8 wants columns t and t + 4 instead, but a sum over k may be taken in any order, so k is
// counted 0, 2, 4, 6, 1, 3, 5, 7 there, in both operands.
#pragma once

#include "cuda/cuda.h"
#include "cuda/kernel.h"

namespace cra::cuda {

/// What activations and packed weights are kept as.
template <Precision P>
using Stored = std::conditional_t<P == Precision::bf16, Bfloat16, float>;

template <class W>
struct Tile {
  typename W::F x[4];
  CRA_KERNEL void clear() {
    CRA_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = typename W::F(0.f);
  }
  CRA_KERNEL void add(const Tile& other) {
    CRA_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = x[i] + other.x[i];
  }
  CRA_KERNEL void scale(float by) {
    CRA_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = x[i] * by;
  }
};

/// Operands as they are kept. For fp32 they are split when they are used: to keep both parts would
/// take twice the registers.
template <class W, Precision P>
struct Left {
  typename W::F x[4];
};
template <class W>
struct Left<W, Precision::bf16> {
  typename W::U x[2];
};
template <class W, Precision P>
struct Right {
  typename W::F x[2];
};
template <class W>
struct Right<W, Precision::bf16> {
  typename W::U x;
};

template <Precision P, class W>
CRA_KERNEL Left<W, P> left_of(const W& /*w*/, const Tile<W>& t) {
  if constexpr (P == Precision::bf16)
    return {{W::pack_bfloat16(t.x[0], t.x[1]), W::pack_bfloat16(t.x[2], t.x[3])}};
  else
    return {{t.x[0], t.x[1], t.x[2], t.x[3]}};
}

/// A right operand that was put down by put_right(): tile number `tile` from `from`.
template <Precision P, class W>
CRA_KERNEL Right<W, P> right_at(const W& w, const Stored<P>* from, int tile) {
  const auto at = w.lane() * 2;
  const auto* const p = from + std::int64_t{tile} * 64;
  if constexpr (P == Precision::bf16) {
    return {W::load_pair(p, at, typename W::M(true))};
  } else {
    const auto two = W::load2(p, at, typename W::M(true));
    return {{two.x, two.y}};
  }
}

/// \param x, y  the numbers of rows 2 t and 2 t + 1, column g
template <class S, class W>
CRA_KERNEL void put_right(const W& w, S* to, int tile, const typename W::F& x,
                          const typename W::F& y) {
  W::store2(to + std::int64_t{tile} * 64, w.lane() * 2, x, y, typename W::M(true));
}

/// part += left right over one tile of 8, without bfloat16.
///
/// For fp32 three products in place of one keep 22 of 24 bits; the fourth, of the two rests, is
/// below them (Ootomo and Yokota, IJHPCA 2022).
template <Precision P, class W>
CRA_KERNEL void multiply_tf32(Tile<W>& part, const Left<W, P>& a, const Right<W, P>& b) {
  using U = typename W::U;
  const U left[4] = {W::to_tf32(a.x[0]), W::to_tf32(a.x[2]), W::to_tf32(a.x[1]),
                     W::to_tf32(a.x[3])};
  const U right[2] = {W::to_tf32(b.x[0]), W::to_tf32(b.x[1])};
  if constexpr (P == Precision::fp32) {
    const U left_rest[4] = {
        W::to_tf32(a.x[0] - W::from_tf32(left[0])), W::to_tf32(a.x[2] - W::from_tf32(left[1])),
        W::to_tf32(a.x[1] - W::from_tf32(left[2])), W::to_tf32(a.x[3] - W::from_tf32(left[3]))};
    const U right_rest[2] = {W::to_tf32(b.x[0] - W::from_tf32(right[0])),
                             W::to_tf32(b.x[1] - W::from_tf32(right[1]))};
    W::mma_tf32(part.x, left_rest, right);
    W::mma_tf32(part.x, left, right_rest);
  }
  W::mma_tf32(part.x, left, right);
}

/// sum += left right over one tile of 8.
///
/// The matrix units cut off what they add, always toward zero, so the error of a long sum of one
/// sign grows with its length. fp32 keeps that to single tiles and adds them up outside, where sums
/// are rounded to nearest (Ootomo and Yokota, section 4.2).
template <Precision P, class W>
CRA_KERNEL void multiply(const W& /*w*/, Tile<W>& sum, const Left<W, P>& a, const Right<W, P>& b) {
  if constexpr (P == Precision::bf16) {
    W::mma_bfloat16(sum.x, a.x, b.x);
  } else if constexpr (P == Precision::tf32) {
    multiply_tf32(sum, a, b);
  } else {
    Tile<W> part;
    part.clear();
    multiply_tf32(part, a, b);
    sum.add(part);
  }
}

/// The same over two tiles of 8, in one instruction where there is one.
template <Precision P, class W>
CRA_KERNEL void multiply(const W& /*w*/, Tile<W>& sum, const Left<W, P>& a0, const Left<W, P>& a1,
                         const Right<W, P>& b0, const Right<W, P>& b1) {
  if constexpr (P == Precision::bf16) {
    const typename W::U left[4] = {a0.x[0], a0.x[1], a1.x[0], a1.x[1]};
    const typename W::U right[2] = {b0.x, b1.x};
    W::mma_bfloat16(sum.x, left, right);
  } else if constexpr (P == Precision::tf32) {
    multiply_tf32(sum, a0, b0);
    multiply_tf32(sum, a1, b1);
  } else {
    Tile<W> part;
    part.clear();
    multiply_tf32(part, a0, b0);
    multiply_tf32(part, a1, b1);
    sum.add(part);
  }
}

/// Lane / 4, a row of a tile, and 2 (lane % 4), the first of its two columns.
template <class W>
CRA_KERNEL typename W::I group_of(const W& w) {
  return w.lane() / 4;
}
template <class W>
CRA_KERNEL typename W::I pair_of(const W& w) {
  return w.lane() % 4 * 2;
}

/// Over the four lanes that share rows.
template <class W>
CRA_KERNEL typename W::F row_sum(typename W::F x) {
  x = x + W::shuffle_xor(x, 1);
  return x + W::shuffle_xor(x, 2);
}
template <class W>
CRA_KERNEL typename W::F row_max(typename W::F x) {
  x = W::max(x, W::shuffle_xor(x, 1));
  return W::max(x, W::shuffle_xor(x, 2));
}
/// Over all lanes.
template <class W>
CRA_KERNEL typename W::F lane_sum(typename W::F x) {
  for (int mask = 16; mask > 0; mask /= 2) x = x + W::shuffle_xor(x, mask);
  return x;
}
template <class W>
CRA_KERNEL typename W::F lane_max(typename W::F x) {
  for (int mask = 16; mask > 0; mask /= 2) x = W::max(x, W::shuffle_xor(x, mask));
  return x;
}

/// 16 rows of 8 columns of a row-major matrix, from column `col` on. \param rows  that there are;
/// the others are 0
template <class S, class W>
CRA_KERNEL Tile<W> tile_at(const W& w, const S* from, int stride, int rows, int col) {
  const auto g = group_of(w);
  const auto at = g * stride + (pair_of(w) + col);
  const auto upper = W::load2(from, at, g < rows);
  const auto lower = W::load2(from, at + 8 * stride, g + 8 < rows);
  return {{upper.x, upper.y, lower.x, lower.y}};
}
template <class S, class W>
CRA_KERNEL void put_tile(const W& w, S* to, int stride, int rows, int col, const Tile<W>& t) {
  const auto g = group_of(w);
  const auto at = g * stride + (pair_of(w) + col);
  W::store2(to, at, t.x[0], t.x[1], g < rows);
  W::store2(to, at + 8 * stride, t.x[2], t.x[3], g + 8 < rows);
}

}  // namespace cra::cuda
