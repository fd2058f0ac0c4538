// tools/arithmetic.h: whether this process computes as the checks for non-finite numbers and the
// promised bits assume. A library loaded into it, or the caller, can have changed that.
#pragma once

#include <string>

namespace cra::tools {

/// "" when isnan, rounding and denormal numbers are as they should be, else what is broken.
std::string broken_arithmetic();

/// \throws Error  saying what is broken
void require_sound_arithmetic();

}  // namespace cra::tools
