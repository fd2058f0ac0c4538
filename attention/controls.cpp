#include "attention/controls.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention/formulas.h"

namespace cra::attention {
namespace {

// Draws of initial weights are those of episode 0 (shape.cpp); here every head of every block has
// an episode of its own, far apart for scores and for orders.
constexpr std::int64_t kScoreEpisodes = 1, kOrderEpisodes = std::int64_t{1} << 32;

Draws draws_at(const Shape& s, std::int64_t episode, int looker, int node) {
  return {s.seed, EpisodeSet::training, episode, Stream::weights, looker, node};
}

// The log of an average that rounds to 0 all the same: e^-69 of the weight of a node that counts.
constexpr double kLeastAverage = 1e-30;

// Tensors of averaged weights, in the order of blocks_of; then the one that says whether they are
// frozen.
std::int64_t first_average(const Shape& s) {
  return parameter_count(s) - 1 - weight_count(s, s.nodes);
}

}  // namespace

std::vector<Block> blocks_of(const Shape& s, int nodes) {
  std::vector<Block> blocks;
  std::int64_t offset = 0;
  const auto add = [&](int looked_at, int lookers) {
    blocks.push_back({offset, looked_at, lookers});
    offset += s.heads * blocks.back().size_of_head();
  };
  if (s.form == Form::none) return blocks;
  for (int l = 0; l < s.layers; ++l) {
    if (s.form == Form::induced) add(nodes, s.points);
    add(s.form == Form::induced ? s.points : nodes, nodes);
  }
  return blocks;
}

std::int64_t weight_count(const Shape& s, int nodes) {
  const std::vector<Block> blocks = blocks_of(s, nodes);
  if (blocks.empty()) return 0;
  return blocks.back().offset + s.heads * blocks.back().size_of_head();
}

template <class T>
std::vector<T> random_scores(const Shape& s, int nodes) {
  std::vector<T> scores(static_cast<std::size_t>(weight_count(s, nodes)));
  std::int64_t episode = kScoreEpisodes;
  const double size = std::sqrt(3.0) / s.temperature;
  for (const Block& b : blocks_of(s, nodes))
    for (int h = 0; h < s.heads; ++h, ++episode) {
      T* const out = scores.data() + b.offset + h * b.size_of_head();
      for (int j = 0; j < b.nodes; ++j)
        for (int i = 0; i < b.lookers; ++i)
          out[std::int64_t{j} * b.lookers + i] =
              static_cast<T>(size * (2 * draws_at(s, episode, i, j).uniform() - 1));
    }
  return scores;
}

std::vector<int> shuffled_orders(const Shape& s, int nodes) {
  std::vector<int> orders(static_cast<std::size_t>(weight_count(s, nodes)));
  std::int64_t episode = kOrderEpisodes;
  std::vector<double> key;
  for (const Block& b : blocks_of(s, nodes))
    for (int h = 0; h < s.heads; ++h, ++episode)
      for (int i = 0; i < b.lookers; ++i) {
        // A node's key does not depend on N, nor the order of those that are there on the others.
        key.clear();
        for (int j = 0; j < b.nodes; ++j) key.push_back(draws_at(s, episode, i, j).uniform());
        int* const order = orders.data() + b.offset + h * b.size_of_head() + i * b.nodes;
        std::iota(order, order + b.nodes, 0);
        std::sort(order, order + b.nodes, [&](int left, int right) {
          const double a = key[static_cast<std::size_t>(left)];
          const double c = key[static_cast<std::size_t>(right)];
          return a < c || (a == c && left < right);
        });
      }
  return orders;
}

std::vector<float> drawn_scores(const Shape& s, int nodes) {
  CRA_CHECK(s.weights == Weights::random, "attention: only random weights have drawn scores");
  return random_scores<float>(s, nodes);
}

std::vector<int> drawn_orders(const Shape& s, int nodes) {
  CRA_CHECK(s.weights == Weights::shuffled, "attention: only shuffled weights have an order");
  return shuffled_orders(s, nodes);
}

std::vector<float> position_codes_of(const Shape& s, int nodes) {
  CRA_CHECK(s.positions == Positions::sinusoidal, "attention: this shape has no positions");
  return position_codes<float>(nodes, s.width);
}

template <class T>
std::vector<T> position_codes(int nodes, int width) {
  std::vector<T> codes(static_cast<std::size_t>(nodes) * static_cast<std::size_t>(width));
  for (int k = 0; k < width; k += 2) {
    const Turn step = turn_by(position_angle(k / 2, width));
    Turn at{1, 0};
    for (int n = 0; n < nodes; ++n, at = turned(at, step)) {
      T* const code = codes.data() + std::int64_t{n} * width;
      code[k] = static_cast<T>(at.sin);
      if (k + 1 < width) code[k + 1] = static_cast<T>(at.cos);
    }
  }
  return codes;
}

void freeze(const Shape& s, std::span<const double> sum, std::span<float> parameters) {
  CRA_CHECK(s.weights == Weights::average, "attention: only static weights can be frozen");
  CRA_CHECK(static_cast<std::int64_t>(sum.size()) == weight_count(s, s.nodes) &&
                static_cast<std::int64_t>(parameters.size()) == parameter_count(s),
            "attention: weights or parameters of another shape cannot be frozen");
  float* const out = parameters.data() + first_average(s);
  for (const Block& b : blocks_of(s, s.nodes))
    for (int h = 0; h < s.heads; ++h)
      for (int i = 0; i < b.lookers; ++i) {
        // What is kept is the logarithm, a score whose softmax is the average: it serves any
        // choice of nodes that are there.
        const std::int64_t first = b.offset + h * b.size_of_head() + i;
        double all = 0;
        for (int j = 0; j < b.nodes; ++j)
          all += sum[static_cast<std::size_t>(first + std::int64_t{j} * b.lookers)];
        CRA_CHECK(all > 0, "attention: there are no weights to freeze");
        for (int j = 0; j < b.nodes; ++j) {
          const std::int64_t at = first + std::int64_t{j} * b.lookers;
          out[at] = static_cast<float>(
              std::log(std::max(sum[static_cast<std::size_t>(at)] / all, kLeastAverage)));
        }
      }
  parameters.back() = 1;
}

bool is_frozen(const Shape& s, std::span<const float> parameters) {
  return s.weights == Weights::average && parameters.back() != 0;
}

double entropy(std::span<const float> shares) {
  double sum = 0;
  for (const float share : shares) {
    const auto a = static_cast<double>(share);
    if (a > 0) sum -= a * std::log(a);
  }
  return sum;
}

template std::vector<float> random_scores(const Shape&, int);
template std::vector<double> random_scores(const Shape&, int);
template std::vector<float> position_codes(int, int);
template std::vector<double> position_codes(int, int);

}  // namespace cra::attention
