// scenarios/report.h: collects everything that is wrong with a scenario, each with its place, and
// turns it into diagnostics: sorted, with the source line and a caret.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/scenario.h"

namespace cra::scenarios {

/// Where a value or key stands. Lines and columns count from 1; columns count bytes here and
/// characters in a diagnostic.
struct Place {
  int source = 0;  ///< 0: the scenario file; k: the k-th --set
  int line = 1;
  int column = 1;
};

/// The text after its UTF-8 byte order mark, if it has one.
std::string_view without_mark(std::string_view text);

/// Text from outside as it may stand in a message: in quotes, clipped, control bytes escaped.
std::string in_quotes(std::string_view text);

class Report {
 public:
  /// Most diagnostics that are shown; the rest is counted in a last line.
  static constexpr std::size_t kShown = 100;

  void add(const Place& place, std::string text);
  /// A problem in another file (a request log); these come last, in the order in which they came.
  void add_elsewhere(std::string place, std::string text);
  bool empty() const { return size() == 0; }
  std::size_t size() const { return found_.size() + elsewhere_.size() + uncounted_; }
  /// True when further problems are only counted, so that composing their text is a waste.
  bool full() const { return found_.size() >= kKept; }
  /// Counts a problem that was not worth composing.
  void count() { ++uncounted_; }

  /// \param path, text  the scenario file's name and bytes  \param overrides the --set arguments
  std::vector<Diagnostic> diagnostics(const std::string& path, std::string_view text,
                                      const std::vector<std::string>& overrides) const;

 private:
  // More than are shown, because they are sorted by place only at the end; bounded, because a
  // hostile file may hold 100,000 wrong keys.
  static constexpr std::size_t kKept = 1000;
  struct Found {
    Place place;
    std::string text;
  };
  std::vector<Found> found_;
  std::vector<Diagnostic> elsewhere_;
  std::size_t uncounted_ = 0;
};

}  // namespace cra::scenarios
