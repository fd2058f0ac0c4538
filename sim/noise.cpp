// The noise of a workload: from mean rates to the work that arrives.
#include "sim/episode.h"

namespace cra::sim {
namespace {

/// Rates of [T, N] to the work that arrives; nodes without a rate get none.
template <class Work>
void add_noisy(Inflow& in, Work work) {
  for (std::size_t i = 0; i < in.at(in.slots, 0); ++i)
    if (in.rate[i] > 0) in.arrivals[i] += work(in.rate[i], i);
}
void add(const NoNoise&, const Episode&, Inflow& in) {
  add_noisy(in, [](double rate, std::size_t) { return rate; });
}
void add(const GammaNoise& noise, const Episode& episode, Inflow& in) {
  const Numbers drawn = gamma(episode.grid(Stream::noise, 0, in.slots, in.nodes), noise.shape);
  add_noisy(in, [&](double rate, std::size_t i) { return rate * drawn[i] / noise.shape; });
}
void add(const LogNormalNoise& noise, const Episode& episode, Inflow& in) {
  const Numbers drawn = log_normal(episode.grid(Stream::noise, 0, in.slots, in.nodes), noise.sigma);
  add_noisy(in, [&](double rate, std::size_t i) { return rate * drawn[i]; });
}
void add(const PoissonNoise& noise, const Episode& episode, Inflow& in) {
  Numbers mean(in.rate, in.rate + in.at(in.slots, 0));
  for (double& m : mean) m /= noise.size;
  const Numbers drawn = poisson(episode.grid(Stream::noise, 0, in.slots, in.nodes), mean);
  add_noisy(in, [&](double, std::size_t i) { return drawn[i] * noise.size; });
}

}  // namespace

void add_noise(const Noise& noise, const Episode& episode, Inflow& in) {
  std::visit([&](const auto& kind) { add(kind, episode, in); }, noise);
}

}  // namespace cra::sim
