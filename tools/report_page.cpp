// The page as a whole.
#include <algorithm>
#include <utility>

#include "tools/report.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

std::string title_of(std::span<const Case> all) {
  std::string title;
  for (std::size_t i = 0; i < all.size() && i < 4; ++i) title += (i > 0 ? ", " : "") + all[i].label;
  if (all.size() > 4) title += ", \xE2\x80\xA6";
  return title + ": does a learned allocation policy pay?";
}

/// ", trained on 1.15 M env-steps in 41 s"; "" of a result without a training.
std::string trained_words(const Case& c) {
  const auto steps = static_cast<double>(whole(*c.group("summary"), "env_steps").at(0));
  if (c.group("train") == nullptr || !(steps > 0)) return "";
  return ", trained on " + count_words(steps) + " env-steps in " +
         duration_words(doubles(*c.group("provenance"), "train_seconds").at(0));
}

std::string facts_line(const Case& c) {
  std::string text = counted(static_cast<std::size_t>(c.nodes), "node");
  if (c.slots > 0) text += ", " + counted(static_cast<std::size_t>(c.slots), "slot");
  return text + ", " + counted(static_cast<std::size_t>(c.episodes), "test episode") + ", seed " +
         std::to_string(c.seed) + trained_words(c);
}

std::string header(std::span<const Case> all) {
  std::string html = "<header><h1>" + escaped(title_of(all)) + "</h1>";
  for (const Case& c : all)
    html += "<p>" + (all.size() > 1 ? "<b>" + escaped(c.label) + "</b>: " : std::string()) +
            escaped(c.description) + " <span class=\"facts-line\">" + escaped(facts_line(c)) +
            ".</span></p>";
  return html + "</header>";
}

constexpr const char* kReading =
    "<details class=\"reading\"><summary>How to read this page</summary><p>A pool of compute nodes "
    "shares "
    "a budget. In every slot a policy chooses shares of it, before it is known what work arrives. "
    "The "
    "cost of a slot is the importance-weighted error of the nodes, which grows with waiting work "
    "(or falls "
    "with progress), plus charges for moving resource about; lower is better. All policies meet "
    "the same "
    "random input on the same frozen test episodes, so their costs can be compared episode by "
    "episode. Heuristics were tuned on other episodes; the reference is the one that is best on "
    "the test "
    "episodes. The bound is what someone who knew the whole episode in advance could reach, "
    "certified "
    "from below: part of the distance to it is information that nobody has.</p><p>Colours: <span "
    "class=\"k-learned word-key\">learned</span>, <span class=\"k-best word-key\">best tuned "
    "heuristic</span>, <span class=\"k-expert word-key\">expert rule</span>, <span "
    "class=\"k-planner "
    "word-key\">planner</span>, <span class=\"k-oracle word-key\">oracle</span>, <span "
    "class=\"k-other "
    "word-key\">other heuristics</span>, <span class=\"k-bound "
    "word-key\">bound</span>.</p></details>";

}  // namespace

std::string prose(const std::string& text) {
  std::string html = escaped(text);
  for (std::size_t at = html.find(" %"); at != std::string::npos; at = html.find(" %", at))
    html.replace(at, 2, "\xC2\xA0%");
  return html;
}

std::string figure(const std::string& heading, const Svg& svg, const std::string& caption) {
  return "<figure><h3>" + escaped(heading) + "</h3>" + svg.str() +
         "<p class=\"readout\" aria-live=\"polite\"></p><figcaption>" + prose(caption) +
         "</figcaption></figure>\n";
}

std::string figures(std::span<const Case> all, const std::vector<std::string>& kinds) {
  const std::string begin = "<div class=\"figures\">", end = "</div>";
  std::string html;
  for (const std::string& kind : kinds) {
    if (kind.empty()) continue;
    html += all.size() == 1 ? kind : begin + kind + end;
  }
  return all.size() == 1 && !html.empty() ? begin + html + end : html;
}

std::string no_figure(const std::string& heading, const std::string& why) {
  return "<figure class=\"absent\"><h3>" + escaped(heading) + "</h3><figcaption>" + escaped(why) +
         "</figcaption></figure>\n";
}

std::string section(const std::string& id, const std::string& heading, const std::string& lead,
                    const std::string& content) {
  if (content.empty()) return "";
  return "<section id=\"" + id + "\" aria-labelledby=\"" + id + "-h\"><h2 id=\"" + id + "-h\">" +
         escaped(heading) + "</h2>" +
         (lead.empty() ? "" : "<p class=\"lead\">" + escaped(lead) + "</p>") + content +
         "</section>\n";
}

std::string heading_of(std::span<const Case> all, const Case& c, const std::string& heading) {
  return all.size() > 1 ? c.label + ": " + heading : heading;
}

std::string report_html(std::vector<Case> all) {
  label_cases(all);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
      "<meta name=\"color-scheme\" content=\"light dark\"/>"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'\"/>"
      "<title>" +
      escaped(title_of(all)) + "</title>\n<style>" + report_css() + "</style></head>\n<body>\n" +
      header(all) + "<main>\n";
  html += section("answer", "The answer", "", answer_part(all) + kReading);
  html += section("policies", "Every policy", "", table_part(all));
  html += section("learning", "How it was learned", "", learning_part(all));
  html += section("episodes", "Episode by episode",
                  "All policies meet the same arrivals, failures and importance in an episode.",
                  episodes_part(all));
  html += section("slots", "Slot by slot",
                  "What the policies do with the budget in one episode that was recorded in full.",
                  slots_part(all));
  html += section("attention", "Did attention look at the right nodes?", "", attention_part(all));
  html += section("provenance", "Where this comes from", "", provenance_part(all));
  html += "</main>\n<script type=\"application/json\" id=\"cra-data\">" + data_json(all) +
          "</script>\n<script>" + report_script() + "</script>\n</body></html>\n";
  return html;
}

}  // namespace cra::tools
