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
