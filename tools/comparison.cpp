#include "tools/comparison.h"

#include <algorithm>
#include <cmath>

#include "tools/summary.h"

namespace cra::tools {
namespace {

using results::Costs;
using Doubles = std::vector<double>;

/// The first episodes of every training.
Doubles head(const Entrant& e, std::size_t episodes) {
  Doubles x;
  for (std::size_t k = 0; k < e.trainings; ++k) {
    const auto begin = e.cost.begin() + static_cast<std::ptrdiff_t>(k * e.episodes());
    x.insert(x.end(), begin, begin + static_cast<std::ptrdiff_t>(episodes));
  }
  return x;
}

/// Mean over trainings, episode by episode.
Doubles by_episode(const Costs& x) {
  Doubles mean(x.episodes(), 0.0);
  for (std::size_t i = 0; i < x.cost.size(); ++i) mean[i % mean.size()] += x.cost[i];
  for (double& m : mean) m /= static_cast<double>(x.trainings);
  return mean;
}

Standing standing_of(const Entrant& e) {
  Standing s;
  const Costs costs{e.cost, e.trainings};
  s.cost = results::mean_of(by_episode(costs));
  for (std::size_t k = 0; k < e.trainings; ++k)
    s.training_cost.push_back(
        results::mean_of(costs.cost.subspan(k * costs.episodes(), costs.episodes())).mean);
  s.interquartile = results::interquartile_mean(costs, results::Resampling::crossed, kResamples,
                                                static_cast<std::uint64_t>(e.seed));
  if (e.lower.empty() || e.best.empty() || e.policy == e.best) return s;
  const double lower = results::mean_of(e.lower).mean;
  if (leaves_gap(e.best_cost, lower))
    s.gap_closed = (e.best_cost - s.cost.mean) / (e.best_cost - lower);
  return s;
}

/// A policy that leaves its base as it is differs from it in log and exp, which is no difference to
/// claim.
bool equal_but_for_rounding(const Doubles& a, const Doubles& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return std::abs(x - y) <= 1e-9 * std::max(std::abs(x), std::abs(y));
  });
}

/// All of Versus but what Holm's correction decides.
Versus versus_of(const Comparison& all, std::size_t entrant) {
  const Entrant &a = all.entrants[entrant], &b = all.entrants[all.reference];
  Versus v;
  v.entrant = entrant;
  v.match = match(a, b);
  if (v.match.footing == Footing::none) return v;
  const bool pairs = v.match.footing == Footing::paired;
  const Doubles mine = head(a, pairs ? v.match.episodes : a.episodes());
  const Doubles other = head(b, pairs ? v.match.episodes : b.episodes());
  const Costs x{mine, a.trainings}, y{other, b.trainings};
  const auto pairing = pairs ? results::Pairing::paired : results::Pairing::unpaired;
  const auto seed = static_cast<std::uint64_t>(b.seed);
  v.contrast = results::contrast(x, y, pairing, kResamples, seed);
  v.improvement = results::improvement(x, y, pairing, kResamples, seed);
  v.p = results::p_value(*v.contrast);
  const Doubles mean_x = by_episode(x), mean_y = by_episode(y);
  v.reference_cost = results::mean_of(mean_y).mean;
  if (!pairs) return v;
  v.equal = equal_but_for_rounding(mean_x, mean_y);
  if (v.equal) v.p = 1;
  double won = 0;
  for (std::size_t i = 0; i < mean_x.size(); ++i) won += mean_x[i] < mean_y[i] ? 1 : 0;
  v.won = won / static_cast<double>(mean_x.size());
  return v;
}

/// How many are needed when there are `now` and `times` as many would do.
double needed(std::size_t now, double times) {
  return std::ceil(static_cast<double>(now) * std::max(1.0, times));
}

void add_decision(const Comparison& all, const results::HolmStep& step, Versus& v) {
  const results::Contrast& c = *v.contrast;
  const Entrant &a = all.entrants[v.entrant], &b = all.entrants[all.reference];
  v.holm = step;
  v.difference = results::interval(c, step.alpha);
  v.detectable = results::detectable(c, step.alpha, kPower);
  const bool pairs = v.match.footing == Footing::paired;
  v.episodes_needed = needed(pairs ? v.match.episodes : std::min(a.episodes(), b.episodes()),
                             results::times_more_episodes(c, c.difference, step.alpha, kPower));
  v.trainings_needed = needed(std::max(a.trainings, b.trainings),
                              results::times_more_trainings(c, c.difference, step.alpha, kPower));
}

}  // namespace

Comparison compare_all(std::vector<Entrant> entrants, std::size_t reference) {
  Comparison all;
  all.entrants = std::move(entrants);
  all.reference = reference;
  for (const Entrant& e : all.entrants) all.standings.push_back(standing_of(e));
  for (std::size_t i = 0; i < all.entrants.size(); ++i)
    if (i != reference) all.versus.push_back(versus_of(all, i));
  Doubles p;
  for (const Versus& v : all.versus)
    if (v.contrast) p.push_back(v.p);
  const std::vector<results::HolmStep> steps = results::holm(p, kAlpha);
  std::size_t next = 0;
  for (Versus& v : all.versus)
    if (v.contrast) add_decision(all, steps[next++], v);
  return all;
}

}  // namespace cra::tools
