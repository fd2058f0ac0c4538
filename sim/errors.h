// sim/errors.h (internal): how waiting work and progress become errors, with slopes and curvatures.
// Every kind of error model is treated here and nowhere else in sim.
#pragma once

#include <algorithm>
#include <cstddef>

#include "sim/sim.h"

namespace cra::sim {

/// A queue node at the end of a slot, once all that serves it has.
struct QueueSlot {
  double waiting;  ///< work not served, y >= 0 [wu]
};

/// What becomes of it.
struct QueueEnd {
  double error;
  double lost;     ///< work abandoned [wu]
  double backlog;  ///< work that still waits [wu]
};

inline QueueEnd end_slot(const Params& p, int n, const QueueSlot& s) {
  const auto& model = std::get<BacklogError>(p.errors);
  return {backlog_phi(s.waiting / model.scale[n]), p.workload.abandonment * s.waiting,
          (1 - p.workload.abandonment) * s.waiting};
}

/// Reverse of end_slot(), where work waits. \returns gradient by the waiting work
inline double end_slot_backward(const Params& p, int n, const QueueSlot& s, double d_error,
                                double d_backlog) {
  const double scale = std::get<BacklogError>(p.errors).scale[n];
  return d_error * backlog_phi_slope(s.waiting / scale) / scale +
         (1 - p.workload.abandonment) * d_backlog;
}

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

/// How much a unit of service lowers the error of node n as things stand. \param i  index of the
/// node in the batch
double error_relief(const Params& p, const Batch& b, std::size_t i, int n);

/// Reverse of error_relief(): sends its gradient to the state it depends on.
void error_relief_backward(const Params& p, const Batch& b, std::size_t i, int n, double d_relief,
                           Adjoint& a);

}  // namespace cra::sim
