// What joins the chains: the dense matrix S of a Newton step, see bound_newton.cpp.
#include "agents/bound_program.h"

namespace cra::agents {

// A node alone enters all budgets by the same shape of row, times its needs, and all pools; nodes
// that are joined have needs of their own, so each kind of row is a shape.
int Newton::patterns_of(const Chain& chain) const {
  if (!chain.alone()) return kinds_;
  return 1 + (program_.p.reserve > 0 ? 1 : 0) + (program_.p.worst > 0 ? 1 : 0);
}
int Newton::pattern_of(const Chain& chain, int kind) const {
  if (!chain.alone()) return kind;
  if (kind >= program_.shared_kinds) return patterns_of(chain) - 1;
  return program_.is_pool(kind) ? 1 : 0;
}

double* Newton::block(int kind, int other) {
  return schur_.data() + static_cast<std::ptrdiff_t>(block_row(kind) * lanes_) * size_ +
         block_row(other) * lanes_;
}

template <class F>
void Newton::each_entry(const Chain& chain, int pattern, int t, F f) const {
  // A kind that has the pattern: the first budget, the first pool, or the soft worst error.
  const bool last = chain.alone() && program_.p.worst > 0 && pattern == patterns_of(chain) - 1;
  const int kind = last            ? program_.shared_kinds
                   : chain.alone() ? pattern * program_.p.resources
                                   : pattern;
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

}  // namespace cra::agents
