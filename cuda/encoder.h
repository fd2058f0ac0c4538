// cuda/encoder.h: the encoder as a sequence of kernels, forward and backward. attention.h has the
// formulas; what every kernel does is in its own header.
//
// Nothing in here allocates, and nothing waits but for what the caller wants to read.
#pragma once

#include <cmath>

#include "cuda/buffers.h"
#include "cuda/core_backward.h"
#include "cuda/fused_launch.h"
#include "cuda/plain.h"
#include "cuda/rows.h"

namespace cra::cuda {

template <class M, Precision P>
class DeviceEncoder {
 public:
  using S = Stored<P>;
  DeviceEncoder(const attention::Shape& s, const Packing& p) : shape_(s), packing_(p) {}

  /// Parameters that are in b.parameters, to where the kernels read them.
  void pack(M& m, Buffers<M, P>& b) const {
    typename PackKernel<P>::Args a;
    a.jobs = b.jobs.data();
    a.job_count = static_cast<int>(packing_.jobs.size());
    a.warps = packing_.warps;
    a.parameters = b.parameters.data();
    a.weights = b.weights.data();
    a.vectors = b.vectors.data();
    m.template launch<PackKernel<P>>(tiles_of(a.warps, PackKernel<P>::kWarps), 0, a);
  }

  /// Whether one kernel can do the whole pass.
  bool fuses(int nodes) const { return fused_plan<P>(shape_, packing_, nodes, 1).blocks > 0; }

  /// From b.x to b.h_out. \param keep  write what backward and weights() need; the embeddings have
  /// the same bits either way
  void forward(M& m, Buffers<M, P>& b, const Pass& t, bool keep) const {
    if (fuses(t.nodes)) return run_fused(m, b, shape_, packing_, t, keep);
    const Packing& p = packing_;
    linear(m, b, p.embed0, b.x.data(), b.hidden.data(), t.rows, {.ending = Ending::tanh});
    {
      Extras<float> more{.ending = Ending::none};
      if (shape_.positions != attention::Positions::none) {
        more.ending = Ending::code;
        more.codes = b.codes.data();
        more.number = t.whole ? nullptr : b.number.data();
        more.nodes = t.nodes;
      }
      linear(m, b, p.embed1, b.hidden.data(), stream(b, 0), t.rows, more);
    }
    for (std::size_t i = 0; i < b.layers.size(); ++i) {
      auto& l = b.layers[i];
      const auto& at = p.layers[i];
      attend(m, b, t, i);
      linear(m, b, at.out, l.mixed.data(), l.between.data(), t.rows,
             {.ending = Ending::residual, .residual = l.before.data()});
      linear(m, b, at.mlp0, l.between.data(), l.hidden.data(), t.rows,
             {.ending = Ending::tanh, .norm = norm_of(b, at.norm2, l.stats2.data())});
      linear(m, b, at.mlp1, l.hidden.data(), stream(b, i + 1), t.rows,
             {.ending = Ending::residual, .residual = l.between.data()});
    }
    norm(m, b, p.last, b.last.data(), b.last_stats.data(), b.h_out.data(), t.rows);
  }

  /// From the gradient by h in b.d_narrow to b.gradient and, if wanted, b.d_x.
  void backward(M& m, Buffers<M, P>& b, const Pass& t, bool by_x) const {
    const Packing& p = packing_;
    norm_backward(m, b, t, p.last, b.d_narrow.data(), b.last.data(), b.last_stats.data(), t.rows,
                  false, b.d_stream.data());
    for (std::size_t i = b.layers.size(); i-- > 0;) {
      auto& l = b.layers[i];
      const auto& at = p.layers[i];
      gradient(m, b, t, at.mlp1, b.d_stream.data(), l.hidden.data(), t.rows, {});
      pull(m, b, at.mlp1, b.d_stream.data(), b.d_wide.data(), t.rows, l.hidden.data());
      const NormArgs norm2 = norm_of(b, at.norm2, l.stats2.data());
      gradient(m, b, t, at.mlp0, b.d_wide.data(), l.between.data(), t.rows, norm2);
      pull(m, b, at.mlp0, b.d_wide.data(), b.d_narrow.data(), t.rows, nullptr);
      norm_backward(m, b, t, at.norm2, b.d_narrow.data(), l.between.data(), l.stats2.data(), t.rows,
                    true, b.d_stream.data());

      gradient(m, b, t, at.out, b.d_stream.data(), l.mixed.data(), t.rows, {});
      pull(m, b, at.out, b.d_stream.data(), b.d_mixed.data(), t.rows, nullptr);
      attend_backward(m, b, t, i);
      norm_backward(m, b, t, at.norm1, b.d_narrow.data(), l.before.data(), l.stats1.data(), t.rows,
                    true, b.d_stream.data());
    }
    gradient(m, b, t, p.embed1, b.d_stream.data(), b.hidden.data(), t.rows, {});
    pull(m, b, p.embed1, b.d_stream.data(), b.d_wide.data(), t.rows, b.hidden.data());
    gradient(m, b, t, p.embed0, b.d_wide.data(), b.x.data(), t.rows, {});
    if (by_x) pull(m, b, p.embed0, b.d_wide.data(), b.d_x.data(), t.rows, nullptr);

    SumKernel::Args sum{parts_of(b, t, t.rows), b.gradient.data()};
    m.template launch<SumKernel>(tiles_of(p.parameters, SumKernel::kWarps * kLanes), 0, sum);
  }

  /// Weights of one softmax of environments first, first + 1, ..., into `to`.
  /// \param to  [count, H, lookers, round8(nodes)]
  void weights(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer, bool of_points,
               std::int64_t first, std::int64_t count, float* to, float* softmaxed) const {
    PlainInputs<S> in = plain_of(b, t, layer, of_points);
    const auto shift = [&](Rows& r) {
      if (r.first != nullptr) r.first += first;
    };
    const std::int64_t looker = in.in.lookers.first ? 0 : in.in.lookers.apart * first;
    const std::int64_t node = in.in.nodes.first ? 0 : in.in.nodes.apart * first;
    in.in.q += (in.in.queries.first ? 0 : in.in.queries.apart * first) * in.in.q_ld;
    in.in.k += node * in.in.kv_ld;
    in.in.v += node * in.in.kv_ld;
    if (in.looker_number != nullptr) in.looker_number += looker;
    if (in.node_number != nullptr) in.node_number += node;
    if (in.node_place != nullptr) in.node_place += first * in.all_nodes;
    shift(in.in.queries);
    shift(in.in.lookers);
    shift(in.in.nodes);
    in.in.environments = count;
    in.weights = to;
    in.softmaxed = softmaxed;
    using K = WeightsKernel<S>;
    m.template launch<K>(plain_blocks(in.in, in.in.lookers, K::kWarps), 0, in);
  }

 private:
  /// What may stand before and after a product.
  template <class Out>
  struct Extras {
    Ending ending = Ending::none;
    NormArgs norm = {};
    const float* residual = nullptr;
    const float* codes = nullptr;
    const int* number = nullptr;
    int nodes = 0;
  };

  static float* stream(Buffers<M, P>& b, std::size_t layer) {
    return layer < b.layers.size() ? b.layers[layer].before.data() : b.last.data();
  }
  NormArgs norm_of(Buffers<M, P>& b, const NormPlace& n, float* stats) const {
    return {b.vectors.data() + n.gain, b.vectors.data() + n.bias, shape_.width, stats};
  }

  template <class In, class Out>
  void linear(M& m, Buffers<M, P>& b, const LinearPlace& l, const In* x, Out* y, std::int64_t rows,
              const Extras<Out>& more) const {
    using K = LinearKernel<P, In, Out>;
    typename K::Args a;
    a.x = x;
    a.rows = rows;
    a.in_tiles = l.inputs.padded() / 8;
    a.out_tiles = l.outputs.padded() / 8;
    a.weight = b.weights.data() + l.weight;
    a.bias = l.bias < 0 ? nullptr : b.vectors.data() + l.bias;
    a.norm = more.norm;
    a.ending = more.ending;
    a.residual = more.residual;
    a.codes = more.codes;
    a.number = more.number;
    a.nodes = more.nodes;
    a.y = y;
    m.template launch<K>(a.blocks(), 0, a);
  }
  /// d_x = d_y W, or that back through the tanh that made `tanh_of`.
  template <class In, class Out>
  void pull(M& m, Buffers<M, P>& b, const LinearPlace& l, const In* d_y, Out* d_x,
            std::int64_t rows, const S* tanh_of) const {
    using K = LinearKernel<P, In, Out>;
    typename K::Args a;
    a.x = d_y;
    a.rows = rows;
    a.in_tiles = l.outputs.padded() / 8;
    a.out_tiles = l.inputs.padded() / 8;
    a.weight = b.weights.data() + l.turned;
    a.ending = tanh_of == nullptr ? Ending::none : Ending::slope;
    a.tanh_of = tanh_of;
    a.y = d_x;
    m.template launch<K>(a.blocks(), 0, a);
  }
  /// As many as the pass has rows for, whatever room there is: its size alone decides the bits.
  Parts parts_of(Buffers<M, P>& b, const Pass& t, std::int64_t rows) const {
    const int count = parts_for(t.rows, packing_.parameters);
    return {rows, tiles_of(tiles_of(rows, count), 16) * 16, count, b.sums.data(),
            packing_.parameters};
  }
  template <class Dy, class In>
  void gradient(M& m, Buffers<M, P>& b, const Pass& t, const LinearPlace& l, const Dy* d_y,
                const In* x, std::int64_t rows, const NormArgs& norm) const {
    using K = OuterKernel<P, Dy, In>;
    typename K::Args a;
    a.d_y = d_y;
    a.x = x;
    a.norm = norm;
    a.outputs = l.outputs;
    a.inputs = l.inputs;
    a.target = l.source;
    a.parts = parts_of(b, t, rows);
    m.template launch<K>(tiles_of(a.warps(), K::kWarps), 0, a);
    if (l.source_bias >= 0) columns(m, b, t, d_y, l.outputs, l.source_bias, rows, false);
  }
  template <class Dy>
  void columns(M& m, Buffers<M, P>& b, const Pass& t, const Dy* d_y, Axis axis, std::int64_t target,
               std::int64_t rows, bool add) const {
    using K = ColumnKernel<Dy>;
    typename K::Args a;
    a.d_y = d_y;
    a.columns = axis;
    a.target = target;
    a.add = add;
    a.parts = parts_of(b, t, rows);
    m.template launch<K>(tiles_of(a.warps(), K::kWarps), 0, a);
  }
  void norm(M& m, Buffers<M, P>& b, const NormPlace& n, const float* x, float* stats, float* y,
            std::int64_t rows) const {
    NormKernel::Args a{x, rows, packing_.plain.padded() / 8, norm_of(b, n, stats), y};
    m.template launch<NormKernel>(tiles_of(rows, 16 * NormKernel::kWarps), 0, a);
  }
  void norm_backward(M& m, Buffers<M, P>& b, const Pass& t, const NormPlace& n, const float* d_y,
                     const float* x, float* stats, std::int64_t rows, bool add, float* d_x) const {
    using K = NormBackwardKernel;
    const K::Args a{d_y, x, rows, packing_.plain.padded() / 8, norm_of(b, n, stats), add, d_x};
    m.template launch<K>(tiles_of(rows, 16 * K::kWarps), 0, a);
    using C = ColumnKernel<float>;
    typename C::Args c;
    c.d_y = d_y;
    c.columns = packing_.plain;
    c.target = n.source_bias;
    c.x = x;
    c.stats = stats;
    c.gain_target = n.source_gain;
    c.parts = parts_of(b, t, rows);
    m.template launch<C>(tiles_of(c.warps(), C::kWarps), 0, c);
  }

  // ---- who sees what of whom
  /// The inputs of what the nodes see of each other or of points, or the points of nodes.
  CoreInputs<S> inputs(Buffers<M, P>& b, const Pass& t, std::size_t layer, bool of_points) const {
    auto& l = b.layers[layer];
    const int h = packing_.heads.padded(), points = shape_.points;
    CoreInputs<S> in;
    in.heads = shape_.heads;
    in.scale = scale_of(shape_);
    in.environments = t.envs;
    const Rows of_env = node_rows(b, t);
    const Rows all_points{nullptr, points, points};
    if (of_points) {
      in.q = b.weights.data() + packing_.layers[layer].point_rows;
      in.q_ld = h;
      in.queries = {nullptr, 0, points};  // those of all environments
      in.lookers = all_points;
    } else {
      in.q = l.qkv.data();
      in.q_ld = 3 * h;
      in.queries = in.lookers = of_env;
    }
    const bool at_points = shape_.form == attention::Form::induced && !of_points;
    in.k = at_points ? l.point_kv.data() : l.qkv.data() + h;
    in.v = in.k + h;
    in.kv_ld = at_points ? 2 * h : 3 * h;
    in.nodes = at_points ? all_points : of_env;
    return in;
  }
  PlainInputs<S> plain_of(Buffers<M, P>& b, const Pass& t, std::size_t layer,
                          bool of_points) const {
    auto& l = b.layers[layer];
    auto& looked = of_points ? l.points : l.nodes;
    const bool induced = shape_.form == attention::Form::induced;
    const int points = shape_.points;
    PlainInputs<S> p;
    p.in = inputs(b, t, layer, of_points);
    p.size = shape_.head_width();
    if (shape_.form == attention::Form::additive)
      p.additive = b.vectors.data() + packing_.layers[layer].additive;
    p.all_lookers = of_points ? points : t.nodes;
    p.all_nodes = induced && !of_points ? points : t.nodes;
    // Blocks of tables: for every layer what the points see, then what the nodes see.
    const std::int64_t block = std::int64_t{shape_.heads} * t.nodes * (induced ? points : t.nodes);
    const std::int64_t number =
        induced ? 2 * std::int64_t(layer) + (of_points ? 0 : 1) : std::int64_t(layer);
    if (shape_.weights == attention::Weights::random) p.table = b.table.data() + number * block;
    if (shape_.weights == attention::Weights::shuffled) p.order = b.order.data() + number * block;
    if (t.frozen) p.table = b.parameters.data() + packing_.averages + number * block;
    if (!t.whole) {
      if (!of_points) p.looker_number = b.number.data();
      if (!induced || of_points) {
        p.node_number = b.number.data();
        p.node_place = b.place.data();
      }
    }
    p.weights = looked.weights.data();
    p.softmaxed = looked.softmaxed.data();
    p.ld = round8(p.in.nodes.count);
    return p;
  }

  int head_tiles() const { return round8(shape_.head_width()) / 8; }

  /// Heads that the kernels of core.h were made for, by their tiles.
  template <class Fn>
  void with_head_tiles(Fn f) const {
    switch (head_tiles()) {
      case 1:
        return f(Count<1>{});
      case 2:
        return f(Count<2>{});
      case 3:
        return f(Count<3>{});
      case 4:
        return f(Count<4>{});
      case 5:
        return f(Count<5>{});
      case 6:
        return f(Count<6>{});
      case 7:
        return f(Count<7>{});
      default:
        return f(Count<8>{});
    }
  }

  void look(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer, bool of_points, S* out,
            int out_ld) const {
    auto& looked = of_points ? b.layers[layer].points : b.layers[layer].nodes;
    if (needs_weights(shape_)) {
      const PlainInputs<S> p = plain_of(b, t, layer, of_points);
      using W = WeightsKernel<S>;
      m.template launch<W>(plain_blocks(p.in, p.in.lookers, W::kWarps), 0, p);
      using K = MixKernel<S>;
      m.template launch<K>(plain_blocks(p.in, p.in.lookers, K::kWarps), 0,
                           typename K::Args{p, out, out_ld});
      return;
    }
    with_head_tiles([&](auto tiles) {
      using K = CoreKernel<P, decltype(tiles)::value>;
      typename K::Args a;
      a.in = inputs(b, t, layer, of_points);
      a.plan = core_plan(t.envs * shape_.heads, a.in.lookers.count, a.in.nodes.count, tiles,
                         K::kWarps, K::kArrays, sizeof(S), true);
      a.out = out;
      a.out_ld = out_ld;
      a.log_sum = looked.log_sum.data();
      a.log_ld = round8(a.in.lookers.count);
      m.template launch<K>(a.plan.blocks, a.plan.shared, a);
    });
  }

  struct Gradients {
    const S* o;
    const S* d_o;
    int o_ld;
    S* d_q;
    int d_q_ld;
    S* d_k;
    S* d_v;
    int d_kv_ld;
  };
  void look_backward(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer, bool of_points,
                     const Gradients& g) const {
    auto& looked = of_points ? b.layers[layer].points : b.layers[layer].nodes;
    if (needs_weights(shape_)) {
      const PlainInputs<S> p = plain_of(b, t, layer, of_points);
      float* const d_scores = p.table == nullptr ? b.d_scores.data() : nullptr;
      if (d_scores != nullptr) {
        using K = ScoresBackwardKernel<S>;
        m.template launch<K>(plain_blocks(p.in, p.in.lookers, K::kWarps), 0,
                             typename K::Args{p, g.d_o, g.o_ld, d_scores, b.d_weights.data()});
      }
      using L = LookersBackwardKernel<S>;
      m.template launch<L>(plain_blocks(p.in, p.in.lookers, L::kWarps), 0,
                           typename L::Args{p, d_scores, g.d_q, g.d_q_ld, b.d_additive.data()});
      using N = NodesBackwardKernel<S>;
      m.template launch<N>(plain_blocks(p.in, p.in.nodes, N::kWarps), 0,
                           typename N::Args{p, d_scores, g.d_o, g.o_ld, g.d_k, g.d_v, g.d_kv_ld});
      if (shape_.form == attention::Form::additive)
        columns(m, b, t, b.d_additive.data(), packing_.plain,
                packing_.layers[layer].source_additive, t.rows, false);
      return;
    }
    with_head_tiles([&](auto tiles) {
      using K = CoreBackwardKernel<P, decltype(tiles)::value>;
      typename K::Args a;
      a.in = inputs(b, t, layer, of_points);
      const int most = std::max(a.in.lookers.count, a.in.nodes.count);
      a.plan = core_plan(t.envs * shape_.heads, most, most, tiles, K::kWarps, K::kArrays, sizeof(S),
                         false);
      a.o = g.o;
      a.d_o = g.d_o;
      a.o_ld = g.o_ld;
      a.log_sum = looked.log_sum.data();
      a.mean = b.log_mean.data();
      a.log_ld = round8(a.in.lookers.count);
      a.d_q = g.d_q;
      a.d_q_ld = g.d_q_ld;
      a.d_k = g.d_k;
      a.d_v = g.d_v;
      a.d_kv_ld = g.d_kv_ld;
      m.template launch<K>(a.plan.blocks, a.plan.shared, a);
    });
  }

  /// From b.layers[layer].before to its `mixed`.
  void attend(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer) const {
    auto& l = b.layers[layer];
    const auto& at = packing_.layers[layer];
    const int h = packing_.heads.padded();
    if (shape_.form == attention::Form::none) {
      norm(m, b, at.norm1, l.before.data(), l.stats1.data(), b.d_narrow.data(), t.rows);
      return mean(m, b, t, b.d_narrow.data(), l.mixed.data());
    }
    linear(m, b, at.qkv, l.before.data(), l.qkv.data(), t.rows,
           {.norm = norm_of(b, at.norm1, l.stats1.data())});
    if (shape_.form == attention::Form::induced) {
      const std::int64_t rows = t.envs * shape_.points;
      look(m, b, t, layer, true, l.point_mixed.data(), h);
      using K = SeenKernel<S, float>;
      typename K::Args a{.from = l.point_mixed.data(),
                         .from_axis = packing_.heads,
                         .to_axis = packing_.plain,
                         .rows = rows,
                         .plus = b.vectors.data() + at.points,
                         .plus_rows = shape_.points,
                         .to = l.seen.data()};
      m.template launch<K>(tiles_of(rows, K::kWarps), 0, a);
      linear(m, b, at.point_kv, l.seen.data(), l.point_kv.data(), rows,
             {.norm = norm_of(b, at.points_norm, l.points_stats.data())});
    }
    look(m, b, t, layer, false, l.mixed.data(), h);
  }

  /// From b.d_mixed to the gradient by norm1's result in b.d_narrow.
  void attend_backward(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer) const {
    auto& l = b.layers[layer];
    const auto& at = packing_.layers[layer];
    const int h = packing_.heads.padded();
    if (shape_.form == attention::Form::none)
      return mean(m, b, t, b.d_mixed.data(), b.d_narrow.data());
    S* const d_qkv = b.d_wide.data();
    if (shape_.form == attention::Form::induced) {
      S* const d_kv = b.d_point_kv.data();
      look_backward(m, b, t, layer, false,
                    {l.mixed.data(), b.d_mixed.data(), h, d_qkv, 3 * h, d_kv, d_kv + h, 2 * h});
      points_backward(m, b, t, layer);
    } else {
      look_backward(
          m, b, t, layer, false,
          {l.mixed.data(), b.d_mixed.data(), h, d_qkv, 3 * h, d_qkv + h, d_qkv + 2 * h, 3 * h});
    }
    gradient(m, b, t, at.qkv, d_qkv, l.before.data(), t.rows,
             norm_of(b, at.norm1, l.stats1.data()));
    pull(m, b, at.qkv, d_qkv, b.d_narrow.data(), t.rows, nullptr);
  }

  /// From the gradients by the points' keys and values to those by the nodes' and by the points.
  void points_backward(M& m, Buffers<M, P>& b, const Pass& t, std::size_t layer) const {
    auto& l = b.layers[layer];
    const auto& at = packing_.layers[layer];
    const int h = packing_.heads.padded();
    const std::int64_t rows = t.envs * shape_.points;
    gradient(m, b, t, at.point_kv, b.d_point_kv.data(), l.seen.data(), rows,
             norm_of(b, at.points_norm, l.points_stats.data()));
    pull(m, b, at.point_kv, b.d_point_kv.data(), b.d_point_y.data(), rows, nullptr);
    norm_backward(m, b, t, at.points_norm, b.d_point_y.data(), l.seen.data(), l.points_stats.data(),
                  rows, false, b.d_seen.data());
    using K = SeenKernel<float, S>;
    typename K::Args a{.from = b.d_seen.data(),
                       .from_axis = packing_.plain,
                       .to_axis = packing_.heads,
                       .rows = rows,
                       .to = b.d_point_mixed.data()};
    m.template launch<K>(tiles_of(rows, K::kWarps), 0, a);
    S* const d_k = b.d_wide.data() + h;
    look_backward(m, b, t, layer, true,
                  {l.point_mixed.data(), b.d_point_mixed.data(), h, b.d_point_query.data(), h, d_k,
                   d_k + h, 3 * h});
    // The points of all environments are the same parameters: an environment is a row of them.
    columns(m, b, t, b.d_seen.data(), packing_.points_plain, at.source_points, t.envs, false);
    columns(m, b, t, b.d_point_query.data(), packing_.points_heads, at.source_points, t.envs, true);
  }

  template <class In, class Out>
  void mean(M& m, Buffers<M, P>& b, const Pass& t, const In* x, Out* y) const {
    using K = MeanKernel<In, Out>;
    const typename K::Args a{x, y, node_rows(b, t), t.envs, packing_.plain.padded()};
    m.template launch<K>(a.blocks(), 0, a);
  }

  attention::Shape shape_;
  const Packing& packing_;
};

}  // namespace cra::cuda
