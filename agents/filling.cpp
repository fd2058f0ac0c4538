#include "agents/filling.h"

#include <limits>
#include <numeric>

namespace cra::agents {

Filling::Filling(const Seen& s)
    : seen_(s),
      resources_(s.params.pool.resource_count()),
      cap_(index(s.nodes)),
      ask_(index(s.nodes)),
      rate_(index(s.nodes), 0),
      left_(s.params.pool.budgets) {
  for (double& budget : left_) {
    budget *= s.placed;
    least_.push_back(1e-12 * budget);  // rounding of N subtractions
  }
  for (int n = 0; n < s.nodes; ++n) {
    cap_[index(n)] = s.capacity[n] * s.availability[n];
    const double load = s.is_progress(n) ? cap_[index(n)] : s.backlog[n] + s.fast[n];
    ask_[index(n)] = std::min(load, cap_[index(n)]);
  }
}

bool Filling::blocked(int n) const {
  for (int k = 0; k < resources_; ++k)
    if (seen_.params.pool.need_of(n, k) > 0 && left_[index(k)] <= least_[index(k)]) return true;
  return false;
}

double Filling::give(int n, double amount, double limit) {
  amount = std::min(amount, limit - rate(n));
  for (int k = 0; k < resources_; ++k)
    if (const double need = seen_.params.pool.need_of(n, k); need > 0)
      amount = std::min(amount, left_[index(k)] / need);
  if (!(amount > 0)) return 0;
  for (int k = 0; k < resources_; ++k)
    left_[index(k)] = std::max(0.0, left_[index(k)] - amount * seen_.params.pool.need_of(n, k));
  rate_[index(n)] += amount;
  return amount;
}

void Filling::raise(const double* speed, const double* limit) {
  std::vector<int> open;
  for (int n = 0; n < seen_.nodes; ++n)
    if (speed[n] > 0 && rate(n) < limit[n] && !blocked(n)) open.push_back(n);
  // Every round stops a node at its limit or uses up a resource.
  while (!open.empty()) {
    double step = std::numeric_limits<double>::infinity();
    for (int k = 0; k < resources_; ++k) {
      double pull = 0;
      for (const int n : open) pull += speed[n] * seen_.params.pool.need_of(n, k);
      if (pull > 0) step = std::min(step, left_[index(k)] / pull);
    }
    const auto overflows = [&](int n) { return rate(n) + step * speed[n] >= limit[n]; };
    if (std::any_of(open.begin(), open.end(), overflows)) {
      std::vector<int> rest;
      for (const int n : open) {
        if (overflows(n)) {
          give(n, limit[n] - rate(n), limit[n]);
        } else {
          rest.push_back(n);
        }
      }
      open = std::move(rest);
      continue;
    }
    for (const int n : open) give(n, step * speed[n], limit[n]);
    open.erase(
        std::remove_if(open.begin(), open.end(),
                       [&](int n) { return blocked(n) || step * speed[n] <= 1e-15 * limit[n]; }),
        open.end());
  }
}

void Filling::in_order(const std::vector<int>& order) {
  for (const int n : order) give(n, ask(n), ask(n));
}

void Filling::finish(double* w) {
  const std::vector<double> even(cap_.size(), 1.0);
  raise(even.data(), cap_.data());
  std::copy(rate_.begin(), rate_.end(), w);
}

std::vector<int> by_falling(const std::vector<double>& key) {
  std::vector<int> order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return key[static_cast<std::size_t>(a)] > key[static_cast<std::size_t>(b)];
  });
  return order;
}

}  // namespace cra::agents
