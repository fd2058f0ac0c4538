// agents/bound_lanes_sweep.h: NewtonKernel::sweep.
#pragma once

#include "agents/bound_lanes.h"

namespace cra::agents {
namespace {

/// to = sum_j by[j] * from[j], lanes [begin, end). \param H  terms, or 0: `terms` of them
template <int H>
CRA_INLINE void combine(double* to, const double* const* from, const double* by, int terms,
                        int begin, int end) {
  const int count = H > 0 ? H : terms;
  for (int t = begin; t < end; t += kLanes) {
    Lanes sum = by[0] * load(from[0] + t);
    for (int j = 1; j < count; ++j) sum += by[j] * load(from[j] + t);
    store(to + t, sum);
  }
}

CRA_INLINE void combine_any(double* to, const double* const* from, const double* by, int terms,
                            int begin, int end) {
  switch (terms) {
    case 1:
      return combine<1>(to, from, by, 1, begin, end);
    case 2:
      return combine<2>(to, from, by, 2, begin, end);
    case 3:
      return combine<3>(to, from, by, 3, begin, end);
    case 4:
      return combine<4>(to, from, by, 4, begin, end);
    case 5:
      return combine<5>(to, from, by, 5, begin, end);
    default:
      return combine<0>(to, from, by, terms, begin, end);
  }
}

constexpr int kMostTerms = 64;  // joined at a time; more are added in further rounds

struct Ring {
  const ChainSweep& c;
  int lanes, row_size, mask;
  CRA_INLINE double* row(int variable) const {
    return c.room + static_cast<long>(variable & mask) * row_size;
  }
  CRA_INLINE double* product() const { return c.room + static_cast<long>(mask + 1) * row_size; }
};

/// Row r of all lanes from slot t + 2 on; the caller sets those of slots t and t + 1.
CRA_INLINE void step_up(const Ring& ring, int r, int t) {
  const ChainSweep& c = ring.c;
  const int last = c.slots * c.width - 1, begin = block_of(t + 2);
  const double* a = c.band;
  const long step = static_cast<long>(c.half + 1) * kLaneBlock;
  const double over = a[r * step + static_cast<long>(c.half) * kLaneBlock];
  const int reach = c.half < last - r ? c.half : last - r;
  for (int done = 0; done < reach; done += kMostTerms - 1) {
    double by[kMostTerms];
    const double* from[kMostTerms];
    int terms = 0;
    for (int q = 0; q < c.patterns; ++q) {
      double* to = ring.row(r) + q * ring.lanes;
      terms = 0;
      if (done > 0) by[terms] = 1, from[terms++] = to;
      for (int j = done + 1; j <= reach && j < done + kMostTerms; ++j) {
        by[terms] = -over * a[(r + j) * step + static_cast<long>(c.half - j) * kLaneBlock];
        from[terms++] = ring.row(r + j) + q * ring.lanes;
      }
      combine_any(to, from, by, terms, begin, ring.lanes);
    }
  }
}

/// The products of row s of every pattern with all lanes from s on.
CRA_INLINE void join(const Ring& ring, int s) {
  const ChainSweep& c = ring.c;
  const int begin = block_of(s);
  for (int other = 0; other < c.patterns; ++other) {
    const int first = c.first[other * c.slots + s], end = c.first[other * c.slots + s + 1];
    for (int q = 0; q < c.patterns; ++q) {
      double* product = ring.product() + q * ring.lanes;
      bool made = false;
      for (int i = 0; i < c.join_count; ++i) {
        const JoinTarget& join = c.joins[i];
        if (join.other != other || join.pattern != q) continue;
        if (!made) {
          for (int at = first; at < end; at += kMostTerms - 1) {
            double by[kMostTerms];
            const double* from[kMostTerms];
            int terms = 0;
            if (at > first) by[terms] = 1, from[terms++] = product;
            for (int e = at; e < end && e < at + kMostTerms - 1; ++e) {
              by[terms] = c.entries[e].by;
              from[terms++] = ring.row(c.entries[e].variable) + q * ring.lanes;
            }
            combine_any(product, from, by, terms, begin, ring.lanes);
          }
          made = true;
        }
        double* to = join.block + static_cast<long>(s) * c.stride;
        for (int t = begin; t < ring.lanes; t += kLanes)
          store(to + t, load(to + t) + join.by * load(product + t));
      }
    }
  }
}

void sweep(const ChainSweep& c) {
  const int lanes = lanes_of(c.slots);
  const Ring ring{c, lanes, c.patterns * lanes, ring_rows(c.width) - 1};
  // What another chain left, lanes that are not set yet would carry upward.
  std::memset(c.room, 0, sizeof(double) * sweep_room(c.width, c.patterns, c.slots));
  for (int t = c.slots - 1; t >= 0; --t) {
    for (int position = c.width - 1; position >= 0; --position) {
      const int r = t * c.width + position;
      step_up(ring, r, t);
      for (int q = 0; q < c.patterns; ++q) {
        double* x = ring.row(r) + q * lanes;
        const double* start = c.start + static_cast<long>(q * c.slots + t) * 2 * c.width + position;
        x[t] = start[c.width];
        if (t + 1 < c.slots) x[t + 1] = start[2 * c.width];
      }
    }
    if (t + 1 < c.slots) join(ring, t + 1);
  }
  join(ring, 0);
}

}  // namespace
}  // namespace cra::agents
