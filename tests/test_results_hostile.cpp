// Files from strangers: resealed damage and structural lies must end in an InputError or in a run
// that check_run has looked at, never in a crash.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "hostile_files.h"
#include "sample_run.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using namespace cra::testing;

#if defined(CRA_SANITIZED)
constexpr int kDamaged = 250;  // a sanitized process takes a tenth of a second to fork
#else
constexpr int kDamaged = 1000;
#endif

TEST_CASE("decode, check_run: damaged files whose seal is right") {
  const Bytes image = unsealed(encode(sample_run({2, 3, 2, 1, 2, 1}), 1));
  std::map<std::string, int> outcomes;
  for (std::int64_t k = 0; k < kDamaged; ++k) {
    CAPTURE(k);
    std::string outcome = "accepted";
    try {
      const RunFile run = decode(damaged(image, k), "x.h5");
      outcome = "contradicts itself";
      check_run(run, "x.h5");
      outcome = "accepted";
    } catch (const InputError& e) {
      if (outcome == "accepted") outcome = "not read";
      const std::string text = e.what();
      CHECK(text.starts_with("x.h5: "));
      CHECK(text.size() < 1000);
    }
    ++outcomes[outcome];
  }
  for (const auto& [what, count] : outcomes) MESSAGE(what << ": " << count);
  CHECK(outcomes["not read"] > kDamaged / 5);
}

namespace {

template <class T>
std::vector<T>& values_of(RunFile& run, const std::string& group, const std::string& name) {
  for (GroupData& g : run.groups) {
    if (g.name != group) continue;
    for (Variable& v : g.variables)
      if (v.name == name) return std::get<std::vector<T>>(v.data);
    for (Axis& a : g.axes)
      if (a.name == name) return std::get<std::vector<T>>(a.labels);
  }
  throw std::runtime_error("the sample has no /" + group + "/" + name);
}

/// What check_run() says of a sample in which one value was set.
template <class T>
std::string after(const std::string& group, const std::string& name, std::size_t i, T value) {
  RunFile run = sample_run();
  values_of<T>(run, group, name)[i] = value;
  return message_of<InputError>([&] { check_run(run, "x.h5"); });
}

/// A result in two segments, in a folder of its own.
struct Split {
  TemporaryFolder folder;
  std::string path = folder / "x.h5";
  Split() { write_run(path, sample_run(), 1, 4000); }
  std::string problem() const {
    return message_of<InputError>([&] { check_run(read_run(path), path); });
  }
  /// Puts another list of segments into the result.
  template <class T>
  void list(const std::string& name, std::size_t i, T value) {
    RunFile run = read_run(path, Segments::leave);
    values_of<T>(run, "segment", name)[i] = value;
    write_file(path, encode(run, 1));
  }
};

Bytes file_at(const std::string& path) { return read_file(path, std::size_t{1} << 30); }

}  // namespace

TEST_CASE("check_run: words, indices, axes and trainings that fit nothing are named") {
  using Text = std::string;
  CHECK(after<Text>("node", "dynamics", 1, "stack") ==
        "x.h5: /node/dynamics[1] (row-major) is \"stack\", expected one of: queue progress");
  CHECK(after<Text>("node", "conflict", 0, "").starts_with("x.h5: /node/conflict[0]"));
  CHECK(after<std::int64_t>("node", "link_hub", 0, -1) ==
        "x.h5: /node/link_hub[0] (row-major) is -1, which is not a node: there are 3");
  CHECK(after<std::int64_t>("node", "link_follower", 0, 3)
            .starts_with("x.h5: /node/link_follower[0] (row-major) is 3"));
  CHECK(after<double>("node", "needs", 2, -1) ==
        "x.h5: /node/needs[2] (row-major) is -1, expected at least 0");
  CHECK(after<double>("node", "lag", 0, 1.5) ==
        "x.h5: /node/lag[0] (row-major) is 1.5, expected a number in [0, 1]");
  CHECK(after<double>("trajectory", "availability", 4, 2)
            .starts_with("x.h5: /trajectory/availability[4]"));
  CHECK(after<Text>("trajectory", "node", 0, "z").starts_with("x.h5: /trajectory/node does not"));
  CHECK(after<Text>("attention", "looker", 0, "z").starts_with("x.h5: /attention/looker does not"));
  CHECK(after<std::int64_t>("trajectory", "episode", 1, 77) ==
        "x.h5: /trajectory/episode[1] (row-major) is not one of /eval/episode");
  CHECK(after<Text>("trajectory", "policy", 1, "z") ==
        "x.h5: /trajectory/policy[1] (row-major) is not one of /eval/policy");
  CHECK(after<std::int64_t>("summary", "episodes", 0, 5) ==
        "x.h5: /summary/episodes is 5, /eval has 4");
  CHECK(after<std::int64_t>("eval", "training", 0, 1).starts_with("x.h5: /eval/training[0]"));
  CHECK(after<std::int8_t>("train", "stored", 0, 0) ==
        "x.h5: /train/stored marks 0 trainings, /policy is one of them");
  CHECK(after<std::int64_t>("train", "updates", 0, 6).starts_with("x.h5: /train/updates[0]"));
  CHECK(after<std::int64_t>("train", "kept_update", 0, -2)
            .starts_with("x.h5: /train/kept_update[0] (row-major) is -2 of 5"));
  CHECK(after<std::int8_t>("tuning", "chosen", 1, 1) ==
        "x.h5: /tuning/chosen marks 2 candidates of demand, expected one");
  CHECK(after<double>("tuning", "cost", 0, 2)
            .ends_with("1 candidates of demand, and not the one that cost least"));
  CHECK(after<double>("summary", "paired_difference", 0, 9)
            .starts_with("x.h5: /summary/paired_difference[0] (row-major) is 9"));
  CHECK(after<double>("summary", "ci_low", 0, 1e9).starts_with("x.h5: /summary/ci_low[0]"));
  CHECK(after<double>("summary", "episodes_won", 0, kNone)
            .starts_with("x.h5: /summary/episodes_won[0] (row-major) is missing"));
  CHECK(after<double>("summary", "gap_closed", 0, kNone)
            .ends_with("is missing, though the costs say what it is"));
  CHECK(after<std::int64_t>("policy", "width", 0, -1) ==
        "x.h5: /policy/width[0] (row-major) is -1, expected at least 1");
  CHECK(after<Text>("summary", "policy", 1, "z") ==
        "x.h5: /summary/policy[1] (row-major) is none of /eval");
  CHECK(after<double>("eval", "served", 0, 9).starts_with("x.h5: /eval/served of skewed, episode"));
  CHECK(after<double>("eval", "lost", 0, 9).starts_with("x.h5: /eval/lost of skewed, episode 0"));
}

TEST_CASE("segments: together they are the run that was written") {
  const Split split;
  CHECK(split.problem().empty());
  CHECK(read_run(split.path, Segments::leave).group("trajectory") == nullptr);
  const std::vector<std::string> groups{"trajectory", "eval", "attention"};
  CHECK(digest(read_run(split.path), groups) == digest(sample_run(), groups));
  CHECK(values<std::int64_t>(read_segment(split.folder / "x.trajectories-00002.h5"), "episode") ==
        std::vector<std::int64_t>{1});
  // A result in one file takes the place of the other, and of its segments.
  write_run(split.path, sample_run(), 1, 0);
  CHECK(split.problem().empty());
  CHECK_THROWS_AS(file_at(segment_path(split.path, 1)), InputError);
}

TEST_CASE("segments: one that is missing, damaged, swapped or elsewhere is named") {
  const auto says = [](const Split& s, const std::string& what) {
    CAPTURE(s.problem());
    return s.problem().find(what) != std::string::npos;
  };
  const std::string second = "segment 2, x.trajectories-00002.h5, ";
  {
    const Split s;
    std::remove(segment_path(s.path, 2).c_str());
    CHECK(says(s, second + "is missing or unreadable"));
  }
  {
    const Split s;
    write_file(segment_path(s.path, 2), file_at(segment_path(s.path, 1)));
    CHECK(says(s, second + "is not the file that the result was written with"));
  }
  Split s;
  s.list<std::string>("sha256", 1, sha256(file_at(segment_path(s.path, 1))));
  s.list<std::string>("file", 1, "x.trajectories-00001.h5");
  CHECK(says(s, "segment 2, x.trajectories-00001.h5, does not hold the episodes"));
  s.list<std::int64_t>("first_episode", 1, 0);
  CHECK(says(s, "holds episode 0 after episode 0"));
  for (const char* name : {"../x.h5", "/etc/hostname", ".", "", "a\nb"}) {
    s.list<std::string>("file", 1, name);
    CHECK(says(s, "is not the plain name of a file beside the result"));
  }
  s.list<std::string>("file", 1, "x.h5");  // a cycle
  CHECK(says(s, "is not the file that the result was written with"));
}
