#include "sim/score.h"

#include <algorithm>

namespace cra::sim {

void fill_reference_errors(const Params& p, Exogenous& x) {
  constexpr double least = 1e-3;  // without errors there is nothing to compare with
  std::vector<double> reference(static_cast<std::size_t>(x.episodes));
  std::vector<double> even(static_cast<std::size_t>(bundle_size(p)), 1.0);
  if (p.pool.shared_reserve() != nullptr) even.back() = 0;
  const View<const double> bundle{even.data(), 1, bundle_size(p)};
  for_each_tile(x.episodes, [&](std::int64_t i) {
    Batch b = reset(p, x, {i});
    double sum = 0;
    for (int t = 0; t < x.slots; ++t) {
      step_bundles(p, x, b, bundle);
      for (const double error : b.error) sum += error;
    }
    reference[static_cast<std::size_t>(i)] =
        std::max(least, sum / (static_cast<double>(x.slots) * x.nodes));
  });
  x.reference_error = std::move(reference);
}

}  // namespace cra::sim
