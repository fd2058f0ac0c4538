#include "cuda/lanes.h"

namespace cra::cuda {

template <int Together>
void add_products(float (&sum)[8], const float* a, const float (*b)[8]) {
  constexpr int kBias = 1023, kLeast = kBias - 126;  // of a double's exponent; a normal float's
  constexpr int kPlaces = 24;
  double terms[Together + 1][8], plain[8], largest[8];
  for (int i = 0; i < 8; ++i) terms[Together][i] = plain[i] = double(sum[i]);
  for (int i = 0; i < 8; ++i) largest[i] = std::fabs(plain[i]);
  for (int k = 0; k < Together; ++k)
    for (int i = 0; i < 8; ++i) {
      const double x = double(a[k]) * double(b[k][i]), size = std::fabs(x);
      terms[k][i] = x;
      plain[i] += x;
      largest[i] = size > largest[i] ? size : largest[i];
    }
  double last_place[8], in_places[8];
  for (int i = 0; i < 8; ++i) {
    const auto exponent =
        std::max<std::int64_t>(std::bit_cast<std::int64_t>(largest[i]) >> 52, kLeast) -
        (kPlaces - 1);
    last_place[i] = std::bit_cast<double>(exponent << 52);
    in_places[i] = std::bit_cast<double>((2 * kBias - exponent) << 52);
  }
  // What is not finite has no last place; the sum says what becomes of it.
  std::int32_t total[8] = {};
  for (int k = 0; k <= Together; ++k)
    for (int i = 0; i < 8; ++i)
      total[i] +=
          static_cast<std::int32_t>(std::isfinite(plain[i]) ? terms[k][i] * in_places[i] : 0.0);
  for (int i = 0; i < 8; ++i) {
    const int more = std::bit_width(static_cast<std::uint32_t>(std::abs(total[i]))) - kPlaces;
    if (more > 0) total[i] = total[i] / (1 << more) * (1 << more);
    sum[i] = static_cast<float>(std::isfinite(plain[i]) ? total[i] * last_place[i] : plain[i]);
  }
}

template void add_products<4>(float (&sum)[8], const float* a, const float (*b)[8]);
template void add_products<8>(float (&sum)[8], const float* a, const float (*b)[8]);

}  // namespace cra::cuda
