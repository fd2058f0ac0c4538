// The answer: verdict, key figures, the table, and each policy beside the best heuristic.
#include <algorithm>
#include <cmath>

#include "tools/recall.h"
#include "tools/report.h"

namespace cra::tools {
namespace {

constexpr std::size_t kMostRows = 14;

std::string percent(double share, int decimals = 0) {
  return number_text(100 * share, decimals) + "\xC2\xA0%";  // no-break space
}

std::string tile(const std::string& value, const std::string& meaning) {
  return "<div class=\"tile\"><b>" + escaped(value) + "</b><span>" + escaped(meaning) +
         "</span></div>";
}

/// Rounded up to whole percents, as in the verdict: it is a promise.
double left_to_save(double share) { return std::ceil(100 * std::max(0.0, share) - 1e-9) / 100; }

/// At most four numbers to take away.
std::string tiles(const Case& c) {
  std::string html;
  const PolicyEntry *learned = c.find(c.learned), *best = c.find(c.best),
                    *bound = c.find(kClairvoyant);
  if (learned != nullptr && best != nullptr && best->cost > 0) {
    const double change = learned->cost / best->cost - 1;
    html +=
        tile(std::string(change > 0 ? "+" : "") + percent(change, std::abs(change) < 0.1 ? 1 : 0),
             "cost of the learned policy against the best tuned heuristic, " + c.best);
    if (!std::isnan(learned->won))
      html += tile(percent(learned->won), "of " + std::to_string(c.episodes) +
                                              " test episodes cost less under the learned policy");
    if (!std::isnan(learned->gap_closed))
      html += tile(percent(learned->gap_closed),
                   "of the gap between that heuristic and the certified bound is closed");
  }
  if (learned != nullptr && bound != nullptr && learned->cost > 0)
    html += tile(percent(left_to_save(1 - bound->cost / learned->cost)),
                 "of the learned policy's cost is the most that any policy could still save");
  return html.empty() ? "" : "<div class=\"tiles\">" + html + "</div>";
}

std::string cell(const std::string& text) { return "<td>" + escaped(text) + "</td>"; }

std::string difference_text(const PolicyEntry& e, int digits) {
  return number_text(e.difference, digits, true) + " [" + number_text(e.low, digits) + ", " +
         number_text(e.high, digits) + "]";
}

std::string row_of(const Case& c, const PolicyEntry& e) {
  std::string html = "<tr class=\"k-" + e.style + "\" data-policy=\"" + escaped(e.name) +
                     "\"><th scope=\"row\"><i class=\"dot\"></i>" + escaped(e.name) +
                     "</th><td class=\"word\">" + escaped(e.kind) + "</td>";
  html += cell(number_text(e.cost, c.decimals)) +
          cell(std::isnan(e.se) ? "" : number_text(e.se, c.decimals));
  if (e.kind == "bound")
    return html + "<td colspan=\"3\" class=\"word\">certified; no policy can cost less</td></tr>";
  if (e.name == c.best && e.style == "best")
    return html + "<td class=\"word\">best tuned heuristic</td><td></td><td></td></tr>";
  html += cell(std::isnan(e.difference) ? "" : difference_text(e, c.decimals)) +
          cell(std::isnan(e.won) ? "" : percent(e.won)) +
          cell(std::isnan(e.gap_closed) ? "" : percent(e.gap_closed));
  return html + "</tr>";
}

/// What several trainings cost, one by one.
std::string trainings_note(const Case& c) {
  const PolicyEntry* learned = c.find(c.learned);
  if (learned == nullptr || learned->rows.size() < 2) return "";
  const auto episodes = static_cast<std::size_t>(c.episodes);
  std::string text = counted(learned->rows.size(), "training") + " of " + learned->name + " cost ";
  std::vector<double> costs;
  for (const std::size_t row : learned->rows) {
    costs.push_back(
        results::mean_of(part(*c.group("eval"), "cost", row * episodes, episodes)).mean);
    text += (costs.size() > 1 ? ", " : "") + number_text(costs.back(), c.decimals);
  }
  return "<p class=\"note\">" +
         escaped(text + "; standard error over them " +
                 number_text(results::mean_of(costs).se, c.decimals) + ".") +
         "</p>";
}

/// A table of some of the policies.
std::string rows_table(const Case& c, const std::vector<const PolicyEntry*>& some,
                       const std::string& caption) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\"><table class=\"policies\"><caption><span>" +
      escaped(caption) + "</span></caption><thead><tr>";
  for (const char* name : {"policy", "kind", "cost", "\xC2\xB1 se",
                           "against best heuristic (95 % interval)", "episodes won", "gap closed"})
    html.append("<th scope=\"col\">").append(name).append("</th>");
  html += "</tr></thead><tbody>";
  for (const PolicyEntry* e : some) html += row_of(c, *e);
  return html + "</tbody></table></div>";
}

/// The best policies, and the others for those who want them.
std::string table_of(const Case& c) {
  const std::vector<const PolicyEntry*> some = listed(c, kMostRows + 1, true);
  std::vector<const PolicyEntry*> others;
  for (const PolicyEntry& e : c.entrants)
    if (std::find(some.begin(), some.end(), &e) == some.end()) others.push_back(&e);
  const auto episodes = static_cast<std::size_t>(c.episodes);
  std::string html = rows_table(c, some,
                                "Mean cost per slot over " + counted(episodes, "test episode") +
                                    ", the same for every policy; lower is better") +
                     trainings_note(c);
  if (!others.empty())
    html += "<details><summary>" + counted(others.size(), "costlier heuristic") + "</summary>" +
            rows_table(c, others, "The other policies") + "</details>";
  return html;
}

/// A line for each result.
std::string joint_table(std::span<const Case> all) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\"><table><caption><span>All results, mean cost per "
      "slot</span></caption><thead><tr>";
  for (const char* name : {"result", "bound", "learned", "best heuristic",
                           "learned against best (95 % interval)", "episodes won", "gap closed"})
    html.append("<th scope=\"col\">").append(name).append("</th>");
  html += "</tr></thead><tbody>";
  std::size_t number = 0;
  for (const Case& c : all) {
    const PolicyEntry *learned = c.find(c.learned), *best = c.find(c.best),
                      *bound = c.find(kClairvoyant);
    const auto cost = [&](const PolicyEntry* e) {
      return cell(e == nullptr ? "" : number_text(e->cost, c.decimals));
    };
    html +=
        "<tr class=\"c-" + std::to_string(number++ % 7) +
        "\"><th scope=\"row\"><i class=\"dot\"></i>" + escaped(c.label) + "</th>" + cost(bound) +
        cost(learned) +
        cell(best == nullptr ? "" : number_text(best->cost, c.decimals) + " (" + best->name + ")");
    const bool paired = learned != nullptr && !std::isnan(learned->difference);
    html += cell(paired ? difference_text(*learned, c.decimals) : "") +
            cell(paired ? percent(learned->won) : "") +
            cell(paired && !std::isnan(learned->gap_closed) ? percent(learned->gap_closed) : "") +
            "</tr>";
  }
  return html + "</tbody></table></div>";
}

/// Every policy's difference to the best heuristic with its interval.
std::string forest(std::span<const Case> all, const Case& c, const Extent& extent) {
  const std::string heading = heading_of(all, c, "Difference to the best tuned heuristic");
  std::vector<const PolicyEntry*> rows = listed(c, kMostRows + 1, true);
  const bool any = std::any_of(rows.begin(), rows.end(),
                               [](const PolicyEntry* e) { return !std::isnan(e->difference); });
  const PolicyEntry* best = c.find(c.best);
  if (!any || best == nullptr)
    return no_figure(heading, "There is no tuned heuristic to compare with in this result.");
  std::vector<std::string> names;
  for (const PolicyEntry* e : rows) names.push_back(e->name);
  const double left = names_width(names, 20), step = 21;
  const Plot p{left, 10, kFigureWidth - 14, 14 + step * static_cast<double>(rows.size())};
  Svg svg(kFigureWidth, p.bottom + 40, heading,
          "Paired differences of mean cost with 95 % bootstrap intervals, one row per policy");
  const Scale x = extent.scale(p.left + 8, p.right - 8);
  draw_lower_axis(svg, p, x, "difference of mean cost per slot (left is better)", 4);
  svg.line(x(0), p.top, x(0), p.bottom, "zero");
  double y = p.top + step / 2 + 2;
  for (const PolicyEntry* e : rows) {
    svg.open("row k-" + e->style, "data-policy=\"" + escaped(e->name) + "\"");
    svg.text(left - 8, y + 4, shortened(e->name, 20), "label", "end", e->name);
    if (e->kind == "bound") {
      const double d = e->cost - best->cost;
      svg.line(x(d), y - 7, x(d), y + 7, "mark");
      const bool room = x(d) + 110 < p.right;
      svg.text(x(d) + (room ? 8 : -8), y + 4, "certified bound", "small", room ? "start" : "end");
    } else if (e == best) {
      svg.circle(x(0), y, 4.5, "mark dotmark", e->name + ": the reference");
    } else if (!std::isnan(e->difference)) {
      svg.line(x(e->low), y, x(e->high), y, "mark");
      svg.circle(x(e->difference), y, 4.5, "mark dotmark",
                 e->name + ": " + difference_text(*e, c.decimals));
    }
    svg.close();
    y += step;
  }
  return figure(heading, svg,
                "Cost minus that of " + c.best + " on the same " +
                    counted(static_cast<std::size_t>(c.episodes), "episode") +
                    ": mean, and 95 % interval of a paired bootstrap over episodes." +
                    left_out(c, rows.size() - (rows.front()->kind == "bound" ? 1U : 0U)));
}

/// Of all rows that forest() draws.
Extent forest_extent(const Case& c) {
  Extent extent;
  extent.add(0);
  const PolicyEntry* best = c.find(c.best);
  for (const PolicyEntry* e : listed(c, kMostRows + 1, true)) {
    extent.add(std::vector<double>{e->difference, e->low, e->high});
    if (e->kind == "bound" && best != nullptr) extent.add(e->cost - best->cost);
  }
  return extent;
}

std::string paragraph(const std::string& text, const char* css) {
  std::string flat = text;
  std::replace(flat.begin(), flat.end(), '\n', ' ');
  return std::string("<p class=\"") + css + "\">" + prose(flat) + "</p>";
}

}  // namespace

std::string answer_part(std::span<const Case> all) {
  std::string html;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Case& c = all[i];
    const std::string& verdict = texts(*c.group("summary"), "verdict").at(0);
    html.append("<div class=\"answer c-").append(std::to_string(i % 7)).append("\">");
    if (all.size() > 1) html.append("<h3>").append(escaped(c.label)).append("</h3>");
    html += paragraph(verdict.empty() ? "Nothing was learned here: the table compares heuristics."
                                      : verdict,
                      "verdict") +
            tiles(c);
    if (const results::GroupData* attention = c.group("attention"))
      html += paragraph(attention_text(attention_line(*attention)), "note");
    html += "</div>";
  }
  return html;
}

std::string table_part(std::span<const Case> all) {
  std::string html = all.size() > 1 ? joint_table(all) : "", differences, terms;
  Extent shared;
  for (const Case& c : all) {
    const Extent e = forest_extent(c);
    shared.add(e.low);
    shared.add(e.high);
  }
  for (const Case& c : all) {
    html += all.size() == 1 ? table_of(c)
                            : "<details><summary>" + escaped(c.label + ": all policies") +
                                  "</summary>" + table_of(c) + "</details>";
    differences += forest(all, c, comparable(all) ? shared : forest_extent(c));
    terms += terms_figure(all, c);
  }
  return html + figures(all, {differences, terms});
}

}  // namespace cra::tools
