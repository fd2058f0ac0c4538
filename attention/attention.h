// attention/attention.h: the encoder over nodes, which scores how important each node is now.
//
// Features [E * N, F] of E environments with N nodes become embeddings h [E * N, d]. Layers:
//   x -> Linear(F, d) -> tanh -> Linear(d, d)
//     -> L times { + multi-head attention of LayerNorm(x) ; + MLP(d, 2d, d; tanh) of LayerNorm(x) }
//     -> LayerNorm
// Nodes of one environment attend to each other and to no other environment; without positions
// in the features the map is permutation-equivariant, and the weights serve any N.
// Attention: Vaswani et al., NeurIPS 2017; pre-norm: Xiong et al., ICML 2020.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "sim/base.h"
#include "sim/rng.h"

namespace cra::attention {

/// Scaled dot-product self-attention with several heads.
struct Multihead {
  static constexpr const char* name = "multihead";
  int heads = 2;
  double temperature = 1;
};
template <class V>
void fields(V& v, Multihead& k) {
  v("heads", k.heads, Range{1, 64}, "", "attention heads; divides `width`");
  v("temperature", k.temperature, above(0, 1e6), "1",
    "scores are divided by temperature * sqrt(width / heads)");
}
using Kind = std::variant<Multihead>;  // <- the registration

struct Params {
  Kind kind;
  int width = 16;
  int layers = 1;
};
template <class V>
void fields(V& v, Params& p) {
  v("kind", p.kind, "how nodes attend to each other");
  v("width", p.width, Range{1, 1024}, "", "width of the embeddings, d");
  v("layers", p.layers, Range{1, 4}, "", "attention layers, L");
}

/// What is wrong with a set of parameters that no single key's range can tell (paths from
/// "attention").
std::vector<Problem> check(const Params& p);

/// Sizes that fix the parameter block. N is not among them.
struct Shape {
  int features = 0;  ///< F
  int width = 0;     ///< d
  int heads = 0;     ///< H, divides d
  int layers = 0;    ///< L
  double temperature = 1;
  int head_width() const { return width / heads; }
  int mlp_width() const { return 2 * width; }
  bool operator==(const Shape&) const = default;
};
Shape shape_of(const Params& p, int features);

/// One weight matrix or vector of the flat parameter block.
struct Tensor {
  std::string name;  ///< e.g. "layer0.query.weight"
  std::int64_t offset = 0;
  int rows = 0;  ///< outputs; 1 for vectors
  int cols = 0;  ///< inputs
};
/// All tensors of the encoder in the order of the flat block.
std::vector<Tensor> layout(const Shape& s);
/// Length of the flat block.
std::int64_t parameter_count(const Shape& s);
/// Fresh weights: matrices uniform in +-sqrt(3 / inputs) (variance 1 / inputs), biases 0, norm
/// gains 1. A function of the seed alone.
std::vector<float> initial_parameters(const Shape& s, std::uint64_t seed);

/// What backward needs of a forward pass, and scratch. Owned by the caller, sized once, made by
/// the engine that uses it; one per thread.
class Cache {
 public:
  virtual ~Cache() = default;
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

 protected:
  Cache(const Shape& shape, std::int64_t envs, int nodes)
      : shape_(shape), room_(envs), nodes_(nodes) {}

 private:
  friend class Engine;  // checks these
  Shape shape_;
  std::int64_t room_;
  int nodes_;
  std::int64_t held_ = 0;  // environments of the forward pass it holds
};

/// The encoder on one device. Stateless: calls with different caches may run at the same time.
/// The public functions check shapes; the device's own functions trust them.
class Engine {
 public:
  explicit Engine(const Shape& shape);
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Shape& shape() const { return shape_; }

  /// Room for up to `envs` environments of exactly `nodes` nodes.
  std::unique_ptr<Cache> make_cache(std::int64_t envs, int nodes) const;

  /// h = encoder(x).
  /// \param parameters  [parameter_count]
  /// \param x           [E * N, F] normalised features, finite
  /// \param h           [E * N, d] embeddings
  /// \throws Error      on any other shape, or when the cache is too small or for another N
  void forward(std::span<const float> parameters, View<const float> x, int nodes, Cache& cache,
               View<float> h) const;

  /// Gradients of the forward pass that `cache` holds.
  /// \param d_h           [E * N, d] gradient of the loss by h
  /// \param d_parameters  [parameter_count]; the gradient is added to it
  /// \param d_x           [E * N, F] gradient by x, written; or empty when not wanted
  void backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                std::span<float> d_parameters, View<float> d_x) const;

  /// Attention received by each node in the last layer, averaged over heads and over the nodes
  /// that look: alpha_j = mean_i a_ij; rows sum to 1. \param out [E, N]
  void received(const Cache& cache, View<float> out) const;

 protected:
  virtual std::unique_ptr<Cache> do_make_cache(std::int64_t envs, int nodes) const = 0;
  virtual void do_forward(std::span<const float> parameters, View<const float> x, int nodes,
                          Cache& cache, View<float> h) const = 0;
  virtual void do_backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                           std::span<float> d_parameters, View<float> d_x) const = 0;
  virtual void do_received(const Cache& cache, View<float> out) const = 0;

 private:
  Shape shape_;
  std::int64_t count_;  // parameter_count(shape_)
};

/// The encoder on the CPU, one thread per call (callers run tiles in parallel).
std::unique_ptr<Engine> make_cpu_engine(const Shape& s);

}  // namespace cra::attention
