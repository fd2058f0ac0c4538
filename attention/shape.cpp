#include <cmath>
#include <utility>

#include "attention/attention.h"

namespace cra::attention {

std::vector<Problem> check(const Params& p) {
  std::vector<Problem> problems;
  if (p.width < 2)
    problems.push_back({"attention.width",
                        "is 1; a layer norm over one number is always 0, so it must be 2 or more"});
  const auto& kind = std::get<Multihead>(p.kind);
  if (p.width % kind.heads != 0)
    problems.push_back({"attention.kind.heads", "is " + std::to_string(kind.heads) +
                                                    ", which does not divide attention.width " +
                                                    std::to_string(p.width)});
  return problems;
}

Shape shape_of(const Params& p, int features) {
  const auto& kind = std::get<Multihead>(p.kind);
  return {features, p.width, kind.heads, p.layers, kind.temperature};
}

// Query, key and value have no biases (as in Vaswani et al.): the one of the keys would shift all
// scores of a row alike and so never have a gradient, the others follow a layer norm that has one.
// Their weights are neighbours, so that the three projections are one product (encoder.cpp).
std::vector<Tensor> layout(const Shape& s) {
  std::vector<Tensor> tensors;
  std::int64_t offset = 0;
  const auto add = [&](std::string name, int rows, int cols) {
    tensors.push_back({std::move(name), offset, rows, cols});
    offset += std::int64_t{rows} * cols;
  };
  const auto linear = [&](const std::string& name, int inputs, int outputs) {
    add(name + ".weight", outputs, inputs);
    add(name + ".bias", 1, outputs);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".gain", 1, s.width);
    add(name + ".bias", 1, s.width);
  };
  linear("embed.0", s.features, s.width);
  linear("embed.1", s.width, s.width);
  for (int l = 0; l < s.layers; ++l) {
    const std::string layer = "layer" + std::to_string(l);
    norm(layer + ".norm1");
    for (const char* projection : {".query", ".key", ".value"})
      add(layer + projection + ".weight", s.width, s.width);
    linear(layer + ".out", s.width, s.width);
    norm(layer + ".norm2");
    linear(layer + ".mlp.0", s.width, s.mlp_width());
    linear(layer + ".mlp.1", s.mlp_width(), s.width);
  }
  norm("norm");
  return tensors;
}

std::int64_t parameter_count(const Shape& s) {
  const Tensor last = layout(s).back();
  return last.offset + std::int64_t{last.rows} * last.cols;
}

std::vector<float> initial_parameters(const Shape& s, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(parameter_count(s)), 0.f);
  const std::vector<Tensor> tensors = layout(s);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    float* const out = values.data() + t.offset;
    const std::int64_t size = std::int64_t{t.rows} * t.cols;
    if (t.name.ends_with(".gain")) {
      for (std::int64_t k = 0; k < size; ++k) out[k] = 1.f;
    } else if (t.name.ends_with(".weight")) {
      const double bound = std::sqrt(3.0 / t.cols);
      for (std::int64_t k = 0; k < size; ++k) {
        // One point per weight: a sequence of draws is too short for a wide matrix.
        Draws draws(seed, EpisodeSet::training, 0, Stream::weights, static_cast<int>(i), k);
        out[k] = static_cast<float>(bound * (2 * draws.uniform() - 1));
      }
    }
  }
  return values;
}

}  // namespace cra::attention
