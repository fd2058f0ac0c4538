// cuda/fused_launch.h: for which encoders the kernel of fused.h was made, and how it is launched.
#pragma once

#include "cuda/buffers.h"
#include "cuda/fused.h"

namespace cra::cuda {

/// How environments are dealt to blocks; 0 blocks when they cannot be.
template <Precision P>
FusedArgs<P> fused_plan(const attention::Shape& s, const Packing& p, int nodes, std::int64_t envs) {
  FusedArgs<P> a;
  const bool dots = (s.form == attention::Form::multihead || s.form == attention::Form::dot) &&
                    !needs_weights(s) && s.layers <= kMostLayers;
  const int head = round8(s.head_width()) / 8, width = p.plain.padded() / 8;
  const bool made = (head == 1 || head == 2 || head == 4) &&
                    (width == 2 || width == 4 || width == 8) && head <= width;
  if (!dots || !made) return a;
  constexpr int kWarps = FusedKernel<P, 1, 2>::kWarps;
  while (a.unit_warps * 16 < nodes) a.unit_warps *= 2;
  if (a.unit_warps > kWarps) return a;
  a.block_warps = std::max(a.unit_warps, 8);
  const auto shared = [&] {
    return static_cast<std::size_t>(a.block_warps) * 16 * 8 * 2 *
           static_cast<std::size_t>(head * s.heads) * sizeof(Stored<P>);
  };
  while (shared() > kMostShared / 2 && a.block_warps > a.unit_warps) a.block_warps /= 2;
  a.shared = shared();
  if (a.shared <= kMostShared) a.blocks = tiles_of(envs, a.block_warps / a.unit_warps);
  return a;
}

/// One kernel from b.x to b.h_out. \param keep  as of DeviceEncoder::forward
template <class M, Precision P>
void run_fused(M& m, Buffers<M, P>& b, const attention::Shape& s, const Packing& p, const Pass& t,
               bool keep) {
  FusedArgs<P> a = fused_plan<P>(s, p, t.nodes, t.envs);
  const auto linear_at = [&](const LinearPlace& l) {
    return FusedLinear<P>{b.weights.data() + l.weight,
                          l.bias < 0 ? nullptr : b.vectors.data() + l.bias};
  };
  const auto norm_at = [&](const NormPlace& n) {
    return FusedNorm{b.vectors.data() + n.gain, b.vectors.data() + n.bias};
  };
  a.x = b.x.data();
  a.feature_tiles = p.features.padded() / 8;
  a.rows = node_rows(b, t);
  a.environments = t.envs;
  a.width = s.width;
  a.heads = s.heads;
  a.scale = scale_of(s);
  a.layers = s.layers;
  for (std::size_t i = 0; i < b.layers.size(); ++i) {
    auto& l = b.layers[i];
    const auto& at = p.layers[i];
    a.layer[i] = {norm_at(at.norm1),  norm_at(at.norm2),     linear_at(at.qkv), linear_at(at.out),
                  linear_at(at.mlp0), linear_at(at.mlp1),    l.before.data(),   l.between.data(),
                  l.stats1.data(),    l.stats2.data(),       l.qkv.data(),      l.mixed.data(),
                  l.hidden.data(),    l.nodes.log_sum.data()};
  }
  a.embed0 = linear_at(p.embed0);
  a.embed1 = linear_at(p.embed1);
  if (s.positions != attention::Positions::none) a.codes = b.codes.data();
  a.number = t.whole ? nullptr : b.number.data();
  a.last = norm_at(p.last);
  a.h = b.h_out.data();
  a.keep = keep;
  a.hidden = b.hidden.data();
  a.last_rows = b.last.data();
  a.last_stats = b.last_stats.data();
  a.log_ld = round8(t.nodes);
  const auto launch = [&](auto head, auto width) {
    using K = FusedKernel<P, decltype(head)::value, decltype(width)::value>;
    m.template launch<K>(a.blocks, a.shared, a, a.block_warps);
  };
  const auto with_width = [&](auto head) {
    switch (p.plain.padded() / 8) {
      case 2:
        if constexpr (decltype(head)::value <= 2) launch(head, Count<2>{});
        break;
      case 4:
        launch(head, Count<4>{});
        break;
      default:
        launch(head, Count<8>{});
    }
  };
  switch (round8(s.head_width()) / 8) {
    case 1:
      return with_width(Count<1>{});
    case 2:
      return with_width(Count<2>{});
    default:
      return with_width(Count<4>{});
  }
}

}  // namespace cra::cuda
