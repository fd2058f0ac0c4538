// cra compare: which result is better, by how much, and with what confidence.
#include <algorithm>

#include "tools/commands.h"
#include "tools/comparison.h"
#include "tools/contest.h"
#include "tools/terminal.h"

namespace cra::tools {

int compare(const Arguments& a) {
  // Every comparison has its share of the 5 %, and 10,000 resamples no thinner tails.
  constexpr std::size_t kMost = 100;
  set_threads(a);
  std::vector<std::string> words = a.files;
  std::size_t reference = 0;
  if (!a.against.empty()) {
    const auto named = std::find(words.begin(), words.end(), a.against);
    reference = static_cast<std::size_t>(named - words.begin());
    if (named == words.end()) words.push_back(a.against);
  }
  if (words.size() < 2)
    throw UsageError(
        "cra compare needs two results: cra compare A.h5 B.h5, or two policies of one: "
        "cra compare A.h5 A.h5:NAME");
  if (words.size() > kMost)
    throw UsageError("cra compare takes at most " + std::to_string(kMost) + " results, got " +
                     std::to_string(words.size()));
  const std::string policy = a.policies.empty() ? "" : a.policies.front();
  const Comparison c = compare_all(entrants_of(words, policy), reference);
  print(a.json ? comparison_json(c) : comparison_text(c));
  return 0;
}

}  // namespace cra::tools
