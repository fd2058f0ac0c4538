// tools/telemetry.h: the lines that `cra decide` reads and writes, one JSON object each.
#pragma once

#include <optional>
#include <string>

#include "scenarios/scenario.h"

namespace cra::tools {

/// What a line of input says.
struct Telemetry {
  bool reset = false;   ///< a new episode begins
  std::string episode;  ///< JSON of "episode", to be given back; "" when it is not there
  std::optional<sim::Measurement> measured;  ///< empty when no quantity is in the line
};

/// Reads a line. Lengths, ranges and what is missing are sim::Tracker's to check.
/// \throws InputError  when it is no JSON object, holds a key twice or one that is not known, or
/// something else than numbers where numbers belong; names the field
Telemetry parse_telemetry(const std::string& line, const sim::Params& p);

/// What a policy reads in one slot.
struct Reading {
  std::vector<float> features;  ///< [N, F] as sim::observe gives them
  std::vector<double> base;     ///< [N] weights of its base heuristic
};

/// The answer to a measurement, with a newline. \param episode  as in Telemetry
/// \param read  what the policy read, for --features; nullptr to leave it out
std::string command_line(const sim::Command& c, const sim::Params& p, const std::string& episode,
                         const Reading* read = nullptr);
/// The answer to a line that only begins an episode.
std::string reset_line(const std::string& episode);
/// The answer to a line that was refused, when the program goes on.
std::string error_line(const std::string& text);

/// Fields that lines of input need, and what answers hold, as one JSON object with a newline.
/// \param policy  name of the result file
std::string describe_telemetry(const scenarios::Settings& s, const agents::Network& n,
                               const std::string& policy);

}  // namespace cra::tools
