// What the program says of itself.
#include <utility>

#include "tools/arguments.h"
#include "tools/command_table.h"

namespace cra::tools {
namespace {

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

/// A line of a list: a word and what it means.
std::string entry(std::string word, const std::string& meaning) {
  return std::string("  ").append(padded(std::move(word), 30)).append(meaning).append("\n");
}

}  // namespace

std::string short_help() {
  return "cra: is a learned allocation policy worth it, on this pool and this workload?\n"
         "\n"
         "  cra run scenarios/quickstart.yaml        train, compare with heuristics, write a "
         "result\n"
         "  cra check scenarios/quickstart.yaml      what is wrong with a scenario, with line and "
         "column\n"
         "\n"
         "Next: cra help\n";
}

std::string general_help() {
  std::string text = "usage: cra COMMAND [OPTIONS]\n\n";
  for (const Command& c : commands()) {
    text += entry(std::string("cra ") + c.name + " " + c.operand, c.doc);
  }
  text += entry("cra help exit-codes", "what the exit codes mean");
  text += entry("cra --version", "version and commit");
  text += "\nOptions of a command: cra COMMAND --help\n";
  return text;
}

std::string command_help(const std::string& command) {
  const Command& c = command_of(command);
  std::string text = std::string("usage: cra ") + c.name;
  if (*c.operand != 0) text += std::string(" ") + c.operand;
  if (c.bit == kEvaluate) text += " --policy RESULT.h5|NAME ...";
  if (c.bit == kDecide) text += " --policy RESULT.h5";
  text += " [OPTIONS]\n\n" + std::string(c.doc) + "\n";
  if (*c.more != 0) text.append("\n").append(c.more);
  text += "\noptions:\n";
  for (const Option& o : options()) {
    if ((o.commands & c.bit) == 0) continue;
    std::string word = o.letter == 0 ? "" : std::string("-") + o.letter + ", ";
    word.append("--").append(o.name);
    if (o.value != nullptr) word.append(" ").append(o.value);
    text += entry(word, o.doc);
  }
  text += entry("-h, --help", "this text");
  return text + entry("--version", "version and commit");
}

std::string exit_codes_help() {
  return "  0    all went well\n"
         "  1    failure: of the program, the disk, the machine\n"
         "  2    usage: the command line is wrong\n"
         "  3    an input file is missing, damaged or says something impossible\n"
         "  4    a sweep in which some runs failed\n"
         "  5    diverged: a number stopped being finite; the message names the array and the "
         "index\n"
         "  85   checkpointed on a signal; please requeue with --resume\n"
         "  130  interrupted (second Ctrl-C)\n";
}

}  // namespace cra::tools
