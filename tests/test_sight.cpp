// What policies see of a batch: old states, hidden columns, and the features that are left.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "pools.h"
#include "sim/sim.h"

using namespace cra;
using namespace cra::sim;
using cra::testing::busy_ring;
using cra::testing::must_resolve;

namespace {

constexpr int kNodes = 5, kSlots = 12;

/// Everything that can be hidden is there, and changes.
Params full_pool() {
  Params p = busy_ring(kNodes, kSlots);
  p.pool.groups = {{"queue", 3, Dynamics::queue}, {"progress", 2, Dynamics::progress}};
  p.workload.failures = WearFailures{0.2, 1, 0.5, {2, 3}, 0.3, 0.9};
  p.workload.calendar = WindowsCalendar{6, 2, 0.1, 2, 1};
  p.observation.arrivals_shown = true;
  must_resolve(p);
  return p;
}

/// Decisions of course `which` in slot t.
std::vector<double> weights(int which, int t) {
  Draws draws(which, EpisodeSet::training, 0, Stream::exploration, 0, t);
  std::vector<double> w;
  for (int n = 0; n < kNodes; ++n) w.push_back(draws.uniform());
  return w;
}

/// Features before every slot, as a policy sees them, and what it sees in the last one.
struct Course {
  std::vector<std::vector<float>> features;
  std::vector<Batch> truth, seen;
};
Course run(const Params& p, const Exogenous& x, int which) {
  Course c;
  Batch b = reset(p, x, {0});
  Sight sight(p);
  const int count = feature_count(p);
  for (int t = 0; t < kSlots; ++t) {
    const Batch& seen = sight.look(b);
    c.features.emplace_back(static_cast<std::size_t>(kNodes * count));
    observe(p, seen, {c.features.back().data(), kNodes, count});
    c.truth.push_back(b);
    c.seen.push_back(seen);
    const std::vector<double> w = weights(which, t);
    step(p, x, b, {w.data(), 1, kNodes});
  }
  return c;
}

Params hiding(Params p, std::vector<std::string> names) {
  p.observation.hidden = std::move(names);
  must_resolve(p);
  return p;
}

}  // namespace

TEST_CASE("sight: without delay or secrets a policy sees the batch itself") {
  const Params p = full_pool();
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  Batch b = reset(p, x, {0});
  Sight sight(p);
  for (int t = 0; t < 3; ++t) {
    CHECK(&sight.look(b) == &b);
    const std::vector<double> w = weights(1, t);
    step(p, x, b, {w.data(), 1, kNodes});
  }
}

TEST_CASE("sight: a delay shows the state of so many slots ago, the first one until then") {
  Params p = full_pool();
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  for (const int delay : {1, 3, 20}) {
    p.observation.delay = delay;
    const Course c = run(p, x, 1);
    Sight sight(p);
    for (int t = 0; t < kSlots; ++t) {
      const Batch& old = c.truth[static_cast<std::size_t>(std::max(0, t - delay))];
      const Batch& seen = c.seen[static_cast<std::size_t>(t)];
      CHECK(seen.slot == old.slot);
      CHECK(seen.backlog == old.backlog);
      CHECK(seen.rate == old.rate);
      CHECK(seen.arrivals_last == old.arrivals_last);
      CHECK(seen.margin == old.margin);
      // The slots said to act on a state are those that saw it.
      const auto [first, last] = sight.acting_on(t, kSlots);
      for (int later = 0; later < kSlots; ++later)
        CHECK((c.seen[static_cast<std::size_t>(later)].slot == t) ==
              (later >= first && later <= last));
    }
  }
}

TEST_CASE("sight: nothing of the future, nor of the slots that the delay holds back") {
  Params p = busy_ring(kNodes, kSlots);
  for (const int delay : {0, 2}) {
    p.observation.delay = delay;
    const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
    for (int cut = 0; cut < kSlots; ++cut) {
      Exogenous other = x;  // same past, the slots from `cut` on in reverse order
      for (int t = cut; t < kSlots; ++t)
        for (std::size_t n = 0; n < kNodes; ++n)
          other.arrivals[other.at(0, t) + n] = x.arrivals[x.at(0, cut + kSlots - 1 - t) + n] + 1;
      const Course a = run(p, x, 1), b = run(p, other, 1);
      for (int t = 0; t < kSlots; ++t) {
        const auto slot = static_cast<std::size_t>(t);
        CHECK((a.features[slot] == b.features[slot]) == (t <= cut + delay));
      }
    }
  }
}

TEST_CASE("sight: what is hidden stays at its first value, and no feature has its name") {
  const Params p = full_pool();
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  const std::vector<std::string> all = feature_names(p);
  for (const std::string& name : hideable()) {
    CAPTURE(name);
    const Params q = hiding(p, {name});
    const std::vector<std::string> left = feature_names(q);
    CHECK(left.size() < all.size());
    CHECK(left.size() == static_cast<std::size_t>(feature_count(q)));
    CHECK(std::none_of(left.begin(), left.end(), [&](const std::string& feature) {
      return feature == name || feature == name + "_fast" || feature == "mean_" + name;
    }));
  }
  const Course c = run(hiding(p, {"backlog", "arrivals"}), x, 1);
  CHECK(c.truth.back().backlog != c.truth.front().backlog);
  CHECK(c.truth.back().arrivals_slow != c.truth.front().arrivals_slow);
  CHECK(c.seen.back().backlog == c.truth.front().backlog);
  CHECK(c.seen.back().margin == c.truth.front().margin);  // it would tell of the backlog
  CHECK(c.seen.back().arrivals_slow == c.truth.front().arrivals_slow);
  CHECK(c.seen.back().rate == c.truth.back().rate);
}

TEST_CASE("sight: with all that decisions move hidden, features are the same whatever is decided") {
  const Params p = hiding(full_pool(), {"backlog", "progress", "error", "rate"});
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 1);
  CHECK(run(p, x, 1).features == run(p, x, 2).features);
  // Each of the four is needed: what is left tells the courses apart.
  for (std::size_t k = 0; k < 4; ++k) {
    Params q = p;
    q.observation.hidden.erase(q.observation.hidden.begin() + static_cast<std::ptrdiff_t>(k));
    CAPTURE(p.observation.hidden[k]);
    CHECK(run(q, x, 1).features != run(q, x, 2).features);
  }
}

TEST_CASE("sight: with everything hidden, features are constants of the pool") {
  const Params p = hiding(full_pool(), hideable());
  const Exogenous x = draw(p, 3, EpisodeSet::training, 0, 2);
  const Course c = run(p, x, 1);
  for (const std::vector<float>& f : c.features) CHECK(f == c.features[0]);
  CHECK(feature_names(p) == std::vector<std::string>{"capacity", "base_rate", "position_cos",
                                                     "position_sin", "is_progress",
                                                     "progress_scale"});
}

TEST_CASE("resolve: a name that cannot be hidden, or is there twice, is refused") {
  Params p = full_pool();
  p.observation.hidden = {"rate", "future", "rate"};
  const std::vector<Problem> all = resolve(p, 1);
  REQUIRE(all.size() == 2);
  CHECK(all[0].path + " " + all[0].text ==
        "observation.hidden[1] is \"future\", expected one of backlog, arrivals, importance, "
        "health, availability, progress, error, rate");
  CHECK(all[1].path + " " + all[1].text == "observation.hidden[2] names \"rate\" a second time");
}
