// attention/encoder.h: the whole encoder on the CPU, forward and backward by hand, on one scalar
// type: float is the engine, double is for checking gradients. attention.h has the formulas.
//
// One call is one thread and one tile of environments. The result for an environment, and what it
// adds to the gradients, has the same bits whichever environments share its call.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/attend.h"
#include "attention/attention.h"
#include "attention/explain.h"
#include "attention/linear.h"
#include "attention/workspace.h"

namespace cra::attention {

template <class T>
class Encoder {
 public:
  explicit Encoder(const Shape& shape);

  /// As Engine::forward; shapes are trusted, the workspace has room.
  void forward(const T* parameters, View<const T> x, Workspace<T>& w, View<T> h,
               View<const std::uint8_t> present = {}) const;
  /// As Engine::backward. \param d_x  may be empty
  void backward(const T* parameters, View<const T> d_h, Workspace<T>& w, T* d_parameters,
                View<T> d_x) const;
  /// As Engine::received.
  void received(const Workspace<T>& w, View<T> out) const { attention::received(shape_, w, out); }
  /// As Engine::add_weights.
  void add_weights(const Workspace<T>& w, double* sum) const {
    attention::add_weights(shape_, w, sum);
  }

 private:
  struct Layer {
    Norm norm1, norm2;
    Linear out, mlp0, mlp1;
  };

  void norm_forward(const Norm& n, const T* parameters, Workspace<T>& w, Normed<T>& out) const;
  void norm_backward(const Norm& n, const T* parameters, const T* d_y, const Normed<T>& held,
                     Workspace<T>& w, T* d_parameters) const;

  Shape shape_;
  Attention<T> attention_;
  Linear embed0_, embed1_;
  std::vector<Layer> layers_;
  Norm last_;
};

extern template class Encoder<float>;
extern template class Encoder<double>;

}  // namespace cra::attention
