// Files from strangers: resealed damage and structural lies must end in an InputError or in a run
// that check_run has looked at, never in a crash.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "hostile_files.h"
#include "sample_run.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using namespace cra::testing;

TEST_CASE("decode, check_run: 1,000 damaged files whose seal is right") {
  const Bytes image = unsealed(encode(sample_run({2, 3, 2, 1, 2, 1}), 1));
  std::map<std::string, int> outcomes;
  for (std::int64_t k = 0; k < 1000; ++k) {
    CAPTURE(k);
    std::string outcome = "accepted";
    try {
      const RunFile run = decode(damaged(image, k), "x.h5");
      outcome = "contradicts itself";
      check_run(run, "x.h5");
      outcome = "accepted";
    } catch (const InputError& e) {
      if (outcome == "accepted") outcome = "not read";
      const std::string text = e.what();
      CHECK(text.starts_with("x.h5: "));
      CHECK(text.size() < 1000);
    }
    ++outcomes[outcome];
  }
  for (const auto& [what, count] : outcomes) MESSAGE(what << ": " << count);
  CHECK(outcomes["not read"] > 200);
}
