// Runs a policy on frozen episodes, tile by tile.
#include <algorithm>
#include <numeric>

#include "agents/agents.h"

namespace cra::agents {
namespace {

constexpr std::int64_t kTile = 16;  // environments that run together on the CPU

using Column = std::vector<double>;

/// A column of the batch and where its numbers go.
template <class Record>
struct Link {
  Column sim::Batch::*from;
  Column Record::*to;
};

// Per environment, averaged over the slots.
constexpr Link<Outcome> kOutcomePerEnv[] = {{&sim::Batch::cost, &Outcome::cost},
                                            {&sim::Batch::error_cost, &Outcome::error_cost},
                                            {&sim::Batch::switching_cost, &Outcome::switching_cost},
                                            {&sim::Batch::fairness_cost, &Outcome::fairness_cost},
                                            {&sim::Batch::use_cost, &Outcome::use_cost},
                                            {&sim::Batch::score, &Outcome::score}};
// Per node, summed over the nodes.
constexpr Link<Outcome> kOutcomePerNode[] = {{&sim::Batch::served, &Outcome::served},
                                             {&sim::Batch::dispatched, &Outcome::served},
                                             {&sim::Batch::lost, &Outcome::lost}};
constexpr Link<Trajectory> kTrajectoryPerEnv[] = {
    {&sim::Batch::error_cost, &Trajectory::error_cost},
    {&sim::Batch::switching_cost, &Trajectory::switching_cost},
    {&sim::Batch::fairness_cost, &Trajectory::fairness_cost},
    {&sim::Batch::use_cost, &Trajectory::use_cost},
    {&sim::Batch::cost, &Trajectory::cost},
    {&sim::Batch::score, &Trajectory::score},
    {&sim::Batch::waste, &Trajectory::waste}};
constexpr Link<Trajectory> kTrajectoryPerNode[] = {
    {&sim::Batch::grant, &Trajectory::grant},
    {&sim::Batch::rate, &Trajectory::rate},
    {&sim::Batch::served, &Trajectory::served},
    {&sim::Batch::dispatched, &Trajectory::dispatched},
    {&sim::Batch::lost, &Trajectory::lost},
    {&sim::Batch::backlog, &Trajectory::backlog},
    {&sim::Batch::progress, &Trajectory::progress},
    {&sim::Batch::error, &Trajectory::error}};

std::unique_ptr<Actor> actor_of(const Policy& policy, const sim::Exogenous&, std::int64_t envs) {
  return policy.actor(envs);
}
std::unique_ptr<Actor> actor_of(const Oracle& oracle, const sim::Exogenous& x, std::int64_t envs) {
  return oracle.actor(x, envs);
}

std::int64_t together(const Policy& policy) { return std::max(kTile, policy.wanted_batch()); }
std::int64_t together(const Oracle&) { return kTile; }

const sim::Batch& shown(const Policy&, sim::Sight& sight, const sim::Batch& b) {
  return sight.look(b);
}
/// Nothing is hidden from an oracle.
const sim::Batch& shown(const Oracle&, sim::Sight&, const sim::Batch& b) { return b; }

/// What was decided for a tile of environments in a slot.
struct Decided {
  View<const double> bundles;    // [E, Actor::size()] what the policy said
  View<const double> decisions;  // [E, A] what the pool was told
};

/// Runs who decides on the first `episodes` rows of x. Calls before(what is seen, first episode of
/// the tile, slot) before every slot and after the last, and after(batch, decided, first episode
/// of the tile, slot) after every slot.
template <class Who, class Before, class After>
void run_episodes(const Who& who, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes, Before before, After after) {
  const std::int64_t size_of_tile = together(who);
  for_each_tile(tiles_of(episodes, size_of_tile), [&](std::int64_t tile) {
    const std::int64_t first = tile * size_of_tile;
    const std::int64_t count = std::min(size_of_tile, episodes - first);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    sim::Batch batch = sim::reset(p, x, std::move(rows));
    const std::unique_ptr<Actor> actor = actor_of(who, x, count);
    sim::Sight sight(p);
    const int size = actor->size(p);
    Column bundles(static_cast<std::size_t>(count * size));
    for (int t = 0; t < x.slots; ++t) {
      const sim::Batch& seen = shown(who, sight, batch);
      before(seen, first, t);
      actor->act(seen, {bundles.data(), count, size});
      const View<const double> said{bundles.data(), count, size};
      const Column told = sim::step_bundles(p, x, batch, said);
      after(batch, Decided{said, {told.data(), count, sim::decision_size(p)}}, first, t);
    }
    before(shown(who, sight, batch), first, x.slots);
  });
}

template <class Who>
Outcome outcome_of(const Who& who, const sim::Params& p, const sim::Exogenous& x) {
  Outcome out;
  const auto episodes = static_cast<std::size_t>(x.episodes);
  for (const auto& link : kOutcomePerEnv) (out.*link.to).assign(episodes, 0);
  for (const auto& link : kOutcomePerNode) (out.*link.to).assign(episodes, 0);
  run_episodes(
      who, p, x, x.episodes, [](const sim::Batch&, std::int64_t, int) {},
      [&](const sim::Batch& b, const Decided&, std::int64_t first, int) {
        for (std::int64_t e = 0; e < b.envs; ++e) {
          const auto to = static_cast<std::size_t>(first + e);
          for (const auto& link : kOutcomePerEnv)
            (out.*link.to)[to] += (b.*link.from)[static_cast<std::size_t>(e)] / x.slots;
          for (const auto& link : kOutcomePerNode) {
            const double* from = (b.*link.from).data() + b.at(e);
            (out.*link.to)[to] += std::accumulate(from, from + b.nodes, 0.0) / x.slots;
          }
        }
      });
  return out;
}

/// Where the features of an episode before a slot go; the slot after the last has its own array.
float* observation_at(Trajectory& out, std::int64_t episode, int slot, std::size_t size) {
  const auto i = static_cast<std::size_t>(episode);
  const auto t = static_cast<std::size_t>(slot), slots = static_cast<std::size_t>(out.slots);
  return slot < out.slots ? out.observation.data() + (i * slots + t) * size
                          : out.observation_end.data() + i * size;
}

template <class Who>
Trajectory trajectory_of(const Who& who, const sim::Params& p, const sim::Exogenous& x,
                         std::int64_t episodes, bool observations) {
  CRA_CHECK(episodes >= 0 && episodes <= x.episodes,
            "record: " + std::to_string(episodes) + " episodes asked for, " +
                std::to_string(x.episodes) + " were drawn");
  Trajectory out;
  out.episodes = episodes;
  out.slots = x.slots;
  out.nodes = x.nodes;
  const std::size_t per_slot = static_cast<std::size_t>(episodes * x.slots);
  const std::size_t per_node = per_slot * static_cast<std::size_t>(x.nodes);
  out.proportion.resize(per_node);
  out.reserve.resize(per_slot);
  const int resources = p.pool.action == sim::Action::per_resource ? p.pool.resource_count() : 0;
  out.resource_proportion.resize(per_node * static_cast<std::size_t>(resources));
  for (const auto& link : kTrajectoryPerNode) (out.*link.to).resize(per_node);
  if (!p.pool.has_progress()) out.progress.clear();
  for (const auto& link : kTrajectoryPerEnv) (out.*link.to).resize(per_slot);
  const auto per_env =
      static_cast<std::size_t>(x.nodes) * static_cast<std::size_t>(sim::feature_count(p));
  if (observations) {
    out.observation.resize(per_slot * per_env);
    out.observation_end.resize(static_cast<std::size_t>(episodes) * per_env);
  }
  run_episodes(
      who, p, x, episodes,
      [&](const sim::Batch& seen, std::int64_t first, int t) {
        if (!observations) return;
        std::vector<float> features(static_cast<std::size_t>(seen.envs) * per_env);
        sim::observe(p, seen, {features.data(), seen.envs * seen.nodes, sim::feature_count(p)});
        for (std::int64_t e = 0; e < seen.envs; ++e)
          std::copy_n(features.data() + static_cast<std::size_t>(e) * per_env, per_env,
                      observation_at(out, first + e, t, per_env));
      },
      [&](const sim::Batch& b, const Decided& decided, std::int64_t first, int t) {
        for (std::int64_t e = 0; e < b.envs; ++e) {
          const std::size_t to = x.at(first + e, t), slot = to / static_cast<std::size_t>(b.nodes);
          const double* said = decided.bundles.row(e);
          sim::proportions(said, b.nodes, out.proportion.data() + to);
          out.reserve[slot] = p.pool.shared_reserve() != nullptr ? said[b.nodes] : 0;
          for (int k = 0; k < resources; ++k)
            sim::proportions(decided.decisions.row(e) + std::ptrdiff_t{k} * b.nodes, b.nodes,
                             out.resource_proportion.data() +
                                 to * static_cast<std::size_t>(resources) +
                                 static_cast<std::size_t>(k) * static_cast<std::size_t>(b.nodes));
          for (const auto& link : kTrajectoryPerNode)
            if (!(b.*link.from).empty())
              std::copy_n((b.*link.from).data() + b.at(e), b.nodes, (out.*link.to).data() + to);
          for (const auto& link : kTrajectoryPerEnv)
            (out.*link.to)[slot] = (b.*link.from)[static_cast<std::size_t>(e)];
        }
      });
  return out;
}

}  // namespace

void Actor::pull(const sim::Batch&, View<const double>, sim::Adjoint&) {}

Outcome evaluate(const Policy& policy, const sim::Params& p, const sim::Exogenous& x) {
  return outcome_of(policy, p, x);
}
Outcome evaluate(const Oracle& oracle, const sim::Params& p, const sim::Exogenous& x) {
  return outcome_of(oracle, p, x);
}
Trajectory record(const Policy& policy, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes, bool observations) {
  return trajectory_of(policy, p, x, episodes, observations);
}
Trajectory record(const Oracle& oracle, const sim::Params& p, const sim::Exogenous& x,
                  std::int64_t episodes, bool observations) {
  return trajectory_of(oracle, p, x, episodes, observations);
}

}  // namespace cra::agents
