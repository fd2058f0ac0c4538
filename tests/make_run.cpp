// make_run FILE.h5: writes the sample run for tests in other languages. make_run FILE.h5 empty
// writes one with 0 updates and 0 knobs; make_run FILE.h5 segments one with its trajectories in two
// files of their own; make_run FILE.h5 hostile one whose names are markup.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "sample_run.h"

namespace {

using cra::results::Data;
using Texts = std::vector<std::string>;

/// Every `from` among the texts becomes `to`.
void rename(Data& data, const std::string& from, const std::string& to) {
  if (auto* texts = std::get_if<Texts>(&data)) std::replace(texts->begin(), texts->end(), from, to);
}

void make_hostile(cra::results::RunFile& run) {
  const std::string markup = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
  for (cra::results::GroupData& g : run.groups) {
    for (cra::results::Axis& a : g.axes) {
      rename(a.labels, "skewed", markup);
      rename(a.labels, "n0", "<b>&node</b>]]>");
    }
    for (cra::results::Variable& v : g.variables) {
      rename(v.data, "skewed", markup);
      if (v.name == "resolved_yaml")
        v.data =
            Texts{"name: \"<!--\\u003cscript\"\ndescription: </title><script>alert(2)</script>\n"};
      if (v.name == "verdict") v.data = Texts{"]]></script><script>alert(3)</script>"};
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (argc < 2) return 2;
  cra::testing::SampleSize size{5, 40, 6, 3, 7, 2};
  if (argc > 2 && std::string(arguments[2]) == "empty") size.updates = size.knobs = 0;
  cra::results::RunFile run = cra::testing::sample_run(size);
  if (argc > 2 && std::string(arguments[2]) == "hostile") make_hostile(run);
  cra::results::check_run(run, "sample");
  // Two of the three episodes, of 14 arrays of doubles by node and two policies, are below 120 kB.
  const bool split = argc > 2 && std::string(arguments[2]) == "segments";
  cra::results::write_run(arguments[1], run, 1, split ? 120000 : 0);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
