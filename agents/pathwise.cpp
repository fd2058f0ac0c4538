#include "agents/pathwise.h"

#include <omp.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace cra::agents {
namespace {

// Episodes that run together on the CPU; fixed, so results are too. Gradients are added by tiles:
// a device that wants larger ones rounds differently, as it does anyway.
constexpr std::int64_t kTile = 8;

/// What the reverse sweep needs of one slot.
struct Moment {
  sim::Batch before;
  std::optional<sim::Batch> shown;  ///< what the policy saw of it; nothing when it saw it as it is
  std::vector<float> features;      ///< [E * N, F] normalised
  std::vector<double> base, residual;  ///< [E, bundle], [E, logits] what it was made of
  std::vector<double> bundles;         ///< [E, size] what the policy said
  std::vector<double> d_bundles;       ///< gradient by the bundles
  const sim::Batch& seen() const { return shown ? *shown : before; }
};

/// One tile's part of the gradient.
struct Part {
  std::vector<float> gradient;
  double cost = 0, score = 0;
  StageSeconds seconds{};
};

class Sweep {
 public:
  Sweep(const LearnedNet& net, const sim::Params& p, const sim::Exogenous& x, std::int64_t first,
        std::int64_t envs)
      : net_(net),
        params_(p),
        exogenous_(x),
        envs_(envs),
        shape_(net.decision_shape()),
        size_(shape_.size()),
        width_(net.theta_layout().width),
        features_(static_cast<int>(net.network().features.size())),
        rows_(envs * p.pool.nodes),
        scratch_(net.make_scratch(envs)),
        sight_(p),
        around_(net.distribution()) {
    std::vector<std::int64_t> episodes(static_cast<std::size_t>(envs));
    std::iota(episodes.begin(), episodes.end(), first);
    batch_ = sim::reset(p, x, std::move(episodes));
  }

  /// Runs the episodes and keeps every slot.
  void forward(Part& part) {
    StageClock& clock = scratch_.clock;
    clock.skip();
    for (int t = 0; t < exogenous_.slots; ++t) {
      Moment m;
      m.before = batch_;
      clock.lap(Stage::trail);
      const sim::Batch& seen = sight_.look(batch_);
      if (&seen != &batch_) m.shown = seen;
      clock.lap(Stage::plant);
      net_.respond(seen, scratch_);
      m.features = scratch_.features;
      m.bundles.resize(static_cast<std::size_t>(envs_ * size_));
      m.base = scratch_.base;
      m.residual = scratch_.residual;
      clock.lap(Stage::trail);
      for (std::int64_t e = 0; e < envs_; ++e)
        around_.mean(proposal_of(m.base, m.residual, shape_, e), m.bundles.data() + e * size_);
      clock.lap(Stage::decision);
      sim::step_bundles(params_, exogenous_, batch_, {m.bundles.data(), envs_, size_});
      part.cost += std::accumulate(batch_.cost.begin(), batch_.cost.end(), 0.0);
      part.score += std::accumulate(batch_.score.begin(), batch_.score.end(), 0.0);
      clock.lap(Stage::plant);
      trail_.push_back(std::move(m));
    }
  }

  /// The same slots in reverse: plant, decision, heads, encoder, features, base. What a policy saw
  /// in a slot may be the state before an earlier one: its gradient belongs there.
  /// \param weight  gradient of the loss by the cost of one slot
  void backward(double weight, Part& part) {
    StageClock& clock = scratch_.clock;
    clock.skip();
    sim::Adjoint a(batch_);
    for (int t = exogenous_.slots - 1; t >= 0; --t) {
      Moment& m = at(t);
      m.d_bundles.resize(m.bundles.size());
      sim::step_bundles_backward(params_, exogenous_, m.before, {m.bundles.data(), envs_, size_},
                                 weight, a, {m.d_bundles.data(), envs_, size_});
      clock.lap(Stage::plant_backward);
      const auto [first, last] = sight_.acting_on(t, exogenous_.slots);
      for (int later = last; later >= first; --later) learn(at(later), a, part);
      sim::settle(params_, m.before, a);
      clock.lap(Stage::plant_backward);
    }
    part.seconds = clock.seconds();
  }

 private:
  Moment& at(int t) { return trail_[static_cast<std::size_t>(t)]; }

  void learn(const Moment& m, sim::Adjoint& a, Part& part) {
    const int nodes = params_.pool.nodes;
    const ThetaLayout& layout = net_.theta_layout();
    std::vector<float> h(static_cast<std::size_t>(rows_ * width_)), d_h(h.size()),
        d_x(m.features.size());
    std::vector<double> d_log_weight(static_cast<std::size_t>(rows_)), d_features(d_x.size());
    net_.engine().forward(net_.encoder_parameters(), {m.features.data(), rows_, features_}, nodes,
                          *scratch_.cache, {h.data(), rows_, width_});
    scratch_.clock.lap(Stage::attention);
    std::vector<double> d_residual(static_cast<std::size_t>(shape_.logits()));
    const Heads<float> d_heads = layout.heads(part.gradient.data());
    double d_spread = 0;
    for (std::int64_t e = 0; e < envs_; ++e) {
      d_spread += around_.mean_backward(proposal_of(m.base, m.residual, shape_, e),
                                        m.d_bundles.data() + e * size_, d_residual.data());
      // The logits of every block are log base weight + residual: so are the gradients.
      for (int n = 0; n < nodes; ++n)
        d_log_weight[static_cast<std::size_t>(e * nodes + n)] =
            sum_of_blocks(d_residual.data(), shape_, n);
      const std::int64_t row = e * nodes * width_;
      head_residual_backward(net_.heads(), h.data() + row, d_residual.data(), shape_, width_,
                             d_h.data() + row, d_heads);
    }
    part.gradient[static_cast<std::size_t>(layout.log_spread())] += static_cast<float>(d_spread);
    scratch_.clock.lap(Stage::decision_backward);
    net_.engine().backward(net_.encoder_parameters(), {d_h.data(), rows_, width_}, *scratch_.cache,
                           {part.gradient.data(), static_cast<std::size_t>(layout.encoder)},
                           {d_x.data(), rows_, features_});
    scratch_.clock.lap(Stage::attention_backward);
    const std::vector<double>& scale = net_.network().feature_scale;
    for (std::size_t i = 0; i < d_x.size(); ++i) {
      const auto x = static_cast<double>(m.features[i]);
      const bool inside = x > kFeatureLow && x < kFeatureHigh;
      d_features[i] = inside ? static_cast<double>(d_x[i]) * scale[i % scale.size()] : 0;
    }
    const sim::Batch& seen = m.seen();
    std::optional<sim::Adjoint> before;
    if (sight_.hides()) before = a;
    sim::observe_backward(params_, seen, {d_features.data(), rows_, features_}, a);
    scratch_.clock.lap(Stage::features_backward);
    leave_floor(seen, d_log_weight);
    scratch_.heuristic->pull(seen, {d_log_weight.data(), envs_, nodes}, a);
    if (before) sight_.blind(*before, a);
    scratch_.clock.lap(Stage::decision_backward);
  }

  /// A weight on the floor moves with the largest one of its environment, not with its own.
  void leave_floor(const sim::Batch& b, std::vector<double>& d_log_weight) {
    const int nodes = params_.pool.nodes;
    const int bundle = shape_.bundle();
    scratch_.heuristic->act(b, {scratch_.base.data(), envs_, bundle});
    for (std::int64_t e = 0; e < envs_; ++e) {
      const double* w = scratch_.base.data() + e * bundle;
      double* d = d_log_weight.data() + e * nodes;
      const auto largest = std::max_element(w, w + nodes) - w;
      if (w[largest] == 0) {  // equal shares, whatever the base would say nearby
        std::fill_n(d, nodes, 0.0);
        continue;
      }
      const double least = std::max(net_.network().base_floor, kLeastFloor) * w[largest];
      for (int n = 0; n < nodes; ++n)
        if (w[n] < least) {
          d[largest] += d[n];
          d[n] = 0;
        }
    }
  }

  const LearnedNet& net_;
  const sim::Params& params_;
  const sim::Exogenous& exogenous_;
  std::int64_t envs_;
  DecisionShape shape_;
  int size_, width_, features_;
  std::int64_t rows_;
  LearnedScratch scratch_;
  sim::Sight sight_;
  Distribution around_;
  sim::Batch batch_;
  std::vector<Moment> trail_;
};

}  // namespace

PathwiseGradient pathwise_gradient(const LearnedNet& net, const sim::Params& p,
                                   const sim::Exogenous& x) {
  const std::int64_t size_of_tile = std::max(kTile, net.engine().wanted_batch());
  const std::int64_t tiles = tiles_of(x.episodes, size_of_tile);
  const double per_slot = 1 / (static_cast<double>(x.episodes) * x.slots);
  const auto size = static_cast<std::size_t>(net.theta_layout().size());
  std::vector<Part> parts(static_cast<std::size_t>(tiles));
  for_each_tile(tiles, [&](std::int64_t tile) {
    Part& part = parts[static_cast<std::size_t>(tile)];
    part.gradient.assign(size, 0);
    const std::int64_t first = tile * size_of_tile;
    Sweep sweep(net, p, x, first, std::min(size_of_tile, x.episodes - first));
    sweep.forward(part);
    sweep.backward(per_slot, part);
  });
  PathwiseGradient out;
  std::vector<double> sum(size, 0);
  const auto threads = static_cast<double>(std::min<std::int64_t>(omp_get_max_threads(), tiles));
  for (const Part& part : parts) {
    for (std::size_t s = 0; s < part.seconds.size(); ++s)
      out.seconds[s] += part.seconds[s] / threads;
    out.cost += part.cost * per_slot;
    out.score += part.score * per_slot;
    for (std::size_t i = 0; i < size; ++i) sum[i] += static_cast<double>(part.gradient[i]);
  }
  out.gradient.assign(sum.begin(), sum.end());
  return out;
}

}  // namespace cra::agents
