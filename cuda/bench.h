// cuda/bench.h: what `cra bench cuda` measures, on any machine.
#pragma once

#include <vector>

#include "cuda/core_work.h"
#include "cuda/encoder.h"

namespace cra::cuda {

/// Numbers with about the spread of normed activations.
inline std::vector<float> bench_numbers(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = static_cast<float>(1.4 * std::sin(0.37 * double(i)));
  return values;
}

/// Passes over sets of buffers in turn, so that no pass finds what the last one left in a cache.
template <Precision P, class M>
void bench_core(M& m, const BenchPlan& plan, std::int64_t environments, int nodes,
                std::vector<BenchRow>& rows) {
  using S = Stored<P>;
  const attention::Shape s = bench_shape();  // of which this is the core
  const CoreShape shape{environments, nodes, s.heads, s.head_width()};
  std::vector<CoreWork<M, P>> sets;
  const std::int64_t count = environments * nodes * s.width;
  std::vector<S> numbers;
  for (const float v : bench_numbers(3 * count)) {
    if constexpr (P == Precision::bf16)
      numbers.push_back(narrow(v));
    else
      numbers.push_back(v);
  }
  do {
    sets.emplace_back(m, shape);
    m.upload(sets.back().qkv.data(), numbers.data(), 3 * count);
    m.upload(sets.back().d_out.data(), numbers.data(), count);
    m.wait();
  } while (std::ssize(sets) * sets.back().bytes() < plan.bytes);
  const double of_pass = double(count) * sizeof(S),
               scores = double(environments) * s.heads * double(nodes) * nodes;
  for (const bool backward : {false, true}) {
    BenchRow row{"core", backward, P, environments, nodes, s.width, s.heads};
    row.bytes = of_pass * (backward ? 4 + 7 : 4);
    row.operations = scores * s.head_width() * (backward ? 4 + 10 : 4);
    row.exponentials = scores * (backward ? 2 : 1);
    row.us = m.microseconds(plan.rounds, plan.launches, [&](int i) {
      const auto& set = sets[static_cast<std::size_t>(i) % sets.size()];
      set.forward(m);
      if (backward) set.backward(m);
    });
    const auto& first = sets.front();
    const auto last = [&](const S* all, int times) {
      const std::int64_t of_one = std::int64_t{nodes} * s.width * times;
      return floats_of(m, all + (environments - 1) * of_one, of_one);
    };
    row.in = last(first.qkv.data(), 3);
    row.out = last(first.out.data(), 1);
    if (backward) {
      row.d_out = last(first.d_out.data(), 1);
      row.d_in = last(first.d_qkv.data(), 3);
    }
    rows.push_back(std::move(row));
  }
}

template <Precision P, class M>
void bench_encoder(M& m, const BenchPlan& plan, std::int64_t environments, int nodes,
                   std::vector<BenchRow>& rows) {
  const attention::Shape s = bench_shape();
  const Packing packing(s);
  const DeviceEncoder<M, P> encoder(s, packing);
  const std::vector<float> theta = attention::initial_parameters(s, 1);
  const std::int64_t count = environments * nodes;
  const std::vector<float> x = bench_numbers(count * s.features);
  const Pass pass{environments, count, nodes, true, false};
  // Weights and streams of one set are all that a second pass could find again: features and
  // embeddings are too large for a cache, and little beside the products.
  Buffers<M, P> b(m, s, packing, environments, nodes);
  m.upload(b.parameters.data(), theta.data(), std::ssize(theta));
  m.upload(b.x.data(), x.data(), std::ssize(x));
  encoder.pack(m, b);
  m.wait();
  const double d = s.width, tokens = double(count);
  // Products of a row: embedding, and per layer projections and MLP, and scores and what they mix.
  const double row_operations =
      2 * (s.features * d + d * d + s.layers * (8 * d * d + 2 * d * nodes));
  for (const bool backward : {false, true}) {
    BenchRow row{"encoder", backward, P, environments, nodes, s.width, s.heads, s.layers};
    row.bytes = tokens * (s.features + d) * sizeof(float) * (backward ? 2 : 1);
    row.operations = tokens * row_operations * (backward ? 3 : 1);
    row.exponentials = tokens * nodes * s.heads * s.layers * (backward ? 2 : 1);
    row.us = m.microseconds(plan.rounds, plan.launches, [&](int) {
      encoder.forward(m, b, pass, backward);
      if (!backward) return;
      m.copy(b.d_narrow.data(), b.h_out.data(), count * s.width);  // any gradient
      encoder.backward(m, b, pass, false);
    });
    const std::int64_t before_last = count - nodes;
    row.in = floats_of(m, b.x.data() + before_last * s.features, std::int64_t{nodes} * s.features);
    row.out = floats_of(m, b.h_out.data() + before_last * s.width, std::int64_t{nodes} * s.width);
    rows.push_back(std::move(row));
  }
}

template <Precision P, class M>
void bench_rows(M& m, const BenchPlan& plan, std::vector<BenchRow>& rows) {
  for (const int n : plan.nodes)
    bench_core<P>(m, plan, std::max<std::int64_t>(plan.rows / n, 1), n, rows);
  for (const std::int64_t e : plan.batches) bench_core<P>(m, plan, e, 16, rows);
  for (const int n : plan.nodes)
    bench_encoder<P>(m, plan, std::max<std::int64_t>(plan.rows / n, 1), n, rows);
}

}  // namespace cra::cuda
