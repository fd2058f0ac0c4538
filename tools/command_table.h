// tools/command_table.h (internal): the commands and options of the program, with their help.
#pragma once

#include <span>
#include <string>

namespace cra::tools {

enum CommandBit : unsigned {
  kRun = 1,
  kEvaluate = 2,
  kCheck = 4,
  kKeys = 8,
  kDoctor = 16,
  kBench = 32,
  kDecide = 64,
  kExport = 128,
  kCompare = 256,
  kReport = 512,
  kWatch = 1024,
  kGpuCheck = 2048,
};

struct Command {
  const char* name;
  unsigned bit;
  const char* operand;
  std::size_t fewest, most;  ///< operands
  const char* doc;
  const char* more;  ///< paragraphs of `cra COMMAND --help`
};

struct Option {
  const char* name;
  char letter;        ///< 0 = none
  const char* value;  ///< nullptr for a switch
  bool repeats;
  unsigned commands;
  const char* doc;
};

/// All of them, in the order of the help.
std::span<const Command> commands();
std::span<const Option> options();
/// \throws UsageError  on an unknown name, with what is known
const Command& command_of(const std::string& name);

}  // namespace cra::tools
