// tools/outputs.h: the one place that names the files a run writes, and that says no before the
// work when they cannot or must not be written.
#pragma once

#include <string>

#include "tools/arguments.h"

namespace cra::tools {

struct Outputs {
  std::string result;      ///< FILE.h5
  std::string checkpoint;  ///< FILE.h5.checkpoint
  std::string metrics;     ///< FILE.metrics.jsonl
  std::string page;        ///< FILE.html, "" without --report
};

/// \throws UsageError  when --out is given and is no name for a result file
void check_out(const Arguments& a);

/// The files of a run: from --out, or `default_stem` in results/runs under the current folder.
Outputs name_outputs(const Arguments& a, const std::string& default_stem);

/// Makes results/runs when the default is used; refuses a folder that is missing or not writable.
/// \throws Error  naming the folder and the reason
void prepare_folder(const Arguments& a, const Outputs& o);

/// \throws Error  when something is there that neither --force nor --resume allows to touch
void refuse_existing(const Arguments& a, const Outputs& o);

bool exists(const std::string& path);

}  // namespace cra::tools
