// tools/assemble_groups.h (internal): the groups of a result file, one function each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tools/assemble.h"

namespace cra::tools {

using results::Data;
using results::GroupData;
using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// "Does not apply".
inline constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// 0, 1, ..., n - 1.
inline Integers numbers(std::int64_t n) {
  Integers x(static_cast<std::size_t>(n));
  std::iota(x.begin(), x.end(), std::int64_t{0});
  return x;
}
inline Data text(std::string x) { return Texts{std::move(x)}; }
inline Data number(double x) { return Doubles{x}; }
inline Data integer(std::int64_t x) { return Integers{x}; }

/// The name of the alternative a variant of kinds holds.
template <class V>
std::string kind_of(const V& kinds) {
  return std::visit([](const auto& k) { return std::string(k.name); }, kinds);
}
/// The word that stands for an enumerator in scenario files.
template <class E>
std::string choice(E value) {
  return Choices<E>::names.at(static_cast<std::size_t>(value));
}

/// "group-3" for nodes of a named group, "node-3" otherwise; counted within the pool.
Texts node_names(const sim::Pool& p);
/// Labels of an axis must differ, names in a scenario need not.
Texts resource_names(const sim::Pool& p);

GroupData node_group(const sim::Params& p, const sim::Exogenous& x);
GroupData train_group(const agents::Training& settings,
                      const std::vector<agents::TrainState>& trainings);
GroupData eval_group(const std::vector<Candidate>& all, const sim::Exogenous& x,
                     const agents::Bound& bound);
GroupData trajectory_group(const std::vector<Candidate>& all, const sim::Params& p,
                           const sim::Exogenous& x);
GroupData attention_group(const Explained& e, const sim::Pool& pool);
GroupData policy_group(const agents::Network& n, const scenarios::Settings& s);
GroupData tuning_group(const std::vector<agents::Tuning>& all);
GroupData summary_group(const Summary& s, std::int64_t env_steps);

}  // namespace cra::tools
