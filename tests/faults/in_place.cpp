// in_place: a stand-in for `cra run` with a planted bug, to see that the sweep finds it: its
// checkpoint is written in place, and only one generation is kept.
//
// Usage: in_place run SCENARIO --out FILE.h5 [--resume] [...]
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>
#include <string>

#include "../sample_run.h"
#include "../temporary_folder.h"

namespace {

using cra::results::Field;

constexpr std::int64_t kUpdates = 20;

/// The bug: the old checkpoint is cut to nothing before the new one is there. All else is as it
/// should be: short writes go on, errors are reported with file and reason.
void write_in_place(const std::string& path, const cra::results::Bytes& bytes) {
  const auto check = [&](bool good) {
    if (!good) throw cra::Error("cannot write " + path + ": " + std::strerror(errno));
  };
  const int d = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  check(d >= 0);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(d, bytes.data() + done, bytes.size() - done);
    check(n > 0);
    done += static_cast<std::size_t>(n);
  }
  check(::close(d) == 0);
}

void train(const std::string& path, const std::string& metrics, bool resume) {
  std::int64_t done = 0;
  std::string note;
  if (resume) {
    const std::vector<Field> fields = cra::results::read_checkpoint(path, note);
    if (!fields.empty()) done = std::get<std::vector<std::int64_t>>(fields.at(0).data).at(0);
  }
  std::ofstream log(metrics);
  for (std::int64_t u = 1; u <= kUpdates; ++u) {
    log << "{\"update\": " << u << "}\n" << std::flush;
    if (u <= done) continue;
    const cra::testing::TemporaryFolder elsewhere;
    const std::string good = elsewhere / "good";
    cra::results::write_checkpoint(good, {{"0.updates", std::vector<std::int64_t>{u}}});
    write_in_place(path, cra::results::read_file(good, 1 << 20));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::string out;
  bool resume = false;
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (std::string(arguments[i]) == "--out") out = arguments[i + 1];
    if (std::string(arguments[i]) == "--resume") resume = true;
  }
  train(out + ".checkpoint", out.substr(0, out.size() - 3) + ".metrics.jsonl", resume);
  cra::results::write_file(out, cra::results::encode(cra::testing::sample_run(), 1));
  cra::results::remove_checkpoint(out + ".checkpoint");
  return 0;
} catch (const cra::Error& e) {
  std::fprintf(stderr, "cra: %s\n", e.what());
  return 1;
}
