// tools/recall.h: a result file read back: the comparison, to print it again, and the policy.
#pragma once

#include <string>
#include <vector>

#include "agents/agents.h"
#include "results/results.h"
#include "scenarios/scenario.h"
#include "tools/summary.h"

namespace cra::tools {

/// The learned policy of a result as it is stored. \throws InputError  when there is none
agents::Network stored_network(const results::RunFile& run, const std::string& path);

/// The learned policy of a result, for a pool: agents::resized() when it has another number of
/// nodes. \throws InputError  when there is none, or it does not fit that pool
/// (agents::network_misfit)
agents::Network network_of(const results::RunFile& run, const std::string& path,
                           const sim::Params& p);

/// The clairvoyant bound of the episodes in /eval, or why there is none.
agents::Bound bound_of(const results::RunFile& run, const std::string& path);

/// The comparison, computed again from the episodes in /eval.
Summary summary_of(const results::RunFile& run, const scenarios::Settings& s);

/// What the table says around it. \param path  of the result
Headline headline_of(const results::RunFile& run, const scenarios::Settings& s,
                     const std::string& path);

/// The overrides of the command line, as /provenance has them.
std::vector<std::string> recorded_overrides(const results::RunFile& run, const std::string& path);
/// What is said of attention, from /attention.
AttentionLine attention_line(const results::GroupData& attention);

/// The value of a root attribute, or "".
std::string attribute(const results::RunFile& run, const std::string& name);

/// \throws InputError  when the group is absent
const results::GroupData& group_of(const results::RunFile& run, const std::string& name,
                                   const std::string& path);

}  // namespace cra::tools
