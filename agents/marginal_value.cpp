#include "agents/marginal_value.h"

#include <algorithm>
#include <cmath>

namespace cra::agents {
namespace {

/// Cost from the slot of `b` on, summed, of every environment. \param first  [E, size] bundles of
/// that slot; later ones are those of `bundles` for all
std::vector<double> cost_to_go(const sim::Params& p, const sim::Exogenous& x, sim::Batch b,
                               std::vector<double> first, View<const double> bundles) {
  std::vector<double> cost(static_cast<std::size_t>(b.envs), 0);
  for (std::int64_t t = 0; t < bundles.rows; ++t) {
    for (std::int64_t e = 0; t > 0 && e < b.envs; ++e)
      std::copy_n(bundles.row(t), bundles.cols, first.begin() + e * bundles.cols);
    sim::step_bundles(p, x, b, {first.data(), b.envs, bundles.cols});
    for (std::size_t e = 0; e < cost.size(); ++e) cost[e] += b.cost[e];
  }
  return cost;
}

}  // namespace

std::vector<double> marginal_values(const sim::Params& p, const sim::Exogenous& x,
                                    const sim::Batch& before, std::int64_t env,
                                    View<const double> bundles) {
  const int nodes = before.nodes;
  CRA_CHECK(bundles.rows == x.slots - before.slot && sim::is_bundle(p, bundles.cols),
            "marginal_values: bundles are [" + std::to_string(bundles.rows) + ", " +
                std::to_string(bundles.cols) + "], expected [" +
                std::to_string(x.slots - before.slot) + ", " + std::to_string(sim::bundle_size(p)) +
                "]");
  const double step = p.pool.lottery() != nullptr ? 1 : kMarginalStep;
  std::vector<double> share(static_cast<std::size_t>(nodes));
  sim::proportions(bundles.row(0), nodes, share.data());

  // Environment 0 is as it was; 2 n + 1 gives to node n, 2 n + 2 takes from it.
  const std::int64_t envs = 2 * std::int64_t{nodes} + 1;
  std::vector<double> first;
  const auto add = [&](int node, double eps) {
    for (int n = 0; n < nodes; ++n)
      first.push_back((1 - eps) * share[static_cast<std::size_t>(n)] + (n == node ? eps : 0));
    first.insert(first.end(), bundles.row(0) + nodes, bundles.row(0) + bundles.cols);
  };
  const auto can_give = [&](int n) { return share[static_cast<std::size_t>(n)] > 2 * step; };
  add(-1, 0);
  for (int n = 0; n < nodes; ++n) {
    add(n, step);
    add(can_give(n) ? n : -1, can_give(n) ? -step : 0);
  }
  const std::vector<double> cost =
      cost_to_go(p, x, sim::repeat(before, env, envs), std::move(first), bundles);

  // A cost is a sum of rounded numbers; it is off by less than 64 times its own rounding.
  const double off = 64 * std::numeric_limits<double>::epsilon() *
                     *std::max_element(cost.begin(), cost.end()) / step;
  const double digit = off > 0 ? std::exp2(std::ceil(std::log2(off))) : 1;
  std::vector<double> value;
  for (int n = 0; n < nodes; ++n) {
    const std::size_t at = 2 * static_cast<std::size_t>(n) + 1;
    const double slope = (cost[at + 1] - cost[at]) / (can_give(n) ? 2 * step : step);
    value.push_back(std::round(slope / digit) * digit + 0.0);  // no negative zero
  }
  return value;
}

}  // namespace cra::agents
