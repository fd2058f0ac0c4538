// /node: the pool and the constants of its equations.
#include "tools/assemble_groups.h"

#include <algorithm>
#include <utility>

#include "sim/sim.h"

namespace cra::tools {
Texts node_names(const sim::Pool& p) {
  Texts names;
  for (const sim::Group& g : p.groups)
    for (int i = 0; i < g.count; ++i) names.push_back(g.name + "-" + std::to_string(i));
  for (int n = static_cast<int>(names.size()); n < p.nodes; ++n)
    names.push_back("node-" + std::to_string(n));
  return names;
}

Texts resource_names(const sim::Pool& p) {
  Texts names;
  for (const sim::Resource& r : p.resources) {
    const bool taken = std::find(names.begin(), names.end(), r.name) != names.end();
    names.push_back(taken ? r.name + "-" + std::to_string(names.size()) : r.name);
  }
  if (names.empty()) names.emplace_back("resource");
  return names;
}

namespace {

Texts dynamics(const sim::Pool& p) {
  Texts words;
  for (const sim::Dynamics d : p.dynamics) words.push_back(choice(d));
  return words;
}

/// The numbers of nodes of one kind; missing at the others.
Doubles where(const sim::Pool& p, sim::Dynamics kind, Doubles x) {
  for (std::size_t n = 0; n < x.size(); ++n)
    if (p.dynamics[n] != kind) x[n] = kMissing;
  return x;
}

/// How progress lowers the error, [N] each; missing at queue nodes and where a kind has no such
/// number.
struct ProgressErrors {
  std::string kind = "none";
  Doubles floor, gain, exponent, scale;
};

ProgressErrors progress_errors(const sim::Params& p) {
  ProgressErrors e;
  e.exponent = Doubles(static_cast<std::size_t>(p.pool.nodes), kMissing);
  if (p.pool.has_progress()) e.kind = kind_of(p.progress.error);
  const auto at_progress = [&](const Doubles& x) {
    return where(p.pool, sim::Dynamics::progress, x);
  };
  std::visit(
      [&](const auto& k) {
        if constexpr (requires { k.floor; }) {
          e.floor = at_progress(k.floor.value);
          e.gain = at_progress(k.gain.value);
          e.scale = at_progress(k.scale.value);
          if constexpr (requires { k.exponent; }) e.exponent = at_progress(k.exponent.value);
        } else {
          e.floor = e.gain = e.scale = e.exponent;
        }
      },
      p.progress.error);
  return e;
}

/// Knots of measured curves, padded to the longest; missing at queue nodes.
void add_curves(const sim::CurveError& error, GroupData& g) {
  const auto nodes = error.source.size();
  std::size_t most = 0;
  for (const sim::CurveSource& c : error.curves) most = std::max(most, c.curve.x.size());
  Doubles progress(nodes * most, kMissing), height(progress), change(nodes, kMissing);
  for (std::size_t n = 0; n < nodes; ++n) {
    if (error.source[n] < 0) continue;
    const sim::CurveSource& c = error.of(static_cast<int>(n));
    std::copy(c.curve.x.begin(), c.curve.x.end(),
              progress.begin() + static_cast<std::ptrdiff_t>(n * most));
    std::copy(c.curve.error.begin(), c.curve.error.end(),
              height.begin() + static_cast<std::ptrdiff_t>(n * most));
    change[n] = c.change;
  }
  g.axes.push_back({"knot", numbers(static_cast<std::int64_t>(most))});
  g.variables.push_back({"knot_progress", std::move(progress)});
  g.variables.push_back({"knot_error", std::move(height)});
  g.variables.push_back({"curve_change", std::move(change)});
}

/// Who shares progress with whom.
void add_links(const sim::Progress& progress, GroupData& g) {
  Integers hub, follower;
  Doubles weight;
  for (const sim::Sharing& s : progress.sharing)
    for (const int f : s.followers) {
      hub.push_back(s.hub);
      follower.push_back(f);
      weight.push_back(s.weight);
    }
  g.axes.push_back({"link", numbers(static_cast<std::int64_t>(hub.size()))});
  g.variables.push_back({"link_hub", std::move(hub)});
  g.variables.push_back({"link_follower", std::move(follower)});
  g.variables.push_back({"link_weight", std::move(weight)});
}

}  // namespace

GroupData node_group(const sim::Params& p, const sim::Exogenous& x) {
  // The placement before slot 0 is part of the equations; only the simulator knows it.
  const sim::Batch fresh = sim::reset(p, x, {0});
  const auto at_queues = [&](const Doubles& x) { return where(p.pool, sim::Dynamics::queue, x); };
  Doubles scale(static_cast<std::size_t>(p.pool.nodes), kMissing);
  if (const auto* k = std::get_if<sim::BacklogError>(&p.errors)) scale = at_queues(k->scale.value);
  if (const auto* k = std::get_if<sim::LinearError>(&p.errors)) scale = at_queues(k->scale.value);
  const sim::SharedReserve* reserve = p.pool.shared_reserve();
  const sim::LotteryService* lottery = p.pool.lottery();
  const bool progress = p.pool.has_progress();
  const ProgressErrors errors = progress_errors(p);
  GroupData g{"node",
              {{"node", node_names(p.pool)}, {"resource", resource_names(p.pool)}},
              {{"dynamics", dynamics(p.pool)},
               {"capacity", p.pool.capacity.value},
               {"needs", p.pool.needs},
               {"error_kind", text(kind_of(p.errors))},
               {"error_scale", scale},
               {"base_rate", sim::base_rate(p)},
               {"initial_rate", fresh.rate},
               {"progress_floor", errors.floor},
               {"progress_gain", errors.gain},
               {"progress_exponent", errors.exponent},
               {"progress_scale", errors.scale},
               {"action", text(choice(p.pool.action))},
               {"conflict", text(choice(p.pool.conflict))},
               {"quantum", number(p.pool.quantum)},
               {"service", text(kind_of(p.pool.service))},
               {"completion", lottery != nullptr ? lottery->completion.value
                                                 : Doubles(fresh.rate.size(), kMissing)},
               {"job", number(lottery != nullptr ? lottery->job : kMissing)},
               {"budgets", p.pool.budgets},
               {"lag", number(p.pool.lag)},
               {"abandonment", number(p.workload.abandonment)},
               {"reserve_efficiency", number(reserve != nullptr ? reserve->efficiency : kMissing)},
               {"reserve_dispatch", text(reserve != nullptr ? choice(reserve->dispatch) : "none")},
               {"progress_error", text(errors.kind)},
               {"progress_start", number(progress ? p.progress.start : kMissing)},
               {"forgetting", number(progress ? p.progress.forgetting : kMissing)},
               {"switching", number(p.cost.switching)},
               {"switching_smoothing", number(p.cost.switching_smoothing)},
               {"worst", number(p.cost.worst)},
               {"worst_temperature", number(p.cost.worst_temperature)},
               {"use", number(p.cost.use)},
               {"concentration", number(p.cost.concentration)},
               {"score_kind", text(choice(p.cost.score))},
               {"slot_seconds", number(p.workload.slot_seconds)}}};
  if (const auto* curves = std::get_if<sim::CurveError>(&p.progress.error); curves && progress)
    add_curves(*curves, g);
  if (!p.progress.sharing.empty()) add_links(p.progress, g);
  std::visit(
      [&](const auto& k) {
        if constexpr (requires { k.mean; })
          g.variables.push_back({"error_mean", at_queues(k.mean)});
        if constexpr (requires { k.slots; })
          g.variables.push_back({"deadline", at_queues(k.slots.value)});
        if constexpr (requires { k.exponent; }) {
          g.variables.push_back({"anytime_floor", at_queues(k.floor.value)});
          g.variables.push_back({"anytime_gain", at_queues(k.gain.value)});
          g.variables.push_back({"anytime_exponent", at_queues(k.exponent.value)});
          g.variables.push_back({"anytime_scale", at_queues(k.scale.value)});
        }
      },
      p.errors);
  return g;
}

}  // namespace cra::tools
