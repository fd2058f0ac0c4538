#include <algorithm>
#include <new>
#include <vector>

#include "attention/attention.h"
#include "attention/encoder.h"

namespace cra::attention {
namespace {

template <class T>
class CpuCache : public Cache {
 public:
  CpuCache(const Shape& s, std::int64_t envs, int nodes)
      : Cache(s, envs, nodes), work(s, envs, nodes) {}
  Workspace<T> work;
};

// Engine has checked the shapes; a cache made by another device's engine is the caller's last
// possible mistake, and a bad_cast would not say so.
template <class T, class C>
auto& workspace(C& cache) {
  auto* const mine =
      dynamic_cast<std::conditional_t<std::is_const_v<C>, const CpuCache<T>, CpuCache<T>>*>(&cache);
  CRA_CHECK(mine != nullptr, "attention: this cache was made by the engine of another device");
  return mine->work;
}

class CpuEngine : public Engine {
 public:
  explicit CpuEngine(const Shape& s) : Engine(s), encoder_(s) {}

 protected:
  std::unique_ptr<Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    return std::make_unique<CpuCache<float>>(shape(), envs, nodes);
  }
  void do_forward(std::span<const float> parameters, View<const float> x, int /*nodes*/,
                  Cache& cache, View<float> h, View<const std::uint8_t> present) const override {
    encoder_.forward(parameters.data(), x, workspace<float>(cache), h, present);
  }
  void do_backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                   std::span<float> d_parameters, View<float> d_x) const override {
    encoder_.backward(parameters.data(), d_h, workspace<float>(cache), d_parameters.data(), d_x);
  }
  void do_received(const Cache& cache, View<float> out) const override {
    encoder_.received(workspace<float>(cache), out);
  }
  void do_add_weights(const Cache& cache, std::span<double> sum) const override {
    encoder_.add_weights(workspace<float>(cache), sum.data());
  }

 private:
  Encoder<float> encoder_;
};

// Converts at its border, and allocates what it needs for that: not for the hot path.
class ExactEngine : public Engine {
 public:
  explicit ExactEngine(const Shape& s) : Engine(s), encoder_(s) {}

 protected:
  std::unique_ptr<Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    return std::make_unique<CpuCache<double>>(shape(), envs, nodes);
  }
  void do_forward(std::span<const float> parameters, View<const float> x, int /*nodes*/,
                  Cache& cache, View<float> h, View<const std::uint8_t> present) const override {
    const std::vector<double> p = wide(parameters.data(), parameters.size()), exact = wide(x);
    std::vector<double> y(static_cast<std::size_t>(h.size()));
    encoder_.forward(p.data(), {exact.data(), x.rows, x.cols}, workspace<double>(cache),
                     {y.data(), h.rows, h.cols}, present);
    narrow(y, h.data);
  }
  void do_backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                   std::span<float> d_parameters, View<float> d_x) const override {
    const std::vector<double> p = wide(parameters.data(), parameters.size()), exact = wide(d_h);
    std::vector<double> gradient = wide(d_parameters.data(), d_parameters.size());
    std::vector<double> by_x(static_cast<std::size_t>(d_x.size()));
    View<double> to{by_x.data(), d_x.rows, d_x.cols};
    if (d_x.data == nullptr) to = {};
    encoder_.backward(p.data(), {exact.data(), d_h.rows, d_h.cols}, workspace<double>(cache),
                      gradient.data(), to);
    narrow(gradient, d_parameters.data());
    narrow(by_x, d_x.data);
  }
  void do_received(const Cache& cache, View<float> out) const override {
    std::vector<double> exact(static_cast<std::size_t>(out.size()));
    encoder_.received(workspace<double>(cache), {exact.data(), out.rows, out.cols});
    narrow(exact, out.data);
  }
  void do_add_weights(const Cache& cache, std::span<double> sum) const override {
    encoder_.add_weights(workspace<double>(cache), sum.data());
  }

 private:
  static std::vector<double> wide(const float* from, std::size_t count) {
    return {from, from + count};
  }
  static std::vector<double> wide(View<const float> from) {
    return wide(from.data, static_cast<std::size_t>(from.size()));
  }
  static void narrow(const std::vector<double>& from, float* to) {
    std::transform(from.begin(), from.end(), to, [](double v) { return static_cast<float>(v); });
  }

  Encoder<double> encoder_;
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(const Shape& s) { return std::make_unique<CpuEngine>(s); }
std::unique_ptr<Engine> make_exact_engine(const Shape& s) {
  return std::make_unique<ExactEngine>(s);
}

}  // namespace cra::attention
