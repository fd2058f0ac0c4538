// The first recorded episode, taken from /trajectory.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/report_slots.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostNodes = 400;  // of a page; maps of more have no row that could be seen
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// [T, N] as [N, columns], every cell the mean over its bin.
std::vector<double> binned(std::span<const double> x, const Episode& e) {
  std::vector<double> map(e.nodes * e.columns, 0);
  for (std::size_t column = 0; column < e.columns; ++column) {
    const std::size_t first = column * e.binned, last = std::min(e.slots, first + e.binned);
    for (std::size_t t = first; t < last; ++t)
      for (std::size_t n = 0; n < e.nodes; ++n)
        map[n * e.columns + column] += x[t * e.nodes + n] / static_cast<double>(last - first);
  }
  return map;
}

/// Work that is to be done in every slot: what waited and what arrives; none at progress nodes.
std::vector<double> load_of(const Case& c, const Episode& e, std::size_t row) {
  const results::GroupData& t = *c.group("trajectory");
  const std::size_t size = e.slots * e.nodes, episodes = whole(t, "episode").size();
  const auto arrivals = part(t, "arrivals", 0, size);
  const auto backlog = part(t, "backlog", row * episodes * size, size);
  const auto& dynamics = texts(*c.group("node"), "dynamics");
  std::vector<double> load(size);
  for (std::size_t i = 0; i < size; ++i) {
    const bool queue = dynamics[i % e.nodes] == "queue";
    load[i] = queue ? arrivals[i] + (i < e.nodes ? 0 : backlog[i - e.nodes]) : kMissing;
  }
  return load;
}

}  // namespace

std::size_t most_cells(std::size_t results) { return std::max<std::size_t>(2500, 12000 / results); }

Episode first_episode(const Case& c, std::size_t most_cells) {
  Episode e;
  const results::GroupData* t = c.group("trajectory");
  if (t == nullptr || whole(*t, "episode").empty()) return e;
  e.nodes = texts(*t, "node").size();
  e.slots = whole(*t, "slot").size();
  if (e.nodes == 0 || e.slots == 0 || e.nodes > kMostNodes) return e;
  const std::size_t most_columns =
      std::clamp<std::size_t>(most_cells / e.nodes, 20, static_cast<std::size_t>(kFigureWidth));
  e.binned = (e.slots + most_columns - 1) / most_columns;
  e.columns = (e.slots + e.binned - 1) / e.binned;
  const std::size_t size = e.slots * e.nodes, episodes = whole(*t, "episode").size();
  for (const PolicyEntry* entrant : c.drawn()) {
    const std::size_t row = entrant->shown;
    const auto of_slots = [&](const char* name) {
      const auto x = part(*t, name, row * episodes * e.slots, e.slots);
      return std::vector<double>(x.begin(), x.end());
    };
    const auto of_nodes = [&](const char* name) {
      return binned(part(*t, name, row * episodes * size, size), e);
    };
    e.actors.push_back({entrant, of_nodes("proportion"), binned(load_of(c, e, row), e),
                        of_nodes("error"), of_slots("cost"), of_slots("reserve")});
  }
  return e;
}

std::vector<double> node_errors(const Case& c, const PolicyEntry& e) {
  const results::GroupData& t = *c.group("trajectory");
  const std::size_t nodes = texts(t, "node").size(),
                    rows = whole(t, "episode").size() * whole(t, "slot").size();
  const auto error = part(t, "error", e.shown * rows * nodes, rows * nodes);
  std::vector<double> mean(nodes, 0);
  for (std::size_t i = 0; i < error.size(); ++i)
    mean[i % nodes] += error[i] / static_cast<double>(rows);
  return mean;
}

}  // namespace cra::tools
