#include "agents/rollout.h"

#include <algorithm>

namespace cra::agents {
namespace {

constexpr std::int64_t kTile = 16;  // environments that roll out together on the CPU

}  // namespace

Rollout::Rollout(std::int64_t envs_, int replicas_, int slots_, const DecisionShape& shape_,
                 int feature_count_)
    : envs(envs_),
      replicas(replicas_),
      slots(slots_),
      shape(shape_),
      feature_count(feature_count_) {
  const auto steps = static_cast<std::size_t>(envs * slots);
  features.resize(steps * static_cast<std::size_t>(shape.nodes) *
                  static_cast<std::size_t>(feature_count));
  base.resize(steps * static_cast<std::size_t>(shape.bundle()));
  residual.resize(steps * static_cast<std::size_t>(shape.logits()));
  action.resize(residual.size());
  log_density.resize(steps);
  value.resize(steps);
  cost.resize(steps);
  score.resize(steps);
}

Rollout roll_out(const LearnedNet& net, const float* value_head, const sim::Params& pool,
                 const sim::Exogenous& x, const Exploration& exploration) {
  const DecisionShape& shape = net.decision_shape();
  const int replicas = exploration.replicas, nodes = x.nodes, size = shape.size(),
            width = net.theta_layout().width;
  const std::int64_t envs = x.episodes * replicas;
  Rollout r(envs, replicas, x.slots, shape, sim::feature_count(pool));
  const auto row_features = static_cast<std::ptrdiff_t>(nodes) * r.feature_count;
  const Distribution around = net.distribution();

  const std::int64_t together = std::max(kTile, net.engine().wanted_batch());
  for_each_tile(tiles_of(envs, together), [&](std::int64_t tile) {
    const std::int64_t first = tile * together, count = std::min(together, envs - first);
    std::vector<std::int64_t> rows;
    for (std::int64_t e = first; e < first + count; ++e) rows.push_back(e / replicas);
    sim::Batch b = sim::reset(pool, x, std::move(rows));
    LearnedScratch scratch = net.make_scratch(count);
    sim::Sight sight(pool);
    std::vector<double> decisions(static_cast<std::size_t>(count * size));

    for (int t = 0; t < x.slots; ++t) {
      net.respond(sight.look(b), scratch);
      for (std::int64_t e = 0; e < count; ++e) {
        const std::size_t at = r.at(first + e, t),
                          place = at * static_cast<std::size_t>(shape.logits());
        const Proposal proposal = proposal_of(scratch.base, scratch.residual, shape, e);
        std::copy_n(proposal.base, shape.bundle(),
                    r.base.data() + at * static_cast<std::size_t>(shape.bundle()));
        std::copy_n(proposal.residual, shape.logits(), r.residual.data() + place);
        std::copy_n(scratch.features.begin() + e * row_features, row_features,
                    r.features.begin() + static_cast<std::ptrdiff_t>(at) * row_features);
        r.log_density[at] =
            around.sample(proposal, {exploration.seed, exploration.first_episode + first + e, t},
                          r.action.data() + place, decisions.data() + e * size);
        if (value_head != nullptr)
          r.value[at] =
              critic_value(value_head, scratch.embedding.data() + e * nodes * width, nodes, width);
      }
      sim::step_bundles(pool, x, b, {decisions.data(), count, size});
      for (std::int64_t e = 0; e < count; ++e) {
        r.cost[r.at(first + e, t)] = b.cost[static_cast<std::size_t>(e)];
        r.score[r.at(first + e, t)] = b.score[static_cast<std::size_t>(e)];
      }
    }
  });
  return r;
}

}  // namespace cra::agents
