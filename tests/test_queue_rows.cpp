// The fast path of a slot against the stages that specify it, on every instruction set here.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "sim/queue_rows.h"

namespace {

using namespace cra;       // NOLINT(google-build-using-namespace): test file
using namespace cra::sim;  // NOLINT(google-build-using-namespace): test file

/// Queues of every size, some capped, with failures; `resources` needs that differ by node.
Params pool_of(int nodes, int resources, bool steady = false) {
  Params p;
  p.pool.nodes = nodes;
  p.pool.capacity.given = NodeValues::Uniform{0.8, 3};
  for (int k = 0; k < resources; ++k) {
    Resource r;
    r.name = std::string(1, static_cast<char>('a' + k));
    r.need.given = NodeValues::Uniform{0.5, 1.5};
    r.budget = 0.6 * nodes;
    p.pool.resources.push_back(r);
  }
  p.workload.slots = 12;
  p.workload.importance.given = NodeValues::Uniform{0.5, 2};
  if (!steady) p.workload.failures = WearFailures{};
  p.cost.switching = 0.05;
  ConstantPart part;
  part.rate.given = NodeValues::Uniform{0.2, 1.2};
  p.workload.parts.emplace_back(part);
  REQUIRE(resolve(p, 3).empty());
  return p;
}

/// Weights over many orders of magnitude, and in some environments none at all.
std::vector<double> weights_of(const Params& p, std::int64_t envs, int slot) {
  std::vector<double> w;
  for (std::int64_t e = 0; e < envs; ++e)
    for (int n = 0; n < p.pool.nodes; ++n) {
      Draws draws(11, EpisodeSet::training, e, Stream::noise, n, slot);
      const double u = draws.uniform();
      w.push_back(e == 2 ? 0 : u < 0.1 ? 0 : std::exp(12 * (u - 0.5)));
    }
  return w;
}

using Column = std::vector<double> Batch::*;
constexpr Column kColumns[] = {
    &Batch::backlog,          &Batch::rate,       &Batch::arrivals_fast, &Batch::arrivals_slow,
    &Batch::arrivals_last,    &Batch::importance, &Batch::error,         &Batch::availability,
    &Batch::down_slots,       &Batch::health,     &Batch::margin,        &Batch::margin_ahead,
    &Batch::importance_ahead, &Batch::waste,      &Batch::grant,         &Batch::served,
    &Batch::dispatched,       &Batch::lost,       &Batch::error_cost,    &Batch::switching_cost,
    &Batch::fairness_cost,    &Batch::use_cost,   &Batch::cost,          &Batch::score};

struct Runs {
  Params p;
  Exogenous x;
  Batch start;
};
Runs runs_of(int nodes, int resources, bool steady = false) {
  Runs r{pool_of(nodes, resources, steady), {}, {}};
  r.x = draw(r.p, 5, EpisodeSet::training, 0, 4);
  r.start = reset(r.p, r.x, {0, 1, 2, 3});
  REQUIRE(r.x.steady == steady);
  return r;
}

TEST_CASE("step_queue_rows: does what the stages do, at awkward sizes, on every instruction set") {
  for (const int nodes : {1, 2, 7, 8, 9, 16, 31, 32, 33, 1000})
    for (const int resources : {1, 3, -1, -3}) {
      const Runs r = runs_of(nodes, std::abs(resources), resources < 0);
      REQUIRE(is_plain_queue_pool(r.p, r.x));
      const QueuePool pool = queue_pool(r.p, r.x);
      for (const QueueKernel& kernel : queue_kernels()) {
        Batch fast = r.start, plain = r.start;
        double worst = 0;
        for (int t = 0; t < r.x.slots; ++t) {
          const std::vector<double> w = weights_of(r.p, 4, t);
          const View<const double> decisions{w.data(), 4, nodes};
          step_queue_rows(kernel, pool, r.x, fast, decisions, 0, 4);
          ++fast.slot;
          step_by_stages(r.p, r.x, plain, decisions);
          for (const Column c : kColumns)
            for (std::size_t i = 0; i < (plain.*c).size(); ++i)
              worst = std::max(
                  worst, std::fabs((fast.*c)[i] - (plain.*c)[i]) / (1 + std::fabs((plain.*c)[i])));
        }
        CAPTURE(nodes);
        CAPTURE(resources);
        CAPTURE(kernel.name);
        // Sums of up to 1000 terms in another order, twelve slots of a map that does not stretch
        // differences: 1000 * 2^-53 * 12 = 1.3e-12 at the very worst.
        CHECK(worst < 1e-12);
      }
    }
}

TEST_CASE("step_queue_rows: the same bits on every instruction set and for any split") {
  for (const int nodes : {5, -5, 12, -12, 16, -16, 33}) {
    const Runs r = runs_of(std::abs(nodes), 1, nodes < 0);
    const QueuePool pool = queue_pool(r.p, r.x);
    const std::vector<double> w = weights_of(r.p, 4, 0);
    const View<const double> decisions{w.data(), 4, r.x.nodes};
    Batch reference = r.start;
    step_queue_rows(queue_kernels().front(), pool, r.x, reference, decisions, 0, 4);
    for (const QueueKernel& kernel : queue_kernels()) {
      Batch b = r.start;
      step_queue_rows(kernel, pool, r.x, b, decisions, 3, 1);
      step_queue_rows(kernel, pool, r.x, b, decisions, 0, 3);
      CAPTURE(nodes);
      CAPTURE(kernel.name);
      for (const Column c : kColumns)
        CHECK(((b.*c).empty() || std::memcmp((b.*c).data(), (reference.*c).data(),
                                             (b.*c).size() * sizeof(double)) == 0));
    }
  }
}

TEST_CASE("draw: calls steady what has the same importance in all slots and no failures") {
  const auto steady_with = [](const auto& change) {
    Params p = pool_of(5, 1, true);
    change(p.workload);
    REQUIRE(resolve(p, 3).empty());
    const Exogenous x = draw(p, 5, EpisodeSet::training, 0, 8);
    bool same = true;
    for (std::int64_t i = 0; i < x.episodes; ++i)
      for (int t = 0; t < x.slots; ++t)
        for (std::size_t n = 0; n < 5; ++n)
          same = same && x.availability[x.at(i, t) + n] == 1 &&
                 x.importance[x.at(i, t) + n] == x.importance[x.at(i, 0) + n];
    CHECK((same || !x.steady));
    return x.steady;
  };
  CHECK(steady_with([](Workload&) {}));
  CHECK_FALSE(steady_with([](Workload& w) { w.failures = WearFailures{}; }));
  CHECK_FALSE(steady_with([](Workload& w) { w.failures = Outages{}; }));
  CHECK_FALSE(steady_with([](Workload& w) { w.calendar = WindowsCalendar{}; }));
  CHECK_FALSE(steady_with([](Workload& w) { w.calendar = WalkCalendar{}; }));
}

TEST_CASE("step: takes the fast path in plain pools, and only there") {
  Runs r = runs_of(33, 1);
  const std::vector<double> w = weights_of(r.p, 4, 0);
  const View<const double> decisions{w.data(), 4, 33};
  Batch fast = r.start, taken = r.start;
  step_queue_rows(queue_kernels().back(), queue_pool(r.p, r.x), r.x, fast, decisions, 0, 4);
  step(r.p, r.x, taken, decisions);
  CHECK(taken.cost == fast.cost);
  // Each of these is something the kernel does not know.
  const auto plain_after = [&](const auto& change) {
    Params p = r.p;
    change(p);
    return is_plain_queue_pool(p, r.x);
  };
  CHECK(plain_after([](Params&) {}));
  CHECK_FALSE(plain_after([](Params& p) { p.errors = LinearError{}; }));
  CHECK_FALSE(plain_after([](Params& p) { p.pool.dynamics[3] = Dynamics::progress; }));
  CHECK_FALSE(plain_after([](Params& p) { p.pool.reserve = SharedReserve{}; }));
  CHECK_FALSE(plain_after([](Params& p) { p.pool.conflict = Conflict::gps; }));
  CHECK_FALSE(plain_after([](Params& p) { p.pool.action = Action::raw; }));
  CHECK_FALSE(plain_after([](Params& p) { p.pool.service = LotteryService{}; }));
  CHECK_FALSE(plain_after([](Params& p) { p.observation.arrivals_shown = true; }));
  CHECK_FALSE(plain_after([](Params& p) { p.cost.worst = 0.1; }));
  CHECK_FALSE(plain_after([](Params& p) { p.cost.use = 0.1; }));
  CHECK_FALSE(plain_after([](Params& p) { p.cost.concentration = 0.1; }));
  CHECK_FALSE(plain_after([](Params& p) { p.cost.score = ScoreKind::source; }));
}

TEST_CASE("step_queue_rows: budgets and caps hold to 1e-9") {
  for (const int nodes : {1, 31, 32, 33}) {
    const Runs r = runs_of(nodes, 3);
    const std::vector<double> w = weights_of(r.p, 4, 0);
    Batch b = r.start;
    step_queue_rows(queue_kernels().back(), queue_pool(r.p, r.x), r.x, b, {w.data(), 4, nodes}, 0,
                    4);
    for (int e = 0; e < 4; ++e) {
      double tightest = 0;
      for (int k = 0; k < 3; ++k) {
        double used = 0;
        for (int n = 0; n < nodes; ++n)
          used += b.grant[b.at(e) + static_cast<std::size_t>(n)] * r.p.pool.need_of(n, k);
        tightest = std::max(tightest, used / r.p.pool.budgets[static_cast<std::size_t>(k)]);
      }
      bool all_capped = true;
      for (int n = 0; n < nodes; ++n) {
        const double grant = b.grant[b.at(e) + static_cast<std::size_t>(n)];
        CHECK(grant <= r.p.pool.capacity[n] * (1 + 1e-12));
        all_capped = all_capped && grant >= r.p.pool.capacity[n] * (1 - 1e-12);
      }
      CHECK(tightest <= 1 + 1e-9);
      CHECK((all_capped || tightest >= 1 - 1e-9));
    }
  }
}

}  // namespace
