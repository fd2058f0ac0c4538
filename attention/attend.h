// attention/attend.h: what a layer does between its first norm and its output map: who sees what of
// whom.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/linear.h"
#include "attention/look.h"
#include "attention/workspace.h"

namespace cra::attention {

/// Where a layer norm lies in the parameter block.
struct Norm {
  std::int64_t gain, bias;
};

/// The tensor of that name. \throws Error when there is none
const Tensor& find(const std::vector<Tensor>& tensors, const std::string& name);

template <class T>
class Attention {
 public:
  explicit Attention(const Shape& shape);

  /// From norm1.y of a layer to `mixed`.
  void forward(std::size_t layer, const T* parameters, Workspace<T>& w) const;
  /// From the gradient by `mixed` in w.d_narrow to that by norm1.y, in the same place.
  void backward(std::size_t layer, const T* parameters, Workspace<T>& w, T* d_parameters) const;

 private:
  struct Layer {
    Linear qkv;
    std::int64_t additive;  // [d] v of additive scores; -1 = none
    std::int64_t points;    // [m, d]; -1 = none
    Norm points_norm;
    Linear point_kv;
    int last_block;  // what the nodes see, of blocks_of(); before it is what the points see
  };

  void see_nodes(std::size_t layer, const T* parameters, Workspace<T>& w) const;
  void see_nodes_backward(std::size_t layer, const T* parameters, Workspace<T>& w,
                          T* d_parameters) const;
  void see_mean(std::size_t layer, Workspace<T>& w) const;
  void see_mean_backward(Workspace<T>& w) const;
  void see_points(std::size_t layer, const T* parameters, Workspace<T>& w) const;
  void see_points_backward(std::size_t layer, const T* parameters, Workspace<T>& w,
                           T* d_parameters) const;
  Look<T> nodes_look(std::size_t layer, int head, const T* parameters, const Workspace<T>& w,
                     std::int64_t e) const;
  Look<T> points_look(std::size_t layer, int head, const T* parameters, const Workspace<T>& w,
                      std::int64_t e) const;
  Look<T> look_of(int block, int head, const T* parameters, const Workspace<T>& w) const;

  Shape shape_;
  std::vector<Layer> layers_;
  std::int64_t averages_ = -1;  // tables of averaged weights in the parameters; -1 = none
  std::int64_t frozen_ = -1;    // not 0 there: they are to be used
};

extern template class Attention<float>;
extern template class Attention<double>;

}  // namespace cra::attention
