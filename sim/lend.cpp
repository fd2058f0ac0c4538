#include "sim/lend.h"

#include "sim/waterfill.h"

namespace cra::sim {

void lend(const Params& p, const double* weights, const double* rate, const double* served,
          const double* most, Loan& loan) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  loan.unused.assign(static_cast<std::size_t>(resources), 0);
  for (int n = 0; n < nodes; ++n) {
    loan.room[static_cast<std::size_t>(n)] = most[n] - served[n];
    for (int k = 0; k < resources; ++k)
      loan.unused[static_cast<std::size_t>(k)] += p.pool.need_of(n, k) * (rate[n] - served[n]);
  }
  loan.level = waterfill(weights, loan.room.data(), p.pool.needs.data(), loan.unused.data(), 1.0,
                         loan.lent.data(), nodes, resources);
}

void lend_backward(const Params& p, const double* weights, const double* d_lent, Loan& loan,
                   LoanGradient* d) {
  const int nodes = p.pool.nodes, resources = p.pool.resource_count();
  const Scarcity scarce =
      waterfill_backward({weights, loan.room.data(), p.pool.needs.data(), loan.unused.data(),
                          loan.lent.data(), loan.level, nodes, resources},
                         d_lent, loan.d_w.data(), loan.d_room.data());
  for (int n = 0; n < nodes; ++n) {
    const double d_room = loan.d_room[static_cast<std::size_t>(n)];
    const double d_unused = scarce.value * p.pool.need_of(n, scarce.resource);
    d[n] = {d_unused, -d_unused - d_room, d_room};
  }
}

}  // namespace cra::sim
