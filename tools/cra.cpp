// cra: is a learned allocation policy worth it? The composition root: the only place that turns
// errors into exit codes.
#include <array>
#include <exception>
#include <string>
#include <vector>

#include "sim/base.h"
#include "tools/arguments.h"
#include "tools/arithmetic.h"
#include "tools/commands.h"
#include "tools/complaint.h"
#include "tools/provenance.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace {

using namespace cra;  // NOLINT(google-build-using-namespace): main file

int help(const tools::Arguments& a) {
  if (a.files.empty()) {
    tools::print(tools::general_help());
  } else if (a.files[0] == "exit-codes") {
    tools::print(tools::exit_codes_help());
  } else {
    tools::print(tools::command_help(a.files[0]));
  }
  return 0;
}

int dispatch(const tools::Arguments& a) {
  struct Entry {
    const char* name;
    int (*call)(const tools::Arguments&);
  };
  static constexpr auto kEntries = std::to_array<Entry>({{"run", tools::run},
                                                         {"evaluate", tools::evaluate},
                                                         {"decide", tools::decide},
                                                         {"compare", tools::compare},
                                                         {"report", tools::report},
                                                         {"watch", tools::watch},
                                                         {"check", tools::check},
                                                         {"export", tools::export_result},
                                                         {"keys", tools::keys},
                                                         {"bench", tools::bench},
                                                         {"doctor", tools::doctor},
                                                         {"gpu-check", tools::gpu_check},
                                                         {"help", help}});
  if (a.command.empty()) {
    tools::tell(tools::short_help());
    return 2;
  }
  if (a.command == "version") {
    tools::print("cra " + tools::version() + " (commit " + tools::commit() + ")\n");
    return 0;
  }
  if (a.help) {
    tools::print(tools::command_help(a.command));
    return 0;
  }
  if (a.command == "run" || a.command == "evaluate" || a.command == "decide")
    tools::require_sound_arithmetic();
  for (const Entry& e : kEntries)
    if (a.command == e.name) return e.call(a);
  throw Error("command " + a.command + " has no function");
}

}  // namespace

int main(int argc, char** argv) {
  tools::ignore_broken_pipes();
  try {
    return dispatch(tools::parse_arguments({argv, argv + argc}));
  } catch (const std::exception&) {
    return tools::tell_exception();
  }
}
