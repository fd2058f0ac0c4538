// tools/repeat.h: a run again, from its result file alone: what it was, whether this program and
// these logs can give the same bits, and whether they did.
#pragma once

#include <string>
#include <vector>

#include "results/results.h"
#include "scenarios/scenario.h"
#include "tools/arguments.h"
#include "tools/likeness.h"

namespace cra::tools {

/// A result whose run is to be repeated.
struct Original {
  std::string path;
  results::RunFile run;
  scenarios::Scenario scenario;        ///< as recorded, its logs read again
  bool trained = false;                ///< of `cra run`; otherwise of `cra evaluate`
  std::vector<std::string> baselines;  ///< of `cra evaluate`: what it compared
};

/// Reads the result of --from, and its scenario from /provenance. Warns of everything that may
/// change bits: another version, compiler, processor or library.
/// \throws UsageError  when --set changes anything but where a log or a curve is
/// \throws InputError  when the result is damaged; when a log or a curve is not the one it was;
/// when
///                     the result compares saved policies of other files, which are not in it
Original original_of(const Arguments& a);

/// \throws UsageError  when a result of this path would take the place of the original
void spare_original(const Original& o, const std::string& result);

/// The end of a repeated run: prints `shown` (its table, or with --json its object) and whether the
/// result is that of the original, group by group. \returns the exit code: 0 when it is, 1 when not
int tell_likeness(const Arguments& a, const Original& o, const std::string& shown,
                  const std::string& result);

}  // namespace cra::tools
