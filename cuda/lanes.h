// cuda/lanes.h: a warp and a block of threads on the host, one lane after the other; kernel.h says
// what for. Slow and strict: a vector access off its alignment throws where the GPU would trap, and
// memory is exactly as large as was asked for, so that a sanitizer sees what lies outside.
//
// Matrix instructions gather their operands by the fragment layouts of the PTX ISA 8.0, section
// "Matrix multiply-accumulate operation using mma instruction".
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "cuda/kernel.h"

namespace cra::cuda {

template <class T>
struct Lanes {
  std::array<T, kLanes> lane;

  Lanes() = default;
  Lanes(T x) { lane.fill(x); }  // NOLINT(google-explicit-constructor): as a scalar is one per lane
  template <class Fn>
  static Lanes make(Fn f) {
    Lanes r;
    for (int i = 0; i < kLanes; ++i) r.lane[static_cast<std::size_t>(i)] = f(i);
    return r;
  }
  T operator[](int i) const { return lane[static_cast<std::size_t>(i)]; }
};

#define CRA_LANEWISE(op, R)                                            \
  template <class T>                                                   \
  Lanes<R> operator op(const Lanes<T>& a, const Lanes<T>& b) {         \
    return Lanes<R>::make([&](int i) -> R { return a[i] op b[i]; });   \
  }                                                                    \
  template <class T>                                                   \
  Lanes<R> operator op(const Lanes<T>& a, std::type_identity_t<T> b) { \
    return Lanes<R>::make([&](int i) -> R { return a[i] op b; });      \
  }                                                                    \
  template <class T>                                                   \
  Lanes<R> operator op(std::type_identity_t<T> a, const Lanes<T>& b) { \
    return Lanes<R>::make([&](int i) -> R { return a op b[i]; });      \
  }
CRA_LANEWISE(+, T)
CRA_LANEWISE(-, T)
CRA_LANEWISE(*, T)
CRA_LANEWISE(/, T)
CRA_LANEWISE(%, T)
CRA_LANEWISE(<, bool)
CRA_LANEWISE(<=, bool)
CRA_LANEWISE(>=, bool)
CRA_LANEWISE(==, bool)
#undef CRA_LANEWISE
inline Lanes<bool> operator&(const Lanes<bool>& a, const Lanes<bool>& b) {
  return Lanes<bool>::make([&](int i) { return a[i] && b[i]; });
}
template <class T>
Lanes<T>& operator+=(Lanes<T>& a, const Lanes<T>& b) {
  return a = a + b;
}
template <class T>
Lanes<T>& operator*=(Lanes<T>& a, const Lanes<T>& b) {
  return a = a * b;
}

/// One step of a matrix instruction for a row of 8 sums: sum[col] += a[k] b[k][col].
///
/// The units add `Together` exact products and the sum so far in one go: all are cut off below the
/// last place of the largest, and so is the sum, toward zero (Fasi, Higham, Mikaitis and Pranesh,
/// "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 2021). This is the coarsest
/// of the units described there, which keeps no bits below that place.
template <int Together>
void add_products(float (&sum)[8], const float* a, const float (*b)[8]);
extern template void add_products<4>(float (&sum)[8], const float* a, const float (*b)[8]);
extern template void add_products<8>(float (&sum)[8], const float* a, const float (*b)[8]);

class HostWarp {
 public:
  using F = Lanes<float>;
  using I = Lanes<int>;
  using M = Lanes<bool>;
  using U = Lanes<std::uint32_t>;
  template <class T>
  using Of = Lanes<T>;
  struct Two {
    F x, y;
  };

  explicit HostWarp(int place) : index(place) {}
  const int index;  ///< in its block

  static I lane() {
    return I::make([](int i) { return i; });
  }

  // ---- memory: p[at], lanes that are not ok read 0 and write nothing
  template <class T>
  static Lanes<T> load(const T* p, const I& at, const M& ok) {
    return Lanes<T>::make([&](int i) { return ok[i] ? p[at[i]] : T{}; });
  }
  static F load(const Bfloat16* p, const I& at, const M& ok) {
    return F::make([&](int i) { return ok[i] ? widen(p[at[i]]) : 0.f; });
  }
  /// p[at], p[at + 1] in one access.
  template <class T>
  static Two load2(const T* p, const I& at, const M& ok) {
    check_pair(p, at, ok);
    return {load(p, at, ok), load(p, at + 1, ok)};
  }
  /// Two bfloat16 as they are.
  static U load_pair(const Bfloat16* p, const I& at, const M& ok) {
    check_pair(p, at, ok);
    return U::make([&](int i) {
      return ok[i] ? std::uint32_t{p[at[i]].bits} | std::uint32_t{p[at[i] + 1].bits} << 16 : 0u;
    });
  }
  template <class T>
  static void store(T* p, const I& at, const Lanes<T>& x, const M& ok) {
    for (int i = 0; i < kLanes; ++i)
      if (ok[i]) p[at[i]] = x[i];
  }
  static void store(Bfloat16* p, const I& at, const F& x, const M& ok) {
    for (int i = 0; i < kLanes; ++i)
      if (ok[i]) p[at[i]] = narrow(x[i]);
  }
  template <class T>
  static void store2(T* p, const I& at, const F& x, const F& y, const M& ok) {
    check_pair(p, at, ok);
    store(p, at, x, ok);
    store(p, at + 1, y, ok);
  }

  // ---- arithmetic
  static F select(const M& m, const F& a, const F& b) {
    return F::make([&](int i) { return m[i] ? a[i] : b[i]; });
  }
  static I select(const M& m, const I& a, const I& b) {
    return I::make([&](int i) { return m[i] ? a[i] : b[i]; });
  }
  static F max(const F& a, const F& b) {
    return F::make([&](int i) { return std::fmax(a[i], b[i]); });
  }
  static F fma(const F& a, const F& b, const F& c) {
    return F::make([&](int i) { return std::fma(a[i], b[i], c[i]); });
  }
  static F exp2(const F& a) {
    return F::make([&](int i) { return std::exp2(a[i]); });
  }
  static F log2(const F& a) {
    return F::make([&](int i) { return std::log2(a[i]); });
  }
  static F tanh(const F& a) {
    return F::make([&](int i) { return std::tanh(a[i]); });
  }
  /// 1 / sqrt(a)
  static F inverse_root(const F& a) {
    return F::make([&](int i) { return 1 / std::sqrt(a[i]); });
  }

  template <class Fn>
  static I map(const I& a, Fn f) {
    return I::make([&](int i) { return f(a[i]); });
  }

  // ---- across lanes
  /// What lanes have written is there for the others of the warp.
  static void sync() {}
  template <class T>
  static Lanes<T> shuffle_xor(const Lanes<T>& a, int mask) {
    return Lanes<T>::make([&](int i) { return a[i ^ mask]; });
  }

  // ---- matrix instructions: c += a b, PTX names the shapes
  static U to_tf32(const F& a) {
    // Round to nearest, ties away from zero, to 10 bits of mantissa; inf and nan stay what they
    // are.
    return U::make([&](int i) {
      const auto x = std::bit_cast<std::uint32_t>(a[i]);
      return std::isfinite(a[i]) ? (x + 0x1000u) & 0xffffe000u : x;
    });
  }
  static F from_tf32(const U& a) {
    return F::make([&](int i) { return std::bit_cast<float>(a[i] & 0xffffe000u); });
  }
  /// `low` in the lower half.
  static U pack_bfloat16(const F& low, const F& high) {
    return U::make([&](int i) {
      return std::uint32_t{narrow(low[i]).bits} | std::uint32_t{narrow(high[i]).bits} << 16;
    });
  }
  static Two unpack_bfloat16(const U& pair) {
    return {F::make([&](int i) { return part(pair[i], 0); }),
            F::make([&](int i) { return part(pair[i], 1); })};
  }
  /// m16n8k8, tf32
  static void mma_tf32(F (&c)[4], const U (&a)[4], const U (&b)[2]) {
    Products<8, 4> m;
    for (int i = 0; i < kLanes; ++i) {
      const int g = i / 4, t = i % 4;
      for (int r = 0; r < 4; ++r)
        m.a[g + (r % 2) * 8][t + (r / 2) * 4] = std::bit_cast<float>(a[r][i]);
      for (int r = 0; r < 2; ++r) m.b[t + r * 4][g] = std::bit_cast<float>(b[r][i]);
    }
    m.add_to(c);
  }
  /// m16n8k8, bf16
  static void mma_bfloat16(F (&c)[4], const U (&a)[2], const U& b) {
    Products<8, 8> m;
    for (int i = 0; i < kLanes; ++i) {
      const int g = i / 4, t = i % 4;
      for (int half = 0; half < 2; ++half) {
        for (int r = 0; r < 2; ++r) m.a[g + r * 8][2 * t + half] = part(a[r][i], half);
        m.b[2 * t + half][g] = part(b[i], half);
      }
    }
    m.add_to(c);
  }
  /// m16n8k16, bf16
  static void mma_bfloat16(F (&c)[4], const U (&a)[4], const U (&b)[2]) {
    Products<16, 8> m;
    for (int i = 0; i < kLanes; ++i) {
      const int g = i / 4, t = i % 4;
      for (int half = 0; half < 2; ++half) {
        for (int r = 0; r < 4; ++r)
          m.a[g + (r % 2) * 8][2 * t + half + (r / 2) * 8] = part(a[r][i], half);
        for (int r = 0; r < 2; ++r) m.b[2 * t + half + r * 8][g] = part(b[r][i], half);
      }
    }
    m.add_to(c);
  }

 private:
  // Operands of a matrix instruction, put together from the lanes.
  template <int K, int Together>
  struct Products {
    float a[16][K], b[K][8];
    void add_to(F (&c)[4]) const {
      float sum[16][8];
      each(c, [&](int row, int col, float& x) { sum[row][col] = x; });
      for (int k = 0; k < K; k += Together)
        for (int row = 0; row < 16; ++row) add_products<Together>(sum[row], a[row] + k, b + k);
      each(c, [&](int row, int col, float& x) { x = sum[row][col]; });
    }
    template <class Fn>
    static void each(F (&c)[4], Fn f) {
      for (int i = 0; i < kLanes; ++i)
        for (int r = 0; r < 4; ++r)
          f(i / 4 + (r / 2) * 8, 2 * (i % 4) + r % 2, c[r].lane[static_cast<std::size_t>(i)]);
    }
  };

  static float part(std::uint32_t pair, int half) {
    return std::bit_cast<float>(half == 0 ? pair << 16 : pair & 0xffff0000u);
  }
  template <class T>
  static void check_pair(const T* p, const I& at, const M& ok) {
    for (int i = 0; i < kLanes; ++i)
      CRA_CHECK(!ok[i] || reinterpret_cast<std::uintptr_t>(p + at[i]) % (2 * sizeof(T)) == 0,
                "cuda: a pair of numbers is not aligned");
  }
};

/// A block whose warps take turns. Those of a phase must not depend on each other: `backwards`
/// turns their order round, and nothing may change.
class HostBlock {
 public:
  using Warp = HostWarp;
  /// Something that every warp keeps from phase to phase.
  template <class T>
  class PerWarp {
   public:
    explicit PerWarp(const HostBlock& b) : of_warp_(static_cast<std::size_t>(b.warps_)) {}
    T& of(const Warp& w) { return of_warp_[static_cast<std::size_t>(w.index)]; }

   private:
    std::vector<T> of_warp_;
  };

  HostBlock(std::int64_t place, int warps, std::size_t shared_bytes, bool backwards)
      : index(place),
        warps_(warps),
        backwards_(backwards),
        shared_(shared_bytes, std::byte{0xff}) {}
  const std::int64_t index;  ///< in the grid

  template <class Fn>
  void warps(Fn f) {
    for (int i = 0; i < warps_; ++i) {
      HostWarp w(backwards_ ? warps_ - 1 - i : i);
      f(w);
    }
  }
  int warp_count() const { return warps_; }
  std::byte* shared() { return shared_.data(); }

 private:
  int warps_;
  bool backwards_;
  std::vector<std::byte> shared_;  // 0xff: what is read before it is written is not a number
};

}  // namespace cra::cuda
