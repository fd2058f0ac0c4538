// attention/attention.h: the encoder over nodes, which scores how important each node is now.
//
// Features [E * N, F] of E environments with N nodes become embeddings h [E * N, d]. Layers:
//   x -> Linear(F, d) -> tanh -> Linear(d, d) { + positions }
//     -> L times { + attention of LayerNorm(x) ; + MLP(d, 2d, d; tanh) of LayerNorm(x) }
//     -> LayerNorm
// Nodes of one environment attend to each other and to no other environment; without positions,
// be it in the features or added here, the map is permutation-equivariant, and the weights serve
// any N. Attention: Vaswani et al., NeurIPS 2017; pre-norm: Xiong et al., ICML 2020.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "attention/formulas.h"  // for other devices
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
/// The same with one head.
struct Dot {
  static constexpr const char* name = "dot";
  double temperature = 1;
};
template <class V>
void fields(V& v, Dot& k) {
  v("temperature", k.temperature, above(0, 1e6), "1",
    "scores are divided by temperature * sqrt(width)");
}
/// One head whose score of node j for node i is v . tanh(W x_i + U x_j) (Bahdanau, Cho, Bengio,
/// ICLR 2015): N^2 d values of tanh in place of N^2 d products.
struct Additive {
  static constexpr const char* name = "additive";
  double temperature = 1;
};
template <class V>
void fields(V& v, Additive& k) {
  v("temperature", k.temperature, above(0, 1e6), "1", "scores are divided by it");
}
/// Most points of induced attention.
inline constexpr int kMostPoints = 1024;

/// Induced set attention (Lee et al., ICML 2019): m learned points attend to the nodes, and the
/// nodes attend to what the points saw; the cost is that of N m scores and not of N^2. The layer's
/// own MLP stands in for the one that Lee et al. put between the two.
struct Induced {
  static constexpr const char* name = "induced";
  int heads = 2;
  int points = 16;
  double temperature = 1;
};
template <class V>
void fields(V& v, Induced& k) {
  v("heads", k.heads, Range{1, 64}, "", "attention heads; divides `width`");
  v("points", k.points, Range{1, kMostPoints}, "", "learned points that attend to the nodes");
  v("temperature", k.temperature, above(0, 1e6), "1",
    "scores are divided by temperature * sqrt(width / heads)");
}
/// No attention: every node sees the mean over all nodes (DeepSets, Zaheer et al., NeurIPS 2017).
/// The ablation that tells what attention buys.
struct None {
  static constexpr const char* name = "none";
};
template <class V>
void fields(V&, None&) {}
using Kind = std::variant<Multihead, Dot, Additive, Induced, None>;  // <- the registration

/// The same list, for shapes; in the order of the variant.
enum class Form { multihead, dot, additive, induced, none };

/// Where the weights of attention come from. All but the first are controls, for the question what
/// attention buys; each keeps everything else of the network.
enum class Weights {
  dynamic,  ///< softmax of the scores of what is seen now
  average,  ///< `static`: dynamic at first; from freeze() on their average, whatever is seen
  random,   ///< softmax of scores drawn once from the seed, for every layer, head and pair of nodes
  shuffled,  ///< the dynamic ones, dealt out in a fixed order that the seed draws for every looker
};

/// What tells nodes apart beside their features.
enum class Positions {
  none,
  sinusoidal,  ///< sines and cosines of the node's index, added to its embedding
};

struct Params {
  Kind kind;
  int width = 16;
  int layers = 1;
  Weights weights = Weights::dynamic;
  Positions positions = Positions::none;
};
template <class V>
void fields(V& v, Params& p) {
  v("kind", p.kind, "how nodes attend to each other; `none` shows every node the mean of all");
  v("width", p.width, Range{1, 1024}, "", "width of the embeddings, d");
  v("layers", p.layers, Range{1, 4}, "", "attention layers, L");
  v("weights", p.weights,
    "where attention weights come from: `dynamic` the scores of what is seen; and three controls "
    "for what that buys: `static` dynamic in the first half of training, then their average over "
    "the warm-up episodes, frozen; `random` drawn once from the seed; `shuffled` the dynamic ones, "
    "dealt to other nodes in a fixed order drawn from the seed");
  v("positions", p.positions,
    "`sinusoidal` adds a code of the node's index to its embedding (Vaswani et al. 2017): nodes "
    "are then told apart by their place in the list");
}

/// What is wrong with a set of parameters that no single key's range can tell (paths from
/// "attention").
std::vector<Problem> check(const Params& p);

/// What fixes the parameter block and what is done with it. N is not among it, but for
/// Weights::average.
struct Shape {
  int features = 0;  ///< F
  int width = 0;     ///< d
  int heads = 1;     ///< H, divides d; 1 for the kinds that have one, and for none
  int layers = 0;    ///< L
  double temperature = 1;
  Form form = Form::multihead;
  int points = 0;  ///< m of Form::induced, else 0
  Weights weights = Weights::dynamic;
  Positions positions = Positions::none;
  std::uint64_t seed = 0;  ///< of random and shuffled weights, else 0
  int nodes = 0;           ///< N that averaged weights belong to, else 0
  int head_width() const { return width / heads; }
  int mlp_width() const { return 2 * width; }
  bool operator==(const Shape&) const = default;
};
/// \param nodes, seed  N of the pool and the seed of the run; kept only by the controls that need
/// them
Shape shape_of(const Params& p, int features, int nodes, std::uint64_t seed);
/// What no encoder can have, as a sentence; empty when the shape is sound.
std::string fault_of(const Shape& s);

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
/// Fresh weights: matrices uniform in +-sqrt(3 / inputs) (variance 1 / inputs), points uniform with
/// variance 1, biases 0, norm gains 1, averaged weights not yet frozen. A function of the seed
/// alone.
std::vector<float> initial_parameters(const Shape& s, std::uint64_t seed);

/// Length of the block of attention weights of one environment: for every layer, first what the
/// points see [H, N, m] (Form::induced only), then what the nodes see [H, looked at, N].
/// \param nodes  N
std::int64_t weight_count(const Shape& s, int nodes);
/// Freezes Weights::average at the mean of weights that were summed with Engine::add_weights.
/// \param sum         [weight_count], of at least one environment
/// \param parameters  [parameter_count]
/// \throws Error      on another shape or size
void freeze(const Shape& s, std::span<const double> sum, std::span<float> parameters);
/// Whether freeze() has been here.
bool is_frozen(const Shape& s, std::span<const float> parameters);

/// What Weights::random has in place of scores, temperature included: blocks as in weight_count.
/// \throws Error  when the shape has other weights
std::vector<float> drawn_scores(const Shape& s, int nodes);
/// How Weights::shuffled deals: for every looker the places that its weights go to, in order, the
/// first weight to the place that is named first. Blocks as in weight_count, but [H, lookers,
/// looked at]. \throws Error  when the shape has other weights
std::vector<int> drawn_orders(const Shape& s, int nodes);

/// What Positions::sinusoidal adds to embeddings. \returns [nodes, width]
/// \throws Error  when the shape has no positions
std::vector<float> position_codes_of(const Shape& s, int nodes);

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
  bool whole_ = true;      // no node was removed in it
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

  /// Environments that a call should hold to keep the device busy, where the caller can choose;
  /// 0: as the caller likes, many small calls on many threads.
  virtual std::int64_t wanted_batch() const { return 0; }

  /// Room for up to `envs` environments of exactly `nodes` nodes.
  std::unique_ptr<Cache> make_cache(std::int64_t envs, int nodes) const;

  /// h = encoder(x).
  /// \param parameters  [parameter_count]
  /// \param x           [E * N, F] normalised features, finite
  /// \param h           [E * N, d] embeddings
  /// \param present     [E, N] 0 = the node is removed: nobody looks at it, its features are not
  ///                    read and its embedding is 0; the others fare, to the bit, as in a pool
  ///                    without it, but keep their index. Empty: all are there
  /// \throws Error      on any other shape, or when the cache is too small or for another N
  void forward(std::span<const float> parameters, View<const float> x, int nodes, Cache& cache,
               View<float> h, View<const std::uint8_t> present = {}) const;

  /// Gradients of the forward pass that `cache` holds.
  /// \param d_h           [E * N, d] gradient of the loss by h; not read for removed nodes, whose
  ///                      gradients by x are 0
  /// \param d_parameters  [parameter_count]; the gradient is added to it
  /// \param d_x           [E * N, F] gradient by x, written; or empty when not wanted
  void backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                std::span<float> d_parameters, View<float> d_x) const;

  /// Attention received by each node in the last layer, averaged over heads and over the nodes
  /// that look: alpha_j = mean_i a_ij; rows sum to 1. Of Form::induced a is the product of the
  /// nodes' weights on points and the points' on nodes; of Form::none all nodes receive the same.
  /// Removed nodes receive 0. \param out [E, N]
  void received(const Cache& cache, View<float> out) const;

  /// Adds the attention weights of every environment to `sum`, in order.
  /// \param sum     [weight_count]
  /// \throws Error  on another size, when the shape has no weights or the pass had removed nodes
  void add_weights(const Cache& cache, std::span<double> sum) const;

 protected:
  virtual std::unique_ptr<Cache> do_make_cache(std::int64_t envs, int nodes) const = 0;
  virtual void do_forward(std::span<const float> parameters, View<const float> x, int nodes,
                          Cache& cache, View<float> h, View<const std::uint8_t> present) const = 0;
  virtual void do_backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                           std::span<float> d_parameters, View<float> d_x) const = 0;
  virtual void do_received(const Cache& cache, View<float> out) const = 0;
  virtual void do_add_weights(const Cache& cache, std::span<double> sum) const = 0;

 private:
  Shape shape_;
  std::int64_t count_;  // parameter_count(shape_)
};

/// Entropy of a distribution, -sum a ln a [nat]: from 0, all attention on one node, to ln N. Of
/// what Engine::received says, it tells how far attention is spread over the pool.
double entropy(std::span<const float> shares);

/// Who looks at whom in the last layer, of one environment: for every head and node that looks its
/// weights on the nodes, which sum to 1. Of Form::induced the product of the nodes' weights on
/// points and the points' on nodes, so that the mean over heads and lookers is what
/// Engine::received says. \param weights  [weight_count] as Engine::add_weights adds them to zeros
/// \returns        [H, N, N]
/// \throws Error   when the shape has no weights, or on another size
std::vector<double> attention_map(const Shape& s, int nodes, std::span<const double> weights);

/// The encoder on the CPU, one thread per call (callers run tiles in parallel).
std::unique_ptr<Engine> make_cpu_engine(const Shape& s);
/// The same in double within: what other engines are checked against. Results are rounded once.
std::unique_ptr<Engine> make_exact_engine(const Shape& s);

/// What `cra bench attention` measures: the core of attention alone, softmax(Q K^T / sqrt(size)) V
/// of some heads and its reverse, by the CPU engine's loops and by plain ones. One thread.
class CoreWork {
 public:
  /// \param environments  of `nodes` nodes; few enough that they stay in a cache, or not
  CoreWork(std::int64_t environments, int nodes, int heads, int size);
  ~CoreWork();
  CoreWork(const CoreWork&) = delete;
  CoreWork& operator=(const CoreWork&) = delete;

  /// Instruction sets that the loops can run in here, slowest first; engines use the last.
  static std::vector<std::string> instruction_sets();
  /// \param set  of instruction_sets()
  void forward(std::size_t set);
  /// Of the last forward(). The weights are kept, so it is four products.
  void backward(std::size_t set);
  /// The same as the formulas are written: row by row, in double.
  void plain_forward();
  void plain_backward();
  /// Floating-point operations of a forward pass, of its two products alone; backward has twice
  /// as many.
  double forward_operations() const;
  /// Largest difference of what the two have computed last, of outputs and gradients, over the
  /// largest number among them.
  double difference() const;

  /// Independent multiply-adds of the widest kind that the set has, as fast as they go.
  /// \returns  floating-point operations done
  static double run_peak(std::size_t set);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cra::attention

template <>
struct cra::Choices<cra::attention::Form> {
  static constexpr std::array<const char*, 5> names{"multihead", "dot", "additive", "induced",
                                                    "none"};
};
template <>
struct cra::Choices<cra::attention::Weights> {
  static constexpr std::array<const char*, 4> names{"dynamic", "static", "random", "shuffled"};
};
template <>
struct cra::Choices<cra::attention::Positions> {
  static constexpr std::array<const char*, 2> names{"none", "sinusoidal"};
};
