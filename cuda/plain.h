// cuda/plain.h: attention whose weights are stored: additive scores, the controls of
// attention::Weights, and heads too wide for core.h. One warp per row, no matrix units: its cost is
// that of the scores. The weights of explain.h are made here too.
#pragma once

#include "attention/attention.h"
#include "cuda/core.h"

namespace cra::cuda {

/// One softmax of a layer; its inputs as in core.h. Heads are `size` wide and start at multiples of
/// 8; columns behind `size` are 0.
template <class S>
struct PlainInputs {
  CoreInputs<S> in;
  int size = 0;                     ///< numbers of a head
  const float* additive = nullptr;  ///< [size padded] v of additive scores; null: dot products
  const float* table = nullptr;     ///< [H, all nodes, all lookers] scores in place of either
  const int* order = nullptr;       ///< [H, all lookers, all nodes] who gets the weights; or null
  int all_lookers = 0, all_nodes = 0;
  // With removed nodes; else null.
  const int* looker_number = nullptr;  ///< [rows of lookers] number in the pool
  const int* node_number = nullptr;    ///< [rows of nodes]
  const int* node_place = nullptr;     ///< [E, all nodes] place among those there, or -1
  float* weights = nullptr;            ///< [units, lookers.count, ld]
  float* softmaxed = nullptr;          ///< the same before they are dealt out; with `order` only
  int ld = 0;                          ///< a multiple of 8

  CRA_HD int head_columns() const { return round8(size); }
  CRA_HD std::int64_t weight_row(std::int64_t unit, int looker) const {
    return (unit * in.lookers.count + looker) * ld;
  }
};

/// A row of a unit: (environment, head, row), a warp's work.
struct RowOfUnit {
  std::int64_t unit, e;
  int head, row;
  bool there;
};
template <class S>
CRA_KERNEL RowOfUnit row_of_unit(std::int64_t number, const CoreInputs<S>& in, const Rows& rows) {
  RowOfUnit r;
  r.unit = number / rows.count;
  r.e = r.unit / in.heads;
  r.head = static_cast<int>(r.unit % in.heads);
  r.row = static_cast<int>(number % rows.count);
  r.there = r.e < in.environments && r.row < rows.size(r.e);
  return r;
}
template <class S>
inline std::int64_t plain_blocks(const CoreInputs<S>& in, const Rows& rows, int warps) {
  return tiles_of(in.environments * in.heads * rows.count, warps);
}

/// The same number in every lane.
template <class S, class W>
CRA_KERNEL typename W::F broadcast(const W& /*w*/, const S* at) {
  return W::load(at, typename W::I(0), typename W::M(true));
}

/// Calls move(t, j): the weight at place t goes to place j, for one looker, in order.
template <class S, class Move>
CRA_KERNEL void for_each_deal(const PlainInputs<S>& p, const RowOfUnit& r, Move move) {
  const int number =
      p.looker_number == nullptr ? r.row : p.looker_number[p.in.lookers.start(r.e) + r.row];
  const int* const order = p.order + (std::int64_t{r.head} * p.all_lookers + number) * p.all_nodes;
  int t = 0;
  for (int n = 0; n < p.all_nodes; ++n) {
    const int j = p.node_place == nullptr ? order[n] : p.node_place[r.e * p.all_nodes + order[n]];
    if (j >= 0) move(t++, j);
  }
}

/// Weights of every looker. A warp owns a looker, its lanes nodes.
template <class S>
struct WeightsKernel {
  static constexpr const char* kName = "weights";
  static constexpr int kWarps = 4;
  using Args = PlainInputs<S>;

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const RowOfUnit r = row_of_unit(block.index * kWarps + w.index, a.in, a.in.lookers);
      if (r.there) row(w, a, r);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static void row(W& w, const Args& a, const RowOfUnit& r) {
    using F = typename W::F;
    const int nodes = a.in.nodes.size(r.e);
    float* const dealt = a.weights + a.weight_row(r.unit, r.row);
    float* const to = a.order == nullptr ? dealt : a.softmaxed + a.weight_row(r.unit, r.row);
    F most(-INFINITY);
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      const F s = W::select(ok, score(w, a, r, j, ok), F(-INFINITY));
      W::store(to, j, s, ok);
      most = W::max(most, s);
    }
    most = lane_max<W>(most);
    F sum(0.f);
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      const F x = W::exp2((W::load(to, j, ok) - most) * kLog2e);
      W::store(to, j, x, ok);
      sum = sum + W::select(ok, x, F(0.f));
    }
    const F by = 1.f / lane_sum<W>(sum);
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      W::store(to, j, W::load(to, j, ok) * by, ok);
    }
    if (a.order == nullptr) return;
    w.sync();
    for_each_deal(a, r, [&](int t, int j) {
      W::store(dealt, typename W::I(j), broadcast(w, to + t), w.lane() == 0);
    });
  }

  template <class W>
  CRA_KERNEL static typename W::F score(W& w, const Args& a, const RowOfUnit& r,
                                        const typename W::I& j, const typename W::M& ok) {
    using F = typename W::F;
    const std::int64_t looker = a.in.lookers.start(r.e) + r.row;
    const std::int64_t nodes = a.in.nodes.start(r.e);
    if (a.table != nullptr) {
      const int number = a.looker_number == nullptr ? r.row : a.looker_number[looker];
      auto node = j;
      if (a.node_number != nullptr) node = W::load(a.node_number + nodes, j, ok);
      return W::load(a.table + std::int64_t{r.head} * a.all_nodes * a.all_lookers + number,
                     node * a.all_lookers, ok);
    }
    const int col = r.head * a.head_columns();
    const S* const q = a.in.q + (a.in.queries.start(r.e) + r.row) * a.in.q_ld + col;
    const S* const k = a.in.k + nodes * a.in.kv_ld + col;
    F sum(0.f);
    for (int c = 0; c < a.size; ++c) {
      const F query = broadcast(w, q + c), key = W::load(k, j * a.in.kv_ld + c, ok);
      // Scaling the query, not the sum: scores that fit after scaling must not overflow before.
      if (a.additive == nullptr)
        sum = W::fma(query * a.in.scale, key, sum);
      else
        sum = W::fma(W::tanh(query + key), F(a.additive[c] * a.in.scale), sum);
    }
    return sum;
  }
};

/// out_i = sum_j a_ij v_j. A warp owns a looker, its lanes columns.
template <class S>
struct MixKernel {
  static constexpr const char* kName = "mix";
  static constexpr int kWarps = 4;
  struct Args {
    PlainInputs<S> p;
    S* out;  ///< [rows of lookers, out_ld]
    int out_ld;
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const RowOfUnit r = row_of_unit(block.index * kWarps + w.index, a.p.in, a.p.in.lookers);
      if (!r.there) return;
      const int columns = a.p.head_columns(), nodes = a.p.in.nodes.size(r.e);
      const float* const weights = a.p.weights + a.p.weight_row(r.unit, r.row);
      const S* const v = a.p.in.v + a.p.in.nodes.start(r.e) * a.p.in.kv_ld + r.head * columns;
      S* const to = a.out + (a.p.in.lookers.start(r.e) + r.row) * a.out_ld + r.head * columns;
      for (int first = 0; first < columns; first += kLanes) {
        const auto c = w.lane() + first;
        const auto ok = c < columns;
        typename W::F sum(0.f);
        for (int j = 0; j < nodes; ++j)
          sum = W::fma(broadcast(w, weights + j),
                       W::load(v + std::int64_t{j} * a.p.in.kv_ld, c, ok), sum);
        W::store(to, c, sum, ok);
      }
    });
  }
};

/// Gradient by the scores, times scale. A warp owns a looker, its lanes nodes.
template <class S>
struct ScoresBackwardKernel {
  static constexpr const char* kName = "scores_backward";
  static constexpr int kWarps = 4;
  struct Args {
    PlainInputs<S> p;
    const S* d_out;  ///< [rows of lookers, out_ld]
    int out_ld;
    float* d_scores;   ///< as weights, written
    float* d_weights;  ///< as weights, scratch; with `order` only
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const RowOfUnit r = row_of_unit(block.index * kWarps + w.index, a.p.in, a.p.in.lookers);
      if (r.there) row(w, a, r);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static void row(W& w, const Args& a, const RowOfUnit& r) {
    using F = typename W::F;
    const int nodes = a.p.in.nodes.size(r.e), columns = a.p.head_columns();
    const std::int64_t at = a.p.weight_row(r.unit, r.row);
    const bool dealt = a.p.order != nullptr;
    float* const to = a.d_scores + at;
    float* const by_weight = dealt ? a.d_weights + at : to;
    const float* const weights = (dealt ? a.p.softmaxed : a.p.weights) + at;
    const S* const d_out =
        a.d_out + (a.p.in.lookers.start(r.e) + r.row) * a.out_ld + r.head * columns;
    const S* const v = a.p.in.v + a.p.in.nodes.start(r.e) * a.p.in.kv_ld + r.head * columns;
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      F sum(0.f);
      for (int c = 0; c < a.p.size; ++c)
        sum = W::fma(broadcast(w, d_out + c), W::load(v, j * a.p.in.kv_ld + c, ok), sum);
      W::store(by_weight, j, sum, ok);
    }
    if (dealt) {
      w.sync();
      for_each_deal(a.p, r, [&](int t, int j) {
        W::store(to, typename W::I(t), broadcast(w, by_weight + j), w.lane() == 0);
      });
      w.sync();
    }
    F mean(0.f);
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      mean = W::fma(W::load(weights, j, ok), W::load(to, j, ok), mean);
    }
    mean = lane_sum<W>(mean);
    for (int first = 0; first < nodes; first += kLanes) {
      const auto j = w.lane() + first;
      const auto ok = j < nodes;
      const F d = attention::softmax_slope(W::load(weights, j, ok), W::load(to, j, ok), mean);
      W::store(to, j, d * a.p.in.scale, ok);
    }
  }
};

/// Gradients by queries and, of additive scores, what every looker adds to that by v. A warp owns
/// a looker, its lanes columns.
template <class S>
struct LookersBackwardKernel {
  static constexpr const char* kName = "lookers_backward";
  static constexpr int kWarps = 4;
  struct Args {
    PlainInputs<S> p;
    const float* d_scores;  ///< null: scores came from a table, and nothing moves the queries
    S* d_q;                 ///< [rows of lookers, d_q_ld] written
    int d_q_ld;
    float* d_additive;  ///< [rows of lookers, size padded]; or null
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    using F = typename W::F;
    block.warps([&](W& w) {
      const RowOfUnit r = row_of_unit(block.index * kWarps + w.index, a.p.in, a.p.in.lookers);
      if (!r.there) return;
      const int columns = a.p.head_columns(), col = r.head * columns;
      const int nodes = a.d_scores == nullptr ? 0 : a.p.in.nodes.size(r.e);
      const std::int64_t looker = a.p.in.lookers.start(r.e) + r.row;
      const std::int64_t query = a.p.in.queries.start(r.e) + r.row;
      const S* const k = a.p.in.k + a.p.in.nodes.start(r.e) * a.p.in.kv_ld + col;
      const float* const d_score =
          a.d_scores == nullptr ? nullptr : a.d_scores + a.p.weight_row(r.unit, r.row);
      for (int first = 0; first < columns; first += kLanes) {
        const auto c = w.lane() + first;
        const auto ok = c < columns;
        F d_q(0.f), d_v(0.f);
        for (int j = 0; j < nodes; ++j) {
          const F d = broadcast(w, d_score + j);
          const F key = W::load(k + std::int64_t{j} * a.p.in.kv_ld, c, ok);
          if (a.p.additive == nullptr) {
            d_q = W::fma(d, key, d_q);
            continue;
          }
          const F y = W::tanh(key + W::load(a.p.in.q + query * a.p.in.q_ld + col, c, ok));
          d_v = W::fma(d, y, d_v);
          d_q = W::fma(d * W::load(a.p.additive, c, ok), attention::tanh_slope<float, F>(y), d_q);
        }
        W::store(a.d_q + looker * a.d_q_ld + col, c, d_q, ok);
        if (a.d_additive != nullptr) W::store(a.d_additive + looker * columns, c, d_v, ok);
      }
    });
  }
};

/// Gradients by keys and values. A warp owns a node, its lanes columns.
template <class S>
struct NodesBackwardKernel {
  static constexpr const char* kName = "nodes_backward";
  static constexpr int kWarps = 4;
  struct Args {
    PlainInputs<S> p;
    const float* d_scores;  ///< null: scores came from a table, and nothing moves the keys
    const S* d_out;         ///< [rows of lookers, out_ld]
    int out_ld;
    S* d_k;  ///< [rows of nodes, d_kv_ld] written
    S* d_v;
    int d_kv_ld;
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    using F = typename W::F;
    block.warps([&](W& w) {
      const RowOfUnit r = row_of_unit(block.index * kWarps + w.index, a.p.in, a.p.in.nodes);
      if (!r.there) return;
      const int columns = a.p.head_columns(), col = r.head * columns;
      const int lookers = a.p.in.lookers.size(r.e);
      const std::int64_t node = a.p.in.nodes.start(r.e) + r.row;
      const S* const q = a.p.in.q + a.p.in.queries.start(r.e) * a.p.in.q_ld + col;
      const S* const d_out = a.d_out + a.p.in.lookers.start(r.e) * a.out_ld + col;
      for (int first = 0; first < columns; first += kLanes) {
        const auto c = w.lane() + first;
        const auto ok = c < columns;
        F d_k(0.f), d_v(0.f);
        for (int i = 0; i < lookers; ++i) {
          const std::int64_t at = a.p.weight_row(r.unit, i) + r.row;
          d_v = W::fma(broadcast(w, a.p.weights + at),
                       W::load(d_out + std::int64_t{i} * a.out_ld, c, ok), d_v);
          if (a.d_scores == nullptr) continue;
          const F d = broadcast(w, a.d_scores + at);
          const F query = W::load(q + std::int64_t{i} * a.p.in.q_ld, c, ok);
          if (a.p.additive == nullptr) {
            d_k = W::fma(d, query, d_k);
            continue;
          }
          const F y = W::tanh(query + W::load(a.p.in.k + node * a.p.in.kv_ld + col, c, ok));
          d_k = W::fma(d * W::load(a.p.additive, c, ok), attention::tanh_slope<float, F>(y), d_k);
        }
        W::store(a.d_k + node * a.d_kv_ld + col, c, d_k, ok);
        W::store(a.d_v + node * a.d_kv_ld + col, c, d_v, ok);
      }
    });
  }
};

}  // namespace cra::cuda
