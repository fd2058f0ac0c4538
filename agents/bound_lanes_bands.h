// agents/bound_lanes_bands.h: NewtonKernel::factor_bands, invert_near and solve_bands.
//
// A lane is a chain. Most chains have bands of half width 2 to 4, which the compiler unrolls.
#pragma once

#include "agents/bound_lanes.h"

namespace cra::agents {
namespace {

constexpr int kMostHalf = 4;  // unrolled

/// Calls f<half>(...) where that is unrolled, else f<0>(...).
#define CRA_BY_HALF(f, half, ...)       \
  switch (half) {                       \
    case 2:                             \
      return f<2>(__VA_ARGS__);         \
    case 3:                             \
      return f<3>(__VA_ARGS__);         \
    case 4:                             \
      return f<kMostHalf>(__VA_ARGS__); \
    default:                            \
      return f<0>(__VA_ARGS__);         \
  }

template <int H>
CRA_INLINE bool factor_bands_of(const Bands& b) {
  const int half = H > 0 ? H : b.half, step = half + 1;
  using Mask = decltype(Lanes{} > Lanes{});
  Mask sound = ~Mask{};
  for (int part = 0; part < kParts; ++part) {
    double* lane = b.a + part * kLanes;
    const auto at = [&](int r, int c) {
      return lane + (static_cast<long>(r) * step + c - r + half) * kLaneBlock;
    };
    for (int r = 0; r < b.rows; ++r) {
      const int first = r < half ? 0 : r - half;
      for (int c = first; c <= r; ++c) {
        Lanes sum = load(at(r, c));
        for (int j = first; j < c; ++j) sum -= load(at(r, j)) * load(at(c, j));
        if (c < r) {
          store(at(r, c), sum * load(at(c, c)));
        } else {
          sound &= sum > 0;
          store(at(r, r), 1 / root(sum));
        }
      }
    }
  }
  bool all = true;
  for (int i = 0; i < kLanes; ++i) all = all && sound[i] != 0;
  return all;
}
bool factor_bands(const Bands& b) { CRA_BY_HALF(factor_bands_of, b.half, b) }

template <int H>
CRA_INLINE void invert_near_of(const Bands& b, int reach, double* near) {
  const int half = H > 0 ? H : b.half, step = half + 1;
  for (int part = 0; part < kParts; ++part) {
    const double* a = b.a + part * kLanes;
    double* out = near + part * kLanes;
    const auto band = [&](int r, int c) {
      return load(a + (static_cast<long>(r) * step + c - r + half) * kLaneBlock);
    };
    const auto at = [&](int r, int c) {
      return out +
             (r < c ? static_cast<long>(r) * reach + c - r : static_cast<long>(c) * reach + r - c) *
                 kLaneBlock;
    };
    for (int r = b.rows - 1; r >= 0; --r) {
      const Lanes over = band(r, r);
      const int last = r + half < b.rows ? r + half : b.rows - 1;
      for (int c = r + reach <= b.rows ? r + reach - 1 : b.rows - 1; c >= r; --c) {
        Lanes sum = {};
        for (int j = r + 1; j <= last; ++j) sum += band(j, r) * load(at(j, c));
        store(at(r, c), over * ((c == r ? over : Lanes{}) - sum));
      }
    }
  }
}
void invert_near(const Bands& b, int reach, double* near) {
  CRA_BY_HALF(invert_near_of, b.half, b, reach, near)
}

/// Rows that went before, or none: those beyond the ends are zero.
template <int H>
CRA_INLINE void solve_bands_of(const Bands& b, double* v) {
  const long step = static_cast<long>(H + 1) * kLaneBlock;
  for (int part = 0; part < kParts; ++part) {
    const double* a = b.a + part * kLanes;
    double* x = v + part * kLanes;
    Lanes before[H] = {};  // of rows r - H .. r - 1; the band is zero where there are none
    for (int r = 0; r < b.rows; ++r) {
      const double* row = a + r * step;
      Lanes sum = load(x + static_cast<long>(r) * kLaneBlock);
      for (int j = 0; j < H; ++j) sum -= load(row + j * kLaneBlock) * before[j];
      sum *= load(row + H * kLaneBlock);
      store(x + static_cast<long>(r) * kLaneBlock, sum);
      for (int j = 0; j + 1 < H; ++j) before[j] = before[j + 1];
      before[H - 1] = sum;
    }
    Lanes after[H] = {};  // of rows r + H .. r + 1
    for (int r = b.rows - 1; r >= 0; --r) {
      Lanes sum = load(x + static_cast<long>(r) * kLaneBlock);
      for (int j = 0; j < H; ++j)
        if (r + H - j < b.rows) sum -= load(a + (r + H - j) * step + j * kLaneBlock) * after[j];
      sum *= load(a + r * step + H * kLaneBlock);
      store(x + static_cast<long>(r) * kLaneBlock, sum);
      for (int j = 0; j + 1 < H; ++j) after[j] = after[j + 1];
      after[H - 1] = sum;
    }
  }
}

template <>
CRA_INLINE void solve_bands_of<0>(const Bands& b, double* v) {
  const long step = static_cast<long>(b.half + 1) * kLaneBlock;
  for (int part = 0; part < kParts; ++part) {
    const double* a = b.a + part * kLanes;
    const auto x = [&](int r) { return v + static_cast<long>(r) * kLaneBlock + part * kLanes; };
    const auto band = [&](int r, int c) {
      return load(a + r * step + static_cast<long>(c - r + b.half) * kLaneBlock);
    };
    for (int r = 0; r < b.rows; ++r) {
      Lanes sum = load(x(r));
      for (int c = r < b.half ? 0 : r - b.half; c < r; ++c) sum -= band(r, c) * load(x(c));
      store(x(r), sum * band(r, r));
    }
    for (int r = b.rows - 1; r >= 0; --r) {
      Lanes sum = load(x(r));
      for (int c = r + b.half < b.rows ? r + b.half : b.rows - 1; c > r; --c)
        sum -= band(c, r) * load(x(c));
      store(x(r), sum * band(r, r));
    }
  }
}
void solve_bands(const Bands& b, double* v) { CRA_BY_HALF(solve_bands_of, b.half, b, v) }

#undef CRA_BY_HALF

}  // namespace
}  // namespace cra::agents
