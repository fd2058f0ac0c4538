// agents/bound_kernel.h: the linear algebra of a Newton step of the bound, in kernels that are
// compiled for several instruction sets; the processor chooses at run time. Internal to
// bound_*.cpp.
//
// Every number is made by the same operations in the same order in all of them: lanes are columns
// that do not meet, sums run in order, and dot products have eight parts whatever the width of a
// vector. So the bits do not depend on the processor either.
//
// The matrix S is held by rows, upper triangle, in blocks of `lanes` rows and columns: a kind of
// shared row each, with the slots in it and some padding. U' U = S is its factor.
#pragma once

#include <cstddef>
#include <vector>

namespace cra::agents {

constexpr int kLaneBlock = 8;  ///< lanes come in multiples of it
constexpr int lanes_of(int slots) { return (slots + kLaneBlock - 1) / kLaneBlock * kLaneBlock; }

/// Chains of one shape, a lane each; lanes that hold none are identities. Element (r, c), r - half
/// <= c
/// <= r, of a lane is at (r * (half + 1) + c - r + half) * kLaneBlock + lane. Zero where c < 0.
/// Once factored, L L' = H, the diagonal is inverted: solves multiply.
struct Bands {
  double* a;
  int rows, half;
};

/// What a joining row holds: a variable of the chain, and its coefficient.
struct JoinEntry {
  int variable;
  double by;
};

/// Where the products of two patterns of a chain go: block[s, t] += by * (other s) H^-1 (pattern
/// t)' for t >= s.
struct JoinTarget {
  double* block;
  int other, pattern;
  double by;
};

/// One chain, factored, and the rows of it that join it to the others: a pattern for each shape, T
/// rows in each. Lane t of a pattern is the solution of H x = (row t)'. Above slot t - 1 its right
/// side is zero, so there each row of x follows from the `half` below it, for all lanes at once.
struct ChainSweep {
  int slots, width, half, patterns;
  const double* band;        ///< rows of the factor, see Newton; diagonal inverted
  const double* start;       ///< [patterns, T, 2 * width] x of lane t in slots t - 1, t
  const JoinEntry* entries;  ///< of row t of pattern q: first[q * T + t] and on
  const int* first;          ///< [patterns * T + 1]
  const JoinTarget* joins;   ///< [join_count] what is wanted of the products
  int join_count;
  int stride;    ///< of the rows of S
  double* room;  ///< [sweep_room()] to work in
};

/// Rows that a sweep holds at a time, a power of two.
constexpr int ring_rows(int width) {
  int rows = 1;
  while (rows < 2 * width) rows *= 2;
  return rows;
}
constexpr std::size_t sweep_room(int width, int patterns, int slots) {
  return static_cast<std::size_t>(ring_rows(width) + 1) * static_cast<std::size_t>(patterns) *
         static_cast<std::size_t>(lanes_of(slots));
}

/// A square of S. The first `turned` rows and columns belong to unknowns of the other sign: the
/// matrix is [-A B; B' S], A and S + B' A^-1 B positive definite, given as [A B; . S].
struct DenseFactor {
  double* a;     ///< [size, size] upper triangle, then its factor
  int size;      ///< a multiple of kLaneBlock, as is `turned`
  int turned;    ///< < size
  double* over;  ///< [size] 1 / the diagonal of the factor
};

struct NewtonKernel {
  const char* name = nullptr;                    ///< instruction set; null: not built
  bool (*factor_bands)(const Bands&) = nullptr;  ///< false when a pivot is not positive
  /// Numbers of H^-1: those of rows r and columns r .. r + reach - 1, reach > half (Takahashi,
  /// Fagan, Chin, Proc. 8th PICA Conf., 1973). \param near  [rows, reach, kLaneBlock]
  void (*invert_near)(const Bands&, int reach, double* near) = nullptr;
  void (*solve_bands)(const Bands&, double* v) = nullptr;  ///< in place, v [rows, kLaneBlock]
  void (*sweep)(const ChainSweep&) = nullptr;
  bool (*factor)(const DenseFactor&) = nullptr;            ///< false when a pivot is not positive
  void (*solve)(const DenseFactor&, double* b) = nullptr;  ///< in place, the right side of all rows
};

/// Those that this processor can run, the narrowest first.
const std::vector<NewtonKernel>& newton_kernels();

}  // namespace cra::agents
