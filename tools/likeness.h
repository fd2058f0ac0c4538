// tools/likeness.h: are the numbers of two result files the same, bit for bit, and if not, which is
// the first that differs.
#pragma once

#include <string>
#include <vector>

#include "results/results.h"

namespace cra::tools {

/// The first thing in which a group of two results differs.
struct Difference {
  std::string dataset;  ///< "/eval/cost"; "/train" when the whole group is missing in one of them
  std::string where;    ///< "policy uniform, episode 3", by the labels of the axes; "" for a scalar
  std::string there;    ///< the value in the first file, or what it has instead
  std::string here;     ///< in the second
};

/// One group of two results.
struct Likeness {
  std::string group;   ///< without the slash
  std::string digest;  ///< results::digest of the group in the second file
  bool identical = false;
  Difference difference;  ///< of groups that are not identical
};

/// Every group but /provenance, which tells of the circumstances and not of the numbers, in the
/// order of the format. Groups are identical when their results::digest is.
std::vector<Likeness> compare_groups(const results::RunFile& there, const results::RunFile& here);

}  // namespace cra::tools
