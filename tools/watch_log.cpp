#include "tools/watch_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "sim/base.h"

namespace cra::tools {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestLine = std::size_t{1} << 16;
constexpr std::int64_t kMostTrainings = 10000;

double number_of(const Json& row, const char* key) {
  const auto at = row.find(key);
  return at != row.end() && at->is_number() ? at->get<double>()
                                            : std::numeric_limits<double>::quiet_NaN();
}

/// -1 when it is none.
std::int64_t whole_of(const Json& row, const char* key) {
  const auto at = row.find(key);
  if (at == row.end() || !at->is_number_integer()) return -1;
  if (at->is_number_unsigned() &&
      at->get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return -1;
  return at->get<std::int64_t>();
}

/// Closes it at the end of a scope.
struct Descriptor {
  int number;
  explicit Descriptor(int d) : number(d) {}
  ~Descriptor() {
    if (number >= 0) close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

}  // namespace

void MetricsLog::forget() {
  offset_ = 0;
  rest_.clear();
  too_long_ = false;
  trainings_.clear();
  unreadable_ = 0;
}

void MetricsLog::take(const std::string& line) {
  const Json row = Json::parse(line, nullptr, false);
  const std::int64_t training = row.is_object() ? whole_of(row, "training") : -1,
                     update = row.is_object() ? whole_of(row, "update") : -1;
  if (training < 0 || training > kMostTrainings || update < 0) {
    ++unreadable_;
    return;
  }
  TrainingLog& t = trainings_[training];
  t.update = update;
  t.env_steps = std::max<std::int64_t>(0, whole_of(row, "env_steps"));
  t.cost.push_back(number_of(row, "cost"));
  if (const double speed = number_of(row, "steps_per_second"); speed > 0) t.speed.push_back(speed);
  if (row.contains("validation_cost"))
    t.validations.push_back({update, number_of(row, "validation_cost")});
}

void MetricsLog::split(const char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (bytes[i] != '\n') {
      too_long_ = too_long_ || rest_.size() >= kLongestLine;
      if (!too_long_) rest_ += bytes[i];
      continue;
    }
    if (too_long_)
      ++unreadable_;
    else
      take(rest_);
    rest_.clear();
    too_long_ = false;
  }
}

bool MetricsLog::poll() {
  const Descriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat now {};
  if (file.number < 0) {
    if (errno != ENOENT && errno != ENOTDIR) throw InputError(path_ + ": " + std::strerror(errno));
    const bool was_there = there_;
    there_ = false;
    forget();
    return was_there;
  }
  if (fstat(file.number, &now) < 0) throw InputError(path_ + ": " + std::strerror(errno));
  if (!S_ISREG(now.st_mode)) throw InputError(path_ + " is not a plain file");
  bool changed = !there_;
  if (!there_ || now.st_ino != inode_ || now.st_size < offset_) {
    changed = true;
    forget();
  }
  there_ = true;
  inode_ = now.st_ino;
  std::array<char, 1 << 16> buffer{};
  for (;;) {
    const ssize_t n = pread(file.number, buffer.data(), buffer.size(), offset_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw InputError(path_ + ": " + std::strerror(errno));
    if (n == 0) return changed;
    changed = true;
    offset_ += n;
    split(buffer.data(), static_cast<std::size_t>(n));
  }
}

double MetricsLog::age() const {
  struct stat now {};
  if (stat(path_.c_str(), &now) < 0) return 0;
  const auto written =
      static_cast<double>(now.st_mtim.tv_sec) + 1e-9 * static_cast<double>(now.st_mtim.tv_nsec);
  const double clock =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return std::max(0.0, clock - written);
}

std::string sparkline(const std::vector<double>& x, std::size_t width) {
  static constexpr std::array<const char*, 8> kBars{"\xE2\x96\x81", "\xE2\x96\x82", "\xE2\x96\x83",
                                                    "\xE2\x96\x84", "\xE2\x96\x85", "\xE2\x96\x86",
                                                    "\xE2\x96\x87", "\xE2\x96\x88"};
  const std::size_t parts = std::min(width, x.size());
  std::vector<double> mean;
  for (std::size_t i = 0; i < parts; ++i) {
    double sum = 0, count = 0;
    for (std::size_t k = i * x.size() / parts; k < (i + 1) * x.size() / parts; ++k) {
      if (!std::isfinite(x[k])) continue;
      sum += x[k];
      count += 1;
    }
    mean.push_back(count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN());
  }
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double m : mean)
    if (std::isfinite(m)) {
      low = std::min(low, m);
      high = std::max(high, m);
    }
  std::string text;
  for (const double m : mean) {
    const double share = high > low ? (m - low) / (high - low) : 0;
    text += std::isfinite(m) ? kBars.at(static_cast<std::size_t>(std::lround(7 * share))) : ".";
  }
  return text;
}

}  // namespace cra::tools
