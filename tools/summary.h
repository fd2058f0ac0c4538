// tools/summary.h: what a comparison says: means, paired differences to the best heuristic, and the
// verdict in words. The table, the JSON object and /summary are three views of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "results/results.h"

namespace cra::tools {

/// What the clairvoyant bound is called where policies are listed.
inline constexpr const char* kClairvoyant = "clairvoyant";

/// One policy's results on the test episodes.
struct Contestant {
  std::string name;
  std::string kind;  ///< learned or heuristic
  bool tuned = false;
  std::vector<double> cost;   ///< [I] mean cost per slot
  std::vector<double> score;  ///< [I]
  /// Mean cost of each of the trainings whose mean this is; empty for what was not trained here.
  std::vector<double> training_cost;
};

/// Makes a contestant the mean over one training more, episode by episode.
void add_training(Contestant& c, const std::vector<double>& cost, const std::vector<double>& score);

struct Row {
  std::string name, kind;
  bool tuned = false;
  results::Mean cost, score;
  std::vector<double> training_cost;  ///< as in Contestant
  /// Against the best heuristic; empty for that heuristic itself and when there is none.
  std::optional<results::Paired> against_best;
  /// Relative change of the cost against the best heuristic; for learned policies.
  std::optional<results::Interval> change;
  /// Share of the gap between the best heuristic and the bound; where both differ from this row.
  std::optional<double> gap_closed;
};

/// Means of the clairvoyant bound over the test episodes.
struct BoundMeans {
  results::Mean lower;  ///< certified
  double upper = 0;     ///< feasible: clairvoyant commands in the simulator
};

struct Summary {
  std::vector<Row> rows;  ///< in the order of the contestants
  std::string best;       ///< heuristic with the lowest mean cost on the test episodes; may be ""
  std::int64_t episodes = 0;
  std::optional<BoundMeans> bound;  ///< empty when there is none
};

/// The reference is the tuned heuristic with the lowest mean cost on the *test* episodes, not on
/// the tuning episodes: the strongest one in hindsight, so the comparison does not flatter.
/// \param bound  of the same episodes; without numbers when there is none
Summary summarise(const std::vector<Contestant>& all, int resamples, std::uint64_t seed,
                  const agents::Bound& bound = {});

/// Digits after the point with which the largest cost shows four.
int decimals_for(const Summary& s);
int decimals_for(double largest);
/// Digits after the point of percentages, so that the interval's width shows at least one.
/// \param low, high  shares
int percent_decimals(double low, double high);
/// Whether there is a gap that could be closed: below 0.1 % of the best heuristic's cost, the
/// distance to the bound is mostly the slack of the bound itself.
bool leaves_gap(double best_cost, double lower);

/// The bound as a row among the policies; it has no score.
Row bound_row(const BoundMeans& bound);

/// What is said of one of the trainings of a run.
struct TrainingLine {
  std::int64_t updates = 0;      ///< done
  std::int64_t kept_update = 0;  ///< after which the parameters were as they are evaluated
  double validation_cost = 0;    ///< of those parameters
  bool stored = false;           ///< whether the result holds its policy
};

/// What is said of the attention of a learned policy, from /attention.
struct AttentionLine {
  std::string policy;
  std::int64_t episodes = 0, slots = 0;  ///< that were explained
  std::int64_t nodes = 0;                ///< N
  double entropy = 0;                    ///< of the attention received, mean [nat]
  /// Rank correlation with the marginal value of allocation, NaN where it has none: of the
  /// attention received, then of what it should be seen against.
  results::Mean attention, allocation, base, backlog;
};

/// What surrounds a summary when it is printed.
struct Headline {
  std::string scenario;
  std::int64_t nodes = 0, slots = 0, seed = 0;
  std::int64_t updates = 0;    ///< of the longest training
  std::int64_t env_steps = 0;  ///< of all trainings
  double seconds = 0;          ///< of all trainings
  std::string result;          ///< path of the result file
  std::vector<TrainingLine> trainings;
  std::optional<AttentionLine> attention;  ///< empty when nothing was explained
};

/// Whether attention looked where allocation was worth most, as a sentence without a newline at its
/// end.
std::string attention_text(const AttentionLine& a);
/// The table a run ends with: headline, policies by rising cost, verdict, attention, path.
std::string table_text(const Summary& s, const Headline& h);
/// The one object of `--json`, with a newline.
std::string json_text(const Summary& s, const Headline& h);
/// The sentence on one learned policy, without a newline.
/// \param row      has a `change`
/// \param subject  "Learning" or a policy's name
std::string verdict(const Row& row, const Summary& s, const std::string& subject);
/// A sentence for every learned policy that can be compared, each on a line of its own, with what
/// the bound leaves to gain; may be empty.
std::string verdict_text(const Summary& s);

}  // namespace cra::tools
