// results/staged_file.h: the two halves of write_file, for writers that must do something
// between "the bytes are on disk" and "they carry the name" (checkpoints keep a generation).
// Internal to results.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace cra::results {

/// Name of the temporary that stands beside `path` while it is written. One fixed name per path:
/// a dead writer leaves at most one, and the next writer of the path removes it.
std::string temporary_of(const std::string& path);

/// Removes the temporary of `path` unless a living process is writing it.
void remove_stale_temporary(const std::string& path);

/// Moves `from` over `to`. \throws Error naming `to` and the reason
void rename_file(const std::string& from, const std::string& to);

/// Bytes on disk under a temporary name; commit() gives them the real one.
class StagedFile {
 public:
  /// Writes and syncs the temporary. \throws Error `cannot write PATH: reason`
  StagedFile(const std::string& path, std::span<const std::byte> bytes);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  /// Renames, and syncs the folder. \throws Error, and the temporary is gone
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;  ///< keeps the lock that marks the temporary as alive
  bool done_ = false;    ///< renamed: nothing to remove
};

}  // namespace cra::results
