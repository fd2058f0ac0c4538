// tools/bench.h: the stages that `cra bench` measures, and what they share. Internal to
// tools/bench*.cpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "tools/arguments.h"

namespace cra::tools {

/// Nanoseconds per node and slot of drawing, stepping, observing and the reverse sweep.
int bench_sim(const Arguments& a);
/// Slack of the clairvoyant bound, and thread CPU seconds per episode.
int bench_bound(const Arguments& a);
/// The core of attention on one thread, beside what its instructions allow.
int bench_attention(const Arguments& a);
/// Its rows about the whole encoder: forward passes of one thread by number of nodes, and training
/// steps on one thread and on `most`.
nlohmann::ordered_json bench_encoder_scaling();
nlohmann::ordered_json bench_encoder_step(int most);
/// The core of attention and the encoder on the GPU.
int bench_cuda(const Arguments& a);
/// Environment steps per second of training, and the share of each stage.
int bench_train(const Arguments& a);

inline constexpr double kLeastSeconds = 0.3;  // measured for each figure
inline constexpr double kLongSeconds = 1;
inline constexpr std::size_t kLeastRounds = 7, kFewRounds = 3;

/// Median seconds of `work`; `prepare` comes before each call and is not counted.
template <class Prepare, class Work>
double median_seconds(Prepare prepare, Work work) {
  std::vector<double> seconds;
  double total = 0;
  // Long work is repeated less often, or the largest sizes would take minutes.
  while (total < kLeastSeconds ||
         seconds.size() < (total < kLongSeconds ? kLeastRounds : kFewRounds)) {
    prepare();
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    seconds.push_back(took.count());
    total += took.count();
  }
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

}  // namespace cra::tools
