// tests/every_field.h: nothing of a checkpoint may be forgotten (works for any list of fields).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "results/results.h"

namespace cra::testing {

/// Leaves out each field in turn and loads the rest.
/// \returns names of the fields without which `load` does not throw an InputError that names them
inline std::vector<std::string> forgotten_fields(
    const std::vector<results::Field>& fields,
    const std::function<void(const std::vector<results::Field>&)>& load) {
  std::vector<std::string> forgotten;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::vector<results::Field> fewer = fields;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    std::string text;
    try {
      load(fewer);
    } catch (const InputError& e) {
      text = e.what();
    }
    if (text.find(fields[i].name) == std::string::npos) forgotten.push_back(fields[i].name);
  }
  return forgotten;
}

}  // namespace cra::testing
