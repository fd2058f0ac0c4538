// cuda/core.h: softmax(Q K^T / sqrt(size)) V of one head of one environment, forward.
//
// A unit is an (environment, head). A warp owns 16 lookers of it and walks over the nodes in tiles
// of 8 with an online softmax (Milakov and Gimelshein 2018; Dao et al., NeurIPS 2022); keys and
// values stand in shared memory as right operands, all of them where they fit. Small units share a
// block, so that N = 16 is not padded to a tile of 64. What backward needs is the logarithm of each
// row's sum; no weights are stored.
#pragma once

#include "cuda/mma.h"

namespace cra::cuda {

/// Most tiles of 8 columns of a head in here: larger heads take plain.h.
inline constexpr int kMostHeadTiles = 8;

/// One head's rows in [rows, ld] matrices, head h from column h * 8 tiles on.
template <class S>
struct CoreInputs {
  const S* q = nullptr;
  int q_ld = 0;
  const S* k = nullptr;
  const S* v = nullptr;
  int kv_ld = 0;
  int heads = 1;
  Rows queries;  ///< rows of q
  Rows lookers;  ///< rows of what is written; as queries, or all environments share those
  Rows nodes;    ///< rows of k and v
  float scale = 1;
  std::int64_t environments = 0;
};

/// How units, warps and shared memory are dealt out; made on the host by core_plan().
struct CorePlan {
  int unit_warps = 1;      ///< warps that work on one unit; divides the block's
  int groups = 1;          ///< blocks that share a unit, forward only
  int chunk = 8;           ///< nodes, or in backward lookers, that stand in shared memory at a time
  std::size_t shared = 0;  ///< bytes of a block
  std::int64_t blocks = 0;
};

/// \param warps   of a block
/// \param arrays  right operands of the chunk that are kept
/// \param bytes   of a number there
/// \param split   whether blocks may share a unit
inline CorePlan core_plan(std::int64_t units, int lookers, int nodes, int head_tiles, int warps,
                          int arrays, int bytes, bool split) {
  constexpr int kShared = 64 * 1024;  // of one block: two or three fit on a multiprocessor
  CorePlan p;
  const int tiles = (lookers + 15) / 16;
  while (p.unit_warps < warps && p.unit_warps < tiles) p.unit_warps *= 2;
  const int together = warps / p.unit_warps;
  const int per_node = arrays * 8 * head_tiles * bytes * together;
  const int fit = kShared / per_node / 8 * 8;
  p.chunk = round8(nodes) < fit ? round8(nodes) : (fit < 8 ? 8 : fit);
  p.shared = static_cast<std::size_t>(p.chunk) * static_cast<std::size_t>(per_node);
  if (split) p.groups = (tiles + p.unit_warps - 1) / p.unit_warps;
  p.blocks = tiles_of(units, together) * p.groups;
  return p;
}

/// Right operand whose columns are rows of a matrix: for products with its transpose.
/// \param rows  that there are from the tile's first on; the others are 0
template <class S, class W>
CRA_KERNEL void put_by_rows(const W& w, S* to, int tile, const S* from, int ld, int rows,
                            float factor) {
  const auto g = group_of(w);
  const auto two = W::load2(from, g * ld + pair_of(w), g < rows);
  put_right(w, to, tile, two.x * factor, two.y * factor);
}
/// Right operand whose rows are rows of a matrix.
template <class S, class W>
CRA_KERNEL void put_by_columns(const W& w, S* to, int tile, const S* from, int ld, int rows) {
  const auto row = pair_of(w);
  const auto at = row * ld + group_of(w);
  put_right(w, to, tile, W::load(from, at, row < rows), W::load(from, at + ld, row + 1 < rows));
}

/// sum += left right over the tiles of a head.
template <Precision P, int kTiles, class W>
CRA_KERNEL void multiply_head(const W& w, Tile<W>& sum, const Left<W, P> (&left)[kTiles],
                              const Stored<P>* right, int first) {
  // An odd one comes first: last, it costs ptxas registers that heads of 7 tiles do not have.
  constexpr int kOdd = kTiles % 2;
  if constexpr (kOdd == 1) multiply<P>(w, sum, left[0], right_at<P>(w, right, first));
  CRA_UNROLL
  for (int d = kOdd; d + 1 < kTiles; d += 2)
    multiply<P>(w, sum, left[d], left[d + 1], right_at<P>(w, right, first + d),
                right_at<P>(w, right, first + d + 1));
}

/// sum[d] += weights of kNodes tiles of nodes times their rows. \param right  [node tile, d]
template <Precision P, int kNodes, int kTiles, class W>
CRA_KERNEL void multiply_nodes(const W& w, Tile<W> (&sum)[kTiles], const Left<W, P> (&left)[kNodes],
                               const Stored<P>* right, int first) {
  CRA_UNROLL
  for (int d = 0; d < kTiles; ++d) {
    CRA_UNROLL
    for (int j = 0; j + 1 < kNodes; j += 2)
      multiply<P>(w, sum[d], left[j], left[j + 1], right_at<P>(w, right, (first + j) * kTiles + d),
                  right_at<P>(w, right, (first + j + 1) * kTiles + d));
    if constexpr (kNodes % 2 == 1)
      multiply<P>(w, sum[d], left[kNodes - 1],
                  right_at<P>(w, right, (first + kNodes - 1) * kTiles + d));
  }
}

/// Calls step(Count<n>, first tile) so that the tiles are all done, most of them kTogether at once.
template <int kTogether, class Step>
CRA_KERNEL void in_steps(int tiles, Step step) {
  int i = 0;
  CRA_ROLLED
  for (; i + kTogether <= tiles; i += kTogether) step(Count<kTogether>{}, i);
  if constexpr (kTogether > 1) CRA_ROLLED
  for (; i < tiles; ++i) step(Count<1>{}, i);
}

/// Which unit a warp works on and where that lies.
struct Unit {
  std::int64_t number, e;
  int head, member;
  bool there;
};
template <class S>
CRA_KERNEL Unit unit_of(std::int64_t block, int warp, int warps, const CoreInputs<S>& in,
                        const CorePlan& plan) {
  Unit u;
  u.number = block * (warps / plan.unit_warps) + warp / plan.unit_warps;
  u.there = u.number < in.environments * in.heads;
  u.e = u.number / in.heads;
  u.head = static_cast<int>(u.number % in.heads);
  u.member = warp % plan.unit_warps;
  return u;
}

/// 16 lookers of one head on their way over the nodes.
template <class W, Precision P, int kTiles>
struct Looking {
  using F = typename W::F;
  Left<W, P> q[kTiles];  ///< times scale and log2(e)
  Tile<W> o[kTiles];     ///< sum of weights times values, so far
  F most[2], sum[2];     ///< of rows g and g + 8: largest score, sum of weights over it

  CRA_KERNEL void clear() {
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d) o[d].clear();
    for (int half = 0; half < 2; ++half) {
      most[half] = F(-INFINITY);
      sum[half] = F(0.f);
    }
  }

  /// Over kNodes tiles of nodes from `tile` on, of `nodes` that there are.
  template <int kNodes>
  CRA_KERNEL void look(const W& w, const Stored<P>* keys, const Stored<P>* values, int tile,
                       int nodes) {
    Tile<W> score[kNodes];
    F top[2] = {most[0], most[1]};
    CRA_UNROLL
    for (int j = 0; j < kNodes; ++j) {
      score[j].clear();
      multiply_head<P, kTiles>(w, score[j], q, keys, (tile + j) * kTiles);
      const auto node = pair_of(w) + 8 * (tile + j);
      CRA_UNROLL
      for (int i = 0; i < 4; ++i) {
        score[j].x[i] = W::select(node + i % 2 < nodes, score[j].x[i], F(-INFINITY));
        top[i / 2] = W::max(top[i / 2], score[j].x[i]);
      }
    }
    F shrink[2];
    for (int half = 0; half < 2; ++half) {
      top[half] = row_max<W>(top[half]);
      shrink[half] = W::exp2(most[half] - top[half]);
      most[half] = top[half];
      sum[half] = sum[half] * shrink[half];
    }
    Left<W, P> weight[kNodes];
    CRA_UNROLL
    for (int j = 0; j < kNodes; ++j) {
      CRA_UNROLL
      for (int i = 0; i < 4; ++i) {
        score[j].x[i] = W::exp2(score[j].x[i] - top[i / 2]);
        sum[i / 2] = sum[i / 2] + score[j].x[i];
      }
      weight[j] = left_of<P>(w, score[j]);
    }
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d)
      for (int i = 0; i < 4; ++i) o[d].x[i] = o[d].x[i] * shrink[i / 2];
    multiply_nodes<P, kNodes, kTiles>(w, o, weight, values, tile);
  }

  /// Weights sum to 1 from now on; without nodes there is nothing to see.
  /// \param log_sum  [16] log2 of the sum of 2^score, of rows that there are
  CRA_KERNEL void finish(const W& w, int rows, int nodes, float* log_sum) {
    F by[2];
    for (int half = 0; half < 2; ++half) {
      const F total = row_sum<W>(sum[half]);
      by[half] = nodes > 0 ? 1.f / total : F(0.f);
      const auto g = group_of(w) + 8 * half;
      if (log_sum != nullptr)
        W::store(log_sum, g, most[half] + W::log2(total), (g < rows) & (pair_of(w) == 0));
    }
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d)
      for (int i = 0; i < 4; ++i) o[d].x[i] = o[d].x[i] * by[i / 2];
  }
};

template <Precision P, int kTiles>
struct CoreKernel {
  static constexpr const char* kName = "core";
  static constexpr int kWarps = 8;
  static constexpr int kBlocks = kTiles <= 2 ? 2 : 1;
  static constexpr int kArrays = 2;  ///< in shared memory: keys, values
  struct Args {
    CoreInputs<Stored<P>> in;
    CorePlan plan;
    Stored<P>* out = nullptr;  ///< [rows of lookers, ld], as q
    int out_ld = 0;
    float* log_sum = nullptr;  ///< [units, log_ld] log2 of the sum of 2^score
    int log_ld = 0;            ///< a multiple of 8
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    typename Block::template PerWarp<State<W>> states(block);
    const std::int64_t place = block.index / a.plan.groups;
    const int group = static_cast<int>(block.index % a.plan.groups);
    auto* const shared = reinterpret_cast<Stored<P>*>(block.shared());
    const std::int64_t chunk_size = std::int64_t{a.plan.chunk} * 8 * kTiles;
    const auto keys_of = [&](const W& w) {
      return shared + w.index / a.plan.unit_warps * 2 * chunk_size;
    };
    block.warps([&](W& w) {
      begin(w, states.of(w), unit_of(place, w.index, kWarps, a.in, a.plan), group, a);
    });
    for (int first = 0; first < a.in.nodes.count; first += a.plan.chunk) {
      block.warps([&](W& w) {
        const Unit u = unit_of(place, w.index, kWarps, a.in, a.plan);
        if (u.there) stage(w, keys_of(w), keys_of(w) + chunk_size, u, first, a);
      });
      block.warps([&](W& w) {
        auto& s = states.of(w);
        const int nodes = s.nodes - first < a.plan.chunk ? s.nodes - first : a.plan.chunk;
        if (s.lookers <= 0 || nodes <= 0) return;
        in_steps<4>((nodes + 7) / 8, [&](auto count, int tile) {
          s.at.template look<decltype(count)::value>(w, keys_of(w), keys_of(w) + chunk_size, tile,
                                                     nodes);
        });
      });
    }
    block.warps([&](W& w) {
      finish(w, states.of(w), unit_of(place, w.index, kWarps, a.in, a.plan), group, a);
    });
  }

 private:
  template <class W>
  struct State {
    int lookers = 0;  // that the warp owns, of 16; 0 or less: none
    int nodes = 0;
    Looking<W, P, kTiles> at;
  };

  template <class W>
  CRA_KERNEL static void begin(W& w, State<W>& s, const Unit& u, int group, const Args& a) {
    s.lookers = s.nodes = 0;
    if (!u.there) return;
    const int first = (group * a.plan.unit_warps + u.member) * 16;
    s.lookers = a.in.lookers.size(u.e) - first;
    s.nodes = a.in.nodes.size(u.e);
    if (s.lookers <= 0) return;
    const Stored<P>* const q =
        a.in.q + (a.in.queries.start(u.e) + first) * a.in.q_ld + u.head * 8 * kTiles;
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d) {
      Tile<W> t = tile_at(w, q, a.in.q_ld, s.lookers, 8 * d);
      t.scale(a.in.scale * kLog2e);
      s.at.q[d] = left_of<P>(w, t);
    }
    s.at.clear();
  }

  template <class W>
  CRA_KERNEL static void stage(W& w, Stored<P>* keys, Stored<P>* values, const Unit& u, int first,
                               const Args& a) {
    const int left = a.in.nodes.size(u.e) - first;
    const int nodes = left < a.plan.chunk ? left : a.plan.chunk;
    const std::int64_t at = (a.in.nodes.start(u.e) + first) * a.in.kv_ld + u.head * 8 * kTiles;
    for (int i = u.member; i < (nodes + 7) / 8 * kTiles; i += a.plan.unit_warps) {
      const int tile = i / kTiles, d = i % kTiles;
      const std::int64_t from = at + std::int64_t{tile} * 8 * a.in.kv_ld + 8 * d;
      put_by_rows(w, keys, i, a.in.k + from, a.in.kv_ld, nodes - 8 * tile, 1.f);
      put_by_columns(w, values, i, a.in.v + from, a.in.kv_ld, nodes - 8 * tile);
    }
  }

  template <class W>
  CRA_KERNEL static void finish(W& w, State<W>& s, const Unit& u, int group, const Args& a) {
    if (s.lookers <= 0) return;
    const int first = (group * a.plan.unit_warps + u.member) * 16;
    s.at.finish(w, s.lookers, s.nodes, a.log_sum + u.number * a.log_ld + first);
    Stored<P>* const to =
        a.out + (a.in.lookers.start(u.e) + first) * a.out_ld + u.head * 8 * kTiles;
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d) put_tile(w, to, a.out_ld, s.lookers, 8 * d, s.at.o[d]);
  }
};

}  // namespace cra::cuda
