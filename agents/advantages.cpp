#include "agents/advantages.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cra::agents {
namespace {

/// Takes from every number the mean of the other replicas of its episode, at the same slot (leave-
/// one-out), then scales to unit deviation over the batch.
void compare_replicas(const Rollout& r, std::vector<double>& advantage) {
  const double leave_one_out = static_cast<double>(r.replicas) / (r.replicas - 1);
  double square = 0;
  for (std::int64_t first = 0; first < r.envs; first += r.replicas)
    for (int t = 0; t < r.slots; ++t) {
      // Against the first replica, so that equal returns leave exactly 0 and not a rounding error
      // that the scaling below would blow up.
      const double reference = advantage[r.at(first, t)];
      double mean = 0;
      for (int g = 0; g < r.replicas; ++g)
        mean += (advantage[r.at(first + g, t)] - reference) / r.replicas;
      for (int g = 0; g < r.replicas; ++g) {
        double& a = advantage[r.at(first + g, t)];
        a = (a - reference - mean) * leave_one_out;
        square += a * a;
      }
    }
  const double deviation = std::sqrt(square / static_cast<double>(advantage.size()));
  if (deviation > 1e-12)
    for (double& a : advantage) a /= deviation;
}

}  // namespace

std::vector<double> group_advantages(const Rollout& r, double discount) {
  std::vector<double> advantage(r.cost.size());
  for (std::int64_t e = 0; e < r.envs; ++e) {
    double to_go = 0;
    for (int t = r.slots - 1; t >= 0; --t) {
      to_go = -r.cost[r.at(e, t)] + discount * to_go;
      advantage[r.at(e, t)] = to_go;
    }
  }
  compare_replicas(r, advantage);
  return advantage;
}

void ReturnScale::add(const std::vector<double>& returns) {
  if (returns.empty()) return;
  const auto more = static_cast<double>(returns.size());
  const double their_mean = std::accumulate(returns.begin(), returns.end(), 0.0) / more;
  double their_square = 0;
  for (const double x : returns) their_square += (x - their_mean) * (x - their_mean);
  const double apart = their_mean - mean, all = count + more;
  square += their_square + apart * apart * count * more / all;
  mean += apart * more / all;
  count = all;
}

double ReturnScale::deviation() const {
  const double variance = count > 0 ? square / count : 0;
  return variance > 1e-24 ? std::sqrt(variance) : 1;
}

Estimate critic_advantages(const Rollout& r, double discount, double trace, ReturnScale& scale) {
  Estimate out{std::vector<double>(r.cost.size()), std::vector<double>(r.cost.size())};
  const double mean = scale.mean, unit = scale.deviation();
  const auto value = [&](std::int64_t e, int t) { return mean + unit * r.value[r.at(e, t)]; };
  for (std::int64_t e = 0; e < r.envs; ++e) {
    double advantage = 0;
    for (int t = r.slots - 1; t >= 0; --t) {
      const double after = t + 1 < r.slots ? value(e, t + 1) : 0;
      advantage =
          -r.cost[r.at(e, t)] + discount * after - value(e, t) + discount * trace * advantage;
      out.advantage[r.at(e, t)] = advantage;
      out.target[r.at(e, t)] = advantage + value(e, t);
    }
  }
  scale.add(out.target);
  for (double& x : out.target) x = (x - scale.mean) / scale.deviation();
  compare_replicas(r, out.advantage);
  return out;
}

}  // namespace cra::agents
