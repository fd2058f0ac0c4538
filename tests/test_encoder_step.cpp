// The encoder's part of learning alone, as the benches time it.
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>

#include "agents/agents.h"

using namespace cra;
using namespace cra::agents;

namespace {

attention::Shape small_shape() {
  attention::Params p;
  p.width = 8;
  return attention::shape_of(p, 3, 0, 0);
}

constexpr std::int64_t kEnvs = 19;  // two whole tiles and a part of one
constexpr int kNodes = 5;

}  // namespace

TEST_CASE("EncoderStep: steps go down the loss") {
  EncoderStep work(small_shape(), kEnvs, kNodes);
  const double first = work.gradient();
  double squares = 0;
  for (std::size_t r = 0; r < work.scores().size(); ++r) {
    const double off = work.scores()[r] - std::cos(0.9 * static_cast<double>(r));
    squares += off * off / 2;
  }
  CHECK(first == doctest::Approx(squares / (kEnvs * kNodes)).epsilon(1e-12));
  CHECK(work.gradient_norm() > 0);
  for (int i = 0; i < 100; ++i) work.step();
  CHECK(work.gradient() < 0.9 * first);
}

TEST_CASE("EncoderStep: the same bits for any number of threads") {
  const auto loss_after = [](int threads) {
    omp_set_num_threads(threads);
    EncoderStep work(small_shape(), kEnvs, kNodes);
    for (int i = 0; i < 5; ++i) work.step();
    return work.gradient();
  };
  const int before = omp_get_max_threads();
  const double one = loss_after(1);
  CHECK(loss_after(3) == one);
  omp_set_num_threads(before);
}
