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

double largest_share(const Params& p, int n) {
  double share = 0;
  for (int k = 0; k < p.pool.resource_count(); ++k)
    share = std::max(share, p.pool.need_of(n, k) / p.pool.budgets[static_cast<std::size_t>(k)]);
  return share;
}

double backlog_scale(const Params& p, int n) {
  const auto at = static_cast<std::size_t>(n);
  if (const auto* k = std::get_if<BacklogError>(&p.errors)) return k->scale[n];
  if (const auto* k = std::get_if<LinearError>(&p.errors)) return k->scale[n] / 2;
  // Where the error of what waits is 1/2; and what arrives before the first of it is late.
  if (const auto* k = std::get_if<MissError>(&p.errors))
    return k->mean[at] / (2 * p.workload.abandonment);
  if (const auto* k = std::get_if<DeadlineError>(&p.errors)) return k->mean[at] * k->slots[n];
  return 1;  // nothing ever waits
}

void fill_young(const DeadlineError& error, Exogenous& x, std::int64_t episode) {
  for (int n = 0; n < x.nodes; ++n) {
    const int slots = static_cast<int>(error.slots[n]);
    for (int t = 0; t < x.slots; ++t) {
      // Summed afresh in every slot: a running sum would drift, and lose its last bits to bursts.
      double sum = 0;
      for (int h = std::max(0, t - slots + 2); h < t; ++h)
        sum += x.arrivals[x.at(episode, h) + static_cast<std::size_t>(n)];
      x.young[x.at(episode, t) + static_cast<std::size_t>(n)] = sum;
    }
  }
}

void share_progress(const Progress& progress, const double* served, double* gained, int nodes) {
  std::copy_n(served, nodes, gained);
  for (const Sharing& s : progress.sharing)
    for (const int f : s.followers) gained[f] += s.weight * served[s.hub];
}

void share_progress_backward(const Progress& progress, double* d, int nodes) {
  if (progress.sharing.empty()) return;
  const std::vector<double> gained(d, d + nodes);
  for (const Sharing& s : progress.sharing)
    for (const int f : s.followers) d[s.hub] += s.weight * gained[static_cast<std::size_t>(f)];
}

double error_relief(const Params& p, const Batch& b, std::size_t i, int n) {
  if (p.pool.is_progress(n)) return -ProgressError{p}.slope(n, b.progress[i]);
  const auto at = static_cast<std::size_t>(n);
  if (const auto* k = std::get_if<BacklogError>(&p.errors))
    return backlog_phi_slope(b.backlog[i] / k->scale[n]) / k->scale[n];
  if (const auto* k = std::get_if<LinearError>(&p.errors)) return 1 / k->scale[n];
  if (const auto* k = std::get_if<MissError>(&p.errors))
    return p.workload.abandonment / k->mean[at];
  if (const auto* k = std::get_if<DeadlineError>(&p.errors)) {
    // The slope itself is 0 until work is late, and then it is too late. In its place the share of
    // what waits that is pressing: all of it counts, and work that is not due yet holds against it.
    return b.backlog[i] / (b.backlog[i] + b.young[i] + k->mean[at]) / k->mean[at];
  }
  const auto& k = std::get<AnytimeError>(p.errors);
  if (!(b.arrivals_fast[i] > 0)) return 0;
  return -anytime_slope(b.rate[i], b.arrivals_fast[i], k.gain[n], k.exponent[n], k.scale[n]);
}

void error_relief_backward(const Params& p, const Batch& b, std::size_t i, int n, double d_relief,
                           Adjoint& a) {
  if (p.pool.is_progress(n)) {
    a.progress[i] -= d_relief * ProgressError{p}.curvature(n, b.progress[i]);
  } else if (const auto* k = std::get_if<BacklogError>(&p.errors)) {
    const double scale = k->scale[n];
    a.backlog[i] += d_relief * (backlog_phi_curvature(b.backlog[i] / scale) / (scale * scale));
  } else if (const auto* k = std::get_if<DeadlineError>(&p.errors)) {
    const double mean = k->mean[static_cast<std::size_t>(n)];
    const double all = b.backlog[i] + b.young[i] + mean;
    a.backlog[i] += d_relief * (b.young[i] + mean) / (all * all) / mean;
  } else if (const auto* k = std::get_if<AnytimeError>(&p.errors)) {
    if (b.arrivals_fast[i] > 0)
      a.rate[i] -= d_relief * anytime_curvature(b.rate[i], b.arrivals_fast[i], k->gain[n],
                                                k->exponent[n], k->scale[n]);
  }
}

}  // namespace cra::sim
