#include "tools/arithmetic.h"

#include <cfenv>
#include <cmath>
#include <limits>

#include "sim/base.h"

namespace cra::tools {

std::string broken_arithmetic() {
  // Volatile: the compiler must not answer in the processor's place.
  volatile double zero = 0, tiny = std::numeric_limits<double>::denorm_min();
  const double nan = zero / zero;
  if (!std::isnan(nan)) return "isnan(NaN) is false";
  if (std::fegetround() != FE_TONEAREST) return "rounding is not to nearest";
  if (!(tiny > 0) || tiny * 4 / 4 != tiny) return "denormal numbers are flushed to 0";
  return "";
}

void require_sound_arithmetic() {
  const std::string broken = broken_arithmetic();
  CRA_CHECK(broken.empty(), "arithmetic is broken in this process: " + broken);
}

}  // namespace cra::tools
