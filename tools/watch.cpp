#include "tools/commands.h"
namespace cra::tools {
int watch(const Arguments&) { return 0; }
}  // namespace cra::tools
