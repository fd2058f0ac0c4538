// agents/filling.h (internal): rates by filling up: nodes take from the budgets until they have
// what they ask for or a budget is used up. The pool's water-filling leaves such rates as they are.
#pragma once

#include <vector>

#include "agents/rules.h"

namespace cra::agents {

/// Rates in the making, for one environment.
class Filling {
 public:
  explicit Filling(const Seen& s);

  /// Most that node n can do in the slot, as far as is known [wu/slot].
  double cap(int n) const { return cap_[index(n)]; }
  /// What node n asks for: q + ef, and no end of it at progress nodes; at most cap() [wu/slot].
  double ask(int n) const { return ask_[index(n)]; }
  double rate(int n) const { return rate_[index(n)]; }

  /// Gives node n up to `amount` more, as far as its limit and the budgets allow. \returns how much
  double give(int n, double amount, double limit);
  /// Raises all nodes together, node n at speed[n], each until its limit; a node stops when a
  /// resource that it needs is used up. Sorts nothing: rounds of "stop whoever overflows".
  void raise(const double* speed, const double* limit);
  /// One node after the other, each up to what it asks for.
  void in_order(const std::vector<int>& order);
  /// What is left, by equal amounts up to the caps; then the rates. \param w [N] on return
  void finish(double* w);

  const std::vector<double>& caps() const { return cap_; }
  const std::vector<double>& asks() const { return ask_; }

 private:
  static std::size_t index(int n) { return static_cast<std::size_t>(n); }
  bool blocked(int n) const;

  const Seen& seen_;
  int resources_;
  std::vector<double> cap_, ask_, rate_;  ///< [N]
  std::vector<double> left_, least_;      ///< [K] budget that is left; what counts as nothing
};

/// Nodes by falling key, ties by number.
std::vector<int> by_falling(const std::vector<double>& key);

}  // namespace cra::agents
