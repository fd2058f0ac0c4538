// cuda/engine.h: attention::Engine on a machine: what crosses the border between host and device.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <mutex>

#include <utility>
#include <vector>

#include "cuda/encoder.h"

namespace cra::cuda {

/// All that a cache has on a device: a stream, buffers, and staging memory beside them.
template <class M, Precision P>
struct DeviceState {
  DeviceState(const attention::Shape& s, const Packing& p, std::int64_t envs, int of_nodes, M on)
      : machine(std::move(on)),
        b(machine, s, p, envs, of_nodes),
        room(envs),
        nodes(of_nodes),
        parameters(machine.template staging<float>(p.parameters)),
        x(machine.template staging<float>(envs * of_nodes * p.features.padded())),
        h(machine.template staging<float>(envs * of_nodes * p.plain.padded())),
        gradient(machine.template staging<float>(p.parameters)),
        first(machine.template staging<std::int64_t>(envs + 1)),
        number(machine.template staging<int>(envs * of_nodes)),
        place(machine.template staging<int>(envs * of_nodes)) {}

  M machine;
  Buffers<M, P> b;
  std::int64_t room;
  int nodes;
  Pass pass;
  bool kept = false;    ///< the pass has left what backward needs
  bool learns = false;  ///< the last pass was followed by one back
  bool packed = false;  ///< `parameters` is what lies on the device
  template <class T>
  using Staging = typename M::template Staging<T>;
  Staging<float> parameters, x, h, gradient;
  Staging<std::int64_t> first;
  Staging<int> number, place;
};

/// States of caches that are gone, for those to come: callers make a cache for every episode or
/// minibatch, which on a device takes longer than the pass.
template <class State>
class Pool {
 public:
  Pool() { free_.reserve(kMost); }
  /// Null: there is none of that size.
  std::unique_ptr<State> take(std::int64_t room, int nodes) {
    const std::lock_guard<std::mutex> lock(guard_);
    for (auto& s : free_)
      if (s->room == room && s->nodes == nodes) {
        std::unique_ptr<State> taken = std::move(s);
        std::swap(s, free_.back());
        free_.pop_back();
        return taken;
      }
    return nullptr;
  }
  void give(std::unique_ptr<State> s) {
    const std::lock_guard<std::mutex> lock(guard_);
    if (free_.size() == kMost) free_.erase(free_.begin());
    free_.push_back(std::move(s));
  }

 private:
  static constexpr std::size_t kMost = 8;
  std::mutex guard_;
  std::vector<std::unique_ptr<State>> free_;  // with room for all: giving back cannot fail
};

template <class M, Precision P>
class DeviceCache : public attention::Cache {
 public:
  using State = DeviceState<M, P>;
  DeviceCache(const attention::Shape& s, std::unique_ptr<State> of,
              std::shared_ptr<Pool<State>> pool)
      : Cache(s, of->room, of->nodes), state(std::move(of)), pool_(std::move(pool)) {}
  ~DeviceCache() override { pool_->give(std::move(state)); }

  std::unique_ptr<State> state;

 private:
  std::shared_ptr<Pool<State>> pool_;
};

template <class M, Precision P>
class DeviceEngine : public attention::Engine {
 public:
  /// \param machine  makes a machine for every cache
  DeviceEngine(const attention::Shape& s, std::function<M()> machine)
      : Engine(s), packing_(s), encoder_(s, packing_), machine_(std::move(machine)) {}

  /// What fills a large GPU even at 16 nodes: a warp per environment.
  std::int64_t wanted_batch() const override { return 4096; }

 protected:
  using Mine = DeviceState<M, P>;
  std::unique_ptr<attention::Cache> do_make_cache(std::int64_t envs, int nodes) const override {
    std::unique_ptr<Mine> state = pool_->take(envs, nodes);
    if (state)
      state->machine.wait();  // where an error has cut a pass short, it may still be running
    else
      state = std::make_unique<Mine>(shape(), packing_, envs, nodes, machine_());
    return std::make_unique<DeviceCache<M, P>>(shape(), std::move(state), pool_);
  }

  void do_forward(std::span<const float> parameters, View<const float> x, int nodes,
                  attention::Cache& cache, View<float> h,
                  View<const std::uint8_t> present) const override {
    Mine& c = mine(cache);
    take_rows(c, x.rows / nodes, present);
    take_parameters(c, parameters);
    const std::int64_t wide = packing_.features.padded(), rows = c.pass.rows;
    for_each_row(c, [&](std::int64_t from, std::int64_t to) {
      float* const row = c.x.data() + to * wide;
      std::copy_n(x.row(from), x.cols, row);
      std::fill(row + x.cols, row + wide, 0.f);
    });
    c.machine.upload(c.b.x.data(), c.x.data(), rows * wide);
    // A pass back mostly follows when one has followed before; if it does after all, or does not,
    // only time is lost.
    c.kept = c.learns || !encoder_.fuses(nodes);
    c.learns = false;
    encoder_.forward(c.machine, c.b, c.pass, c.kept);
    fetch(c, c.h.data(), c.b.h_out.data(), packing_.plain.padded(), h);
  }

  void do_backward(std::span<const float> parameters, View<const float> d_h,
                   attention::Cache& cache, std::span<float> d_parameters,
                   View<float> d_x) const override {
    Mine& c = mine(cache);
    take_parameters(c, parameters);
    c.learns = true;
    keep(c);
    const std::int64_t wide = packing_.plain.padded();
    for_each_row(c, [&](std::int64_t from, std::int64_t to) {
      float* const row = c.h.data() + to * wide;
      std::copy_n(d_h.row(from), d_h.cols, row);
      std::fill(row + d_h.cols, row + wide, 0.f);
    });
    c.machine.upload(c.b.d_narrow.data(), c.h.data(), c.pass.rows * wide);
    encoder_.backward(c.machine, c.b, c.pass, d_x.data != nullptr);
    c.machine.download(c.gradient.data(), c.b.gradient.data(), packing_.parameters);
    if (d_x.data != nullptr)
      fetch(c, c.x.data(), c.b.d_x.data(), packing_.features.padded(), d_x);
    else
      c.machine.wait();
    for (std::size_t i = 0; i < d_parameters.size(); ++i) d_parameters[i] += c.gradient.data()[i];
  }

  void do_received(const attention::Cache& cache, View<float> out) const override {
    // The weights are made anew on the device: that changes no more of a cache than its scratch.
    Mine& c = mine(const_cast<attention::Cache&>(cache));
    const attention::Shape& s = shape();
    const std::size_t last = static_cast<std::size_t>(s.layers) - 1;
    std::fill_n(out.data, out.size(), 0.f);
    if (s.form == attention::Form::none) {
      for_each_row(c, [&](std::int64_t from, std::int64_t) {
        const std::int64_t e = from / c.nodes;
        out.data[from] = static_cast<float>(1.0 / count(c, e));
      });
      return;
    }
    const bool induced = s.form == attention::Form::induced;
    const int points = s.points;
    const std::int64_t row = c.nodes;
    std::vector<double> of_point(static_cast<std::size_t>(c.pass.envs * s.heads * points));
    std::vector<double> sums(static_cast<std::size_t>(c.pass.envs * row), 0.0);
    // How much the nodes of an environment look at each of what they look at.
    for_each_weights(
        c, last, false, [&](std::int64_t e, int h, int lookers, int, int ld, const float* a) {
          double* const to =
              induced ? of_point.data() + (e * s.heads + h) * points : sums.data() + e * row;
          const int looked = induced ? points : lookers;
          for (int i = 0; i < lookers; ++i)
            for (int j = 0; j < looked; ++j) to[j] += double(a[std::int64_t{i} * ld + j]);
        });
    if (induced)
      for_each_weights(
          c, last, true, [&](std::int64_t e, int h, int, int nodes, int ld, const float* a) {
            for (int p = 0; p < points; ++p)
              for (int j = 0; j < nodes; ++j)
                sums[static_cast<std::size_t>(e * row + j)] +=
                    of_point[static_cast<std::size_t>((e * s.heads + h) * points + p)] *
                    double(a[std::int64_t{p} * ld + j]);
          });
    for_each_row(c, [&](std::int64_t from, std::int64_t to) {
      const std::int64_t e = from / row, place = to - start(c, e);
      out.data[from] = static_cast<float>(sums[static_cast<std::size_t>(e * row + place)] /
                                          (double(s.heads) * count(c, e)));
    });
  }

  void do_add_weights(const attention::Cache& cache, std::span<double> sum) const override {
    Mine& c = mine(const_cast<attention::Cache&>(cache));
    const attention::Shape& s = shape();
    const bool induced = s.form == attention::Form::induced;
    double* to = sum.data();
    for (std::size_t l = 0; l < static_cast<std::size_t>(s.layers); ++l)
      for (const bool of_points : {true, false}) {
        if (of_points && !induced) continue;
        const std::int64_t lookers = of_points ? s.points : c.nodes;
        const std::int64_t looked = induced && !of_points ? s.points : c.nodes;
        for_each_weights(c, l, of_points,
                         [&](std::int64_t, int h, int, int, int ld, const float* a) {
                           double* const head = to + h * lookers * looked;
                           for (std::int64_t i = 0; i < lookers; ++i)
                             for (std::int64_t j = 0; j < looked; ++j)
                               head[j * lookers + i] += double(a[i * ld + j]);
                         });
        to += s.heads * lookers * looked;
      }
  }

 private:
  static Mine& mine(attention::Cache& cache) {
    auto* const c = dynamic_cast<DeviceCache<M, P>*>(&cache);
    CRA_CHECK(c != nullptr, "attention: this cache was made by the engine of another device");
    return *c->state;
  }

  static std::int64_t start(const Mine& c, std::int64_t e) {
    return c.pass.whole ? e * c.nodes : c.first.data()[e];
  }
  static int count(const Mine& c, std::int64_t e) {
    return static_cast<int>(start(c, e + 1) - start(c, e));
  }

  /// Which nodes are there: rows close up over those that are not.
  void take_rows(Mine& c, std::int64_t envs, View<const std::uint8_t> present) const {
    c.pass.envs = envs;
    c.pass.nodes = c.nodes;
    c.pass.whole = present.data == nullptr;
    c.pass.rows = envs * c.nodes;
    if (c.pass.whole) return;
    std::int64_t row = 0;
    for (std::int64_t e = 0; e < envs; ++e) {
      c.first.data()[e] = row;
      int there = 0;
      for (int n = 0; n < c.nodes; ++n) {
        const bool is = present.row(e)[n] != 0;
        c.place.data()[e * c.nodes + n] = is ? there++ : -1;
        if (is) c.number.data()[row++] = n;
      }
    }
    c.first.data()[envs] = row;
    c.pass.rows = row;
    c.machine.upload(c.b.first.data(), c.first.data(), envs + 1);
    c.machine.upload(c.b.number.data(), c.number.data(), row);
    c.machine.upload(c.b.place.data(), c.place.data(), envs * c.nodes);
  }

  /// Parameters cross the border when they have changed: a rollout asks many times with the same.
  void take_parameters(Mine& c, std::span<const float> parameters) const {
    c.pass.frozen =
        packing_.frozen >= 0 && parameters[static_cast<std::size_t>(packing_.frozen)] != 0;
    if (c.packed &&
        std::memcmp(c.parameters.data(), parameters.data(), parameters.size_bytes()) == 0)
      return;
    c.machine.wait();  // nobody reads the staging memory any more
    c.packed = false;  // whatever goes wrong on the way
    std::copy(parameters.begin(), parameters.end(), c.parameters.data());
    c.machine.upload(c.b.parameters.data(), c.parameters.data(), packing_.parameters);
    encoder_.pack(c.machine, c.b);
    c.packed = true;
  }

  /// What the last forward pass did not keep, because nobody had asked for it before.
  void keep(Mine& c) const {
    if (!c.kept) encoder_.forward(c.machine, c.b, c.pass, true);
    c.kept = true;
  }

  /// Calls move(row in the pool's order, row among those there).
  template <class Move>
  static void for_each_row(const Mine& c, Move move) {
    if (c.pass.whole) {
      for (std::int64_t r = 0; r < c.pass.rows; ++r) move(r, r);
      return;
    }
    for (std::int64_t e = 0; e < c.pass.envs; ++e)
      for (std::int64_t r = c.first.data()[e]; r < c.first.data()[e + 1]; ++r)
        move(e * c.nodes + c.number.data()[r], r);
  }

  /// Rows of `wide` numbers from the device to where the caller wants them; 0 for removed nodes.
  void fetch(Mine& c, float* staging, const float* from, std::int64_t wide, View<float> to) const {
    c.machine.download(staging, from, c.pass.rows * wide);
    c.machine.wait();
    if (!c.pass.whole) std::fill_n(to.data, to.size(), 0.f);
    for_each_row(c, [&](std::int64_t pool, std::int64_t row) {
      std::copy_n(staging + row * wide, to.cols, to.row(pool));
    });
  }

  /// Calls see(e, head, lookers, nodes, ld, weights [lookers, ld]) for every environment and head.
  template <class See>
  void for_each_weights(Mine& c, std::size_t layer, bool of_points, See see) const {
    const attention::Shape& s = shape();
    const bool induced = s.form == attention::Form::induced;
    const int most_lookers = of_points ? s.points : c.nodes;
    const int ld = round8(induced && !of_points ? s.points : c.nodes);
    const std::int64_t each = std::int64_t{s.heads} * most_lookers * ld;
    constexpr std::int64_t kMost = std::int64_t{1} << 24;  // numbers at a time
    const std::int64_t together = std::clamp<std::int64_t>(kMost / each, 1, c.pass.envs);
    keep(c);
    auto weights = c.machine.template array<float>(together * each);
    c.machine.zero(weights.data(), together * each);  // padding crosses the border too
    auto softmaxed = c.machine.template array<float>(
        s.weights == attention::Weights::shuffled ? together * each : 1);
    auto staging = c.machine.template staging<float>(together * each);
    for (std::int64_t first = 0; first < c.pass.envs; first += together) {
      const std::int64_t envs = std::min(together, c.pass.envs - first);
      encoder_.weights(c.machine, c.b, c.pass, layer, of_points, first, envs, weights.data(),
                       softmaxed.data());
      c.machine.download(staging.data(), weights.data(), envs * each);
      c.machine.wait();
      for (std::int64_t e = 0; e < envs; ++e)
        for (int h = 0; h < s.heads; ++h) {
          const int there = count(c, first + e);
          see(first + e, h, of_points ? s.points : there, there, ld,
              staging.data() + (e * s.heads + h) * most_lookers * ld);
        }
    }
  }

  Packing packing_;
  DeviceEncoder<M, P> encoder_;
  std::function<M()> machine_;
  std::shared_ptr<Pool<Mine>> pool_ = std::make_shared<Pool<Mine>>();
};

}  // namespace cra::cuda
