// tools/signals.h: INT, TERM and USR1 ask a run to stop after the current update. The handler only
// sets a flag: nothing that writes a file is safe inside one.
#pragma once

namespace cra::tools {

/// From here on the three signals set the flag; INT while it is set ends the process at once with
/// 130.
void catch_stop_signals();
/// Writing to a closed pipe becomes a failed write instead of a silent death.
void ignore_broken_pipes();
/// The name of the signal that asked to stop, or nullptr.
const char* stop_requested();

/// Thrown where a stage without a checkpoint of its own is left because of a signal.
struct Stopped {
  const char* signal;
};
/// \throws Stopped  when a signal asked to stop
void check_stop();

}  // namespace cra::tools
