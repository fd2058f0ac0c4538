// What the numbers of /attention must satisfy.
#include <algorithm>
#include <cmath>
#include <set>

#include "results/schema.h"

namespace cra::results {
namespace {

using Doubles = std::vector<double>;

constexpr double kTolerance = 1e-9;
// Attention weights are floats: each is off by at most 6e-8 of itself, and so is their sum.
constexpr double kFloats = 1e-6;

/// What may be compared with the marginal value; all but the first are called as their arrays are.
bool is_compared(const std::string& quantity) {
  return quantity == "attention" || quantity == "allocation" || quantity == "base" ||
         quantity == "backlog";
}

class AttentionChecker {
 public:
  AttentionChecker(const GroupData& group, const std::string& path)
      : group_(group),
        path_(path),
        nodes_(values<std::string>(group, "node").size()),
        slots_(values<std::int64_t>(group, "episode").size() *
               values<std::int64_t>(group, "slot").size()) {}

  void is_of(const GroupData& eval) const {
    const std::string& policy = values<std::string>(group_, "policy")[0];
    const auto& policies = values<std::string>(eval, "policy");
    if (std::find(policies.begin(), policies.end(), policy) == policies.end())
      throw InputError(path_ + ": /attention/policy is \"" + policy +
                       "\", which is not a policy of /eval");
    const auto& known = values<std::int64_t>(eval, "episode");
    const std::set<std::int64_t> episodes(known.begin(), known.end());
    const auto& explained = values<std::int64_t>(group_, "episode");
    for (std::size_t i = 0; i < explained.size(); ++i)
      if (!episodes.contains(explained[i]))
        refuse("episode", i, std::to_string(explained[i]) + ", which is not an episode of /eval");
    const auto& slots = values<std::int64_t>(group_, "slot");
    const std::int64_t map_slot = values<std::int64_t>(group_, "map_slot")[0];
    if (std::find(slots.begin(), slots.end(), map_slot) == slots.end())
      refuse("map_slot", 0, std::to_string(map_slot) + ", which is not one of the slots");
  }

  /// Rows over the nodes are distributions.
  void sums_to_one(const char* name, double tolerance) const {
    const auto& x = values<double>(group_, name);
    for (std::size_t i = 0; i < x.size(); i += nodes_) {
      double sum = 0;
      for (std::size_t n = i; n < i + nodes_; ++n) {
        if (x[n] < 0) refuse(name, n, "below 0");
        sum += x[n];
      }
      if (std::abs(sum - 1) > tolerance)
        refuse(name, i, "the first of a row whose sum is " + std::to_string(sum));
    }
  }

  void entropy_is_of_received() const {
    const auto& received = values<double>(group_, "received");
    Doubles entropy(slots_, 0);
    for (std::size_t i = 0; i < received.size(); ++i)
      if (received[i] > 0) entropy[i / nodes_] -= received[i] * std::log(received[i]);
    same("entropy", entropy, "which is not that of /attention/received");
  }

  void correlations_follow() const {
    const auto& quantities = values<std::string>(group_, "quantity");
    const auto& value = values<double>(group_, "marginal_value");
    Doubles correlation, mean, se;
    for (std::size_t q = 0; q < quantities.size(); ++q) {
      if (!is_compared(quantities[q])) refuse("quantity", q, "\"" + quantities[q] + "\"");
      const auto& x =
          values<double>(group_, quantities[q] == "attention" ? "received" : quantities[q]);
      for (std::size_t i = 0; i < slots_; ++i)
        correlation.push_back(rank_correlation(std::span(x).subspan(i * nodes_, nodes_),
                                               std::span(value).subspan(i * nodes_, nodes_)));
      const Mean over_episodes = mean_of_rows(std::span(correlation).subspan(q * slots_),
                                              values<std::int64_t>(group_, "episode").size());
      mean.push_back(over_episodes.mean);
      se.push_back(over_episodes.se);
    }
    const char* const why = "which does not follow from the ranks";
    same("rank_correlation", correlation, why);
    same("mean_correlation", mean, why);
    same("correlation_se", se, why);
  }

 private:
  [[noreturn]] void refuse(const char* variable, std::size_t i, const std::string& what) const {
    throw InputError(path_ + ": /attention/" + variable + "[" + std::to_string(i) +
                     "] (row-major) is " + what);
  }

  void same(const char* name, const Doubles& expected, const char* why) const {
    const auto& x = values<double>(group_, name);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (std::isnan(x[i]) != std::isnan(expected[i]) || std::abs(x[i] - expected[i]) > kTolerance)
        refuse(name, i, std::to_string(x[i]) + ", " + why);
  }

  const GroupData& group_;
  const std::string& path_;
  std::size_t nodes_, slots_;
};

}  // namespace

void check_attention(const GroupData& attention, const GroupData& eval, const std::string& path) {
  const AttentionChecker check(attention, path);
  check.is_of(eval);
  check.sums_to_one("received", kFloats);
  check.sums_to_one("allocation", kTolerance);
  check.sums_to_one("base", kTolerance);
  check.sums_to_one("map", kFloats);
  check.entropy_is_of_received();
  check.correlations_follow();
}

}  // namespace cra::results
