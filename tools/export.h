// tools/export.h: a result in the forms of other programs. One function per form; the table in
// export.cpp pairs each with its option.
#pragma once

#include <string>

#include "results/results.h"

namespace cra::tools {

/// What a form is made from, and where it goes.
struct Export {
  const results::RunFile& run;  ///< read and checked
  const std::string& path;      ///< of the result, for messages
  const std::string& target;    ///< what stands after the option
  bool force;                   ///< existing files may be replaced
};

/// Tidy tables, one row per observation (RFC 4180 quoting, lines end in a line feed, numbers in
/// their shortest form, nothing where a number does not apply). A target that ends in .csv is one
/// table, a row per policy and test episode; any other is a folder with a table for each kind of
/// row: see FORMAT.md, "Tables".
void export_csv(const Export& e);

/// The recorded episodes of every policy as a Minari dataset, whose id is the name of the target
/// folder: data/main_data.hdf5 and data/metadata.json in it. Observations are the features that the
/// policies saw where the result has them (output.observations), else the state of the pool before
/// the slot. \throws InputError  when no episode was recorded
void export_minari(const Export& e);
/// The learned policy as an ONNX model: see FORMAT.md, "The policy in other programs". \throws
/// InputError  when there is none
void export_onnx(const Export& e);
/// The parameters of the learned policy in the safetensors format, named as in /policy. \throws
/// InputError  when there is none
void export_safetensors(const Export& e);

/// \throws Error  when `file` is there already and may not be replaced, or is the result
void refuse_existing_file(const Export& e, const std::string& file);
/// Makes the folder of an export when it is not there; one that is there must be empty or
/// replaceable. \throws Error
void prepare_target_folder(const Export& e);

}  // namespace cra::tools
