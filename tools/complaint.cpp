#include "tools/complaint.h"

#include <exception>
#include <new>
#include <string>

#include "scenarios/scenario.h"
#include "sim/base.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

/// Names in a stranger's file may hold what moves a terminal's cursor.
std::string harmless(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool control = (static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t') || c == 127;
    out += control ? '?' : c;
  }
  return out;
}

int tell_error(const std::string& place, const std::string& text, int code) {
  tell(harmless(place) + ": " + coloured("error:", Colour::red) + " " + harmless(text) + "\n");
  return code;
}

}  // namespace

int tell_exception() {
  try {
    throw;
  } catch (const scenarios::ScenarioError& e) {
    for (const scenarios::Diagnostic& d : e.diagnostics()) {
      tell_error(d.place, d.text, 3);
      if (!d.source.empty()) tell(d.source + "\n");
    }
    return 3;
  } catch (const ClosedPipe&) {
    return 1;
  } catch (const UsageError& e) {
    return tell_error("cra", e.what(), 2);
  } catch (const InputError& e) {
    return tell_error("cra", e.what(), 3);
  } catch (const DivergedError& e) {
    return tell_error("cra", e.what(), 5);
  } catch (const std::bad_alloc&) {
    return tell_error("cra", "out of memory", 1);
  } catch (const std::exception& e) {
    return tell_error("cra", e.what(), 1);
  }
}

}  // namespace cra::tools
