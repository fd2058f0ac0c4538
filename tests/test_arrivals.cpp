// What every workload part and every kind of noise promises, and what each new one is for. The
// lists are walked, so that a part is tested as soon as it is registered.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::must_resolve;
using cra::testing::quiet_pool;

namespace {

constexpr int kNodes = 6, kSlots = 60;

/// A part as a scenario that names only its kind would have it.
template <class Part>
Part sample() {
  Part part;
  if constexpr (std::is_same_v<Part, TracePart>) {  // a log would have been read
    part.mean.assign(kNodes, 0);
    part.train_slots = 600;
    for (std::int64_t s = 0; s < 900; ++s)
      for (std::int64_t n = 0; n < kNodes; ++n) {
        part.work.push_back(0.1 * double((s + 2 * n) % 5));
        if (s < 600) part.mean[static_cast<std::size_t>(n)] += part.work.back() / 600;
      }
  }
  return part;
}
template <class Part>  // the same in every episode of the evaluation family
constexpr bool kFixed = std::is_same_v<Part, ConstantPart> || std::is_same_v<Part, TracePart>;

template <class Kinds, class Test>
void each_kind(Test test) {
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    (test(sample<std::variant_alternative_t<k, Kinds>>()), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Kinds>>{});
}

/// A pool whose only work is one part, without noise.
Params with_part(WorkloadPart part, int nodes = kNodes, int slots = kSlots) {
  Params p = quiet_pool(nodes, slots, 0);
  p.workload.parts = {std::move(part)};
  must_resolve(p);
  return p;
}

/// Mean of node n over slots [from, T) in each episode; and over all, with its standard error.
struct Estimate {
  double mean = 0, error = 0;
};
Estimate estimate(const std::vector<double>& values, const Exogenous& x, std::size_t n, int from) {
  Estimate out;
  double square = 0;
  const auto count = double(x.episodes);
  for (std::int64_t i = 0; i < x.episodes; ++i) {
    double own = 0;
    for (int t = from; t < x.slots; ++t) own += values[x.at(i, t) + n] / (x.slots - from);
    out.mean += own / count;
    square += own * own / count;
  }
  out.error = std::sqrt(std::max(0.0, square - out.mean * out.mean) / count);
  return out;
}

void check_means(const Exogenous& x, const std::vector<double>& stated, int from) {
  for (std::size_t n = 0; n < stated.size(); ++n) {
    const Estimate e = estimate(x.arrivals, x, n, from);
    CAPTURE(n);
    CAPTURE(e.mean);
    CAPTURE(stated[n]);
    // Four standard errors of independent episodes; the rest is rounding.
    CHECK(std::fabs(e.mean - stated[n]) <= 4 * e.error + 1e-9);
    CHECK(e.error < 0.1 * stated[n] + 1e-9);  // so that the comparison says something
  }
}

}  // namespace

TEST_CASE("parts: each reaches its stated mean at every node") {
  each_kind<WorkloadPart>([](auto part) {
    CAPTURE(part.name);
    const Params p = with_part(part);
    // Bursts under way at slot 0 are not part of an episode; they are over after 30 slots.
    check_means(draw(p, 9, EpisodeSet::training, 0, 2000), mean_rate(p), 30);
  });
}

TEST_CASE("parts: arrivals are finite and >= 0, and depend on seed, family and episode only") {
  each_kind<WorkloadPart>([](auto part) {
    using Part = decltype(part);
    CAPTURE(part.name);
    const Params p = with_part(part);
    const Exogenous x = draw(p, 1, EpisodeSet::evaluation, 0, 3);
    CHECK(std::all_of(x.arrivals.begin(), x.arrivals.end(),
                      [](double a) { return std::isfinite(a) && a >= 0; }));
    CHECK((draw(p, 2, EpisodeSet::evaluation, 0, 3).arrivals == x.arrivals) == kFixed<Part>);
    // The first 3 of 7 are 3; the last of 3 drawn alone is the last of 3.
    const Exogenous more = draw(p, 1, EpisodeSet::training, 0, 7),
                    few = draw(p, 1, EpisodeSet::training, 0, 3),
                    last = draw(p, 1, EpisodeSet::training, 2, 1);
    CHECK(std::equal(few.arrivals.begin(), few.arrivals.end(), more.arrivals.begin()));
    CHECK(std::equal(last.arrivals.begin(), last.arrivals.end(),
                     few.arrivals.begin() + static_cast<std::ptrdiff_t>(few.at(2, 0))));
    // A longer episode begins like a shorter one; a window of a log is placed by its length.
    if constexpr (!std::is_same_v<Part, TracePart>) {
      const Exogenous longer =
          draw(with_part(part, kNodes, 2 * kSlots), 1, EpisodeSet::training, 2, 1);
      CHECK(std::equal(last.arrivals.begin(), last.arrivals.end(), longer.arrivals.begin()));
    }
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 3, 8}) {
      omp_set_num_threads(threads);
      CHECK(draw(p, 1, EpisodeSet::training, 0, 7).arrivals == more.arrivals);
    }
    omp_set_num_threads(before);
  });
}

TEST_CASE("parts: two of a kind add up, and the second does not repeat the first") {
  each_kind<WorkloadPart>([](auto part) {
    CAPTURE(part.name);
    const Params p = with_part(part);
    Params two = p;
    two.workload.parts.push_back(part);
    must_resolve(two);
    const Exogenous x = draw(p, 1, EpisodeSet::evaluation, 0, 4),
                    both = draw(two, 1, EpisodeSet::evaluation, 0, 4);
    std::vector<double> second(x.arrivals.size());
    for (std::size_t i = 0; i < second.size(); ++i) second[i] = both.arrivals[i] - x.arrivals[i];
    CHECK(*std::min_element(second.begin(), second.end()) > -1e-9);
    CHECK(std::accumulate(second.begin(), second.end(), 0.0) > 0);
    if constexpr (!kFixed<decltype(part)>) CHECK(second != x.arrivals);
    const std::vector<double> mean = mean_rate(p), of_two = mean_rate(two);
    for (std::size_t n = 0; n < mean.size(); ++n)
      CHECK(of_two[n] == doctest::Approx(2 * mean[n]).epsilon(1e-12));
  });
}

TEST_CASE("noise: each kind keeps the mean and is never negative") {
  each_kind<Noise>([](auto noise) {
    CAPTURE(noise.name);
    Params p = quiet_pool(2, 20, 0.7);
    p.workload.noise = noise;
    const Exogenous x = draw(p, 4, EpisodeSet::training, 0, 500);
    check_means(x, {0.7, 0.7}, 0);
    CHECK(*std::min_element(x.arrivals.begin(), x.arrivals.end()) >= 0);
  });
}

TEST_CASE("lognormal noise: the logarithm has the deviation that was given") {
  Params p = quiet_pool(3, 50, 2);
  p.workload.noise = LogNormalNoise{0.8};
  const Exogenous x = draw(p, 4, EpisodeSet::training, 0, 200);
  double mean = 0, square = 0;
  const auto count = double(x.arrivals.size());
  for (const double a : x.arrivals) {
    mean += std::log(a / 2) / count;
    square += std::log(a / 2) * std::log(a / 2) / count;
  }
  // Normal with mean -sigma^2 / 2 and deviation sigma; 5 standard errors of either.
  CHECK(std::fabs(mean + 0.32) < 5 * 0.8 / std::sqrt(count));
  CHECK(std::fabs(std::sqrt(square - mean * mean) - 0.8) < 5 * 0.8 / std::sqrt(2 * count));
}

TEST_CASE("contagion: a start raises the chance in its sector, for its memory, and nowhere else") {
  ContagionPart part;
  part.start = 0.01;
  part.length = {1, 1};  // an arrival is a start
  part.height = 1;
  part.memory = 4;
  const Params p = with_part(part, 6, 200);
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 400);
  // Starts by the number of slots since the latest one in the same sector, and in the other one.
  std::vector<double> tries(8, 0), starts(8, 0), other_tries(8, 0), other_starts(8, 0);
  for (std::int64_t i = 0; i < x.episodes; ++i) {
    int since[2] = {99, 99};
    for (int t = 0; t < x.slots; ++t) {
      bool began[2] = {false, false};
      for (std::size_t n = 0; n < 6; ++n) {
        const std::size_t own = n / 3, other = 1 - own;
        const bool start = x.arrivals[x.at(i, t) + n] > 0;
        began[own] = began[own] || start;
        if (since[own] <= 5) {
          tries[static_cast<std::size_t>(since[own])] += 1;
          starts[static_cast<std::size_t>(since[own])] += start;
        } else if (since[own] < 99 && since[other] <= 5) {  // the own sector is calm
          other_tries[static_cast<std::size_t>(since[other])] += 1;
          other_starts[static_cast<std::size_t>(since[other])] += start;
        }
      }
      for (int k = 0; k < 2; ++k) since[k] = began[k] ? 1 : std::min(since[k] + 1, 99);
    }
  }
  const auto is = [](double count, double of, double chance) {
    REQUIRE(of > 500);
    CHECK(std::fabs(count / of - chance) < 4 * std::sqrt(chance * (1 - chance) / of));
  };
  for (std::size_t s = 1; s <= 4; ++s) is(starts[s], tries[s], 0.06);
  is(starts[5], tries[5], 0.01);
  for (std::size_t s = 1; s <= 5; ++s) is(other_starts[s], other_tries[s], 0.01);
}

TEST_CASE("frames: periodic, of their length and height; phases differ by node and episode") {
  FramesPart part;
  part.length = 3;
  part.height.given = std::vector<double>{1, 2, 3};
  const Exogenous x = draw(with_part(part, 3, 40), 3, EpisodeSet::training, 0, 20);
  std::vector<int> seen;
  for (std::int64_t i = 0; i < 20; ++i)
    for (std::size_t n = 0; n < 3; ++n) {
      int busy = 0;
      for (int t = 0; t < 40; ++t) {
        const double a = x.arrivals[x.at(i, t) + n];
        CHECK((a == 0 || a == double(n + 1)));
        if (t < 8) busy += a > 0;
        if (t + 8 < 40) CHECK(a == x.arrivals[x.at(i, t + 8) + n]);
        if (t > 0 && t <= 8 && a > 0 && x.arrivals[x.at(i, t - 1) + n] == 0) seen.push_back(t);
      }
      CHECK(busy == 3);
    }
  for (int phase = 1; phase <= 8; ++phase)  // 60 draws of 8: missing one has a chance of 3e-3
    CHECK(std::count(seen.begin(), seen.end(), phase) > 0);
  part.random_phase = false;
  const Exogenous same = draw(with_part(part, 3, 40), 3, EpisodeSet::training, 0, 1);
  for (int t = 0; t < 40; ++t) CHECK((same.arrivals[same.at(0, t)] > 0) == (t % 8 < 3));
}

TEST_CASE("switch: two levels, the same state at all nodes, jumps as often as said") {
  SwitchPart part;
  part.rate = 2;
  part.low.given = std::vector<double>{0.6, 0.9};
  part.high.given = std::vector<double>{2.4, 1.1};
  part.jump = 0.1;
  const Exogenous x = draw(with_part(part, 2, 200), 3, EpisodeSet::training, 0, 100);
  double jumps = 0;
  for (std::int64_t i = 0; i < 100; ++i)
    for (int t = 0; t < 200; ++t) {
      const double* a = x.arrivals.data() + x.at(i, t);
      const bool high = a[0] > 2;
      CHECK(a[0] == doctest::Approx(high ? 4.8 : 1.2).epsilon(1e-12));
      CHECK(a[1] == doctest::Approx(high ? 2.2 : 1.8).epsilon(1e-12));
      if (t > 0) jumps += high != (x.arrivals[x.at(i, t - 1)] > 2);
    }
  CHECK(std::fabs(jumps / 19900 - 0.1) < 4 * std::sqrt(0.09 / 19900));
}

TEST_CASE("cascade: a fixed start, and a height that decays with every hop") {
  CascadePart part{1, {8, 8}, 2, 3};
  part.first = 1;
  part.decay = 0.5;
  Params p = with_part(part, 5, 30);
  p.pool.geometry = Geometry::chain;
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  // A platoon starts in every slot and stays two slots at each node: two are there at once.
  for (int t = 0; t < 30; ++t)
    for (std::size_t n = 0; n < 5; ++n)
      CHECK(x.arrivals[x.at(0, t) + n] == (n == 0 ? 0 : 6 * std::pow(0.5, n - 1)));
  CHECK(mean_rate(p) == std::vector<double>{0, 6, 3, 1.5, 0.75});
}

TEST_CASE("parts with a group stay in it, whole, and wrap round inside") {
  Params p = quiet_pool(7, 60, 0);
  p.pool.groups = {{"front", 2, {}}, {"middle", 3, {}}, {"back", 2, {}}};
  each_kind<WorkloadPart>([&](auto part) {
    if constexpr (requires { part.group; }) {
      CAPTURE(part.name);
      for (const Geometry geometry : {Geometry::ring, Geometry::chain}) {
        part.group = "middle";
        Params q = p;
        q.pool.geometry = geometry;
        q.workload.parts = {part};
        must_resolve(q);
        const Exogenous x = draw(q, 2, EpisodeSet::training, 0, 2000);
        const std::vector<double> stated = mean_rate(q);
        for (const std::size_t n : {0, 1, 5, 6}) CHECK(stated[n] == 0);
        for (const std::size_t n : {2, 3, 4}) CHECK(stated[n] > 0);
        check_means(x, stated, 30);
      }
    }
  });
}

TEST_CASE(
    "follow: importance is the leader's average of `delay` slots before, about 1 on average") {
  Params p = quiet_pool(3, 60, 0.5);
  p.workload.noise = GammaNoise{8};
  BurstsPart bursts;  // the leader's mean holds its bursts as well
  bursts.length = {1, 1};
  p.workload.parts.emplace_back(bursts);
  p.workload.importance.given = std::vector<double>{1, 2, 3};
  FollowCalendar follow;
  follow.leader.given = std::vector<double>{-1, 0, 1};
  follow.delay = 7;
  follow.smoothing = 0.6;
  p.workload.calendar = follow;
  must_resolve(p);
  const Exogenous x = draw(p, 5, EpisodeSet::training, 0, 2000);
  // Bursts: storms 3 / 7 of the time, in which one starts at 1 of 3 nodes in 40 % of the slots.
  const double mean = 0.5 + 3.0 / 7 * 0.4 * 3 / 3;
  for (std::int64_t i = 0; i < 5; ++i)
    for (int t = 0; t < 60; ++t) {
      CHECK(x.importance[x.at(i, t)] == 1);
      double level = std::pow(0.6, std::max(0, t - 6));
      for (int s = 0; s <= t - 7; ++s)
        level += 0.4 * std::pow(0.6, t - 7 - s) * x.arrivals[x.at(i, s)] / mean;
      CHECK(x.importance[x.at(i, t) + 1] == doctest::Approx(2 * level).epsilon(1e-12));
    }
  for (const std::size_t n : {1, 2}) {
    const Estimate e = estimate(x.importance, x, n, 0);
    CHECK(std::fabs(e.mean - double(n + 1)) < 4 * e.error);
    CHECK(e.error < 0.02 * e.mean);
  }
}

TEST_CASE("resolve: parts and calendars whose numbers do not fit together are refused") {
  const auto says = [](Params p) {
    const std::vector<Problem> all = resolve(p, 1);
    REQUIRE(all.size() == 1);
    return all[0].path + " " + all[0].text;
  };
  Params p = quiet_pool(4, 10, 0.5);
  p.pool.groups = {{"a", 1, {}}, {"b", 3, {}}};
  Params q = p;
  FramesPart frames;
  frames.length = 9;
  q.workload.parts.emplace_back(frames);
  CHECK(says(q) == "workload.parts[1].length is 9, expected at most the period of 8");
  q = p;
  CascadePart cascade;
  cascade.group = "b";
  cascade.first = 0;
  q.workload.parts.emplace_back(cascade);
  CHECK(says(q) == "workload.parts[1].first is 0, expected -1 or 1 to 3");
  q = p;
  ContagionPart contagion;
  contagion.group = "c";
  q.workload.parts.emplace_back(contagion);
  CHECK(says(q) == "workload.parts[1].group is \"c\", expected a group of pool.groups (a, b)");
  q = p;
  FollowCalendar follow;
  follow.leader = 1.5;
  q.workload.calendar = follow;
  CHECK(says(q) ==
        "workload.calendar.leader of node 0 is 1.5, expected a whole number from -1 to 3");
  follow.leader = 4;
  q.workload.calendar = follow;
  CHECK(says(q) == "workload.calendar.leader of node 0 is 4, expected a whole number from -1 to 3");
  q = p;
  ConstantPart some;
  some.rate.given = NodeValues::ByGroup{{"a", 0}, {"b", 1}};
  q.workload.parts = {some};
  follow.leader.given = std::vector<double>{-1, 1, 0, -1};
  q.workload.calendar = follow;
  CHECK(says(q) == "workload.calendar.leader of node 2 is 0, a node at which no work arrives");
}
TEST_CASE("level: the same episodes with 0.8, 1 or 1.2 times the work") {
  Params p;
  p.pool.nodes = 3;
  p.workload.slots = 20;
  PoissonPart jobs;
  jobs.rate = 0.6;
  p.workload.parts.emplace_back(jobs);
  CascadePart platoons;
  p.workload.parts.emplace_back(platoons);
  REQUIRE(resolve(p, 1).empty());
  const Exogenous normal = draw(p, 1, EpisodeSet::training, 0, 2);
  const double mean = mean_rate(p)[0], base = base_rate(p)[0];
  for (const auto& [level, factor] : {std::pair{Level::easy, 0.8}, {Level::hard, 1.2}}) {
    p.workload.level = level;
    const Exogenous x = draw(p, 1, EpisodeSet::training, 0, 2);
    for (std::size_t i = 0; i < x.arrivals.size(); ++i)
      CHECK(x.arrivals[i] == normal.arrivals[i] * factor);
    CHECK(mean_rate(p)[0] == doctest::Approx(factor * mean));
    CHECK(base_rate(p)[0] == doctest::Approx(factor * base));
  }
}

TEST_CASE("level: where all nodes train, a unit of work takes 0.8 or 1.2 times the resources") {
  Params p;
  p.pool.nodes = 2;
  p.pool.groups = {{"jobs", 2, Dynamics::progress}};
  p.pool.need = 0.5;
  p.pool.budget = 1;
  p.workload.level = Level::hard;
  for (int twice = 0; twice < 2; ++twice) {  // to resolve again changes nothing
    REQUIRE(resolve(p, 1).empty());
    CHECK(p.pool.needs[1] == 0.5 * 1.2);
    CHECK(p.pool.budgets[0] == 1);
  }
}
