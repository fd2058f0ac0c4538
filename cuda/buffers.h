// cuda/buffers.h: the device memory of one cache, sized once.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "attention/attention.h"
#include "cuda/core.h"
#include "cuda/gradients.h"
#include "cuda/packing.h"

namespace cra::cuda {

/// Into how many parts the rows of a pass are cut for the gradients by parameters.
inline int parts_for(std::int64_t rows, std::int64_t parameters) {
  constexpr std::int64_t kLeastRows = 256, kMostParts = 256;
  constexpr std::int64_t kMostSums = std::int64_t{1} << 26;  // numbers in all parts
  return static_cast<int>(
      std::clamp<std::int64_t>(std::min(rows / kLeastRows, kMostSums / parameters), 1, kMostParts));
}

/// Whether weights are stored: where core.h does not reach.
inline bool needs_weights(const attention::Shape& s) {
  return s.form == attention::Form::additive || s.weights != attention::Weights::dynamic ||
         round8(s.head_width()) / 8 > kMostHeadTiles;
}

/// Which rows a pass has.
struct Pass {
  std::int64_t envs = 0, rows = 0;
  int nodes = 0;        ///< N
  bool whole = true;    ///< no node was removed
  bool frozen = false;  ///< averaged weights are to be used
};

/// What scores are multiplied by.
inline float scale_of(const attention::Shape& s) {
  const bool additive = s.form == attention::Form::additive;
  return static_cast<float>(1 /
                            (s.temperature * (additive ? 1 : std::sqrt(double(s.head_width())))));
}

/// \tparam M  machine, see machine.h
template <class M, Precision P>
struct Buffers {
  using S = Stored<P>;
  template <class T>
  using Array = typename M::template Array<T>;

  /// What one softmax leaves behind.
  struct Looked {
    Array<float> log_sum;             ///< [E * H, padded lookers] of core.h; or
    Array<float> weights, softmaxed;  ///< [E * H, lookers, padded nodes] of plain.h
  };
  struct Layer {
    Array<float> before, between;  ///< [rows, d] residual stream at its two norms
    Array<float> stats1, stats2;   ///< [rows, 2] of these
    Array<S> qkv;                  ///< [rows, 3 heads]
    Array<S> mixed;                ///< [rows, heads] what the heads saw; [rows, d] of Form::none
    Array<S> hidden;               ///< [rows, 2 d] after tanh
    Looked nodes;
    // Of points only.
    Looked points;
    Array<S> point_mixed;       ///< [E * m, heads]
    Array<float> seen;          ///< [E * m, d] that beside the points
    Array<float> points_stats;  ///< [E * m, 2]
    Array<S> point_kv;          ///< [E * m, 2 heads]
  };

  Buffers(M& m, const attention::Shape& s, const Packing& p, std::int64_t envs, int nodes)
      : rows(envs * nodes), points(envs * s.points) {
    const bool attends = s.form != attention::Form::none;
    const bool induced = s.form == attention::Form::induced;
    const std::int64_t d = p.plain.padded(), h = p.heads.padded(), wide = p.hidden.padded();
    parameters = m.template array<float>(p.parameters);
    jobs = m.template array<PackJob>(static_cast<std::int64_t>(p.jobs.size()));
    m.upload(jobs.data(), p.jobs.data(), static_cast<std::int64_t>(p.jobs.size()));
    weights = m.template array<S>(p.weights);
    vectors = m.template array<float>(p.vectors);
    first = m.template array<std::int64_t>(envs + 1);
    number = m.template array<int>(rows);
    place = m.template array<int>(rows);
    x = m.template array<float>(rows * p.features.padded());
    hidden = m.template array<S>(rows * d);
    const auto looked = [&](std::int64_t lookers, std::int64_t seen) {
      Looked l;
      const std::int64_t units = envs * s.heads;
      if (!needs_weights(s)) {
        l.log_sum = m.template array<float>(units * round8(static_cast<int>(lookers)));
        // Pairs are read where one of the two may be padding.
        m.zero(l.log_sum.data(), units * round8(static_cast<int>(lookers)));
        most_log = std::max(most_log, units * round8(static_cast<int>(lookers)));
        return l;
      }
      const std::int64_t size = units * lookers * round8(static_cast<int>(seen));
      most_weights = std::max(most_weights, size);
      l.weights = m.template array<float>(size);
      if (s.weights == attention::Weights::shuffled) l.softmaxed = m.template array<float>(size);
      return l;
    };
    for (int i = 0; i < s.layers; ++i) {
      Layer l;
      l.before = m.template array<float>(rows * d);
      l.between = m.template array<float>(rows * d);
      l.stats1 = m.template array<float>(rows * 2);
      l.stats2 = m.template array<float>(rows * 2);
      l.mixed = m.template array<S>(rows * (attends ? h : d));
      l.hidden = m.template array<S>(rows * wide);
      if (attends) {
        l.qkv = m.template array<S>(rows * 3 * h);
        l.nodes = looked(nodes, induced ? s.points : nodes);
      }
      if (induced) {
        l.points = looked(s.points, nodes);
        l.point_mixed = m.template array<S>(points * h);
        l.seen = m.template array<float>(points * d);
        l.points_stats = m.template array<float>(points * 2);
        l.point_kv = m.template array<S>(points * 2 * h);
      }
      layers.push_back(std::move(l));
    }
    last = m.template array<float>(rows * d);
    last_stats = m.template array<float>(rows * 2);
    h_out = m.template array<float>(rows * d);

    d_stream = m.template array<float>(rows * d);
    d_narrow = m.template array<float>(rows * d);
    d_wide = m.template array<S>(rows * std::max({wide, 3 * h, d}));
    d_mixed = m.template array<S>(rows * std::max(h, d));
    d_x = m.template array<float>(rows * p.features.padded());
    log_mean = m.template array<float>(most_log);
    m.zero(log_mean.data(), most_log);
    if (most_weights > 0) d_scores = m.template array<float>(most_weights);
    if (s.weights == attention::Weights::shuffled)
      d_weights = m.template array<float>(most_weights);
    if (s.form == attention::Form::additive) d_additive = m.template array<float>(rows * d);
    if (induced) {
      d_point_kv = m.template array<S>(points * 2 * h);
      d_point_y = m.template array<float>(points * d);
      d_seen = m.template array<float>(points * d);
      d_point_mixed = m.template array<S>(points * h);
      d_point_query = m.template array<S>(points * h);
    }
    const int parts = parts_for(rows, p.parameters);
    sums = m.template array<float>(parts * p.parameters);
    m.zero(sums.data(), parts * p.parameters);  // tables have parameters, and never a gradient
    gradient = m.template array<float>(p.parameters);
    if (s.weights == attention::Weights::random) {
      const std::vector<float> scores = attention::drawn_scores(s, nodes);
      table = m.template array<float>(static_cast<std::int64_t>(scores.size()));
      m.upload(table.data(), scores.data(), static_cast<std::int64_t>(scores.size()));
      m.wait();  // `scores` is gone with this block, as others are below
    }
    if (s.weights == attention::Weights::shuffled) {
      const std::vector<int> orders = attention::drawn_orders(s, nodes);
      order = m.template array<int>(static_cast<std::int64_t>(orders.size()));
      m.upload(order.data(), orders.data(), static_cast<std::int64_t>(orders.size()));
      m.wait();
    }
    if (s.positions == attention::Positions::sinusoidal) {
      const std::vector<float> plain = attention::position_codes_of(s, nodes);
      std::vector<float> padded(static_cast<std::size_t>(nodes * d), 0.f);
      for (std::int64_t n = 0; n < nodes; ++n)
        std::copy_n(plain.data() + n * s.width, s.width, padded.data() + n * d);
      codes = m.template array<float>(nodes * d);
      m.upload(codes.data(), padded.data(), nodes * d);
      m.wait();
    }
  }

  std::int64_t rows, points;  ///< room
  std::int64_t most_log = 0, most_weights = 0;

  Array<float> parameters;  ///< as they were given
  Array<PackJob> jobs;
  Array<S> weights;
  Array<float> vectors;
  // With removed nodes.
  Array<std::int64_t> first;
  Array<int> number, place;

  Array<float> x;   ///< [rows, F]
  Array<S> hidden;  ///< [rows, d] after the tanh of the embedding
  std::vector<Layer> layers;
  Array<float> last, last_stats;  ///< [rows, d] what the last norm was given
  Array<float> h_out;             ///< [rows, d]

  Array<float> d_stream, d_narrow;  ///< [rows, d]
  Array<S> d_wide, d_mixed;
  Array<float> d_x;
  Array<float> log_mean, d_scores, d_weights, d_additive;
  Array<S> d_point_kv, d_point_mixed, d_point_query;
  Array<float> d_point_y, d_seen;
  Array<float> sums, gradient;
  Array<float> table, codes;
  Array<int> order;
};

/// Rows of the environments of a pass.
template <class M, Precision P>
Rows node_rows(const Buffers<M, P>& b, const Pass& t) {
  return {t.whole ? nullptr : b.first.data(), t.nodes, t.nodes};
}

}  // namespace cra::cuda
