// Importance over time, and failures.
#include <algorithm>
#include <cmath>

#include "sim/episode.h"

namespace cra::sim {
namespace {

void apply(const SteadyCalendar&, const Episode&, Agenda&) {}
void apply(const WindowsCalendar& c, const Episode& episode, Agenda& a) {
  const double inside = (c.period - c.outside * (c.period - c.length)) / c.length;  // the mean is 1
  for (int n = 0; n < a.nodes; ++n) {
    Draws own = episode.draws(Stream::calendar, n, 0);
    const auto cluster = static_cast<int>(own.below(c.clusters));
    const std::int64_t scatter = own.below(2 * std::int64_t{c.scatter} + 1) - c.scatter;
    const std::int64_t phase = episode.draws(Stream::calendar, cluster, 1).below(c.period) +
                               scatter + 2 * std::int64_t{c.period};
    for (int t = 0; t < a.slots; ++t) {
      const std::size_t at = a.at(t, n);
      const std::int64_t ahead = (c.period - c.length) - (t + phase) % c.period;
      a.importance[at] *= ahead <= 0 ? inside : c.outside;
      a.window[at] = static_cast<double>(std::max<std::int64_t>(0, ahead));
    }
  }
}
void apply(const WalkCalendar& c, const Episode& episode, Agenda& a) {
  for (int n = 0; n < a.nodes; ++n) {
    double level = 0;
    for (int t = 0; t < a.slots; ++t) {
      level += -c.pull * level + c.spread * episode.draws(Stream::calendar, n, t).normal();
      a.importance[a.at(t, n)] *= std::exp(level);
    }
  }
}
void apply(const FollowCalendar& c, const Episode&, Agenda& a) {
  for (int n = 0; n < a.nodes; ++n) {
    const auto leader = static_cast<int>(c.leader[n]);
    if (leader < 0) continue;
    double level = 1;
    for (int t = c.delay; t < a.slots; ++t) {
      const double now = a.arrivals[a.at(t - c.delay, leader)] / a.mean[leader];
      level = c.smoothing * level + (1 - c.smoothing) * now;
      a.importance[a.at(t, n)] *= level;
    }
  }
}

void draw(const NoFailures&, const Episode&, int, int, double*, double*) {}
void draw(const WearFailures& f, const Episode& episode, int slots, int nodes, double* availability,
          double* health) {
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
void draw(const Outages& f, const Episode& episode, int slots, int nodes, double* availability,
          double*) {
  const Numbers drawn = uniform(episode.grid(Stream::failures, 0, slots, nodes));
  for (std::size_t i = 0; i < drawn.size(); ++i)
    if (drawn[i] >= f.up[static_cast<int>(i % static_cast<std::size_t>(nodes))])
      availability[i] = 0;
}

}  // namespace

void apply_calendar(const Calendar& calendar, const Episode& episode, Agenda& agenda) {
  std::visit([&](const auto& kind) { apply(kind, episode, agenda); }, calendar);
}

void draw_failures(const Failures& failures, const Episode& episode, int slots, int nodes,
                   double* availability, double* health) {
  std::visit([&](const auto& kind) { draw(kind, episode, slots, nodes, availability, health); },
             failures);
}

}  // namespace cra::sim
