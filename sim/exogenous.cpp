// Draws whole episodes of arrivals up front. Parts either raise the mean rate, to which the
// workload's noise is applied, or bring arrivals of their own (poisson, trace).
#include <algorithm>
#include <cmath>
#include <numbers>

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

void add_part(const BernoulliPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  for (int t = 0; t < in.slots; ++t)
    for (int n = 0; n < in.nodes; ++n) {
      Draws draws = episode.draws(Stream::poisson, n, t + std::int64_t{index} * in.slots);
      if (draws.uniform() < part.rate[n]) in.arrivals[in.at(t, n)] += part.size;
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

// The parts below take their draws from slots of their own: 2^24 for each part of a workload.
std::int64_t own_slot(int index, std::int64_t t) { return (std::int64_t{index} << 24) + t; }

void add_part(const BurstsPart& part, const Params&, const Episode& episode, int index,
              Inflow& in) {
  // The first slot's state is drawn from the stationary distribution of the chain.
  Draws start = episode.draws(Stream::bursts, 1, own_slot(index, 0));
  bool storm = start.uniform() < part.begin / (part.begin + part.end);
  for (int t = 0; t < in.slots; ++t) {
    Draws draws = episode.draws(Stream::bursts, 0, own_slot(index, t));
    const double turn = draws.uniform(), begins = draws.uniform();
    const auto first = static_cast<int>(draws.below(in.nodes));
    const auto life =
        part.length[0] + static_cast<int>(draws.below(part.length[1] - part.length[0] + 1));
    if (t > 0) storm = storm ? turn >= part.end : turn < part.begin;
    if (!storm || begins >= part.start) continue;
    for (int age = 0; age < life && t + age < in.slots; ++age)
      for (int k = 0; k < std::min(part.width, in.nodes); ++k)
        in.rate[in.at(t + age, (first + k) % in.nodes)] += part.height;
  }
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

/// Availability and health signal of one episode. \param availability, health  [T, N] of the
/// episode
void draw_failures(const WearFailures& f, const Episode& episode, int slots, int nodes,
                   double* availability, double* health) {
  constexpr int kBefore =
      64;  // slots simulated before the first, so that an episode starts mid-life
  for (int n = 0; n < nodes; ++n) {
    int worn = 0, down = 0;  // slots since the node became worn; slots of repair left
    for (int t = -kBefore; t < slots; ++t) {
      Draws draws = episode.draws(Stream::failures, n, std::int64_t{t} + kBefore);
      const double turn = draws.uniform(), noise = draws.normal();
      const auto repair = f.down[0] + static_cast<int>(draws.below(f.down[1] - f.down[0] + 1));
      if (down > 0) {
        --down;
      } else if (worn == 0) {
        worn = turn < f.wear ? 1 : 0;
      } else if (worn++ >= f.warning && turn < f.fail) {
        worn = 0;
        down = repair;
      }
      if (t < 0) continue;
      const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(nodes) +
                             static_cast<std::size_t>(n);
      availability[at] = down > 0 ? 0 : worn > 0 ? f.worn_capacity : 1;
      health[at] = (worn > 0 ? 1 : 0) + f.noise * noise;
    }
  }
}

/// Importance of one episode over time. \param importance [T, N], holds the steady weights;
/// multiplied \param window  [T, N] slots until the next window, written by calendars that have
/// windows
void apply_calendar(const SteadyCalendar&, const Episode&, int, int, double*, double*) {}
void apply_calendar(const WindowsCalendar& c, const Episode& episode, int slots, int nodes,
                    double* importance, double* window) {
  const double inside = (c.period - c.outside * (c.period - c.length)) / c.length;  // the mean is 1
  for (int n = 0; n < nodes; ++n) {
    Draws own = episode.draws(Stream::calendar, n, 0);
    const auto cluster = static_cast<int>(own.below(c.clusters));
    const std::int64_t scatter = own.below(2 * std::int64_t{c.scatter} + 1) - c.scatter;
    const std::int64_t phase = episode.draws(Stream::calendar, cluster, 1).below(c.period) +
                               scatter + 2 * std::int64_t{c.period};
    for (int t = 0; t < slots; ++t) {
      const std::size_t at = static_cast<std::size_t>(t) * static_cast<std::size_t>(nodes) +
                             static_cast<std::size_t>(n);
      const std::int64_t ahead = (c.period - c.length) - (t + phase) % c.period;
      importance[at] *= ahead <= 0 ? inside : c.outside;
      window[at] = static_cast<double>(std::max<std::int64_t>(0, ahead));
    }
  }
}
void apply_calendar(const WalkCalendar& c, const Episode& episode, int slots, int nodes,
                    double* importance, double*) {
  for (int n = 0; n < nodes; ++n) {
    double level = 0;
    for (int t = 0; t < slots; ++t) {
      level += -c.pull * level + c.spread * episode.draws(Stream::calendar, n, t).normal();
      importance[static_cast<std::size_t>(t) * static_cast<std::size_t>(nodes) +
                 static_cast<std::size_t>(n)] *= std::exp(level);
    }
  }
}

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
  if (p.pool.has_progress()) x.keep.assign(size, 1);
  const auto* wear = std::get_if<WearFailures>(&p.workload.failures);
  const auto* outages = std::get_if<Outages>(&p.workload.failures);
  if (wear != nullptr) x.health.assign(size, 0);
  if (std::holds_alternative<WindowsCalendar>(p.workload.calendar)) x.window.assign(size, 0);
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
    const std::size_t first_slot = x.at(i, 0);
    for (int t = 0; t < x.slots; ++t)
      std::copy(p.workload.importance.value.begin(), p.workload.importance.value.end(),
                x.importance.begin() + static_cast<std::ptrdiff_t>(x.at(i, t)));
    std::visit(
        [&](const auto& calendar) {
          apply_calendar(calendar, episode, x.slots, x.nodes, x.importance.data() + first_slot,
                         x.window.empty() ? nullptr : x.window.data() + first_slot);
        },
        p.workload.calendar);
    if (!x.keep.empty() && p.progress.shift > 0)
      for (int t = 0; t < x.slots; ++t)
        for (int n = 0; n < x.nodes; ++n)
          if (episode.draws(Stream::shift, n, t).uniform() < p.progress.shift)
            x.keep[x.at(i, t) + static_cast<std::size_t>(n)] = p.progress.keep;
    if (wear != nullptr)
      draw_failures(*wear, episode, x.slots, x.nodes, x.availability.data() + first_slot,
                    x.health.data() + first_slot);
    if (outages != nullptr)
      for (int t = 0; t < x.slots; ++t)
        for (int n = 0; n < x.nodes; ++n)
          if (episode.draws(Stream::failures, n, t).uniform() >= outages->up[n])
            x.availability[x.at(i, t) + static_cast<std::size_t>(n)] = 0;
  });
  return x;
}

}  // namespace cra::sim
