// tools/comparison.h: results beside each other: what each says, how it differs from one of them,
// and the sentence that says which is better, or why that cannot be said. The table and the JSON
// object are two views of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "results/results.h"
#include "tools/entrant.h"
#include "tools/match.h"

namespace cra::tools {

constexpr double kAlpha = 0.05;  ///< of all claims together
constexpr double kPower = 0.8;   ///< with which a detectable difference is found
constexpr int kResamples = 10000;

/// A result by itself.
struct Standing {
  results::Mean cost;                 ///< over episodes, of the mean over trainings
  std::vector<double> training_cost;  ///< of each training
  results::Interval interquartile;
  std::optional<double> gap_closed;
};

/// What a result is against the reference; numbers apply when `contrast` is there.
struct Versus {
  std::size_t entrant = 0;
  Match match;
  std::optional<results::Contrast> contrast;  ///< this less the reference; empty: no claim
  bool equal = false;                         ///< the same cost in every episode, but for rounding
  double reference_cost = 0;                  ///< its mean, on the same episodes when paired
  double p = 1;
  results::HolmStep holm;        ///< over all comparisons of this table
  results::Interval difference;  ///< of the level that Holm's correction leaves it
  std::optional<double> won;     ///< share of paired episodes with a lower cost
  results::Interval improvement;
  double detectable = 0;
  double episodes_needed = 0;   ///< to detect the observed difference; may be infinite
  double trainings_needed = 0;  ///< the same, of each that has several
};

struct Comparison {
  std::vector<Entrant> entrants;
  std::vector<Standing> standings;  ///< of each entrant
  std::size_t reference = 0;
  std::vector<Versus> versus;  ///< the others, in order
};

/// \param reference  index of what the others are compared with
Comparison compare_all(std::vector<Entrant> entrants, std::size_t reference);

/// "B is better than A: ...", or why nothing is claimed; one paragraph without line breaks.
std::string sentence(const Comparison& c, const Versus& v);
/// The tables and the sentences.
std::string comparison_text(const Comparison& c);
/// The one object of `--json`, with a newline: all of it, and performance profiles.
std::string comparison_json(const Comparison& c);

}  // namespace cra::tools
