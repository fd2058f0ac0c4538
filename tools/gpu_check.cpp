// cra gpu-check: does the GPU compute what the formulas say?
#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cuda/cuda.h"
#include "tools/commands.h"
#include "tools/engine_check.h"
#include "tools/provenance.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using cuda::Precision;

constexpr std::array kPrecisions{Precision::fp32, Precision::tf32, Precision::bf16};

std::string name_of(Precision p) { return Choices<Precision>::names[static_cast<std::size_t>(p)]; }

/// The worst of what was compared, array by array, in the order of their first appearance.
struct Worst {
  struct Entry {
    double error = 0;
    double allowed = 0;
    std::string where;
  };
  std::vector<std::string> order;
  std::map<std::string, std::array<Entry, kPrecisions.size()>> entries;
  std::vector<std::string> faults;

  void add(const ArrayError& e, Precision p, double allowed, const std::string& where) {
    if (!entries.contains(e.name)) order.push_back(e.name);
    Entry& worst = entries[e.name][static_cast<std::size_t>(p)];
    if (e.error >= worst.error) worst = {e.error, allowed, where};
    if (e.error > allowed)
      faults.push_back(name_of(p) + ", " + e.name + ": " + scientific(e.error) + ", more than " +
                       scientific(allowed) + ", with " + where);
  }
};

std::string text_of(const cuda::CoreShape& s) {
  return "a core of " + std::to_string(s.environments) + " environments of " +
         std::to_string(s.nodes) + " nodes, " + std::to_string(s.heads) + " heads of " +
         std::to_string(s.size);
}

void check_all(const Arguments& a, Precision p, Worst& worst) {
  const bool large = !a.emulate && !a.brief;
  for (const cuda::CoreShape& s : core_shapes(large)) {
    const auto core = a.emulate ? cuda::make_emulated_core(s, p) : cuda::make_core(s, p);
    for (const ArrayError& e : compare_core(*core, s, p))
      worst.add(e, p, allowed_of_core(p), text_of(s));
  }
  for (const EngineCase& c : engine_cases(large)) {
    const auto exact = attention::make_exact_engine(c.shape);
    const auto other =
        a.emulate ? cuda::make_emulated_engine(c.shape, p) : cuda::make_engine(c.shape, p);
    for (const ArrayError& e : compare_engines(*exact, *other, c))
      worst.add(e, p, allowed_of_encoder(p, e.gradient), c.text());
    if (!repeats(*other, c))
      worst.faults.push_back(name_of(p) + ": two passes over one batch differ, with " + c.text());
  }
}

void print_json(const Arguments& a, const std::string& device, const Worst& worst) {
  using Json = nlohmann::ordered_json;
  Json all{{"schema_version", 1},   {"commit", commit()},         {"device", device},
           {"emulated", a.emulate}, {"ok", worst.faults.empty()}, {"arrays", Json::array()},
           {"faults", worst.faults}};
  for (const std::string& name : worst.order)
    for (const Precision p : kPrecisions) {
      const Worst::Entry& e = worst.entries.at(name)[static_cast<std::size_t>(p)];
      all["arrays"].push_back(Json{{"array", name},
                                   {"precision", name_of(p)},
                                   {"worst_error", e.error},
                                   {"allowed", e.allowed},
                                   {"where", e.where}});
    }
  print(all.dump(2) + "\n");
}

}  // namespace

int gpu_check(const Arguments& a) {
  std::string device = "the kernels on the host, lane by lane";
  if (!a.emulate) {
    const std::vector<std::string> names = cuda::devices();
    if (names.empty())
      throw Error("no usable GPU (" + cuda::describe() +
                  "); cra gpu-check --emulate runs the same kernels on the host");
    device = names[0];
  }
  Worst worst;
  for (const Precision p : kPrecisions) check_all(a, p, worst);
  if (a.json) {
    print_json(a, device, worst);
    return worst.faults.empty() ? 0 : 1;
  }
  std::vector<std::vector<std::string>> rows{{"worst error of", "fp32", "tf32", "bf16"}};
  for (const std::string& name : worst.order) {
    rows.push_back({name});
    for (const Worst::Entry& e : worst.entries.at(name)) rows.back().push_back(scientific(e.error));
  }
  print("Checked: " + device + ", against double\n\n" + table(rows, "lrrr") + "\n");
  if (worst.faults.empty()) {
    print("ok: no error is larger than it may be, and passes repeat to the bit\n");
    return 0;
  }
  for (const std::string& f : worst.faults) print("wrong: " + f + "\n");
  return 1;
}

}  // namespace cra::tools
