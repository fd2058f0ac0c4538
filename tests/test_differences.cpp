#include <doctest/doctest.h>

#include "scenarios/scenario.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::scenarios;
using cra::testing::message_of;

namespace {

std::string words(const std::string& a, const std::string& b) {
  std::string text;
  for (const Difference& d : differences(a, b)) text += d.path + ": " + d.a + " | " + d.b + "\n";
  return text;
}

}  // namespace

TEST_CASE("differences: the deepest keys, with both values") {
  CHECK(words("a: 1\nb: {c: 2, d: 3}\n", "a: 1\nb: {c: 2, d: 4}\n") == "b.d: 3 | 4\n");
  CHECK(words("a: [1, 2]\n", "a: [1, 3]\n") == "a: [1, 2] | [1, 3]\n");
  CHECK(words("a: [{k: 1}, {k: 2}]\n", "a: [{k: 1}, {k: 3}]\n") == "a.1.k: 2 | 3\n");
  CHECK(words("a: [{k: 1}]\n", "a: [{k: 1}, {k: 3}]\n") == "a.1:  | {...}\n");
  CHECK(words("a: {x: 1}\nb: 2\n", "a: 5\nc: 3\n") == "a: {...} | 5\nb: 2 | \nc:  | 3\n");
  CHECK(words("a: \"1\"\n", "a: 1\n") == "a: 1 | 1\n");  // a text is no number
  CHECK(words("a: [{k: 1}]\n", "a: []\n") == "a: [...] | []\n");
}

TEST_CASE("differences: none between equal texts, whatever they are, nor between orders of keys") {
  CHECK(differences("", "").empty());
  CHECK(differences("a: [", "a: [").empty());
  CHECK(differences("a: 1\nb: 2\n", "b: 2\na: 1\n").empty());
}

TEST_CASE("differences: a text that is no scenario is named as one") {
  CHECK(message_of([] { differences("a: 1", ""); }) == "no scenario in resolved form: it is empty");
  CHECK(message_of([] {
          differences("a: &x [*x]", "a: 1");
        }).rfind("no scenario in resolved form: ", 0) == 0);
  CHECK(message_of([] { differences("a: 1", std::string(2 << 20, ' ')); }) ==
        "a scenario of more than 1 MiB");
}
