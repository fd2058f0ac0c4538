// cra check: scenarios and result files, every error of every file.
#include <algorithm>
#include <array>
#include <exception>
#include <fstream>

#include "results/results.h"
#include "scenarios/scenario.h"
#include "tools/commands.h"
#include "tools/complaint.h"
#include "tools/recall.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

/// Result files are known by HDF5's signature, whatever they are called.
bool is_hdf5(const std::string& path) {
  static constexpr std::array<char, 8> kSignature{'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::array<char, 8> head{};
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), head.size());
  return in.gcount() == static_cast<std::streamsize>(head.size()) && head == kSignature;
}

bool named_result(const std::string& path) {
  return path.size() > 3 && path.substr(path.size() - 3) == ".h5";
}

/// \returns what the file is, in words
std::string check_file(const std::string& path) {
  if (results::named_segment(path)) {
    const results::GroupData part = results::read_segment(path);
    const auto& episodes = results::values<std::int64_t>(part, "episode");
    return "segment of a result, " + std::to_string(episodes.size()) + " episodes";
  }
  if (is_hdf5(path) || named_result(path)) {
    const results::RunFile run = results::read_run(path);
    results::check_run(run, path);
    const auto& policies = results::values<std::string>(group_of(run, "eval", path), "policy");
    return "result, " + std::to_string(policies.size()) + " policies, " +
           std::to_string(
               results::values<std::int64_t>(group_of(run, "summary", path), "episodes").at(0)) +
           " test episodes";
  }
  const scenarios::Settings s = scenarios::load(path, {}).settings;
  return "scenario " + s.name + ", " + std::to_string(s.sim.pool.nodes) + " nodes, " +
         std::to_string(s.sim.workload.slots) + " slots";
}

}  // namespace

int check(const Arguments& a) {
  int worst = 0;
  for (const std::string& path : a.files) {
    try {
      const std::string what = check_file(path);
      if (!a.quiet) print(path + ": ok (" + what + ")\n");
    } catch (const InputError&) {
      worst = tell_exception();
    }
  }
  return worst;
}

}  // namespace cra::tools
