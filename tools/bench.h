// tools/bench.h: the stages that `cra bench` measures. Internal to tools/bench*.cpp.
#pragma once

#include "tools/arguments.h"

namespace cra::tools {

/// Nanoseconds per node and slot of drawing, stepping, observing and the reverse sweep.
int bench_sim(const Arguments& a);
/// Slack of the clairvoyant bound, and thread CPU seconds per episode.
int bench_bound(const Arguments& a);

}  // namespace cra::tools
