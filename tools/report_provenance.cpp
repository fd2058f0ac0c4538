// Where a result comes from, how to repeat it, what its heuristics were tuned to.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/assemble.h"
#include "tools/recall.h"
#include "tools/report.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

std::string fact(const std::string& name, const std::string& value, bool code = false) {
  if (value.empty()) return "";
  const std::string text = escaped(value);
  return "<tr><th scope=\"row\">" + escaped(name) + "</th><td>" +
         (code ? "<code>" + text + "</code>" : text) + "</td></tr>";
}

std::string folded(const std::string& summary, const std::string& text) {
  if (text.empty()) return "";
  return "<details><summary>" + escaped(summary) +
         "</summary><pre class=\"scroll\" tabindex=\"0\">" + escaped(text) + "</pre></details>";
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// {"hdf5":"1.10.8"} as "hdf5 1.10.8"; as it is when it is something else.
std::string libraries_of(const std::string& json) {
  const auto object = nlohmann::ordered_json::parse(json, nullptr, false);
  if (!object.is_object()) return json;
  std::string all;
  for (const auto& item : object.items())
    if (item.value().is_string())
      all += (all.empty() ? "" : ", ") + item.key() + " " + item.value().get<std::string>();
  return all;
}

/// What every heuristic was tuned to.
std::string tuning_of(const Case& c) {
  const results::GroupData* g = c.group("tuning");
  if (g == nullptr) return "";
  std::string rows;
  for (std::size_t i = 0; i < texts(*g, "baseline").size(); ++i)
    if (results::values<std::int8_t>(*g, "chosen")[i] != 0)
      rows += "<tr><th scope=\"row\">" + escaped(texts(*g, "baseline")[i]) +
              "</th><td class=\"word\"><code>" + escaped(texts(*g, "knobs")[i]) +
              "</code></td><td>" + number_text(doubles(*g, "cost")[i], c.decimals) + "</td></tr>";
  if (rows.empty()) return "";
  return "<details><summary>Knobs of the heuristics</summary><div class=\"scroll\" "
         "tabindex=\"0\"><table>"
         "<caption><span>Chosen on tuning episodes, then frozen</span></caption><thead><tr><th "
         "scope=\"col\">heuristic</th><th scope=\"col\">knobs</th><th scope=\"col\">cost on the "
         "tuning "
         "episodes</th></tr></thead><tbody>" +
         rows + "</tbody></table></div></details>";
}

std::string facts_of(const Case& c) {
  const results::GroupData& p = *c.group("provenance");
  const auto text = [&](const char* name) { return texts(p, name).at(0); };
  std::string html =
      fact("result", c.path, true) + fact("scenario", text("scenario_path"), true) +
      fact("overrides", one_line(text("overrides")), true) + fact("seed", std::to_string(c.seed)) +
      fact("command", one_line(text("command_line")), true) +
      fact("program", "cra " + text("version") + ", commit " + text("git_commit")) +
      fact("built by", text("compiler") + ", " + text("build_flags")) +
      fact("libraries", libraries_of(text("libraries"))) +
      fact("machine", text("host") + ", " + text("cpu")) +
      fact("threads, device", std::to_string(whole(p, "threads").at(0)) + ", " + text("device")) +
      fact("started, finished", text("started") + ", " + text("finished"));
  const double seconds = doubles(p, "train_seconds").at(0);
  const std::int64_t steps = whole(*c.group("summary"), "env_steps").at(0);
  if (steps > 0)
    html += fact(
        "training",
        count_words(static_cast<double>(steps)) + " env-steps in " + duration_words(seconds) +
            ", " +
            counted(static_cast<std::size_t>(std::max<std::int64_t>(0, whole(p, "attempts").at(0))),
                    "start"));
  html += fact("random numbers", text("rng")) +
          fact("digest of the run", attribute(c.run, kRunDigest), true);
  return "<div class=\"scroll\" tabindex=\"0\"><table class=\"facts\"><tbody>" + html +
         "</tbody></table></div>";
}

}  // namespace

std::string provenance_part(std::span<const Case> all) {
  std::string html;
  for (const Case& c : all) {
    const results::GroupData& p = *c.group("provenance");
    if (all.size() > 1) html.append("<h3>").append(escaped(c.label)).append("</h3>");
    html +=
        facts_of(c) +
        "<p class=\"note\">To repeat it: the command above with the same version of the program "
        "and the scenario below; on a machine of the same kind all numbers come out the same to "
        "the "
        "last bit.</p>" +
        tuning_of(c) + folded("Scenario as given", texts(p, "scenario_yaml").at(0)) +
        folded("Scenario with every key", texts(p, "resolved_yaml").at(0));
  }
  return html;
}

}  // namespace cra::tools
