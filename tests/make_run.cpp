// make_run FILE.h5: writes the sample run for tests in other languages. make_run FILE.h5 empty
// writes one with 0 updates and 0 knobs.
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
  cra::results::write_file(arguments[1], cra::results::encode(run, 1));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
