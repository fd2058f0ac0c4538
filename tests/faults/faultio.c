/* tests/faults/faultio.c: LD_PRELOAD shim that makes one file operation go wrong. Test only.
 *
 * Counts operations on paths that contain FIO_MATCH (descriptors remember their path's match):
 * open for writing or of a folder, write, pwrite, ftruncate, fsync, fdatasync, close, rename,
 * unlink. At number FIO_AT (from 0), FIO_MODE says what happens:
 *   kill   SIGKILL before the operation
 *   torn   half of a write, or the whole of any other operation, then SIGKILL
 *   short  half of a write, and success
 *   fail   the operation fails with errno FIO_ERRNO; with FIO_STICKY=1 so do all later ones that
 *          need space or the medium (not close and unlink: those work on a full or failing disk)
 * FIO_LOG names a file that gets one line per counted operation.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) (__extension__(__typeof__(&(name))) real(#name))

enum { kDescriptors = 4096 };
enum Fate { kWork, kFail, kShort, kTorn };

static atomic_long count;
static atomic_char watched[kDescriptors];

static void* real(const char* name) {
  void* f = dlsym(RTLD_NEXT, name);
  if (f == NULL) abort();
  return f;
}

static const char* setting(const char* name) {
  const char* value = getenv(name);
  return value == NULL ? "" : value;
}

static int matches(const char* path) {
  const char* match = setting("FIO_MATCH");
  return path != NULL && *match != '\0' && strstr(path, match) != NULL;
}

static int is_watched(int d) { return d >= 0 && d < kDescriptors && watched[d]; }

static void note(long number, const char* operation, const char* path) {
  const char* log = setting("FIO_LOG");
  if (*log == '\0') return;
  char line[512];
  const int n = snprintf(line, sizeof line, "%ld %s %s\n", number, operation, path);
  const int d = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (d < 0 || REAL(write)(d, line, (size_t)n) != n) abort();
  REAL(close)(d);
}

/* Counts an operation and says what is to become of it; does not return when that is death. */
static enum Fate fate(const char* operation, const char* path, int sticks) {
  const long number = atomic_fetch_add(&count, 1);
  note(number, operation, path);
  const char* mode = setting("FIO_MODE");
  const char* at_text = setting("FIO_AT");
  if (*mode == '\0' || *at_text == '\0') return kWork;
  const long at = strtol(at_text, NULL, 10);
  if (strcmp(mode, "fail") == 0) {
    const int later = sticks && strcmp(setting("FIO_STICKY"), "1") == 0;
    if (number != at && !(later && number > at)) return kWork;
    errno = (int)strtol(setting("FIO_ERRNO"), NULL, 10);
    return kFail;
  }
  if (number != at) return kWork;
  if (strcmp(mode, "kill") == 0) raise(SIGKILL);
  if (strcmp(mode, "torn") == 0) return kTorn;
  if (strcmp(mode, "short") == 0) return kShort;
  return kWork;
}

/* Reading is not counted: it puts nothing at risk. Folders are: their fsync is. */
static int counted(const char* path, int flags) {
  return matches(path) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_DIRECTORY) != 0);
}

static int opened(int d) {
  if (d >= 0 && d < kDescriptors) watched[d] = 1;
  return d;
}

#define OPEN_BODY(call)                       \
  mode_t mode = 0;                            \
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) { \
    va_list rest;                             \
    va_start(rest, flags);                    \
    mode = va_arg(rest, mode_t);              \
    va_end(rest);                             \
  }                                           \
  if (!counted(path, flags)) return call;     \
  const enum Fate f = fate("open", path, 1);  \
  if (f == kFail) return -1;                  \
  const int d = opened(call);                 \
  if (f == kTorn) raise(SIGKILL);             \
  return d;

int open(const char* path, int flags, ...) { OPEN_BODY(REAL(open)(path, flags, mode)) }
int open64(const char* path, int flags, ...) { OPEN_BODY(REAL(open64)(path, flags, mode)) }
int openat(int at, const char* path, int flags, ...) {
  OPEN_BODY(REAL(openat)(at, path, flags, mode))
}
int openat64(int at, const char* path, int flags,
             ...){OPEN_BODY(REAL(openat64)(at, path, flags, mode))}
#define WRITE_BODY(operation, call)               \
  if (!is_watched(d)) return call;                \
  const enum Fate f = fate(operation, "", 1);     \
  if (f == kFail) return -1;                      \
  if (f == kTorn || f == kShort) n = (n + 1) / 2; \
  const ssize_t done = call;                      \
  if (f == kTorn) raise(SIGKILL);                 \
  return done;

ssize_t
    write(int d, const void* data, size_t n){WRITE_BODY("write", REAL(write)(d, data, n))} ssize_t
    pwrite(int d, const void* data, size_t n,
           off_t at){WRITE_BODY("pwrite", REAL(pwrite)(d, data, n, at))} ssize_t
    pwrite64(int d, const void* data, size_t n, off64_t at) {
  WRITE_BODY("pwrite64", REAL(pwrite64)(d, data, n, at))
}

#define SIMPLE_BODY(condition, operation, path, sticks, call) \
  if (!(condition)) return call;                              \
  const enum Fate f = fate(operation, path, sticks);          \
  if (f == kFail) return -1;                                  \
  const int done = call;                                      \
  if (f == kTorn) raise(SIGKILL);                             \
  return done;

int ftruncate(int d, off_t n) {
  SIMPLE_BODY(is_watched(d), "ftruncate", "", 1, REAL(ftruncate)(d, n))
}
int ftruncate64(int d, off64_t n) {
  SIMPLE_BODY(is_watched(d), "ftruncate64", "", 1, REAL(ftruncate64)(d, n))
}
int fsync(int d) { SIMPLE_BODY(is_watched(d), "fsync", "", 1, REAL(fsync)(d)) }
int fdatasync(int d) { SIMPLE_BODY(is_watched(d), "fdatasync", "", 1, REAL(fdatasync)(d)) }
int rename(const char* from, const char* to) {
  SIMPLE_BODY(matches(from) || matches(to), "rename", to, 1, REAL(rename)(from, to))
}
int unlink(const char* path) { SIMPLE_BODY(matches(path), "unlink", path, 0, REAL(unlink)(path)) }

int close(int d) {
  if (!is_watched(d)) return REAL(close)(d);
  const enum Fate f = fate("close", "", 0);
  watched[d] = 0;
  const int error = errno;
  const int done = REAL(close)(d); /* a failing close closes all the same */
  if (f == kTorn) raise(SIGKILL);
  if (f != kFail) return done;
  errno = error;
  return -1;
}
