#include "tools/entrant.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "scenarios/scenario.h"
#include "tools/outputs.h"
#include "tools/recall.h"

namespace cra::tools {
namespace {

using results::GroupData;
using results::values;
using Texts = std::vector<std::string>;

// Squares and sums of costs beyond this are no longer numbers.
constexpr double kLargest = 1e100;

/// Text of a file as it may be printed: no control bytes.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

[[noreturn]] void no_such_file(const std::string& path) {
  const std::string near = scenarios::near_file(path, "");
  throw InputError(path + ": there is no such file" +
                   (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

/// The rows of /eval that are one policy of the table: a baseline, or all trainings of a run.
struct Choice {
  std::string name, kind;
  std::vector<std::size_t> rows;
};

std::vector<Choice> choices_of(const GroupData& eval, const GroupData& summary) {
  const auto& names = values<std::string>(eval, "policy");
  const auto& training = values<std::int64_t>(eval, "training");
  const auto& titles = values<std::string>(summary, "policy");
  const auto& kinds = values<std::string>(summary, "kind");
  const std::string& learned = values<std::string>(summary, "learned").at(0);
  std::vector<Choice> all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& title = training[i] >= 0 && !learned.empty() ? learned : names[i];
    const auto same =
        std::find_if(all.begin(), all.end(), [&](const Choice& c) { return c.name == title; });
    if (same != all.end()) {
      same->rows.push_back(i);
      continue;
    }
    const auto at =
        static_cast<std::size_t>(std::find(titles.begin(), titles.end(), title) - titles.begin());
    all.push_back({title, at < kinds.size() ? kinds[at] : "unknown", {i}});
  }
  return all;
}

std::string list_of(const Texts& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? " " : ", ") + ("\"" + printable(name) + "\"");
  return text;
}

[[noreturn]] void no_such_policy(const std::string& file, const std::string& name,
                                 const std::vector<Choice>& all, const Texts& single) {
  Texts known;
  for (const Choice& c : all) known.push_back(c.name);
  if (name == kClairvoyant)
    throw UsageError(file + ": \"" + name +
                     "\" is a bound and no policy; the column \"gap closed\" compares with it");
  Texts all_names = known;
  all_names.insert(all_names.end(), single.begin(), single.end());
  const std::string near = scenarios::did_you_mean(name, all_names);
  std::string text = file + ": there is no policy \"" + name + "\"";
  if (!near.empty()) text += "; did you mean \"" + printable(near) + "\"?";
  throw UsageError(text + "\n  policies:" + list_of(known));
}

Choice choose(const std::string& file, const GroupData& eval, const GroupData& summary,
              const std::string& name) {
  const std::vector<Choice> all = choices_of(eval, summary);
  if (name.empty()) {
    Texts learned;
    for (const Choice& c : all)
      if (c.kind == "learned") learned.push_back(c.name);
    if (learned.empty())
      throw UsageError(file + ": there is no learned policy in it; name another: " + file +
                       ":NAME, or --policy NAME for all files");
    if (learned.size() > 1)
      throw UsageError(file + ": there are " + std::to_string(learned.size()) +
                       " learned policies in it; name one: " + file +
                       ":NAME\n  learned policies:" + list_of(learned));
    return choose(file, eval, summary, learned.front());
  }
  for (const Choice& c : all)
    if (c.name == name) return c;
  // One training of several goes by its name in /eval.
  const auto& rows = values<std::string>(eval, "policy");
  const auto row = std::find(rows.begin(), rows.end(), name);
  if (row == rows.end()) no_such_policy(file, name, all, rows);
  return {name, "learned", {static_cast<std::size_t>(row - rows.begin())}};
}

/// The chosen rows of an array of /eval.
std::vector<double> rows_of(const GroupData& eval, const char* variable, const Choice& c) {
  const auto& all = values<double>(eval, variable);
  const auto width =
      static_cast<std::ptrdiff_t>(all.size() / values<std::string>(eval, "policy").size());
  std::vector<double> x;
  for (const std::size_t row : c.rows) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row) * width;
    x.insert(x.end(), begin, begin + width);
  }
  return x;
}

void check_sense(const std::vector<double>& x, const std::string& file, const char* what) {
  for (const double v : x)
    if (!(std::abs(v) <= kLargest))
      throw InputError(file + ": /eval/" + what + " has numbers beyond 1e100: nothing to compare");
}

Entrant entrant_of(const std::string& word, const std::string& policy) {
  Entrant e;
  e.word = word;
  const EntrantWord parts = cut(word);
  e.file = parts.file;
  if (!exists(e.file)) no_such_file(e.file);
  e.run = results::read_run(e.file);
  results::check_run(e.run, e.file);
  const GroupData& eval = group_of(e.run, "eval", e.file);
  const GroupData& summary = group_of(e.run, "summary", e.file);
  const GroupData& provenance = group_of(e.run, "provenance", e.file);
  if (values<std::string>(eval, "policy").empty() || values<std::int64_t>(eval, "episode").empty())
    throw InputError(e.file + ": there are no test episodes in it");
  const Choice c = choose(e.file, eval, summary, parts.policy.empty() ? policy : parts.policy);
  e.policy = c.name;
  e.kind = c.kind;
  e.rows = c.rows;
  e.trainings = c.rows.size();
  e.cost = rows_of(eval, "cost", c);
  e.score = rows_of(eval, "score", c);
  e.no_bound = values<std::string>(eval, "bound_reason").at(0);
  if (e.no_bound.empty()) e.lower = values<double>(eval, "bound_lower");
  check_sense(e.cost, e.file, "cost");
  check_sense(e.lower, e.file, "bound_lower");
  e.best = values<std::string>(summary, "best_heuristic").at(0);
  const auto& titles = values<std::string>(summary, "policy");
  const auto best = std::find(titles.begin(), titles.end(), e.best) - titles.begin();
  e.best_cost = e.best.empty() ? std::nan("")
                               : values<double>(summary, "cost").at(static_cast<std::size_t>(best));
  e.resolved = values<std::string>(provenance, "resolved_yaml").at(0);
  e.seed = values<std::int64_t>(provenance, "seed").at(0);
  const std::string title = attribute(e.run, "title");
  e.scenario = printable(title.substr(0, title.rfind(", seed ")));
  std::erase_if(e.run.groups, [](const GroupData& g) {
    return g.name != "node" && g.name != "eval" && g.name != "trajectory";
  });
  for (GroupData& g : e.run.groups)
    if (g.name == "trajectory")
      std::erase_if(g.variables, [](const results::Variable& v) {
        return v.name != "arrivals" && v.name != "availability" && v.name != "importance";
      });
  return e;
}

/// The file's stem, or the policy when all are of one file; with the policy behind it, or as a
/// path, where others would be called the same; with a number where even that is the same.
void add_labels(std::vector<Entrant>& all) {
  const auto stem = [](const Entrant& e) { return std::filesystem::path(e.file).stem().string(); };
  const bool one_file =
      std::all_of(all.begin(), all.end(), [&](const Entrant& e) { return e.file == all[0].file; });
  for (Entrant& e : all) {
    const auto count = [&](auto same) { return std::count_if(all.begin(), all.end(), same); };
    const bool folders =
        count([&](const Entrant& o) { return stem(o) == stem(e) && o.file != e.file; }) > 0;
    const bool policies =
        count([&](const Entrant& o) { return o.file == e.file && o.policy != e.policy; }) > 0;
    if (one_file && policies) {
      e.label = e.policy;
      continue;
    }
    const bool named = policies && e.word != e.file;
    e.label = (folders ? e.file : stem(e)) + (named ? ":" + e.policy : "");
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto earlier = std::count_if(
        all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i),
        [&](const Entrant& o) { return o.file == all[i].file && o.policy == all[i].policy; });
    if (earlier > 0) all[i].label += " (" + std::to_string(earlier + 1) + ")";
  }
  for (Entrant& e : all) {
    e.label = printable(e.label);
    e.policy = printable(e.policy);
  }
}

}  // namespace

EntrantWord cut(const std::string& word) {
  if (exists(word)) return {word, ""};
  for (std::size_t at = word.find(':'); at != std::string::npos; at = word.find(':', at + 1))
    if (exists(word.substr(0, at))) return {word.substr(0, at), word.substr(at + 1)};
  const std::size_t at = word.find(".h5:");
  if (at == std::string::npos) return {word, ""};
  return {word.substr(0, at + 3), word.substr(at + 4)};
}

std::vector<Entrant> entrants_of(const std::vector<std::string>& words, const std::string& policy) {
  std::vector<Entrant> all;
  for (const std::string& word : words) all.push_back(entrant_of(word, policy));
  add_labels(all);
  return all;
}

}  // namespace cra::tools
