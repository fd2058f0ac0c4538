// What a policy sees. The signature takes no Exogenous: the future is out of reach.
#include <cmath>
#include <numbers>

#include "sim/sim.h"

namespace cra::sim {
namespace {

/// Keeps the slope of the root finite at an empty queue.
constexpr double kRootOffset = 0.01;  // [wu]

bool has_failures(const Params& p) {
  return !std::holds_alternative<NoFailures>(p.workload.failures);
}
bool has_health(const Params& p) {
  return std::holds_alternative<WearFailures>(p.workload.failures);
}
bool has_windows(const Params& p) {
  return std::holds_alternative<WindowsCalendar>(p.workload.calendar);
}

}  // namespace

int feature_count(const Params& p) {
  return static_cast<int>(14 + (p.pool.geometry != Geometry::none ? 2 : 0) +
                          (has_failures(p) ? 2 : 0) + (has_health(p) ? 1 : 0) +
                          (has_windows(p) ? 2 : 0) + (p.observation.arrivals_shown ? 2 : 0) +
                          (p.pool.has_progress() ? 4 : 0) +
                          (p.pool.resource_count() > 1 ? p.pool.resource_count() : 0));
}

std::vector<std::string> feature_names(const Params& p) {
  std::vector<std::string> names{"backlog",
                                 "backlog_root",
                                 "rate",
                                 "capacity",
                                 "arrivals_fast",
                                 "arrivals_slow",
                                 "arrivals_last",
                                 "importance",
                                 "base_rate",
                                 "error",
                                 "marginal_gain",
                                 "mean_backlog",
                                 "mean_arrivals_fast",
                                 "mean_arrivals_slow"};
  if (p.pool.geometry != Geometry::none)
    names.insert(names.end(), {"position_cos", "position_sin"});
  if (has_failures(p)) names.insert(names.end(), {"availability", "down_slots"});
  if (has_health(p)) names.emplace_back("health");
  if (has_windows(p)) names.insert(names.end(), {"window_near", "window_far"});
  if (p.observation.arrivals_shown) names.insert(names.end(), {"arrivals_now", "available_now"});
  if (p.pool.has_progress())
    names.insert(names.end(), {"is_progress", "progress", "progress_scale", "margin_ahead"});
  if (p.pool.resource_count() > 1)
    for (int k = 0; k < p.pool.resource_count(); ++k)
      names.push_back("need_" + p.pool.resources[static_cast<std::size_t>(k)].name);
  return names;
}

void observe(const Params& p, const Batch& b, View<float> features) {
  const int count = feature_count(p);
  CRA_CHECK(features.rows == b.envs * b.nodes && features.cols == count,
            "observe: features are [" + std::to_string(features.rows) + ", " +
                std::to_string(features.cols) + "], expected [" + std::to_string(b.envs * b.nodes) +
                ", " + std::to_string(count) + "]");
  const double fair = p.pool.budget / b.nodes;  // [ru/slot]; needs are of order 1
  for (std::int64_t e = 0; e < b.envs; ++e) {
    double mean_backlog = 0, mean_fast = 0, mean_slow = 0;
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
      mean_backlog += b.backlog[i] / b.nodes;
      mean_fast += b.arrivals_fast[i] / b.nodes;
      mean_slow += b.arrivals_slow[i] / b.nodes;
    }
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
      const double z = b.backlog[i] / backlog_scale(p, n);
      float* f = features.row(e * b.nodes + n);
      const auto put = [&f](double x) { *f++ = static_cast<float>(x); };
      put(z);
      put(std::sqrt(b.backlog[i] + kRootOffset));
      put(b.rate[i] / fair);
      put(p.pool.capacity[n] / fair);
      put(b.arrivals_fast[i] / fair);
      put(b.arrivals_slow[i] / fair);
      put(b.arrivals_last[i] / fair);
      put(b.importance[i]);
      put(b.base_rate[static_cast<std::size_t>(n)] / fair);
      put(b.error[i]);
      put(b.margin[i]);
      put(mean_backlog);
      put(mean_fast / fair);
      put(mean_slow / fair);
      if (p.pool.geometry != Geometry::none) {
        // A ring closes, a chain spans half the circle, so that its ends are far apart.
        const double turn = p.pool.geometry == Geometry::ring ? 2 : 1;
        const double angle = turn * std::numbers::pi * n / b.nodes;
        put(std::cos(angle));
        put(std::sin(angle));
      }
      if (has_failures(p)) {
        put(b.availability[i]);
        put(b.down_slots[i] / 8);
      }
      if (has_health(p)) put(b.health[i]);
      if (has_windows(p)) {  // two views of how near the window is, for short and long plans
        put(std::exp(-b.window[i] / 5));
        put(std::exp(-b.window[i] / 15));
      }
      if (p.observation.arrivals_shown) {
        put(b.arrivals_now[i] / fair);
        put(b.available_now[i]);
      }
      if (p.pool.has_progress()) {
        const double x0 =
            std::visit([&](const auto& error) { return error.scale[n]; }, p.progress.error);
        put(p.pool.is_progress(n) ? 1 : 0);
        put(b.progress[i] / x0);
        put(x0);
        put(b.margin_ahead[i]);
      }
      if (const int k = p.pool.resource_count(); k > 1)
        for (int r = 0; r < k; ++r) put(p.pool.need_of(n, r));
    }
  }
}

void observe_backward(const Params& p, const Batch& b, View<const double> d_features, Adjoint& a) {
  const int count = feature_count(p);
  CRA_CHECK(d_features.rows == b.envs * b.nodes && d_features.cols == count,
            "observe_backward: the gradient has the wrong shape");
  const double fair = p.pool.budget / b.nodes;
  const int progress = count - (p.pool.has_progress() ? 4 : 0) -
                       (p.pool.resource_count() > 1 ? p.pool.resource_count() : 0);
  for (std::int64_t e = 0; e < b.envs; ++e) {
    double mean_backlog = 0;
    for (int n = 0; n < b.nodes; ++n) mean_backlog += d_features.row(e * b.nodes + n)[11] / b.nodes;
    for (int n = 0; n < b.nodes; ++n) {
      const std::size_t i = b.at(e) + static_cast<std::size_t>(n);
      const double* d = d_features.row(e * b.nodes + n);  // in the order of feature_names()
      a.backlog[i] += d[0] / backlog_scale(p, n) +
                      d[1] * 0.5 / std::sqrt(b.backlog[i] + kRootOffset) + mean_backlog;
      a.rate[i] += d[2] / fair;
      a.error[i] += d[9];
      a.margin[i] += d[10];
      if (p.pool.has_progress()) {
        a.progress[i] += d[progress + 1] /
                         std::visit([&](const auto& k) { return k.scale[n]; }, p.progress.error);
        a.margin_ahead[i] += d[progress + 3];
      }
    }
  }
}

}  // namespace cra::sim
