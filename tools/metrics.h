// tools/metrics.h: live progress for other programs, one JSON object per update, append only.
// (HDF5 cannot be read while it is written; a text file can be followed with `tail -f`.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agents/agents.h"

namespace cra::tools {

class MetricsFile {
 public:
  /// Makes the file hold exactly the rows of the updates that `trainings` have done: rows that are
  /// there are kept word for word, later ones and a partial last line go, missing ones come from
  /// the states' own log (without steps_per_second and validation_cost, which are the run's).
  MetricsFile(std::string path, const std::vector<agents::TrainState>& trainings);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// Adds a row. The first failure is told on stderr and is the last attempt: a run is worth more
  /// than its log, and a torn line in the middle would spoil it for every reader.
  /// \param training  number of the training, from 0
  void add(std::int64_t training, const agents::UpdateStats& u, double steps_per_second);

 private:
  void fail(const std::string& why);

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace cra::tools
