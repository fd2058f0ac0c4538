// sim/errors.h (internal): how waiting work and progress become errors, with slopes and curvatures.
// Every kind of error model is treated here and nowhere else in sim.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include "sim/sim.h"

namespace cra::sim {

/// Whether what is not served at node n waits there; otherwise it turns all service into something.
inline bool has_queue(const Params& p, int n) {
  return !p.pool.is_progress(n) && !std::holds_alternative<AnytimeError>(p.errors);
}

/// The most that node n can be served in a slot.
inline double work_at(const Params& p, int n, double backlog, double arrivals) {
  if (has_queue(p, n)) return backlog + arrivals;
  // More service is more progress, or a better answer if there is a question.
  return p.pool.is_progress(n) || arrivals > 0 ? std::numeric_limits<double>::infinity() : 0;
}

/// A node without progress at the end of a slot, once all that serves it has.
struct QueueSlot {
  double waiting;   ///< work not served, y >= 0 [wu]
  double arrivals;  ///< work of this slot, A [wu]
  double young;     ///< work of slots before that is not due in this one [wu]
  double served;    ///< by the placed rate [wu]
};

/// What becomes of it.
struct QueueEnd {
  double error;
  double lost;     ///< work abandoned [wu]
  double backlog;  ///< work that still waits [wu]
};

inline QueueEnd end_slot(const Params& p, int n, const QueueSlot& s) {
  const double lost = p.workload.abandonment * s.waiting;
  const double stays = (1 - p.workload.abandonment) * s.waiting;
  const auto at = static_cast<std::size_t>(n);
  if (const auto* k = std::get_if<BacklogError>(&p.errors))
    return {backlog_phi(s.waiting / k->scale[n]), lost, stays};
  if (const auto* k = std::get_if<LinearError>(&p.errors))
    return {s.waiting / k->scale[n], lost, stays};
  if (const auto* k = std::get_if<MissError>(&p.errors)) return {lost / k->mean[at], lost, stays};
  if (const auto* k = std::get_if<DeadlineError>(&p.errors)) {
    const double in_time = k->slots[n] > 1 ? s.young + s.arrivals : 0;
    const double late = std::max(0.0, s.waiting - in_time);
    return {late / k->mean[at], late, std::min(s.waiting, in_time)};
  }
  const auto& k = std::get<AnytimeError>(p.errors);
  if (!(s.arrivals > 0)) return {0, 0, 0};
  return {anytime_error(s.served, s.arrivals, k.floor[n], k.gain[n], k.exponent[n], k.scale[n]), 0,
          0};
}

/// Gradient by the waiting work where there is some, and by what was served where nothing waits.
struct QueueGradient {
  double waiting = 0, served = 0;
};
/// Reverse of end_slot().
inline QueueGradient end_slot_backward(const Params& p, int n, const QueueSlot& s, double d_error,
                                       double d_backlog) {
  const auto at = static_cast<std::size_t>(n);
  if (const auto* k = std::get_if<AnytimeError>(&p.errors)) {
    if (!(s.arrivals > 0)) return {};
    return {0,
            d_error * anytime_slope(s.served, s.arrivals, k->gain[n], k->exponent[n], k->scale[n])};
  }
  if (!(s.waiting > 0)) return {};
  if (const auto* k = std::get_if<DeadlineError>(&p.errors)) {
    const bool late = s.waiting > (k->slots[n] > 1 ? s.young + s.arrivals : 0);
    return {late ? d_error / k->mean[at] : d_backlog, 0};
  }
  const double stays = (1 - p.workload.abandonment) * d_backlog;
  if (const auto* k = std::get_if<LinearError>(&p.errors))
    return {d_error / k->scale[n] + stays, 0};
  if (const auto* k = std::get_if<MissError>(&p.errors))
    return {d_error * p.workload.abandonment / k->mean[at] + stays, 0};
  const double scale = std::get<BacklogError>(p.errors).scale[n];
  return {d_error * backlog_phi_slope(s.waiting / scale) / scale + stays, 0};
}

/// Fills x.young of one episode from its arrivals. Nothing has arrived before slot 0.
void fill_young(const DeadlineError& error, Exogenous& x, std::int64_t episode);

/// Scale of the backlog at every node for the reserve's optimum. [N]
inline const double* dispatch_scale(const Params& p) {
  return std::get<BacklogError>(p.errors).scale.value.data();
}

/// Number of the knot at or before x; x >= the first knot.
inline std::size_t knot_before(const Curve& c, double x) {
  const auto after = std::upper_bound(c.x.begin() + 1, c.x.end(), x);
  return static_cast<std::size_t>(after - c.x.begin()) - 1;
}
inline double curve_value(const Curve& c, double x) {
  const std::size_t i = knot_before(c, x);
  if (i + 1 == c.x.size()) return c.error.back();
  const double along = (x - c.x[i]) / (c.x[i + 1] - c.x[i]);
  return c.error[i] + along * (c.error[i + 1] - c.error[i]);
}
/// At a knot: the slope to its right, what more progress gains.
inline double curve_slope(const Curve& c, double x) {
  const std::size_t i = knot_before(c, x);
  if (i + 1 == c.x.size()) return 0;
  return (c.error[i + 1] - c.error[i]) / (c.x[i + 1] - c.x[i]);
}

/// Error of a progress node by its progress, with its first two derivatives.
struct ProgressError {
  const Params& p;
  double value(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_error(progress, k->floor[n], k->gain[n], k->exponent[n], k->scale[n]);
    if (const auto* k = std::get_if<CurveError>(&p.progress.error))
      return curve_value(k->of(n).curve, progress);
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_error(progress, k.floor[n], k.gain[n], k.scale[n]);
  }
  double slope(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_slope(progress, k->gain[n], k->exponent[n], k->scale[n]);
    if (const auto* k = std::get_if<CurveError>(&p.progress.error))
      return curve_slope(k->of(n).curve, progress);
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_slope(progress, k.gain[n], k.scale[n]);
  }
  double curvature(int n, double progress) const {
    if (const auto* k = std::get_if<PowerLawError>(&p.progress.error))
      return power_law_curvature(progress, k->gain[n], k->exponent[n], k->scale[n]);
    if (std::holds_alternative<CurveError>(p.progress.error)) return 0;  // but at knots
    const auto& k = std::get<ExponentialError>(p.progress.error);
    return exponential_curvature(progress, k.gain[n], k.scale[n]);
  }
};

/// Progress that service brings to every node: its own, and what hubs share.
/// \param served  [N]  \param gained [N] written
void share_progress(const Progress& progress, const double* served, double* gained, int nodes);
/// Its reverse. \param d  [N] gradient by what is gained, on return by what is served at each node
void share_progress_backward(const Progress& progress, double* d, int nodes);

/// How much a unit of service lowers the error of node n as things stand, with the arrivals to be
/// expected. \param i  index of the node in the batch
double error_relief(const Params& p, const Batch& b, std::size_t i, int n);

/// Reverse of error_relief(): sends its gradient to the state it depends on.
void error_relief_backward(const Params& p, const Batch& b, std::size_t i, int n, double d_relief,
                           Adjoint& a);

}  // namespace cra::sim
