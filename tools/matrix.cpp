#include "tools/matrix.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;
using Table = std::vector<Texts>;
using Columns = std::vector<ColumnResult>;

/// Whether the names of the scenarios tell columns apart.
bool names_differ(const Columns& all) {
  return std::any_of(all.begin(), all.end(), [&](const ColumnResult& c) {
    return c.title.front() != all.front().title.front();
  });
}

/// What a column is called beside the others.
std::string short_name(const ColumnResult& c, bool with_scenario) {
  std::string text;
  for (std::size_t i = with_scenario || c.title.size() == 1 ? 0 : 1; i < c.title.size(); ++i)
    text += (text.empty() ? "" : " ") + c.title[i];
  return text;
}

/// Lines above a table: every part of the titles has one.
Table heads(const Columns& all) {
  std::size_t parts = 0;
  for (const ColumnResult& c : all) parts = std::max(parts, c.title.size());
  Table lines;
  for (std::size_t i = parts > 1 && !names_differ(all) ? 1 : 0; i < parts; ++i) {
    Texts line{"", ""};
    for (const ColumnResult& c : all) line.push_back(i < c.title.size() ? " " + c.title[i] : "");
    lines.push_back(std::move(line));
  }
  lines.back()[0] = "policy";
  lines.back()[1] = "kind";
  return lines;
}

std::string text_of(const Table& rows, std::size_t columns) {
  return table(rows, "ll" + std::string(columns, 'l'));
}

/// A cell for every policy and column. \param cell  of a row of a summary
template <class Cell>
void add_rows(const Columns& all, Cell cell, Table& lines) {
  for (std::size_t i = 0; i < all.front().summary.rows.size(); ++i) {
    const Row& first = all.front().summary.rows[i];
    Texts line{first.name, first.kind};
    for (const ColumnResult& c : all)
      line.push_back(std::string(" ").append(cell(c.summary.rows.at(i), c.summary)));
    lines.push_back(std::move(line));
  }
}

std::string costs(const Columns& all) {
  Table lines = heads(all);
  if (std::any_of(all.begin(), all.end(),
                  [](const ColumnResult& c) { return c.summary.bound.has_value(); })) {
    Texts line{kClairvoyant, "bound"};
    for (const ColumnResult& c : all)
      line.push_back(c.summary.bound
                         ? " " + short_fixed(c.summary.bound->lower.mean, decimals_for(c.summary))
                         : "");
    lines.push_back(std::move(line));
  }
  add_rows(
      all,
      [](const Row& r, const Summary& s) {
        return short_fixed(r.cost.mean, decimals_for(s)) + (r.name == s.best ? " *" : "");
      },
      lines);
  return "mean cost per slot; * the best tuned heuristic of each column\n" +
         text_of(lines, all.size());
}

std::string differences(const Columns& all) {
  Table lines = heads(all);
  add_rows(
      all,
      [](const Row& r, const Summary& s) {
        if (!r.against_best) return std::string(r.name == s.best ? "*" : "");
        const int digits = decimals_for(s);
        const results::Paired& p = *r.against_best;
        return short_fixed(p.difference, digits, true) + " [" + short_fixed(p.ci_low, digits) +
               ", " + short_fixed(p.ci_high, digits) + "]";
      },
      lines);
  return "cost against that heuristic, paired by episode (95 % interval)\n" +
         text_of(lines, all.size());
}

std::string gaps(const Columns& all) {
  Table lines = heads(all);
  add_rows(
      all,
      [](const Row& r, const Summary& s) {
        if (r.gap_closed) return fixed(100 * *r.gap_closed, 0) + " %";
        return std::string(r.name == s.best ? "*" : "");
      },
      lines);
  return "share of the gap between that heuristic and the bound that is closed\n" +
         text_of(lines, all.size());
}

/// "traffic-s1 pays in level=easy; is not decided in level=hard.", for every learned policy.
std::string verdicts(const Columns& all) {
  std::string text;
  const bool with_scenario = names_differ(all);
  for (std::size_t i = 0; i < all.front().summary.rows.size(); ++i) {
    std::string pays, fails, open;
    for (const ColumnResult& c : all) {
      const Row& r = c.summary.rows.at(i);
      if (r.kind != "learned" || !r.change) continue;
      std::string& list = r.change->high < 0 ? pays : r.change->low > 0 ? fails : open;
      list += (list.empty() ? "" : ", ") + short_name(c, with_scenario);
    }
    std::string words;
    for (const auto& [verb, list] : {std::pair{" pays in ", pays},
                                     {" does not pay in ", fails},
                                     {" is not decided in ", open}})
      if (!list.empty()) words += (words.empty() ? "" : ";") + (verb + list);
    if (!words.empty()) text += all.front().summary.rows[i].name + words + ".\n";
  }
  return text;
}

std::string results_of(const Columns& all) {
  Table lines;
  const bool with_scenario = names_differ(all);
  for (const ColumnResult& c : all)
    lines.push_back({short_name(c, with_scenario),
                     " " + std::to_string(c.headline.nodes) + " nodes",
                     std::to_string(c.headline.slots) + " slots",
                     std::to_string(c.summary.episodes) + " test episodes",
                     "seed " + std::to_string(c.headline.seed), " " + c.headline.result});
  return table(lines, "lrrrll");
}

/// A matrix as a list of rows, one for each policy.
template <class Cell>
Json matrix_of(const Columns& all, Cell cell) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < all.front().summary.rows.size(); ++i) {
    Json row = Json::array();
    for (const ColumnResult& c : all) row.push_back(cell(c.summary.rows.at(i)));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json paired_matrix(const Columns& all, double results::Paired::*member) {
  return matrix_of(all, [member](const Row& r) {
    return r.against_best ? Json((*r.against_best).*member) : Json(nullptr);
  });
}

}  // namespace

std::string matrix_text(const std::vector<ColumnResult>& all) {
  const Summary& first = all.front().summary;
  const std::string scenario = names_differ(all) ? "" : all.front().title.front() + ": ";
  std::string text = scenario + std::to_string(first.rows.size()) +
                     (first.rows.size() == 1 ? " policy" : " policies") + " in " +
                     std::to_string(all.size()) + " columns\n\n" + costs(all);
  const auto any = [&](auto has) {
    return std::any_of(all.begin(), all.end(), [&](const ColumnResult& c) {
      return std::any_of(c.summary.rows.begin(), c.summary.rows.end(), has);
    });
  };
  if (any([](const Row& r) { return r.against_best.has_value(); })) text += "\n" + differences(all);
  if (any([](const Row& r) { return r.gap_closed.has_value(); })) text += "\n" + gaps(all);
  const std::string words = verdicts(all);
  return text + (words.empty() ? "" : "\n" + words) + "\n" + results_of(all);
}

std::string matrix_json(const std::vector<ColumnResult>& all) {
  Json columns = Json::array(), names = Json::array(), policies = Json::array();
  for (const ColumnResult& c : all) {
    Json varied = Json::object();
    for (const std::string& word : c.varied) {
      const std::size_t equals = word.find('=');
      varied[word.substr(0, equals)] = word.substr(equals + 1);
    }
    Json column{{"column", c.name}, {"scenario_file", c.file}, {"varied", varied}};
    column.update(Json::parse(json_text(c.summary, c.headline)));
    columns.push_back(std::move(column));
    names.push_back(c.name);
  }
  for (const Row& r : all.front().summary.rows) policies.push_back(r.name);
  const Json object{{"schema_version", 1},
                    {"columns", columns},
                    {"matrix",
                     {{"policies", policies},
                      {"columns", names},
                      {"cost", matrix_of(all, [](const Row& r) { return Json(r.cost.mean); })},
                      {"paired_difference", paired_matrix(all, &results::Paired::difference)},
                      {"ci_low", paired_matrix(all, &results::Paired::ci_low)},
                      {"ci_high", paired_matrix(all, &results::Paired::ci_high)},
                      {"gap_closed", matrix_of(all, [](const Row& r) {
                         return r.gap_closed ? Json(*r.gap_closed) : Json(nullptr);
                       })}}}};
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cra::tools
