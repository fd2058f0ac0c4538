// attention/look.h: how one head of one environment looks, whatever its scores and its weights are
// made of.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/heads.h"

namespace cra::attention {

/// Numbers of the nodes that are there, for tables that know all of them. Nulls: all are there.
struct Present {
  const int* number = nullptr;  ///< [nodes that are there] number in the pool
  const int* place = nullptr;   ///< [nodes of the pool] place among those there, or -1
  int number_of(int place_) const { return number == nullptr ? place_ : number[place_]; }
  int place_of(int number_) const { return place == nullptr ? number_ : place[number_]; }
};

template <class T>
struct Look {
  T scale{1};
  const T* additive = nullptr;  ///< [size] v of additive scores; null: dot products
  const T* table = nullptr;     ///< [all nodes, all lookers] scores in place of either; or null
  const int* order = nullptr;   ///< [all lookers, all nodes] who gets the weights; or null
  int all_lookers = 0;          ///< rows of tables
  int all_nodes = 0;
  Present lookers, nodes;
};

/// Numbers that look() and look_backward() need as scratch.
template <class T>
std::int64_t look_scratch(int lookers, int nodes, int size);

/// Weights, and what they show. \param a  [nodes, padded(lookers)] written
/// \param out      [lookers, size], rows `out_stride` apart, written
/// \param scratch  [look_scratch]
template <class T>
void look(const Look<T>& k, const Head<const T>& head, T* scratch, T* a, T* out,
          std::int64_t out_stride);

/// Gradients of look() by query, key and value; 0 by query and key when scores come from a table.
///
/// \param a       weights of look()
/// \param d_out   [lookers, size], rows `out_stride` apart
/// \param d_head  written
/// \param d_v     [size] gradient by `k.additive`, added to; or null
template <class T>
void look_backward(const Look<T>& k, const Head<const T>& head, const T* a, const T* d_out,
                   std::int64_t out_stride, T* scratch, const Head<T>& d_head, T* d_v);

}  // namespace cra::attention
