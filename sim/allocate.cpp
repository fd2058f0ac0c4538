// From a decision to commanded rates: forward and reverse side by side.
#include "sim/allocate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/waterfill.h"

namespace cra::sim {
namespace {

std::size_t index(int n) { return static_cast<std::size_t>(n); }

bool clips(const Params& p) {
  return p.pool.conflict != Conflict::waterfill && p.pool.conflict != Conflict::gps;
}

// ---- weights of nodes --------------------------------------------------------------------

double fill(const Params& p, const double* w, double scale, double* rate) {
  return waterfill(w, p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(),
                   scale, rate, p.pool.nodes, p.pool.resource_count());
}

/// \returns gradient by the scale
double fill_backward(const Params& p, const double* w, const double* rate, double theta,
                     const double* d_rate, double* d_w) {
  return waterfill_backward(
             {w, p.pool.capacity.value.data(), p.pool.needs.data(), p.pool.budgets.data(), rate,
              theta, p.pool.nodes, p.pool.resource_count()},
             d_rate, d_w, nullptr)
      .d_scale;
}

/// Reverse of proportions(). \param d_share [n] \param d_weights [n] written
void proportions_backward(const double* weights, const double* share, const double* d_share, int n,
                          double* d_weights) {
  const double largest = *std::max_element(weights, weights + n);
  double mean = 0, sum = 0;
  for (int i = 0; i < n; ++i) {
    mean += share[i] * d_share[i];
    sum += std::max(weights[i], 1e-9 * largest);
  }
  for (int i = 0; i < n; ++i)
    d_weights[i] = weights[i] > 1e-9 * largest ? (d_share[i] - mean) / sum : 0;
}

// ---- weights of resources and nodes ------------------------------------------------------

/// Each resource is dealt out by its own shares; a node runs at the rate of whatever it has least
/// of, the rest of what it was granted is waste.
void allocate_per_resource(const Params& p, const double* w, double scale, Allocation& a) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  a.share.resize(index(nodes) * index(resources));
  a.limiting.assign(index(nodes), -1);
  std::copy_n(p.pool.capacity.value.data(), nodes, a.grant.data());
  for (int k = 0; k < resources; ++k) {
    double* share = a.share.data() + index(k) * index(nodes);
    proportions(w + k * nodes, nodes, share);
    for (int n = 0; n < nodes; ++n) {
      const double need = p.pool.need_of(n, k);
      const double rate =
          need > 0 ? share[n] * scale * p.pool.budgets[index(k)] / need : a.grant[index(n)];
      if (rate < a.grant[index(n)]) {
        a.grant[index(n)] = rate;
        a.limiting[index(n)] = k;
      }
    }
  }
  for (int k = 0; k < resources; ++k)
    for (int n = 0; n < nodes; ++n) {
      const double need = p.pool.need_of(n, k), budget = p.pool.budgets[index(k)];
      const double granted = std::min(a.share[index(k) * index(nodes) + index(n)] * scale * budget,
                                      p.pool.capacity[n] * need);
      a.waste += (granted - need * a.grant[index(n)]) / budget / resources;
    }
}

double per_resource_backward(const Params& p, const double* w, double scale, Allocation& a,
                             double* d_w) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  double d_scale = 0;
  std::vector<double> d_share(index(nodes));
  for (int k = 0; k < resources; ++k) {
    const double* share = a.share.data() + index(k) * index(nodes);
    for (int n = 0; n < nodes; ++n) {
      d_share[index(n)] = 0;
      if (a.limiting[index(n)] != k) continue;
      const double d = a.d_grant[index(n)] * p.pool.budgets[index(k)] / p.pool.need_of(n, k);
      d_share[index(n)] = d * scale;
      d_scale += d * share[n];
    }
    proportions_backward(w + k * nodes, share, d_share.data(), nodes, d_w + k * nodes);
  }
  return d_scale;
}

// ---- the sources' literal rule -----------------------------------------------------------

/// Fraction of the rates w_n c_n that the budgets allow, and the resource that sets it (-1: none).
struct Fit {
  double factor = 1, used = 0;
  int resource = -1;
};
Fit fit_of(const Params& p, const double* share, double scale) {
  Fit fit;
  for (int k = 0; k < p.pool.resource_count(); ++k) {
    double used = 0;
    for (int n = 0; n < p.pool.nodes; ++n)
      used += p.pool.need_of(n, k) * share[n] * p.pool.capacity[n];
    const double budget = scale * p.pool.budgets[index(k)];
    if (used * fit.factor > budget) fit = {budget / used, used, k};
  }
  return fit;
}

void allocate_raw(const Params& p, const double* w, double scale, Allocation& a) {
  a.share.resize(index(p.pool.nodes));
  proportions(w, p.pool.nodes, a.share.data());
  const double factor = fit_of(p, a.share.data(), scale).factor;
  for (int n = 0; n < p.pool.nodes; ++n)
    a.grant[index(n)] = factor * a.share[index(n)] * p.pool.capacity[n];
}

double raw_backward(const Params& p, const double* w, double scale, Allocation& a, double* d_w) {
  const int nodes = p.pool.nodes;
  const Fit fit = fit_of(p, a.share.data(), scale);
  double d_factor = 0;
  for (int n = 0; n < nodes; ++n)
    d_factor += a.d_grant[index(n)] * a.share[index(n)] * p.pool.capacity[n];
  std::vector<double> d_share(index(nodes));
  for (int n = 0; n < nodes; ++n) {
    double d_rate = fit.factor * a.d_grant[index(n)];
    if (fit.resource >= 0)
      d_rate -= d_factor * fit.factor / fit.used * p.pool.need_of(n, fit.resource);
    d_share[index(n)] = d_rate * p.pool.capacity[n];
  }
  proportions_backward(w, a.share.data(), d_share.data(), nodes, d_w);
  return fit.resource < 0 ? 0 : d_factor * p.pool.budgets[index(fit.resource)] / fit.used;
}

}  // namespace

void proportions(const double* weights, int n, double* share) {
  const double largest = *std::max_element(weights, weights + n);
  for (int i = 0; i < n; ++i) share[i] = largest > 0 ? std::max(weights[i] / largest, 1e-9) : 1.0;
  const double sum = std::accumulate(share, share + n, 0.0);
  for (int i = 0; i < n; ++i) share[i] /= sum;
}

void allocate(const Params& p, const double* decision, const Turn& turn, Allocation& a) {
  const double scale = 1 - kept_share(p, decision);
  a.waste = 0;
  if (const LotteryService* lottery = p.pool.lottery()) {
    a.share.resize(index(p.pool.nodes));
    proportions(decision, p.pool.nodes, a.share.data());
    for (int n = 0; n < p.pool.nodes; ++n)
      a.grant[index(n)] = a.share[index(n)] * lottery->completion[n] * lottery->job;
  } else if (p.pool.action == Action::per_resource) {
    allocate_per_resource(p, decision, scale, a);
  } else if (p.pool.action == Action::raw) {
    allocate_raw(p, decision, scale, a);
  } else if (clips(p)) {
    a.waste = clip_and_give(p, decision, scale, turn, a.rest, a.grant.data());
  } else {
    a.theta = fill(p, decision, scale, a.grant.data());
  }
}

void allocate_backward(const Params& p, const double* decision, Allocation& a, double* d_decision) {
  const double scale = 1 - kept_share(p, decision);
  double d_scale = 0;
  if (p.pool.action == Action::per_resource) {
    d_scale = per_resource_backward(p, decision, scale, a, d_decision);
  } else if (p.pool.action == Action::raw) {
    d_scale = raw_backward(p, decision, scale, a, d_decision);
  } else if (clips(p)) {
    d_scale = clip_and_give_backward(p, decision, scale, a.rest, a.d_grant.data(), d_decision);
  } else {
    d_scale = fill_backward(p, decision, a.grant.data(), a.theta, a.d_grant.data(), d_decision);
  }
  if (p.pool.shared_reserve() != nullptr) d_decision[decision_size(p) - 1] = -d_scale;
}

int bundle_size(const Params& p) {
  return p.pool.nodes + (p.pool.shared_reserve() != nullptr ? 1 : 0);
}

int decision_size(const Params& p) {
  const int rows = p.pool.action == Action::per_resource ? p.pool.resource_count() : 1;
  return rows * p.pool.nodes + (p.pool.shared_reserve() != nullptr ? 1 : 0);
}

int tilted_size(const Params& p) { return bundle_size(p) + p.pool.resource_count() * p.pool.nodes; }

bool is_bundle(const Params& p, std::int64_t size) {
  return size == bundle_size(p) ||
         (p.pool.action == Action::per_resource && size == tilted_size(p));
}

void expand(const Params& p, View<const double> bundles, View<double> decisions) {
  CRA_CHECK(is_bundle(p, bundles.cols) && decisions.cols == decision_size(p) &&
                bundles.rows == decisions.rows,
            "expand: bundles or decisions have the wrong shape");
  if (p.pool.action != Action::per_resource) {
    std::copy_n(bundles.data, bundles.size(), decisions.data);
    return;
  }
  const int nodes = p.pool.nodes;
  const bool reserve = p.pool.shared_reserve() != nullptr, tilted = bundles.cols > bundle_size(p);
  std::vector<double> rate(index(nodes));
  for (std::int64_t e = 0; e < bundles.rows; ++e) {
    const double* bundle = bundles.row(e);
    const double* tilt = bundle + bundle_size(p);
    double* to = decisions.row(e);
    fill(p, bundle, reserve ? 1 - bundle[nodes] : 1, rate.data());
    for (int k = 0; k < p.pool.resource_count(); ++k)
      for (int n = 0; n < nodes; ++n)
        *to++ = p.pool.need_of(n, k) * rate[index(n)] * (tilted ? *tilt++ : 1);
    if (reserve) *to = bundle[nodes];
  }
}

void expand_backward(const Params& p, View<const double> bundles, View<const double> d_decisions,
                     View<double> d_bundles) {
  CRA_CHECK(is_bundle(p, bundles.cols) && d_decisions.cols == decision_size(p) &&
                bundles.rows == d_decisions.rows && d_bundles.rows == bundles.rows &&
                d_bundles.cols == bundles.cols,
            "expand_backward: bundles or gradients have the wrong shape");
  if (p.pool.action != Action::per_resource) {
    std::copy_n(d_decisions.data, d_decisions.size(), d_bundles.data);
    return;
  }
  const int nodes = p.pool.nodes;
  const bool reserve = p.pool.shared_reserve() != nullptr, tilted = bundles.cols > bundle_size(p);
  std::vector<double> rate(index(nodes)), d_rate(index(nodes));
  for (std::int64_t e = 0; e < bundles.rows; ++e) {
    const double* bundle = bundles.row(e);
    const double* tilt = bundle + bundle_size(p);
    double* d_tilt = d_bundles.row(e) + bundle_size(p);
    const double* from = d_decisions.row(e);
    const double theta = fill(p, bundle, reserve ? 1 - bundle[nodes] : 1, rate.data());
    std::fill(d_rate.begin(), d_rate.end(), 0.0);
    for (int k = 0; k < p.pool.resource_count(); ++k)
      for (int n = 0; n < nodes; ++n, ++from) {
        const double need = p.pool.need_of(n, k);
        d_rate[index(n)] += need * (tilted ? *tilt++ : 1) * *from;
        if (tilted) *d_tilt++ = need * rate[index(n)] * *from;
      }
    const double d_scale =
        fill_backward(p, bundle, rate.data(), theta, d_rate.data(), d_bundles.row(e));
    if (reserve) d_bundles.row(e)[nodes] = *from - d_scale;
  }
}

}  // namespace cra::sim
