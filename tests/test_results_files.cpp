#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "results/results.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;
using cra::testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs `work` in a child that then dies without cleaning up. \returns its exit code
template <class Work>
int in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

TEST_CASE("sha256: the examples of FIPS 180-4 and every length around a block") {
  CHECK(sha256(bytes_of("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(bytes_of("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(bytes_of(std::string(1000000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // Padding spills into a second block from 56 bytes on. Reference: sha256sum of n times "a", all
  // 64 digests fed to sha256sum in turn.
  std::string all;
  for (std::size_t n = 1; n <= 64; ++n) all += sha256(bytes_of(std::string(n, 'a')));
  CHECK(sha256(bytes_of(all)) ==
        "db302fc39b11b6e82b11ce15e85aba74d8f9742a629f807cf7d3955777bc7834");
}

TEST_CASE("write_file: makes a file, replaces it, and leaves nothing else behind") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  write_file(path, bytes_of("one"));
  CHECK(content(path) == "one");
  write_file(path, bytes_of(std::string(3000000, 'x')));
  CHECK(content(path) == std::string(3000000, 'x'));
  write_file(path, {});
  CHECK(content(path).empty());
  CHECK(folder.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("write_file: a path without a folder is in the current one") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file("plain.bin", bytes_of("x"));
  fs::current_path(before);
  CHECK(content(folder / "plain.bin") == "x");
}

TEST_CASE("write_file: says what it cannot write and why, and leaves the old content") {
  const TemporaryFolder folder;
  const std::string nowhere = folder / "missing/a.bin";
  CHECK(message_of([&] { write_file(nowhere, {}); }) ==
        "cannot write " + nowhere + ": No such file or directory");
  const std::string taken = folder / "taken";
  fs::create_directory(taken);
  CHECK(message_of([&] { write_file(taken, bytes_of("x")); }) ==
        "cannot write " + taken + ": Is a directory");
  CHECK(folder.names() == std::vector<std::string>{"taken"});
}

TEST_CASE("write_file: the temporary of a dead writer is replaced, that of a living one is not") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin", temporary = path + ".cra-tmp";
  std::ofstream(temporary) << "half a fi";
  write_file(path, bytes_of("whole"));
  CHECK(content(path) == "whole");
  CHECK(!fs::exists(temporary));

  const int d = ::open(temporary.c_str(), O_WRONLY | O_CREAT, 0666);
  REQUIRE(::flock(d, LOCK_EX) == 0);
  CHECK(message_of([&] {
          write_file(path, bytes_of("other"));
        }).find(temporary + " is in the way") != std::string::npos);
  CHECK(content(path) == "whole");
  ::close(d);

  // Something else of that name belongs to somebody else.
  fs::remove(temporary);
  fs::create_directory(temporary);
  CHECK(message_of([&] {
          write_file(path, bytes_of("other"));
        }).find(temporary + " is in the way") != std::string::npos);
  CHECK(fs::is_directory(temporary));
}

TEST_CASE("read_file: gives the bytes, refuses what is not a readable plain file of that size") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  write_file(path, bytes_of("12345"));
  CHECK(read_file(path, 5).size() == 5);
  CHECK(message_of<InputError>([&] { read_file(path, 4); }) ==
        "cannot read " + path + ": it has 5 bytes, more than the limit of 4");
  CHECK(message_of<InputError>([&] { read_file(folder / "b", 4); }) ==
        "cannot read " + (folder / "b") + ": No such file or directory");
  CHECK(message_of<InputError>([&] { read_file(folder.path(), 4); }) ==
        "cannot read " + folder.path() + ": Is a directory");
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(message_of<InputError>([&] { read_file(pipe, 4); }) ==
        "cannot read " + pipe + ": not a plain file");
}

TEST_CASE("Lock: a second holder is refused by the name of the first, and let in afterwards") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  {
    const Lock held(path);
    CHECK(message_of([&] { Lock again(path); }) == path + " is in use by process " +
                                                       std::to_string(::getpid()) + " (lock file " +
                                                       path + ".lock)");
    const int code = in_child([&] {
      try {
        const Lock other(path);
        return 0;
      } catch (const Error&) {
        return 1;
      }
    });
    CHECK(code == 1);
  }
  CHECK(folder.names().empty());
  const Lock again(path);
}

TEST_CASE("Lock: what a dead process left does not block") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5";
  const int code = in_child([&] {
    new Lock(path);  // dies holding it: no destructor runs
    return 7;
  });
  CHECK(code == 7);
  CHECK(fs::exists(path + ".lock"));
  CHECK_NOTHROW(Lock{path});
}

TEST_CASE("Lock: 40 rounds of 4 processes, never two at once") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.h5", inside = folder / "inside";
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = ::fork();
    if (child == 0) {
      int bad = 0;
      for (int held = 0; held < 40;) {
        try {
          const Lock lock(path);
          // O_EXCL fails when somebody else is inside.
          const int d = ::open(inside.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
          if (d < 0) ++bad;
          ::usleep(50);
          ::unlink(inside.c_str());
          ::close(d);
          ++held;
        } catch (const Error&) {
          ::usleep(20);
        }
      }
      ::_exit(bad == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
}
