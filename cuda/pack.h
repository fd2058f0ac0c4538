// cuda/pack.h: parameters, from their flat block to where and as the kernels read them.
#pragma once

#include "cuda/mma.h"

namespace cra::cuda {

/// What becomes of a part of the parameter block.
enum class PackAs {
  weight,  ///< right operands of x W^T
  turned,  ///< right operands of d_y W
  row,     ///< as it is, among the weights: rows that are looked at or look
  vector,  ///< as it is, in float, among the vectors
};

/// One matrix or vector of the parameter block.
struct PackJob {
  PackAs as = PackAs::weight;
  std::int64_t source = 0;      ///< in the parameter block
  std::int64_t target = 0;      ///< among the weights or the vectors
  Axis rows, cols;              ///< outputs and inputs; rows and vectors have cols only
  std::int64_t first_warp = 0;  ///< the first warp of the grid that works on it

  CRA_HD bool flat() const { return as == PackAs::row || as == PackAs::vector; }
  CRA_HD int row_tiles() const { return rows.padded() / 8; }
  CRA_HD int col_tiles() const { return cols.padded() / 8; }
  /// Numbers that it takes.
  CRA_HD std::int64_t size() const {
    return flat() ? cols.padded() : std::int64_t{rows.padded()} * cols.padded();
  }
  /// A warp per tile, or per 32 numbers.
  CRA_HD std::int64_t warps() const {
    return flat() ? (cols.padded() + kLanes - 1) / kLanes : std::int64_t{row_tiles()} * col_tiles();
  }
};

template <Precision P>
struct PackKernel {
  static constexpr const char* kName = "pack";
  static constexpr int kWarps = 4;
  struct Args {
    const PackJob* jobs;
    int job_count;
    std::int64_t warps;  ///< of all jobs
    const float* parameters;
    Stored<P>* weights;
    float* vectors;
  };

  template <class Block>
  CRA_KERNEL static void run(Block& block, const Args& a) {
    using W = typename Block::Warp;
    block.warps([&](W& w) {
      const std::int64_t number = block.index * kWarps + w.index;
      if (number >= a.warps) return;
      int j = 0;
      while (j + 1 < a.job_count && a.jobs[j + 1].first_warp <= number) ++j;
      const PackJob& job = a.jobs[j];
      const auto place = static_cast<int>(number - job.first_warp);
      if (job.as == PackAs::vector)
        pack_flat(w, job, place, a, a.vectors);
      else if (job.as == PackAs::row)
        pack_flat(w, job, place, a, a.weights);
      else
        pack_tile(w, job, place, a);
    });
  }

 private:
  template <class W>
  CRA_KERNEL static typename W::F number_at(const PackJob& job, const Args& a,
                                            const typename W::I& row, const typename W::I& col) {
    const auto r = W::map(row, [&](int x) { return job.rows.source(x); });
    const auto c = W::map(col, [&](int x) { return job.cols.source(x); });
    return W::load(a.parameters + job.source, r * job.cols.size() + c, (r >= 0) & (c >= 0));
  }
  template <class W, class T>
  CRA_KERNEL static void pack_flat(W& w, const PackJob& job, int place, const Args& a, T* to) {
    const auto at = w.lane() + place * kLanes;
    const auto inside = at < job.cols.padded();
    const auto from = W::map(at, [&](int x) { return job.cols.source(x); });
    W::store(to + job.target, at, W::load(a.parameters + job.source, from, inside & (from >= 0)),
             inside);
  }
  // Tiles in the order that a product walks them: those of one column of results together.
  template <class W>
  CRA_KERNEL static void pack_tile(W& w, const PackJob& job, int place, const Args& a) {
    const bool turned = job.as == PackAs::turned;
    const int summed = turned ? job.row_tiles() : job.col_tiles();
    const int result = place / summed * 8, k = place % summed * 8;
    const auto g = group_of(w) + result;
    const auto k0 = pair_of(w) + k;
    if (turned)
      put_right(w, a.weights + job.target, place, number_at<W>(job, a, k0, g),
                number_at<W>(job, a, k0 + 1, g));
    else
      put_right(w, a.weights + job.target, place, number_at<W>(job, a, g, k0),
                number_at<W>(job, a, g, k0 + 1));
  }
};

}  // namespace cra::cuda
