// Draws whole episodes of arrivals up front. Parts either raise the mean rate, to which the
// workload's noise is applied, or bring arrivals of their own (poisson, trace).
#include <algorithm>

#include "sim/sim.h"

namespace cra::sim {
namespace {

/// Where the draws of one episode come from.
struct Episode {
  std::uint64_t seed;
  EpisodeSet set;
  std::int64_t number;

  Draws draws(Stream stream, int node, std::int64_t slot) const {
    return Draws(seed, set, number, stream, node, slot);
  }
};

/// Mean rates and ready arrivals of one episode, [T, N] each.
struct Inflow {
  int slots, nodes;
  double* rate;
  double* arrivals;
  std::size_t at(std::int64_t t, int n) const { return static_cast<std::size_t>(t * nodes + n); }
};

void add_part(const ConstantPart& part, const Params&, const Episode&, int, Inflow& in) {
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) in.rate[in.at(t, n)] += part.rate[n];
}

void add_part(const PoissonPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) {
      // Parts of one kind take their draws from different halves of the slot axis.
      Draws draws = episode.draws(Stream::poisson, n, t + std::int64_t{index} * in.slots);
      in.arrivals[in.at(t, n)] +=
          static_cast<double>(draws.poisson(part.rate[n] / part.size)) * part.size;
    }
}

void add_part(const CascadePart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  // Platoons under way when the episode begins are part of it: starts are drawn for the slots
  // before 0 in which a platoon could have begun and still be alive.
  const int longest = part.length[1];
  for (int t = -longest + 1; t < in.slots; ++t) {
    const std::int64_t slot =
        std::int64_t{t} + longest - 1 + std::int64_t{index} * (in.slots + longest);
    Draws draws = episode.draws(Stream::cascade, 0, slot);
    if (draws.uniform() >= part.start) continue;
    const auto first = static_cast<int>(draws.below(in.nodes));
    const auto life =
        part.length[0] + static_cast<int>(draws.below(part.length[1] - part.length[0] + 1));
    for (int age = 0; age < life && t + age < in.slots; ++age) {
      int node = first + age / part.hop;
      if (p.pool.geometry == Geometry::chain) {
        if (node >= in.nodes) break;  // runs off the end of the chain
      } else {
        node %= in.nodes;
      }
      if (t + age >= 0) in.rate[in.at(t + age, node)] += part.height;
    }
  }
}

void add_part(const TracePart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  const std::int64_t window = p.workload.slots;
  if (episode.set == EpisodeSet::evaluation) {
    const std::int64_t first = part.train_slots + episode.number * window;
    for (int t = 0; t < in.slots; ++t)
      for (int n = 0; n < in.nodes; ++n)
        in.arrivals[in.at(t, n)] += part.work[static_cast<std::size_t>((first + t) * in.nodes + n)];
    return;
  }
  const std::int64_t room = part.train_slots - window - 2 * part.jitter;
  const std::int64_t offset = part.jitter + episode.draws(Stream::window, 0, index).below(room + 1);
  for (int n = 0; n < in.nodes; ++n) {
    Draws draws = episode.draws(Stream::window, n, std::int64_t{1000000} + index);
    const std::int64_t shift = draws.below(2 * std::int64_t{part.jitter} + 1) - part.jitter;
    const double scale = 1 + part.scale_jitter * (2 * draws.uniform() - 1);
    for (int t = 0; t < in.slots; ++t)
      in.arrivals[in.at(t, n)] +=
          scale * part.work[static_cast<std::size_t>((offset + shift + t) * in.nodes + n)];
  }
}

double noisy(const GammaNoise& noise, double rate, Draws draws) {
  return rate * draws.gamma(noise.shape) / noise.shape;
}
double noisy(const PoissonNoise& noise, double rate, Draws draws) {
  return static_cast<double>(draws.poisson(rate / noise.size)) * noise.size;
}
double noisy(const NoNoise&, double rate, const Draws&) { return rate; }

}  // namespace

std::int64_t evaluation_limit(const Params& p) {
  std::int64_t limit = std::int64_t{1} << 31;
  for (const WorkloadPart& part : p.workload.parts)
    if (const auto* trace = std::get_if<TracePart>(&part))
      limit = std::min(limit, (trace->slots() - trace->train_slots) / p.workload.slots);
  return limit;
}

Exogenous draw(const Params& p, std::uint64_t seed, EpisodeSet set, std::int64_t first,
               std::int64_t count) {
  CRA_CHECK(first >= 0 && count >= 1, "draw: episodes " + std::to_string(first) + " + " +
                                          std::to_string(count) +
                                          ", expected a first >= 0 and a count >= 1");
  if (set == EpisodeSet::evaluation && first + count > evaluation_limit(p))
    throw Error("evaluation.episodes: " + std::to_string(first + count) +
                " asked for, but the trace's last part holds " +
                std::to_string(evaluation_limit(p)) + " disjoint windows of " +
                std::to_string(p.workload.slots) + " slots");
  Exogenous x;
  x.episodes = count;
  x.slots = p.workload.slots;
  x.nodes = p.pool.nodes;
  const std::size_t size = x.at(count, 0);
  x.arrivals.assign(size, 0);
  x.availability.assign(size, 1);
  x.importance.resize(size);
  for_each_tile(count, [&](std::int64_t i) {
    const Episode episode{seed, set, first + i};
    std::vector<double> rate(static_cast<std::size_t>(x.slots) * static_cast<std::size_t>(x.nodes),
                             0);
    Inflow in{x.slots, x.nodes, rate.data(), x.arrivals.data() + x.at(i, 0)};
    int index = 0;
    for (const WorkloadPart& part : p.workload.parts) {
      std::visit([&](const auto& kind) { add_part(kind, p, episode, index, in); }, part);
      ++index;
    }
    std::visit(
        [&](const auto& noise) {
          for (int t = 0; t < x.slots; ++t)
            for (int n = 0; n < x.nodes; ++n) {
              const double mean = rate[in.at(t, n)];
              if (mean > 0)
                in.arrivals[in.at(t, n)] += noisy(noise, mean, episode.draws(Stream::noise, n, t));
            }
        },
        p.workload.noise);
    for (int t = 0; t < x.slots; ++t)
      std::copy(p.workload.importance.value.begin(), p.workload.importance.value.end(),
                x.importance.begin() + static_cast<std::ptrdiff_t>(x.at(i, t)));
  });
  return x;
}

}  // namespace cra::sim
