// tools/commands.h: one function per subcommand. Each returns the exit code, or throws an Error.
#pragma once

#include "tools/arguments.h"
#include "tools/repeat.h"

namespace cra::tools {

constexpr int kExitRequeue = 85;

int run(const Arguments& a);
int evaluate(const Arguments& a);
/// What compared heuristics without training, once more, and whether it ended alike.
int evaluate_again(const Arguments& a, const Original& original);
int decide(const Arguments& a);
int compare(const Arguments& a);
int report(const Arguments& a);
int watch(const Arguments& a);
int check(const Arguments& a);
int export_result(const Arguments& a);
int keys(const Arguments& a);
int bench(const Arguments& a);
int doctor(const Arguments& a);
int gpu_check(const Arguments& a);

}  // namespace cra::tools
