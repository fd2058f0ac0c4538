// A file is parsed once in a child process before it is parsed here. HDF5 1.10.8 was seen to write
// past its buffers, free what it never allocated and loop for ever on files whose structure lies;
// the seal at the end of a result guards against damage, but not against somebody who seals a lie.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "results/schema.h"

namespace cra::results {
namespace {

/// Far more than any sound file takes: 2 s, and one for every MiB.
rlim_t seconds_for(std::size_t bytes) { return 2 + (bytes >> 20); }

/// Into a pipe, which has room for all of it.
void say(int pipe, const char* text) {
  constexpr std::size_t kMost = 4096;
  const std::size_t size = std::min(std::strlen(text), kMost);
  // What cannot be said now will be met again by the caller.
  if (::write(pipe, text, size) != static_cast<ssize_t>(size)) ::_exit(0);
}

std::string heard(int pipe) {
  std::string text;
  char some[512];
  for (;;) {
    const ssize_t got = ::read(pipe, some, sizeof some);
    if (got > 0) text.append(some, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) return text;
  }
}

[[noreturn]] void attempt(const std::function<void()>& parse, std::size_t bytes, int pipe) {
  // What the parser or a sanitizer has to say of a crash is not for the user.
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGXCPU})
    std::signal(signal, SIG_DFL);
  const rlimit no_core{0, 0}, time{seconds_for(bytes), seconds_for(bytes)};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::setrlimit(RLIMIT_CPU, &time);
  try {
    parse();
  } catch (const Error& e) {
    say(pipe, e.what());
  } catch (...) {
    ::_exit(0);  // which the caller will meet again
  }
  ::_exit(0);
}

/// What a child died of, or "" when it did not.
std::string death_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return "";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  const bool slow =
      WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL);
  return slow ? "has a structure that HDF5 does not come to an end with"
              : "has a structure that HDF5 breaks down on";
}

}  // namespace

std::string trial_problem(const std::function<void()>& parse, std::size_t bytes) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return "";  // no room for a child: then without
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    attempt(parse, bytes, ends[1]);
  }
  ::close(ends[1]);
  const std::string said = child > 0 ? heard(ends[0]) : "";
  ::close(ends[0]);
  if (child < 0) return "";
  const std::string died = death_of(child);
  return died.empty() ? said : died;
}

}  // namespace cra::results
