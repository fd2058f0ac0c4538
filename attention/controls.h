// attention/controls.h: what takes the place of scores that depend on what is seen, and the code of
// positions.
//
// Tables hold one number for every layer, head, looker and node looked at, in the order of
// weight_count() of attention.h: blocks [H, looked at, lookers], the last index the looker.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/attention.h"

namespace cra::attention {

/// Where one softmax of one layer lies in a block of weights.
struct Block {
  std::int64_t offset;
  int nodes;  ///< looked at
  int lookers;
  std::int64_t size_of_head() const { return std::int64_t{nodes} * lookers; }
};
/// Of every layer: what the points see (Form::induced only), then what the nodes see. Empty for
/// Form::none. \param nodes  N
std::vector<Block> blocks_of(const Shape& s, int nodes);

/// Scores of Weights::random over the temperature: independent, uniform, of variance 1, functions
/// of the seed, the layer, the head and the pair of nodes alone. Uniform and not normal, so that no
/// C library has a say in their bits. [weight_count]
template <class T>
std::vector<T> random_scores(const Shape& s, int nodes);

/// Orders of Weights::shuffled: for every looker a permutation of what it looks at, each as likely
/// as any other. Blocks are [H, lookers, looked at] here. [weight_count]
std::vector<int> shuffled_orders(const Shape& s, int nodes);

/// code[n, 2 k] = sin(n w_k), code[n, 2 k + 1] = cos(n w_k), w_k = 10000^(-2 k / width).
/// \returns  [nodes, width]
template <class T>
std::vector<T> position_codes(int nodes, int width);

}  // namespace cra::attention
