// The linear system of a Newton step: bands inside the chains, a dense matrix between them.
//
// H = F'' + G_node' D G_node is a band per chain of nodes. The shared rows P add P' D_s P, which
// joins all nodes; by Woodbury their part is solved in the size of the shared rows M = T K (or 2
// T):
//   (H + P' D_s P)^-1 v = H^-1 (v - P' w),   S w = P H^-1 v,   S = D_s^-1 + P H^-1 P'.
// For nodes alone S is a sum of d_nk d_nk' B_n, where B_n = pattern H_n^-1 pattern' depends on the
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
  const auto slots = static_cast<std::size_t>(program.p.slots);
  kinds_ = program.shared_kinds + (program.p.worst > 0 ? 1 : 0);
  size_ = static_cast<std::size_t>(kinds_) * slots;
  std::size_t size = 0, most = 0;
  for (const Chain& chain : program.chains) {
    const std::size_t variables = slots * static_cast<std::size_t>(chain.width);
    band_begin_.push_back(size);
    size += variables * (static_cast<std::size_t>(chain.half) + 1);
    most = std::max(most, variables * static_cast<std::size_t>(patterns_of(chain)) * slots);
  }
  bands_.resize(size);
  columns_.resize(most);
  schur_.resize(size_ * size_);
  rows_.resize(program.rows);
  back_.resize(program.variables);
  some_.resize(size_);
  curving_.resize(program.p.at(program.p.slots, 0));
  if (program.p.worst > 0) leaning_.resize(curving_.size());
}

// A node alone enters all budgets by the same shape of row, times its needs; nodes that are joined
// have needs of their own, so each kind of row is a shape.
int Newton::patterns_of(const Chain& chain) const {
  if (!chain.alone()) return kinds_;
  return 1 + (program_.p.reserve > 0 ? 1 : 0) + (program_.p.worst > 0 ? 1 : 0);
}
int Newton::pattern_of(const Chain& chain, int kind) const {
  if (!chain.alone()) return kind;
  return std::max(0, kind - program_.p.resources + 1);
}

template <class F>
void Newton::each_entry(const Chain& chain, int pattern, int t, F f) const {
  const int kind = chain.alone() ? pattern + program_.p.resources - 1 : pattern;
  for (const int n : chain.members) {
    const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
    if (kind >= program_.shared_kinds) {  // the soft worst error
      f(node.at(t, node.judged), leaning_[program_.p.at(t, n)]);
      continue;
    }
    const bool pool = program_.is_pool(kind);
    const double by = chain.alone() ? 1 : program_.weight(n, kind);
    f(node.at(t, node.rate), by * (pool ? 1 : node.now));
    if (!pool && t > 0) f(node.at(t - 1, node.rate), by * node.before);
    if (node.reserve >= 0)
      f(node.at(t, node.reserve), by * (pool ? node.spare / program_.lag : node.spare));
  }
}

/// F'' of node n and the weights of its rows, added to the band of its chain.
void Newton::fill_band(int n) {
  const ClairvoyantProblem& p = program_.p;
  const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
  const Chain& chain = program_.chains[static_cast<std::size_t>(node.chain)];
  const int w = chain.half;
  double* a = band(chain);  // element (r, c) of the lower band is at r * (w + 1) + c - r + w
  const auto element = [&](int r, int c) -> double& { return a[r * (w + 1) + c - r + w]; };
  for (int t = 0; t < p.slots; ++t) {
    const int judged = node.at(t, node.judged);
    element(judged, judged) += curving_[p.at(t, n)];
  }
  const ClairvoyantNode& costs = p.at_node(n);
  if (costs.crowding > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - node.width;
      const double bend = 2 * costs.crowding / (costs.lag * costs.lag), stays = 1 - costs.lag;
      element(m, m) += bend;
      if (t > 0) {
        element(before, before) += stays * stays * bend;
        element(m, before) -= stays * bend;
      }
    }
  if (p.switching > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - node.width;
      const double bend =
          switching_curvature(p, program_.step(at_->x, n, t), at_->pull[p.at(t, n)]);
      element(m, m) += bend;
      if (t > 0) {
        element(before, before) += bend;
        element(m, before) -= bend;
      }
    }
  for (std::size_t i = 0; i < node.rows.size(); ++i) {
    const Row& row = node.rows[i];
    const double d = at_->dual[node.first_row + i] / at_->slack[node.first_row + i];
    for (std::size_t j = 0; j < static_cast<std::size_t>(row.count); ++j)
      for (std::size_t l = 0; l < static_cast<std::size_t>(row.count); ++l)
        if (row.at[l] <= row.at[j]) element(row.at[j], row.at[l]) += row.by[j] * row.by[l] * d;
  }
}

void Newton::factor_chain(const Chain& chain) {
  const int w = chain.half, size = program_.p.slots * chain.width;
  double* a = band(chain);
  const auto element = [&](int r, int c) -> double& { return a[r * (w + 1) + c - r + w]; };
  std::fill(a, a + static_cast<std::ptrdiff_t>(size) * (w + 1), 0.0);
  for (const int n : chain.members) fill_band(n);
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

void Newton::solve_chain(const Chain& chain, double* v) const {
  const int w = chain.half, size = program_.p.slots * chain.width;
  const double* a = band(chain);
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
void Newton::add_to_schur(const Chain& chain) {
  const int w = chain.half, size = program_.p.slots * chain.width;
  const auto slots = static_cast<std::size_t>(program_.p.slots);
  const int patterns = patterns_of(chain);
  const std::size_t stride = static_cast<std::size_t>(patterns) * slots;
  const double* a = band(chain);
  const auto element = [&](int r, int c) { return a[r * (w + 1) + c - r + w]; };
  const auto row_of = [&](int r) { return columns_.data() + static_cast<std::size_t>(r) * stride; };
  const auto active = [&](int r) {
    return std::min(slots, static_cast<std::size_t>(r / chain.width) + 2);
  };
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
  for (int q = 0; q < patterns; ++q)
    for (int t = 0; t < program_.p.slots; ++t)
      each_entry(chain, q, t, [&](int variable, double by) {
        row_of(variable)[static_cast<std::size_t>(q) * slots + static_cast<std::size_t>(t)] += by;
      });
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
  const auto weight = [&](int kind) {
    const bool worst = kind >= program_.shared_kinds;
    return chain.alone() && !worst ? program_.weight(chain.members[0], kind) : 1;
  };
  for (int t = 0; t < program_.p.slots; ++t)
    for (int q = 0; q < patterns; ++q) {
      const auto count = static_cast<std::size_t>(t) + 1;
      std::fill(product.begin(), product.end(), 0.0);
      each_entry(chain, q, t, [&](int variable, double by) {
        const double* x = row_of(variable);
        for (std::size_t i = 0; i < stride; i += slots)
          for (std::size_t j = i; j < i + count; ++j) product[j] += by * x[j];
      });
      for (int kind = 0; kind < kinds_; ++kind) {
        if (pattern_of(chain, kind) != q) continue;
        double* to = schur_.data() +
                     (static_cast<std::size_t>(kind) * slots + static_cast<std::size_t>(t)) * size_;
        for (int other = 0; other < kinds_; ++other) {
          const double by = weight(kind) * weight(other);
          const double* from =
              product.data() + static_cast<std::size_t>(pattern_of(chain, other)) * slots;
          double* block = to + static_cast<std::size_t>(other) * slots;
          for (std::size_t j = 0; j < count; ++j) block[j] += by * from[j];
        }
      }
    }
}

bool Newton::factor(const Point& at) {
  const ClairvoyantProblem& p = program_.p;
  at_ = &at;
  lost_ = false;
  for (int n = 0; n < p.nodes; ++n) program_.errors(at.x, n, Derivative::curvature, curving_);
  for (std::size_t i = 0; i < curving_.size() && p.worst == 0; ++i) curving_[i] *= p.importance[i];
  if (p.worst > 0) {
    // Second derivative of the soft maximum: a diagonal less one outer product in every slot.
    const std::vector<double> share = program_.shares(at.x);
    for (int n = 0; n < p.nodes; ++n) program_.errors(at.x, n, Derivative::slope, leaning_);
    for (std::size_t i = 0; i < curving_.size(); ++i) {
      curving_[i] = (p.importance[i] + program_.fairness() * share[i]) * curving_[i] +
                    program_.fairness() / p.temperature * share[i] * leaning_[i] * leaning_[i];
      leaning_[i] *= share[i];
    }
  }
  std::fill(schur_.begin(), schur_.end(), 0.0);
  for (const Chain& chain : program_.chains) {
    factor_chain(chain);
    if (lost_) return false;
    add_to_schur(chain);
  }
  return factor_schur();
}

// With G the rows of the soft worst error, H + P' D P - C G' G asks for the system
//   [S  B'] [w]   [P y]
//   [B  -A] [u] = [G y],   A = 1 / C - G H^-1 G',   B = G H^-1 P',
// and A is positive definite because the whole is: u goes first, and S gains B' A^-1 B.
bool Newton::factor_schur() {
  const auto size = static_cast<Eigen::Index>(size_);
  const auto shared = static_cast<Eigen::Index>(program_.rows - program_.shared);
  Eigen::Map<Matrix> schur(schur_.data(), size, size);
  const Eigen::Index slots = program_.p.slots;
  for (Eigen::Index i = 0; i < size; ++i) {
    const std::size_t row = program_.shared + static_cast<std::size_t>(i);
    if (i < shared) schur(i, i) += at_->slack[row] / at_->dual[row];
    for (Eigen::Index j = 0; j < i; ++j)
      if (j % slots > i % slots) schur(i, j) = schur(j, i);
  }
  if (size > shared) {
    auto last = schur.bottomRightCorner(slots, slots);
    const double most = program_.p.temperature / program_.fairness();
    last = -last.eval();
    last.diagonal().array() += most * (1 + kRidge);
    Eigen::LLT<Eigen::Ref<Matrix>> factor(last);
    if (factor.info() != Eigen::Success) return false;
    auto cross = schur.bottomLeftCorner(slots, shared);
    last.triangularView<Eigen::Lower>().solveInPlace(cross);
    schur.topLeftCorner(shared, shared)
        .selfadjointView<Eigen::Lower>()
        .rankUpdate(cross.transpose());
  }
  Eigen::Ref<Matrix> top = schur.topLeftCorner(shared, shared);
  Eigen::LLT<Eigen::Ref<Matrix>> factor(top);
  return factor.info() == Eigen::Success;
}

/// G v of one slot.
double Newton::worst_of(const std::vector<double>& v, int t) const {
  double sum = 0;
  for (int n = 0; n < program_.p.nodes; ++n) {
    const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
    sum += leaning_[program_.p.at(t, n)] *
           v[node.variables + static_cast<std::size_t>(node.at(t, node.judged))];
  }
  return sum;
}
/// v -= G' by
void Newton::add_worst(const double* by, std::vector<double>& v) const {
  for (int n = 0; n < program_.p.nodes; ++n) {
    const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
    for (int t = 0; t < program_.p.slots; ++t)
      v[node.variables + static_cast<std::size_t>(node.at(t, node.judged))] -=
          leaning_[program_.p.at(t, n)] * by[t];
  }
}

void Newton::solve_once(std::vector<double>& v) {
  const bool worst = !leaning_.empty();
  const auto slots = static_cast<Eigen::Index>(program_.p.slots);
  for (const Chain& chain : program_.chains) solve_chain(chain, v.data() + chain.variables);
  program_.times(v, rows_);
  const auto size = static_cast<Eigen::Index>(size_);
  const auto shared = static_cast<Eigen::Index>(program_.rows - program_.shared);
  const Eigen::Map<const Matrix> factor(schur_.data(), size, size);
  const auto top = factor.topLeftCorner(shared, shared);
  const auto cross = factor.bottomLeftCorner(size - shared, shared);
  const auto last = factor.bottomRightCorner(size - shared, size - shared);
  Eigen::Map<Eigen::VectorXd> w(rows_.data() + program_.shared, shared);
  Eigen::Map<Eigen::VectorXd> u(some_.data(), size - shared);
  if (worst) {
    for (Eigen::Index t = 0; t < slots; ++t) u[t] = worst_of(v, static_cast<int>(t));
    last.triangularView<Eigen::Lower>().solveInPlace(u);
    w.noalias() += cross.transpose() * u;
  }
  top.triangularView<Eigen::Lower>().solveInPlace(w);
  top.triangularView<Eigen::Lower>().transpose().solveInPlace(w);
  std::fill(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(program_.shared), 0.0);
  std::fill(back_.begin(), back_.end(), 0.0);
  program_.add_transposed(rows_, -1, back_);  // - P' w
  if (worst) {
    u = cross * w - u;
    last.triangularView<Eigen::Lower>().transpose().solveInPlace(u);
    add_worst(u.data(), back_);
  }
  for (const Chain& chain : program_.chains) solve_chain(chain, back_.data() + chain.variables);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] += back_[i];
}

/// out = F'' times v.
void Newton::bend(const std::vector<double>& v, std::vector<double>& out) const {
  const ClairvoyantProblem& p = program_.p;
  std::fill(out.begin(), out.end(), 0.0);
  for (int n = 0; n < p.nodes; ++n) {
    const NodeProgram& at = program_.node[static_cast<std::size_t>(n)];
    const double* by = v.data() + at.variables;
    double* to = out.data() + at.variables;
    for (int t = 0; t < p.slots; ++t)
      to[at.at(t, at.judged)] = curving_[p.at(t, n)] * by[at.at(t, at.judged)];
    const ClairvoyantNode& costs = p.at_node(n);
    if (costs.crowding > 0)
      for (int t = 0; t < p.slots; ++t) {
        const int m = at.at(t, at.rate), before = m - at.width;
        const double stays = 1 - costs.lag, moved = by[m] - (t > 0 ? stays * by[before] : 0);
        const double rises = 2 * costs.crowding / (costs.lag * costs.lag) * moved;
        to[m] += rises;
        if (t > 0) to[before] -= stays * rises;
      }
    if (p.switching > 0)
      for (int t = 0; t < p.slots; ++t) {
        const int m = at.at(t, at.rate), before = m - at.width;
        const double bend =
            switching_curvature(p, program_.step(at_->x, n, t), at_->pull[p.at(t, n)]);
        const double pull = bend * (by[m] - (t > 0 ? by[before] : 0));
        to[m] += pull;
        if (t > 0) to[before] -= pull;
      }
  }
  if (leaning_.empty()) return;
  std::vector<double> less(static_cast<std::size_t>(p.slots));
  for (int t = 0; t < p.slots; ++t)
    less[static_cast<std::size_t>(t)] = program_.fairness() / p.temperature * worst_of(v, t);
  add_worst(less.data(), out);
}

// Where a node has rate to spare, its own H is nearly singular, and w takes back what H^-1 blew up:
// digits are lost as the slacks close. Refinement brings them back for the price of two more
// solves.
void Newton::solve(std::vector<double>& v, int refinements) {
  const std::vector<double> wanted = v;
  solve_once(v);
  std::vector<double> missing(v.size());
  for (int round = 0; round < refinements; ++round) {
    bend(v, missing);
    program_.times(v, rows_);
    for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i] *= at_->dual[i] / at_->slack[i];
    program_.add_transposed(rows_, 1, missing);
    for (std::size_t i = 0; i < v.size(); ++i) missing[i] = wanted[i] - missing[i];
    solve_once(missing);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += missing[i];
  }
}

}  // namespace cra::agents
