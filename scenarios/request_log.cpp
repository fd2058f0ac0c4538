#include "scenarios/request_log.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "scenarios/csv.h"
#include "scenarios/report.h"

namespace cra::scenarios {
namespace {

constexpr std::uintmax_t kMaxLogBytes = std::uintmax_t{1} << 30U;
constexpr std::size_t kColumnsShown = 20;

// A point in time as whole seconds and a fraction: a double holds seconds since 1970 only to
// 0.2 us, and logs are finer than that.
struct Moment {
  std::int64_t seconds = 0;
  double fraction = 0;
};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

std::optional<double> to_number(std::string_view text) {
  text = trimmed(text);
  double x = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), x);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || !std::isfinite(x)) {
    return std::nullopt;
  }
  return x;
}

std::optional<Moment> to_seconds(std::string_view text) {
  const std::optional<double> x = to_number(text);
  if (!x || std::abs(*x) > 1e15) return std::nullopt;
  const double whole = std::floor(*x);
  return Moment{static_cast<std::int64_t>(whole), *x - whole};
}

// `digits` digits at the start of s, which are then gone; -1 when there are none.
int take_int(std::string_view& s, std::size_t digits) {
  int x = 0;
  const auto r = std::from_chars(s.data(), s.data() + std::min(digits, s.size()), x);
  if (r.ec != std::errc() || r.ptr != s.data() + digits || s.front() == '-') return -1;
  s.remove_prefix(digits);
  return x;
}

bool take(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

std::optional<Moment> to_date(std::string_view text) {
  std::string_view s = trimmed(text);
  const int year = take_int(s, 4);
  if (year < 0 || !take(s, '-')) return std::nullopt;
  const int month = take_int(s, 2);
  if (month < 0 || !take(s, '-')) return std::nullopt;
  const int day = take_int(s, 2);
  if (day < 0 || !take(s, ' ')) return std::nullopt;
  const int hour = take_int(s, 2);
  if (hour < 0 || hour > 23 || !take(s, ':')) return std::nullopt;
  const int minute = take_int(s, 2);
  if (minute < 0 || minute > 59 || !take(s, ':')) return std::nullopt;
  const int second = take_int(s, 2);
  if (second < 0 || second > 59) return std::nullopt;
  Moment m;
  if (!s.empty()) {
    const bool digits =
        s.size() > 1 && s.front() == '.' &&
        std::all_of(s.begin() + 1, s.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::optional<double> fraction = digits ? to_number(s) : std::nullopt;
    if (!fraction) return std::nullopt;
    m.fraction = *fraction;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  m.seconds = ((std::int64_t{days} * 24 + hour) * 60 + minute) * 60 + second;
  return m;
}

class LogReader {
 public:
  LogReader(std::string path, std::istream& in, RequestLog& log)
      : path_(std::move(path)), csv_(in), log_(log) {}

  std::vector<TraceProblem> read(const std::string& time_column,
                                 const std::vector<std::string>& columns) {
    if (!read_header(time_column, columns)) return std::move(problems_);
    std::vector<std::string> fields;
    while (csv_.next(fields)) {
      if (problems_.size() >= kMaxLogFaults) {
        problems_.push_back({at(csv_.line()), "", "... and more"});
        return std::move(problems_);
      }
      if (!csv_.fault().empty()) {
        add(csv_.fault());
      } else if (fields.size() != width_) {
        add("has " + std::to_string(fields.size()) + (fields.size() == 1 ? " field" : " fields") +
            ", the header has " + std::to_string(width_));
      } else {
        read_request(fields);
      }
    }
    if (problems_.empty() && log_.time.empty())
      problems_.push_back({at(1), "", "a header, but no requests"});
    return std::move(problems_);
  }

 private:
  std::string at(std::int64_t line) const { return path_ + ":" + std::to_string(line); }
  void add(std::string text) { problems_.push_back({at(csv_.line()), "", std::move(text)}); }

  // A column may be asked for twice, as work and as bucket.
  void add_once(std::string text) {
    const auto same = [&](const TraceProblem& p) { return p.text == text; };
    if (std::none_of(problems_.begin(), problems_.end(), same)) add(std::move(text));
  }

  bool read_header(const std::string& time_column, const std::vector<std::string>& columns) {
    if (!csv_.next(header_)) {
      problems_.push_back({at(1), "", "empty, expected a header line with the names of columns"});
      return false;
    }
    if (!csv_.fault().empty()) {
      add(csv_.fault());
      return false;
    }
    width_ = header_.size();
    time_index_ = find_column(time_column);
    for (const std::string& c : columns) index_.push_back(find_column(c));
    log_.values.assign(columns.size(), {});
    return problems_.empty();
  }

  std::size_t find_column(const std::string& name) {
    const auto it = std::find(header_.begin(), header_.end(), name);
    if (it == header_.end()) {
      const std::string best = did_you_mean(name, header_);
      std::string text = "no column " + in_quotes(name);
      if (!best.empty()) text += "; did you mean " + in_quotes(best) + "?";
      text += "\n  columns: ";
      for (std::size_t i = 0; i < header_.size() && i < kColumnsShown; ++i) {
        text += (i == 0 ? "" : ", ") + in_quotes(header_[i]);
      }
      if (header_.size() > kColumnsShown) text += ", ...";
      add_once(std::move(text));
      return 0;
    }
    if (std::find(it + 1, header_.end(), name) != header_.end()) {
      add_once("two columns are called " + in_quotes(name));
    }
    return static_cast<std::size_t>(it - header_.begin());
  }

  void read_request(const std::vector<std::string>& fields) {
    const std::size_t before = problems_.size();
    const double time = read_time(fields[time_index_]);
    numbers_.clear();
    for (std::size_t c = 0; c < index_.size(); ++c) {
      // the same column again: already read, and reported if wrong
      const auto first =
          std::find(index_.begin(), index_.begin() + static_cast<long>(c), index_[c]);
      const auto k = static_cast<std::size_t>(first - index_.begin());
      numbers_.push_back(k < c ? numbers_[k] : read_value(fields[index_[c]], header_[index_[c]]));
    }
    if (problems_.size() > before) return;
    log_.time.push_back(time);
    for (std::size_t c = 0; c < numbers_.size(); ++c) log_.values[c].push_back(numbers_[c]);
  }

  double read_value(const std::string& text, const std::string& column) {
    const std::optional<double> x = to_number(text);
    if (!x) {
      add(column + " is " + in_quotes(text) + ", expected a number");
    } else if (*x < 0) {
      add(column + " is " + in_quotes(text) + ", expected a number that is not negative");
    }
    return x.value_or(0);
  }

  // Seconds since the first request.
  double read_time(const std::string& text) {
    if (!first_) dates_ = !to_seconds(text).has_value();
    const std::optional<Moment> m = dates_ ? to_date(text) : to_seconds(text);
    const std::string& column = header_[time_index_];
    if (!m) {
      add(column + " is " + in_quotes(text) + ", expected " +
          (first_ && !dates_ ? "seconds, as in the lines before"
           : first_          ? "YYYY-MM-DD hh:mm:ss.fraction, as in the lines before"
                             : "seconds or YYYY-MM-DD hh:mm:ss.fraction"));
      return 0;
    }
    if (!first_) first_ = m;
    const double time =
        static_cast<double>(m->seconds - first_->seconds) + (m->fraction - first_->fraction);
    if (time < last_time_) {
      add(column + " is " + in_quotes(text) + ", earlier than in line " +
          std::to_string(last_line_) + "; the log must be sorted by time");
      return 0;
    }
    last_time_ = time;
    last_line_ = csv_.line();
    return time;
  }

  std::string path_;
  CsvReader csv_;
  RequestLog& log_;
  std::vector<TraceProblem> problems_;
  std::vector<std::string> header_;
  std::size_t width_ = 0;
  std::size_t time_index_ = 0;
  std::vector<std::size_t> index_;  // of each asked column in the header
  std::vector<double> numbers_;
  std::optional<Moment> first_;
  bool dates_ = false;
  double last_time_ = 0;
  std::int64_t last_line_ = 0;
};

}  // namespace

std::vector<TraceProblem> read_log(const std::string& path, const std::string& time_column,
                                   const std::vector<std::string>& columns, RequestLog& log) {
  namespace fs = std::filesystem;
  const auto refuse = [](std::string text) {
    return std::vector<TraceProblem>{{"", "file", std::move(text)}};
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return refuse(
        "names no file: looked for " + in_quotes(path) +
        "\n  such a log can be had from the Azure Public Dataset (Azure/AzurePublicDataset"
        " on GitHub,\n  data/AzureLLMInferenceTrace_conv.csv, CC-BY)");
  }
  if (status.type() == fs::file_type::directory) {
    return refuse("names a folder: " + in_quotes(path));
  }
  // a pipe has no size to check first
  if (status.type() != fs::file_type::regular && status.type() != fs::file_type::none) {
    return refuse("is not a regular file: " + in_quotes(path));
  }
  const std::uintmax_t size = fs::file_size(path, error);
  if (!error && size > kMaxLogBytes) {
    return refuse("is larger than 1 GiB: " + in_quotes(path));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return refuse("cannot be read: " + in_quotes(path) + ": " +
                  std::generic_category().message(errno));
  }
  std::vector<TraceProblem> problems = LogReader(path, in, log).read(time_column, columns);
  if (in.bad()) return refuse("cannot be read to its end: " + in_quotes(path));
  return problems;
}

}  // namespace cra::scenarios
