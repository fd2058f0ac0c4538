// tests/trace_logs.h: logs as texts, and what the reader of traces makes of them.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "scenario_texts.h"
#include "scenarios/trace.h"
#include "temporary_folder.h"

namespace cra::testing {

using Faults = std::vector<std::string>;

/// One column `size`, all in one bucket.
inline sim::TracePart one_node() {
  sim::TracePart part;
  part.time_column = "time";
  part.work_columns = {{"size", 1.0, sim::Arrival::lump, 0, "", ""}};
  part.buckets = {{"size", 1, 0}};
  part.train_fraction = 0.5;
  return part;
}

inline scenarios::TraceContext pool_of(int nodes, double slot_seconds = 1) {
  return {nodes,
          slot_seconds,
          std::vector<double>(static_cast<std::size_t>(nodes), 1.0),
          {static_cast<double>(nodes)},
          {}};
}

/// Reads a log with that text. Problems as "place: text", the folder cut off, or "key: text".
inline Faults read(const std::string& text, sim::TracePart& part,
                   const scenarios::TraceContext& context) {
  const TemporaryFolder folder;
  const std::string path = folder / "log.csv";
  std::ofstream(path, std::ios::binary) << text;
  Faults faults;
  for (const scenarios::TraceProblem& p : read_trace(path, context, part)) {
    const std::string place = p.place.empty() ? p.key : p.place.substr(folder.path().size() + 1);
    faults.push_back(place + ": " + p.text);
  }
  return faults;
}

inline sim::TracePart work_of(const std::string& text, sim::TracePart part,
                              const scenarios::TraceContext& context) {
  CHECK(read(text, part, context) == Faults{});
  return part;
}

/// A file of the reference data, where the environment or a neighbour of the repository has it.
inline std::string reference_data(const std::string& file) {
  const char* folder = std::getenv("CRA_DATA");
  const std::string data =
      folder != nullptr ? folder : std::string(CRA_SOURCE_DIR) + "/../shared/data";
  return data + "/" + file;
}

}  // namespace cra::testing
