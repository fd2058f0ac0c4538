#include "tools/match.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

namespace cra::tools {
namespace {

using results::GroupData;
using results::values;
using scenarios::Difference;
using Doubles = std::vector<double>;

/// Keys that say how policies are made and what is stored, not what they meet. What policies may
/// see (observation) belongs to the making: it changes no episode.
bool makes_policies(const std::string& path) {
  static constexpr std::array<std::string_view, 9> kSections{
      "version", "name",     "description", "observation", "attention",
      "agent",   "training", "evaluation",  "output"};
  if (path == "evaluation.episodes") return false;
  const std::string_view top = std::string_view(path).substr(0, path.find('.'));
  return std::find(kSections.begin(), kSections.end(), top) != kSections.end();
}

bool names_file(const Difference& d) {
  return d.path.size() > 5 && d.path.substr(d.path.size() - 5) == ".file";
}

std::string shortened(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.empty()) return "absent";
  return text.size() > 40 ? text.substr(0, 37) + "..." : text;
}

std::string words(const std::vector<Difference>& all) {
  constexpr std::size_t kShown = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kShown); ++i)
    text += (i > 0 ? ", " : "") + all[i].path + " (" + shortened(all[i].a) + " and " +
            shortened(all[i].b) + ")";
  if (all.size() > kShown) text += ", and " + std::to_string(all.size() - kShown) + " more";
  return text;
}

bool close(double a, double b, double relative, double absolute) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::abs(a - b) <= absolute + relative * std::max(std::abs(a), std::abs(b));
}

/// Index of the first of the leading `count` numbers that are not the same.
std::optional<std::size_t> first_unlike(const Doubles& a, const Doubles& b, std::size_t count,
                                        double relative, double absolute = 0) {
  for (std::size_t i = 0; i < count; ++i)
    if (i >= a.size() || i >= b.size() || !close(a[i], b[i], relative, absolute)) return i;
  return std::nullopt;
}

constexpr double kRounding = 1e-9;    // of sums of some 1e5 terms, on another processor
constexpr double kSolver = 1e-6;      // to which a bound is converged,
constexpr double kSmallBound = 1e-9;  // where it is not next to 0

const Doubles* doubles(const GroupData* g, const std::string& name) {
  if (g == nullptr) return nullptr;
  for (const results::Variable& v : g->variables)
    if (v.name == name) return std::get_if<Doubles>(&v.data);
  return nullptr;
}

/// The first array of /node that is not the same, or "".
std::string unlike_pool(const Entrant& a, const Entrant& b) {
  const GroupData *x = a.run.group("node"), *y = b.run.group("node");
  if (x == nullptr || y == nullptr) return "node";
  for (const results::Variable& v : x->variables) {
    const Doubles* mine = std::get_if<Doubles>(&v.data);
    if (mine == nullptr) continue;
    const Doubles* other = doubles(y, v.name);
    if (other == nullptr || other->size() != mine->size() ||
        first_unlike(*mine, *other, mine->size(), kRounding))
      return v.name;
  }
  return "";
}

/// Costs of equal shares, which depend on nothing but the episode.
Doubles uniform_costs(const Entrant& e) {
  const GroupData& eval = *e.run.group("eval");
  const auto& names = values<std::string>(eval, "policy");
  const auto row = std::find(names.begin(), names.end(), "uniform") - names.begin();
  const auto at = static_cast<std::size_t>(row);
  if (at == names.size() || values<std::int64_t>(eval, "training")[at] >= 0) return {};
  const auto& cost = values<double>(eval, "cost");
  const auto width = static_cast<std::ptrdiff_t>(cost.size() / names.size());
  return {cost.begin() + row * width, cost.begin() + (row + 1) * width};
}

/// What does not agree in the random input of the recorded episodes, or "".
std::string unlike_input(const Entrant& a, const Entrant& b, std::size_t common, Match& m) {
  const GroupData *x = a.run.group("trajectory"), *y = b.run.group("trajectory");
  if (x == nullptr || y == nullptr) return "";
  const std::size_t slots = values<std::int64_t>(*x, "slot").size();
  const std::size_t nodes = values<std::string>(*x, "node").size();
  const std::size_t episodes = std::min({values<std::int64_t>(*x, "episode").size(),
                                         values<std::int64_t>(*y, "episode").size(), common});
  if (slots != values<std::int64_t>(*y, "slot").size() ||
      nodes != values<std::string>(*y, "node").size())
    return "their episodes have other lengths";
  for (const char* name : {"arrivals", "availability", "importance"})
    if (const auto i = first_unlike(values<double>(*x, name), values<double>(*y, name),
                                    episodes * slots * nodes, kRounding))
      return std::string("the ") + name + " of episode " +
             std::to_string(*i / std::max<std::size_t>(1, slots * nodes)) + " differ";
  if (episodes > 0)
    m.evidence.push_back("what happens in the first " + std::to_string(episodes) +
                         (episodes == 1 ? " episode" : " episodes") + " (/trajectory)");
  return "";
}

/// Says in `m` what agrees on the episodes that both have. \returns what does not, or ""
std::string contradiction(const Entrant& a, const Entrant& b, std::size_t common, Match& m) {
  const auto& of_a = values<std::int64_t>(*a.run.group("eval"), "episode");
  const auto& of_b = values<std::int64_t>(*b.run.group("eval"), "episode");
  if (!std::equal(of_a.begin(), of_a.begin() + static_cast<std::ptrdiff_t>(common), of_b.begin()))
    return "their episodes have other numbers";
  if (const std::string name = unlike_pool(a, b); !name.empty())
    return "the pools differ in /node/" + name;
  m.evidence.emplace_back("the pool (/node)");
  if (std::string what = unlike_input(a, b, common, m); !what.empty()) return what;
  const Doubles uniform_a = uniform_costs(a), uniform_b = uniform_costs(b);
  if (!uniform_a.empty() && !uniform_b.empty()) {
    if (const auto i = first_unlike(uniform_a, uniform_b, common, kRounding))
      return "equal shares (uniform) do not cost the same in episode " + std::to_string(*i);
    m.evidence.emplace_back("the cost of equal shares (uniform) in every episode");
  }
  if (!a.lower.empty() && !b.lower.empty()) {
    if (const auto i = first_unlike(a.lower, b.lower, common, kSolver, kSmallBound))
      return "the certified bounds of episode " + std::to_string(*i) + " differ";
    m.evidence.emplace_back("the certified bound of every episode");
  }
  return "";
}

/// Whether values of the pool or the workload are drawn from the seed.
bool seed_draws_world(const Entrant& e) {
  return e.resolved.find("{uniform: [") != std::string::npos;
}

void set_apart(const Entrant& a, const Entrant& b, Match& m) {
  const std::string seeds =
      "their seeds differ (" + std::to_string(a.seed) + " and " + std::to_string(b.seed) + ")";
  const std::string name = unlike_pool(a, b);
  if (!name.empty() || seed_draws_world(a)) {
    m.why = seeds + ", and the seed draws the pool as well" +
            (name.empty() ? "" : ": /node/" + name + " differs");
    return;
  }
  m.footing = Footing::unpaired;
  m.why = seeds;
}

/// Sorts the keys that differ. \returns those that no seed, number of episodes or file name
/// explains
std::vector<Difference> sort_keys(const Entrant& a, const Entrant& b, Match& m) {
  std::vector<Difference> unexplained;
  for (Difference& d : scenarios::differences(a.resolved, b.resolved)) {
    if (d.path == "name" || d.path == "description") continue;
    const bool making = makes_policies(d.path);
    if (!making && d.path != "seed" && d.path != "evaluation.episodes" && !names_file(d))
      unexplained.push_back(d);
    (making ? m.making : m.world).push_back(std::move(d));
  }
  return unexplained;
}

bool any(const std::vector<Difference>& all, bool (*is)(const Difference&)) {
  return std::any_of(all.begin(), all.end(), is);
}

/// Of results of two files.
void match_files(const Entrant& a, const Entrant& b, Match& m) {
  const std::vector<Difference> unexplained = sort_keys(a, b, m);
  if (!unexplained.empty()) {
    m.why = "their scenarios differ in " + words(unexplained);
    return;
  }
  if (any(m.world, [](const Difference& d) { return d.path == "seed"; })) {
    set_apart(a, b, m);
    return;
  }
  const std::size_t common = std::min(a.episodes(), b.episodes());
  const std::string what = contradiction(a, b, common, m);
  if (!what.empty()) {
    m.evidence.clear();
    m.why = "their scenarios are the same and their episodes are not: " + what +
            " (another log or curve behind the same name, or another version of the program)";
  } else if (any(m.world, names_file) && m.evidence.size() < 2) {
    m.why =
        "their logs have other names, and nothing in the files tells whether these hold the same";
  } else {
    m.footing = Footing::paired;
    m.episodes = common;
  }
}

}  // namespace

Match match(const Entrant& a, const Entrant& b) {
  Match m;
  if (a.file == b.file && a.rows != b.rows &&
      std::any_of(a.rows.begin(), a.rows.end(), [&](std::size_t row) {
        return std::find(b.rows.begin(), b.rows.end(), row) != b.rows.end();
      })) {
    m.why = "one of them is among the trainings of the other";
    return m;
  }
  if (a.file == b.file) {
    m.evidence.emplace_back("one file");
    m.footing = Footing::paired;
    m.episodes = a.episodes();
  } else {
    try {
      match_files(a, b, m);
    } catch (const InputError& e) {
      m = {};
      m.why = std::string("/provenance/resolved_yaml of one of them is ") + e.what();
    }
  }
  if (m.footing != Footing::none && std::min(a.episodes(), b.episodes()) < 2) {
    m.footing = Footing::none;
    m.why = "one test episode says nothing of how much episodes scatter";
  }
  return m;
}

}  // namespace cra::tools
