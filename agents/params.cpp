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

  const auto misfit = [&](const std::string& name) {
    const std::string why = is_known(name) ? baseline_misfit(name, pool) : "";
    return why.empty() ? "" : "is \"" + name + "\", which " + why;
  };
  const std::vector<std::string>& listed = p.evaluation.baselines;
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const std::string path = "evaluation.baselines[" + std::to_string(i) + "]";
    if (!is_known(listed[i]))
      problems.push_back({path, "is \"" + listed[i] + "\", expected one of " + known});
    if (const std::string why = misfit(listed[i]); !why.empty()) problems.push_back({path, why});
    if (std::find(listed.begin(), listed.begin() + static_cast<std::ptrdiff_t>(i), listed[i]) !=
        listed.begin() + static_cast<std::ptrdiff_t>(i))
      problems.push_back({path, "names \"" + listed[i] + "\" a second time"});
  }
  if (const std::string why = misfit(p.agent.base); !why.empty())
    problems.push_back({"agent.base", why});
  if (const std::string why = is_known(p.agent.base) ? unlearnable(p.agent.base) : ""; !why.empty())
    problems.push_back({"agent.base", "is \"" + p.agent.base + "\", which " + why +
                                          "; a policy can start from any other baseline"});
  if (p.agent.base != "best" && !is_known(p.agent.base))
    problems.push_back(
        {"agent.base", "is \"" + p.agent.base + "\", expected best or one of " + known});
  const auto refuse_heads = [&](const char* why) {
    problems.push_back({"agent.resource_heads", std::string("is true, but ") + why});
  };
  if (p.agent.resource_heads && pool.pool.action != sim::Action::per_resource)
    refuse_heads("pool.action is not per_resource: the pool takes one weight per node");
  if (p.agent.resource_heads && !std::holds_alternative<LogisticNormal>(p.agent.policy))
    refuse_heads("agent.policy is not logistic_normal: no other has a simplex for every resource");
  if (pool.pool.lottery() != nullptr && std::holds_alternative<Pathwise>(p.agent.learner) &&
      p.training.updates > 0)
    problems.push_back({"agent.learner",
                        "is apg, which follows the gradient through the simulator, and service by "
                        "lottery has none; learners that explore work, reinforce among them"});
  if (std::holds_alternative<Evolution>(p.agent.learner)) {
    const auto has_knobs = [&](const std::string& name) {
      return !baseline_knobs(name, pool).empty();
    };
    const auto moved = [&](const std::string& name) {
      return is_known(name) && misfit(name).empty() && unlearnable(name).empty() && has_knobs(name);
    };
    const std::vector<std::string> fitting = baselines_for(pool);
    const std::vector<std::string>& compared = listed.empty() ? fitting : listed;
    const bool best_moves = std::any_of(compared.begin(), compared.end(), moved);
    const auto other = std::find_if(fitting.begin(), fitting.end(), moved);
    const std::string base = best_moves ? "best" : other != fitting.end() ? *other : "";
    const std::string advice =
        "es moves nothing else" + (base.empty() ? "" : "; agent.base=" + base + " would do");
    if (p.agent.base == "best" && !best_moves)
      problems.push_back(
          {"agent.base",
           "is best, but nothing in evaluation.baselines has knobs to learn, and " + advice});
    if (is_known(p.agent.base) && misfit(p.agent.base).empty() && !has_knobs(p.agent.base))
      problems.push_back(
          {"agent.base", "is \"" + p.agent.base + "\", which has no knobs, and " + advice});
  }
  const std::int64_t limit = sim::evaluation_limit(pool);
  if (p.evaluation.episodes > limit)
    problems.push_back({"evaluation.episodes", "is " + std::to_string(p.evaluation.episodes) +
                                                   ", but the test part of the log holds only " +
                                                   std::to_string(limit) + " disjoint windows of " +
                                                   std::to_string(pool.workload.slots) + " slots"});
  return problems;
}

}  // namespace cra::agents
