// Runs a policy on frozen episodes, tile by tile.
#include <algorithm>
#include <numeric>

#include "agents/agents.h"

namespace cra::agents {
namespace {

constexpr std::int64_t kTile = 16;  // environments that run together; fixed, so results are too

/// Calls work(batch, actor, weights, first episode) for every tile of episodes.
template <class Work>
void for_each_batch(const Policy& policy, const sim::Params& p, const sim::Exogenous& x,
                    std::int64_t episodes, Work work) {
  for_each_tile(tiles_of(episodes, kTile), [&](std::int64_t tile) {
    const std::int64_t first = tile * kTile, count = std::min(kTile, episodes - first);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    sim::Batch batch = sim::reset(p, x, std::move(rows));
    const std::unique_ptr<Actor> actor = policy.actor(count);
    std::vector<double> weights(batch.at(count));
    work(batch, *actor, View<double>{weights.data(), count, batch.nodes}, first);
  });
}

/// Weights as the pool takes them (sim::waterfill: at least 1e-9 of the largest; all zero means no
/// preference), scaled to sum 1.
void proportions_of(const double* weights, int nodes, double* proportion) {
  const double largest = *std::max_element(weights, weights + nodes);
  for (int n = 0; n < nodes; ++n)
    proportion[n] = largest > 0 ? std::max(weights[n] / largest, 1e-9) : 1.0;
  const double sum = std::accumulate(proportion, proportion + nodes, 0.0);
  for (int n = 0; n < nodes; ++n) proportion[n] /= sum;
}

View<const double> read_only(View<double> v) { return {v.data, v.rows, v.cols}; }

}  // namespace

Outcome evaluate(const Policy& policy, const sim::Params& p, const sim::Exogenous& x) {
  Outcome out;
  const auto episodes = static_cast<std::size_t>(x.episodes);
  for (auto* column :
       {&out.cost, &out.error_cost, &out.switching_cost, &out.score, &out.served, &out.lost})
    column->assign(episodes, 0);
  for_each_batch(policy, p, x, x.episodes,
                 [&](sim::Batch& b, Actor& actor, View<double> weights, std::int64_t first) {
                   for (int t = 0; t < x.slots; ++t) {
                     actor.act(b, weights);
                     sim::step(p, x, b, read_only(weights));
                     for (std::int64_t e = 0; e < b.envs; ++e) {
                       const auto at = static_cast<std::size_t>(e),
                                  to = static_cast<std::size_t>(first + e);
                       out.cost[to] += b.cost[at];
                       out.error_cost[to] += b.error_cost[at];
                       out.switching_cost[to] += b.switching_cost[at];
                       out.score[to] += b.score[at];
                       for (std::size_t n = 0; n < static_cast<std::size_t>(b.nodes); ++n) {
                         out.served[to] += b.served[b.at(e) + n];
                         out.lost[to] += b.lost[b.at(e) + n];
                       }
                     }
                   }
                 });
  for (auto* column :
       {&out.cost, &out.error_cost, &out.switching_cost, &out.score, &out.served, &out.lost})
    for (double& value : *column) value /= x.slots;
  return out;
}

Trajectory record(const Policy& policy, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes) {
  CRA_CHECK(episodes >= 0 && episodes <= x.episodes,
            "record: " + std::to_string(episodes) + " episodes asked for, " +
                std::to_string(x.episodes) + " were drawn");
  Trajectory out;
  out.episodes = episodes;
  out.slots = x.slots;
  out.nodes = x.nodes;
  const std::size_t per_slot = static_cast<std::size_t>(episodes * x.slots);
  const std::size_t per_node = per_slot * static_cast<std::size_t>(x.nodes);
  for (auto* a :
       {&out.proportion, &out.grant, &out.rate, &out.served, &out.lost, &out.backlog, &out.error})
    a->resize(per_node);
  for (auto* a : {&out.error_cost, &out.switching_cost, &out.cost, &out.score}) a->resize(per_slot);

  for_each_batch(policy, p, x, episodes,
                 [&](sim::Batch& b, Actor& actor, View<double> weights, std::int64_t first) {
                   const auto nodes = static_cast<std::size_t>(b.nodes);
                   for (int t = 0; t < x.slots; ++t) {
                     actor.act(b, weights);
                     sim::step(p, x, b, read_only(weights));
                     for (std::int64_t e = 0; e < b.envs; ++e) {
                       const std::size_t from = b.at(e), to = x.at(first + e, t), slot = to / nodes;
                       proportions_of(weights.row(e), b.nodes, out.proportion.data() + to);
                       for (std::size_t n = 0; n < nodes; ++n) {
                         out.grant[to + n] = b.grant[from + n];
                         out.rate[to + n] = b.rate[from + n];
                         out.served[to + n] = b.served[from + n];
                         out.lost[to + n] = b.lost[from + n];
                         out.backlog[to + n] = b.backlog[from + n];
                         out.error[to + n] = b.error[from + n];
                       }
                       const auto env = static_cast<std::size_t>(e);
                       out.error_cost[slot] = b.error_cost[env];
                       out.switching_cost[slot] = b.switching_cost[env];
                       out.cost[slot] = b.cost[env];
                       out.score[slot] = b.score[env];
                     }
                   }
                 });
  return out;
}

}  // namespace cra::agents
