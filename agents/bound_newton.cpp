// The linear system of a Newton step: bands inside the nodes, a dense matrix between them.
//
// H = F'' + G_node' D G_node is a band per node. The shared rows P add P' D_s P, which joins all
// nodes; by Woodbury their part is solved in the size of the shared rows M = T K (or 2 T):
//   (H + P' D_s P)^-1 v = H^-1 (v - P' w),   S w = P H^-1 v,   S = D_s^-1 + P H^-1 P'.
// S is a sum over nodes of d_nk d_nk' B_n, where B_n = pattern H_n^-1 pattern' depends on the
// shapes of the rows only, so several resources cost no further band solves.
// Episodes are parallel already, and bits must not depend on the number of threads.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Cholesky>

#include "agents/bound_program.h"

namespace cra::agents {
namespace {

constexpr double kRidge = 1e-10;  // keeps pivots positive where a level has no curvature

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

Newton::Newton(const Program& program) : program_(program) {
  std::size_t size = 0, longest = 0;
  const auto slots = static_cast<std::size_t>(program.p.slots);
  for (const NodeProgram& node : program.node) {
    const auto width = static_cast<std::size_t>(node.width);
    band_begin_.push_back(size);
    size += slots * width * (width + 1);
    longest = std::max(longest, slots * width);
  }
  patterns_ = program.p.reserve > 0 ? 2 : 1;
  const std::size_t shared = program.rows - program.shared;
  bands_.resize(size);
  columns_.resize(longest * patterns_ * slots);
  schur_.resize(shared * shared);
  rows_.resize(program.rows);
  back_.resize(program.variables);
}

void Newton::factor_node(int n, const Point& at) {
  const ClairvoyantProblem& p = program_.p;
  const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
  const int w = node.width, size = p.slots * w;
  double* a = band(n);  // element (r, c) of the lower band is at r * (w + 1) + c - r + w
  const auto element = [&](int r, int c) -> double& { return a[r * (w + 1) + c - r + w]; };
  std::fill(a, a + static_cast<std::ptrdiff_t>(size) * (w + 1), 0.0);

  const double* v = at.x.data() + node.variables;
  std::visit(
      [&](const auto& curve) {
        for (int t = 0; t < p.slots; ++t) {
          const int level = node.at(t, node.level);
          element(level, level) = p.importance[p.at(t, n)] * curve.curvature(v[level]);
        }
      },
      p.at_node(n).error);
  const ClairvoyantNode& costs = p.at_node(n);
  if (costs.crowding > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - w;
      const double bend = 2 * costs.crowding / (costs.lag * costs.lag), stays = 1 - costs.lag;
      element(m, m) += bend;
      if (t > 0) {
        element(before, before) += stays * stays * bend;
        element(m, before) -= stays * bend;
      }
    }
  if (p.switching > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - w;
      const double bend = switching_curvature(p, program_.step(at.x, n, t), at.pull[p.at(t, n)]);
      element(m, m) += bend;
      if (t > 0) {
        element(before, before) += bend;
        element(m, before) -= bend;
      }
    }
  for (std::size_t i = 0; i < node.rows.size(); ++i) {
    const Row& row = node.rows[i];
    const double d = at.dual[node.first_row + i] / at.slack[node.first_row + i];
    for (std::size_t j = 0; j < static_cast<std::size_t>(row.count); ++j)
      for (std::size_t l = 0; l < static_cast<std::size_t>(row.count); ++l)
        if (row.at[l] <= row.at[j]) element(row.at[j], row.at[l]) += row.by[j] * row.by[l] * d;
  }

  for (int r = 0; r < size; ++r)
    for (int c = std::max(0, r - w); c <= r; ++c) {
      double sum = element(r, c);
      if (c == r) sum += kRidge;
      for (int j = std::max(0, r - w); j < c; ++j) sum -= element(r, j) * element(c, j);
      if (c < r) {
        element(r, c) = sum * element(c, c);
      } else {
        lost_ = lost_ || !(sum > 0);
        element(r, r) = 1 / std::sqrt(sum);  // kept inverted: solves multiply
      }
    }
}

void Newton::solve_node(int n, double* v) const {
  const int w = program_.node[static_cast<std::size_t>(n)].width, size = program_.p.slots * w;
  const double* a = band(n);
  const auto element = [&](int r, int c) { return a[r * (w + 1) + c - r + w]; };
  for (int r = 0; r < size; ++r) {
    for (int c = std::max(0, r - w); c < r; ++c) v[r] -= element(r, c) * v[c];
    v[r] *= element(r, r);
  }
  for (int r = size - 1; r >= 0; --r) {
    for (int c = r + 1; c <= std::min(size - 1, r + w); ++c) v[r] -= element(c, r) * v[c];
    v[r] *= element(r, r);
  }
}

// Solves H X = pattern' for all slots at once, a column per pattern and slot. Column t is zero
// above slot t - 1, and by symmetry only its part from there down is needed: in the rows of slot
// tau, columns 0 .. tau + 1.
void Newton::add_to_schur(int n) {
  const ClairvoyantProblem& p = program_.p;
  const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
  const int w = node.width, size = p.slots * w;
  const auto slots = static_cast<std::size_t>(p.slots);
  const std::size_t stride = patterns_ * slots;
  const double* a = band(n);
  const auto element = [&](int r, int c) { return a[r * (w + 1) + c - r + w]; };
  const auto row_of = [&](int r) { return columns_.data() + static_cast<std::size_t>(r) * stride; };
  const auto active = [&](int r) { return std::min(slots, static_cast<std::size_t>(r / w) + 2); };
  const auto subtract = [&](int r, double by, int from, std::size_t count) {
    double* to = row_of(r);
    const double* x = row_of(from);
    for (std::size_t q = 0; q < stride; q += slots)
      for (std::size_t t = q; t < q + count; ++t) to[t] -= by * x[t];
  };
  const auto divide = [&](int r, std::size_t count) {
    double* to = row_of(r);
    const double by = element(r, r);
    for (std::size_t q = 0; q < stride; q += slots)
      for (std::size_t t = q; t < q + count; ++t) to[t] *= by;
  };

  std::fill(columns_.begin(),
            columns_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(size) * stride),
            0.0);
  for (int t = 0; t < p.slots; ++t) {
    const auto column = static_cast<std::size_t>(t);
    row_of(node.at(t, node.rate))[column] = node.now;
    if (t > 0) row_of(node.at(t - 1, node.rate))[column] = node.before;
    if (node.reserve >= 0) row_of(node.at(t, node.reserve))[column] = node.spare;
    if (patterns_ == 1) continue;
    row_of(node.at(t, node.rate))[slots + column] = 1;
    if (node.reserve >= 0)
      row_of(node.at(t, node.reserve))[slots + column] = node.spare / program_.lag;
  }
  for (int r = 0; r < size; ++r) {
    // Earlier rows have fewer active columns; the rest of theirs is zero.
    for (int c = std::max(0, r - w); c < r; ++c) subtract(r, element(r, c), c, active(c));
    divide(r, active(r));
  }
  for (int r = size - 1; r >= 0; --r) {
    for (int c = r + 1; c <= std::min(size - 1, r + w); ++c)
      subtract(r, element(c, r), c, active(r));
    divide(r, active(r));
  }

  // Blocks of S below their own diagonals: row (kind, t), columns (other, 0 .. t).
  std::vector<double> product(stride);
  const std::size_t shared = program_.rows - program_.shared;
  for (int t = 0; t < p.slots; ++t)
    for (std::size_t q = 0; q < patterns_; ++q) {
      const bool pool = q == 1;
      const auto count = static_cast<std::size_t>(t) + 1;
      const double* m = row_of(node.at(t, node.rate));
      const double now = pool ? 1 : node.now;
      for (std::size_t i = 0; i < stride; i += slots)
        for (std::size_t j = i; j < i + count; ++j) product[j] = now * m[j];
      const auto add = [&](double by, const double* x) {
        for (std::size_t i = 0; i < stride; i += slots)
          for (std::size_t j = i; j < i + count; ++j) product[j] += by * x[j];
      };
      if (!pool && t > 0) add(node.before, row_of(node.at(t - 1, node.rate)));
      if (node.reserve >= 0)
        add(pool ? node.spare / program_.lag : node.spare, row_of(node.at(t, node.reserve)));
      for (int kind = 0; kind < program_.shared_kinds; ++kind) {
        if (program_.is_pool(kind) != pool) continue;
        double* to =
            schur_.data() +
            (static_cast<std::size_t>(kind) * slots + static_cast<std::size_t>(t)) * shared;
        for (int other = 0; other < program_.shared_kinds; ++other) {
          const double by = program_.weight(n, kind) * program_.weight(n, other);
          const double* from = product.data() + (program_.is_pool(other) ? slots : 0);
          double* block = to + static_cast<std::size_t>(other) * slots;
          for (std::size_t j = 0; j < count; ++j) block[j] += by * from[j];
        }
      }
    }
}

bool Newton::factor(const Point& at) {
  at_ = &at;
  lost_ = false;
  std::fill(schur_.begin(), schur_.end(), 0.0);
  for (int n = 0; n < program_.p.nodes; ++n) {
    factor_node(n, at);
    if (lost_) return false;
    add_to_schur(n);
  }
  const auto size = static_cast<Eigen::Index>(program_.rows - program_.shared);
  Eigen::Map<Matrix> schur(schur_.data(), size, size);
  const Eigen::Index slots = program_.p.slots;
  for (Eigen::Index i = 0; i < size; ++i) {
    const std::size_t row = program_.shared + static_cast<std::size_t>(i);
    schur(i, i) += at.slack[row] / at.dual[row];
    for (Eigen::Index j = 0; j < i; ++j)
      if (j % slots > i % slots) schur(i, j) = schur(j, i);
  }
  Eigen::LLT<Eigen::Ref<Matrix>> factor(schur);
  return factor.info() == Eigen::Success;
}

void Newton::solve_once(std::vector<double>& v) {
  const ClairvoyantProblem& p = program_.p;
  for (int n = 0; n < p.nodes; ++n)
    solve_node(n, v.data() + program_.node[static_cast<std::size_t>(n)].variables);
  program_.times(v, rows_);
  const auto size = static_cast<Eigen::Index>(program_.rows - program_.shared);
  const Eigen::Map<const Matrix> factor(schur_.data(), size, size);
  Eigen::Map<Eigen::VectorXd> w(rows_.data() + program_.shared, size);
  factor.triangularView<Eigen::Lower>().solveInPlace(w);
  factor.triangularView<Eigen::Lower>().transpose().solveInPlace(w);
  std::fill(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(program_.shared), 0.0);
  std::fill(back_.begin(), back_.end(), 0.0);
  program_.add_transposed(rows_, -1, back_);  // - P' w
  for (int n = 0; n < p.nodes; ++n)
    solve_node(n, back_.data() + program_.node[static_cast<std::size_t>(n)].variables);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] += back_[i];
}

// Where a node has rate to spare, its own H is nearly singular, and w takes back what H^-1 blew up:
// digits are lost as the slacks close. Refinement brings them back for the price of two more
// solves.
void Newton::solve(std::vector<double>& v, int refinements) {
  const std::vector<double> wanted = v;
  solve_once(v);
  std::vector<double> missing(v.size());
  for (int round = 0; round < refinements; ++round) {
    program_.bend(*at_, v, missing);
    program_.times(v, rows_);
    for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i] *= at_->dual[i] / at_->slack[i];
    program_.add_transposed(rows_, 1, missing);
    for (std::size_t i = 0; i < v.size(); ++i) missing[i] = wanted[i] - missing[i];
    solve_once(missing);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += missing[i];
  }
}

}  // namespace cra::agents
