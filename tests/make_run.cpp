// make_run FILE.h5: writes the sample run for tests in other languages. make_run FILE.h5 empty
// writes one with 0 updates and 0 knobs; make_run FILE.h5 segments one with its trajectories in two
// files of their own.
#include <cstdio>
#include <exception>
#include <span>
#include <string>

#include "sample_run.h"

int main(int argc, char** argv) try {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (argc < 2) return 2;
  cra::testing::SampleSize size{5, 40, 6, 3, 7, 2};
  if (argc > 2 && std::string(arguments[2]) == "empty") size.updates = size.knobs = 0;
  const cra::results::RunFile run = cra::testing::sample_run(size);
  cra::results::check_run(run, "sample");
  // Two of the three episodes, of 14 arrays of doubles by node and two policies, are below 120 kB.
  const bool split = argc > 2 && std::string(arguments[2]) == "segments";
  cra::results::write_run(arguments[1], run, 1, split ? 120000 : 0);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
