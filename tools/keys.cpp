// cra keys: the description of every scenario key.
#include "scenarios/scenario.h"
#include "tools/commands.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

/// "pool" covers pool, pool.nodes and pool[...], not pools.
bool below(const std::string& path, const std::string& prefix) {
  if (path.compare(0, prefix.size(), prefix) != 0) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '.' || path[prefix.size()] == '[';
}

}  // namespace

int keys(const Arguments& a) {
  if (a.markdown || a.json_schema) {
    if (!a.files.empty()) {
      throw UsageError("cra keys: a prefix and --markdown or --json-schema do not go together");
    }
    print(a.markdown ? scenarios::keys_markdown() : scenarios::keys_json_schema());
    return 0;
  }
  std::vector<std::vector<std::string>> rows{
      {"key", "type", "unit", "range", "default", "meaning"}};
  std::vector<std::string> paths;
  for (const scenarios::KeyInfo& k : scenarios::keys()) {
    paths.push_back(k.path);
    if (a.files.empty() || below(k.path, a.files[0])) {
      rows.push_back({k.path, k.type, k.unit, k.range, k.default_, k.doc});
    }
  }
  if (rows.size() == 1) {
    const std::string near = scenarios::did_you_mean(a.files[0], paths);
    throw UsageError(
        "there is no key \"" + a.files[0] + "\"" +
        (near.empty() ? "; cra keys lists all of them" : "; did you mean \"" + near + "\"?"));
  }
  print(table(rows, "llllll"));
  return 0;
}

}  // namespace cra::tools
