// results/results.h: result files, checkpoints, and statistics over results. Knows nothing of the
// simulator: it stores named arrays by the schema of results/FORMAT.md.
//
// A visible .h5 is always complete: HDF5 builds it in memory, and write_file puts the bytes on disk
// (temporary beside it, fsync, rename, fsync of the folder). Everything the program writes goes
// through write_file, except the append-only metrics.jsonl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base.h"
#include "sim/rng.h"

namespace cra::results {

// ---- files -----------------------------------------------------------------------------

using Bytes = std::vector<std::byte>;

/// Puts bytes on disk so that `path` is, at any moment and after any crash, the old content or the
/// new one. \throws Error naming the path and the system's reason; the temporary is removed
void write_file(const std::string& path, std::span<const std::byte> bytes);
/// \throws InputError when the file is missing, unreadable or larger than `limit` bytes
Bytes read_file(const std::string& path, std::size_t limit);
/// Lower-case hexadecimal SHA-256 (FIPS 180-4).
std::string sha256(std::span<const std::byte> bytes);

/// Holds `path` for this process until destroyed, by a lock file `path`.lock beside it, so that two
/// runs never share an output. A lock left by a dead process does not block.
class Lock {
 public:
  /// \throws Error  when another process holds it; the text names the file and the holder's pid
  explicit Lock(const std::string& path);
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::string path_;
  int descriptor_ = -1;
};

// ---- checkpoints -----------------------------------------------------------------------

/// One named array of a checkpoint.
struct Field {
  std::string name;
  std::variant<std::vector<double>, std::vector<float>, std::vector<std::int64_t>, std::string>
      data;
  bool operator==(const Field&) const = default;
};

/// A checkpoint on disk: `path` (newest) and `path`.previous. Header: magic, format version,
/// length, SHA-256; then an HDF5 image with one dataset per field. \throws Error when a number is
/// not finite (names field and index), or on a failed write
void write_checkpoint(const std::string& path, const std::vector<Field>& fields);
/// Loads the newest generation whose digest is right, and says which in `note` when it is not the
/// newest. Empty when there is no generation at all.
/// \throws InputError  when generations exist and none is whole (says what is wrong with each)
std::vector<Field> read_checkpoint(const std::string& path, std::string& note);
/// Removes both generations, and stale temporaries of `path`.
void remove_checkpoint(const std::string& path);

// ---- result files ----------------------------------------------------------------------

using Data = std::variant<std::vector<double>, std::vector<float>, std::vector<std::int64_t>,
                          std::vector<std::int8_t>, std::vector<std::string>>;

/// An array of a group. Dimensions, unit and meaning come from the schema.
struct Variable {
  std::string name;
  Data data;  ///< row-major; one element for a scalar
};
/// An axis of a group with its coordinate (numbers or labels); becomes a dimension scale.
struct Axis {
  std::string name;
  Data labels;
};
struct GroupData {
  std::string name;  ///< "eval", without the slash
  std::vector<Axis> axes;
  std::vector<Variable> variables;
};
/// A whole result file.
struct RunFile {
  std::vector<std::pair<std::string, std::string>>
      attributes;  ///< of the root, beyond the fixed ones
  std::vector<GroupData> groups;

  const GroupData* group(const std::string& name) const;  ///< nullptr when absent
};
/// The variable (or the labels of the axis) of a group. \throws InputError when absent or of
/// another type (names both)
template <class T>
const std::vector<T>& values(const GroupData& g, const std::string& variable);

/// What the format says of one variable: the single source for the writer, the reader, `cra check`
/// and the table in FORMAT.md (a test compares them).
struct VariableSpec {
  const char* group;
  const char* name;
  const char* type;   ///< f8, f4, i8, bool, str
  const char* dims;   ///< "policy,episode"; "" for a scalar
  const char* units;  ///< "wu", "1", ...
  const char* long_name;
  bool required;                ///< of a group that is present
  bool may_be_missing = false;  ///< f8 only: NaN stands for "not applicable"
};
/// Variables and axes, group by group. An axis is the entry whose `dims` is its own name.
std::span<const VariableSpec> schema();

/// The file's bytes. Checks everything against the schema: known names, types, lengths, all
/// required variables. \param compression gzip level 0-9  \throws Error naming the variable
Bytes encode(const RunFile& run, int compression);
/// Reads and checks a result file: size bounds, no external storage or links or foreign filters,
/// schema, checksums. \throws InputError naming file, object, and what is wrong (the first thing)
RunFile decode(std::span<const std::byte> bytes, const std::string& path);

/// Trajectories that are large lie in files of their own beside the result, its segments.
enum class Segments {
  follow,  ///< read them too: the run is as if it were one file
  leave,   ///< do not: /segment stays, and there is no /trajectory
};
/// \throws InputError  also when a segment is missing, is not the one that was written, or does not
/// fit the others (names it)
RunFile read_run(const std::string& path, Segments segments = Segments::follow);
/// Puts a run on disk. When its /trajectory has more than `segment_bytes` of numbers, its episodes
/// go to files of at most that much (one episode at least): NAME.trajectories-00001.h5 and so on,
/// each complete before NAME.h5 names it; segments left from a result of before are removed.
/// \param segment_bytes  0 = all in one file   \throws Error as write_file() and encode()
void write_run(const std::string& path, const RunFile& run, int compression,
               std::size_t segment_bytes);
/// Whether a file is called like a segment; reads one by itself: its /trajectory.
/// \throws InputError as decode()
bool named_segment(const std::string& path);
GroupData read_segment(const std::string& path);
/// Path of a segment of the result `path` (NAME.h5); numbers begin with 1.
std::string segment_path(const std::string& path, std::size_t number);
/// Everything decode() checks plus what the numbers must satisfy: proportions sum to 1 (1e-9), cost
/// is the sum of its terms, finite costs, summary means equal means of /eval, no cost below the
/// certified bound. \throws InputError
void check_run(const RunFile& run, const std::string& path);
/// A cost below this contradicts the certified bound `lower` of its episode; rounding does not
/// explain it.
double least_cost(double lower);
/// SHA-256 over names, shapes and data of some groups: equal for equal runs whatever the times.
std::string digest(const RunFile& run, const std::vector<std::string>& groups);

// ---- transitions -----------------------------------------------------------------------

/// Episodes of one length as a learner sees them, E of T slots. Row-major.
struct Transitions {
  std::int64_t episodes = 0, slots = 0;
  std::vector<std::int64_t> observation_shape, action_shape;  ///< of one slot: {N, F}, {N}
  Data observations;            ///< [E, T + 1, observation_shape] of double or float
  std::vector<double> actions;  ///< [E, T, action_shape]
  std::vector<double> rewards;  ///< [E, T]
  std::vector<std::pair<std::string, std::vector<double>>> infos;  ///< [E, T] each
  std::vector<std::string> policy;                                 ///< [E] who decided
  std::vector<std::int64_t> episode;                               ///< [E] which test episode
  std::int64_t seed = 0;
};
/// main_data.hdf5 in the layout of Minari 0.5 (minari.farama.org, "Dataset Standards"): a group
/// episode_0, ... for each, with observations [T + 1], actions, rewards, terminations (all false),
/// truncations (the last slot's is true: an episode ends because time is over) and infos [T + 1],
/// where what a slot tells stands behind it and NaN before the first. Not sealed.
/// \throws Error  when a length does not fit
Bytes encode_minari(const Transitions& t);

// ---- statistics ------------------------------------------------------------------------

/// Mean and its standard error (sample standard deviation / sqrt n; 0 when n = 1).
struct Mean {
  double mean = 0, se = 0;
};
Mean mean_of(std::span<const double> x);

/// Spearman's rank correlation of two lists of the same length, in [-1, 1]; equal numbers share the
/// mean of their ranks. NaN when one of the lists has no two different numbers.
double rank_correlation(std::span<const double> a, std::span<const double> b);

/// Mean over rows of each row's own mean, and its standard error over the rows; NaN are left out.
/// Both are NaN when nothing is left. \param x [rows, any number of columns]
Mean mean_of_rows(std::span<const double> x, std::size_t rows);

/// Paired comparison of a policy with a reference on the same episodes: differences a - b.
struct Paired {
  double difference = 0;  ///< mean
  double se = 0;          ///< standard error of the mean
  double ci_low = 0;      ///< 95 % percentile bootstrap over episodes
  double ci_high = 0;
  double won = 0;  ///< share of episodes with a < b (lower cost)
};
/// \param resamples  bootstrap resamples, >= 100; seeded, so the interval is reproducible
Paired paired(std::span<const double> a, std::span<const double> b, int resamples,
              std::uint64_t seed);

/// An estimate and the ends of its interval.
struct Interval {
  double value = 0, low = 0, high = 0;
};
/// Percentile interval of the relative change mean(a) / mean(b) - 1, by the same bootstrap.
Interval relative_change(std::span<const double> a, std::span<const double> b, int resamples,
                         std::uint64_t seed);

// ---- comparisons of policies that may have been trained several times --------------------
//
// Everything below is seeded, has the same bits on any number of threads, takes >= 100 resamples,
// and throws Error on empty or non-finite costs. Intervals are of 95 % unless they take an alpha.

/// Costs of one policy: a row for each of its trainings, or one row.
struct Costs {
  std::span<const double> cost;  ///< [trainings, episodes]
  std::size_t trainings = 1;

  std::size_t episodes() const { return cost.size() / trainings; }
};

/// What is drawn with replacement, always as many as there are.
enum class Resampling {
  crossed,     ///< whole rows and whole columns: every training met the same episodes
  stratified,  ///< numbers within each row: rows have episodes of their own (other scenarios,
               ///< seeds)
};

/// Mean without the floor(n / 4) lowest and as many highest numbers. \param x  not empty
double interquartile_mean(std::span<const double> x);
/// The same over all trainings and episodes, with a percentile bootstrap interval.
Interval interquartile_mean(const Costs& x, Resampling way, int resamples, std::uint64_t seed);

/// Share of the numbers above a threshold, with a pointwise percentile interval.
struct ProfilePoint {
  double threshold = 0, share = 0, low = 0, high = 0;
};
/// Performance profile (Dolan and More, 2002), trainings and episodes resampled.
/// \param thresholds  rising
std::vector<ProfilePoint> profile(const Costs& x, std::span<const double> thresholds, int resamples,
                                  std::uint64_t seed);

enum class Pairing {
  paired,    ///< column i of both is the same episode
  unpaired,  ///< episodes of the two have nothing to do with each other
};

/// Difference a - b of two policies. Of a side with several trainings these are drawn at random, as
/// its episodes are; a side with one stands for that training alone.
struct Contrast {
  double difference = 0;          ///< of the mean costs
  double se = 0;                  ///< its standard error, from an analysis of variance
  double degrees = 0;             ///< of freedom of that, Satterthwaite's, >= 1
  double episode_variance = 0;    ///< part of se^2 that is halved by twice the episodes
  double training_variance = 0;   ///< part of se^2 that is halved by twice the trainings
  std::vector<double> resampled;  ///< differences of the resamples, ascending
};
Contrast contrast(const Costs& a, const Costs& b, Pairing pairing, int resamples,
                  std::uint64_t seed);

/// Interval of level 1 - alpha: quantiles of the resamples, stretched to the width of Student's
/// interval. For one training and many episodes that is the percentile interval.
Interval interval(const Contrast& c, double alpha);
/// The smallest alpha whose interval leaves out 0; never below two resamples' worth.
double p_value(const Contrast& c);
/// The smallest true difference that an interval of level 1 - alpha leaves out 0 for with this
/// probability (power).
double detectable(const Contrast& c, double alpha, double power);
/// How many times the episodes (the trainings) would make `difference` detectable, the other number
/// staying as it is; infinite when none do.
double times_more_episodes(const Contrast& c, double difference, double alpha, double power);
double times_more_trainings(const Contrast& c, double difference, double alpha, double power);

/// Probability that a costs less than b, ties counting half: paired, that of one training of each
/// on one episode; unpaired, that of any two numbers of theirs. Percentile bootstrap interval.
Interval improvement(const Costs& a, const Costs& b, Pairing pairing, int resamples,
                     std::uint64_t seed);

/// What Holm's correction (Scand. J. Statist. 6, 1979) makes of one of several tests.
struct HolmStep {
  double adjusted = 1;    ///< p-value that may be held against alpha by itself
  double alpha = 0;       ///< an interval of level 1 - this leaves out 0 just when it is rejected
  bool rejected = false;  ///< one false one among all has at most probability alpha
};
std::vector<HolmStep> holm(std::span<const double> p, double alpha);

}  // namespace cra::results
