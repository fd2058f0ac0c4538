// cra decide: a saved policy inside a real controller: one line of measurements in, one line of
// decisions out.
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "results/results.h"
#include "scenarios/scenario.h"
#include "sim/sim.h"
#include "tools/commands.h"
#include "tools/contest.h"
#include "tools/recall.h"
#include "tools/telemetry.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

/// The result to take the policy from.
std::string result_of(const Arguments& a) {
  if (a.policies.size() != 1)
    throw UsageError("cra decide takes one policy, --policy RESULT.h5; there are " +
                     std::to_string(a.policies.size()));
  const std::string& word = a.policies.front();
  const std::vector<std::string> known = agents::baseline_names();
  if (std::find(known.begin(), known.end(), word) != known.end())
    throw UsageError("--policy is \"" + word +
                     "\", a heuristic; cra decide needs a result file with a learned policy");
  return word;
}

/// The pool to decide for: --scenario, or that of the result as it was run.
scenarios::Scenario scenario_of(const Arguments& a, const results::RunFile& run,
                                const std::string& path) {
  if (!a.scenario.empty()) return scenarios::load(a.scenario, a.set);
  const results::GroupData& g = group_of(run, "provenance", path);
  const auto text = [&](const char* name) { return results::values<std::string>(g, name).at(0); };
  std::vector<std::string> overrides = recorded_overrides(run, path);
  overrides.insert(overrides.end(), a.set.begin(), a.set.end());
  return scenarios::parse(text("scenario_yaml"), text("scenario_path"), overrides);
}

/// A policy that follows one pool.
class Controller {
 public:
  /// \param base  to tell what the policy reads; nullptr to leave that out
  Controller(const sim::Params& p, const agents::Policy& policy, const agents::Policy* base)
      : params_(p), tracker_(p), actor_(policy.actor(1)) {
    if (base != nullptr) base_ = base->actor(1);
  }

  /// The answer to a line. \throws InputError  when the line is refused; nothing has changed then
  std::string answer(const std::string& line) {
    const Telemetry t = parse_telemetry(line, params_);
    if (t.reset && !t.measured) {
      fresh_ = true;
      return reset_line(t.episode);
    }
    if (t.reset || fresh_) {
      tracker_.start(t.measured.value_or(sim::Measurement{}));
      fresh_ = false;
    } else if (t.measured) {
      tracker_.advance(*t.measured);
    } else {
      tracker_.hold();
    }
    std::vector<double> bundle(static_cast<std::size_t>(actor_->size(params_)));
    const auto size = static_cast<std::int64_t>(bundle.size());
    actor_->act(tracker_.seen(), {bundle.data(), 1, size});
    std::optional<Reading> read;
    if (base_) read = reading();
    return command_line(tracker_.command({bundle.data(), 1, size}), params_, t.episode,
                        read ? &*read : nullptr);
  }

 private:
  /// What the policy read for the slot that is being decided.
  Reading reading() {
    const auto nodes = static_cast<std::size_t>(params_.pool.nodes);
    const int columns = sim::feature_count(params_);
    Reading r;
    r.features.resize(nodes * static_cast<std::size_t>(columns));
    sim::observe(params_, tracker_.seen(), {r.features.data(), params_.pool.nodes, columns});
    const int size = sim::bundle_size(params_);
    r.base.resize(static_cast<std::size_t>(size));
    base_->act(tracker_.seen(), {r.base.data(), 1, size});
    r.base.resize(nodes);
    return r;
  }

  const sim::Params& params_;
  sim::Tracker tracker_;
  std::unique_ptr<agents::Actor> actor_;
  std::unique_ptr<agents::Actor> base_;
  bool fresh_ = true;  ///< the next slot is the first of an episode
};

}  // namespace

int decide(const Arguments& a) {
  const std::string path = result_of(a);
  const results::RunFile run = results::read_run(path, results::Segments::leave);
  if (run.group("policy") == nullptr)
    throw InputError(path + ": there is no learned policy in it (no group /policy)");
  const scenarios::Scenario scenario = scenario_of(a, run, path);
  const scenarios::Settings& s = scenario.settings;
  agents::Network network = network_of(run, path, s.sim);
  if (a.describe) {
    print(describe_telemetry(s, network, path));
    return 0;
  }
  Arguments alone = a;  // a pool of one: more threads would only wait
  alone.threads = 1;
  set_threads(alone);
  const std::unique_ptr<agents::Policy> base =
      a.features ? agents::make_baseline(network.base, s.sim) : nullptr;
  const std::unique_ptr<agents::Policy> policy =
      agents::make_learned(std::move(network), s.sim, choose_engine(a, s));
  Controller controller(s.sim, *policy, base.get());
  std::string line;
  for (std::int64_t number = 1; std::getline(std::cin, line); ++number) {
    std::string answer;
    try {
      answer = controller.answer(line);
    } catch (const InputError& e) {
      const std::string text = "line " + std::to_string(number) + ": " + e.what();
      if (!a.keep_going) throw InputError(text);
      answer = error_line(text);
    }
    print(answer);
  }
  return 0;
}

}  // namespace cra::tools
