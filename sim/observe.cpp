// Features: what a network reads of what a policy sees. The signatures take no Exogenous: the
// future is out of reach.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "sim/sim.h"

namespace cra::sim {
namespace {

/// Keeps the slope of the root finite at an empty queue.
constexpr double kRootOffset = 0.01;  // [wu]

/// Means over the nodes of one environment.
struct Means {
  double backlog = 0, fast = 0, slow = 0;
};

/// Where a feature is read.
struct Spot {
  const Params& p;
  const Batch& b;
  const Means& mean;
  double fair;    ///< budget per node [ru/slot]; needs are of order 1
  std::size_t i;  ///< index of the node in the batch
  int n;          ///< node
  int k;          ///< which of the feature's columns
};

/// Gradient by what the features of one node read.
struct Pull {
  double backlog = 0, progress = 0, rate = 0, error = 0, margin = 0, margin_ahead = 0;
};

double progress_scale(const Spot& s) { return progress_scale(s.p, s.n); }
/// Work that is late unless it is done in the coming slot.
double due(const Spot& s) { return std::max(0.0, s.b.backlog[s.i] - s.b.young[s.i]); }
/// A ring closes, a chain spans half the circle, so that its ends are far apart.
double angle(const Spot& s) {
  const double turn = s.p.pool.geometry == Geometry::ring ? 2 : 1;
  return turn * std::numbers::pi * s.n / s.b.nodes;
}

// How many columns a feature has in a pool.
int always(const Params&) { return 1; }
int with_geometry(const Params& p) { return p.pool.geometry != Geometry::none ? 1 : 0; }
int with_failures(const Params& p) {
  return std::holds_alternative<NoFailures>(p.workload.failures) ? 0 : 1;
}
int with_health(const Params& p) {
  return std::holds_alternative<WearFailures>(p.workload.failures) ? 1 : 0;
}
int with_arrivals_shown(const Params& p) { return p.observation.arrivals_shown ? 1 : 0; }
int with_deadlines(const Params& p) {
  return std::holds_alternative<DeadlineError>(p.errors) ? 1 : 0;
}
int with_windows(const Params& p) {
  return std::holds_alternative<WindowsCalendar>(p.workload.calendar) ? 1 : 0;
}
int with_progress(const Params& p) { return p.pool.has_progress() ? 1 : 0; }
int each_of_several_resources(const Params& p) {
  const int k = p.pool.resource_count();
  return k > 1 ? k : 0;
}

int each_of_memory(const Params& p) { return p.observation.memory; }

/// What tells a feature's secret: it is left out when one of these is hidden.
using Tells = std::array<const char*, 3>;
constexpr Tells kNothing{}, kBacklog{"backlog"}, kArrivals{"arrivals"}, kRate{"rate"},
    kImportance{"importance"}, kError{"error"}, kProgress{"progress"}, kHealth{"health"},
    kAvailability{"availability"}, kDue{"backlog", "arrivals"},
    kMargin{"backlog", "progress", "importance"};

/// \tparam value   of the feature at a node
/// \tparam pull    its reverse: what d, the gradient by it, adds to that by the state; null when
///                 the feature does not depend on decisions
struct Feature {
  const char* name;
  Tells tells;
  int (*columns)(const Params&);
  double (*value)(const Spot&);
  void (*pull)(const Spot&, double d, Pull&) = nullptr;
  bool pooled = false;  ///< the same at all nodes: pull is given the mean of d over the nodes
};

using S = const Spot&;
// <- the registration; in the order of the columns
const Feature kFeatures[] = {
    {"backlog", kBacklog, always, [](S s) { return s.b.backlog[s.i] / backlog_scale(s.p, s.n); },
     [](S s, double d, Pull& a) { a.backlog += d / backlog_scale(s.p, s.n); }},
    {"backlog_root", kBacklog, always,
     [](S s) { return std::sqrt(s.b.backlog[s.i] + kRootOffset); },
     [](S s, double d, Pull& a) {
       a.backlog += d * 0.5 / std::sqrt(s.b.backlog[s.i] + kRootOffset);
     }},
    {"rate", kRate, always, [](S s) { return s.b.rate[s.i] / s.fair; },
     [](S s, double d, Pull& a) { a.rate += d / s.fair; }},
    {"capacity", kNothing, always, [](S s) { return s.p.pool.capacity[s.n] / s.fair; }},
    {"arrivals_fast", kArrivals, always, [](S s) { return s.b.arrivals_fast[s.i] / s.fair; }},
    {"arrivals_slow", kArrivals, always, [](S s) { return s.b.arrivals_slow[s.i] / s.fair; }},
    {"arrivals_last", kArrivals, always, [](S s) { return s.b.arrivals_last[s.i] / s.fair; }},
    {"importance", kImportance, always, [](S s) { return s.b.importance[s.i]; }},
    {"base_rate", kNothing, always,
     [](S s) { return s.b.base_rate[static_cast<std::size_t>(s.n)] / s.fair; }},
    {"error", kError, always, [](S s) { return s.b.error[s.i]; },
     [](S, double d, Pull& a) { a.error += d; }},
    {"marginal_gain", kMargin, always, [](S s) { return s.b.margin[s.i]; },
     [](S, double d, Pull& a) { a.margin += d; }},
    {"mean_backlog", kBacklog, always, [](S s) { return s.mean.backlog; },
     [](S, double d, Pull& a) { a.backlog += d; }, true},
    {"mean_arrivals_fast", kArrivals, always, [](S s) { return s.mean.fast / s.fair; }},
    {"mean_arrivals_slow", kArrivals, always, [](S s) { return s.mean.slow / s.fair; }},
    {"due", kDue, with_deadlines, [](S s) { return due(s) / backlog_scale(s.p, s.n); },
     [](S s, double d, Pull& a) {
       if (due(s) > 0) a.backlog += d / backlog_scale(s.p, s.n);
     }},
    {"position_cos", kNothing, with_geometry, [](S s) { return std::cos(angle(s)); }},
    {"position_sin", kNothing, with_geometry, [](S s) { return std::sin(angle(s)); }},
    {"availability", kAvailability, with_failures, [](S s) { return s.b.availability[s.i]; }},
    {"down_slots", kAvailability, with_failures, [](S s) { return s.b.down_slots[s.i] / 8; }},
    {"health", kHealth, with_health, [](S s) { return s.b.health[s.i]; }},
    // Two views of how near the window is, for short and long plans.
    {"window_near", kImportance, with_windows, [](S s) { return std::exp(-s.b.window[s.i] / 5); }},
    {"window_far", kImportance, with_windows, [](S s) { return std::exp(-s.b.window[s.i] / 15); }},
    {"arrivals_now", kArrivals, with_arrivals_shown,
     [](S s) { return s.b.arrivals_now[s.i] / s.fair; }},
    {"available_now", kAvailability, with_arrivals_shown,
     [](S s) { return s.b.available_now[s.i]; }},
    {"is_progress", kNothing, with_progress,
     [](S s) { return s.p.pool.is_progress(s.n) ? 1.0 : 0.0; }},
    {"progress", kProgress, with_progress,
     [](S s) { return s.b.progress[s.i] / progress_scale(s); },
     [](S s, double d, Pull& a) { a.progress += d / progress_scale(s); }},
    {"progress_scale", kNothing, with_progress, progress_scale},
    {"margin_ahead", kMargin, with_progress, [](S s) { return s.b.margin_ahead[s.i]; },
     [](S, double d, Pull& a) { a.margin_ahead += d; }},
    {"arrivals_before_", kArrivals, each_of_memory,
     [](S s) {
       const std::size_t e = s.i / static_cast<std::size_t>(s.b.nodes);
       return s.b.arrivals_before[(e * static_cast<std::size_t>(s.p.observation.memory) +
                                   static_cast<std::size_t>(s.k)) *
                                      static_cast<std::size_t>(s.b.nodes) +
                                  static_cast<std::size_t>(s.n)] /
              s.fair;
     }},
    {"need_", kNothing, each_of_several_resources, [](S s) { return s.p.pool.need_of(s.n, s.k); }},
};

bool is_told(const Feature& f, const Params& p) {
  const std::vector<std::string>& hidden = p.observation.hidden;
  return std::any_of(f.tells.begin(), f.tells.end(), [&](const char* name) {
    return name != nullptr && std::find(hidden.begin(), hidden.end(), name) != hidden.end();
  });
}

/// One column of the features.
struct Column {
  const Feature* feature;
  int k;
};
std::vector<Column> columns_of(const Params& p) {
  std::vector<Column> columns;
  for (const Feature& f : kFeatures)
    for (int k = 0; k < f.columns(p) && !is_told(f, p); ++k) columns.push_back({&f, k});
  return columns;
}

void check_shape(const char* what, const Batch& b, std::int64_t rows, std::int64_t cols,
                 std::size_t count) {
  CRA_CHECK(rows == b.envs * b.nodes && cols == static_cast<std::int64_t>(count),
            std::string(what) + " are [" + std::to_string(rows) + ", " + std::to_string(cols) +
                "], expected [" + std::to_string(b.envs * b.nodes) + ", " + std::to_string(count) +
                "]");
}

}  // namespace

int feature_count(const Params& p) { return static_cast<int>(columns_of(p).size()); }

std::vector<std::string> feature_names(const Params& p) {
  std::vector<std::string> names;
  for (const Column& c : columns_of(p)) {
    names.emplace_back(c.feature->name);
    if (c.feature->columns == each_of_several_resources)
      names.back() += p.pool.resources[static_cast<std::size_t>(c.k)].name;
    if (c.feature->columns == each_of_memory) names.back() += std::to_string(c.k + 1);
  }
  return names;
}

void observe(const Params& p, const Batch& b, View<float> features) {
  const std::vector<Column> columns = columns_of(p);
  check_shape("observe: features", b, features.rows, features.cols, columns.size());
  const double fair = p.pool.budget / b.nodes;
  for (std::int64_t e = 0; e < b.envs; ++e) {
    Means mean;
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
      mean.backlog += b.backlog[i] / b.nodes;
      mean.fast += b.arrivals_fast[i] / b.nodes;
      mean.slow += b.arrivals_slow[i] / b.nodes;
    }
    for (int n = 0; n < b.nodes; ++n) {
      float* f = features.row(e * b.nodes + n);
      for (const Column& c : columns)
        *f++ = static_cast<float>(
            c.feature->value({p, b, mean, fair, b.at(e) + static_cast<std::size_t>(n), n, c.k}));
    }
  }
}

void observe_backward(const Params& p, const Batch& b, View<const double> d_features, Adjoint& a) {
  const std::vector<Column> columns = columns_of(p);
  check_shape("observe_backward: gradients", b, d_features.rows, d_features.cols, columns.size());
  const double fair = p.pool.budget / b.nodes;
  const Means mean;  // no reverse reads them
  for (std::int64_t e = 0; e < b.envs; ++e) {
    std::vector<double> d_mean(columns.size(), 0);
    for (std::size_t f = 0; f < columns.size(); ++f)
      if (columns[f].feature->pooled)
        for (int n = 0; n < b.nodes; ++n) d_mean[f] += d_features.row(e * b.nodes + n)[f] / b.nodes;
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
      const double* d = d_features.row(e * b.nodes + n);
      Pull pull;
      for (std::size_t f = 0; f < columns.size(); ++f) {
        const Feature& feature = *columns[f].feature;
        if (feature.pull == nullptr) continue;
        feature.pull({p, b, mean, fair, i, n, columns[f].k}, feature.pooled ? d_mean[f] : d[f],
                     pull);
      }
      a.backlog[i] += pull.backlog;
      a.rate[i] += pull.rate;
      a.error[i] += pull.error;
      a.margin[i] += pull.margin;
      if (!a.progress.empty()) a.progress[i] += pull.progress;
      a.margin_ahead[i] += pull.margin_ahead;
    }
  }
}

}  // namespace cra::sim
