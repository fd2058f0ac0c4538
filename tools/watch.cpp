// cra watch: a run followed in the terminal, from the lines it writes.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <thread>

#include "results/results.h"
#include "tools/commands.h"
#include "tools/outputs.h"
#include "tools/store.h"
#include "tools/terminal.h"
#include "tools/watch_text.h"

namespace cra::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause{250};
constexpr std::chrono::seconds kLineInterval{60};  // where there is no terminal
constexpr std::string_view kMetrics = ".metrics.jsonl", kResult = ".h5";

bool ends_in(const std::string& path, std::string_view end) {
  return path.size() > end.size() && path.substr(path.size() - end.size()) == end;
}

/// When a file was last written, in seconds; negative when it is not there.
double written(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) < 0) return -1;
  return static_cast<double>(s.st_mtim.tv_sec) + 1e-9 * static_cast<double>(s.st_mtim.tv_nsec);
}

/// The newest metrics file of a folder; "" when there is none.
std::string newest_in(const std::string& folder) {
  std::string newest;
  double when = -1;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    if (!ends_in(path, kMetrics)) continue;
    // Of two with one time the first by name: a folder has no order.
    if (const double time = written(path); time > when || (time == when && path < newest)) {
      when = time;
      newest = path;
    }
  }
  if (error) throw InputError(folder + ": " + error.message());
  return newest;
}

/// The paths that a word stands for; metrics is "" in a folder without any.
RunFacts named(const std::string& word) {
  RunFacts f;
  std::error_code ignored;
  if (fs::is_directory(word, ignored)) {
    f.metrics = newest_in(word);
    if (f.metrics.empty()) return f;
  } else if (ends_in(word, kMetrics)) {
    f.metrics = word;
  } else if (ends_in(word, kResult)) {
    f.metrics = word.substr(0, word.size() - kResult.size()).append(kMetrics);
  } else {
    throw UsageError("cra watch: \"" + word +
                     "\" is no folder, expected one or a name that ends in .metrics.jsonl or .h5");
  }
  f.result = f.metrics.substr(0, f.metrics.size() - kMetrics.size()).append(kResult);
  return f;
}

/// A number of the section `training` of a resolved scenario; 0 when it is not there.
std::int64_t training_number(const std::string& resolved, const std::string& key) {
  const std::string text = resolved_value(resolved, "training." + key);
  const bool plain = !text.empty() && text.size() < 16 &&
                     text.find_first_not_of("0123456789") == std::string::npos;
  return plain ? std::stoll(text) : 0;
}

/// A run under watch.
class Watch {
 public:
  explicit Watch(RunFacts facts) : facts_(std::move(facts)), log_(facts_.metrics) {}

  void poll() {
    log_.poll();
    facts_.age = log_.age();
    const double result = written(facts_.result);
    facts_.complete = result >= 0 && result >= written(facts_.metrics);
    learn_length();
  }
  const MetricsLog& log() const { return log_; }
  const RunFacts& facts() const { return facts_; }

 private:
  /// How long training is to be stands in the checkpoint, which comes after some updates.
  void learn_length() {
    const std::string checkpoint = facts_.result + ".checkpoint";
    const double now = written(checkpoint);
    if (facts_.updates > 0 || now < 0 || now == tried_) return;
    tried_ = now;
    try {
      std::string note;
      for (const results::Field& f : results::read_checkpoint(checkpoint, note)) {
        const auto* text = std::get_if<std::string>(&f.data);
        if (f.name != kResolvedField || text == nullptr) continue;
        facts_.updates = training_number(*text, "updates");
        facts_.seeds = training_number(*text, "seeds");
      }
    } catch (const Error&) {
      // Then it is not known: the run itself will say what is wrong with its checkpoint.
    }
  }

  RunFacts facts_;
  MetricsLog log_;
  double tried_ = -1;
};

/// What is on the screen.
class Screen {
 public:
  Screen() : terminal_(stdout_is_terminal() && colour_allowed()) {}

  void show(const Watch& w) {
    if (terminal_) {
      redraw(status_text(w.log(), w.facts()));
      return;
    }
    // Where every line stays: at once what is new in kind, all else once a minute.
    const Clock::time_point now = Clock::now();
    const auto& trainings = w.log().trainings();
    const std::int64_t stage = w.facts().complete  ? -3
                               : trainings.empty() ? (w.log().there() ? -1 : -2)
                                                   : trainings.rbegin()->first;
    if (!shown_.empty() && stage == stage_ && now - last_ < kLineInterval) return;
    last_ = now;
    stage_ = stage;
    const std::string line = status_line(w.log(), w.facts());
    if (line == shown_) return;
    print(line + "\n");
    shown_ = line;
  }

 private:
  void redraw(const std::string& text) {
    if (text == shown_) return;
    const auto lines = std::count(shown_.begin(), shown_.end(), '\n');
    print((lines > 0 ? "\x1b[" + std::to_string(lines) + "F\x1b[J" : std::string()) + text);
    shown_ = text;
  }

  bool terminal_;
  std::string shown_;
  std::int64_t stage_ = 0;
  Clock::time_point last_;
};

/// Waits for the first run of a folder.
RunFacts wait_for_run(const Arguments& a) {
  RunFacts facts = named(a.files.at(0));
  if (!facts.metrics.empty()) return facts;
  const std::string none = a.files[0] + ": no run here yet (no file NAME.metrics.jsonl)";
  if (a.once) throw InputError(none);
  print(none + "; waiting for one\n");
  while (facts.metrics.empty()) {
    std::this_thread::sleep_for(kPause);
    facts = named(a.files[0]);
  }
  return facts;
}

}  // namespace

int watch(const Arguments& a) {
  Watch run(wait_for_run(a));
  if (a.once) {
    run.poll();
    if (!run.log().there() && !run.facts().complete)
      throw InputError(run.facts().metrics + " is not there (yet)");
    print(status_text(run.log(), run.facts()));
    return 0;
  }
  Screen screen;
  for (;;) {
    run.poll();
    screen.show(run);
    if (run.facts().complete) return 0;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace cra::tools
