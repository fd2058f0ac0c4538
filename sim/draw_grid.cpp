#include "sim/draw_grid.h"

#include "sim/base.h"
#include "sim/simd.h"

namespace cra::sim {

DrawKernel draw_kernel_base();
DrawKernel draw_kernel_avx2();
DrawKernel draw_kernel_avx512();

namespace {

Numbers room_for(const DrawGrid& grid) {
  return Numbers(static_cast<std::size_t>(grid.slots) * static_cast<std::size_t>(grid.nodes));
}

GridCounters counters_of(const DrawGrid& grid) {
  CRA_ASSERT(grid.slots >= 0 && grid.nodes >= 1 && grid.nodes <= 65536);
  const auto& key = grid.first.key();
  const auto& counter = grid.first.counter();
  return {
      {key[0], key[1]}, {counter[0], counter[1], counter[2], counter[3]}, grid.slots, grid.nodes};
}

/// Puts draw(point, i) where a kernel left -1.
template <class Draw>
void finish(const DrawGrid& grid, Numbers& out, Draw draw) {
  const auto nodes = static_cast<std::size_t>(grid.nodes);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (out[i] < 0)
      out[i] = draw(
          grid.first.moved(static_cast<int>(i % nodes), static_cast<std::int64_t>(i / nodes)), i);
}

}  // namespace

const std::vector<DrawKernel>& draw_kernels() {
  static const std::vector<DrawKernel> all =
      runnable(draw_kernel_base(), draw_kernel_avx2(), draw_kernel_avx512());
  return all;
}

Numbers uniform(const DrawGrid& grid, const DrawKernel& kernel) {
  Numbers out = room_for(grid);
  kernel.uniform(counters_of(grid), out.data());
  return out;
}

Numbers gamma(const DrawGrid& grid, double shape, const DrawKernel& kernel) {
  Numbers out = room_for(grid);
  kernel.gamma(counters_of(grid), shape, out.data());
  finish(grid, out, [&](Draws draws, std::size_t) { return draws.gamma(shape); });
  return out;
}

Numbers log_normal(const DrawGrid& grid, double sigma, const DrawKernel& kernel) {
  Numbers out = room_for(grid);
  kernel.log_normal(counters_of(grid), sigma, out.data());
  return out;
}

Numbers poisson(const DrawGrid& grid, const Numbers& mean, const DrawKernel& kernel) {
  Numbers out = room_for(grid);
  CRA_ASSERT(mean.size() == out.size());
  kernel.poisson(counters_of(grid), mean.data(), out.data());
  finish(grid, out,
         [&](Draws draws, std::size_t i) { return static_cast<double>(draws.poisson(mean[i])); });
  return out;
}

}  // namespace cra::sim
