// cra report: results as one page of HTML.
#include "tools/report.h"

#include <filesystem>
#include <utility>

#include "tools/commands.h"
#include "tools/entrant.h"
#include "tools/outputs.h"
#include "tools/report_command.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

void write_pages(std::vector<Case> all, const std::string& path) {
  const std::string html = report_html(std::move(all));
  results::write_file(path, std::as_bytes(std::span(html)));
}

}  // namespace

std::string page_beside(const std::string& result) {
  return std::filesystem::path(result).replace_extension(".html").string();
}

void write_page(results::RunFile run, const std::string& result, const std::string& page) {
  std::vector<Case> one;
  one.push_back(case_of(std::move(run), result));
  write_pages(std::move(one), page);
}

int report(const Arguments& a) {
  for (const std::string& word : a.files)
    if (const EntrantWord parts = cut(word); !parts.policy.empty())
      throw UsageError("cra report takes whole results, " + parts.file +
                       "; one policy of a result, " + word + ", is for cra compare");
  const std::string out = a.out.empty() ? page_beside(a.files.front()) : a.out;
  for (const std::string& file : a.files)
    if (std::filesystem::path(file).lexically_normal() ==
        std::filesystem::path(out).lexically_normal())
      throw UsageError("--out is \"" + out +
                       "\", one of the results; expected a name for the page");
  if (!a.force && exists(out)) throw Error(out + " exists; --force replaces it");
  std::vector<Case> all;
  for (const std::string& file : a.files) all.push_back(read_case(file));
  write_pages(std::move(all), out);
  print(out + "\n");
  return 0;
}

}  // namespace cra::tools
