// cuda/rows.h: what is done to rows one by one: norms, means over an environment, and changes of
// layout.
#pragma once

#include "attention/attention.h"
#include "cuda/linear.h"

namespace cra::cuda {

/// y = LayerNorm(x). A warp owns 16 rows.
struct NormKernel {
  static constexpr const char* kName = "norm";
  static constexpr int kWarps = 4;
  struct Args {
    const float* x;  ///< [rows, 8 tiles]
    std::int64_t rows;
    int tiles;
    NormArgs norm;
    float* y;  ///< [rows, 8 tiles]
  };
  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t row = (block.index * kWarps + w.index) * 16;
      if (row >= a.rows) return;
      const int rows = a.rows - row < 16 ? static_cast<int>(a.rows - row) : 16, ld = 8 * a.tiles;
      const auto x = [&](int k) { return tile_at(w, a.x + row * ld, ld, rows, 8 * k); };
      const RowStats<W> s = row_stats(w, a.tiles, a.norm.width, x);
      put_stats(w, a.norm.stats + row * 2, rows, s);
      for (int k = 0; k < a.tiles; ++k)
        put_tile(w, a.y + row * ld, ld, rows, 8 * k,
                 normed(w, x(k), s, a.norm.gain, a.norm.bias, k));
    });
  }
};

/// d_x += or = the gradient by what the norm was given.
struct NormBackwardKernel {
  static constexpr const char* kName = "norm_backward";
  static constexpr int kWarps = 4;
  struct Args {
    const float* d_y;  ///< [rows, 8 tiles]
    const float* x;    ///< [rows, 8 tiles] what it was given
    std::int64_t rows;
    int tiles;
    NormArgs norm;  ///< with the stats that forward left
    bool add;       ///< or written
    float* d_x;     ///< [rows, 8 tiles]
  };
  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    using F = typename W::F;
    block.warps([&](W& w) {
      const std::int64_t row = (block.index * kWarps + w.index) * 16;
      if (row >= a.rows) return;
      const int rows = a.rows - row < 16 ? static_cast<int>(a.rows - row) : 16, ld = 8 * a.tiles;
      const RowStats<W> s = stats_at(w, a.norm.stats + row * 2, rows);
      const auto all = typename W::M(true);
      const auto both = [&](int k, Tile<W>& d, Tile<W>& unit) {
        d = tile_at(w, a.d_y + row * ld, ld, rows, 8 * k);
        unit = tile_at(w, a.x + row * ld, ld, rows, 8 * k);
        const auto gain = W::load2(a.norm.gain, pair_of(w) + 8 * k, all);
        for (int i = 0; i < 4; ++i) {
          d.x[i] = d.x[i] * (i % 2 ? gain.y : gain.x);
          unit.x[i] = (unit.x[i] - s.mean[i / 2]) * s.inverse[i / 2];
        }
      };
      F mean[2] = {F(0.f), F(0.f)}, product[2] = {F(0.f), F(0.f)};
      Tile<W> d, unit;
      for (int k = 0; k < a.tiles; ++k) {
        both(k, d, unit);
        for (int i = 0; i < 4; ++i) {  // of padding the gain, and so d, is 0
          mean[i / 2] = mean[i / 2] + d.x[i];
          product[i / 2] = W::fma(d.x[i], unit.x[i], product[i / 2]);
        }
      }
      const float n = static_cast<float>(a.norm.width);
      for (int half = 0; half < 2; ++half) {
        mean[half] = row_sum<W>(mean[half]) / n;
        product[half] = row_sum<W>(product[half]) / n;
      }
      for (int k = 0; k < a.tiles; ++k) {
        both(k, d, unit);
        Tile<W> to;
        to.clear();
        if (a.add) to = tile_at(w, a.d_x + row * ld, ld, rows, 8 * k);
        for (int i = 0; i < 4; ++i) {
          const F slope = (d.x[i] - mean[i / 2] - unit.x[i] * product[i / 2]) * s.inverse[i / 2];
          to.x[i] = to.x[i] + W::select(pair_of(w) + (8 * k + i % 2) < a.norm.width, slope, F(0.f));
        }
        put_tile(w, a.d_x + row * ld, ld, rows, 8 * k, to);
      }
    });
  }
};

/// Every row of an environment becomes their mean. A warp owns 32 columns of an environment.
template <class In, class Out>
struct MeanKernel {
  static constexpr const char* kName = "mean";
  static constexpr int kWarps = 4;
  struct Args {
    const In* x;  ///< [rows, width]
    Out* y;       ///< the same
    Rows rows;
    std::int64_t environments;
    int width;  ///< padded
    int pieces() const { return (width + kLanes - 1) / kLanes; }
    std::int64_t blocks() const { return tiles_of(environments * pieces(), kWarps); }
  };
  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const int pieces = (a.width + kLanes - 1) / kLanes;
      const std::int64_t number = block.index * kWarps + w.index, e = number / pieces;
      if (e >= a.environments) return;
      const auto col = w.lane() + static_cast<int>(number % pieces) * kLanes;
      const auto ok = col < a.width;
      const int rows = a.rows.size(e);
      typename W::F sum(0.f);
      for (int r = 0; r < rows; ++r)
        sum = sum + W::load(a.x + (a.rows.start(e) + r) * a.width, col, ok);
      sum = sum / static_cast<float>(rows);
      for (int r = 0; r < rows; ++r) W::store(a.y + (a.rows.start(e) + r) * a.width, col, sum, ok);
    });
  }
};

/// Columns in plain order beside columns in heads that each start at a multiple of 8; a warp owns
/// a row. Forward: to = points + what they saw. Backward: to = gradient by what they saw.
template <class In, class Out>
struct SeenKernel {
  static constexpr const char* kName = "seen";
  static constexpr int kWarps = 4;
  struct Args {
    const In* from;  ///< [rows, from_axis]
    Axis from_axis, to_axis;
    std::int64_t rows;
    const float* plus = nullptr;  ///< [plus_rows, to_axis], added round and round; or null
    int plus_rows = 1;
    Out* to;  ///< [rows, to_axis]
  };
  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t row = block.index * kWarps + w.index;
      if (row >= a.rows) return;
      const int wide = a.to_axis.padded(), deep = round8(a.from_axis.block);
      for (int first = 0; first < wide; first += kLanes) {
        const auto col = w.lane() + first;
        const auto inside = col < wide;
        const auto logical = W::map(col, [&](int c) { return a.to_axis.source(c); });
        const auto at = W::map(logical, [&](int c) {
          return c < 0 ? 0 : c / a.from_axis.block * deep + c % a.from_axis.block;
        });
        auto x = W::load(a.from + row * a.from_axis.padded(), at, inside & (logical >= 0));
        if (a.plus != nullptr) x = x + W::load(a.plus + row % a.plus_rows * wide, col, inside);
        W::store(a.to + row * wide, col, x, inside);
      }
    });
  }
};

}  // namespace cra::cuda
