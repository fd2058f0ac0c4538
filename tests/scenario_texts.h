// tests/scenario_texts.h: scenario texts and what the loader says about them.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "scenarios/scenario.h"

template <>
struct doctest::StringMaker<std::vector<std::string>> {
  static String convert(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines) all += "\n  " + line;
    return all.c_str();
  }
};

namespace cra::testing {

/// A scenario with nothing but what it must have. `more` is appended to the top level.
inline std::string smallest(const std::string& more = "") {
  return "version: 1\n"
         "name: smallest\n"
         "pool: {nodes: 2}\n"
         "workload: {parts: [{kind: constant, rate: 0.5}]}\n" +
         more;
}

/// "place: text" of everything that is wrong; empty when the text loads.
inline std::vector<std::string> faults_of(const std::string& text,
                                          const std::vector<std::string>& overrides = {},
                                          const std::string& path = "s.yaml") {
  std::vector<std::string> faults;
  try {
    scenarios::parse(text, path, overrides);
  } catch (const scenarios::ScenarioError& e) {
    for (const scenarios::Diagnostic& d : e.diagnostics())
      faults.push_back(d.place + ": " + d.text);
  }
  return faults;
}

inline std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace cra::testing
