// sim/base.h: the floor every folder stands on: errors, checks, array views, parallel
// tiles, and the vocabulary of a parameter description (Key, Range). Standard library only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

// -ffast-math and its kin delete the checks for non-finite numbers that the whole program relies
// on: isnan(NaN) becomes 0. Refuse to be built that way.
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ == 1)
#error "cra cannot be built with -ffast-math, -Ofast or -ffinite-math-only: they remove NaN checks"
#endif

#if defined(__CUDACC__)
#define CRA_HD __host__ __device__
#else
#define CRA_HD
#endif

namespace cra {

/// A failure of the program or of its surroundings; the text says where, what was found and
/// what would be right. Only tools turn an Error into an exit code.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The command line is wrong (exit code 2).
class UsageError : public Error {
  using Error::Error;
};

/// A file the user named is missing, damaged or says something impossible (exit code 3).
class InputError : public Error {
  using Error::Error;
};

/// Training produced a non-finite number; the text names the array and the index (exit code 5).
class DivergedError : public Error {
  using Error::Error;
};

/// Throws Error with `text` unless `condition` holds. For what callers may get wrong; always on.
#define CRA_CHECK(condition, text)              \
  do {                                          \
    if (!(condition)) throw ::cra::Error(text); \
  } while (false)

/// For what only this code can get wrong; gone in release builds.
#if defined(NDEBUG)
#define CRA_ASSERT(condition) ((void)0)
#else
#define CRA_ASSERT(condition)                                                        \
  do {                                                                               \
    if (!(condition))                                                                \
      throw ::cra::Error(std::string(__FILE__ ": broken invariant: ") + #condition); \
  } while (false)
#endif

/// Rows of a row-major matrix that somebody else owns.
template <class T>
struct View {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  CRA_HD T* row(std::int64_t r) const { return data + r * cols; }
  CRA_HD std::int64_t size() const { return rows * cols; }
};

/// Calls work(i) for i in [0, count), in parallel; tiles share nothing, so the result does not
/// depend on the number of threads. When tiles throw, the exception of the lowest i is rethrown.
template <class Work>
void for_each_tile(std::int64_t count, Work work) {
  std::exception_ptr first;
  std::int64_t first_tile = std::numeric_limits<std::int64_t>::max();
  std::mutex guard;
#pragma omp parallel for schedule(dynamic, 1) if (count > 1)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      work(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (i < first_tile) {
        first_tile = i;
        first = std::current_exception();
      }
    }
  }
  if (first) std::rethrow_exception(first);
}

/// Smallest number of tiles of `tile` items that hold `count` items.
constexpr std::int64_t tiles_of(std::int64_t count, std::int64_t tile) {
  return (count + tile - 1) / tile;
}

// ---- describing parameters -------------------------------------------------------------
//
// Every Params struct has one `template <class V> void fields(V& v, Params& p)` beside it.
// A visitor V (loader, dump, key list, JSON schema) is called once per key, in one of two forms:
//   v(Key, member, Range, "unit", "doc")   double, int, std::int64_t, sim::NodeValues, arrays of
//   two v(Key, member, "doc")                  bool, std::string, enum, nested struct, std::vector
//   of
//                                          strings or structs, std::variant of kinds (key `kind`),
//                                          std::vector of such a variant

/// The name of a key, and whether a scenario must give it.
struct Key {
  const char* name;
  bool required = false;

  constexpr Key(const char* key) : name(key) {}  // NOLINT(google-explicit-constructor)
  constexpr Key(const char* key, bool must) : name(key), required(must) {}
};

/// A key without a default.
constexpr Key required(const char* name) { return Key(name, true); }

/// Closed interval of allowed values, or open at the lower or upper end.
struct Range {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
  bool lo_open = false;
  bool hi_open = false;

  bool contains(double x) const {
    return (lo_open ? x > lo : x >= lo) && (hi_open ? x < hi : x <= hi);
  }
};
constexpr Range above(double lo, double hi) { return {lo, hi, true, false}; }
constexpr Range below(double lo, double hi) { return {lo, hi, false, true}; }

/// Names of the values of an enum, in order: specialise with
///   static constexpr std::array<const char*, n> names
template <class E>
struct Choices;

/// One thing wrong with a set of parameters that no single key's range can tell.
struct Problem {
  std::string path;  ///< dotted key, e.g. "pool.budget"
  std::string text;  ///< what was found and what would be right, without the place
};

}  // namespace cra
