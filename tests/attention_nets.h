// tests/attention_nets.h: encoders with random weights and inputs, for the tests of attention.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "attention/attention.h"
#include "attention/encoder.h"
#include "attention/kernels.h"

namespace nets {

using namespace cra;
using attention::Encoder;
using attention::Shape;
using attention::Workspace;

/// count standard normal numbers; `which` keeps the arrays of one seed apart.
template <class T>
std::vector<T> normals(std::int64_t count, std::uint64_t seed, int which) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = static_cast<T>(
        Draws(seed, EpisodeSet::training, 1, Stream::exploration, which, i).normal());
  return values;
}

/// Fresh weights moved a little, so that no bias is 0 and no gain 1. The last bias of the embedding
/// is moved by about 1: a row of nearly equal numbers before a layer norm has derivatives that grow
/// with every power of 1 / its spread, and differences would measure those instead of gradients.
inline std::vector<float> parameters(const Shape& s, std::uint64_t seed) {
  std::vector<float> p = attention::initial_parameters(s, seed);
  const auto moves = normals<float>(static_cast<std::int64_t>(p.size()), seed, 0);
  for (const attention::Tensor& t : attention::layout(s)) {
    const float size = t.name == "embed.1.bias" ? 1.f : 0.1f;
    for (std::int64_t k = t.offset; k < t.offset + std::int64_t{t.rows} * t.cols; ++k)
      p[static_cast<std::size_t>(k)] += size * moves[static_cast<std::size_t>(k)];
  }
  return p;
}

template <class T>
View<T> view(std::vector<T>& values, std::int64_t rows) {
  return {values.data(), rows, static_cast<std::int64_t>(values.size()) / rows};
}
template <class T>
View<const T> view(const std::vector<T>& values, std::int64_t rows) {
  return {values.data(), rows, static_cast<std::int64_t>(values.size()) / rows};
}

/// Calls work() with the loops of every instruction set that this processor has, in turn.
template <class Work>
void with_all_kernels(Work work) {
  for (std::size_t i = 0; i < attention::all_kernels().size(); ++i) {
    const std::size_t before = attention::use_kernels(i);
    CAPTURE(std::string(attention::all_kernels()[i].name));
    work();
    attention::use_kernels(before);
  }
}

/// One encoder with weights, input and a linear loss sum(c * h), in scalar type T; numbers of the
/// same seed are the same floats for every T.
template <class T>
struct Net {
  Net(const Shape& s, std::int64_t envs_, int nodes_, std::uint64_t seed)
      : shape(s),
        envs(envs_),
        nodes(nodes_),
        rows(envs_ * nodes_),
        encoder(s),
        work(s, envs_, nodes_),
        h(static_cast<std::size_t>(rows * s.width)),
        d_x(static_cast<std::size_t>(rows * s.features)) {
    const std::vector<float> p32 = parameters(s, seed);
    const auto x32 = normals<float>(rows * s.features, seed, 1);
    const auto c32 = normals<float>(rows * s.width, seed, 2);
    p.assign(p32.begin(), p32.end());
    x.assign(x32.begin(), x32.end());
    c.assign(c32.begin(), c32.end());
    d_p.assign(p.size(), T{0});
  }

  double forward() {
    encoder.forward(p.data(), view(std::as_const(x), rows), work, view(h, rows), present_view());
    double loss = 0;
    for (std::size_t i = 0; i < h.size(); ++i) loss += static_cast<double>(c[i] * h[i]);
    return loss;
  }
  void backward() {
    std::fill(d_p.begin(), d_p.end(), T{0});
    encoder.backward(p.data(), view(std::as_const(c), rows), work, d_p.data(), view(d_x, rows));
  }

  View<const std::uint8_t> present_view() const {
    if (present.empty()) return {};
    return {present.data(), envs, nodes};
  }

  Shape shape;
  std::int64_t envs;
  int nodes;
  std::int64_t rows;
  Encoder<T> encoder;
  Workspace<T> work;
  std::vector<T> p, x, c, h, d_p, d_x;
  std::vector<std::uint8_t> present;  // [envs, nodes] of removed nodes 0; empty: none is
};

/// A shape of any kind: `heads` of the kinds that may have several, 3 points where there are some.
inline Shape shape_of_form(attention::Form form, int features, int width, int heads, int layers) {
  Shape s{features, width, heads, layers, 1};
  s.form = form;
  if (form == attention::Form::induced)
    s.points = 3;
  else if (form != attention::Form::multihead)
    s.heads = 1;
  return s;
}
inline std::string name_of(attention::Form form) {
  return Choices<attention::Form>::names[static_cast<std::size_t>(form)];
}
inline std::string name_of(attention::Weights weights) {
  return Choices<attention::Weights>::names[static_cast<std::size_t>(weights)];
}
inline constexpr attention::Form kForms[] = {attention::Form::multihead, attention::Form::dot,
                                             attention::Form::additive, attention::Form::induced,
                                             attention::Form::none};
static_assert(std::size(kForms) == std::variant_size_v<attention::Kind>);
inline constexpr attention::Weights kWeights[] = {
    attention::Weights::dynamic, attention::Weights::average, attention::Weights::random,
    attention::Weights::shuffled};

}  // namespace nets
