// cra export: a result in the forms of other programs.
#include "tools/export.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

namespace fs = std::filesystem;

/// \param option  as it is called in the command table
struct Form {
  const char* option;
  void (*write)(const Export&);
};
constexpr std::array kForms{Form{"csv", export_csv}, Form{"minari", export_minari},
                            Form{"onnx", export_onnx}, Form{"safetensors", export_safetensors}};

const Form& form_of(const std::string& option) {
  const auto* found =
      std::find_if(kForms.begin(), kForms.end(), [&](const Form& f) { return option == f.option; });
  CRA_CHECK(found != kForms.end(), "no form for --" + option);
  return *found;
}

}  // namespace

void refuse_existing_file(const Export& e, const std::string& file) {
  std::error_code ignored;
  if (fs::equivalent(e.path, file, ignored))
    throw UsageError(file + " is the result itself: the export needs another name");
  if (!e.force && exists(file)) throw Error(file + " exists; --force replaces it");
}

void prepare_target_folder(const Export& e) {
  std::error_code error;
  const fs::file_status status = fs::status(e.target, error);
  if (fs::exists(status) && !fs::is_directory(status))
    throw Error("cannot write " + e.target + ": it is not a folder");
  fs::create_directories(e.target, error);
  if (error) throw Error("cannot make the folder " + e.target + ": " + error.message());
  const bool empty = fs::is_empty(e.target, error);
  if (error) throw Error("cannot read the folder " + e.target + ": " + error.message());
  if (!empty && !e.force)
    throw Error("the folder " + e.target + " is not empty; --force replaces files in it");
}

int export_result(const Arguments& a) {
  const std::string& path = a.files.at(0);
  const results::RunFile run = results::read_run(path);
  results::check_run(run, path);
  for (const auto& [option, target] : a.exports) {
    form_of(option).write({run, path, target, a.force});
    if (!a.quiet) print(target + "\n");
  }
  return 0;
}

}  // namespace cra::tools
