// The GPU's seam behaves in every build and on every machine: with and without toolkit, driver,
// GPU.
#include <doctest/doctest.h>

#include "cuda/cuda.h"

using namespace cra;

TEST_CASE("describe: one line that names the toolkit, or how to get it") {
  const std::string text = cuda::describe();
  CAPTURE(text);
  CHECK(text.find('\n') == std::string::npos);
  if (cuda::compiled()) {
    CHECK(text.starts_with("CUDA toolkit 1"));
    CHECK(text.find("driver") != std::string::npos);
  } else {
    CHECK(text.find("-DCRA_CUDA=ON") != std::string::npos);
  }
}

TEST_CASE("devices: asking without a GPU, a driver or the toolkit gives an empty list") {
  const std::vector<std::string> names = cuda::devices();
  if (!cuda::compiled() || cuda::describe().find("no driver") != std::string::npos)
    CHECK(names.empty());
  for (const std::string& name : names) CHECK(!name.empty());
  CHECK(cuda::devices() == names);  // an error of the first call does not stick
}

TEST_CASE("make_engine: refuses, and says what to do instead") {
  const attention::Shape shape{4, 8, 2, 1, 1};
  std::string text;
  try {
    cuda::make_engine(shape);
  } catch (const Error& e) {
    text = e.what();
  }
  CHECK(text.find("--device cpu") != std::string::npos);
  CHECK((text.find("-DCRA_CUDA=ON") != std::string::npos) == !cuda::compiled());
}
