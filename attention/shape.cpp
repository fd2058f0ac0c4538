#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "attention/attention.h"
#include "attention/controls.h"

namespace cra::attention {

namespace {

std::string text(double x) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr;
  return {digits.data(), end};
}

Shape with(Shape s, const Multihead& k) {
  s.heads = k.heads;
  s.temperature = k.temperature;
  return s;
}
Shape with(Shape s, const Dot& k) {
  s.temperature = k.temperature;
  return s;
}
Shape with(Shape s, const Additive& k) {
  s.temperature = k.temperature;
  return s;
}
Shape with(Shape s, const Induced& k) {
  s.heads = k.heads;
  s.points = k.points;
  s.temperature = k.temperature;
  return s;
}
Shape with(Shape s, const None& /*k*/) { return s; }

}  // namespace

std::vector<Problem> check(const Params& p) {
  std::vector<Problem> problems;
  if (p.width < 2)
    problems.push_back({"attention.width",
                        "is 1; a layer norm over one number is always 0, so it must be 2 or more"});
  const int heads = shape_of(p, 1, 1, 0).heads;
  if (p.width % heads != 0)
    problems.push_back({"attention.kind.heads", "is " + std::to_string(heads) +
                                                    ", which does not divide attention.width " +
                                                    std::to_string(p.width)});
  if (std::holds_alternative<None>(p.kind) && p.weights != Weights::dynamic)
    problems.push_back(
        {"attention.weights", std::string("is ") +
                                  Choices<Weights>::names[static_cast<std::size_t>(p.weights)] +
                                  ", but attention.kind is none, which has no weights"});
  return problems;
}

Shape shape_of(const Params& p, int features, int nodes, std::uint64_t seed) {
  Shape s;
  s.features = features;
  s.width = p.width;
  s.layers = p.layers;
  s.form = static_cast<Form>(p.kind.index());
  s.weights = p.weights;
  s.positions = p.positions;
  if (p.weights == Weights::random || p.weights == Weights::shuffled) s.seed = seed;
  if (p.weights == Weights::average) s.nodes = nodes;
  return std::visit([&](const auto& kind) { return with(s, kind); }, p.kind);
}

std::string fault_of(const Shape& s) {
  if (s.features < 1 || s.width < 2 || s.layers < 1 || s.heads < 1)
    return "a shape needs features, heads and layers >= 1 and width >= 2, not features " +
           std::to_string(s.features) + ", heads " + std::to_string(s.heads) + ", layers " +
           std::to_string(s.layers) + " and width " + std::to_string(s.width);
  // What a damaged file may claim; and products of these fit their integers.
  if (s.layers > 64 || s.width > 65536 || s.heads > 1024 || s.nodes > 65536)
    return "a shape of " + std::to_string(s.layers) + " layers, width " + std::to_string(s.width) +
           ", " + std::to_string(s.heads) + " heads and " + std::to_string(s.nodes) +
           " nodes is beyond any machine";
  if (s.width % s.heads != 0)
    return std::to_string(s.heads) + " heads do not divide width " + std::to_string(s.width);
  if (!(s.temperature > 0 && s.temperature <= 1e6))
    return "temperature is " + text(s.temperature) + ", expected above 0 and at most 1e6";
  const bool one_head = s.form != Form::multihead && s.form != Form::induced;
  const std::string name = Choices<Form>::names[static_cast<std::size_t>(s.form)];
  if (one_head && s.heads != 1)
    return "kind " + name + " has one head, not " + std::to_string(s.heads);
  const bool has_points = s.form == Form::induced;
  if (has_points ? s.points < 1 || s.points > kMostPoints : s.points != 0)
    return "kind " + name + " has " + (has_points ? "1 to " + std::to_string(kMostPoints) : "no") +
           " points, not " + std::to_string(s.points);
  if (s.form == Form::none && s.weights != Weights::dynamic) return "kind none has no weights";
  if ((s.weights == Weights::average) != (s.nodes > 0))
    return "static weights, and only they, are those of a number of nodes, which is " +
           std::to_string(s.nodes);
  return "";
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
    const auto squares = [&](std::initializer_list<const char*> names) {
      for (const char* projection : names) add(layer + projection + ".weight", s.width, s.width);
    };
    if (s.form != Form::none) squares({".query", ".key", ".value"});
    if (s.form == Form::additive) add(layer + ".score.weight", 1, s.width);
    if (s.form == Form::induced) {
      add(layer + ".points", s.points, s.width);
      norm(layer + ".points_norm");
      squares({".point_key", ".point_value"});
    }
    linear(layer + ".out", s.width, s.width);
    norm(layer + ".norm2");
    linear(layer + ".mlp.0", s.width, s.mlp_width());
    linear(layer + ".mlp.1", s.mlp_width(), s.width);
  }
  norm("norm");
  if (s.weights == Weights::average) {
    // Not weights but their logarithms, see freeze(); no gradient moves them.
    const std::vector<Block> blocks = blocks_of(s, s.nodes);
    const std::size_t per_layer = blocks.size() / static_cast<std::size_t>(s.layers);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const bool of_points = per_layer == 2 && b % 2 == 0;
      add("layer" + std::to_string(b / per_layer) + (of_points ? ".point_average" : ".average"),
          s.heads * blocks[b].nodes, blocks[b].lookers);
    }
    add("frozen", 1, 1);
  }
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
    } else if (t.name.ends_with(".weight") || t.name.ends_with(".points")) {
      // Points are queries, and those of nodes have variance 1.
      const double bound = std::sqrt(3.0 / (t.name.ends_with(".points") ? 1 : t.cols));
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
