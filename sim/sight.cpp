// What policies see of a batch: how old, and without which columns.
#include <algorithm>

#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double> Batch::*;
using Gradient = std::vector<double> Adjoint::*;

/// A name that can be hidden, and all that would tell it.
struct Secret {
  const char* name;
  std::vector<Column> columns;
  std::vector<Gradient> gradients;  ///< of those that decisions move
};

const std::vector<Secret>& secrets() {
  using B = Batch;
  using A = Adjoint;
  static const std::vector<Secret> all{
      {"backlog",
       {&B::backlog, &B::margin, &B::margin_ahead, &B::served, &B::dispatched, &B::lost},
       {&A::backlog, &A::margin, &A::margin_ahead}},
      {"arrivals",
       {&B::arrivals_fast, &B::arrivals_slow, &B::arrivals_last, &B::arrivals_now, &B::young,
        &B::arrivals_before},
       {}},
      {"importance",
       {&B::importance, &B::importance_ahead, &B::window, &B::margin, &B::margin_ahead},
       {&A::margin, &A::margin_ahead}},
      {"health", {&B::health}, {}},
      {"availability", {&B::availability, &B::down_slots, &B::available_now}, {}},
      {"progress",
       {&B::progress, &B::margin, &B::margin_ahead},
       {&A::progress, &A::margin, &A::margin_ahead}},
      {"error", {&B::error, &B::error_cost, &B::fairness_cost, &B::cost, &B::score}, {&A::error}},
      {"rate", {&B::rate, &B::grant, &B::switching_cost, &B::use_cost}, {&A::rate}},
  };
  return all;
}

bool is_hidden(const Observation& o, const Secret& secret) {
  return std::find(o.hidden.begin(), o.hidden.end(), secret.name) != o.hidden.end();
}

}  // namespace

std::vector<std::string> hideable() {
  std::vector<std::string> names;
  for (const Secret& secret : secrets()) names.emplace_back(secret.name);
  return names;
}

const Batch& Sight::look(const Batch& truth) {
  if (options_.delay == 0 && !hides()) return truth;
  if (recent_.empty() && hides()) first_ = truth;
  Batch seen;
  if (recent_.size() > static_cast<std::size_t>(options_.delay)) {
    seen = std::move(recent_.front());  // its memory serves again
    recent_.pop_front();
  }
  seen = truth;
  for (const Secret& secret : secrets())
    if (is_hidden(options_, secret))
      for (const Column column : secret.columns) seen.*column = first_.*column;
  recent_.push_back(std::move(seen));
  return recent_.front();
}

std::array<int, 2> Sight::acting_on(int t, int slots) const {
  return {t == 0 ? 0 : t + options_.delay, std::min(slots - 1, t + options_.delay)};
}

void Sight::blind(const Adjoint& before, Adjoint& a) const {
  for (const Secret& secret : secrets())
    if (is_hidden(options_, secret))
      for (const Gradient gradient : secret.gradients) a.*gradient = before.*gradient;
}

}  // namespace cra::sim
