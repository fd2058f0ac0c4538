// cuda/linear.h: y = f(x) W^T + b over all rows, with what stands before and after it.
#pragma once

#include "attention/attention.h"
#include "cuda/mma.h"

namespace cra::cuda {

inline constexpr float kNormEpsilon = 1e-5f;  ///< of attention/heads.h

/// LayerNorm of rows. Padding has gain and bias 0, and so stays 0.
struct NormArgs {
  const float* gain = nullptr;  ///< [padded width]; null: no norm
  const float* bias = nullptr;
  int width = 0;           ///< numbers of a row
  float* stats = nullptr;  ///< [rows, 2] mean and 1 / standard deviation
};

/// Mean and 1 / standard deviation of rows g and g + 8.
template <class W>
struct RowStats {
  typename W::F mean[2], inverse[2];
};

/// \param tile  tile(k) gives columns 8 k ... of the 16 rows
/// \param tiles  an int or a Count
template <class W, class Tiles, class TileOf>
CRA_KERNEL RowStats<W> row_stats(const W& w, Tiles tiles, int width, TileOf tile) {
  using F = typename W::F;
  RowStats<W> s;
  F sum[2] = {F(0.f), F(0.f)}, squares[2] = {F(0.f), F(0.f)};
  CRA_UNROLL
  for (int k = 0; k < tiles; ++k) {
    const Tile<W> t = tile(k);
    for (int half = 0; half < 2; ++half)
      sum[half] = sum[half] + (t.x[2 * half] + t.x[2 * half + 1]);
  }
  const float n = static_cast<float>(width);
  for (int half = 0; half < 2; ++half) s.mean[half] = row_sum<W>(sum[half]) / n;
  CRA_UNROLL
  for (int k = 0; k < tiles; ++k) {
    const Tile<W> t = tile(k);
    const auto col = pair_of(w) + 8 * k;
    for (int i = 0; i < 4; ++i) {
      const F off = W::select(col + i % 2 < width, t.x[i] - s.mean[i / 2], F(0.f));
      squares[i / 2] = W::fma(off, off, squares[i / 2]);
    }
  }
  for (int half = 0; half < 2; ++half)
    s.inverse[half] = W::inverse_root(row_sum<W>(squares[half]) / n + kNormEpsilon);
  return s;
}

/// (x - mean) / standard deviation * gain + bias of a tile of columns 8 k ...
template <class W>
CRA_KERNEL Tile<W> normed(const W& w, Tile<W> t, const RowStats<W>& s, const float* gain,
                          const float* bias, int k) {
  const auto all = typename W::M(true);
  const auto at = pair_of(w) + 8 * k;
  const auto by = W::load2(gain, at, all), plus = W::load2(bias, at, all);
  for (int i = 0; i < 4; ++i)
    t.x[i] = W::fma((t.x[i] - s.mean[i / 2]) * s.inverse[i / 2], i % 2 ? by.y : by.x,
                    i % 2 ? plus.y : plus.x);
  return t;
}

/// \param to  [rows, 2], of the tile's first row
template <class W>
CRA_KERNEL void put_stats(const W& w, float* to, int rows, const RowStats<W>& s) {
  const auto g = group_of(w);
  const auto one = pair_of(w) == 0;
  for (int half = 0; half < 2; ++half)
    W::store2(to, (g + 8 * half) * 2, s.mean[half], s.inverse[half], one & (g + 8 * half < rows));
}
template <class W>
CRA_KERNEL RowStats<W> stats_at(const W& w, const float* from, int rows) {
  RowStats<W> s;
  const auto g = group_of(w);
  for (int half = 0; half < 2; ++half) {
    const auto two = W::load2(from, (g + 8 * half) * 2, g + 8 * half < rows);
    s.mean[half] = two.x;
    s.inverse[half] = two.y;
  }
  return s;
}

/// What is done with x W^T + b before it is stored.
enum class Ending {
  none,
  tanh,
  residual,  ///< + residual, of the same place
  code,      ///< + the code of the row's node
  slope,     ///< * (1 - y^2), y of the same place: back through a tanh
};

/// A warp owns 16 rows and up to 64 columns of the result.
template <Precision P, class In, class Out>
struct LinearKernel {
  static constexpr const char* kName = "linear";
  static constexpr int kWarps = 4, kTiles = 8;
  struct Args {
    const In* x = nullptr;  ///< [rows, 8 in_tiles]
    std::int64_t rows = 0;
    int in_tiles = 0, out_tiles = 0;
    const Stored<P>* weight = nullptr;  ///< packed
    const float* bias = nullptr;        ///< [8 out_tiles]; or null
    NormArgs norm;                      ///< of x, before the product
    Ending ending = Ending::none;
    const float* residual = nullptr;  ///< [rows, 8 out_tiles]
    const float* codes = nullptr;     ///< [nodes, 8 out_tiles]
    const int* number = nullptr;      ///< [rows] of a row's node; null: row % nodes
    int nodes = 0;
    const Stored<P>* tanh_of = nullptr;  ///< [rows, 8 out_tiles]
    Out* y = nullptr;                    ///< [rows, 8 out_tiles]

    int chunks() const { return (out_tiles + kTiles - 1) / kTiles; }
    std::int64_t blocks() const { return tiles_of(rows, 16 * kWarps) * chunks(); }
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const int chunks = (a.out_tiles + kTiles - 1) / kTiles;
      const std::int64_t row = (block.index / chunks * kWarps + w.index) * 16;
      if (row >= a.rows) return;
      tile_of_result(w, a, row, static_cast<int>(block.index % chunks) * kTiles);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static void tile_of_result(W& w, const Args& a, std::int64_t row, int first) {
    const int rows = a.rows - row < 16 ? static_cast<int>(a.rows - row) : 16;
    const int in = 8 * a.in_tiles;
    const auto x_tile = [&](int k) { return tile_at(w, a.x + row * in, in, rows, 8 * k); };
    RowStats<W> stats;
    if (a.norm.gain != nullptr) {
      stats = row_stats(w, a.in_tiles, a.norm.width, x_tile);
      if (first == 0) put_stats(w, a.norm.stats + row * 2, rows, stats);
    }
    const auto left = [&](int k) {
      Tile<W> t = x_tile(k);
      if (a.norm.gain != nullptr) t = normed(w, t, stats, a.norm.gain, a.norm.bias, k);
      return left_of<P>(w, t);
    };
    Tile<W> sum[kTiles];
    CRA_UNROLL
    for (int n = 0; n < kTiles; ++n) sum[n].clear();
    int k = 0;
    for (; k + 1 < a.in_tiles; k += 2) {
      const Left<W, P> a0 = left(k), a1 = left(k + 1);
      CRA_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        if (first + n >= a.out_tiles) continue;
        const int at = (first + n) * a.in_tiles + k;
        multiply<P>(w, sum[n], a0, a1, right_at<P>(w, a.weight, at),
                    right_at<P>(w, a.weight, at + 1));
      }
    }
    if (k < a.in_tiles) {
      const Left<W, P> a0 = left(k);
      CRA_UNROLL
      for (int n = 0; n < kTiles; ++n)
        if (first + n < a.out_tiles)
          multiply<P>(w, sum[n], a0, right_at<P>(w, a.weight, (first + n) * a.in_tiles + k));
    }
    CRA_UNROLL
    for (int n = 0; n < kTiles; ++n)
      if (first + n < a.out_tiles) finish(w, a, row, rows, 8 * (first + n), sum[n]);
  }

  template <class W>
  CRA_KERNEL static void finish(W& w, const Args& a, std::int64_t row, int rows, int col,
                                Tile<W> t) {
    const int out = 8 * a.out_tiles;
    if (a.bias != nullptr) {
      const auto two = W::load2(a.bias, pair_of(w) + col, typename W::M(true));
      for (int i = 0; i < 4; ++i) t.x[i] = t.x[i] + (i % 2 ? two.y : two.x);
    }
    if (a.ending == Ending::tanh) {
      for (int i = 0; i < 4; ++i) t.x[i] = W::tanh(t.x[i]);
    } else if (a.ending == Ending::residual) {
      const Tile<W> other = tile_at(w, a.residual + row * out, out, rows, col);
      for (int i = 0; i < 4; ++i) t.x[i] = t.x[i] + other.x[i];
    } else if (a.ending == Ending::slope) {
      const Tile<W> y = tile_at(w, a.tanh_of + row * out, out, rows, col);
      for (int i = 0; i < 4; ++i)
        t.x[i] = t.x[i] * attention::tanh_slope<float, typename W::F>(y.x[i]);
    } else if (a.ending == Ending::code) {
      const auto g = group_of(w);
      for (int half = 0; half < 2; ++half) {
        const auto ok = g + 8 * half < rows;
        auto node = g + 8 * half;
        if (a.number != nullptr)
          node = W::load(a.number + row, node, ok);
        else
          node = (node + static_cast<int>(row % a.nodes)) % a.nodes;
        const auto code = W::load2(a.codes, node * out + (pair_of(w) + col), ok);
        t.x[2 * half] = t.x[2 * half] + code.x;
        t.x[2 * half + 1] = t.x[2 * half + 1] + code.y;
      }
    }
    put_tile(w, a.y + row * out, out, rows, col, t);
  }
};

}  // namespace cra::cuda
