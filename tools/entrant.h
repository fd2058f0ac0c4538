// tools/entrant.h: what `cra compare` compares: one policy of one result file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "results/results.h"

namespace cra::tools {

struct Entrant {
  std::string word;   ///< of the command line: FILE or FILE:NAME
  std::string file;   ///< its path
  std::string label;  ///< what it is called, unlike all others: the file's stem, where that will do
  std::string policy, kind;       ///< as in /summary
  std::vector<std::size_t> rows;  ///< of /eval
  std::size_t trainings = 1;      ///< whose costs are there; 1 for a heuristic as well
  std::vector<double> cost;       ///< [trainings, I] mean cost per slot
  std::vector<double> score;      ///< [trainings, I]
  std::vector<double> lower;      ///< [I] certified bound; empty when there is none
  std::string no_bound;           ///< why there is none
  std::string best;               ///< the file's best tuned heuristic, or ""
  double best_cost = 0;           ///< its mean cost
  std::string resolved;           ///< the scenario with every key, as YAML
  std::string scenario;           ///< its name
  std::int64_t seed = 0;
  results::RunFile run;  ///< what tells whether episodes are the same: /node, /eval, /trajectory

  std::size_t episodes() const { return cost.size() / trainings; }
  bool learned() const { return kind == "learned"; }
};

/// A word of `cra compare`, FILE or FILE:NAME, in its parts.
struct EntrantWord {
  std::string file;
  std::string policy;  ///< "" when the word names none
};
/// Cuts FILE:NAME where FILE is there, else behind the first ".h5". A file's name is never split.
EntrantWord cut(const std::string& word);

/// Reads and checks (results::check_run) the files behind the words.
/// \param words   FILE or FILE:NAME; a word that is a file's name is never split
/// \param policy  what to take where a word does not say; "" for the learned policy
/// \throws UsageError  on a policy that is not there, or not to be told from others
/// \throws InputError  on a file that is missing, damaged, or has costs beyond all sense
std::vector<Entrant> entrants_of(const std::vector<std::string>& words, const std::string& policy);

}  // namespace cra::tools
