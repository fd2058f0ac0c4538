#include "scenarios/trace.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "scenarios/number.h"
#include "scenarios/report.h"

namespace cra::scenarios {
namespace {

// 1 GiB of doubles: two months of seconds for 25 nodes.
constexpr std::int64_t kMaxWork = std::int64_t{1} << 27U;

std::vector<TraceProblem> check_keys(const sim::TracePart& part, const TraceContext& context) {
  std::vector<TraceProblem> problems;
  if (part.work_columns.empty()) {
    problems.push_back({"", "work", "is empty, expected at least one column"});
  }
  for (std::size_t i = 0; i < part.work_columns.size(); ++i) {
    const sim::WorkColumn& w = part.work_columns[i];
    const std::string key = "work." + std::to_string(i);
    if (w.arrival == sim::Arrival::stream && w.rate == 0) {
      problems.push_back({"", key + ".rate", "is 0, but a stream needs a rate above 0"});
    }
    if (w.arrival == sim::Arrival::lump && w.rate != 0) {
      problems.push_back(
          {"", key + ".rate",
           "is " + shortest(w.rate) + ", but only a stream has a rate; a lump has none"});
    }
  }
  std::int64_t product = 1;
  std::string factors;
  for (const sim::Bucket& b : part.buckets) {
    product = std::min(product * b.quantiles, std::int64_t{1} << 40U);
    factors += (factors.empty() ? "" : " x ") + std::to_string(b.quantiles);
  }
  if (part.buckets.empty()) {
    problems.push_back({"", "buckets", "is empty, expected at least one column"});
  } else if (product != context.nodes) {
    problems.push_back({"", "buckets",
                        "make " + factors + " = " + std::to_string(product) +
                            " nodes, but pool.nodes is " + std::to_string(context.nodes)});
  }
  return problems;
}

// Inner edges of `quantiles` equally filled buckets: linear interpolation between order
// statistics, as numpy.quantile does by default.
std::vector<double> edges_of(std::vector<double> sample, int quantiles) {
  std::sort(sample.begin(), sample.end());
  std::vector<double> edges;
  for (int k = 1; k < quantiles; ++k) {
    const double at = static_cast<double>(sample.size() - 1) * k / quantiles;
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sample.size() - 1);
    edges.push_back(sample[below] +
                    (at - static_cast<double>(below)) * (sample[above] - sample[below]));
  }
  return edges;
}

// Adds the work of one value of one column, from its slot on.
void add_work(const sim::WorkColumn& column, double value, double slot_seconds, std::int64_t slot,
              std::int64_t slots, std::size_t node, std::size_t nodes, std::vector<double>& work) {
  if (column.arrival == sim::Arrival::lump) {
    work[static_cast<std::size_t>(slot) * nodes + node] += column.weight * value;
    return;
  }
  const double in_slot = column.rate * slot_seconds;
  for (double left = value; left > 0 && slot < slots; left -= in_slot, ++slot) {
    work[static_cast<std::size_t>(slot) * nodes + node] += column.weight * std::min(left, in_slot);
  }
}

// Columns asked of the log, in this order: work, then buckets.
std::vector<std::string> columns_of(const sim::TracePart& part) {
  std::vector<std::string> names;
  for (const sim::WorkColumn& w : part.work_columns) names.push_back(w.column);
  for (const sim::Bucket& b : part.buckets) names.push_back(b.column);
  return names;
}

void fit_edges(const RequestLog& log, std::size_t train_requests, sim::TracePart& part) {
  part.edges.clear();
  for (std::size_t b = 0; b < part.buckets.size(); ++b) {
    const std::vector<double>& column = log.values[part.work_columns.size() + b];
    part.edges.push_back(
        edges_of({column.begin(), column.begin() + static_cast<std::ptrdiff_t>(train_requests)},
                 part.buckets[b].quantiles));
  }
}

std::size_t node_of(const RequestLog& log, std::size_t request, const sim::TracePart& part) {
  std::size_t node = 0;
  for (std::size_t b = 0; b < part.buckets.size(); ++b) {
    const std::vector<double>& edges = part.edges[b];
    const double value = log.values[part.work_columns.size() + b][request];
    // number of edges below the value: a value on an edge belongs to the lower bucket
    const auto bucket = std::lower_bound(edges.begin(), edges.end(), value) - edges.begin();
    node = node * static_cast<std::size_t>(part.buckets[b].quantiles) +
           static_cast<std::size_t>(bucket);
  }
  return node;
}

void average(sim::TracePart& part, std::size_t nodes) {
  part.mean.assign(nodes, 0.0);
  const auto train = static_cast<std::size_t>(part.train_slots);
  for (std::size_t s = 0; s < train; ++s) {
    for (std::size_t n = 0; n < nodes; ++n) part.mean[n] += part.work[s * nodes + n];
  }
  for (double& m : part.mean) m /= static_cast<double>(train);
}

// Scales work to the asked load. False when there is no work to scale.
bool scale_to_load(const TraceContext& context, sim::TracePart& part) {
  const std::size_t resources = context.budgets.size();
  double factor = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < resources; ++k) {
    double used = 0;
    for (std::size_t n = 0; n < part.mean.size(); ++n)
      used += context.needs[n * resources + k] * part.mean[n];
    if (used > 0) factor = std::min(factor, part.load * context.budgets[k] / used);
  }
  if (!std::isfinite(factor)) return false;
  for (double& w : part.work) w *= factor;
  for (double& m : part.mean) m *= factor;
  return true;
}

}  // namespace

std::vector<TraceProblem> read_trace(const std::string& path, const TraceContext& context,
                                     sim::TracePart& part) {
  std::vector<TraceProblem> problems = check_keys(part, context);
  RequestLog log;
  std::vector<TraceProblem> of_log = read_log(path, part.time_column, columns_of(part), log);
  std::move(of_log.begin(), of_log.end(), std::back_inserter(problems));
  if (!problems.empty()) return problems;

  const double slots = std::floor(log.time.back() / context.slot_seconds) + 1;
  const auto nodes = static_cast<std::size_t>(context.nodes);
  const std::string covers = "covers " + shortest(log.time.back()) + " s";
  if (slots * context.nodes > static_cast<double>(kMaxWork)) {
    return {{"", "file",
             covers + ", which is " + shortest(slots) +
                 " slots for pool.nodes = " + std::to_string(context.nodes) +
                 ": too much to hold; raise workload.slot_seconds"}};
  }
  const auto count = static_cast<std::int64_t>(slots);
  // 0.29 * 100 is 28.999...: a share written in decimals means the whole number
  part.train_slots = static_cast<std::int64_t>(std::floor(part.train_fraction * slots + 1e-9));
  if (part.train_slots < 1) {
    return {{"", "file",
             covers + ", too short for a training part of one slot of " +
                 shortest(context.slot_seconds) + " s"}};
  }

  const auto slot_of = [&](std::size_t r) {
    return static_cast<std::int64_t>(log.time[r] / context.slot_seconds);
  };
  std::size_t train_requests = 0;
  while (slot_of(train_requests) < part.train_slots) ++train_requests;  // the last is beyond
  fit_edges(log, train_requests, part);
  part.work.assign(static_cast<std::size_t>(count) * nodes, 0.0);
  part.requests = static_cast<std::int64_t>(log.time.size());
  for (std::size_t r = 0; r < log.time.size(); ++r) {
    const std::size_t node = node_of(log, r, part);
    for (std::size_t c = 0; c < part.work_columns.size(); ++c) {
      add_work(part.work_columns[c], log.values[c][r], context.slot_seconds, slot_of(r), count,
               node, nodes, part.work);
    }
  }
  average(part, nodes);
  if (part.load > 0 && !context.needs.empty() && !scale_to_load(context, part)) {
    return {{"", "load", "cannot be reached: the training part of the log holds no work"}};
  }
  return {};
}

}  // namespace cra::scenarios
