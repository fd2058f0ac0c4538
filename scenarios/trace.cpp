#include "scenarios/trace.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "scenarios/number.h"
#include "scenarios/report.h"

namespace cra::scenarios {
namespace {

// 1 GiB of doubles: two months of seconds for 25 nodes.
constexpr std::int64_t kMaxWork = std::int64_t{1} << 27U;
// Work of one line; so that sums over a log stay far from the largest double.
constexpr double kMostWork = 1e100;

using Problems = std::vector<TraceProblem>;

constexpr const char* kEachLine = "1";  // the column that counts every line as one

void check_work(const sim::TracePart& part, Problems& problems) {
  if (part.work_columns.empty())
    problems.push_back({"", "work", "is empty, expected at least one column"});
  for (std::size_t i = 0; i < part.work_columns.size(); ++i) {
    const sim::WorkColumn& w = part.work_columns[i];
    const std::string key = "work." + std::to_string(i);
    const bool stream = w.arrival == sim::Arrival::stream;
    if (stream && !w.has_span() && w.rate == 0)
      problems.push_back({"", key + ".rate", "is 0, but a stream needs a rate above 0"});
    if (!stream && w.rate != 0) {
      problems.push_back(
          {"", key + ".rate",
           "is " + shortest(w.rate) + ", but only a stream has a rate; a lump has none"});
    } else if (w.has_span() && w.rate != 0) {
      problems.push_back({"", key + ".rate",
                          "is " + shortest(w.rate) + ", but with `" +
                              (w.lasts.empty() ? "until" : "lasts") + "` the column is the rate"});
    }
    if (!w.lasts.empty() && !w.until.empty())
      problems.push_back({"", key + ".until", "and `lasts` are both given, expected one"});
  }
}

void check_buckets(const sim::TracePart& part, int nodes, Problems& problems) {
  std::int64_t product = 1;
  std::string factors;
  for (std::size_t i = 0; i < part.buckets.size(); ++i) {
    const sim::Bucket& b = part.buckets[i];
    if ((b.quantiles > 0) == (b.top > 0)) {
      problems.push_back({"", "buckets." + std::to_string(i),
                          b.top > 0 ? "has `quantiles` and `top`, expected one of them"
                                    : "has neither `quantiles` nor `top`, expected one of them"});
      return;
    }
    const int count = b.quantiles + b.top;
    product = std::min(product * count, std::int64_t{1} << 40U);
    factors += (factors.empty() ? "" : " x ") + std::to_string(count);
  }
  if (part.buckets.empty()) {
    problems.push_back({"", "buckets", "is empty, expected at least one column"});
  } else if (product != nodes) {
    problems.push_back({"", "buckets",
                        "make " + factors + " = " + std::to_string(product) +
                            " nodes, but pool.nodes is " + std::to_string(nodes)});
  }
}

void check_needs(const sim::TracePart& part, const std::vector<std::string>& resources,
                 Problems& problems) {
  for (std::size_t i = 0; i < part.need_columns.size(); ++i) {
    const std::string& name = part.need_columns[i].resource;
    const std::string key = "needs." + std::to_string(i) + ".resource";
    if (std::find(resources.begin(), resources.end(), name) == resources.end()) {
      const std::string best = did_you_mean(name, resources);
      problems.push_back({"", key,
                          "is " + in_quotes(name) + ", which is not in pool.resources" +
                              (best.empty() ? "" : "; did you mean " + in_quotes(best) + "?")});
    }
    for (std::size_t j = 0; j < i; ++j)
      if (part.need_columns[j].resource == name)
        problems.push_back({"", key, "is " + in_quotes(name) + " a second time"});
  }
}

// Where the columns that the part names are in what was read; -1: not asked for.
struct Columns {
  LogQuery query;
  std::vector<int> work, lasts, until, bucket, need;
};

int ask(std::vector<std::string>& list, const std::string& name) {
  list.push_back(name);
  return static_cast<int>(list.size()) - 1;
}

Columns columns_of(const sim::TracePart& part) {
  Columns c;
  c.query.format = part.format;
  c.query.time_column = part.time_column;
  c.query.missing = part.missing;
  c.query.may_skip = true;
  c.query.sort = part.sort;
  for (const sim::WorkColumn& w : part.work_columns) {
    c.work.push_back(w.column == kEachLine ? -1 : ask(c.query.numbers, w.column));
    c.lasts.push_back(w.lasts.empty() ? -1 : ask(c.query.numbers, w.lasts));
    c.until.push_back(w.until.empty() ? -1 : ask(c.query.ends, w.until));
  }
  for (const sim::Bucket& b : part.buckets)
    c.bucket.push_back(ask(b.top > 0 ? c.query.names : c.query.numbers, b.column));
  for (const sim::NeedColumn& n : part.need_columns)
    c.need.push_back(ask(c.query.numbers, n.column));
  return c;
}

double at(const std::vector<std::vector<double>>& columns, int column, std::size_t line) {
  return columns[static_cast<std::size_t>(column)][line];
}

// What one work column of one line brings.
struct Piece {
  double amount;  // units
  double rate;    // units per second, when streaming
};

Piece piece_of(const RequestLog& log, std::size_t line, const sim::WorkColumn& w, const Columns& c,
               std::size_t i) {
  const double value = c.work[i] < 0 ? 1 : at(log.values, c.work[i], line);
  if (!w.has_span()) return {value, w.rate};
  const double span = c.lasts[i] >= 0 ? at(log.values, c.lasts[i], line)
                                      : at(log.ends, c.until[i], line) - log.time[line];
  return {value * span, value};
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

// The most frequent values of a text column among the first lines, `most` of them; ties in order of
// appearance.
std::vector<int> most_frequent(const NameColumn& column, std::size_t lines, std::size_t most) {
  std::vector<std::int64_t> count(column.names.size(), 0);
  for (std::size_t r = 0; r < lines; ++r) ++count[static_cast<std::size_t>(column.id[r])];
  std::vector<int> order(count.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return count[static_cast<std::size_t>(a)] > count[static_cast<std::size_t>(b)];
  });
  while (!order.empty() && count[static_cast<std::size_t>(order.back())] == 0) order.pop_back();
  if (order.size() > most) order.resize(most);
  return order;
}

// The node of every line, and the buckets that lead there, fitted on the first lines.
// Empty, and reported, when a text column has too few values.
std::vector<std::size_t> nodes_of(const RequestLog& log, std::size_t train, const Columns& c,
                                  sim::TracePart& part, Problems& problems) {
  std::vector<std::size_t> node(log.size(), 0);
  part.edges.assign(part.buckets.size(), {});
  part.names.assign(part.buckets.size(), {});
  for (std::size_t b = 0; b < part.buckets.size(); ++b) {
    const sim::Bucket& bucket = part.buckets[b];
    const auto column = static_cast<std::size_t>(c.bucket[b]);
    if (bucket.top == 0) {
      const std::vector<double>& values = log.values[column];
      const auto end = values.begin() + static_cast<std::ptrdiff_t>(train);
      std::vector<double>& edges = part.edges[b];
      edges = edges_of({values.begin(), end}, bucket.quantiles);
      for (std::size_t r = 0; r < node.size(); ++r) {
        // number of edges below the value: a value on an edge belongs to the lower bucket
        const auto k = std::lower_bound(edges.begin(), edges.end(), values[r]) - edges.begin();
        node[r] =
            node[r] * static_cast<std::size_t>(bucket.quantiles) + static_cast<std::size_t>(k);
      }
      continue;
    }
    const NameColumn& names = log.names[column];
    const auto others = static_cast<std::size_t>(bucket.top) - 1;
    const std::vector<int> top = most_frequent(names, train, others);
    if (top.size() < others) {
      problems.push_back({"", "buckets." + std::to_string(b) + ".top",
                          "is " + std::to_string(bucket.top) + ", but the training part has only " +
                              std::to_string(top.size()) + " values of " +
                              in_quotes(bucket.column)});
      return {};
    }
    std::vector<std::size_t> place(names.names.size(), others);
    for (std::size_t k = 0; k < top.size(); ++k) {
      place[static_cast<std::size_t>(top[k])] = k;
      part.names[b].push_back(names.names[static_cast<std::size_t>(top[k])]);
    }
    for (std::size_t r = 0; r < node.size(); ++r)
      node[r] = node[r] * (others + 1) + place[static_cast<std::size_t>(names.id[r])];
  }
  return node;
}

// Adds work from its slot on.
void add_work(const sim::WorkColumn& column, const Piece& piece, double slot_seconds,
              std::int64_t slot, std::int64_t slots, std::size_t node, std::size_t nodes,
              std::vector<double>& work) {
  if (column.arrival == sim::Arrival::lump) {
    work[static_cast<std::size_t>(slot) * nodes + node] += column.weight * piece.amount;
    return;
  }
  const double in_slot = piece.rate * slot_seconds;
  for (double left = piece.amount; left > 0 && slot < slots; left -= in_slot, ++slot) {
    work[static_cast<std::size_t>(slot) * nodes + node] += column.weight * std::min(left, in_slot);
  }
}

// Mean need of the requests of each node, weighted by their work, as a multiple of that of all.
void fit_needs(const RequestLog& log, const std::vector<double>& line_work,
               const std::vector<std::size_t>& node, std::size_t train, std::size_t nodes,
               const Columns& c, sim::TracePart& part, Problems& problems) {
  part.needs.clear();
  std::vector<double> work(nodes, 0);
  double all_work = 0;
  for (std::size_t r = 0; r < train; ++r) {
    work[node[r]] += line_work[r];
    all_work += line_work[r];
  }
  for (std::size_t i = 0; i < part.need_columns.size(); ++i) {
    std::vector<double> need(nodes, 0);
    double all = 0;
    for (std::size_t r = 0; r < train; ++r) {
      const double taken = line_work[r] * at(log.values, c.need[i], r);
      need[node[r]] += taken;
      all += taken;
    }
    if (!(all > 0) || !std::isfinite(all)) {
      problems.push_back({"", "needs." + std::to_string(i) + ".column",
                          "is " + in_quotes(part.need_columns[i].column) +
                              ", of which the work of the training part takes " +
                              (all > 0 ? "more than a number can hold" : "nothing")});
      return;
    }
    // a node without work in the training part needs what the mean request does
    for (std::size_t n = 0; n < nodes; ++n)
      need[n] = work[n] > 0 ? need[n] / work[n] / (all / all_work) : 1;
    part.needs.push_back(std::move(need));
  }
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
    const std::vector<double>* of_trace = nullptr;
    for (std::size_t i = 0; i < part.needs.size(); ++i)
      if (part.need_columns[i].resource == context.resources[k]) of_trace = &part.needs[i];
    double used = 0;
    for (std::size_t n = 0; n < part.mean.size(); ++n) {
      const double need = of_trace != nullptr ? (*of_trace)[n] : context.needs[n * resources + k];
      used += need * part.mean[n];
    }
    if (used > 0) factor = std::min(factor, part.load * context.budgets[k] / used);
  }
  if (!std::isfinite(factor)) return false;
  for (double& w : part.work) w *= factor;
  for (double& m : part.mean) m *= factor;
  return true;
}

// Slots of the log and of its training part, or why there are none.
Problems count_slots(const RequestLog& log, const TraceContext& context, sim::TracePart& part,
                     std::int64_t& count) {
  const double slots = std::floor(log.time.back() / context.slot_seconds) + 1;
  const std::string covers = "covers " + shortest(log.time.back()) + " s";
  if (slots * context.nodes > static_cast<double>(kMaxWork)) {
    return {{"", "file",
             covers + ", which is " + shortest(slots) +
                 " slots for pool.nodes = " + std::to_string(context.nodes) +
                 ": too much to hold; raise workload.slot_seconds"}};
  }
  count = static_cast<std::int64_t>(slots);
  // 0.29 * 100 is 28.999...: a share written in decimals means the whole number
  part.train_slots = static_cast<std::int64_t>(std::floor(part.train_fraction * slots + 1e-9));
  if (part.train_slots < 1) {
    return {{"", "file",
             covers + ", too short for a training part of one slot of " +
                 shortest(context.slot_seconds) + " s"}};
  }
  return {};
}

}  // namespace

Problems read_trace(const std::string& path, const TraceContext& context, sim::TracePart& part) {
  Problems problems;
  check_work(part, problems);
  check_buckets(part, context.nodes, problems);
  check_needs(part, context.resources, problems);
  const Columns columns = columns_of(part);
  RequestLog log;
  Problems of_log = read_log(path, columns.query, log);
  std::move(of_log.begin(), of_log.end(), std::back_inserter(problems));
  if (!problems.empty()) return problems;
  std::int64_t count = 0;
  problems = count_slots(log, context, part, count);
  if (!problems.empty()) return problems;

  const auto slot_of = [&](std::size_t r) {
    return static_cast<std::int64_t>(log.time[r] / context.slot_seconds);
  };
  std::size_t train = 0;
  while (slot_of(train) < part.train_slots) ++train;  // the last is beyond
  const std::vector<std::size_t> node = nodes_of(log, train, columns, part, problems);
  if (!problems.empty()) return problems;
  const auto nodes = static_cast<std::size_t>(context.nodes);
  std::vector<double> work(static_cast<std::size_t>(count) * nodes, 0.0);
  std::vector<double> line_work(log.size(), 0);
  for (std::size_t r = 0; r < log.size(); ++r) {
    for (std::size_t i = 0; i < part.work_columns.size(); ++i) {
      const sim::WorkColumn& w = part.work_columns[i];
      const Piece piece = piece_of(log, r, w, columns, i);
      line_work[r] += w.weight * piece.amount;
      if (!(line_work[r] <= kMostWork)) {
        return {{path + ":" + std::to_string(log.line[r]), "",
                 "brings " + shortest(line_work[r]) + " wu of work, expected at most " +
                     shortest(kMostWork)}};
      }
      add_work(w, piece, context.slot_seconds, slot_of(r), count, node[r], nodes, work);
    }
  }
  fit_needs(log, line_work, node, train, nodes, columns, part, problems);
  if (!problems.empty()) return problems;
  part.work = std::move(work);
  part.requests = static_cast<std::int64_t>(log.size());
  part.skipped = log.skipped;
  average(part, nodes);
  if (part.load > 0 && !context.needs.empty() && !scale_to_load(context, part)) {
    part.mean.clear();
    return {{"", "load", "cannot be reached: the training part of the log holds no work"}};
  }
  return {};
}

}  // namespace cra::scenarios
