// cuda/gradients.h: gradients by parameters: sums over all rows, without atomics.
//
// Rows are cut into as many parts as is fixed beforehand; every part is summed by itself into a
// parameter block of its own, in order, and SumKernel adds these in order.
#pragma once

#include "cuda/linear.h"

namespace cra::cuda {

/// Part of the rows, and where its sums go.
struct Parts {
  std::int64_t rows = 0;
  std::int64_t each = 0;  ///< rows of a part, a multiple of 8
  int count = 0;          ///< parts
  float* sums = nullptr;  ///< [count, parameters]
  std::int64_t parameters = 0;
};

/// d_W = d_y^T f(x) of every part. A warp owns 16 outputs by 32 inputs of one part.
template <Precision P, class Dy, class In>
struct OuterKernel {
  static constexpr const char* kName = "outer";
  static constexpr int kWarps = 4, kTiles = 4;
  struct Args {
    const Dy* d_y = nullptr;  ///< [rows, outputs padded]
    const In* x = nullptr;    ///< [rows, inputs padded]
    NormArgs norm;            ///< of x, as it was in forward
    Axis outputs, inputs;
    std::int64_t target = 0;  ///< of d_W in the parameter block
    Parts parts;

    CRA_HD int row_tiles() const { return (outputs.padded() + 15) / 16; }
    CRA_HD int col_pieces() const { return (inputs.padded() / 8 + kTiles - 1) / kTiles; }
    CRA_HD std::int64_t warps() const {
      return std::int64_t{parts.count} * row_tiles() * col_pieces();
    }
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t number = block.index * kWarps + w.index;
      if (number >= a.warps()) return;
      const int per_part = a.row_tiles() * a.col_pieces();
      const int part = static_cast<int>(number / per_part);
      const int place = static_cast<int>(number % per_part);
      piece(w, a, part, place / a.col_pieces() * 16, place % a.col_pieces() * kTiles);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static void piece(W& w, const Args& a, int part, int output, int tile) {
    const std::int64_t begin = part * a.parts.each;
    const std::int64_t end =
        begin + a.parts.each < a.parts.rows ? begin + a.parts.each : a.parts.rows;
    const int tiles = a.inputs.padded() / 8;
    Tile<W> total[kTiles], sum[kTiles];
    CRA_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      total[n].clear();
      sum[n].clear();
    }
    int held = 0;
    for (std::int64_t row = begin; row < end; row += 16) {
      const int rows = end - row < 16 ? static_cast<int>(end - row) : 16;
      const Left<W, P> left[2] = {left_at(w, a, row, rows, output),
                                  left_at(w, a, row + 8, rows - 8, output)};
      CRA_UNROLL
      for (int n = 0; n < kTiles; ++n)
        if (tile + n < tiles)
          multiply<P>(w, sum[n], left[0], left[1], right_of(w, a, row, rows, 8 * (tile + n)),
                      right_of(w, a, row + 8, rows - 8, 8 * (tile + n)));
      // Matrix units cut off what does not fit, always the same way: over many rows it would add
      // up, so their sums are kept short.
      held += 16;
      if (held < 64 && row + 16 < end) continue;
      held = 0;
      CRA_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        for (int i = 0; i < 4; ++i) total[n].x[i] = total[n].x[i] + sum[n].x[i];
        sum[n].clear();
      }
    }
    float* const to = a.parts.sums + part * a.parts.parameters + a.target;
    CRA_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      if (tile + n >= tiles) continue;
      for (int i = 0; i < 4; ++i) {
        const auto o = W::map(group_of(w) + (output + i / 2 * 8), [&](int x) {
          return x < a.outputs.padded() ? a.outputs.source(x) : -1;
        });
        const auto c = W::map(pair_of(w) + (8 * (tile + n) + i % 2),
                              [&](int x) { return a.inputs.source(x); });
        W::store(to, o * a.inputs.size() + c, total[n].x[i], (o >= 0) & (c >= 0));
      }
    }
  }

  // Transposed: outputs are the rows of the operand, rows its columns.
  template <class W>
  CRA_KERNEL static Left<W, P> left_at(W& w, const Args& a, std::int64_t row, int rows,
                                       int output) {
    const int ld = a.outputs.padded();
    const auto r = pair_of(w);
    const auto o = group_of(w) + output;
    const auto at = r * ld + o;
    Tile<W> t;
    for (int i = 0; i < 4; ++i)
      t.x[i] = W::load(a.d_y + row * ld, at + (i % 2 * ld + i / 2 * 8),
                       (r + i % 2 < rows) & (o + i / 2 * 8 < ld));
    return left_of<P>(w, t);
  }
  template <class W>
  CRA_KERNEL static Right<W, P> right_of(W& w, const Args& a, std::int64_t row, int rows, int col) {
    using F = typename W::F;
    const int ld = a.inputs.padded();
    const auto r = pair_of(w);
    const auto c = group_of(w) + col;
    F x[2];
    for (int i = 0; i < 2; ++i) {
      const auto ok = r + i < rows;
      x[i] = W::load(a.x + row * ld, r * ld + c + i * ld, ok);
      if (a.norm.gain == nullptr) continue;
      const auto stats = W::load2(a.norm.stats + row * 2, (r + i) * 2, ok);
      const auto all = typename W::M(true);
      x[i] = W::fma((x[i] - stats.x) * stats.y, W::load(a.norm.gain, c, all),
                    W::load(a.norm.bias, c, all));
      x[i] = W::select(ok, x[i], F(0.f));
    }
    if constexpr (P == Precision::bf16)
      return {W::pack_bfloat16(x[0], x[1])};
    else
      return {{x[0], x[1]}};
  }
};

/// Sums over the rows of every part of d_y and, for a norm, of d_y times the row before gain and
/// bias. A warp owns 32 columns of one part.
template <class Dy>
struct ColumnKernel {
  static constexpr const char* kName = "column";
  static constexpr int kWarps = 4;
  struct Args {
    const Dy* d_y = nullptr;  ///< [rows, columns padded]
    Axis columns;
    std::int64_t target = 0;   ///< of the sums in the parameter block
    bool add = false;          ///< to what is there
    const float* x = nullptr;  ///< [rows, columns padded] what a norm was given; or null
    const float* stats = nullptr;
    std::int64_t gain_target = 0;
    Parts parts;

    CRA_HD int pieces() const { return (columns.padded() + kLanes - 1) / kLanes; }
    CRA_HD std::int64_t warps() const { return std::int64_t{parts.count} * pieces(); }
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t number = block.index * kWarps + w.index;
      if (number >= a.warps()) return;
      const int part = static_cast<int>(number / a.pieces());
      piece(w, a, part, static_cast<int>(number % a.pieces()) * kLanes);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static void piece(W& w, const Args& a, int part, int first) {
    using F = typename W::F;
    const std::int64_t begin = part * a.parts.each;
    const std::int64_t end =
        begin + a.parts.each < a.parts.rows ? begin + a.parts.each : a.parts.rows;
    const int ld = a.columns.padded();
    const auto col = w.lane() + first;
    const auto inside = col < ld;
    F sum(0.f), product(0.f);
    for (std::int64_t r = begin; r < end; ++r) {
      const F d = W::load(a.d_y + r * ld, col, inside);
      sum = sum + d;
      if (a.x == nullptr) continue;
      const float mean = a.stats[2 * r], inverse = a.stats[2 * r + 1];
      product = W::fma(d, (W::load(a.x + r * ld, col, inside) - mean) * inverse, product);
    }
    const auto at = W::map(col, [&](int c) { return c < ld ? a.columns.source(c) : -1; });
    float* const to = a.parts.sums + part * a.parts.parameters;
    if (a.add) sum = sum + W::load(to + a.target, at, at >= 0);
    W::store(to + a.target, at, sum, at >= 0);
    if (a.x != nullptr) W::store(to + a.gain_target, at, product, at >= 0);
  }
};

/// The parts of every parameter, in order.
struct SumKernel {
  static constexpr const char* kName = "sum";
  static constexpr int kWarps = 4;
  struct Args {
    Parts parts;
    float* gradient;  ///< [parameters] written
  };
  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t first = (block.index * kWarps + w.index) * kLanes;
      if (first >= a.parts.parameters) return;
      const std::int64_t rest = a.parts.parameters - first;
      const auto ok = w.lane() < (rest < kLanes ? static_cast<int>(rest) : kLanes);
      typename W::F sum(0.f);
      for (int p = 0; p < a.parts.count; ++p)
        sum = sum + W::load(a.parts.sums + p * a.parts.parameters + first, w.lane(), ok);
      W::store(a.gradient + first, w.lane(), sum, ok);
    });
  }
};

}  // namespace cra::cuda
