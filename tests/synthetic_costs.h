// tests/synthetic_costs.h: costs shaped like those of real runs. Episodes differ far more than
// policies do, and skewed; every training has an effect of its own, and one on single episodes.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "results/results.h"

namespace cra::testing {

/// Where the numbers of one repetition come from; repetitions are independent.
struct SyntheticCosts {
  std::int64_t repetition = 0;
  double training_spread = 0.01;  ///< standard deviation of a training's effect, share of the cost
  double episode_spread = 0.05;   ///< of its effect on one episode

  static constexpr double kSkew = 0.6;  ///< sigma of the log-normal cost of an episode

  /// Mean cost of an episode, 1 on average. \param family  equal for runs of the same episodes
  double episode(int family, std::size_t i) const { return draws(family, i).log_normal(kSkew); }

  /// [trainings, episodes] of a policy whose cost is 1 + `excess` on average.
  /// \param policy  numbers of their own for every policy
  std::vector<double> costs(int policy, int family, std::size_t trainings, std::size_t episodes,
                            double excess) const {
    std::vector<double> x;
    for (std::size_t k = 0; k < trainings; ++k) {
      const int stream = 100 + 50 * policy + static_cast<int>(k);
      const double own = trainings > 1 ? training_spread * draws(stream, 1000000).normal() : 0;
      for (std::size_t i = 0; i < episodes; ++i) {
        // Skewed as well: Gamma(2) less its mean, by its deviation.
        const double on_this = (draws(stream, i).gamma(2) - 2) / std::sqrt(2.0);
        x.push_back(episode(family, i) * (1 + excess + own + episode_spread * on_this));
      }
    }
    return x;
  }

  /// Standard error of the paired difference of two policies, in closed form.
  double paired_se(std::size_t trainings, std::size_t episodes) const {
    const double square = std::exp(kSkew * kSkew);  // E[episode^2], E[episode] = 1
    const auto k = static_cast<double>(trainings), n = static_cast<double>(episodes);
    const double own = trainings > 1 ? training_spread * training_spread : 0;
    // Var(sum over i of episode_i (own + e_i)) = own (1 + (square - 1) / n) + e^2 square / n
    return std::sqrt(2 / k *
                     (own * (1 + (square - 1) / n) + episode_spread * episode_spread * square / n));
  }

 private:
  Draws draws(int stream, std::size_t i) const {
    return {17,     EpisodeSet::evaluation,      repetition, Stream::noise,
            stream, static_cast<std::int64_t>(i)};
  }
};

}  // namespace cra::testing
