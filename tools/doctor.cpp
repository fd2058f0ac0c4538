// cra doctor: what this build and this machine have, to paste into a report.
#include <omp.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cuda/cuda.h"
#include "results/results.h"
#include "tools/arithmetic.h"
#include "tools/commands.h"
#include "tools/contest.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

std::string arithmetic() {
  const std::string broken = broken_arithmetic();
  return broken.empty() ? "ok (isnan, rounding to nearest, denormals)" : "broken: " + broken;
}

/// Two locks on one name in this folder: the second must be refused.
std::string locking() {
  const std::string path = ".cra-doctor-" + std::to_string(getpid());
  try {
    const results::Lock first(path);
    try {
      const results::Lock second(path);
      return "broken: two locks on one file; do not let two runs share an output here";
    } catch (const Error&) {
      return "ok (in the current folder)";
    }
  } catch (const Error& e) {
    return std::string("not possible: ") + e.what();
  }
}

std::string joined(const Facts& facts) {
  std::string text;
  for (const auto& [name, value] : facts) text += (text.empty() ? "" : ", ") + name + " " + value;
  return text.empty() ? "none" : text;
}

}  // namespace

int doctor(const Arguments& a) {
  std::string gpus;
  for (const std::string& name : cuda::devices()) gpus += (gpus.empty() ? "" : ", ") + name;
  const std::string arithmetic_state = arithmetic();
  const Facts facts{
      {"cra", version()},
      {"commit", commit()},
      {"compiler", compiler()},
      {"flags", build_flags()},
      {"vectors", "built for " + vector_compiled() + ", this machine has " + vector_available()},
      {"libraries", joined(libraries())},
      {"host", host()},
      {"processor", processor()},
      {"threads", std::to_string(set_threads(a)) + " of " + std::to_string(omp_get_num_procs()) +
                      " processors"},
      {"cuda", cuda::describe()},
      {"gpus", gpus.empty() ? "none" : gpus},
      {"slurm", joined(slurm())},
      {"arithmetic", arithmetic_state},
      {"file locks", locking()}};
  if (a.json) {
    print(json_of(facts) + "\n");
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, value] : facts) rows.push_back({name, value});
    print(table(rows, "ll"));
  }
  return arithmetic_state.rfind("ok", 0) == 0 ? 0 : 1;
}

}  // namespace cra::tools
