// Copies of one environment of a batch, side by side.
#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double> Batch::*;

// Every column of a batch but base_rate, which all environments share, and arrivals_before.
constexpr Column kPerNode[] = {
    &Batch::backlog,          &Batch::progress,      &Batch::rate,       &Batch::arrivals_fast,
    &Batch::arrivals_slow,    &Batch::arrivals_last, &Batch::importance, &Batch::error,
    &Batch::availability,     &Batch::down_slots,    &Batch::health,     &Batch::window,
    &Batch::arrivals_now,     &Batch::available_now, &Batch::margin,     &Batch::margin_ahead,
    &Batch::importance_ahead, &Batch::young,         &Batch::grant,      &Batch::served,
    &Batch::dispatched,       &Batch::lost};
constexpr Column kPerEnv[] = {&Batch::error_cost, &Batch::switching_cost, &Batch::fairness_cost,
                              &Batch::use_cost,   &Batch::cost,           &Batch::score,
                              &Batch::waste};

/// Row `row` of a matrix with rows of `width`, `count` times; nothing of a column that is empty.
std::vector<double> rows_of(const std::vector<double>& column, std::int64_t row, std::int64_t width,
                            std::int64_t count) {
  std::vector<double> all;
  if (column.empty()) return all;
  all.reserve(static_cast<std::size_t>(width * count));
  const auto first = column.begin() + static_cast<std::ptrdiff_t>(row * width);
  for (std::int64_t i = 0; i < count; ++i)
    all.insert(all.end(), first, first + static_cast<std::ptrdiff_t>(width));
  return all;
}

}  // namespace

Batch repeat(const Batch& b, std::int64_t env, std::int64_t count) {
  CRA_CHECK(env >= 0 && env < b.envs && count >= 0,
            "repeat: environment " + std::to_string(env) + ", " + std::to_string(count) +
                " times, of a batch of " + std::to_string(b.envs));
  Batch out;
  out.envs = count;
  out.nodes = b.nodes;
  out.slot = b.slot;
  out.base_rate = b.base_rate;
  out.episode.assign(static_cast<std::size_t>(count), b.episode[static_cast<std::size_t>(env)]);
  for (const Column column : kPerNode) out.*column = rows_of(b.*column, env, b.nodes, count);
  out.arrivals_before =
      rows_of(b.arrivals_before, env, std::ssize(b.arrivals_before) / b.envs, count);
  for (const Column column : kPerEnv) out.*column = rows_of(b.*column, env, 1, count);
  return out;
}

}  // namespace cra::sim
