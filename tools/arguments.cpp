#include "tools/arguments.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <string_view>

#include "scenarios/scenario.h"
#include "tools/command_table.h"

namespace cra::tools {
namespace {

namespace po = boost::program_options;

std::vector<std::string> option_words(const Command& c) {
  std::vector<std::string> words;
  for (const Option& o : options())
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
  for (const Option& o : options()) {
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

cuda::Precision precision_of(const std::string& text) {
  const auto& names = Choices<cuda::Precision>::names;
  const auto* const found = std::find(names.begin(), names.end(), text);
  if (found == names.end())
    throw UsageError("--precision is \"" + text + "\", expected fp32, tf32 or bf16");
  return static_cast<cuda::Precision>(found - names.begin());
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
  if (name == "report") a.report = true;
  if (name == "once") a.once = true;
  if (name == "emulate") a.emulate = true;
  if (name == "brief") a.brief = true;
  if (name == "rounds")
    a.rounds = static_cast<int>(whole_number("--rounds", values.at(0), 1, 1000));
  if (name == "describe") a.describe = true;
  if (name == "keep-going") a.keep_going = true;
  if (name == "features") a.features = true;
  if (name == "against") a.against = values.at(0);
  if (name == "scenario") a.scenario = values.at(0);
  if (name == "from") a.from = values.at(0);
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
  if (name == "precision") a.precision = precision_of(values.at(0));
  if (name == "out") a.out = values.at(0);
  if (name == "csv" || name == "minari" || name == "onnx" || name == "safetensors")
    a.exports.emplace_back(name, values.at(0));
}

/// What a stage of `cra bench` has no use for is a mistake.
void check_stage(const Arguments& a) {
  const auto unexpected = [&](bool given, const char* option) {
    if (given) throw UsageError(std::string(option) + " means nothing to cra bench " + a.files[0]);
  };
  if (a.files[0] != "cuda") unexpected(a.rounds > 0, "--rounds");
  if (a.files[0] != "train") unexpected(a.device != Device::automatic, "--device");
  if (a.files[0] == "sim" || a.files[0] == "cuda") {
    if (a.files.size() > 1)
      throw UsageError("unexpected word \"" + a.files[1] + "\"; the form is: cra bench " +
                       a.files[0]);
    unexpected(!a.set.empty(), "--set or --seed");
    unexpected(a.episodes > 0, "--episodes");
  } else if (a.files[0] == "bound") {
    unexpected(a.threads > 0, "--threads");
  }
}

void check_operands(const Arguments& a, const Command& c) {
  const std::string call = "cra " + std::string(c.name);
  if (!a.from.empty() && !a.files.empty())
    throw UsageError("--from takes the scenario from a result: there is no place for " +
                     a.files[0]);
  if (a.from.empty() && a.files.size() < c.fewest) {
    const char* what = c.bit == kBench                        ? "a stage"
                       : c.bit == kWatch                      ? "a file or a folder"
                       : c.bit == kExport || c.bit == kReport ? "a result file"
                       : c.bit == kEvaluate || c.most == 1    ? "a scenario file"
                                                              : "a file";
    throw UsageError(call + " needs " + what + ": " + call + " " + c.operand);
  }
  if (a.files.size() > c.most) {
    if (c.bit == kDecide)
      throw UsageError("unexpected word \"" + a.files[0] +
                       "\"; cra decide takes a pool as --scenario " + a.files[0]);
    throw UsageError("unexpected word \"" + a.files[c.most] + "\"; the form is: " + call +
                     (*c.operand == 0 ? "" : " ") + c.operand);
  }
  for (const std::string& f : a.files)
    if (f.empty()) throw UsageError(call + ": a file name is empty");
  if (c.bit == kBench) check_stage(a);
  if (a.precision != cuda::Precision::fp32 && a.device != Device::cuda)
    throw UsageError("--precision is how products are made on a GPU: it needs --device cuda");
  if (a.resume && a.force) {
    throw UsageError("--resume continues a run and --force starts it again: give one of them");
  }
  if (c.bit == kEvaluate && a.policies.empty()) {
    throw UsageError("cra evaluate needs --policy: a result file or the name of a heuristic");
  }
  if (c.bit == kDecide && a.policies.empty()) {
    throw UsageError("cra decide needs --policy: a result file with a learned policy");
  }
  if (c.bit == kExport && a.exports.empty()) {
    throw UsageError("cra export needs a form: --csv, --minari, --onnx or --safetensors");
  }
  if (a.markdown && a.json_schema) {
    throw UsageError("--markdown and --json-schema are two forms of one list: give one of them");
  }
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
    const auto spec = std::find_if(options().begin(), options().end(),
                                   [&](const Option& x) { return o.string_key == x.name; });
    if (spec != options().end() && !spec->repeats) {
      if (std::find(seen.begin(), seen.end(), flag) != seen.end()) {
        throw UsageError(flag + " is given twice");
      }
      seen.push_back(flag);
    }
    if (spec != options().end() && spec->value != nullptr) {
      for (const std::string& v : o.value)
        if (v.empty()) throw UsageError(flag + " needs a value");
    }
    store(a, o.string_key, o.value, seed);
  }
  if (a.help || a.command == "version") return a;
  if (!seed.empty()) a.set.push_back("seed=" + seed);
  if (c.bit == kCompare && a.policies.size() > 1) {
    // It takes one name; files may follow it.
    a.files.insert(a.files.end(), a.policies.begin() + 1, a.policies.end());
    a.policies.resize(1);
  }
  check_operands(a, c);
  return a;
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
