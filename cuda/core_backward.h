// cuda/core_backward.h: the reverse of core.h in one kernel, without atomics and without stored
// weights.
//
// Weights are computed again from the row sums that forward left. First every warp owns 16 lookers
// and walks over the nodes: gradient by the queries, and D_i = o_i . d_o_i, which is the mean that
// the gradient of a softmax subtracts. Then it owns 16 nodes and walks over the lookers: gradients
// by keys and values. Two of seven products are made twice; for that nothing is shared between
// warps but what is read, and every sum has one order.
#pragma once

#include "attention/attention.h"
#include "cuda/core.h"

namespace cra::cuda {

template <Precision P, int kTiles>
struct CoreBackwardKernel {
  static constexpr const char* kName = "core_backward";
  static constexpr int kWarps = 8;
  static constexpr int kArrays = 4;  ///< in shared memory, see the two stage functions
  /// Tiles of the other side at a time: as many as there are registers for.
  static constexpr int kTogether = P != Precision::bf16 && kTiles > 4 ? 1 : 2;
  struct Args {
    CoreInputs<Stored<P>> in;
    CorePlan plan;                   ///< of chunks of nodes or lookers, whichever are more
    const Stored<P>* o = nullptr;    ///< [rows of lookers, o_ld] as forward wrote it
    const Stored<P>* d_o = nullptr;  ///< the same of the gradient
    int o_ld = 0;
    const float* log_sum = nullptr;  ///< as forward wrote it
    float* mean = nullptr;           ///< [units, log_ld] scratch: D
    int log_ld = 0;
    Stored<P>* d_q = nullptr;  ///< [rows of lookers, d_q_ld] written
    int d_q_ld = 0;
    Stored<P>* d_k = nullptr;  ///< [rows of nodes, d_kv_ld] written
    Stored<P>* d_v = nullptr;
    int d_kv_ld = 0;
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    pass<Lookers>(block, a, a.in.lookers.count, a.in.nodes.count);
    pass<Nodes>(block, a, a.in.nodes.count, a.in.lookers.count);
  }

 private:
  using S = Stored<P>;

  // Where the rows of a warp's tile and the rows that it walks over lie.
  struct Place {
    Unit u;
    int own;             // rows from the tile's first on
    int others;          // rows of the chunk
    std::int64_t row;    // the tile's first
    std::int64_t other;  // the chunk's first
  };

  // One half: tiles of rows are dealt to the warps of a unit; all walk over the other side.
  template <class Half, class Block>
  CRA_KERNEL static void pass(Block& block, const Args& a, int most_own, int most_others) {
    using W = typename Block::Warp;
    typename Block::template PerWarp<typename Half::template State<W>> states(block);
    auto* const shared = reinterpret_cast<S*>(block.shared());
    const std::int64_t array = std::int64_t{a.plan.chunk} * 8 * kTiles;
    const auto arrays_of = [&](const W& w) {
      return shared + w.index / a.plan.unit_warps * kArrays * array;
    };
    for (int tile = 0; tile * 16 < most_own; tile += a.plan.unit_warps) {
      const auto place_of = [&](const W& w, int first) {
        return Half::place(unit_of(block.index, w.index, kWarps, a.in, a.plan), tile * 16, first,
                           a);
      };
      block.warps([&](W& w) {
        const Place p = place_of(w, 0);
        if (p.u.there && p.own > 0) Half::begin(w, states.of(w), p, a);
      });
      for (int first = 0; first < most_others; first += a.plan.chunk) {
        block.warps([&](W& w) {
          const Place p = place_of(w, first);
          if (!p.u.there) return;
          for (int i = p.u.member; i < (p.others + 7) / 8 * kTiles; i += a.plan.unit_warps)
            Half::stage(w, arrays_of(w), array, i, p, a);
        });
        block.warps([&](W& w) {
          const Place p = place_of(w, first);
          if (!p.u.there || p.own <= 0 || p.others <= 0) return;
          in_steps<kTogether>((p.others + 7) / 8, [&](auto count, int i) {
            Half::template look<decltype(count)::value>(w, states.of(w), arrays_of(w), array, i,
                                                        first, p, a);
          });
        });
      }
      block.warps([&](W& w) {
        const Place p = place_of(w, 0);
        if (p.u.there && p.own > 0) Half::finish(w, states.of(w), p, a);
      });
    }
  }

  CRA_KERNEL static int chunk_of(int rows, int chunk) { return rows < chunk ? rows : chunk; }

  template <class W>
  CRA_KERNEL static void load_left(W& w, Left<W, P> (&to)[kTiles], const S* from, int ld, int rows,
                                   float factor) {
    CRA_UNROLL
    for (int d = 0; d < kTiles; ++d) {
      Tile<W> t = tile_at(w, from, ld, rows, 8 * d);
      t.scale(factor);
      to[d] = left_of<P>(w, t);
    }
  }

  // A warp's rows are lookers.
  struct Lookers {
    template <class W>
    struct State {
      Left<W, P> q[kTiles], d_o[kTiles];
      Tile<W> d_q[kTiles];
      typename W::F log_sum[2], mean[2];
    };
    CRA_KERNEL static Place place(const Unit& u, int first_own, int first, const Args& a) {
      Place p{u, 0, 0, 0, 0};
      if (!u.there) return p;
      const int own = first_own + u.member * 16;
      p.own = a.in.lookers.size(u.e) - own;
      p.others = chunk_of(a.in.nodes.size(u.e) - first, a.plan.chunk);
      p.row = own;
      p.other = a.in.nodes.start(u.e) + first;
      return p;
    }
    template <class W>
    CRA_KERNEL static void begin(W& w, State<W>& s, const Place& p, const Args& a) {
      const int col = p.u.head * 8 * kTiles;
      const std::int64_t row = a.in.lookers.start(p.u.e) + p.row;
      load_left(w, s.q, a.in.q + (a.in.queries.start(p.u.e) + p.row) * a.in.q_ld + col, a.in.q_ld,
                p.own, a.in.scale * kLog2e);
      const S* const d_o = a.d_o + row * a.o_ld + col;
      load_left(w, s.d_o, d_o, a.o_ld, p.own, 1.f);
      typename W::F mean[2] = {0.f, 0.f};
      CRA_UNROLL
      for (int d = 0; d < kTiles; ++d) {
        const Tile<W> o = tile_at(w, a.o + row * a.o_ld + col, a.o_ld, p.own, 8 * d);
        const Tile<W> g = tile_at(w, d_o, a.o_ld, p.own, 8 * d);
        for (int i = 0; i < 4; ++i) mean[i / 2] = W::fma(o.x[i], g.x[i], mean[i / 2]);
        s.d_q[d].clear();
      }
      const std::int64_t at = p.u.number * a.log_ld + p.row;
      for (int half = 0; half < 2; ++half) {
        const auto g = group_of(w) + 8 * half;
        s.mean[half] = row_sum<W>(mean[half]);
        s.log_sum[half] = W::load(a.log_sum + at, g, g < p.own);
        W::store(a.mean + at, g, s.mean[half], (g < p.own) & (pair_of(w) == 0));
      }
    }
    // Keys by rows for the scores and by columns for d_q, values by rows for the weights' gradient.
    template <class W>
    CRA_KERNEL static void stage(W& w, S* to, std::int64_t array, int i, const Place& p,
                                 const Args& a) {
      const int tile = i / kTiles * 8, rows = p.others - tile, ld = a.in.kv_ld;
      const std::int64_t from = (p.other + tile) * ld + (p.u.head * kTiles + i % kTiles) * 8;
      put_by_rows(w, to, i, a.in.k + from, ld, rows, 1.f);
      put_by_rows(w, to + array, i, a.in.v + from, ld, rows, 1.f);
      put_by_columns(w, to + 2 * array, i, a.in.k + from, ld, rows);
    }
    template <int kCount, class W>
    CRA_KERNEL static void look(W& w, State<W>& s, const S* at, std::int64_t array, int tile,
                                int /*first*/, const Place& p, const Args& /*a*/) {
      using F = typename W::F;
      Left<W, P> d_score[kCount];
      CRA_UNROLL
      for (int j = 0; j < kCount; ++j) {
        Tile<W> weight, d;
        weight.clear();
        d.clear();
        multiply_head<P, kTiles>(w, weight, s.q, at, (tile + j) * kTiles);
        // There are registers for one product at a time.
        if constexpr (kTogether == 1) W::sync();
        multiply_head<P, kTiles>(w, d, s.d_o, at + array, (tile + j) * kTiles);
        const auto node = pair_of(w) + 8 * (tile + j);
        CRA_UNROLL
        for (int i = 0; i < 4; ++i) {
          const F a = W::exp2(weight.x[i] - s.log_sum[i / 2]);
          d.x[i] = W::select(node + i % 2 < p.others,
                             attention::softmax_slope(a, d.x[i], s.mean[i / 2]), F(0.f));
        }
        d_score[j] = left_of<P>(w, d);
      }
      multiply_nodes<P, kCount, kTiles>(w, s.d_q, d_score, at + 2 * array, tile);
    }
    template <class W>
    CRA_KERNEL static void finish(W& w, State<W>& s, const Place& p, const Args& a) {
      S* const to = a.d_q + (a.in.lookers.start(p.u.e) + p.row) * a.d_q_ld + p.u.head * 8 * kTiles;
      CRA_UNROLL
      for (int d = 0; d < kTiles; ++d) {
        s.d_q[d].scale(a.in.scale);
        put_tile(w, to, a.d_q_ld, p.own, 8 * d, s.d_q[d]);
      }
    }
  };

  // A warp's rows are nodes.
  struct Nodes {
    template <class W>
    struct State {
      Left<W, P> k[kTiles], v[kTiles];
      Tile<W> d_k[kTiles], d_v[kTiles];
    };
    CRA_KERNEL static Place place(const Unit& u, int first_own, int first, const Args& a) {
      Place p{u, 0, 0, 0, 0};
      if (!u.there) return p;
      const int own = first_own + u.member * 16;
      p.own = a.in.nodes.size(u.e) - own;
      p.others = chunk_of(a.in.lookers.size(u.e) - first, a.plan.chunk);
      p.row = a.in.nodes.start(u.e) + own;
      p.other = first;
      return p;
    }
    template <class W>
    CRA_KERNEL static void begin(W& w, State<W>& s, const Place& p, const Args& a) {
      const std::int64_t at = p.row * a.in.kv_ld + p.u.head * 8 * kTiles;
      load_left(w, s.k, a.in.k + at, a.in.kv_ld, p.own, 1.f);
      load_left(w, s.v, a.in.v + at, a.in.kv_ld, p.own, 1.f);
      CRA_UNROLL
      for (int d = 0; d < kTiles; ++d) {
        s.d_k[d].clear();
        s.d_v[d].clear();
      }
    }
    // Queries and gradients by rows for weights and theirs, by columns for d_k and d_v.
    template <class W>
    CRA_KERNEL static void stage(W& w, S* to, std::int64_t array, int i, const Place& p,
                                 const Args& a) {
      const int tile = i / kTiles * 8, rows = p.others - tile;
      const int col = (p.u.head * kTiles + i % kTiles) * 8;
      const std::int64_t row = p.other + tile;
      const S* const q = a.in.q + (a.in.queries.start(p.u.e) + row) * a.in.q_ld + col;
      const S* const d_o = a.d_o + (a.in.lookers.start(p.u.e) + row) * a.o_ld + col;
      put_by_rows(w, to, i, q, a.in.q_ld, rows, a.in.scale * kLog2e);
      put_by_rows(w, to + array, i, d_o, a.o_ld, rows, 1.f);
      put_by_columns(w, to + 2 * array, i, q, a.in.q_ld, rows);
      put_by_columns(w, to + 3 * array, i, d_o, a.o_ld, rows);
    }
    template <int kCount, class W>
    CRA_KERNEL static void look(W& w, State<W>& s, const S* at, std::int64_t array, int tile,
                                int first, const Place& p, const Args& a) {
      using F = typename W::F;
      Left<W, P> weights[kCount], d_score[kCount];
      const std::int64_t rows = p.u.number * a.log_ld + first;
      CRA_UNROLL
      for (int j = 0; j < kCount; ++j) {
        Tile<W> weight, d;
        weight.clear();
        d.clear();
        multiply_head<P, kTiles>(w, weight, s.k, at, (tile + j) * kTiles);
        // There are registers for one product at a time.
        if constexpr (kTogether == 1) W::sync();
        multiply_head<P, kTiles>(w, d, s.v, at + array, (tile + j) * kTiles);
        const auto looker = pair_of(w) + 8 * (tile + j);
        const auto log_sum = W::load2(a.log_sum + rows, looker, looker < p.others);
        const auto mean = W::load2(a.mean + rows, looker, looker < p.others);
        CRA_UNROLL
        for (int i = 0; i < 4; ++i) {
          const auto ok = looker + i % 2 < p.others;
          weight.x[i] =
              W::select(ok, W::exp2(weight.x[i] - (i % 2 ? log_sum.y : log_sum.x)), F(0.f));
          d.x[i] = W::select(
              ok, attention::softmax_slope(weight.x[i], d.x[i], i % 2 ? mean.y : mean.x), F(0.f));
        }
        weights[j] = left_of<P>(w, weight);
        d_score[j] = left_of<P>(w, d);
      }
      multiply_nodes<P, kCount, kTiles>(w, s.d_k, d_score, at + 2 * array, tile);
      multiply_nodes<P, kCount, kTiles>(w, s.d_v, weights, at + 3 * array, tile);
    }
    template <class W>
    CRA_KERNEL static void finish(W& w, State<W>& s, const Place& p, const Args& a) {
      const std::int64_t at = p.row * a.d_kv_ld + p.u.head * 8 * kTiles;
      CRA_UNROLL
      for (int d = 0; d < kTiles; ++d) {
        s.d_k[d].scale(a.in.scale);
        put_tile(w, a.d_k + at, a.d_kv_ld, p.own, 8 * d, s.d_k[d]);
        put_tile(w, a.d_v + at, a.d_kv_ld, p.own, 8 * d, s.d_v[d]);
      }
    }
  };
};

}  // namespace cra::cuda
