#include "tools/progress.h"

#include <algorithm>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::seconds kLineInterval{60};

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(stderr_is_terminal()) {}

Progress::~Progress() { clear(); }

void Progress::stage(const std::string& name, std::int64_t total, std::int64_t done) {
  clear();
  name_ = name;
  total_ = std::max<std::int64_t>(total, 1);
  first_ = done;
  begin_ = Clock::now();
  last_ = begin_ - kBarInterval;
  if (!terminal_) last_ = begin_;
  if (terminal_) step(done);
}

std::string Progress::line(std::int64_t done, const std::string& detail) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  std::string text = name_ + " " + std::to_string(done) + "/" + std::to_string(total_) + " (" +
                     fixed(100 * share, 0) + " %)";
  if (done > first_ && done < total_) {
    const double left =
        seconds / static_cast<double>(done - first_) * static_cast<double>(total_ - done);
    text += ", " + duration_words(left) + " left";
  }
  if (!detail.empty()) text += ", " + detail;
  return text;
}

void Progress::step(std::int64_t done, const std::string& detail) {
  if (quiet_) return;
  const Clock::time_point now = Clock::now();
  if (!terminal_) {
    if (now - last_ < kLineInterval) return;
    last_ = now;
    tell("cra: " + line(done, detail) + "\n");
    return;
  }
  if (now - last_ < kBarInterval) return;
  last_ = now;
  drawn_ = true;
  const auto full =
      static_cast<std::size_t>(std::clamp<std::int64_t>(done * kBarWidth / total_, 0, kBarWidth));
  const std::string bar = std::string(full, '#') + std::string(kBarWidth - full, '.');
  tell("\r[" + bar + "] " + line(done, detail) + "\x1b[K");
}

void Progress::clear() {
  if (!drawn_) return;
  tell("\r\x1b[K");
  drawn_ = false;
}

}  // namespace cra::tools
