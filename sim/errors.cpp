#include "sim/errors.h"

namespace cra::sim {

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
