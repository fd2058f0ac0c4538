#include <new>

#include "attention/attention.h"
#include "attention/encoder.h"

namespace cra::attention {
namespace {

class CpuCache : public Cache {
 public:
  CpuCache(const Shape& s, std::int64_t envs, int nodes)
      : Cache(s, envs, nodes), work(s, envs, nodes) {}
  Workspace<float> work;
};

// Engine has checked the shapes; a cache made by another device's engine is the caller's last
// possible mistake, and a bad_cast would not say so.
template <class C>
auto& workspace(C& cache) {
  auto* const mine =
      dynamic_cast<std::conditional_t<std::is_const_v<C>, const CpuCache, CpuCache>*>(&cache);
  CRA_CHECK(mine != nullptr, "attention: this cache was made by the engine of another device");
  return mine->work;
}

class CpuEngine : public Engine {
 public:
  explicit CpuEngine(const Shape& s) : Engine(s), encoder_(s) {}

 protected:
  std::unique_ptr<Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    return std::make_unique<CpuCache>(shape(), envs, nodes);
  }
  void do_forward(std::span<const float> parameters, View<const float> x, int /*nodes*/,
                  Cache& cache, View<float> h, View<const std::uint8_t> present) const override {
    encoder_.forward(parameters.data(), x, workspace(cache), h, present);
  }
  void do_backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                   std::span<float> d_parameters, View<float> d_x) const override {
    encoder_.backward(parameters.data(), d_h, workspace(cache), d_parameters.data(), d_x);
  }
  void do_received(const Cache& cache, View<float> out) const override {
    encoder_.received(workspace(cache), out);
  }
  void do_add_weights(const Cache& cache, std::span<double> sum) const override {
    encoder_.add_weights(workspace(cache), sum.data());
  }

 private:
  Encoder<float> encoder_;
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(const Shape& s) { return std::make_unique<CpuEngine>(s); }

}  // namespace cra::attention
