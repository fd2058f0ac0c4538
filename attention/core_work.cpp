// The core of attention by itself, for measurements.
#include <algorithm>
#include <cmath>

#include "attention/attention.h"
#include "attention/kernels.h"
#include "attention/look.h"

namespace cra::attention {
namespace {

/// Makes the loops of one instruction set the ones that are used, for a while.
class Using {
 public:
  explicit Using(std::size_t set) : before_(use_kernels(set)) {}
  ~Using() { use_kernels(before_); }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  std::size_t before_;
};

/// Query, key and value of rows of all heads side by side, what they lead to, and the gradients.
template <class T>
struct Arrays {
  std::vector<T> qkv, a, out, d_out, d_qkv;  // [E, N, 3 d], [E, H, N, padded N], [E, N, d], ...
};

}  // namespace

struct CoreWork::Impl {
  std::int64_t envs;
  int nodes, heads, size;
  Arrays<float> fast;
  Arrays<double> plain;
  std::vector<float> scratch;

  int width() const { return heads * size; }
  std::int64_t block() const { return std::int64_t{nodes} * padded<float>(nodes); }
  template <class T>
  Head<T> head(T* qkv, std::int64_t e, int h) const {
    T* const first = qkv + e * nodes * 3 * width() + std::int64_t{h} * size;
    const std::int64_t stride = 3 * std::int64_t{width()};
    return {first, stride, first + width(), first + 2 * width(), stride, nodes, nodes, size};
  }
  template <class Work>
  void for_each_head(Work work) {
    for (std::int64_t e = 0; e < envs; ++e)
      for (int h = 0; h < heads; ++h)
        work(e, h, (e * heads + h) * block(), e * nodes * width() + std::int64_t{h} * size);
  }
};

CoreWork::CoreWork(std::int64_t environments, int nodes, int heads, int size)
    : impl_(std::make_unique<Impl>()) {
  CRA_CHECK(environments >= 1 && nodes >= 1 && heads >= 1 && size >= 1,
            "attention: there is nothing to measure");
  Impl& it = *impl_;
  it.envs = environments;
  it.nodes = nodes;
  it.heads = heads;
  it.size = size;
  const auto rows = static_cast<std::size_t>(environments) * static_cast<std::size_t>(nodes);
  const auto d = static_cast<std::size_t>(it.width());
  const auto fill = [](std::vector<float>& values, std::size_t count, int step) {
    for (std::size_t i = 0; i < count; ++i)
      values.push_back(static_cast<float>(static_cast<int>(i % 2003) * step % 2003 - 1001) / 500);
  };
  fill(it.fast.qkv, rows * 3 * d, 7919);
  fill(it.fast.d_out, rows * d, 101);
  it.fast.out.resize(rows * d);
  it.fast.d_qkv.resize(rows * 3 * d);
  it.fast.a.resize(static_cast<std::size_t>(environments * heads * it.block()));
  it.scratch.resize(static_cast<std::size_t>(look_scratch<float>(nodes, nodes, size)));
  it.plain.qkv.assign(it.fast.qkv.begin(), it.fast.qkv.end());
  it.plain.d_out.assign(it.fast.d_out.begin(), it.fast.d_out.end());
  it.plain.out.resize(rows * d);
  it.plain.d_qkv.resize(rows * 3 * d);
  it.plain.a.resize(it.fast.a.size());
}
CoreWork::~CoreWork() = default;

std::vector<std::string> CoreWork::instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels<float>& k : all_kernels()) names.emplace_back(k.name);
  return names;
}

double CoreWork::run_peak(std::size_t set) { return all_kernels().at(set).peak(); }

double CoreWork::forward_operations() const {
  const Impl& it = *impl_;
  return 4.0 * static_cast<double>(it.envs) * it.heads * it.nodes * it.nodes * it.size;
}

void CoreWork::forward(std::size_t set) {
  const Using kernels(set);
  Impl& it = *impl_;
  Look<float> k;
  k.scale = static_cast<float>(1 / std::sqrt(double(it.size)));
  it.for_each_head([&](std::int64_t e, int h, std::int64_t at, std::int64_t out) {
    look(k, it.head<const float>(it.fast.qkv.data(), e, h), it.scratch.data(),
         it.fast.a.data() + at, it.fast.out.data() + out, it.width());
  });
}

void CoreWork::backward(std::size_t set) {
  const Using kernels(set);
  Impl& it = *impl_;
  Look<float> k;
  k.scale = static_cast<float>(1 / std::sqrt(double(it.size)));
  it.for_each_head([&](std::int64_t e, int h, std::int64_t at, std::int64_t out) {
    look_backward(k, it.head<const float>(it.fast.qkv.data(), e, h), it.fast.a.data() + at,
                  it.fast.d_out.data() + out, it.width(), it.scratch.data(),
                  it.head<float>(it.fast.d_qkv.data(), e, h), static_cast<float*>(nullptr));
  });
}

// a[i, j] here: one row of weights after the other.
void CoreWork::plain_forward() {
  Impl& it = *impl_;
  const double scale = 1 / std::sqrt(double(it.size));
  const int n = it.nodes, size = it.size;
  it.for_each_head([&](std::int64_t e, int h, std::int64_t at, std::int64_t out_at) {
    const Head<const double> head = it.head<const double>(it.plain.qkv.data(), e, h);
    for (std::int64_t i = 0; i < n; ++i) {
      double* const a = it.plain.a.data() + at + i * n;
      double top = -1e300, sum = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        double score = 0;
        for (int c = 0; c < size; ++c)
          score += head.query[i * head.query_stride + c] * head.key[j * head.stride + c];
        a[j] = scale * score;
        top = std::max(top, a[j]);
      }
      for (int j = 0; j < n; ++j) sum += a[j] = std::exp(a[j] - top);
      double* const out = it.plain.out.data() + out_at + i * it.width();
      std::fill_n(out, size, 0.0);
      for (std::int64_t j = 0; j < n; ++j) {
        a[j] /= sum;
        for (int c = 0; c < size; ++c) out[c] += a[j] * head.value[j * head.stride + c];
      }
    }
  });
}

void CoreWork::plain_backward() {
  Impl& it = *impl_;
  const double scale = 1 / std::sqrt(double(it.size));
  const int n = it.nodes, size = it.size;
  std::vector<double> d_a(static_cast<std::size_t>(n));
  std::fill(it.plain.d_qkv.begin(), it.plain.d_qkv.end(), 0.0);
  it.for_each_head([&](std::int64_t e, int h, std::int64_t at, std::int64_t out_at) {
    const Head<const double> head = it.head<const double>(it.plain.qkv.data(), e, h);
    const Head<double> d_head = it.head<double>(it.plain.d_qkv.data(), e, h);
    for (std::int64_t i = 0; i < n; ++i) {
      const double* const a = it.plain.a.data() + at + i * n;
      const double* const d_out = it.plain.d_out.data() + out_at + i * it.width();
      double mean = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int c = 0; c < size; ++c) {
          sum += d_out[c] * head.value[j * head.stride + c];
          d_head.value[j * head.stride + c] += a[j] * d_out[c];
        }
        d_a[static_cast<std::size_t>(j)] = sum;
        mean += a[j] * sum;
      }
      for (std::int64_t j = 0; j < n; ++j) {
        const double d_score = scale * a[j] * (d_a[static_cast<std::size_t>(j)] - mean);
        for (int c = 0; c < size; ++c) {
          d_head.query[i * head.query_stride + c] += d_score * head.key[j * head.stride + c];
          d_head.key[j * head.stride + c] += d_score * head.query[i * head.query_stride + c];
        }
      }
    }
  });
}

double CoreWork::difference() const {
  double worst = 0, top = 0;
  const auto compare = [&](const std::vector<float>& fast, const std::vector<double>& plain) {
    for (std::size_t i = 0; i < plain.size(); ++i) {
      worst = std::max(worst, std::abs(double{fast[i]} - plain[i]));
      top = std::max(top, std::abs(plain[i]));
    }
  };
  compare(impl_->fast.out, impl_->plain.out);
  compare(impl_->fast.d_qkv, impl_->plain.d_qkv);
  return top > 0 ? worst / top : 0;
}

}  // namespace cra::attention
