// The reserve: forward and reverse side by side.
#include "sim/reserve.h"

#include <algorithm>
#include <numeric>

#include "sim/errors.h"

namespace cra::sim {
namespace {

using Column = std::vector<double>;

std::size_t index(int n) { return static_cast<std::size_t>(n); }

/// Gradient of dispatch_optimally(): waiting work is left - u. Adds to d_left, d_limit.
/// \returns gradient by the pool
double dispatch_optimally_backward(const double* importance, const double* scale, double pool,
                                   ReserveSlot& s, int nodes) {
  double total = 0;
  for (int n = 0; n < nodes; ++n) total += s.limit[index(n)];
  if (total <= pool) {
    for (int n = 0; n < nodes; ++n) {
      s.d_left[index(n)] += s.d_waiting[index(n)];
      s.d_limit[index(n)] -= s.d_waiting[index(n)];
    }
    return 0;
  }
  // Inside nodes share one level of marginal error; it moves with the pool and with what they hold.
  const auto inside = [&](int n) {
    // The last rounding of dispatch_optimally() may scale a node that is at its limit below it.
    return s.dispatched[index(n)] > 0 && s.dispatched[index(n)] < s.limit[index(n)] * (1 - 1e-12);
  };
  double give = 0, level = 0;
  const auto looseness = [&](int n) {  // d waiting / d level
    const double z = (s.left[index(n)] - s.dispatched[index(n)]) / scale[n];
    return scale[n] * scale[n] / (importance[n] * backlog_phi_curvature(z));
  };
  for (int n = 0; n < nodes; ++n)
    if (inside(n)) {
      give += looseness(n);
      level += looseness(n) * s.d_waiting[index(n)];
    }
  level = give > 0 ? level / give : 0;
  for (int n = 0; n < nodes; ++n) {
    if (inside(n)) {
      s.d_left[index(n)] += level;
    } else {
      s.d_left[index(n)] += s.d_waiting[index(n)];
      if (s.dispatched[index(n)] > 0) s.d_limit[index(n)] += level - s.d_waiting[index(n)];
    }
  }
  return -level;
}

/// Gradient of dispatch_by_priority(), stage by stage. Adds to d_left, d_limit.
/// \returns gradient by the pool
double dispatch_by_priority_backward(const double* priority, double pool, ReserveSlot& s,
                                     int nodes) {
  double pull = 0, first_sum = 0, open = 0;
  Column first(index(nodes)), d_first(index(nodes), 0.0);
  for (int n = 0; n < nodes; ++n) pull += priority[n] * s.limit[index(n)];
  const bool scarce = pull > pool;
  const double share = scarce ? pool / pull : 1;
  for (int n = 0; n < nodes; ++n) {
    first[index(n)] = std::min(priority[n] * s.limit[index(n)] * share, s.limit[index(n)]);
    first_sum += first[index(n)];
    open += s.limit[index(n)] - first[index(n)];
  }
  const double rest = pool - first_sum;
  const bool second = rest > 0 && open > 0, short_rest = rest < open;
  const double more = !second ? 0 : short_rest ? rest / open : 1;
  double d_more = 0, d_pool = 0, d_share = 0;
  for (int n = 0; n < nodes; ++n) {
    const double d_u = -s.d_waiting[index(n)];
    s.d_left[index(n)] += s.d_waiting[index(n)];
    d_first[index(n)] += d_u * (1 - more);
    s.d_limit[index(n)] += d_u * more;
    d_more += d_u * (s.limit[index(n)] - first[index(n)]);
  }
  if (second && short_rest) {
    d_pool += d_more / open;
    for (int n = 0; n < nodes; ++n) {
      d_first[index(n)] += -d_more / open + d_more * rest / (open * open);
      s.d_limit[index(n)] -= d_more * rest / (open * open);
    }
  }
  for (int n = 0; n < nodes; ++n) {
    if (priority[n] * share >= 1) {
      s.d_limit[index(n)] += d_first[index(n)];
    } else {
      s.d_limit[index(n)] += d_first[index(n)] * priority[n] * share;
      d_share += d_first[index(n)] * priority[n] * s.limit[index(n)];
    }
  }
  if (scarce) {
    d_pool += d_share / pull;
    for (int n = 0; n < nodes; ++n)
      s.d_limit[index(n)] -= d_share * pool / (pull * pull) * priority[n];
  }
  return d_pool;
}

/// One resource that all nodes need alike: the reserve is an amount of work.
bool is_work(const Pool& pool) {
  return pool.resource_count() == 1 &&
         std::all_of(pool.needs.begin(), pool.needs.end(),
                     [&](double need) { return need == pool.needs[0]; });
}
double work_of(const SharedReserve& reserve, const Pool& pool, const ReserveSlot& s) {
  return reserve.efficiency / pool.needs[0] * std::min(s.kept[0], s.free[0]);
}

/// The largest share <= 1 of `wanted` that `there` has of every resource, and the one that binds.
struct Fit {
  double share = 1;
  int binding = -1;
};
Fit fit(const Column& there, const Column& wanted) {
  Fit best;
  for (int k = 0; k < static_cast<int>(there.size()); ++k)
    if (wanted[index(k)] > 0 && there[index(k)] < best.share * wanted[index(k)])
      best = {there[index(k)] / wanted[index(k)], k};
  return best;
}

/// Dispatch by priority with needs of their own, of one resource or several: shares and rest as in
/// dispatch_by_priority(), as far as the scarcest resource goes; then, since others may be left,
/// nodes in order of importance take what fits. The same for one resource that all need alike.
class Filling {
 public:
  Filling(const Pool& pool, const double* priority, ReserveSlot& s)
      : pool_(pool),
        priority_(priority),
        nodes_(pool.nodes),
        limit_(s.limit),
        first_(s.filled.first),
        order_(s.filled.order),
        bound_(s.filled.bound),
        pull_(s.filled.pull),
        open_(s.filled.open),
        rest_(s.filled.rest),
        left_(s.filled.left) {
    first_.assign(limit_.size(), 0);
    order_.resize(limit_.size());
    bound_.assign(limit_.size(), -1);
    for (Column* each : {&pull_, &open_, &left_}) each->assign(s.pool.size(), 0);
    for (int n = 0; n < nodes_; ++n) take(pull_, n, priority[n] * limit_[index(n)]);
    shares_ = fit(s.pool, pull_);
    rest_ = s.pool;
    for (int n = 0; n < nodes_; ++n) {
      first_[index(n)] = std::min(priority[n] * limit_[index(n)] * shares_.share, limit_[index(n)]);
      take(rest_, n, -first_[index(n)]);
      take(open_, n, limit_[index(n)] - first_[index(n)]);
    }
    for (double& rest : rest_) rest = std::max(rest, 0.0);
    more_ = fit(rest_, open_);
  }

  /// \param u  [N] written
  void forward(Column& u) {
    for (int n = 0; n < nodes_; ++n)
      u[index(n)] = first_[index(n)] + more_.share * (limit_[index(n)] - first_[index(n)]);
    if (more_.binding < 0) return;  // everybody has all
    for (int k = 0; k < pool_.resource_count(); ++k)
      left_[index(k)] =
          k == more_.binding ? 0 : std::max(0.0, rest_[index(k)] - more_.share * open_[index(k)]);
    std::iota(order_.begin(), order_.end(), 0);
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      return priority_[a] != priority_[b] ? priority_[a] > priority_[b] : a < b;
    });
    for (const int n : order_) {
      double give = limit_[index(n)] - u[index(n)];
      for (int k = 0; k < pool_.resource_count(); ++k)
        if (const double need = pool_.need_of(n, k); need > 0 && left_[index(k)] < need * give) {
          give = left_[index(k)] / need;
          bound_[index(n)] = k;
        }
      u[index(n)] += give;
      take(left_, n, -give);
      for (double& left : left_) left = std::max(left, 0.0);
    }
  }

  /// Of what forward() has filled. \param d_u  [N] \param d_limit [N] added to
  /// \param d_pool  [K] written
  void backward(const Column& d_u, Column& d_limit, Column& d_pool) const {
    Column d_second = d_u, d_left(pull_.size(), 0.0), d_rest(d_left), d_open(d_left);
    Column d_first(d_u.size(), 0.0);
    double d_more = 0, d_shares = 0;
    if (more_.binding >= 0) {
      for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
        const int n = *at, k = bound_[index(n)];
        const double d_give = d_u[index(n)] - taken(d_left, n);
        if (k < 0) {  // give = limit - second
          d_limit[index(n)] += d_give;
          d_second[index(n)] -= d_give;
        } else {
          d_left[index(k)] += d_give / pool_.need_of(n, k);
        }
      }
    }
    for (int n = 0; n < nodes_; ++n) {
      const double room = limit_[index(n)] - first_[index(n)], d = d_second[index(n)];
      d_first[index(n)] = d * (1 - more_.share);
      d_limit[index(n)] += d * more_.share;
      d_more += d * room;
    }
    for (int k = 0; k < pool_.resource_count(); ++k) {
      d_rest[index(k)] = d_left[index(k)];
      d_open[index(k)] = -more_.share * d_left[index(k)];
      d_more -= open_[index(k)] * d_left[index(k)];
    }
    if (more_.binding >= 0) {
      const auto k = index(more_.binding);
      d_rest[k] += d_more / open_[k];
      d_open[k] -= d_more * more_.share / open_[k];
    }
    d_pool = d_rest;
    for (int n = 0; n < nodes_; ++n) {
      d_first[index(n)] -= taken(d_rest, n) + taken(d_open, n);
      d_limit[index(n)] += taken(d_open, n);
      const double part = priority_[n] * shares_.share;
      d_limit[index(n)] += d_first[index(n)] * std::min(part, 1.0);
      if (part < 1) d_shares += d_first[index(n)] * priority_[n] * limit_[index(n)];
    }
    if (shares_.binding < 0) return;
    const auto k = index(shares_.binding);
    d_pool[k] += d_shares / pull_[k];
    for (int n = 0; n < nodes_; ++n)
      d_limit[index(n)] -=
          d_shares * shares_.share / pull_[k] * pool_.need_of(n, shares_.binding) * priority_[n];
  }

 private:
  /// Adds what `work` at node n takes to [K].
  void take(Column& to, int n, double work) const {
    for (int k = 0; k < pool_.resource_count(); ++k) to[index(k)] += pool_.need_of(n, k) * work;
  }
  /// Its reverse.
  double taken(const Column& d, int n) const {
    double sum = 0;
    for (int k = 0; k < pool_.resource_count(); ++k) sum += pool_.need_of(n, k) * d[index(k)];
    return sum;
  }

  const Pool& pool_;
  const double* priority_;
  int nodes_;
  const Column& limit_;
  Column& first_;
  std::vector<int>&order_, &bound_;
  Column &pull_, &open_, &rest_, &left_;
  Fit shares_, more_;
};

}  // namespace

void add_up_placed(const Pool& pool, const double* rate, ReserveSlot& s) {
  const int resources = pool.resource_count();
  s.placed.assign(index(resources), 0.0);
  for (int n = 0; n < pool.nodes; ++n)
    for (int k = 0; k < resources; ++k) s.placed[index(k)] += rate[n] * pool.need_of(n, k);
}

void dispatch(const SharedReserve& reserve, const Params& p, const double* importance, double share,
              ReserveSlot& s) {
  const auto resources = index(p.pool.resource_count());
  s.kept.resize(resources);
  s.free.resize(resources);
  s.pool.resize(resources);
  for (std::size_t k = 0; k < resources; ++k) {
    s.kept[k] = share * p.pool.budgets[k];
    s.free[k] = std::max(0.0, p.pool.budgets[k] - s.placed[k]);
    s.pool[k] = reserve.efficiency * std::min(s.kept[k], s.free[k]);
  }
  if (!is_work(p.pool)) {
    Filling(p.pool, importance, s).forward(s.dispatched);
  } else if (const double work = work_of(reserve, p.pool, s);
             reserve.dispatch == Dispatch::optimal) {
    dispatch_optimally(s.left.data(), s.limit.data(), importance, dispatch_scale(p), work,
                       s.dispatched.data(), p.pool.nodes);
  } else {
    dispatch_by_priority(s.limit.data(), importance, work, s.dispatched.data(), p.pool.nodes);
  }
}

void dispatch_backward(const SharedReserve& reserve, const Params& p, const double* importance,
                       ReserveSlot& s) {
  Column d_pool(s.pool.size());
  if (!is_work(p.pool)) {
    Column d_u(s.dispatched.size()), again(d_u);
    for (std::size_t n = 0; n < d_u.size(); ++n) {
      d_u[n] = -s.d_waiting[n];
      s.d_left[n] += s.d_waiting[n];
    }
    Filling filling(p.pool, importance, s);
    filling.forward(again);
    filling.backward(d_u, s.d_limit, d_pool);
  } else {
    const double work = work_of(reserve, p.pool, s);
    const double d_work =
        reserve.dispatch == Dispatch::optimal
            ? dispatch_optimally_backward(importance, dispatch_scale(p), work, s, p.pool.nodes)
            : dispatch_by_priority_backward(importance, work, s, p.pool.nodes);
    d_pool[0] = d_work / p.pool.needs[0];
  }
  s.d_share = 0;
  s.d_placed.assign(d_pool.size(), 0.0);
  for (std::size_t k = 0; k < d_pool.size(); ++k) {
    const double d_source = reserve.efficiency * d_pool[k];
    if (s.kept[k] < s.free[k]) {
      s.d_share += d_source * p.pool.budgets[k];
    } else if (s.free[k] > 0) {
      s.d_placed[k] = -d_source;
    }
  }
}

}  // namespace cra::sim
