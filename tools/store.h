// tools/store.h: a checkpoint as named fields, and as a file that may fail a few times.
#pragma once

#include <string>
#include <vector>

#include "agents/agents.h"
#include "results/results.h"
#include "scenarios/scenario.h"

namespace cra::tools {

/// What is on disk while a run lasts.
struct Checkpoint {
  std::vector<agents::TrainState> trainings;  ///< finished ones, then the one under way
  std::string digest;                         ///< of the run, see run_digest
  std::string resolved;                       ///< the scenario, to tell what differs
  std::string program;                        ///< version and commit that wrote it
  double seconds = 0;                         ///< time spent training so far, all attempts
  std::int64_t attempts = 1;                  ///< starts of this run: 1 + number of resumes
};

/// Name of the field that holds Checkpoint::resolved.
inline constexpr const char* kResolvedField = "resolved";

/// One field per training and member of TrainState by its fields(), called "0.theta" and so on,
/// then those of the run.
std::vector<results::Field> pack(const Checkpoint& c);
/// \throws InputError  when a field is missing, unknown, given twice or of another type
Checkpoint unpack(const std::vector<results::Field>& fields);

/// SHA-256 of all that decides the numbers of a run: the resolved scenario, seed included, and the
/// contents of its logs and curves (the text names only the files).
std::string run_digest(const scenarios::Scenario& s);

/// The value of a key of a resolved scenario, "training.updates", as it is written there; "" when
/// there is none.
std::string resolved_value(const std::string& resolved, const std::string& key);

/// Keys whose values differ between two resolved scenarios: `training.updates is 3 there, 5 here`.
/// At most `most` of them.
std::vector<std::string> differences(const std::string& there, const std::string& here,
                                     std::size_t most);

/// The value of a key in a resolved scenario, as YAML; "" when it has no such key.
std::string value_in(const std::string& resolved, const std::string& key);

/// Writes checkpoints; a failure is told once and training goes on, until three in a row.
class CheckpointFile {
 public:
  explicit CheckpointFile(std::string path) : path_(std::move(path)) {}
  /// \throws Error  on the third failure in a row
  void save(const Checkpoint& c);
  /// False when the last save() failed: then there is an older one on disk, or none.
  bool current() const { return failures_ == 0; }

 private:
  std::string path_;
  int failures_ = 0;
};

}  // namespace cra::tools
