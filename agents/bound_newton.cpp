// The linear system of a Newton step: bands inside the chains, a dense matrix between them.
//
// H = F'' + G_node' D G_node is a band per chain of nodes. The shared rows P add P' D_s P, which
// joins all nodes; by Woodbury their part is solved in the size of the shared rows M = T K (or 2
// T):
//   (H + P' D_s P)^-1 v = H^-1 (v - P' w),   S w = P H^-1 v,   S = D_s^-1 + P H^-1 P'.
// For nodes alone S is a sum of d_nk d_nk' B_n, where B_n = pattern H_n^-1 pattern' depends on the
// shapes of the rows only, so several resources cost no further band solves.
#include "agents/bound_program.h"

namespace cra::agents {
namespace {

// A round of refinement shrinks errors by about what it changes: what is below this squares away.
constexpr double kRefined = 1e-6;
constexpr double kRidge = 1e-10;  // keeps pivots positive where a level has no curvature

}  // namespace

Newton::Newton(const Program& program)
    : program_(program),
      kernel_(newton_kernels().back()),
      kinds_(program.shared_kinds + (program.p.worst > 0 ? 1 : 0)),
      lanes_(lanes_of(program.p.slots)),
      size_(kinds_ * lanes_) {
  const auto slots = static_cast<std::size_t>(program.p.slots);
  lay_out_bands();
  std::size_t start = 0, room = 0;
  for (const Chain& chain : program.chains) {
    const std::size_t variables = slots * static_cast<std::size_t>(chain.width);
    const auto patterns = static_cast<std::size_t>(patterns_of(chain));
    start = std::max(start, patterns * 2 * variables);
    room = std::max(room, sweep_room(chain.width, patterns_of(chain), program.p.slots));
  }
  start_.resize(start);
  room_.resize(room);
  schur_.resize(static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_));
  over_.resize(static_cast<std::size_t>(size_));
  shared_.resize(static_cast<std::size_t>(size_));
  rows_.resize(program.rows);
  back_.resize(program.variables);
  curving_.resize(program.p.at(program.p.slots, 0));
  if (program.p.worst > 0) leaning_.resize(curving_.size());
  mirrored_ = std::all_of(program.chains.begin(), program.chains.end(),
                          [&](const Chain& chain) { return patterns_of(chain) == 1; });
}

void Newton::lay_out_bands() {
  std::size_t size = 0, most = 0, near = 0;
  for (std::size_t i = 0; i < program_.chains.size(); ++i) {
    const Chain& chain = program_.chains[i];
    auto bundle = std::find_if(bundles_.begin(), bundles_.end(), [&](const Bundle& b) {
      return b.width == chain.width && b.half == chain.half && b.chains.size() < kLaneBlock;
    });
    if (bundle == bundles_.end()) {
      bundles_.push_back({chain.width, chain.half, size, {}});
      bundle = bundles_.end() - 1;
      const std::size_t variables =
          static_cast<std::size_t>(program_.p.slots) * static_cast<std::size_t>(chain.width);
      size += variables * static_cast<std::size_t>(chain.half + 1) * kLaneBlock;
      most = std::max(most, variables * kLaneBlock);
      near = std::max(near, variables * 2 * static_cast<std::size_t>(chain.width) * kLaneBlock);
    }
    place_.push_back(
        {static_cast<int>(bundle - bundles_.begin()), static_cast<int>(bundle->chains.size())});
    bundle->chains.push_back(static_cast<int>(i));
  }
  bands_.resize(size);
  abreast_.resize(most);
  near_.resize(near);
  for (const NodeProgram& node : program_.node) {
    const Chain& chain = chain_of(node.chain);
    std::size_t entry = 0;
    for (std::size_t i = 0; i < node.flat.end.size(); ++i) {
      const auto begin = entry, end = static_cast<std::size_t>(node.flat.end[i]);
      for (; entry < end; ++entry)
        for (std::size_t l = begin; l < end; ++l)
          if (node.flat.at[l] <= node.flat.at[entry])
            terms_.push_back({element(chain, node.flat.at[entry], node.flat.at[l]),
                              static_cast<int>(node.first_row + i),
                              node.flat.by[entry] * node.flat.by[l]});
    }
  }
}

int Newton::element(const Chain& chain, int r, int c) const {
  const Place& place = place_[static_cast<std::size_t>(&chain - program_.chains.data())];
  const Bundle& bundle = bundles_[static_cast<std::size_t>(place.bundle)];
  return static_cast<int>(bundle.begin) +
         (r * (bundle.half + 1) + c - r + bundle.half) * kLaneBlock + place.lane;
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

double* Newton::block(int kind, int other) {
  return schur_.data() + static_cast<std::ptrdiff_t>(block_row(kind) * lanes_) * size_ +
         block_row(other) * lanes_;
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

/// F'' of node n, added to the band of its chain.
void Newton::fill_band(int n) {
  const ClairvoyantProblem& p = program_.p;
  const NodeProgram& node = program_.node[static_cast<std::size_t>(n)];
  const Chain& chain = chain_of(node.chain);
  const auto at = [&](int r, int c) -> double& {
    return bands_[static_cast<std::size_t>(element(chain, r, c))];
  };
  for (int t = 0; t < p.slots; ++t) {
    const int judged = node.at(t, node.judged);
    at(judged, judged) += curving_[p.at(t, n)];
  }
  const ClairvoyantNode& costs = p.at_node(n);
  if (costs.crowding > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - node.width;
      const double bend = 2 * costs.crowding / (costs.lag * costs.lag), stays = 1 - costs.lag;
      at(m, m) += bend;
      if (t > 0) {
        at(before, before) += stays * stays * bend;
        at(m, before) -= stays * bend;
      }
    }
  if (p.switching > 0)
    for (int t = 0; t < p.slots; ++t) {
      const int m = node.at(t, node.rate), before = m - node.width;
      const double bend =
          switching_curvature(p, program_.step(at_->x, n, t), at_->pull[p.at(t, n)]);
      at(m, m) += bend;
      if (t > 0) {
        at(before, before) += bend;
        at(m, before) -= bend;
      }
    }
}

/// F'' + G' D G of every chain.
void Newton::fill_bands() {
  std::fill(bands_.begin(), bands_.end(), 0.0);
  for (const Bundle& bundle : bundles_) {
    const Bands b = bands(bundle);
    for (int r = 0; r < b.rows; ++r)
      for (int lane = 0; lane < kLaneBlock; ++lane)
        b.a[(r * (b.half + 1) + b.half) * kLaneBlock + lane] =
            static_cast<std::size_t>(lane) < bundle.chains.size() ? kRidge : 1;
  }
  for (int n = 0; n < program_.p.nodes; ++n) fill_band(n);
  std::vector<double>& weight = rows_;
  for (std::size_t i = 0; i < program_.shared; ++i) weight[i] = at_->dual[i] / at_->slack[i];
  for (const BandTerm& term : terms_)
    bands_[static_cast<std::size_t>(term.to)] +=
        term.by * weight[static_cast<std::size_t>(term.row)];
}

void Newton::solve_chains(std::vector<double>& v) {
  for (const Bundle& bundle : bundles_) {
    const Bands b = bands(bundle);
    for (std::size_t lane = 0; lane < bundle.chains.size(); ++lane) {
      const double* from = v.data() + chain_of(bundle.chains[lane]).variables;
      double* to = abreast_.data() + lane;
      for (int r = 0; r < b.rows; ++r) to[r * kLaneBlock] = from[r];
    }
    kernel_.solve_bands(b, abreast_.data());
    for (std::size_t lane = 0; lane < bundle.chains.size(); ++lane) {
      double* to = v.data() + chain_of(bundle.chains[lane]).variables;
      const double* from = abreast_.data() + lane;
      for (int r = 0; r < b.rows; ++r) to[r] = from[r * kLaneBlock];
    }
  }
}

// Adds P H^-1 P' of one chain to S, see ChainSweep. As many numbers of H^-1 as the joining rows of
// a slot can meet are in near_.
void Newton::add_to_schur(const Chain& chain, int lane) {
  const int slots = program_.p.slots, patterns = patterns_of(chain), reach = 2 * chain.width;
  entries_.clear();
  first_.assign(1, 0);
  for (int q = 0; q < patterns; ++q)
    for (int t = 0; t < slots; ++t) {
      each_entry(chain, q, t, [&](int variable, double by) { entries_.push_back({variable, by}); });
      first_.push_back(static_cast<int>(entries_.size()));
    }
  const double* near = near_.data() + lane;
  for (int at = 0; at < patterns * slots; ++at) {
    const int top = (at % slots - 1) * chain.width;  // the first variable of the slot before
    double* x = start_.data() + static_cast<std::ptrdiff_t>(at) * reach;
    for (int r = std::max(top, 0); r < top + reach; ++r) {
      double sum = 0;
      for (int i = first_[static_cast<std::size_t>(at)];
           i < first_[static_cast<std::size_t>(at) + 1]; ++i) {
        const JoinEntry& entry = entries_[static_cast<std::size_t>(i)];
        sum +=
            entry.by *
            near[(std::min(r, entry.variable) * reach + std::abs(entry.variable - r)) * kLaneBlock];
      }
      x[r - top] = sum;
    }
  }

  joins_.clear();
  const auto weight = [&](int kind) {
    const bool worst = kind >= program_.shared_kinds;
    return chain.alone() && !worst ? program_.weight(chain.members[0], kind) : 1;
  };
  for (int kind = 0; kind < kinds_; ++kind)
    for (int other = 0; other < kinds_; ++other)
      if (!mirrored_ || block_row(other) <= block_row(kind))
        joins_.push_back({block(other, kind), pattern_of(chain, other), pattern_of(chain, kind),
                          weight(kind) * weight(other)});
  kernel_.sweep({slots, chain.width, chain.half, patterns,
                 bands_.data() + element(chain, 0, 0) - chain.half * kLaneBlock, start_.data(),
                 entries_.data(), first_.data(), joins_.data(), static_cast<int>(joins_.size()),
                 size_, room_.data()});
}

bool Newton::factor(const Point& at) {
  const ClairvoyantProblem& p = program_.p;
  at_ = &at;
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
  fill_bands();
  for (const Bundle& bundle : bundles_) {
    if (!kernel_.factor_bands(bands(bundle))) return false;
    kernel_.invert_near(bands(bundle), 2 * bundle.width, near_.data());
    for (std::size_t lane = 0; lane < bundle.chains.size(); ++lane)
      add_to_schur(chain_of(bundle.chains[lane]), static_cast<int>(lane));
  }
  return factor_schur();
}

// With G the rows of the soft worst error, H + P' D P - C G' G asks for the system
//   [-A  B] [u]   [G y]
//   [B'  S] [w] = [P y],   A = 1 / C - G H^-1 G',   B = G H^-1 P',
// and A is positive definite because the whole is.
bool Newton::factor_schur() {
  const int slots = program_.p.slots;
  // What is wanted of a block is its rows up to the column's slot; the rest of it, where it is not
  // on the diagonal, lies in its mirror.
  for (int row = 0; row < kinds_; ++row)
    for (int column = row + 1; column < kinds_; ++column) {
      double* to =
          schur_.data() + static_cast<std::ptrdiff_t>(row * lanes_) * size_ + column * lanes_;
      const double* from =
          mirrored_
              ? to
              : schur_.data() + static_cast<std::ptrdiff_t>(column * lanes_) * size_ + row * lanes_;
      for (int s = 1; s < slots; ++s)
        for (int t = 0; t < s; ++t) to[s * size_ + t] = from[t * size_ + s];
    }
  const int turned = turned_rows();
  for (int s = 0; s < turned; ++s)
    for (int t = s; t < turned; ++t) {
      double& a = schur_[static_cast<std::size_t>(s) * static_cast<std::size_t>(size_) +
                         static_cast<std::size_t>(t)];
      a = -a;
    }
  const double most = turned > 0 ? program_.p.temperature / program_.fairness() * (1 + kRidge) : 0;
  for (int kind = 0; kind < kinds_; ++kind)
    for (int t = 0; t < lanes_; ++t) {
      double& diagonal = block(kind, kind)[t * (size_ + 1)];
      if (t >= slots) {
        diagonal = 1;
      } else if (kind >= program_.shared_kinds) {
        diagonal += most;
      } else {
        const std::size_t row = program_.shared_row(kind, t);
        diagonal += at_->slack[row] / at_->dual[row];
      }
    }
  return kernel_.factor({schur_.data(), size_, turned, over_.data()});
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
  const int slots = program_.p.slots, turned = turned_rows();
  solve_chains(v);
  program_.times_shared(v, rows_);
  std::fill(shared_.begin(), shared_.end(), 0.0);
  for (int t = 0; t < turned && t < slots; ++t)
    shared_[static_cast<std::size_t>(t)] = worst_of(v, t);
  const auto joined = [&](int kind) {
    return shared_.data() + static_cast<std::ptrdiff_t>(block_row(kind)) * lanes_;
  };
  for (int kind = 0; kind < program_.shared_kinds; ++kind)
    std::copy_n(rows_.data() + program_.shared_row(kind, 0), slots, joined(kind));
  kernel_.solve({schur_.data(), size_, turned, over_.data()}, shared_.data());
  for (int kind = 0; kind < program_.shared_kinds; ++kind)
    std::copy_n(joined(kind), slots, rows_.data() + program_.shared_row(kind, 0));
  std::fill(back_.begin(), back_.end(), 0.0);
  program_.add_shared(rows_, -1, back_);  // - P' w
  if (turned > 0) add_worst(shared_.data(), back_);
  solve_chains(back_);
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
// digits are lost as the slacks close. Refinement brings them back for the price of another solve,
// until what a round changes says that the next one would change nothing.
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
    double largest = 0, change = 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      v[i] += missing[i];
      largest = std::max(largest, std::abs(v[i]));
      change = std::max(change, std::abs(missing[i]));
    }
    if (change <= kRefined * largest) return;
  }
}

}  // namespace cra::agents
