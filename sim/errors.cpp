#include "sim/errors.h"

#include <numeric>

namespace cra::sim {

Curve convex_envelope(const std::vector<double>& x, const std::vector<double>& error) {
  CRA_CHECK(!x.empty() && x.size() == error.size(),
            "convex_envelope: " + std::to_string(x.size()) + " x and " +
                std::to_string(error.size()) + " errors, expected as many of both, at least one");
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return x[a] != x[b] ? x[a] < x[b] : error[a] < error[b];
  });
  Curve c;
  for (const std::size_t i : order) {
    // A point that is no lower than what less progress has reached adds nothing.
    if (!c.x.empty() && error[i] >= c.error.back()) continue;
    // The last knot goes while it lies on or above the line from its neighbour to the new point.
    while (c.x.size() > 1) {
      const std::size_t m = c.x.size() - 1;
      const double to_knot = (c.error[m] - c.error[m - 1]) * (x[i] - c.x[m - 1]);
      const double to_point = (error[i] - c.error[m - 1]) * (c.x[m] - c.x[m - 1]);
      if (to_knot < to_point) break;
      c.x.pop_back();
      c.error.pop_back();
    }
    c.x.push_back(x[i]);
    c.error.push_back(error[i]);
  }
  return c;
}

double progress_scale(const Params& p, int n) {
  if (const auto* k = std::get_if<PowerLawError>(&p.progress.error)) return k->scale[n];
  if (const auto* k = std::get_if<ExponentialError>(&p.progress.error)) return k->scale[n];
  // Queue nodes have no curve; their progress is 0.
  if (!p.pool.is_progress(n)) return 1;
  // Where half of what progress can remove is gone.
  const Curve& c = std::get<CurveError>(p.progress.error).of(n).curve;
  const double half = (c.error.front() + c.error.back()) / 2;
  for (std::size_t i = 1; i < c.x.size(); ++i)
    if (c.error[i] <= half)
      return c.x[i - 1] +
             (c.x[i] - c.x[i - 1]) * (half - c.error[i - 1]) / (c.error[i] - c.error[i - 1]);
  return 1;  // a flat curve: nothing to remove
}

double backlog_scale(const Params& p, int n) { return std::get<BacklogError>(p.errors).scale[n]; }

double error_relief(const Params& p, const Batch& b, std::size_t i, int n) {
  if (p.pool.is_progress(n)) return -ProgressError{p}.slope(n, b.progress[i]);
  const double scale = std::get<BacklogError>(p.errors).scale[n];
  return backlog_phi_slope(b.backlog[i] / scale) / scale;
}

void error_relief_backward(const Params& p, const Batch& b, std::size_t i, int n, double d_relief,
                           Adjoint& a) {
  if (p.pool.is_progress(n)) {
    a.progress[i] -= d_relief * ProgressError{p}.curvature(n, b.progress[i]);
  } else {
    const double scale = std::get<BacklogError>(p.errors).scale[n];
    a.backlog[i] += d_relief * (backlog_phi_curvature(b.backlog[i] / scale) / (scale * scale));
  }
}

}  // namespace cra::sim
