// What must not change a bit: repetition, company in a call, threads; and what must not allocate.
#include <doctest/doctest.h>
#include <omp.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "tests/attention_nets.h"

using namespace nets;

namespace {
std::atomic<std::int64_t> allocations{0};
}

// Counts every allocation of this program.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

constexpr Shape kShape{5, 16, 2, 2, 1};

// Every kind, and every control of one.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const attention::Form form : kForms) all.push_back(shape_of_form(form, 5, 16, 2, 2));
  for (const attention::Weights weights : kWeights) {
    Shape s = shape_of_form(attention::Form::induced, 5, 16, 2, 2);
    s.weights = weights;
    s.positions = attention::Positions::sinusoidal;
    if (weights == attention::Weights::average) s.nodes = 9;
    all.push_back(s);
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What one call computes for given environments of `nodes` rows each.
struct Outcome {
  std::vector<float> h, d_x, received;
};

struct Tile {
  const attention::Engine& engine;
  const std::vector<float>& p;
  int nodes;

  Outcome pass(const std::vector<float>& x, const std::vector<float>& d_h, attention::Cache& cache,
               std::vector<float>& d_p) const {
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / kShape.features;
    Outcome o;
    o.h.resize(d_h.size());
    o.d_x.resize(x.size());
    o.received.resize(static_cast<std::size_t>(rows));
    engine.forward(p, view(x, rows), nodes, cache, view(o.h, rows));
    engine.backward(p, view(d_h, rows), cache, d_p, view(o.d_x, rows));
    engine.received(cache, view(o.received, rows / nodes));
    return o;
  }
};

// FNV-1a over the words of what a net computes from inputs that are exact in any language.
struct Hash {
  std::uint64_t value = 0xcbf29ce484222325;

  void add(const std::vector<float>& values) {
    for (const float v : values) {
      std::uint32_t word = 0;
      std::memcpy(&word, &v, sizeof word);
      value = (value ^ word) * 0x100000001b3;
    }
  }
  static void fill(std::vector<float>& values, int step, float size) {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = size * (static_cast<float>(static_cast<int>(i) * step % 2003 - 1001) / 1024);
  }
  void add(Net<float>& net) {
    fill(net.p, 7919, 0.5f);
    fill(net.x, 7919, 2);
    fill(net.c, 101, 1);
    net.forward();
    net.backward();
    add(net.h);
    add(net.d_x);
    add(net.d_p);
  }
};

// Rows of environment e of an array with `cols` numbers per node.
std::vector<float> env_of(const std::vector<float>& all, std::int64_t e, int nodes, int cols) {
  const auto first = all.begin() + e * nodes * cols;
  return {first, first + std::int64_t{nodes} * cols};
}
void append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

TEST_CASE("one environment: same bits whatever the company, the order and the room in the cache") {
  const auto engine = attention::make_cpu_engine(kShape);
  const std::vector<float> p = parameters(kShape, 1);
  for (const int nodes : {1, 3, 6, 9, 33}) {
    const std::int64_t envs = 16;
    const auto x = normals<float>(envs * nodes * kShape.features, 2, 0);
    const auto d_h = normals<float>(envs * nodes * kShape.width, 2, 1);
    const Tile tile{*engine, p, nodes};
    const auto cache = engine->make_cache(envs, nodes);
    std::vector<float> ignored(p.size());
    const Outcome all = tile.pass(x, d_h, *cache, ignored);
    for (std::int64_t together = 1; together <= envs; ++together) {
      // Environments in the order 0, 7, 14, 5, ...: 7 and 16 have no common divisor.
      for (std::int64_t first = 0; first < envs; first += together) {
        const std::int64_t count = std::min(together, envs - first);
        std::vector<float> x_part, d_h_part;
        for (std::int64_t i = first; i < first + count; ++i) {
          append(x_part, env_of(x, i * 7 % envs, nodes, kShape.features));
          append(d_h_part, env_of(d_h, i * 7 % envs, nodes, kShape.width));
        }
        const Outcome part = tile.pass(x_part, d_h_part, *cache, ignored);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t e = (first + i) * 7 % envs;
          CAPTURE(nodes);
          CAPTURE(together);
          CAPTURE(e);
          CHECK(same_bits(env_of(part.h, i, nodes, kShape.width),
                          env_of(all.h, e, nodes, kShape.width)));
          CHECK(same_bits(env_of(part.d_x, i, nodes, kShape.features),
                          env_of(all.d_x, e, nodes, kShape.features)));
          CHECK(same_bits(env_of(part.received, i, nodes, 1), env_of(all.received, e, nodes, 1)));
        }
      }
    }
  }
}

TEST_CASE("every kind and control: same bits alone, in company, and with company that is removed") {
  const int nodes = 9;
  const std::int64_t envs = 5;
  const auto x = normals<float>(envs * nodes * kShape.features, 8, 0);
  const auto d_h = normals<float>(envs * nodes * kShape.width, 8, 1);
  for (const Shape& s : shapes()) {
    const auto engine = attention::make_cpu_engine(s);
    const std::vector<float> p = parameters(s, 8);
    const Tile tile{*engine, p, nodes};
    const auto cache = engine->make_cache(envs, nodes);
    std::vector<float> sum(p.size()), whole(p.size()), again(p.size());
    const Outcome all = tile.pass(x, d_h, *cache, whole);
    Outcome alone;
    for (std::int64_t e = 0; e < envs; ++e) {
      const Outcome one =
          tile.pass(env_of(x, e, nodes, s.features), env_of(d_h, e, nodes, s.width), *cache, sum);
      append(alone.h, one.h);
      append(alone.d_x, one.d_x);
      append(alone.received, one.received);
    }
    CAPTURE(name_of(s.form));
    CAPTURE(name_of(s.weights));
    CHECK(same_bits(alone.h, all.h));
    CHECK(same_bits(alone.d_x, all.d_x));
    CHECK(same_bits(alone.received, all.received));
    CHECK(same_bits(sum, whole));

    // All there but said to be: the way with removed nodes is the same way.
    std::vector<std::uint8_t> present(std::size_t(envs) * nodes, 1);
    std::vector<float> h(all.h.size());
    engine->forward(p, view(x, envs * nodes), nodes, *cache, view(h, envs * nodes),
                    {present.data(), envs, nodes});
    engine->backward(p, view(d_h, envs * nodes), *cache, again, {});
    CHECK(same_bits(h, all.h));
    CHECK(same_bits(again, whole));
    std::fill_n(present.begin() + nodes, std::ptrdiff_t{2} * nodes, std::uint8_t{0});
    engine->forward(p, view(x, envs * nodes), nodes, *cache, view(h, envs * nodes),
                    {present.data(), envs, nodes});
    std::vector<float> some(p.size()), without(p.size());
    engine->backward(p, view(d_h, envs * nodes), *cache, some, {});
    for (const std::int64_t e : {0, 3, 4}) {
      CHECK(same_bits(env_of(h, e, nodes, s.width), env_of(all.h, e, nodes, s.width)));
      tile.pass(env_of(x, e, nodes, s.features), env_of(d_h, e, nodes, s.width), *cache, without);
    }
    CHECK(same_bits(some, without));
  }
}

TEST_CASE("gradient by the parameters: same bits however the environments are split into calls") {
  const auto engine = attention::make_cpu_engine(kShape);
  const std::vector<float> p = parameters(kShape, 1);
  const int nodes = 6;
  const auto x = normals<float>(12 * nodes * kShape.features, 3, 0);
  const auto d_h = normals<float>(12 * nodes * kShape.width, 3, 1);
  const Tile tile{*engine, p, nodes};
  const auto cache = engine->make_cache(12, nodes);
  std::vector<float> whole(p.size());
  tile.pass(x, d_h, *cache, whole);
  for (const std::int64_t together : {1, 2, 3, 5}) {
    std::vector<float> sum(p.size());
    for (std::int64_t first = 0; first < 12; first += together) {
      std::vector<float> x_part, d_h_part;
      for (std::int64_t e = first; e < std::min<std::int64_t>(12, first + together); ++e) {
        append(x_part, env_of(x, e, nodes, kShape.features));
        append(d_h_part, env_of(d_h, e, nodes, kShape.width));
      }
      tile.pass(x_part, d_h_part, *cache, sum);
    }
    CAPTURE(together);
    CHECK(same_bits(sum, whole));
  }
}

TEST_CASE("repeated calls, and backward twice after one forward: same bits") {
  const auto engine = attention::make_cpu_engine(kShape);
  const std::vector<float> p = parameters(kShape, 4);
  const auto x = normals<float>(4 * 9 * kShape.features, 4, 0);
  const auto d_h = normals<float>(4 * 9 * kShape.width, 4, 1);
  const Tile tile{*engine, p, 9};
  const auto cache = engine->make_cache(4, 9);
  std::vector<float> first_gradient(p.size());
  const Outcome first = tile.pass(x, d_h, *cache, first_gradient);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<float> gradient(p.size());
    const Outcome again = tile.pass(x, d_h, *cache, gradient);
    CHECK(same_bits(again.h, first.h));
    CHECK(same_bits(again.d_x, first.d_x));
    CHECK(same_bits(gradient, first_gradient));
  }
  std::vector<float> gradient(p.size());
  engine->backward(p, view(d_h, 36), *cache, gradient, {});
  CHECK(same_bits(gradient, first_gradient));
}

TEST_CASE("tiles in 1, 2, 3, 4 threads: same bits") {
  const auto engine = attention::make_cpu_engine(kShape);
  const std::vector<float> p = parameters(kShape, 5);
  const int nodes = 7, tiles = 9, envs = 3, before = omp_get_max_threads();
  const auto x = normals<float>(std::int64_t{tiles} * envs * nodes * kShape.features, 5, 0);
  const auto d_h = normals<float>(std::int64_t{tiles} * envs * nodes * kShape.width, 5, 1);
  std::vector<float> expected;
  for (int threads = 1; threads <= 4; ++threads) {
    omp_set_num_threads(threads);
    std::vector<std::vector<float>> found(tiles);
    for_each_tile(tiles, [&](std::int64_t i) {
      const auto cache = engine->make_cache(envs, nodes);
      std::vector<float> gradient(p.size());
      const Outcome o = Tile{*engine, p, nodes}.pass(env_of(x, i, envs * nodes, kShape.features),
                                                     env_of(d_h, i, envs * nodes, kShape.width),
                                                     *cache, gradient);
      for (const std::vector<float>* part : {&o.h, &o.d_x, &o.received, &std::as_const(gradient)})
        append(found[static_cast<std::size_t>(i)], *part);
    });
    std::vector<float> all;
    for (const auto& part : found) append(all, part);
    if (threads == 1) expected = all;
    CAPTURE(threads);
    CHECK(same_bits(all, expected));
  }
  omp_set_num_threads(before);
}

TEST_CASE("one hash for every compiler, optimisation, instruction set and C library") {
  // Met with g++ 12 and clang 14, -O0 and -O3, baseline x86-64 to
  // AVX-512, with and without FMA in glibc. It changes when the encoder computes something else.
  with_all_kernels([] {
    Hash hash;
    for (const int nodes : {1, 5, 6, 9, 17, 100})
      for (const Shape& s : {Shape{5, 16, 2, 1, 1}, Shape{3, 6, 3, 2, 1}, Shape{16, 32, 2, 1, 2}}) {
        Net<float> net(s, 3, nodes, 1);
        hash.add(net);
      }
    CHECK(hash.value == 0xc686ca3eed86afd6);
  });
}

TEST_CASE("the same of every kind of attention and every control, one hash each") {
  // Met as above. Frozen averages are scores here: their logarithms are taken once, in freeze().
  constexpr std::uint64_t kHashes[] = {0x98815e7940a093fe, 0x5425f3212e97f853, 0x074a49ef2a57dfed,
                                       0x006f8bed388ed575, 0x300a6a48aeec43d4, 0xc39494d53dd65e66,
                                       0x5e432d344abb947f, 0xeb8834ab94e57faa, 0xf158c96c5766ef53};
  with_all_kernels([&] {
    std::size_t at = 0;
    for (Shape s : shapes()) {
      Hash hash;
      for (const int nodes : {1, 9, 17, 33}) {
        if (s.nodes != 0) s.nodes = nodes;
        Net<float> net(s, 3, nodes, 1);
        net.present.assign(std::size_t(3) * std::size_t(nodes), 1);
        if (nodes > 1) net.present[std::size_t(nodes) + 1] = 0;
        hash.add(net);
      }
      CAPTURE(name_of(s.form));
      CAPTURE(name_of(s.weights));
      CHECK(hash.value == kHashes[at++]);
    }
    CHECK(at == std::size(kHashes));
  });
}

TEST_CASE("forward, backward and received allocate nothing") {
  for (const Shape& shape : shapes()) {
    const auto engine = attention::make_cpu_engine(shape);
    const std::vector<float> p = parameters(shape, 6);
    const std::int64_t rows = 4 * 9;
    const auto x = normals<float>(rows * kShape.features, 6, 0);
    const auto d_h = normals<float>(rows * kShape.width, 6, 1);
    std::vector<float> h(d_h.size()), d_x(x.size()), gradient(p.size()), received(36);
    std::vector<std::uint8_t> removed(36, 1);
    removed[5] = 0;
    const std::vector<std::uint8_t>& present = removed;
    const auto cache = engine->make_cache(4, 9);
    const std::int64_t before = allocations;
    CHECK(before > 0);  // the counter counts
    engine->forward(p, view(x, rows), 9, *cache, view(h, rows));
    engine->backward(p, view(d_h, rows), *cache, gradient, view(d_x, rows));
    engine->received(*cache, view(received, 4));
    engine->forward(p, view(x, rows), 9, *cache, view(h, rows), view(present, 4));
    engine->backward(p, view(d_h, rows), *cache, gradient, view(d_x, rows));
    engine->received(*cache, view(received, 4));
    CAPTURE(name_of(shape.form));
    CHECK(allocations == before);
  }
}
