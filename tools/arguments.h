// tools/arguments.h: the command line as a struct. One table of commands and one of options feed
// the parser, the help and the suggestions.
//
// Boost.Program_options splits the words; its number parsing and guessing are not used: they take
// `--seed -1` for 2^64 - 1 and `--se` for `--seed`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/cuda.h"
#include "sim/base.h"

namespace cra::tools {

enum class Device { automatic, cpu, cuda };

/// What one call of the program asks for.
struct Arguments {
  std::string command;             ///< "run", ..., or "help" or "version"
  std::vector<std::string> files;  ///< the words that are no options
  std::vector<std::string> set;    ///< key.path=value, in order; `--seed N` is `seed=N` at the end
  std::vector<std::string> policies;           ///< of --policy
  std::vector<std::vector<std::string>> vary;  ///< the words of every --vary
  int threads = 0;                             ///< 0 = choose
  std::int64_t episodes = 0;                   ///< of --episodes; 0 = choose
  Device device = Device::automatic;
  cuda::Precision precision = cuda::Precision::fp32;  ///< of products on the GPU
  std::string out;                                    ///< empty = the default path
  std::vector<std::pair<std::string, std::string>>
      exports;  ///< form and target, as given: {"csv", "tables"}
  bool resume = false, force = false, dry_run = false;
  bool json = false, quiet = false, verbose = false;
  std::string scenario;  ///< of --scenario
  std::string from;      ///< of --from
  bool report = false;   ///< of --report
  bool once = false;
  bool emulate = false, brief = false;
  int rounds = 0;  ///< of --rounds; 0 = choose
  bool describe = false, keep_going = false, features = false;
  std::string against;  ///< of --against
  bool markdown = false, json_schema = false;
  bool help = false;
  std::vector<std::string> words;  ///< the call as it was given, the program's name first
};

/// Reads a command line. \throws UsageError  saying what was found and what would be right
Arguments parse_arguments(const std::vector<std::string>& words);

/// A whole number without sign or leading zeros (`010` is 8 to some and 10 to others).
/// \throws UsageError  naming `option` when `text` is anything else or outside [lo, hi]
std::int64_t whole_number(const std::string& option, const std::string& text, std::int64_t lo,
                          std::int64_t hi);

/// Names of the subcommands, in the order of the help.
std::vector<std::string> command_names();

/// What `cra` alone prints: two examples and the next command to try.
std::string short_help();
/// What `cra help` prints.
std::string general_help();
/// What `cra COMMAND --help` prints.
std::string command_help(const std::string& command);
/// What `cra help exit-codes` prints.
std::string exit_codes_help();

/// The call again with `--resume` and without `--force`, quoted for a shell.
std::string resume_command(const Arguments& a);

}  // namespace cra::tools
