#include "tools/outputs.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "results/results.h"
#include "tools/report_command.h"

namespace cra::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultFolder = "results/runs";
constexpr std::size_t kLongestName = 200;  // leaves room for suffixes within the usual 255

}  // namespace

void check_out(const Arguments& a) {
  const std::string& out = a.out;
  if (out.empty()) return;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
  if (std::any_of(out.begin(), out.end(), control)) {
    throw UsageError("--out: the file name contains a control character");
  }
  const std::string name = fs::path(out).filename().string();
  const std::string given = "--out is \"" + out + "\"";
  if (name.size() < 4 || name.substr(name.size() - 3) != ".h5") {
    throw UsageError(given + ", expected a file name that ends in .h5");
  }
  if (out[0] == '-' || name[0] == '-') {
    throw UsageError(given +
                     "; a name that begins with \"-\" looks like an option to other programs");
  }
  if (name.size() > kLongestName) {
    throw UsageError("--out: the file name has " + std::to_string(name.size()) +
                     " bytes, at most " + std::to_string(kLongestName) + " are allowed");
  }
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

Outputs name_outputs(const Arguments& a, const std::string& default_stem) {
  const std::string result =
      a.out.empty() ? std::string(kDefaultFolder) + "/" + default_stem + ".h5" : a.out;
  const std::string stem = result.substr(0, result.size() - 3);
  return {result, result + ".checkpoint", stem + ".metrics.jsonl",
          a.report ? page_beside(result) : std::string()};
}

void prepare_folder(const Arguments& a, const Outputs& o) {
  fs::path folder = fs::path(o.result).parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  if (a.out.empty()) {
    fs::create_directories(folder, error);
    if (error) throw Error("cannot make the folder " + folder.string() + ": " + error.message());
  }
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found || status.type() == fs::file_type::none) {
    throw Error("cannot write " + o.result + ": there is no folder " + folder.string());
  }
  if (status.type() != fs::file_type::directory) {
    throw Error("cannot write " + o.result + ": " + folder.string() + " is not a folder");
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    throw Error("cannot write " + o.result + ": folder " + folder.string() + ": " +
                std::strerror(errno));
  }
  if (fs::is_directory(o.result, error)) {
    throw Error("cannot write " + o.result + ": it is a folder");
  }
}

void refuse_existing(const Arguments& a, const Outputs& o) {
  if (a.force || a.resume) return;
  if (exists(o.result)) {
    const std::string again = a.command == "run" ? ", --resume prints it again" : "";
    throw Error(o.result + " exists; --force replaces it" + again);
  }
  if (const std::string segment = results::segment_path(o.result, 1); exists(segment))
    throw Error(segment + " is there, of a result that is not; --force replaces it");
  if (!o.page.empty() && exists(o.page)) throw Error(o.page + " exists; --force replaces it");
  if (a.command != "run") return;
  for (const std::string& left : {o.checkpoint, o.checkpoint + ".previous", o.metrics}) {
    if (exists(left)) {
      throw Error(left +
                  " is there from an unfinished run; --resume continues it, --force starts again");
    }
  }
}

}  // namespace cra::tools
