// agents/stages.h: where the time of learning goes. Part of agents/agents.h.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace cra::agents {

/// Stages of an update of `apg`, in the order of kStageNames.
enum class Stage {
  draw,                ///< of episodes
  plant,               ///< slots forward, and what the policy sees of them
  plant_backward,      ///< adjoint of the plant
  features,            ///< observe and normalise
  features_backward,   ///< their adjoint
  attention,           ///< encoder, also where the reverse sweep runs it again
  attention_backward,  ///< its gradient
  decision,            ///< base rule, heads and the decision they make
  decision_backward,   ///< their gradient
  trail,               ///< copies of states for the reverse sweep
  optimiser,           ///< clipping and Adam
};
inline constexpr std::array<const char*, 11> kStageNames{"draw",
                                                         "plant",
                                                         "plant_backward",
                                                         "features",
                                                         "features_backward",
                                                         "attention",
                                                         "attention_backward",
                                                         "decision",
                                                         "decision_backward",
                                                         "trail",
                                                         "optimiser"};
/// Seconds of each stage.
using StageSeconds = std::array<double, kStageNames.size()>;

/// Adds up the time of the stages of one thread. A reading takes some 30 ns.
class StageClock {
 public:
  /// What passed since the last reading is of no stage.
  void skip() { last_ = std::chrono::steady_clock::now(); }
  /// What passed since the last reading is of stage `s`.
  void lap(Stage s) {
    const auto now = std::chrono::steady_clock::now();
    seconds_[static_cast<std::size_t>(s)] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  const StageSeconds& seconds() const { return seconds_; }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  StageSeconds seconds_{};
};

}  // namespace cra::agents
