// What a page says of a result, taken from its file alone.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "tools/recall.h"
#include "tools/report.h"
#include "tools/store.h"

namespace cra::tools {
namespace {

using results::GroupData;

/// A text of a resolved scenario, out of its quotes.
std::string text_of(const std::string& resolved, const std::string& key) {
  std::string value = resolved_value(resolved, key);
  if (value.empty() || value[0] != '"') return value;
  const nlohmann::json text = nlohmann::json::parse(value, nullptr, false);
  return text.is_string() ? text.get<std::string>() : value;
}

/// Rows of /eval that make up every policy of /summary: trainings share one.
std::vector<std::vector<std::size_t>> rows_of_policies(const GroupData& eval) {
  std::vector<std::vector<std::size_t>> rows;
  const auto& training = whole(eval, "training");
  for (std::size_t i = 0; i < training.size(); ++i) {
    if (training[i] > 0 && !rows.empty())
      rows.back().push_back(i);
    else
      rows.push_back({i});
  }
  return rows;
}

/// The training whose policy is stored.
std::size_t stored_training(const Case& c) {
  const GroupData* train = c.group("train");
  if (train == nullptr) return 0;
  const auto& stored = results::values<std::int8_t>(*train, "stored");
  const auto at = std::find(stored.begin(), stored.end(), std::int8_t{1});
  return at == stored.end() ? 0 : static_cast<std::size_t>(at - stored.begin());
}

std::string style_of(const PolicyEntry& e, const std::string& best) {
  if (e.name == best && e.kind == "heuristic") return "best";
  static const std::set<std::string> known{"learned", "expert", "planner", "oracle", "bound"};
  return known.contains(e.kind) ? e.kind : "other";
}

std::vector<double> mean_of_rows_of(const GroupData& eval, const std::vector<std::size_t>& rows,
                                    std::size_t episodes) {
  std::vector<double> mean(episodes, 0);
  for (const std::size_t row : rows) {
    const auto x = part(eval, "cost", row * episodes, episodes);
    for (std::size_t i = 0; i < episodes; ++i) mean[i] += x[i] / static_cast<double>(rows.size());
  }
  return mean;
}

std::vector<PolicyEntry> entrants_of(const Case& c) {
  const GroupData &summary = *c.group("summary"), &eval = *c.group("eval");
  const auto rows = rows_of_policies(eval);
  const std::size_t stored = stored_training(c);
  const auto episodes = static_cast<std::size_t>(c.episodes);
  std::vector<PolicyEntry> all;
  std::size_t next = 0;
  for (std::size_t i = 0; i < texts(summary, "policy").size(); ++i) {
    const auto number = [&](const char* name) { return doubles(summary, name).at(i); };
    PolicyEntry e;
    e.name = texts(summary, "policy")[i];
    e.kind = texts(summary, "kind").at(i);
    e.cost = number("cost");
    e.se = number("cost_se");
    e.difference = number("paired_difference");
    e.low = number("ci_low");
    e.high = number("ci_high");
    e.won = number("episodes_won");
    e.gap_closed = number("gap_closed");
    e.style = style_of(e, c.best);
    if (e.kind == "bound") {
      const auto lower = part(eval, "bound_lower", 0, episodes);
      e.episode_cost.assign(lower.begin(), lower.end());
    } else {
      if (next >= rows.size()) throw InputError(c.path + ": /summary has more policies than /eval");
      e.rows = rows[next++];
      e.shown = e.rows.size() > 1 ? e.rows.at(std::min(stored, e.rows.size() - 1)) : e.rows[0];
      e.episode_cost = mean_of_rows_of(eval, e.rows, episodes);
    }
    all.push_back(std::move(e));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const PolicyEntry& a, const PolicyEntry& b) { return a.cost < b.cost; });
  return all;
}

/// Digits after the point with which the largest cost shows four; as the table of `cra run`.
int decimals_of(const Case& c) {
  Summary s;
  for (const PolicyEntry& e : c.entrants) s.rows.emplace_back().cost.mean = e.cost;
  return decimals_for(s);
}

}  // namespace

const PolicyEntry* Case::find(const std::string& name) const {
  const auto at = std::find_if(entrants.begin(), entrants.end(),
                               [&](const PolicyEntry& e) { return e.name == name; });
  return name.empty() || at == entrants.end() ? nullptr : &*at;
}

std::vector<const PolicyEntry*> Case::drawn() const {
  std::vector<const PolicyEntry*> some;
  if (group("trajectory") == nullptr) return some;
  const auto add = [&](const PolicyEntry* e) {
    if (e != nullptr && !e->rows.empty() && some.size() < 3 &&
        std::find(some.begin(), some.end(), e) == some.end())
      some.push_back(e);
  };
  add(find(learned));
  add(find(best));
  for (const PolicyEntry& e : entrants)
    if (e.kind != "heuristic" && e.kind != "learned") add(&e);
  for (const PolicyEntry& e : entrants)
    if (some.size() < 2) add(&e);
  return some;
}

Case case_of(results::RunFile run, const std::string& path) {
  Case c;
  c.path = path;
  c.run = std::move(run);
  const GroupData& provenance = group_of(c.run, "provenance", path);
  const std::string& resolved = texts(provenance, "resolved_yaml").at(0);
  c.scenario = text_of(resolved, "name");
  if (c.scenario.empty()) c.scenario = attribute(c.run, "title");
  c.description = text_of(resolved, "description");
  c.seed = whole(provenance, "seed").at(0);
  const GroupData& summary = group_of(c.run, "summary", path);
  c.best = texts(summary, "best_heuristic").at(0);
  c.learned = texts(summary, "learned").at(0);
  c.episodes = whole(summary, "episodes").at(0);
  c.nodes = static_cast<std::int64_t>(texts(group_of(c.run, "node", path), "node").size());
  if (const GroupData* t = c.group("trajectory"))
    c.slots = static_cast<std::int64_t>(whole(*t, "slot").size());
  c.entrants = entrants_of(c);
  c.decimals = decimals_of(c);
  c.label = c.scenario;
  return c;
}

Case read_case(const std::string& path) {
  results::RunFile run = results::read_run(path);
  results::check_run(run, path);
  return case_of(std::move(run), path);
}

void label_cases(std::vector<Case>& all) {
  const auto unique = [&] {
    std::set<std::string> seen;
    return std::all_of(all.begin(), all.end(),
                       [&](const Case& c) { return seen.insert(c.label).second; });
  };
  const auto stem = [](const Case& c) { return std::filesystem::path(c.path).stem().string(); };
  if (unique()) return;
  for (Case& c : all) c.label = c.scenario + ", seed " + std::to_string(c.seed);
  if (unique()) return;
  for (Case& c : all) c.label = stem(c);
  if (unique()) return;
  for (Case& c : all) c.label = c.path;
  if (unique()) return;
  for (std::size_t i = 0; i < all.size(); ++i) all[i].label += " (" + std::to_string(i + 1) + ")";
}

bool comparable(std::span<const Case> all) {
  return std::all_of(all.begin(), all.end(),
                     [&](const Case& c) { return c.scenario == all.front().scenario; });
}

// ---- what the parts share --------------------------------------------------------------

std::vector<const PolicyEntry*> listed(const Case& c, std::size_t most, bool bound) {
  std::vector<const PolicyEntry*> all;
  std::size_t plain = 0, special = 0;
  for (const PolicyEntry& e : c.entrants) {
    if (e.kind == "bound" && !bound) continue;
    all.push_back(&e);
    (e.style == "other" ? plain : special) += 1;
  }
  const std::size_t kept = most > special ? most - special : 0;
  std::size_t seen = 0;
  std::erase_if(all, [&](const PolicyEntry* e) { return e->style == "other" && seen++ >= kept; });
  return all;
}

std::string left_out(const Case& c, std::size_t shown) {
  const auto all = static_cast<std::size_t>(
      std::count_if(c.entrants.begin(), c.entrants.end(),
                    [](const PolicyEntry& e) { return e.kind != "bound"; }));
  if (shown >= all) return "";
  return " The " + std::to_string(all - shown) + " costliest heuristics are left out.";
}

double names_width(const std::vector<std::string>& names, std::size_t most_characters) {
  double width = 0;
  for (const std::string& name : names)
    width = std::max(width, text_width(shortened(name, most_characters)));
  return width + 10;
}

std::span<const double> part(const results::GroupData& g, const std::string& name,
                             std::size_t first, std::size_t count) {
  return std::span(results::values<double>(g, name)).subspan(first, count);
}
const std::vector<std::string>& texts(const results::GroupData& g, const std::string& name) {
  return results::values<std::string>(g, name);
}
const std::vector<std::int64_t>& whole(const results::GroupData& g, const std::string& name) {
  return results::values<std::int64_t>(g, name);
}
const std::vector<double>& doubles(const results::GroupData& g, const std::string& name) {
  return results::values<double>(g, name);
}

std::string counted(std::size_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace cra::tools
