// cuda/device_warp.cuh: a warp and a block of the GPU, as kernel.h wants them; lanes.h is the same
// on the host and says what every function does.
#pragma once

#include <cuda_runtime.h>

#include "cuda/kernel.h"

namespace cra::cuda {

class DeviceWarp {
 public:
  using F = float;
  using I = int;
  using M = bool;
  using U = std::uint32_t;
  struct Two {
    F x, y;
  };

  __device__ DeviceWarp() : index(static_cast<int>(threadIdx.x) / kLanes) {}
  const int index;

  static __device__ I lane() { return static_cast<int>(threadIdx.x) % kLanes; }

  template <class T>
  static __device__ T load(const T* p, I at, M ok) {
    return ok ? p[at] : T{};
  }
  static __device__ F load(const Bfloat16* p, I at, M ok) { return ok ? widen(p[at].bits) : 0.f; }
  static __device__ Two load2(const float* p, I at, M ok) {
    if (!ok) return {0.f, 0.f};
    const float2 two = *reinterpret_cast<const float2*>(p + at);
    return {two.x, two.y};
  }
  static __device__ Two load2(const Bfloat16* p, I at, M ok) {
    return unpack_bfloat16(load_pair(p, at, ok));
  }
  static __device__ U load_pair(const Bfloat16* p, I at, M ok) {
    return ok ? *reinterpret_cast<const U*>(p + at) : 0u;
  }
  template <class T>
  static __device__ void store(T* p, I at, T x, M ok) {
    if (ok) p[at] = x;
  }
  static __device__ void store(Bfloat16* p, I at, F x, M ok) {
    if (ok) p[at].bits = static_cast<std::uint16_t>(pack_bfloat16(x, 0.f));
  }
  static __device__ void store2(float* p, I at, F x, F y, M ok) {
    if (ok) *reinterpret_cast<float2*>(p + at) = make_float2(x, y);
  }
  static __device__ void store2(Bfloat16* p, I at, F x, F y, M ok) {
    if (ok) *reinterpret_cast<U*>(p + at) = pack_bfloat16(x, y);
  }

  static __device__ F select(M m, F a, F b) { return m ? a : b; }
  static __device__ F max(F a, F b) { return fmaxf(a, b); }
  static __device__ F fma(F a, F b, F c) { return fmaf(a, b, c); }
  /// Relative error below 2^-22; below 2^-126 the result is 0.
  static __device__ F exp2(F a) {
    F y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(a));
    return y;
  }
  static __device__ F log2(F a) { return log2f(a); }
  static __device__ F tanh(F a) { return tanhf(a); }
  static __device__ F inverse_root(F a) { return rsqrtf(a); }
  template <class Fn>
  static __device__ I map(I a, Fn f) {
    return f(a);
  }

  static __device__ void sync() { __syncwarp(); }
  template <class T>
  static __device__ T shuffle_xor(T a, int mask) {
    return __shfl_xor_sync(0xffffffffu, a, mask);
  }

  static __device__ U to_tf32(F a) {
    U y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(a));
    return y;
  }
  static __device__ F from_tf32(U a) { return __uint_as_float(a & 0xffffe000u); }
  static __device__ U pack_bfloat16(F low, F high) {
    U y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
  }
  static __device__ Two unpack_bfloat16(U pair) {
    return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
  }
  static __device__ void mma_tf32(F (&c)[4], const U (&a)[4], const U (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  static __device__ void mma_bfloat16(F (&c)[4], const U (&a)[2], U b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b));
  }
  static __device__ void mma_bfloat16(F (&c)[4], const U (&a)[4], const U (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }

 private:
  static __device__ F widen(std::uint16_t bits) {
    return __uint_as_float(static_cast<U>(bits) << 16);
  }
};

class DeviceBlock {
 public:
  using Warp = DeviceWarp;
  template <class T>
  class PerWarp {
   public:
    __device__ explicit PerWarp(const DeviceBlock& /*b*/) {}
    __device__ T& of(const DeviceWarp& /*w*/) { return mine_; }

   private:
    T mine_;
  };

  __device__ DeviceBlock() : index(blockIdx.x) {}
  const std::int64_t index;

  template <class Fn>
  __device__ __forceinline__ void warps(Fn f) {
    DeviceWarp w;
    f(w);
    __syncthreads();
  }
  __device__ std::byte* shared() {
    extern __shared__ uint4 memory[];
    return reinterpret_cast<std::byte*>(memory);
  }
};

}  // namespace cra::cuda
