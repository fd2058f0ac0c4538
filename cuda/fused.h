// cuda/fused.h: the whole encoder in one kernel, for attention of nodes to nodes with dot products.
//
// A warp owns 16 rows of one environment and keeps their residual stream in registers from the
// features to the embedding: norms, projections, MLP and residuals never leave it, because a sum of
// a product is the left operand of the next (mma.h). Only keys and values cross between warps,
// through shared memory, and weights are read packed, once per 16 rows. Traffic is the features in
// and the embeddings out; for a backward pass to come, what it needs is written on the way.
#pragma once

#include "cuda/core.h"
#include "cuda/linear.h"

namespace cra::cuda {

/// Where a linear map's operands are.
template <Precision P>
struct FusedLinear {
  const Stored<P>* weight = nullptr;
  const float* bias = nullptr;
};
struct FusedNorm {
  const float* gain = nullptr;
  const float* bias = nullptr;
};

/// Most layers of an encoder, as attention::Params allows.
inline constexpr int kMostLayers = 4;

template <Precision P>
struct FusedArgs {
  struct Layer {
    FusedNorm norm1, norm2;
    FusedLinear<P> qkv, out, mlp0, mlp1;
    // For backward; as in Buffers.
    float* before = nullptr;
    float* between = nullptr;
    float* stats1 = nullptr;
    float* stats2 = nullptr;
    Stored<P>* qkv_rows = nullptr;
    Stored<P>* mixed = nullptr;
    Stored<P>* hidden = nullptr;
    float* log_sum = nullptr;
  };
  const float* x = nullptr;  ///< [rows, 8 feature_tiles]
  int feature_tiles = 0;
  Rows rows;
  std::int64_t environments = 0;
  int width = 0;  ///< numbers of a row of the stream
  int heads = 1;
  float scale = 1;
  int layers = 0;
  Layer layer[kMostLayers];
  FusedLinear<P> embed0, embed1;
  const float* codes = nullptr;  ///< [nodes, padded width]; or null
  const int* number = nullptr;   ///< [rows] of a row's node; null: as they come
  FusedNorm last;
  float* h = nullptr;  ///< [rows, padded width]
  bool keep = false;   ///< write what backward needs
  Stored<P>* hidden = nullptr;
  float* last_rows = nullptr;
  float* last_stats = nullptr;
  int log_ld = 0;

  int block_warps = 8;  ///< warps of a block; a multiple of
  int unit_warps = 1;   ///< warps that share an environment
  std::size_t shared = 0;
  std::int64_t blocks = 0;
};

/// \tparam kHead, kWidth  tiles of 8 columns of a head and of the stream
template <Precision P, int kHead, int kWidth>
struct FusedKernel {
  static constexpr const char* kName = "fused";
  /// Threads of a block share its registers: 16 warps leave each 128, enough for bf16 alone.
  static constexpr int kWarps = P == Precision::bf16 ? 16 : 8;
  using Args = FusedArgs<P>;
  using S = Stored<P>;
  /// Tiles of nodes that are looked at together: as many as there are registers for.
  static constexpr int kTogether = kWarps < 16 || kWidth < 8 ? 4 : kHead < 4 ? 2 : 1;

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    typename Block::template PerWarp<State<W>> states(block);
    auto* const shared = reinterpret_cast<S*>(block.shared());
    block.warps([&](W& w) {
      State<W>& s = states.of(w);
      place(s, block.index, w.index, a);
      if (s.rows > 0) embed(w, s, a);
    });
    for (int l = 0; l < a.layers; ++l) {
      block.warps([&](W& w) {
        State<W>& s = states.of(w);
        if (s.rows > 0) show(w, s, a.layer[l], shared + keys_at(w.index, a), a);
      });
      block.warps([&](W& w) {
        State<W>& s = states.of(w);
        if (s.rows <= 0) return;
        look(w, s, a.layer[l], shared + keys_at(w.index, a), a);
        think(w, s, a.layer[l], a);
      });
    }
    block.warps([&](W& w) {
      State<W>& s = states.of(w);
      if (s.rows > 0) finish(w, s, a);
    });
  }

 private:
  template <class W>
  struct State {
    std::int64_t e = 0, row = 0;  // environment, and the first row among all
    int member = 0, rows = 0, nodes = 0;
    Tile<W> stream[kWidth];
    Left<W, P> y[kWidth];  // the last norm of it
  };

  template <class W>
  CRA_KERNEL static void place(State<W>& s, std::int64_t block, int warp, const Args& a) {
    s.e = block * (a.block_warps / a.unit_warps) + warp / a.unit_warps;
    s.member = warp % a.unit_warps;
    s.rows = s.nodes = 0;
    if (s.e >= a.environments) return;
    s.nodes = a.rows.size(s.e);
    s.rows = s.nodes - 16 * s.member;
    s.row = a.rows.start(s.e) + 16 * s.member;
  }
  /// Numbers of one head's keys, and of its values, in shared memory.
  CRA_KERNEL static int head_numbers(const Args& a) { return a.unit_warps * 16 * 8 * kHead; }
  CRA_KERNEL static std::int64_t keys_at(int warp, const Args& a) {
    return std::int64_t{warp / a.unit_warps} * a.heads * 2 * head_numbers(a);
  }

  /// A column of tiles of y W^T + b: number n of `outputs`.
  template <class W>
  CRA_KERNEL static Tile<W> project(const W& w, const Left<W, P> (&y)[kWidth],
                                    const FusedLinear<P>& l, int n) {
    Tile<W> t;
    t.clear();
    multiply_head<P, kWidth>(w, t, y, l.weight, n * kWidth);
    if (l.bias != nullptr) add_bias(w, t, l.bias, n);
    return t;
  }
  template <class W>
  CRA_KERNEL static void add_bias(const W& w, Tile<W>& t, const float* bias, int n) {
    const auto two = W::load2(bias, pair_of(w) + 8 * n, typename W::M(true));
    CRA_UNROLL
    for (int i = 0; i < 4; ++i) t.x[i] = t.x[i] + (i % 2 ? two.y : two.x);
  }
  /// stream += tile number k of `tiles` of a row, times its columns of W.
  template <class W>
  CRA_KERNEL static void add_product(const W& w, Tile<W> (&stream)[kWidth], const Left<W, P>& left,
                                     const S* weight, int tiles, int k) {
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n)
      multiply<P>(w, stream[n], left, right_at<P>(w, weight, n * tiles + k));
  }
  template <class W>
  CRA_KERNEL static void add_product(const W& w, Tile<W> (&stream)[kWidth], const Left<W, P>& left0,
                                     const Left<W, P>& left1, const S* weight, int tiles, int k) {
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n)
      multiply<P>(w, stream[n], left0, left1, right_at<P>(w, weight, n * tiles + k),
                  right_at<P>(w, weight, n * tiles + k + 1));
  }
  template <class W, class T>
  CRA_KERNEL static void keep(const W& w, const State<W>& s, const Args& a, T* to, int ld, int n,
                              const Tile<W>& t) {
    if (a.keep) put_tile(w, to + s.row * ld, ld, s.rows, 8 * n, t);
  }

  /// Stream = tanh(x W0 + b0) W1 + b1 + code.
  template <class W>
  CRA_KERNEL static void embed(const W& w, State<W>& s, const Args& a) {
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n) s.stream[n].clear();
    const int in = 8 * a.feature_tiles;
    CRA_ROLLED
    for (int n = 0; n < kWidth; n += 2) {
      Left<W, P> hidden[2];
      CRA_UNROLL
      for (int j = 0; j < 2; ++j) {
        Tile<W> t;
        t.clear();
        CRA_ROLLED
        for (int k = 0; k < a.feature_tiles; ++k)
          multiply<P>(w, t, left_of<P>(w, tile_at(w, a.x + s.row * in, in, s.rows, 8 * k)),
                      right_at<P>(w, a.embed0.weight, (n + j) * a.feature_tiles + k));
        add_bias(w, t, a.embed0.bias, n + j);
        hidden[j] = left_of<P>(w, tanh_of(t));
        keep(w, s, a, a.hidden, 8 * kWidth, n + j, tanh_of(t));
      }
      add_product(w, s.stream, hidden[0], hidden[1], a.embed1.weight, kWidth, n);
    }
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n) {
      add_bias(w, s.stream[n], a.embed1.bias, n);
      if (a.codes != nullptr) add_code(w, s, a, n);
    }
  }
  template <class W>
  CRA_KERNEL static Tile<W> tanh_of(Tile<W> t) {
    CRA_UNROLL
    for (int i = 0; i < 4; ++i) t.x[i] = W::tanh(t.x[i]);
    return t;
  }
  template <class W>
  CRA_KERNEL static void add_code(const W& w, State<W>& s, const Args& a, int n) {
    for (int half = 0; half < 2; ++half) {
      auto node = group_of(w) + 8 * half;
      const auto ok = node < s.rows;
      if (a.number != nullptr)
        node = W::load(a.number + s.row, node, ok);
      else
        node = node + 16 * s.member;
      const auto code = W::load2(a.codes, node * (8 * kWidth) + (pair_of(w) + 8 * n), ok);
      s.stream[n].x[2 * half] = s.stream[n].x[2 * half] + code.x;
      s.stream[n].x[2 * half + 1] = s.stream[n].x[2 * half + 1] + code.y;
    }
  }

  /// s.y = LayerNorm(stream), and what backward needs of it.
  template <class W>
  CRA_KERNEL static RowStats<W> norm(const W& w, State<W>& s, const FusedNorm& by, const Args& a,
                                     float* rows, float* stats) {
    const RowStats<W> r =
        row_stats(w, Count<kWidth>{}, a.width, [&](int k) { return s.stream[k]; });
    if (a.keep) put_stats(w, stats + s.row * 2, s.rows, r);
    CRA_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      keep(w, s, a, rows, 8 * kWidth, k, s.stream[k]);
      s.y[k] = left_of<P>(w, normed(w, s.stream[k], r, by.gain, by.bias, k));
    }
    return r;
  }

  /// Keys and values of the warp's rows, to where the others see them.
  template <class W>
  CRA_KERNEL static void show(const W& w, State<W>& s, const typename Args::Layer& l, S* keys,
                              const Args& a) {
    norm(w, s, l.norm1, a, l.before, l.stats1);
    const int head_tiles = a.heads * kHead, ld = 3 * 8 * head_tiles;
    CRA_ROLLED
    for (int n = 0; n < head_tiles; ++n) {
      S* const of_head = keys + n / kHead * 2 * head_numbers(a);
      const Tile<W> key = project(w, s.y, l.qkv, head_tiles + n);
      keep(w, s, a, l.qkv_rows, ld, head_tiles + n, key);
      const Tile<W> value = project(w, s.y, l.qkv, 2 * head_tiles + n);
      keep(w, s, a, l.qkv_rows, ld, 2 * head_tiles + n, value);
      for (int half = 0; half < 2; ++half) {
        const int tile = (2 * s.member + half) * kHead + n % kHead;
        put_right(w, of_head, tile, key.x[2 * half], key.x[2 * half + 1]);
        put_turned(w, of_head + head_numbers(a), tile, value.x[2 * half], value.x[2 * half + 1]);
      }
    }
  }
  /// Rows of a sum become rows of a right operand: a lane has columns 2 t, 2 t + 1 of row g.
  template <class W>
  CRA_KERNEL static void put_turned(const W& w, S* to, int tile, const typename W::F& x,
                                    const typename W::F& y) {
    const auto at = pair_of(w) * 8 + group_of(w);
    W::store(to + std::int64_t{tile} * 64, at, x, typename W::M(true));
    W::store(to + std::int64_t{tile} * 64, at + 8, y, typename W::M(true));
  }

  /// Stream += what the heads see.
  template <class W>
  CRA_KERNEL static void look(const W& w, State<W>& s, const typename Args::Layer& l, const S* keys,
                              const Args& a) {
    const int head_tiles = a.heads * kHead;
    CRA_ROLLED
    for (int h = 0; h < a.heads; ++h) {
      Looking<W, P, kHead> at;
      CRA_UNROLL
      for (int d = 0; d < kHead; ++d) {
        Tile<W> q = project(w, s.y, l.qkv, h * kHead + d);
        keep(w, s, a, l.qkv_rows, 3 * 8 * head_tiles, h * kHead + d, q);
        // Backward reads it back as it was kept.
        q = as_stored(q);
        q.scale(a.scale * kLog2e);
        at.q[d] = left_of<P>(w, q);
      }
      at.clear();
      const S* const of_head = keys + h * 2 * head_numbers(a);
      in_steps<kTogether>((s.nodes + 7) / 8, [&](auto count, int tile) {
        at.template look<decltype(count)::value>(w, of_head, of_head + head_numbers(a), tile,
                                                 s.nodes);
      });
      float* const log_sum =
          a.keep ? l.log_sum + (s.e * a.heads + h) * a.log_ld + 16 * s.member : nullptr;
      at.finish(w, s.rows, s.nodes, log_sum);
      Left<W, P> seen[kHead];
      CRA_UNROLL
      for (int d = 0; d < kHead; ++d) {
        keep(w, s, a, l.mixed, 8 * head_tiles, h * kHead + d, at.o[d]);
        seen[d] = left_of<P>(w, at.o[d]);
      }
      CRA_UNROLL
      for (int d = 0; d + 1 < kHead; d += 2)
        add_product(w, s.stream, seen[d], seen[d + 1], l.out.weight, head_tiles, h * kHead + d);
      if constexpr (kHead % 2 == 1)
        add_product(w, s.stream, seen[kHead - 1], l.out.weight, head_tiles, h * kHead + kHead - 1);
    }
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n) add_bias(w, s.stream[n], l.out.bias, n);
  }
  template <class W>
  CRA_KERNEL static Tile<W> as_stored(Tile<W> t) {
    if constexpr (P == Precision::bf16) {
      CRA_UNROLL
      for (int i = 0; i < 4; i += 2) {
        const auto two = W::unpack_bfloat16(W::pack_bfloat16(t.x[i], t.x[i + 1]));
        t.x[i] = two.x;
        t.x[i + 1] = two.y;
      }
    }
    return t;
  }

  /// Stream += the MLP of its norm, two tiles of hidden numbers at a time.
  template <class W>
  CRA_KERNEL static void think(const W& w, State<W>& s, const typename Args::Layer& l,
                               const Args& a) {
    norm(w, s, l.norm2, a, l.between, l.stats2);
    const int tiles = round8(2 * a.width) / 8;
    CRA_ROLLED
    for (int n = 0; n < tiles; n += 2) {
      Left<W, P> hidden[2];
      CRA_UNROLL
      for (int j = 0; j < 2; ++j) {
        if (n + j >= tiles) continue;
        const Tile<W> t = tanh_of(project(w, s.y, l.mlp0, n + j));
        keep(w, s, a, l.hidden, 8 * tiles, n + j, t);
        hidden[j] = left_of<P>(w, t);
      }
      if (n + 1 < tiles)
        add_product(w, s.stream, hidden[0], hidden[1], l.mlp1.weight, tiles, n);
      else
        add_product(w, s.stream, hidden[0], l.mlp1.weight, tiles, n);
    }
    CRA_UNROLL
    for (int n = 0; n < kWidth; ++n) add_bias(w, s.stream[n], l.mlp1.bias, n);
  }

  template <class W>
  CRA_KERNEL static void finish(const W& w, State<W>& s, const Args& a) {
    const RowStats<W> r =
        row_stats(w, Count<kWidth>{}, a.width, [&](int k) { return s.stream[k]; });
    if (a.keep) put_stats(w, a.last_stats + s.row * 2, s.rows, r);
    CRA_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      keep(w, s, a, a.last_rows, 8 * kWidth, k, s.stream[k]);
      put_tile(w, a.h + s.row * 8 * kWidth, 8 * kWidth, s.rows, 8 * k,
               normed(w, s.stream[k], r, a.last.gain, a.last.bias, k));
    }
  }
};

}  // namespace cra::cuda
