// cuda/core_work.h: the core of attention alone, with buffers of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cuda/core_backward.h"
#include "cuda/cuda.h"

namespace cra::cuda {

/// Queries, keys and values stand side by side in a row, as the encoder has them.
template <class M, Precision P>
class CoreWork {
 public:
  using S = Stored<P>;

  CoreWork(M& m, const CoreShape& s) : shape_(s), rows_(s.environments * s.nodes) {
    CRA_CHECK(s.environments >= 1 && s.nodes >= 1 && s.heads >= 1 && s.size >= 8 &&
                  s.size % 8 == 0 && s.size <= 8 * kMostHeadTiles,
              "cuda: a core needs heads of 8, 16, ... " + std::to_string(8 * kMostHeadTiles) +
                  " numbers, not of " + std::to_string(s.size));
    const std::int64_t d = width();
    qkv = m.template array<S>(rows_ * 3 * d);
    out = m.template array<S>(rows_ * d);
    d_out = m.template array<S>(rows_ * d);
    d_qkv = m.template array<S>(rows_ * 3 * d);
    log_sum = m.template array<float>(units() * log_ld());
    mean = m.template array<float>(units() * log_ld());
    // Pairs are read where one of the two may be padding.
    m.zero(log_sum.data(), units() * log_ld());
    m.zero(mean.data(), units() * log_ld());
  }

  /// Bytes of device memory that a forward pass goes through.
  std::int64_t bytes() const { return rows_ * 4 * width() * static_cast<std::int64_t>(sizeof(S)); }

  void forward(M& m) const {
    with_tiles([&](auto tiles) {
      using K = CoreKernel<P, decltype(tiles)::value>;
      typename K::Args a;
      a.in = inputs();
      a.plan = core_plan(units(), shape_.nodes, shape_.nodes, tiles, K::kWarps, K::kArrays,
                         sizeof(S), true);
      a.out = out.data();
      a.out_ld = width();
      a.log_sum = log_sum.data();
      a.log_ld = log_ld();
      m.template launch<K>(a.plan.blocks, a.plan.shared, a);
    });
  }
  void backward(M& m) const {
    with_tiles([&](auto tiles) {
      using K = CoreBackwardKernel<P, decltype(tiles)::value>;
      typename K::Args a;
      a.in = inputs();
      a.plan = core_plan(units(), shape_.nodes, shape_.nodes, tiles, K::kWarps, K::kArrays,
                         sizeof(S), false);
      a.o = out.data();
      a.d_o = d_out.data();
      a.o_ld = width();
      a.log_sum = log_sum.data();
      a.mean = mean.data();
      a.log_ld = log_ld();
      a.d_q = d_qkv.data();
      a.d_q_ld = 3 * width();
      a.d_k = d_qkv.data() + width();
      a.d_v = d_qkv.data() + 2 * width();
      a.d_kv_ld = 3 * width();
      m.template launch<K>(a.plan.blocks, a.plan.shared, a);
    });
  }

  template <class T>
  using Array = typename M::template Array<T>;
  Array<S> qkv, out, d_out, d_qkv;
  Array<float> log_sum, mean;

 private:
  int width() const { return shape_.heads * shape_.size; }
  std::int64_t units() const { return shape_.environments * shape_.heads; }
  int log_ld() const { return round8(shape_.nodes); }
  CoreInputs<S> inputs() const {
    CoreInputs<S> in;
    in.q = qkv.data();
    in.k = qkv.data() + width();
    in.v = qkv.data() + 2 * width();
    in.q_ld = in.kv_ld = 3 * width();
    in.heads = shape_.heads;
    in.queries = in.lookers = in.nodes = {nullptr, shape_.nodes, shape_.nodes};
    in.scale = static_cast<float>(1 / std::sqrt(double(shape_.size)));
    in.environments = shape_.environments;
    return in;
  }
  template <class Fn>
  void with_tiles(Fn f) const {
    switch (shape_.size / 8) {
      case 1:
        return f(Count<1>{});
      case 2:
        return f(Count<2>{});
      case 3:
        return f(Count<3>{});
      case 4:
        return f(Count<4>{});
      case 5:
        return f(Count<5>{});
      case 6:
        return f(Count<6>{});
      case 7:
        return f(Count<7>{});
      default:
        return f(Count<8>{});
    }
  }

  CoreShape shape_;
  std::int64_t rows_;
};

/// Numbers of the device as the host has them.
template <class M, class S>
std::vector<float> floats_of(M& m, const S* from, std::int64_t count) {
  std::vector<S> kept(static_cast<std::size_t>(count));
  m.download(kept.data(), from, count);
  m.wait();
  std::vector<float> values;
  values.reserve(kept.size());
  for (const S& s : kept) {
    if constexpr (std::is_same_v<S, Bfloat16>)
      values.push_back(widen(s));
    else
      values.push_back(s);
  }
  return values;
}

/// The same with a machine of its own, fed from and read by the host.
template <class M, Precision P>
class CoreOn : public Core {
 public:
  CoreOn(const CoreShape& s, M machine)
      : machine_(std::move(machine)),
        work_(machine_, s),
        rows_(s.environments * s.nodes),
        width_(s.heads * s.size) {}

  void set(std::span<const float> qkv, std::span<const float> d_out) override {
    CRA_CHECK(std::ssize(qkv) == rows_ * 3 * width_ && std::ssize(d_out) == rows_ * width_,
              "cuda: inputs of a core have another size");
    put(qkv, work_.qkv.data());
    put(d_out, work_.d_out.data());
  }
  void forward() override { work_.forward(machine_); }
  void backward() override { work_.backward(machine_); }
  std::vector<float> out() override {
    return floats_of(machine_, work_.out.data(), rows_ * width_);
  }
  std::vector<float> d_qkv() override {
    return floats_of(machine_, work_.d_qkv.data(), rows_ * 3 * width_);
  }

 private:
  using S = Stored<P>;
  void put(std::span<const float> from, S* to) {
    std::vector<S> kept(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      if constexpr (P == Precision::bf16)
        kept[i] = narrow(from[i]);
      else
        kept[i] = from[i];
    }
    machine_.upload(to, kept.data(), std::ssize(kept));
    machine_.wait();
  }

  M machine_;
  CoreWork<M, P> work_;
  std::int64_t rows_;
  int width_;
};

}  // namespace cra::cuda
