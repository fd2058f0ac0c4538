// attention/encoder.h: the whole encoder on the CPU, forward and backward by hand, on one scalar
// type: float is the engine, double is for checking gradients. attention.h has the formulas.
//
// One call is one thread and one tile of environments. The result for an environment, and what it
// adds to the gradients, has the same bits whichever environments share its call.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/attention.h"

namespace cra::attention {

/// What a layer norm leaves behind.
template <class T>
struct Normed {
  std::vector<T> unit;         ///< [E * N, d] before gain and bias
  std::vector<T> inverse_std;  ///< [E * N]
  std::vector<T> y;            ///< [E * N, d]
};

/// What backward needs of a forward pass, and scratch; nothing is allocated after this.
/// Of its room for `envs` environments a smaller pass uses the first part.
template <class T>
struct Workspace {
  Workspace(const Shape& s, std::int64_t envs, int nodes);

  struct Layer {
    Normed<T> norm1, norm2;
    std::vector<T> qkv;      ///< [E * N, 3 d] queries, keys, values
    std::vector<T> weights;  ///< [E, H, N, padded N] by looked-at node, see heads.h
    std::vector<T> mixed;    ///< [E * N, d] what the heads saw, side by side
    std::vector<T> hidden;   ///< [E * N, 2 d] after tanh
  };

  int nodes;
  std::int64_t envs = 0;  ///< of the pass it holds
  std::vector<T> x;       ///< [E * N, F]
  std::vector<T> hidden;  ///< [E * N, d] after the tanh of the embedding
  std::vector<Layer> layers;
  Normed<T> last;

  std::vector<T> stream;    ///< [E * N, d] residual stream; its gradient in backward
  std::vector<T> d_wide;    ///< [E * N, 3 d] gradient by the widest thing between two products
  std::vector<T> d_narrow;  ///< [E * N, d]
  std::vector<T> turned;    ///< [3 d * max(d, F)] a weight matrix, transposed
  std::vector<T> head;      ///< scratch of heads.h
  std::vector<T> sums;      ///< [3 d] sums over the nodes of an environment
};

template <class T>
class Encoder {
 public:
  explicit Encoder(const Shape& shape);

  /// As Engine::forward; shapes are trusted, the workspace has room.
  void forward(const T* parameters, View<const T> x, Workspace<T>& w, View<T> h) const;
  /// As Engine::backward. \param d_x  may be empty
  void backward(const T* parameters, View<const T> d_h, Workspace<T>& w, T* d_parameters,
                View<T> d_x) const;
  /// As Engine::received.
  void received(const Workspace<T>& w, View<T> out) const;

 private:
  struct Linear {
    std::int64_t weight, bias;  // offsets; bias -1 = none
    int inputs, outputs;
  };
  struct Norm {
    std::int64_t gain, bias;
  };
  struct Layer {
    Norm norm1, norm2;
    Linear qkv, out, mlp0, mlp1;
  };

  void norm_forward(const Norm& n, const T* parameters, Workspace<T>& w, Normed<T>& out) const;
  void norm_backward(const Norm& n, const T* parameters, const T* d_y, const Normed<T>& held,
                     Workspace<T>& w, T* d_parameters) const;
  T score_scale() const;

  Shape shape_;
  Linear embed0_, embed1_;
  std::vector<Layer> layers_;
  Norm last_;
};

extern template struct Workspace<float>;
extern template struct Workspace<double>;
extern template class Encoder<float>;
extern template class Encoder<double>;

}  // namespace cra::attention
