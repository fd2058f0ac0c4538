#include <new>

#include "attention/attention.h"

namespace cra::attention {
namespace {

std::string dimensions(std::int64_t rows, std::int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

void check_array(const char* name, const void* data, std::int64_t rows, std::int64_t cols,
                 std::int64_t want_rows, std::int64_t want_cols) {
  CRA_CHECK(rows == want_rows && cols == want_cols, "attention: " + std::string(name) + " is " +
                                                        dimensions(rows, cols) + ", expected " +
                                                        dimensions(want_rows, want_cols));
  CRA_CHECK(data != nullptr, "attention: " + std::string(name) + " has no data");
}

void check_block(const char* name, std::size_t size, std::int64_t want) {
  CRA_CHECK(static_cast<std::int64_t>(size) == want,
            "attention: " + std::string(name) + " has " + std::to_string(size) +
                " numbers, this shape needs " + std::to_string(want));
}

void check_same_shape(const Shape& cache, const Shape& engine) {
  CRA_CHECK(cache == engine, "attention: the cache was made for another shape of encoder");
}

void check_held(std::int64_t held) {
  CRA_CHECK(held > 0, "attention: the cache holds no forward pass yet");
}

Shape checked(const Shape& s) {
  const std::string fault = fault_of(s);
  CRA_CHECK(fault.empty(), "attention: " + fault);
  return s;
}

}  // namespace

Engine::Engine(const Shape& shape) : shape_(checked(shape)), count_(parameter_count(shape)) {}

std::unique_ptr<Cache> Engine::make_cache(std::int64_t envs, int nodes) const {
  CRA_CHECK(envs >= 1 && nodes >= 1,
            "attention: a cache needs at least one environment and one "
            "node, not " +
                std::to_string(envs) + " and " + std::to_string(nodes));
  CRA_CHECK(shape_.nodes == 0 || nodes == shape_.nodes,
            "attention: static weights are those of " + std::to_string(shape_.nodes) +
                " nodes, not of " + std::to_string(nodes));
  // Far above any machine, far below an overflow of the sizes that follow.
  constexpr std::int64_t kMostRows = std::int64_t{1} << 32;
  const std::string what =
      std::to_string(envs) + " environments of " + std::to_string(nodes) + " nodes";
  CRA_CHECK(envs <= kMostRows / nodes, "attention: " + what + " are too many for one call");
  const auto too_large = [&] {
    return Error("attention: not enough memory for " + what +
                 "; the attention weights grow with the square of the nodes");
  };
  try {
    return do_make_cache(envs, nodes);
  } catch (const std::bad_alloc&) {
    throw too_large();
  } catch (const std::length_error&) {  // more than a vector can count
    throw too_large();
  }
}

void Engine::forward(std::span<const float> parameters, View<const float> x, int nodes,
                     Cache& cache, View<float> h, View<const std::uint8_t> present) const {
  check_same_shape(cache.shape_, shape_);
  check_block("the parameter block", parameters.size(), count_);
  CRA_CHECK(nodes == cache.nodes_, "attention: the cache is for " + std::to_string(cache.nodes_) +
                                       " nodes, not " + std::to_string(nodes));
  CRA_CHECK(x.rows >= 1 && x.rows % nodes == 0, "attention: x has " + std::to_string(x.rows) +
                                                    " rows, expected a positive multiple of " +
                                                    std::to_string(nodes) + " nodes");
  CRA_CHECK(x.rows / nodes <= cache.room_, "attention: the cache has room for " +
                                               std::to_string(cache.room_) + " environments, not " +
                                               std::to_string(x.rows / nodes));
  check_array("x", x.data, x.rows, x.cols, x.rows, shape_.features);
  check_array("h", h.data, h.rows, h.cols, x.rows, shape_.width);
  if (present.data != nullptr || present.rows != 0)
    check_array("present", present.data, present.rows, present.cols, x.rows / nodes, nodes);
  cache.held_ = 0;  // until the pass is complete
  do_forward(parameters, x, nodes, cache, h, present);
  cache.whole_ = present.data == nullptr;
  cache.held_ = x.rows / nodes;
}

void Engine::backward(std::span<const float> parameters, View<const float> d_h, Cache& cache,
                      std::span<float> d_parameters, View<float> d_x) const {
  check_same_shape(cache.shape_, shape_);
  check_held(cache.held_);
  const std::int64_t rows = cache.held_ * cache.nodes_;
  check_block("the parameter block", parameters.size(), count_);
  check_block("the gradient block", d_parameters.size(), count_);
  check_array("d_h", d_h.data, d_h.rows, d_h.cols, rows, shape_.width);
  if (d_x.data != nullptr || d_x.rows != 0)
    check_array("d_x", d_x.data, d_x.rows, d_x.cols, rows, shape_.features);
  do_backward(parameters, d_h, cache, d_parameters, d_x);
}

void Engine::received(const Cache& cache, View<float> out) const {
  check_same_shape(cache.shape_, shape_);
  check_held(cache.held_);
  check_array("out", out.data, out.rows, out.cols, cache.held_, cache.nodes_);
  do_received(cache, out);
}

void Engine::add_weights(const Cache& cache, std::span<double> sum) const {
  check_same_shape(cache.shape_, shape_);
  check_held(cache.held_);
  CRA_CHECK(shape_.form != Form::none, "attention: without attention there are no weights to add");
  CRA_CHECK(cache.whole_, "attention: weights of a pass with removed nodes do not add up");
  const std::int64_t count = weight_count(shape_, cache.nodes_);
  CRA_CHECK(static_cast<std::int64_t>(sum.size()) == count,
            "attention: there are " + std::to_string(count) + " weights, not " +
                std::to_string(sum.size()));
  do_add_weights(cache, sum);
}

}  // namespace cra::attention
