// The parts of a workload: what each brings to an episode, and its mean. Parts either raise the
// mean rate, to which the workload's noise is applied, or bring arrivals of their own (poisson,
// bernoulli, heavy_tail, trace).
#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "sim/episode.h"

namespace cra::sim {
namespace {

int drawn_length(const std::array<int, 2>& length, Draws& draws) {
  return length[0] + static_cast<int>(draws.below(length[1] - length[0] + 1));
}
double mean_length(const std::array<int, 2>& length) { return (length[0] + length[1]) / 2.0; }
/// Share of such lengths that are longer than `age`.
double alive(const std::array<int, 2>& length, int age) {
  return std::min(1.0, (length[1] - age) / (length[1] - length[0] + 1.0));
}
/// Node of a platoon, or -1 when it has run off the end of a chain.
int platoon_at(const CascadePart& part, Geometry geometry, const NodeRun& run, int first, int age) {
  const int node = first + age / part.hop;
  if (geometry == Geometry::chain && node >= run.count) return -1;
  return run.first + node % run.count;
}
void add(const std::vector<double>& from, std::vector<double>& to) {
  for (std::size_t n = 0; n < to.size(); ++n) to[n] += from[n];
}
void add(const NodeRun& run, double rate, std::vector<double>& to) {
  for (int n = run.first; n < run.first + run.count; ++n) to[static_cast<std::size_t>(n)] += rate;
}

// Parts take their draws from slots of their own: 2^24 for each part of a workload.
std::int64_t own_slot(int index, std::int64_t t) { return (std::int64_t{index} << 24) + t; }

void add_part(const ConstantPart& part, const Params&, const Episode&, int, Inflow& in) {
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) in.rate[in.at(t, n)] += part.rate[n];
}

void add_mean(const ConstantPart& part, const Params&, std::vector<double>& mean) {
  add(part.rate.value, mean);
}

// Parts of one kind take their draws from different stretches of the slot axis.
DrawGrid grid_of_part(const Episode& episode, int index, const Inflow& in) {
  return episode.grid(Stream::poisson, std::int64_t{index} * in.slots, in.slots, in.nodes);
}

void add_part(const PoissonPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  Numbers mean(in.at(in.slots, 0));
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) mean[in.at(t, n)] = part.rate[n] / part.size;
  const Numbers drawn = poisson(grid_of_part(episode, index, in), mean);
  for (std::size_t i = 0; i < drawn.size(); ++i) in.arrivals[i] += drawn[i] * part.size;
}

void add_mean(const PoissonPart& part, const Params&, std::vector<double>& mean) {
  add(part.rate.value, mean);
}

void add_part(const BernoulliPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  const Numbers drawn = uniform(grid_of_part(episode, index, in));
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n)
      if (drawn[in.at(t, n)] < part.rate[n]) in.arrivals[in.at(t, n)] += part.size;
}
void add_mean(const BernoulliPart& part, const Params&, std::vector<double>& mean) {
  for (std::size_t n = 0; n < mean.size(); ++n) mean[n] += part.rate.value[n] * part.size;
}

void add_part(const CascadePart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  // Platoons under way when the episode begins are part of it: starts are drawn for the slots
  // before 0 in which a platoon could have begun and still be alive.
  const NodeRun run = nodes_of(p.pool, part.group);
  const int longest = part.length[1];
  for (int t = -longest + 1; t < in.slots; ++t) {
    const std::int64_t slot =
        std::int64_t{t} + longest - 1 + std::int64_t{index} * (in.slots + longest);
    Draws draws = episode.draws(Stream::cascade, 0, slot);
    if (draws.uniform() >= part.start) continue;
    const auto random = static_cast<int>(draws.below(run.count));
    const int first = part.first < 0 ? random : part.first - run.first;
    const int life = drawn_length(part.length, draws);
    double height = part.height;
    for (int age = 0; age < life && t + age < in.slots; ++age) {
      if (age > 0 && age % part.hop == 0) height *= part.decay;
      const int node = platoon_at(part, p.pool.geometry, run, first, age);
      if (node < 0) break;
      if (t + age >= 0) in.rate[in.at(t + age, node)] += height;
    }
  }
}

void add_mean(const CascadePart& part, const Params& p, std::vector<double>& mean) {
  const NodeRun run = nodes_of(p.pool, part.group);
  const int one = part.first - run.first;
  for (int first = 0; first < run.count; ++first) {
    if (part.first >= 0 && first != one) continue;
    double height = part.start * part.height / (part.first < 0 ? run.count : 1);
    for (int age = 0; age < part.length[1]; ++age) {
      if (age > 0 && age % part.hop == 0) height *= part.decay;
      const int node = platoon_at(part, p.pool.geometry, run, first, age);
      if (node < 0) break;
      mean[static_cast<std::size_t>(node)] += height * alive(part.length, age);
    }
  }
}

void add_part(const BurstsPart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  const NodeRun run = nodes_of(p.pool, part.group);
  // The first slot's state is drawn from the stationary distribution of the chain.
  Draws start = episode.draws(Stream::bursts, 1, own_slot(index, 0));
  bool storm = start.uniform() < part.begin / (part.begin + part.end);
  for (int t = 0; t < in.slots; ++t) {
    Draws draws = episode.draws(Stream::bursts, 0, own_slot(index, t));
    const double turn = draws.uniform(), begins = draws.uniform();
    const auto first = static_cast<int>(draws.below(run.count));
    const int life = drawn_length(part.length, draws);
    if (t > 0) storm = storm ? turn >= part.end : turn < part.begin;
    if (!storm || begins >= part.start) continue;
    for (int age = 0; age < life && t + age < in.slots; ++age)
      for (int k = 0; k < std::min(part.width, run.count); ++k)
        in.rate[in.at(t + age, run.first + (first + k) % run.count)] += part.height;
  }
}

void add_mean(const BurstsPart& part, const Params& p, std::vector<double>& mean) {
  const NodeRun run = nodes_of(p.pool, part.group);
  const double stormy = part.begin / (part.begin + part.end);
  add(run,
      stormy * part.start * mean_length(part.length) * part.height *
          std::min(part.width, run.count) / run.count,
      mean);
}

void add_part(const DiurnalPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  const double start =
      part.random_start ? episode.draws(Stream::diurnal, 0, own_slot(index, 0)).uniform() : 0;
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) {
      const double day = t / part.period + part.phase[n] + start;
      in.rate[in.at(t, n)] +=
          part.rate[n] * (1 + part.swing * std::sin(2 * std::numbers::pi * day));
    }
}

void add_mean(const DiurnalPart& part, const Params&, std::vector<double>& mean) {
  add(part.rate.value, mean);
}

void add_part(const RegimePart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  for (int n = 0; n < in.nodes; ++n) {
    double level = 1;
    for (int t = 0; t < in.slots; ++t) {
      Draws draws = episode.draws(Stream::regime, part.common ? 0 : n, own_slot(index, t));
      const double jump = draws.uniform(), next = draws.uniform();
      if (t == 0 || jump < part.jump) level = part.low + (part.high - part.low) * next;
      in.rate[in.at(t, n)] += part.rate[n] * level;
    }
  }
}

void add_mean(const RegimePart& part, const Params&, std::vector<double>& mean) {
  for (std::size_t n = 0; n < mean.size(); ++n)
    mean[n] += part.rate.value[n] * (part.low + part.high) / 2;
}

void add_part(const DriftPart& part, const Params&, const Episode& episode, int index, Inflow& in) {
  for (int n = 0; n < in.nodes; ++n) {
    double level = 1;
    for (int t = 0; t < in.slots; ++t) {
      const double step = episode.draws(Stream::drift, n, own_slot(index, t)).normal();
      level = std::clamp(level + part.pull * (1 - level) + part.spread * step, part.low, part.high);
      in.rate[in.at(t, n)] += part.rate[n] * level;
    }
  }
}

/// Clipping at `low` and `high` moves the mean where it cuts unevenly; that is not in it.
void add_mean(const DriftPart& part, const Params&, std::vector<double>& mean) {
  add(part.rate.value, mean);
}

void add_part(const HeavyTailPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) {
      Draws draws = episode.draws(Stream::heavy_tail, n, own_slot(index, t));
      for (std::int64_t jobs = draws.poisson(part.rate[n]); jobs > 0; --jobs)
        in.arrivals[in.at(t, n)] +=
            std::min(part.largest, part.smallest * std::pow(draws.uniform(), -1 / part.tail));
    }
}

/// Mean of a Pareto job size cut at `largest`.
double mean_job(const HeavyTailPart& part) {
  const double a = part.tail, s = part.smallest, l = std::max(part.largest, s);
  if (std::fabs(a - 1) < 1e-9) return s * (1 + std::log(l / s));
  return (a * s - s * std::pow(s / l, a - 1)) / (a - 1);
}
void add_mean(const HeavyTailPart& part, const Params&, std::vector<double>& mean) {
  for (std::size_t n = 0; n < mean.size(); ++n) mean[n] += part.rate.value[n] * mean_job(part);
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

void add_mean(const TracePart& part, const Params&, std::vector<double>& mean) {
  add(part.mean, mean);
}

/// Bursts of one sector, as a chain: hot for `memory` slots after a start, calm otherwise.
struct Sector {
  double calm, hot;  ///< probability that a burst starts at a node
  double rest;       ///< probability that none starts at any node of a hot sector
  double hot_share;  ///< share of the slots in which it is hot, in the long run
};
Sector sector_of(const ContagionPart& part, int nodes) {
  Sector s{};
  s.calm = part.start;
  s.hot = std::min(1.0, part.factor * part.start);
  s.rest = std::pow(1 - s.hot, nodes);
  // A hot time ends with the first run of `memory` slots without a start, after
  // (rest^-memory - 1) / (1 - rest) slots on average; a calm time lasts 1 / wakes.
  const double wakes = 1 - std::pow(1 - s.calm, nodes);
  if (wakes > 0) {
    const double odds = wakes * (std::pow(s.rest, -part.memory) - 1) / (1 - s.rest);
    s.hot_share = std::isfinite(odds) ? odds / (1 + odds) : 1;
  }
  return s;
}

void add_part(const ContagionPart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  const NodeRun run = nodes_of(p.pool, part.group);
  const int before = part.length[1];  // bursts under way at slot 0 began at most that long ago
  for (int first = run.first; first < run.first + run.count; first += part.sector) {
    const int end = std::min(run.first + run.count, first + part.sector);
    const Sector sector = sector_of(part, end - first);
    // Slots since the latest start, drawn from its stationary law: a hot sector's age a has
    // probability ~ rest^(a - 1).
    int since = part.memory + 1;
    const double u = episode.draws(Stream::contagion, first, own_slot(index, 0)).uniform();
    if (u < sector.hot_share) {
      const double missing = u / sector.hot_share * (1 - std::pow(sector.rest, part.memory));
      since =
          std::min(part.memory, 1 + static_cast<int>(std::log1p(-missing) / std::log(sector.rest)));
    }
    for (int t = 1 - before; t < in.slots; ++t) {
      const double chance = since <= part.memory ? sector.hot : sector.calm;
      bool started = false;
      for (int n = first; n < end; ++n) {
        Draws draws =
            episode.draws(Stream::contagion, n, own_slot(index, std::int64_t{t} + before));
        if (draws.uniform() >= chance) continue;
        started = true;
        const int life = drawn_length(part.length, draws);
        for (int slot = std::max(t, 0); slot < std::min(t + life, in.slots); ++slot)
          in.rate[in.at(slot, n)] += part.height;
      }
      since = started ? 1 : std::min(since, part.memory) + 1;
    }
  }
}
void add_mean(const ContagionPart& part, const Params& p, std::vector<double>& mean) {
  const NodeRun run = nodes_of(p.pool, part.group);
  for (int first = 0; first < run.count; first += part.sector) {
    const int size = std::min(part.sector, run.count - first);
    const Sector s = sector_of(part, size);
    const double starts = s.hot_share * s.hot + (1 - s.hot_share) * s.calm;
    add(NodeRun{run.first + first, size}, starts * mean_length(part.length) * part.height, mean);
  }
}

void add_part(const FramesPart& part, const Params& p, const Episode& episode, int index,
              Inflow& in) {
  const NodeRun run = nodes_of(p.pool, part.group);
  for (int n = run.first; n < run.first + run.count; ++n) {
    const std::int64_t phase =
        part.random_phase ? episode.draws(Stream::frames, n, own_slot(index, 0)).below(part.period)
                          : 0;
    for (int t = 0; t < in.slots; ++t)
      if ((t + phase) % part.period < part.length) in.rate[in.at(t, n)] += part.height[n];
  }
}
void add_mean(const FramesPart& part, const Params& p, std::vector<double>& mean) {
  const NodeRun run = nodes_of(p.pool, part.group);
  for (int n = run.first; n < run.first + run.count; ++n)
    mean[static_cast<std::size_t>(n)] += part.height[n] * part.length / part.period;
}

void add_part(const SwitchPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  bool high = false;
  for (int t = 0; t < in.slots; ++t) {
    const double turn = episode.draws(Stream::two_state, 0, own_slot(index, t)).uniform();
    high = t == 0 ? turn < 0.5 : high != (turn < part.jump);
    for (int n = 0; n < in.nodes; ++n)
      in.rate[in.at(t, n)] += part.rate[n] * (high ? part.high[n] : part.low[n]);
  }
}
void add_mean(const SwitchPart& part, const Params&, std::vector<double>& mean) {
  for (int n = 0; n < static_cast<int>(mean.size()); ++n)
    mean[static_cast<std::size_t>(n)] += part.rate[n] * (part.low[n] + part.high[n]) / 2;
}

}  // namespace

NodeRun nodes_of(const Pool& pool, const std::string& group) {
  int first = 0;
  for (const Group& g : pool.groups) {
    if (g.name == group) return {first, g.count};
    first += g.count;
  }
  return {0, pool.nodes};
}

void add_arrivals(const Params& p, const Episode& episode, Inflow& in) {
  int index = 0;
  for (const WorkloadPart& part : p.workload.parts) {
    std::visit([&](const auto& kind) { add_part(kind, p, episode, index, in); }, part);
    ++index;
  }
  const std::size_t size = in.at(in.slots, 0);
  const double factor = work_factor(p.workload.level);
  if (in.mean != nullptr)
    for (std::size_t i = 0; i < size; ++i) in.mean[i] = (in.arrivals[i] + in.rate[i]) * factor;
  add_noise(p.workload.noise, episode, in);
  if (factor != 1)
    for (std::size_t i = 0; i < size; ++i) in.arrivals[i] *= factor;
}

std::vector<double> mean_rate(const Params& p) {
  std::vector<double> mean(static_cast<std::size_t>(p.pool.nodes), 0);
  for (const WorkloadPart& part : p.workload.parts)
    std::visit([&](const auto& kind) { add_mean(kind, p, mean); }, part);
  for (double& rate : mean) rate *= work_factor(p.workload.level);
  return mean;
}

std::vector<double> base_rate(const Params& p) {
  std::vector<double> base(static_cast<std::size_t>(p.pool.nodes), 0);
  for (const WorkloadPart& part : p.workload.parts)
    std::visit(
        [&](const auto& kind) {
          using Part = std::decay_t<decltype(kind)>;
          constexpr bool rare = std::is_same_v<Part, CascadePart> ||
                                std::is_same_v<Part, BurstsPart> ||
                                std::is_same_v<Part, ContagionPart>;
          // A regime counts with its rate, at a level of 1, wherever its levels lie.
          if constexpr (std::is_same_v<Part, RegimePart>)
            add(kind.rate.value, base);
          else if constexpr (!rare)
            add_mean(kind, p, base);
        },
        part);
  for (double& rate : base) rate *= work_factor(p.workload.level);
  return base;
}

}  // namespace cra::sim
