// The one way onto the disk: temporary in the same folder, fsync, rename, fsync of the folder.
// What can fail at each system call is decided here once; tests/faults/sweep.py fails every one.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "results/results.h"
#include "results/staged_file.h"

namespace cra::results {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void cannot_write(const std::string& path, int error) {
  throw Error("cannot write " + path + ": " + reason(error));
}

/// Repeats a system call while a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Makes the names in the folder of `path` durable.
void sync_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  const int d =
      uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (d < 0) cannot_write(path, errno);
  const int rc = uninterrupted([&] { return ::fsync(d); });
  const int error = errno;
  ::close(d);
  // EINVAL: this file system has no such thing as a synced folder; nothing better exists there.
  if (rc < 0 && error != EINVAL) cannot_write(path, error);
}

/// Writes all of it. \returns 0 or errno
int write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // 1 GiB at a time: write() takes at most 2 GiB - 4 KiB anyway.
    const std::size_t piece = std::min(bytes.size(), std::size_t{1} << 30);
    const ssize_t n = uninterrupted([&] { return ::write(descriptor, bytes.data(), piece); });
    if (n < 0) return errno;
    if (n == 0) return EIO;  // no progress and no reason: never loop on it
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

/// True when `name` is a regular file that no living process holds locked: the remains of a dead
/// writer. Sets errno to EWOULDBLOCK or EEXIST when it is not.
bool is_stale(const std::string& name) {
  const int d = uninterrupted(
      [&] { return ::open(name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); });
  if (d < 0) return false;
  struct stat s {};
  bool stale = false;
  int error = EEXIST;
  if (::fstat(d, &s) == 0 && S_ISREG(s.st_mode)) {
    stale = uninterrupted([&] { return ::flock(d, LOCK_EX | LOCK_NB); }) == 0;
    error = errno;
  }
  ::close(d);
  errno = error;
  return stale;
}

}  // namespace

std::string temporary_of(const std::string& path) { return path + ".cra-tmp"; }

void remove_stale_temporary(const std::string& path) {
  const std::string temporary = temporary_of(path);
  if (is_stale(temporary)) ::unlink(temporary.c_str());
}

void rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) < 0) cannot_write(to, errno);
}

StagedFile::StagedFile(const std::string& path, std::span<const std::byte> bytes)
    : path_(path), temporary_(temporary_of(path)) {
  const auto create = [&] {
    return uninterrupted(
        [&] { return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  };
  descriptor_ = create();
  if (descriptor_ < 0 && errno == EEXIST) {
    if (!is_stale(temporary_))
      throw Error("cannot write " + path + ": " + temporary_ +
                  " is in the way (another process is writing, or it is not a plain file)");
    ::unlink(temporary_.c_str());
    descriptor_ = create();
  }
  if (descriptor_ < 0) cannot_write(path, errno);
  // Marks the temporary as alive. File systems without locks lose only that mark.
  uninterrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); });
  int error = write_all(descriptor_, bytes);
  if (error == 0 && uninterrupted([&] { return ::fsync(descriptor_); }) < 0) error = errno;
  if (error != 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
    cannot_write(path, error);
  }
}

StagedFile::~StagedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!done_) ::unlink(temporary_.c_str());
}

void StagedFile::commit() {
  // The data are synced already, but NFS reports some write errors only on close. After EINTR the
  // descriptor is closed on Linux; a second close could hit somebody else's.
  const int d = descriptor_;
  descriptor_ = -1;
  if (::close(d) < 0 && errno != EINTR) cannot_write(path_, errno);
  rename_file(temporary_, path_);
  done_ = true;
  sync_folder(path_);
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  StagedFile(path, bytes).commit();
}

Bytes read_file(const std::string& path, std::size_t limit) {
  const auto cannot_read = [&](const std::string& why) {
    throw InputError("cannot read " + path + ": " + why);
  };
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const int d =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); });
  if (d < 0) cannot_read(reason(errno));
  struct Closer {
    int d;
    ~Closer() { ::close(d); }
  } const closer{d};
  struct stat s {};
  if (::fstat(d, &s) < 0) cannot_read(reason(errno));
  if (S_ISDIR(s.st_mode)) cannot_read(reason(EISDIR));
  if (!S_ISREG(s.st_mode)) cannot_read("not a plain file");
  const auto too_large = [&](std::uint64_t size) {
    cannot_read("it has " + std::to_string(size) + " bytes, more than the limit of " +
                std::to_string(limit));
  };
  const auto size = static_cast<std::uint64_t>(s.st_size);
  if (size > limit) too_large(size);
  Bytes bytes(size);
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n =
        uninterrupted([&] { return ::read(d, bytes.data() + got, bytes.size() - got); });
    if (n < 0) cannot_read(reason(errno));
    if (n == 0) break;  // shorter than it was a moment ago
    got += static_cast<std::size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

// ---- lock ------------------------------------------------------------------------------

Lock::Lock(const std::string& path) : path_(path + ".lock") {
  // The holder removes the lock file before it lets go, so a lock may turn out to be on a file
  // that has no name any more: then somebody else was faster, and the new file counts.
  for (;;) {
    const int d = uninterrupted(
        [&] { return ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666); });
    if (d < 0) cannot_write(path_, errno);
    if (uninterrupted([&] { return ::flock(d, LOCK_EX | LOCK_NB); }) < 0) {
      const int error = errno;
      std::array<char, 32> text{};
      const ssize_t n = ::pread(d, text.data(), text.size(), 0);
      ::close(d);
      if (error != EWOULDBLOCK) cannot_write(path_, error);
      std::int64_t pid = 0;
      std::from_chars(text.data(), text.data() + std::max<ssize_t>(n, 0), pid);
      throw Error(path + " is in use by " +
                  (pid > 0 ? "process " + std::to_string(pid) : "another process") +
                  " (lock file " + path_ + ")");
    }
    struct stat held {
    }, named{};
    if (::fstat(d, &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      descriptor_ = d;
      break;
    }
    ::close(d);
  }
  const std::string text = std::to_string(::getpid()) + "\n";
  int error = ::ftruncate(descriptor_, 0) < 0 ? errno : 0;
  if (error == 0) error = write_all(descriptor_, std::as_bytes(std::span(text)));
  if (error != 0) {
    ::unlink(path_.c_str());
    ::close(descriptor_);
    cannot_write(path_, error);
  }
}

Lock::~Lock() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace cra::results
