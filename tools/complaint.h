// tools/complaint.h: how an exception looks on stderr, and which exit code it stands for.
#pragma once

namespace cra::tools {

/// Prints the exception being handled (call inside a catch block): `cra: error: ...`, or every
/// diagnostic of a scenario as `file:line:column: error: ...` with the source line and a caret.
/// \returns the exit code: 2 usage, 3 input file, 5 diverged, 1 anything else
int tell_exception();

}  // namespace cra::tools
