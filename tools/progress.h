// tools/progress.h: where a run is, on stderr: a bar on a terminal (at most ten times a second),
// one line a minute elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace cra::tools {

class Progress {
 public:
  /// \param quiet  print nothing at all
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Begins a stage of `total` steps, of which `done` were done before (a resumed run).
  void stage(const std::string& name, std::int64_t total, std::int64_t done = 0);
  /// `done` steps are done. \param detail  what else there is to say, e.g. "cost .41"
  void step(std::int64_t done, const std::string& detail = "");
  /// Takes the bar off the screen, so that other text can be written.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(std::int64_t done, const std::string& detail) const;

  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::string name_;
  std::int64_t total_ = 0;
  std::int64_t first_ = 0;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace cra::tools
