#include "tools/arguments.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <string_view>

#include "scenarios/scenario.h"

namespace cra::tools {
namespace {

namespace po = boost::program_options;

enum CommandBit : unsigned {
  kRun = 1,
  kEvaluate = 2,
  kCheck = 4,
  kKeys = 8,
  kDoctor = 16,
  kBench = 32,
  kDecide = 64,
  kAll = 127,
};

struct Command {
  const char* name;
  unsigned bit;
  const char* operand;
  std::size_t fewest, most;  ///< operands
  const char* doc;
  const char* more;  ///< paragraphs of `cra COMMAND --help`
};

constexpr std::array<Command, 7> kCommands{{
    {"run", kRun, "SCENARIO.yaml", 1, 1,
     "train the agent the scenario names, evaluate it beside all heuristics and the bound",
     "The knobs of every heuristic are tuned on training episodes; all policies then meet the "
     "same\n"
     "frozen test episodes. The reference is the tuned heuristic with the lowest mean cost on the\n"
     "test episodes: the strongest one in hindsight, so that learning is not flattered.\n"
     "\n"
     "FILE.h5 appears only when it is complete. Beside it, while the run lasts:\n"
     "FILE.metrics.jsonl (one line per update; stays) and FILE.h5.checkpoint (goes at the end).\n"
     "Ctrl-C, TERM or USR1 finish the update, write the checkpoint and exit with 85; a second\n"
     "Ctrl-C stops at once. --resume continues from the checkpoint, bit for bit; where there is\n"
     "none it starts from the beginning, and where the result is complete it prints it again.\n"},
    {"evaluate", kEvaluate, "SCENARIO.yaml...", 1, 100000,
     "evaluate without training: saved policies, or heuristics by name",
     "A word after --policy that names a file is a result file, and stands for the learned policy\n"
     "in it, called by the file's name; any other word is a heuristic, tuned in every scenario\n"
     "before it is compared there.\n"
     "\n"
     "With several scenarios, or values of --vary, the policies meet the test episodes of each, "
     "and\n"
     "the table is a matrix: policies by scenarios. A learned policy runs in pools of another "
     "size,\n"
     "and under any load or trace, as long as its features are there. Every column has a result\n"
     "file of its own; FILE.h5 of --out then stands for FILE-COLUMN.h5.\n"
     "\n"
     "  cra evaluate scenarios/traffic.yaml --policy traffic.h5 gcmu_soft \\\n"
     "      --vary workload.level=easy,normal,hard\n"
     "  cra evaluate scenarios/traffic.yaml --policy traffic.h5 gcmu_soft \\\n"
     "      --set workload.importance=1 --vary pool.nodes=12,24,48 pool.budget=12,24,48\n"},
    {"decide", kDecide, "", 0, 0,
     "a saved policy in a real controller: measurements in, shares out, a line a slot",
     "Reads one JSON object per slot on standard input and answers each with one on standard\n"
     "output, flushed. A line holds what was measured since the line before, a list with a number "
     "for\n"
     "each node; --describe prints which quantities this policy needs, with unit and range. What\n"
     "follows from them is kept here: averages of arrivals, time since a failure, errors, rates "
     "under\n"
     "lag. The pool is that of the result, changed by --set, or that of --scenario.\n"
     "\n"
     "  {\"backlog\": [0.5, 0, 2], \"arrivals\": [1.2, 0.3, 0.9]}\n"
     "  "
     "{\"slot\":4,\"proportions\":[0.3,0.1,0.6],\"grant\":[0.9,0.3,1.8],\"use\":[[0.9,0.3,1.8]]}\n"
     "\n"
     "\"slot\" counts from 0 in every episode; \"grant\" is the work rate to set for each node, "
     "within\n"
     "budgets and capacities; \"use\" is what it takes of each resource; \"reserve\" the share "
     "kept "
     "back,\n"
     "where the pool has one. The first line of an episode may be {}: nothing has ended before "
     "it.\n"
     "{\"reset\": true} begins a new episode; alone it is answered {\"reset\":true}, beside "
     "measurements\n"
     "it is the first slot. \"episode\", a text or a number, is given back. Where the policy sees "
     "an "
     "old\n"
     "state (observation.delay), lines tell what is known by then, and are {} as long as that is\n"
     "nothing new: nothing is delayed here.\n"
     "\n"
     "A line that is no such object, lacks or repeats a field, or has one that is unknown, too "
     "short,\n"
     "not finite or out of range ends the program with exit code 3 and a message that names line "
     "and\n"
     "field; with --keep-going it is answered {\"error\": \"...\"} and changes nothing.\n"},
    {"check", kCheck, "FILE...", 1, 100000,
     "validate scenarios and result files; every error at once, with file:line:column",
     "Result files are known by their first bytes, whatever their names; all else is read as a\n"
     "scenario. Prints `FILE: ok ...` for the good ones; exits with 3 when any is bad.\n"},
    {"keys", kKeys, "[PREFIX]", 0, 1, "every scenario key: type, unit, range, default, meaning",
     "PREFIX shows the keys below it only, for example `cra keys pool`.\n"},
    {"bench", kBench, "STAGE [FILE...]", 1, 100000,
     "speed of the stages here; STAGE is sim, attention, or bound with scenario files",
     "sim: the simulator beside what this machine's memory allows, medians over repeated episodes "
     "on\n"
     "one thread and on all; tools/bench_sim.py sets it against NumPy. attention: its core on one\n"
     "thread, beside the rate of multiply-adds. bound: slack of the clairvoyant bound, and CPU\n"
     "seconds of one thread per episode, on the first test episodes of each scenario;\n"
     "without files, of scenarios/ traffic, burst_reserve, node_failures and training. Slack is "
     "(upper -\n"
     "lower) / upper of the means, upper as replayed in the simulator; worst that of one episode;\n"
     "solver that of the clairvoyant problem itself. Compare figures of one call only: other "
     "programs\n"
     "on the machine slow it down.\n"},
    {"doctor", kDoctor, "", 0, 0,
     "what this build and machine have: threads, vector width, GPU, HDF5, Slurm; paste-ready", ""},
}};

struct Option {
  const char* name;
  char letter;        ///< 0 = none
  const char* value;  ///< nullptr for a switch
  bool repeats;
  unsigned commands;
  const char* doc;
};

constexpr std::array<Option, 19> kOptions{{
    {"policy", 0, "RESULT.h5|NAME ...", true, kEvaluate | kDecide,
     "evaluate: what to compare, several words, repeatable; decide: one result file"},
    {"scenario", 0, "SCENARIO.yaml", false, kDecide,
     "the pool to decide for; default that of the result"},
    {"describe", 0, nullptr, false, kDecide,
     "print the fields of input and output as JSON, and read nothing"},
    {"keep-going", 0, nullptr, false, kDecide,
     "answer a wrong line with {\"error\": ...} instead of stopping"},
    {"set", 0, "KEY.PATH=VALUE", true, kRun | kEvaluate | kDecide | kBench,
     "override a key of the scenario; repeatable, in order (see cra keys)"},
    {"vary", 0, "KEY.PATH=V1,V2,... ...", true, kEvaluate,
     "a column for every value; keys of one --vary change together, several --vary combine"},
    {"seed", 0, "N", false, kRun | kEvaluate | kBench,
     "root of all random numbers; the same as --set seed=N"},
    {"episodes", 0, "N", false, kBench, "of bound: test episodes of each scenario; default 24"},
    {"threads", 0, "N", false, kRun | kEvaluate | kBench,
     "default: OMP_NUM_THREADS, else SLURM_CPUS_PER_TASK, else all; never changes a result"},
    {"device", 0, "auto|cpu|cuda", false, kRun | kEvaluate,
     "where the network runs; auto is the CPU in this version"},
    {"out", 0, "FILE.h5", false, kRun | kEvaluate,
     "result file; default results/runs/<scenario>-s<seed>.h5 (evaluate: ...-evaluate.h5)"},
    {"resume", 0, nullptr, false, kRun, "continue an interrupted run; nothing there: start"},
    {"force", 0, nullptr, false, kRun | kEvaluate, "replace existing files"},
    {"dry-run", 0, nullptr, false, kRun | kEvaluate,
     "print the resolved scenario and the planned work; write nothing"},
    {"json", 0, nullptr, false, kRun | kEvaluate | kDoctor | kBench,
     "one JSON object on stdout instead of text; errors stay text on stderr"},
    {"quiet", 0, nullptr, false, kRun | kEvaluate | kCheck, "no progress and no notes on stderr"},
    {"verbose", 'v', nullptr, false, kRun | kEvaluate, "more notes on stderr"},
    {"markdown", 0, nullptr, false, kKeys, "as a Markdown table"},
    {"json-schema", 0, nullptr, false, kKeys, "as JSON Schema (draft 7), for editors"},
}};

const Command& command_of(const std::string& name) {
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(),
                                   [&](const Command& c) { return name == c.name; });
  if (found != kCommands.end()) return *found;
  std::vector<std::string> known = command_names();
  known.emplace_back("help");
  const bool option = name[0] == '-';
  if (option) known = {"--help", "--version"};
  const std::string near = scenarios::did_you_mean(name, known);
  std::string text = std::string("unknown ") + (option ? "option \"" : "command \"") + name + "\"";
  if (!near.empty()) text += "; did you mean \"" + near + "\"?";
  text += option ? "\n  options of cra:" : "\n  known commands:";
  for (const std::string& k : known) text += (&k == known.data() ? " " : ", ") + k;
  throw UsageError(text);
}

std::vector<std::string> option_words(const Command& c) {
  std::vector<std::string> words;
  for (const Option& o : kOptions)
    if ((o.commands & c.bit) != 0) words.push_back("--" + std::string(o.name));
  words.emplace_back("--help");
  words.emplace_back("--version");
  return words;
}

[[noreturn]] void unknown_option(const Command& c, const std::string& token) {
  const std::vector<std::string> known = option_words(c);
  const std::string word = token.substr(0, token.find('='));
  const std::string bare = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  const std::string near = scenarios::did_you_mean("--" + bare, known);
  std::string text = "unknown option \"" + word + "\"";
  if (!near.empty()) text += "; did you mean \"" + near + "\"?";
  text += "\n  options of cra " + std::string(c.name) + ":";
  for (const std::string& k : known) text += (&k == known.data() ? " " : ", ") + k;
  throw UsageError(text);
}

po::options_description describe(const Command& c) {
  po::options_description all;
  for (const Option& o : kOptions) {
    if ((o.commands & c.bit) == 0) continue;
    std::string name = o.name;
    if (o.letter != 0) name += std::string(",") + o.letter;
    if (o.value == nullptr) {
      all.add_options()(name.c_str(), "");
    } else {
      auto* value = po::value<std::vector<std::string>>();
      const std::string_view option = o.name;
      if (option == "policy" || option == "vary") value->multitoken();
      all.add_options()(name.c_str(), value, "");
    }
  }
  all.add_options()("help,h", "")("version", "")("operand", po::value<std::vector<std::string>>(),
                                                 "");
  return all;
}

/// Splits the words after the command. Boost's own texts do not say what would be right.
std::vector<po::option> split(const Command& c, const std::vector<std::string>& words) {
  using Style = po::command_line_style::style_t;
  constexpr int kStyle = Style::allow_long | Style::long_allow_adjacent | Style::long_allow_next |
                         Style::allow_short | Style::allow_dash_for_short |
                         Style::short_allow_next | Style::allow_sticky;
  const po::options_description all = describe(c);
  po::positional_options_description operands;
  operands.add("operand", -1);
  try {
    return po::command_line_parser(words)
        .options(all)
        .positional(operands)
        .style(kStyle)
        .allow_unregistered()
        .run()
        .options;
  } catch (const po::invalid_command_line_syntax& e) {
    using Kind = po::invalid_syntax::kind_t;
    const std::string name = e.get_option_name();
    if (e.kind() == Kind::extra_parameter) throw UsageError(name + " takes no value");
    throw UsageError(name + " needs a value");
  } catch (const po::error& e) {
    throw UsageError(e.what());
  }
}

Device device_of(const std::string& text) {
  if (text == "auto") return Device::automatic;
  if (text == "cpu") return Device::cpu;
  if (text == "cuda") return Device::cuda;
  // No suggestion: one edit leads from "gpu" to "cpu", which is not what is meant.
  throw UsageError("--device is \"" + text + "\", expected auto, cpu or cuda");
}

bool ends_in(const std::string& word, std::string_view end) {
  return word.size() > end.size() && word.substr(word.size() - end.size()) == end;
}

/// Options that take several words also take the scenario that follows them: it goes where it
/// belongs. \returns the others
std::vector<std::string> without_scenarios(const std::vector<std::string>& words, Arguments& a) {
  std::vector<std::string> left;
  for (const std::string& word : words) {
    const bool scenario =
        (ends_in(word, ".yaml") || ends_in(word, ".yml")) && word.find('=') == std::string::npos;
    (scenario ? a.files : left).push_back(word);
  }
  return left;
}

void store(Arguments& a, const std::string& name, const std::vector<std::string>& values,
           std::string& seed) {
  if (name == "help") a.help = true;
  if (name == "version") a.command = "version";
  if (name == "resume") a.resume = true;
  if (name == "force") a.force = true;
  if (name == "dry-run") a.dry_run = true;
  if (name == "json") a.json = true;
  if (name == "quiet") a.quiet = true;
  if (name == "verbose") a.verbose = true;
  if (name == "markdown") a.markdown = true;
  if (name == "describe") a.describe = true;
  if (name == "keep-going") a.keep_going = true;
  if (name == "scenario") a.scenario = values.at(0);
  if (name == "json-schema") a.json_schema = true;
  if (name == "operand") a.files.push_back(values.at(0));
  if (name == "set") a.set.push_back(values.at(0));
  if (name == "policy") {
    const std::vector<std::string> words = without_scenarios(values, a);
    a.policies.insert(a.policies.end(), words.begin(), words.end());
  }
  if (name == "vary") a.vary.push_back(without_scenarios(values, a));
  if (name == "seed") seed = std::to_string(whole_number("--seed", values.at(0), 0, 1LL << 53));
  if (name == "threads") {
    a.threads = static_cast<int>(whole_number("--threads", values.at(0), 1, 1024));
  }
  if (name == "episodes") a.episodes = whole_number("--episodes", values.at(0), 1, 1000000);
  if (name == "device") a.device = device_of(values.at(0));
  if (name == "out") a.out = values.at(0);
}

/// What a stage of `cra bench` has no use for is a mistake.
void check_stage(const Arguments& a) {
  const auto unexpected = [&](bool given, const char* option) {
    if (given) throw UsageError(std::string(option) + " means nothing to cra bench " + a.files[0]);
  };
  if (a.files[0] == "sim") {
    if (a.files.size() > 1)
      throw UsageError("unexpected word \"" + a.files[1] + "\"; the form is: cra bench sim");
    unexpected(!a.set.empty(), "--set or --seed");
    unexpected(a.episodes > 0, "--episodes");
  } else if (a.files[0] == "bound") {
    unexpected(a.threads > 0, "--threads");
  }
}

void check_operands(const Arguments& a, const Command& c) {
  const std::string call = "cra " + std::string(c.name);
  if (a.files.size() < c.fewest) {
    const char* what = c.bit == kBench                     ? "a stage"
                       : c.bit == kEvaluate || c.most == 1 ? "a scenario file"
                                                           : "a file";
    throw UsageError(call + " needs " + what + ": " + call + " " + c.operand);
  }
  if (a.files.size() > c.most) {
    throw UsageError("unexpected word \"" + a.files[c.most] + "\"; the form is: " + call +
                     (*c.operand == 0 ? "" : " ") + c.operand);
  }
  for (const std::string& f : a.files)
    if (f.empty()) throw UsageError(call + ": a file name is empty");
  if (c.bit == kBench) check_stage(a);
  if (a.resume && a.force) {
    throw UsageError("--resume continues a run and --force starts it again: give one of them");
  }
  if (c.bit == kEvaluate && a.policies.empty()) {
    throw UsageError("cra evaluate needs --policy: a result file or the name of a heuristic");
  }
  if (c.bit == kDecide && a.policies.empty()) {
    throw UsageError("cra decide needs --policy: a result file with a learned policy");
  }
  if (a.markdown && a.json_schema) {
    throw UsageError("--markdown and --json-schema are two forms of one list: give one of them");
  }
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789._-+=/:,@%") == std::string::npos;
  if (plain) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::int64_t whole_number(const std::string& option, const std::string& text, std::int64_t lo,
                          std::int64_t hi) {
  const std::string expected =
      "expected a whole number from " + std::to_string(lo) + " to " + std::to_string(hi);
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  if (text.empty() || error != std::errc() || stop != end || leading_zero || value < lo ||
      value > hi) {
    throw UsageError(option + " is \"" + text + "\", " + expected);
  }
  return value;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& c : kCommands) names.emplace_back(c.name);
  return names;
}

Arguments parse_arguments(const std::vector<std::string>& words) {
  Arguments a;
  a.words = words;
  if (words.size() < 2) {
    a.command = "";
    return a;
  }
  const std::string& first = words[1];
  if (first == "help" || first == "--help" || first == "-h") {
    a.command = "help";
    a.files.assign(words.begin() + 2, words.end());
    return a;
  }
  if (first == "--version" || first == "version") {
    a.command = "version";
    return a;
  }
  const Command& c = command_of(first);
  a.command = c.name;
  std::string seed;
  std::vector<std::string> seen;
  for (const po::option& o : split(c, {words.begin() + 2, words.end()})) {
    if (o.unregistered) unknown_option(c, o.original_tokens.at(0));
    const std::string flag = "--" + o.string_key;
    const auto* spec = std::find_if(kOptions.begin(), kOptions.end(),
                                    [&](const Option& x) { return o.string_key == x.name; });
    if (spec != kOptions.end() && !spec->repeats) {
      if (std::find(seen.begin(), seen.end(), flag) != seen.end()) {
        throw UsageError(flag + " is given twice");
      }
      seen.push_back(flag);
    }
    if (spec != kOptions.end() && spec->value != nullptr) {
      for (const std::string& v : o.value)
        if (v.empty()) throw UsageError(flag + " needs a value");
    }
    store(a, o.string_key, o.value, seed);
  }
  if (a.help || a.command == "version") return a;
  if (!seed.empty()) a.set.push_back("seed=" + seed);
  check_operands(a, c);
  return a;
}

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
  for (const Command& c : kCommands) {
    text += "  " + padded(std::string("cra ") + c.name + " " + c.operand, 30) + c.doc + "\n";
  }
  text += "  " + padded("cra help exit-codes", 30) + "what the exit codes mean\n";
  text += "  " + padded("cra --version", 30) + "version and commit\n";
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
  if (*c.more != 0) text += "\n" + std::string(c.more);
  text += "\noptions:\n";
  for (const Option& o : kOptions) {
    if ((o.commands & c.bit) == 0) continue;
    std::string word = o.letter == 0 ? "" : std::string("-") + o.letter + ", ";
    word += "--" + std::string(o.name);
    if (o.value != nullptr) word += " " + std::string(o.value);
    text += "  " + padded(word, 30) + o.doc + "\n";
  }
  text += "  " + padded("-h, --help", 30) + "this text\n";
  return text + "  " + padded("--version", 30) + "version and commit\n";
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

std::string resume_command(const Arguments& a) {
  std::string text;
  for (const std::string& word : a.words) {
    if (word == "--force" || word == "--resume") continue;
    text += (text.empty() ? "" : " ") + quoted(word);
  }
  return text + " --resume";
}

}  // namespace cra::tools
