// Checks across keys of the agent, training and evaluation sections.
#include <algorithm>

#include "agents/agents.h"

namespace cra::agents {

std::vector<Problem> check(const Params& p, const sim::Params& pool) {
  std::vector<Problem> problems;
  const std::vector<std::string> names = baseline_names();
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  const auto is_known = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };

  const std::vector<std::string> suited = baselines_for(pool);
  const auto suits = [&](const std::string& name) {
    return !is_known(name) || std::find(suited.begin(), suited.end(), name) != suited.end();
  };
  const std::string mismatch = ", which reads queues, but this pool has progress nodes";
  const std::vector<std::string>& listed = p.evaluation.baselines;
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const std::string path = "evaluation.baselines[" + std::to_string(i) + "]";
    if (!is_known(listed[i]))
      problems.push_back({path, "is \"" + listed[i] + "\", expected one of " + known});
    if (!suits(listed[i])) problems.push_back({path, "is \"" + listed[i] + "\"" + mismatch});
    if (std::find(listed.begin(), listed.begin() + static_cast<std::ptrdiff_t>(i), listed[i]) !=
        listed.begin() + static_cast<std::ptrdiff_t>(i))
      problems.push_back({path, "names \"" + listed[i] + "\" a second time"});
  }
  if (!suits(p.agent.base))
    problems.push_back({"agent.base", "is \"" + p.agent.base + "\"" + mismatch});
  if (p.agent.base != "best" && !is_known(p.agent.base))
    problems.push_back(
        {"agent.base", "is \"" + p.agent.base + "\", expected best or one of " + known});
  const std::int64_t limit = sim::evaluation_limit(pool);
  if (p.evaluation.episodes > limit)
    problems.push_back({"evaluation.episodes", "is " + std::to_string(p.evaluation.episodes) +
                                                   ", but the last part of the trace holds only " +
                                                   std::to_string(limit) + " disjoint windows of " +
                                                   std::to_string(pool.workload.slots) + " slots"});
  return problems;
}

}  // namespace cra::agents
