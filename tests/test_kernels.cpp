// The text of the GPU's kernels, run on the host: against the formulas in double, at sizes that fit
// no tile; the parts that the emulation stands on, against what the PTX ISA says of them.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/core.h"
#include "cuda/cuda.h"
#include "cuda/lanes.h"
#include "cuda/machine.h"
#include "cuda/packing.h"
#include "tools/engine_check.h"

using namespace cra;
using namespace cra::cuda;

namespace {

constexpr std::array kPrecisions{Precision::fp32, Precision::tf32, Precision::bf16};

/// Under the sanitizers, which take ten times as long, every third: memory faults show in any.
template <class T>
std::vector<T> few_of(const std::vector<T>& all) {
#if defined(CRA_SANITIZED)
  constexpr std::size_t kStep = 3;
#else
  constexpr std::size_t kStep = 1;
#endif
  std::vector<T> few;
  for (std::size_t i = 0; i < all.size(); i += kStep) few.push_back(all[i]);
  return few;
}
std::vector<tools::EngineCase> cases() { return few_of(tools::engine_cases(false)); }

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

float number(int i) { return static_cast<float>(std::sin(0.7 * i + 0.013 * i * i)); }

/// One product of tiles, [16, 8 k] by [8 k, 8], through the layouts of mma.h.
template <Precision P>
double worst_product(int k) {
  HostWarp w(0);
  std::vector<float> a(at(16 * 8 * k)), b(at(8 * k * 8));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = number(static_cast<int>(i));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = number(static_cast<int>(i) + 1000);
  std::vector<Stored<P>> right(b.size());
  std::vector<float> rows(b.size());  // [8, 8 k]: the transpose, whose rows are columns of b
  for (int r = 0; r < 8 * k; ++r)
    for (int c = 0; c < 8; ++c) rows[at(c * 8 * k + r)] = b[at(r * 8 + c)];
  std::vector<Stored<P>> kept(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if constexpr (P == Precision::bf16)
      kept[i] = narrow(rows[i]);
    else
      kept[i] = rows[i];
  }
  for (int t = 0; t < k; ++t) put_by_rows(w, right.data(), t, kept.data() + 8 * t, 8 * k, 8, 1.f);
  Tile<HostWarp> sum;
  sum.clear();
  int t = 0;
  for (; t + 1 < k; t += 2)
    multiply<P>(w, sum, left_of<P>(w, tile_at(w, a.data(), 8 * k, 16, 8 * t)),
                left_of<P>(w, tile_at(w, a.data(), 8 * k, 16, 8 * (t + 1))),
                right_at<P>(w, right.data(), t), right_at<P>(w, right.data(), t + 1));
  if (t < k)
    multiply<P>(w, sum, left_of<P>(w, tile_at(w, a.data(), 8 * k, 16, 8 * t)),
                right_at<P>(w, right.data(), t));
  std::vector<float> got(16 * 8);
  put_tile(w, got.data(), 8, 16, 0, sum);
  double worst = 0;
  for (int r = 0; r < 16; ++r)
    for (int c = 0; c < 8; ++c) {
      double want = 0;
      for (int i = 0; i < 8 * k; ++i)
        want += double(a[at(r * 8 * k + i)]) * double(b[at(i * 8 + c)]);
      worst = std::max(worst, std::abs(want - double(got[at(r * 8 + c)])));
    }
  return worst;
}

/// Of a fragment of an instruction, what a lane holds: PTX ISA 8.0, the figures of m16n8k8 and
/// m16n8k16.
struct Fragments {
  // Row and column of register r (of a pair: of its lower half) of lane i.
  static std::array<int, 2> a_tf32(int i, int r) {
    return {i / 4 + (r % 2) * 8, i % 4 + (r / 2) * 4};
  }
  static std::array<int, 2> b_tf32(int i, int r) { return {i % 4 + r * 4, i / 4}; }
  static std::array<int, 2> c(int i, int r) { return {i / 4 + (r / 2) * 8, i % 4 * 2 + r % 2}; }
};

}  // namespace

TEST_CASE("numbers are rounded as the device rounds them") {
  CHECK(rounded_to_bf16(1.f) == 1.f);
  CHECK(rounded_to_bf16(1.00390625f) == 1.f);        // 1 + 2^-8, a tie: to even
  CHECK(rounded_to_bf16(1.01171875f) == 1.015625f);  // 1 + 3 * 2^-8, a tie: to even
  CHECK(rounded_to_bf16(1.0040f) == 1.0078125f);     // just above the tie
  CHECK(rounded_to_bf16(-3.1415927f) == -3.140625f);
  CHECK(std::isinf(rounded_to_bf16(std::numeric_limits<float>::infinity())));
  CHECK(std::isnan(rounded_to_bf16(std::numeric_limits<float>::quiet_NaN())));
  const auto tf32 = [](float x) {
    return HostWarp::from_tf32(HostWarp::to_tf32(HostWarp::F(x)))[0];
  };
  CHECK(tf32(1.f) == 1.f);
  CHECK(tf32(1.00048828125f) == 1.0009765625f);  // 1 + 2^-11, a tie: away from zero
  CHECK(tf32(-1.00048828125f) == -1.0009765625f);
  CHECK(tf32(1.0004f) == 1.f);
  CHECK(std::isnan(tf32(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isinf(tf32(-std::numeric_limits<float>::infinity())));
}

TEST_CASE("matrix instructions: fragments of single numbers land where the PTX ISA has them") {
  // One number in A, one in B: the product must turn up in the one place of C that they share.
  for (int i = 0; i < kLanes; ++i)
    for (int r = 0; r < 4; ++r)
      for (int j = 0; j < kLanes; ++j)
        for (int s = 0; s < 2; ++s) {
          const auto [row, k] = Fragments::a_tf32(i, r);
          const auto [k_too, col] = Fragments::b_tf32(j, s);
          HostWarp::U a[4] = {0u, 0u, 0u, 0u}, b[2] = {0u, 0u};
          a[r].lane[static_cast<std::size_t>(i)] = std::bit_cast<std::uint32_t>(3.f);
          b[s].lane[static_cast<std::size_t>(j)] = std::bit_cast<std::uint32_t>(5.f);
          HostWarp::F c[4] = {0.f, 0.f, 0.f, 0.f};
          HostWarp::mma_tf32(c, a, b);
          double sum = 0;
          bool there = true;
          for (int l = 0; l < kLanes; ++l)
            for (int q = 0; q < 4; ++q) {
              sum += double(c[q][l]);
              const auto place = Fragments::c(l, q);
              const bool hit = k == k_too && place[0] == row && place[1] == col;
              there = there && double(c[q][l]) == (hit ? 15 : 0);
            }
          REQUIRE(there);
          REQUIRE(sum == (k == k_too ? 15 : 0));
        }
}

TEST_CASE("matrix instructions: sums are cut off toward zero, as the units do it") {
  const auto added = [](float so_far, float product) {
    HostWarp::U a[4] = {0u, 0u, 0u, 0u}, b[2] = {0u, 0u};
    a[0].lane[0] = std::bit_cast<std::uint32_t>(product);  // row 0, k 0
    b[0].lane[0] = std::bit_cast<std::uint32_t>(1.f);      // k 0, column 0
    HostWarp::F c[4] = {so_far, 0.f, 0.f, 0.f};
    HostWarp::mma_tf32(c, a, b);
    return c[0][0];
  };
  // 3/4 of a unit in the last place: rounding to nearest would make a whole one of it.
  CHECK(added(1, 0x1.8p-24f) == 1);
  CHECK(added(-1, -0x1.8p-24f) == -1);
  CHECK(added(1, 0x1.8p-23f) == 1 + 0x1p-23f);
  CHECK(added(1, -0x1p-25f) == 1);  // cut off before it is added
  CHECK(added(0x1p-140f, 0) == 0x1p-140f);
  CHECK(added(0x1.fffffep127f, 0x1p127f) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(
      added(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity())));
}

TEST_CASE(
    "products of tiles: fp32 keeps long sums of one sign, where a chain of instructions drifts") {
  HostWarp w(0);
  Tile<HostWarp> sum, chain;
  sum.clear();
  chain.clear();
  double want = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto x = HostWarp::F(static_cast<float>(1 + 0.3 * std::sin(0.7 * i)));
    const Left<HostWarp, Precision::fp32> left{{x, x, x, x}};
    const Right<HostWarp, Precision::fp32> right{{x, x}};
    multiply<Precision::fp32>(w, sum, left, right);
    multiply_tf32(chain, left, right);
    want += 8 * double(x[0]) * double(x[0]);
  }
  CHECK(std::abs(double(sum.x[0][0]) / want - 1) < 2e-6);
  CHECK(double(chain.x[0][0]) / want - 1 < -1e-5);
}

TEST_CASE("products of tiles, in one instruction and in two") {
  for (const int k : {1, 2, 3, 8}) {
    CAPTURE(k);
    const double root = std::sqrt(8.0 * k);
    CHECK(worst_product<Precision::fp32>(k) < root * 1e-6);
    CHECK(worst_product<Precision::tf32>(k) < root * 0x1p-10);
    CHECK(worst_product<Precision::bf16>(k) < root * 0x1p-7);
    // And no better than the precision: the rounding is there.
    CHECK(worst_product<Precision::bf16>(k) > 1e-4);
    CHECK(worst_product<Precision::tf32>(k) > 1e-5);
  }
}

TEST_CASE("a pair of numbers off its alignment is refused, as the device would trap") {
  HostWarp w(0);
  alignas(16) std::array<float, 80> memory{};
  CHECK_NOTHROW(HostWarp::load2(memory.data(), w.lane() * 2, HostWarp::M(true)));
  CHECK_THROWS_AS(HostWarp::load2(memory.data() + 1, w.lane() * 2, HostWarp::M(true)), Error);
  CHECK_NOTHROW(HostWarp::load2(memory.data() + 1, w.lane() * 2, HostWarp::M(false)));
}

TEST_CASE("axes: every number of a matrix has one padded place") {
  for (const Axis axis : {Axis{1, 20}, Axis{6, 10}, Axis{4, 8}, Axis{5, 1}}) {
    std::vector<int> hits(static_cast<std::size_t>(axis.size()), 0);
    CHECK(axis.padded() % 8 == 0);
    for (int place = 0; place < axis.padded(); ++place)
      if (const int at = axis.source(place); at >= 0) ++hits[static_cast<std::size_t>(at)];
    for (const int h : hits) CHECK(h == 1);
  }
}

TEST_CASE("plans of the core: all units are dealt out, and blocks fit") {
  for (const int nodes : {1, 16, 17, 64, 100, 256, 512, 4096})
    for (const int tiles : {1, 2, 4, 8})
      for (const int bytes : {2, 4}) {
        const CorePlan p = core_plan(1000, nodes, nodes, tiles, 8, 4, bytes, true);
        CAPTURE(nodes);
        CHECK(8 % p.unit_warps == 0);
        CHECK(p.chunk % 8 == 0);
        CHECK(p.chunk >= 8);
        CHECK(p.shared <= 64 * 1024);
        CHECK(p.groups * p.unit_warps * 16 >= nodes);
        CHECK(p.blocks * (8 / p.unit_warps) >= std::int64_t{1000} * p.groups);
      }
  // What the design is for: all of N = 512 on chip at once, and no padding of 16 nodes.
  CHECK(core_plan(1, 512, 512, 2, 8, 2, 2, true).chunk == 512);
  CHECK(core_plan(8, 16, 16, 2, 8, 2, 2, true).blocks == 1);
}

TEST_CASE("core: forward and backward against double, every head width") {
  for (const Precision p : kPrecisions)
    for (const CoreShape& s : few_of(tools::core_shapes(false))) {
      CAPTURE(static_cast<int>(p));
      CAPTURE(s.nodes);
      CAPTURE(s.size);
      const auto core = make_emulated_core(s, p);
      for (const tools::ArrayError& e : tools::compare_core(*core, s, p)) {
        CAPTURE(e.name);
        CHECK(e.error <= tools::allowed_of_core(p));
      }
    }
  CHECK_THROWS_AS(make_emulated_core({1, 4, 1, 12}, Precision::fp32), Error);
  CHECK_THROWS_AS(make_emulated_core({1, 4, 1, 72}, Precision::fp32), Error);
}

TEST_CASE("engine: every kind, control and size against double; the same bits in any order") {
  for (const Precision p : kPrecisions)
    for (const tools::EngineCase& c : cases()) {
      CAPTURE(static_cast<int>(p));
      CAPTURE(c.text());
      const auto exact = attention::make_exact_engine(c.shape);
      const auto engine = make_emulated_engine(c.shape, p);
      for (const tools::ArrayError& e : tools::compare_engines(*exact, *engine, c)) {
        CAPTURE(e.name);
        CHECK(e.error <= tools::allowed_of_encoder(p, e.gradient));
      }
    }
}

TEST_CASE("engine: passes repeat to the bit, kept for backward or not, in a larger cache too") {
  std::size_t i = 0;
  for (const tools::EngineCase& c : cases()) {
    CAPTURE(c.text());
    const Precision p = kPrecisions[i++ % kPrecisions.size()];  // in turn: a pass takes long here
    CHECK(tools::repeats(*make_emulated_engine(c.shape, p), c));
  }
}

namespace {

struct Output {
  std::vector<float> h, gradient;
};
Output run(const attention::Engine& engine, const std::vector<float>& theta,
           const std::vector<float>& x, int nodes, View<const std::uint8_t> present = {}) {
  const attention::Shape& s = engine.shape();
  const auto rows = std::ssize(x) / s.features;
  const auto cache = engine.make_cache(rows / nodes, nodes);
  Output o;
  o.h.resize(static_cast<std::size_t>(rows * s.width));
  o.gradient.resize(theta.size());
  engine.forward(theta, {x.data(), rows, s.features}, nodes, *cache, {o.h.data(), rows, s.width},
                 present);
  const std::vector<float> d_h(o.h.size(), 0.5f);
  engine.backward(theta, {d_h.data(), rows, s.width}, *cache, o.gradient, {});
  return o;
}

attention::Shape plain_shape() {
  attention::Shape s;
  s.features = 5;
  s.width = 32;
  s.heads = 2;
  s.layers = 2;
  return s;
}

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> x(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    x[static_cast<std::size_t>(i)] = number(static_cast<int>(i));
  return x;
}

}  // namespace

TEST_CASE("engine: what may run in any order may: warps in reverse give the same bits") {
  for (const tools::EngineCase& c : cases()) {
    if (c.removed || c.shape.weights != attention::Weights::dynamic) continue;
    CAPTURE(c.text());
    const std::vector<float> theta = attention::initial_parameters(c.shape, 3);
    const std::vector<float> x = numbers(c.environments * c.nodes * c.shape.features);
    const Output there = run(*make_emulated_engine(c.shape, Precision::fp32), theta, x, c.nodes);
    const Output back =
        run(*make_emulated_engine(c.shape, Precision::fp32, true), theta, x, c.nodes);
    CHECK(there.h == back.h);
    CHECK(there.gradient == back.gradient);
  }
}

TEST_CASE("engine: an environment's embeddings do not depend on who shares the call") {
  const attention::Shape s = plain_shape();
  const int nodes = 19;
  const std::vector<float> theta = attention::initial_parameters(s, 3), x = numbers(5 * nodes * 5);
  for (const Precision p : kPrecisions) {
    const auto engine = make_emulated_engine(s, p);
    const Output all = run(*engine, theta, x, nodes);
    for (std::int64_t e = 0; e < 5; ++e) {
      const std::vector<float> alone(x.begin() + e * nodes * 5, x.begin() + (e + 1) * nodes * 5);
      const Output one = run(*engine, theta, alone, nodes);
      CHECK(std::equal(one.h.begin(), one.h.end(), all.h.begin() + e * nodes * 32));
    }
  }
}

TEST_CASE("engine: removed nodes leave the others as in a pool without them, to the bit") {
  const attention::Shape s = plain_shape();
  const int nodes = 19;
  const std::vector<float> theta = attention::initial_parameters(s, 3), x = numbers(nodes * 5);
  std::vector<std::uint8_t> present(nodes, 1);
  std::vector<float> there;
  for (int n = 0; n < nodes; ++n) {
    if (n % 3 == 1) present[static_cast<std::size_t>(n)] = 0;
    if (n % 3 != 1) there.insert(there.end(), x.begin() + n * 5, x.begin() + (n + 1) * 5);
  }
  const auto engine = make_emulated_engine(s, Precision::fp32);
  const Output some = run(*engine, theta, x, nodes, {present.data(), 1, nodes});
  const Output few = run(*engine, theta, there, static_cast<int>(std::ssize(there) / 5));
  auto at = few.h.begin();
  for (int n = 0; n < nodes; ++n)
    for (int k = 0; k < 32; ++k)
      CHECK(some.h[static_cast<std::size_t>(n * 32 + k)] == (n % 3 == 1 ? 0.f : *at++));
  CHECK(some.gradient == few.gradient);
}

TEST_CASE("engine: without any node there is nothing to see, and nothing to learn") {
  const attention::Shape s = plain_shape();
  const std::vector<float> theta = attention::initial_parameters(s, 3), x = numbers(2 * 7 * 5);
  const std::vector<std::uint8_t> present(14, 0);
  const Output none =
      run(*make_emulated_engine(s, Precision::fp32), theta, x, 7, {present.data(), 2, 7});
  for (const float h : none.h) CHECK(h == 0.f);
  for (const float g : none.gradient) CHECK(g == 0.f);
}

TEST_CASE("engine: a number that is none stays one, for the caller to notice") {
  const attention::Shape s = plain_shape();
  std::vector<float> theta = attention::initial_parameters(s, 3);
  theta[40] = std::numeric_limits<float>::quiet_NaN();
  for (const Precision p : kPrecisions) {
    const Output o = run(*make_emulated_engine(s, p), theta, numbers(9 * 5), 9);
    CHECK(std::isnan(o.h[0]));
    CHECK(std::isnan(o.gradient[100]));
  }
}

TEST_CASE("engine: new parameters are taken, old ones are not kept") {
  const attention::Shape s = plain_shape();
  const auto engine = make_emulated_engine(s, Precision::fp32);
  const auto cache = engine->make_cache(1, 9);
  const std::vector<float> x = numbers(9 * 5);
  const auto forward = [&](std::uint64_t seed) {
    std::vector<float> h(9 * 32);
    engine->forward(attention::initial_parameters(s, seed), {x.data(), 9, 5}, 9, *cache,
                    {h.data(), 9, 32});
    return h;
  };
  const auto first = forward(1);
  CHECK(forward(2) != first);
  CHECK(forward(1) == first);
}

TEST_CASE("engine: a cache that takes over the memory of another knows nothing of it") {
  const attention::Shape s = plain_shape();
  const auto engine = make_emulated_engine(s, Precision::fp32);
  const std::vector<float> theta = attention::initial_parameters(s, 1), x = numbers(9 * 5);
  const Output fresh = run(*engine, theta, x, 9);
  std::vector<std::uint8_t> present(9, 1);
  present[4] = 0;
  const Output some =
      run(*engine, attention::initial_parameters(s, 2), x, 9, {present.data(), 1, 9});
  CHECK(some.h != fresh.h);
  const Output again = run(*engine, theta, x, 9);
  CHECK(again.h == fresh.h);
  CHECK(again.gradient == fresh.gradient);
  // Nor does it hold a pass.
  const auto cache = engine->make_cache(1, 9);
  std::vector<float> received(9);
  CHECK_THROWS_WITH_AS(engine->received(*cache, {received.data(), 1, 9}),
                       "attention: the cache holds no forward pass yet", Error);
}

TEST_CASE("engine: a cache of another device is refused") {
  const attention::Shape s = plain_shape();
  const auto cpu = attention::make_cpu_engine(s);
  const auto engine = make_emulated_engine(s, Precision::fp32);
  const auto cache = cpu->make_cache(1, 9);
  const std::vector<float> x = numbers(9 * 5), theta = attention::initial_parameters(s, 1);
  std::vector<float> h(9 * 32);
  CHECK_THROWS_WITH_AS(engine->forward(theta, {x.data(), 9, 5}, 9, *cache, {h.data(), 9, 32}),
                       "attention: this cache was made by the engine of another device", Error);
}

TEST_CASE("bench: every row is measured, and counts what any way of doing it needs") {
  BenchPlan plan;
  plan.rounds = 2;
  plan.rows = 34;
  plan.nodes = {16, 17};
  plan.batches = {3};
  plan.bytes = 100000;
  plan.launches = 1;
  const BenchReport r = bench_emulated(plan);
  CHECK(r.copy_gb_per_s > 0);
  // 3 precisions, 2 passes; 3 shapes of the core and 2 of the encoder.
  REQUIRE(r.rows.size() == 3 * 2 * 5);
  for (const BenchRow& row : r.rows) {
    CHECK(row.us.size() == 2);
    CHECK(row.us[0] > 0);
    INFO(row.what << " of " << row.nodes);
    const double error = tools::error_of(row);
    CHECK(error > 0);
    CHECK(error <= (row.layers == 0 ? tools::allowed_of_core(row.precision)
                                    : tools::allowed_of_encoder(row.precision, false)));
  }
  BenchRow wrong = r.rows.back();
  wrong.out.back() += 1;
  CHECK(tools::error_of(wrong) > 0.1);
  const BenchRow& core = r.rows[0];
  CHECK(core.what == "core");
  CHECK(core.environments == 2);
  CHECK(core.nodes == 16);
  CHECK(core.operations == 4.0 * 2 * 16 * 16 * 64);
  CHECK(core.exponentials == 2.0 * 4 * 16 * 16);
  CHECK(core.bytes == 4.0 * 2 * 16 * 64 * 4);
}
