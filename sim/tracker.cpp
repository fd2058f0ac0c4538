// The state of a pool that is measured instead of simulated.
#include <algorithm>
#include <cmath>

#include "sim/allocate.h"
#include "sim/errors.h"
#include "sim/gains.h"
#include "sim/queue_rows.h"
#include "sim/see.h"
#include "sim/sim.h"

namespace cra::sim {
namespace {

using Column = std::vector<double> Measurement::*;

bool hidden(const Params& p, const char* name) {
  const std::vector<std::string>& all = p.observation.hidden;
  return std::find(all.begin(), all.end(), name) != all.end();
}

/// Whether some node satisfies a condition.
template <class Condition>
bool any_node(const Params& p, Condition is) {
  for (int n = 0; n < p.pool.nodes; ++n)
    if (is(n)) return true;
  return false;
}
bool any_queue(const Params& p) {
  return any_node(p, [&](int n) { return has_queue(p, n); });
}

/// What waits says nothing of the error: late work is gone, and work answered at once never waits.
bool error_leaves_no_trace(const Params& p) {
  return (std::holds_alternative<DeadlineError>(p.errors) ||
          std::holds_alternative<AnytimeError>(p.errors)) &&
         any_node(p, [&](int n) { return !p.pool.is_progress(n); });
}
/// Margins of these error models read arrivals, which policies then see in them.
bool margins_tell_arrivals(const Params& p) {
  return error_leaves_no_trace(p) && !hidden(p, "backlog") && !hidden(p, "progress") &&
         !hidden(p, "importance");
}
bool error_follows(const Params& p) {
  return !error_leaves_no_trace(p) && !(any_queue(p) && hidden(p, "backlog")) &&
         !(p.pool.has_progress() && hidden(p, "progress"));
}

bool importance_moves(const Params& p) {
  return !std::holds_alternative<SteadyCalendar>(p.workload.calendar) ||
         !std::holds_alternative<NoJobs>(p.progress.jobs);
}
bool has_windows(const Params& p) {
  return std::holds_alternative<WindowsCalendar>(p.workload.calendar);
}

std::string error_doc(const Params& p) {
  std::string doc = "error of each node at the end of the slot that ended";
  if (error_follows(p)) return doc + "; left out: follows from backlog and progress";
  if (std::holds_alternative<DeadlineError>(p.errors) && error_leaves_no_trace(p))
    return doc + ": late work / mean arrivals";
  return doc;
}

[[noreturn]] void refuse(const MeasuredField& f, const std::string& text) {
  throw InputError(std::string(f.name) + " " + text);
}

/// Whether a number of a field means nothing at a node.
bool idle(const Params& p, const MeasuredField& f, int n) {
  return (f.column == &Measurement::backlog && !has_queue(p, n)) ||
         (f.column == &Measurement::progress && !p.pool.is_progress(n));
}

void check_numbers(const Params& p, const MeasuredField& f, const std::vector<double>& x) {
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  if (x.size() % nodes != 0 || x.size() / nodes > static_cast<std::size_t>(f.most_rows))
    refuse(f, "has " + std::to_string(x.size()) + " numbers, expected " +
                  std::to_string(p.pool.nodes) + ", one for each node" +
                  (f.most_rows > 1
                       ? ", for each of 1 to " + std::to_string(f.most_rows) + " slots to come"
                       : ""));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto node = static_cast<int>(i % nodes);
    const std::string place = "of node " + std::to_string(node) + " is ";
    if (!std::isfinite(x[i])) refuse(f, place + "not finite");
    if (!f.range.contains(x[i]))
      refuse(f, place + std::to_string(x[i]) + ", expected " +
                    (std::isfinite(f.range.hi) ? "a number in [0, 1]" : "a number >= 0"));
    if (idle(p, f, node) && x[i] != 0)
      refuse(f, place + std::to_string(x[i]) + ", expected 0: that node has none");
  }
}

/// \throws InputError  when a measurement is not what policies of the pool need
void check(const Params& p, const Measurement& m, bool first) {
  for (const MeasuredField& f : measured_fields(p)) {
    const std::vector<double>& x = m.*f.column;
    const bool must = f.told == Told::always || (f.told == Told::first && first) ||
                      (f.told == Told::later && !first);
    if (x.empty() && must) refuse(f, "is missing: " + f.doc);
    if (!x.empty() && f.told == Told::first && !first)
      refuse(f, "is told before the first slot of an episode only; policies may not see it later");
    if (!x.empty()) check_numbers(p, f, x);
  }
}

/// What is known of the coming slots, as the exogenous input of an episode that begins with them.
Exogenous coming(const Params& p, const Measurement& m, const std::vector<double>& importance) {
  const auto nodes = static_cast<std::size_t>(p.pool.nodes);
  Exogenous x;
  x.episodes = 1;
  x.nodes = p.pool.nodes;
  x.importance = m.importance.empty() ? importance : m.importance;
  x.slots = static_cast<int>(x.importance.size() / nodes);
  const auto row = [&](const std::vector<double>& from, double otherwise) {
    std::vector<double> rows = from;
    rows.resize(x.importance.size(), otherwise);
    return rows;
  };
  x.arrivals = row(m.arrivals_now, 0);
  x.availability = row(m.available_now, 1);
  if (!m.health.empty()) x.health = row(m.health, 0);
  if (!m.window.empty()) x.window = row(m.window, 0);
  return x;
}

/// Work that arrived in the slots before and is not due in the coming one, see fill_young().
/// \param recent  arrivals of those slots, the newest last
double not_due(const std::deque<std::vector<double>>& recent, double slots, std::size_t n) {
  double sum = 0;
  const auto count = std::min(recent.size(), static_cast<std::size_t>(std::max(0.0, slots - 2)));
  for (std::size_t h = recent.size() - count; h < recent.size(); ++h) sum += recent[h][n];
  return sum;
}

}  // namespace

std::vector<MeasuredField> measured_fields(const Params& p) {
  using M = Measurement;
  constexpr Range kShare{0, 1}, kCount{0, std::numeric_limits<double>::infinity()}, kAny{};
  std::vector<MeasuredField> all;
  const auto add = [&](const char* name, Column column, Told told, const char* unit, Range range,
                       std::string doc) {
    all.push_back({name, column, told, unit, range, 1, std::move(doc)});
  };
  /// Told before every slot, or just once.
  const auto unless_hidden = [&](const char* name) {
    return hidden(p, name) ? Told::first : Told::always;
  };
  if (!hidden(p, "arrivals") || margins_tell_arrivals(p))
    add("arrivals", &M::arrivals, Told::later, "wu", kCount,
        "work that arrived in the slot that ended");
  if (any_queue(p) && !hidden(p, "backlog"))
    add("backlog", &M::backlog, Told::later, "wu", kCount,
        "work waiting at the end of the slot that ended");
  if (p.pool.has_progress() && !hidden(p, "progress"))
    add("progress", &M::progress, Told::later, "wu", kCount,
        "progress at the end of the slot that ended");
  if (!hidden(p, "rate"))
    add("rate", &M::rate, Told::optional, "wu/slot", kCount,
        "rate in effect in the slot that ended; left out: the grants, followed with the pool's "
        "lag");
  if (!hidden(p, "error"))
    add("error", &M::error, error_follows(p) ? Told::optional : Told::later, "1", kCount,
        error_doc(p));
  if (!std::holds_alternative<NoFailures>(p.workload.failures) && !hidden(p, "availability"))
    add("availability", &M::availability, Told::later, "1", kShare,
        "share of the capacity that was up in the slot that ended");
  if (importance_moves(p)) {
    add("importance", &M::importance, unless_hidden("importance"), "1", kCount,
        has_windows(p) ? "weight of each node's error in the slots to come, a list for each, the "
                         "coming one first; fewer when the calendar ends"
                       : "weight of each node's error in the slot to come");
    if (has_windows(p)) all.back().most_rows = kAhead;
  }
  if (std::holds_alternative<WearFailures>(p.workload.failures))
    add("health", &M::health, unless_hidden("health"), "1", kAny,
        "sign of wear as measured: 0 healthy, 1 worn, with noise");
  if (has_windows(p))
    add("window", &M::window, unless_hidden("importance"), "slot", kCount,
        "slots until the next window of importance; 0 in one");
  if (p.observation.arrivals_shown) {
    add("arrivals_now", &M::arrivals_now, unless_hidden("arrivals"), "wu", kCount,
        "work that the slot to come brings");
    add("available_now", &M::available_now, unless_hidden("availability"), "1", kShare,
        "share of the capacity that is up in the slot to come");
  }
  return all;
}

Tracker::Tracker(const Params& p) : params_(p), delay_(p.observation.delay) {
  params_.observation.delay = 0;
  if (p.observation.noiseless)
    throw Error(
        "observation.noiseless: nobody can measure arrivals without their noise, so this "
        "policy cannot decide outside the simulator");
}

/// What the slot that ended has left behind, as far as it was measured.
void Tracker::take(const Measurement& m) {
  const Params& p = params_;
  Batch& b = batch_;
  if (!m.arrivals.empty()) note_arrivals(m.arrivals.data(), 0, b);
  for (int n = 0; n < b.nodes; ++n) {
    const auto i = static_cast<std::size_t>(n);
    if (!m.arrivals.empty()) {
      b.arrivals_last[i] = m.arrivals[i];
      b.arrivals_fast[i] += kFast * (m.arrivals[i] - b.arrivals_fast[i]);
      b.arrivals_slow[i] += kSlow * (m.arrivals[i] - b.arrivals_slow[i]);
    }
    if (!m.availability.empty()) {
      b.availability[i] = m.availability[i];
      b.down_slots[i] = m.availability[i] > 0 ? 0 : b.down_slots[i] + 1;
    }
    if (!m.rate.empty()) b.rate[i] = m.rate[i];
    if (!m.backlog.empty() && has_queue(p, n)) b.backlog[i] = m.backlog[i];
    if (!m.progress.empty() && p.pool.is_progress(n)) b.progress[i] = m.progress[i];
    if (!m.error.empty()) {
      b.error[i] = m.error[i];
    } else if (p.pool.is_progress(n)) {
      if (!m.progress.empty()) b.error[i] = ProgressError{p}.value(n, b.progress[i]);
    } else if (!m.backlog.empty() && error_follows(p)) {
      const double waiting = b.backlog[i] / (1 - p.workload.abandonment);
      b.error[i] = end_slot(p, n, {waiting, b.arrivals_last[i], 0, 0}).error;
    }
  }
  if (const auto* deadline = std::get_if<DeadlineError>(&p.errors); deadline != nullptr) {
    if (!m.arrivals.empty()) recent_.push_back(m.arrivals);
    const double longest =
        *std::max_element(deadline->slots.value.begin(), deadline->slots.value.end());
    while (static_cast<double>(recent_.size()) > std::max(0.0, longest - 2)) recent_.pop_front();
  }
}

void Tracker::start(const Measurement& m) {
  check(params_, m, true);
  Exogenous x = coming(params_, m, params_.workload.importance.value);
  // Columns that a pool has are there from the start, whatever was measured.
  if (std::holds_alternative<DeadlineError>(params_.errors)) x.young.assign(x.importance.size(), 0);
  batch_ = reset(params_, x, {0});
  grants_.clear();
  recent_.clear();
  slot_ = 0;
  take(m);
  for (std::size_t n = 0; n < batch_.young.size(); ++n)
    batch_.young[n] = not_due(recent_, std::get<DeadlineError>(params_.errors).slots.value[n], n);
  set_margins(params_, batch_, 0);
  sight_.emplace(params_);
  seen_ = &sight_->look(batch_);
}

void Tracker::advance(const Measurement& m) {
  CRA_CHECK(started(), "advance: no episode has begun");
  if (grants_.empty())
    throw InputError("a state was measured before anything was decided on the one before it");
  check(params_, m, false);
  for (std::size_t n = 0; n < batch_.rate.size(); ++n)
    batch_.rate[n] = lagged(batch_.rate[n], grants_.front()[n],
                            params_.pool.lottery() != nullptr ? 1.0 : params_.pool.lag);
  batch_.grant = std::move(grants_.front());
  grants_.pop_front();
  take(m);
  Exogenous x = coming(params_, m, batch_.importance);
  if (const auto* deadline = std::get_if<DeadlineError>(&params_.errors); deadline != nullptr) {
    x.young.assign(x.importance.size(), 0);
    for (std::size_t n = 0; n < batch_.young.size(); ++n)
      x.young[n] = not_due(recent_, deadline->slots.value[n], n);
  }
  const int slot = batch_.slot + 1;
  batch_.slot = 0;  // of the episode that begins with the coming slot
  see(params_, x, batch_);
  batch_.slot = slot;
  seen_ = &sight_->look(batch_);
}

void Tracker::hold() const {
  CRA_CHECK(started(), "hold: no episode has begun");
  if (slot_ - batch_.slot <= delay_) return;
  std::string names;
  for (const MeasuredField& f : measured_fields(params_))
    if (f.told == Told::always || f.told == Told::later)
      names += (names.empty() ? "" : ", ") + std::string(f.name);
  throw InputError("nothing was measured, expected " + names +
                   (delay_ == 0 ? ""
                                : ": what policies see is at most " + std::to_string(delay_) +
                                      " slots old (observation.delay)"));
}

Command Tracker::command(View<const double> bundle) {
  CRA_CHECK(started(), "command: no episode has begun");
  CRA_CHECK(slot_ < std::numeric_limits<int>::max(), "command: the episode is too long");
  CRA_CHECK(bundle.rows == 1 && is_bundle(params_, bundle.cols),
            "command: the decision has the wrong shape");
  const int nodes = params_.pool.nodes, size = decision_size(params_);
  std::vector<double> decision(static_cast<std::size_t>(size));
  expand(params_, bundle, {decision.data(), 1, size});
  Command c;
  c.slot = slot_++;
  c.proportion.resize(static_cast<std::size_t>(nodes));
  proportions(bundle.data, nodes, c.proportion.data());
  if (params_.pool.action == Action::per_resource) {
    const int resources = params_.pool.resource_count();
    c.resource_proportion.resize(static_cast<std::size_t>(resources) *
                                 static_cast<std::size_t>(nodes));
    for (std::ptrdiff_t k = 0; k < resources; ++k)
      proportions(decision.data() + k * nodes, nodes, c.resource_proportion.data() + k * nodes);
  }
  c.reserve = kept_share(params_, decision.data());
  Allocation a(nodes);
  allocate(params_, decision.data(), {c.slot, batch_.importance.data()}, a);
  c.grant = a.grant;
  grants_.push_back(c.grant);
  return c;
}

}  // namespace cra::sim
