// agents/bound_program.h: the clairvoyant problem as rows G x <= h over one flat vector x, and
// the linear algebra of its Newton steps. Internal to bound_*.cpp; formulas are those of the bound
// document, section 1.1 and 1.2.
#pragma once

#include <array>
#include <vector>

#include "agents/bound.h"
#include "agents/bound_kernel.h"

namespace cra::agents {

// Movement is nearly a kink, and Newton's method on it jumps from one side to the other. So its
// slope is an unknown of its own, `pull`, with pull * root = switching * step linearised in both
// (Chan, Golub, Mulet, SIAM J. Sci. Comput. 20, 1999): the curvature below is that of the movement
// cost only where pull is its slope, and stays gentle where it is not.

/// Slope of the movement cost at a step of a placed rate.
inline double switching_slope(const ClairvoyantProblem& p, double step) {
  return p.switching * step / std::hypot(step, p.smoothing);
}
/// Change of the slope by the step, as far as `pull` lets it.
inline double switching_curvature(const ClairvoyantProblem& p, double step, double pull) {
  const double root = std::hypot(step, p.smoothing);
  return (p.switching - pull * step / root) / root;
}

/// One constraint inside a chain: sum_j by[j] * x[at[j]] <= limit.
struct Row {
  /// Variables: four at most where other nodes feed, and one for each of those.
  static constexpr int most = 4 + kMostFeeders;
  int count = 0;
  std::array<int, most> at{};  ///< counted from the chain's first variable
  std::array<double, most> by{};
  double limit = 0;

  void add(int variable, double coefficient) {
    at[static_cast<std::size_t>(count)] = variable;
    by[static_cast<std::size_t>(count++)] = coefficient;
  }
};

/// Rows one after the other, without the room that a Row keeps.
struct FlatRows {
  std::vector<int> end;  ///< [rows] of the entries
  std::vector<int> at;   ///< as in Row
  std::vector<double> by;

  void add(const Row& row) {
    at.insert(at.end(), row.at.begin(), row.at.begin() + row.count);
    by.insert(by.end(), row.by.begin(), row.by.begin() + row.count);
    end.push_back(static_cast<int>(at.size()));
  }
};

/// The kinds of rows of a node, in their order within a slot; kServe .. kSpare only where needed.
enum RowKind : int {
  kLoad,      ///< work that is not served waits (effort is not more than was put in)
  kPositive,  ///< level >= 0
  kLeast,     ///< command >= 0
  kMost,      ///< command <= C
  kServe,     ///< service <= placed rate
  kUp,        ///< service + reserve <= b C
  kSpare,     ///< reserve >= 0
  kRoom,      ///< level <= what is in time
  kMissed,    ///< what misses its deadline >= 0
  kTable,     ///< error >= the line through a segment; as many as there are
  kRowKinds
};

/// Variables of a node, slot by slot: [service][reserve] rate level [missed or error].
struct NodeProgram {
  int chain = 0;                             ///< which it belongs to
  int width = 2;                             ///< variables of the chain in a slot
  int service = -1, reserve = -1;            ///< positions in a slot; -1: service = rate, none
  int rate = 0, level = 1;                   ///< positions in a slot
  int missed = -1;                           ///< position of what a deadline leaves undone, or -1
  int judged = 1;                            ///< position of what the error is a function of
  ErrorCurve curve;                          ///< that function, but for its factor
  bool stretched = true;                     ///< its argument is divided by the problem's stretch
  int kinds = 4;                             ///< rows in a slot
  std::array<int, kRowKinds> kind{};         ///< positions of the kinds in a slot, or -1
  std::vector<Row> rows;                     ///< [T * kinds] while they are made
  FlatRows flat;                             ///< [T * kinds] from then on
  std::size_t variables = 0, first_row = 0;  ///< where the chain begins in x, the node in the rows
  double now = 1, before = 0, spare = 0;     ///< budget row: coefficients of m_t, m_{t-1}, u_t

  int at(int t, int position) const { return t * width + position; }
  int row(int t, RowKind which) const { return t * kinds + kind[which]; }
  bool has(RowKind which) const { return kind[which] >= 0; }
  int served() const { return service >= 0 ? service : rate; }
  int last() const { return missed >= 0 || judged != level ? level + 1 : level; }
};

/// Nodes that rows join: one alone, or some that feed each other. A row joins a slot with the one
/// before, so the Hessian is a band.
struct Chain {
  std::vector<int> members;
  int width = 0;              ///< variables in a slot
  int half = 0;               ///< half width of the band, >= width
  std::size_t variables = 0;  ///< where it begins in x
  bool alone() const { return members.size() == 1; }
};

/// What one node's error amounts to.
enum class Derivative { value, slope, curvature };

/// An iterate, or a move of one.
struct Point {
  std::vector<double> x;      ///< [variables]
  std::vector<double> slack;  ///< [rows] > 0
  std::vector<double> dual;   ///< [rows] > 0
  std::vector<double> pull;   ///< [T, N] in [-switching, switching]; empty without switching
};

/// Shared rows follow those of the nodes: K budgets of T slots each, then as many pools. They are
/// multiplied by the mean lag, so that all rows speak of placed rates.
struct Program {
  explicit Program(const ClairvoyantProblem& problem);

  const ClairvoyantProblem& p;
  std::vector<NodeProgram> node;
  std::vector<Chain> chains;
  std::size_t variables = 0;
  std::size_t shared = 0;  ///< first shared row
  std::size_t rows = 0;
  int shared_kinds = 1;   ///< K budgets, and with a reserve K pools
  double lag = 1;         ///< mean lag
  std::vector<double> h;  ///< [rows] right-hand sides

  std::size_t shared_row(int kind, int t) const {
    return shared + static_cast<std::size_t>(kind) * static_cast<std::size_t>(p.slots) +
           static_cast<std::size_t>(t);
  }
  bool is_pool(int kind) const { return kind >= p.resources; }
  int resource_of(int kind) const { return is_pool(kind) ? kind - p.resources : kind; }
  /// Resource per work by which node n enters a shared row of this kind.
  double weight(int n, int kind) const { return p.need_of(n, resource_of(kind)); }

  /// out = G x. \param out [rows]
  void times(const std::vector<double>& x, std::vector<double>& out) const;
  /// The shared rows of it. The others are left alone.
  void times_shared(const std::vector<double>& x, std::vector<double>& out) const;
  /// out = gradient of the objective at x + G' z. \param out [variables]
  void gradient(const std::vector<double>& x, const std::vector<double>& z,
                std::vector<double>& out) const;
  /// Errors of node n, factor included, or their derivatives by what is judged. \param out [T, N],
  /// the node's column written
  void errors(const std::vector<double>& x, int n, Derivative which,
              std::vector<double>& out) const;
  /// Shares of the nodes in the soft worst error: its derivatives by the errors. [T, N]
  std::vector<double> shares(const std::vector<double>& x) const;
  /// N times the weight of the soft worst error, in units of the objective.
  double fairness() const { return p.worst * p.nodes; }
  /// out += sign * G' z
  void add_transposed(const std::vector<double>& z, double sign, std::vector<double>& out) const;
  /// The same of the shared rows alone.
  void add_shared(const std::vector<double>& z, double sign, std::vector<double>& out) const;

  /// m_t - m_{t-1} of node n in x.
  double step(const std::vector<double>& x, int n, int t) const {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* m = x.data() + from.variables + from.at(t, from.rate);
    return *m - (t > 0 ? *(m - from.width) : p.at_node(n).rate);
  }

  /// s_t of node n in x.
  double command(const std::vector<double>& x, int n, int t) const {
    const NodeProgram& from = node[static_cast<std::size_t>(n)];
    const double* m = x.data() + from.variables + from.at(t, from.rate);
    const double before = t > 0 ? *(m - from.width) : p.at_node(n).rate;
    return (*m - (1 - p.at_node(n).lag) * before) / p.at_node(n).lag;
  }

  Commands commands(const std::vector<double>& x) const;
  Multipliers multipliers(const Point& point) const;
};

inline constexpr double kRidge = 1e-10;  ///< keeps pivots positive where a level has no curvature

/// A point inside, with multipliers near dual feasibility from the plant's own adjoint sweep.
/// Without it the waiting work runs away on the linear part of the error, and the steps double.
Point start(const Program& program);

/// Factors F'' + G' D G, D = dual / slack: a band Cholesky per chain, and a dense Cholesky of the
/// Schur complement S of what joins the chains.
class Newton {
 public:
  explicit Newton(const Program& program);
  /// \returns false when a pivot is lost: rounding has won
  /// \param at  outlives the solves
  bool factor(const Point& at);
  /// Solves in place, with rounds of iterative refinement. \param v [variables]
  void solve(std::vector<double>& v, int refinements);

 private:
  void bend(const std::vector<double>& v, std::vector<double>& out) const;
  double worst_of(const std::vector<double>& v, int t) const;
  void add_worst(const double* by, std::vector<double>& v) const;
  /// Where element (r, c) of a chain is in bands_.
  int element(const Chain& chain, int r, int c) const;
  void lay_out_bands();
  void fill_band(int n);
  void fill_bands();
  bool factor_schur();
  void add_to_schur(const Chain& chain, int lane);
  void solve_chains(std::vector<double>& v);
  void solve_once(std::vector<double>& v);
  /// Chains of one shape: they are factored abreast.
  struct Bundle {
    int width, half;
    std::size_t begin;        ///< in bands_
    std::vector<int> chains;  ///< by lane, kLaneBlock at most
  };
  struct Place {
    int bundle, lane;
  };
  /// bands_[to] += by * D[row]
  struct BandTerm {
    int to, row;
    double by;
  };
  Bands bands(const Bundle& bundle) {
    return {bands_.data() + bundle.begin, program_.p.slots * bundle.width, bundle.half};
  }
  const Chain& chain_of(int i) const { return program_.chains[static_cast<std::size_t>(i)]; }
  /// Calls f(variable, coefficient) for what row t of a pattern holds in a chain.
  template <class F>
  void each_entry(const Chain& chain, int pattern, int t, F f) const;
  int pattern_of(const Chain& chain, int kind) const;
  int patterns_of(const Chain& chain) const;

  /// Blocks of S: the soft worst error first, its sign is turned; then the shared rows.
  int block_row(int kind) const {
    if (program_.p.worst == 0) return kind;
    return kind == program_.shared_kinds ? 0 : kind + 1;
  }
  int turned_rows() const { return program_.p.worst > 0 ? lanes_ : 0; }
  double* block(int kind, int other);

  const Program& program_;
  const NewtonKernel& kernel_;
  int kinds_ = 1;             ///< of rows of S: the shared ones, and the soft worst error
  int lanes_ = 0, size_ = 0;  ///< of a block of S, and of S
  bool mirrored_ = false;     ///< all blocks of S are symmetric in themselves
  std::vector<Bundle> bundles_;
  std::vector<Place> place_;     ///< [chains]
  std::vector<BandTerm> terms_;  ///< of all rows
  std::vector<double> bands_;    ///< Bands of each bundle
  std::vector<double> abreast_;  ///< [T * width, kLaneBlock] right-hand sides of a bundle
  std::vector<double> near_;     ///< [T * width, 2 * width] of the inverse of one chain
  std::vector<double> start_;    ///< of a ChainSweep, as those below
  std::vector<double> room_;
  std::vector<JoinEntry> entries_;
  std::vector<int> first_;
  std::vector<JoinTarget> joins_;
  std::vector<double> schur_;    ///< [M, M] upper triangle, then its factor
  std::vector<double> over_;     ///< [M] of a DenseFactor
  std::vector<double> shared_;   ///< [M] right-hand side, then solution
  std::vector<double> rows_;     ///< [rows]
  std::vector<double> back_;     ///< [variables]
  std::vector<double> curving_;  ///< [T, N] second derivative by what is judged
  std::vector<double> leaning_;  ///< [T, N] of the soft worst error by what is judged
  const Point* at_ = nullptr;
};

}  // namespace cra::agents
