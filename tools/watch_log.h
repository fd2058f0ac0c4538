// tools/watch_log.h (internal): metrics.jsonl as it grows, and what it says of a run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cra::tools {

/// What the lines of one training say so far.
struct TrainingLog {
  std::int64_t update = 0;     ///< of the last line
  std::int64_t env_steps = 0;  ///< of the last line
  std::vector<double> cost;    ///< of every line; NaN where it was not finite
  std::vector<double> speed;   ///< env-steps/s of every line that tells it
  struct Validation {
    std::int64_t update = 0;
    double cost = 0;
  };
  std::vector<Validation> validations;
};

/// A file of metrics that another process writes.
class MetricsLog {
 public:
  explicit MetricsLog(std::string path) : path_(std::move(path)) {}

  /// Reads what is new. A file that was replaced, or is shorter than before, as a resumed run makes
  /// it, is read anew. \returns whether anything changed  \throws InputError  when it is there and
  /// cannot be read
  bool poll();
  bool there() const { return there_; }
  /// Seconds since the last change of the file; 0 when it is not there.
  double age() const;
  /// By number. The last line of a file that is being written may be incomplete: it waits for its
  /// end.
  const std::map<std::int64_t, TrainingLog>& trainings() const { return trainings_; }
  std::int64_t unreadable() const { return unreadable_; }  ///< lines that are no row

 private:
  void forget();
  void take(const std::string& line);
  void split(const char* bytes, std::size_t count);

  std::string path_;
  bool there_ = false;
  std::uint64_t inode_ = 0;
  std::int64_t offset_ = 0;
  std::string rest_;  ///< of a line without its end
  bool too_long_ = false;
  std::map<std::int64_t, TrainingLog> trainings_;
  std::int64_t unreadable_ = 0;
};

/// Numbers as a row of bars, low to high, in at most `width` characters: each the mean of a part of
/// them. A dot where there is none.
std::string sparkline(const std::vector<double>& x, std::size_t width);

}  // namespace cra::tools
