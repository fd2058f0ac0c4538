#include "scenarios/request_log.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include "scenarios/csv.h"
#include "scenarios/moment.h"
#include "scenarios/report.h"
#include "scenarios/swf.h"

namespace cra::scenarios {
namespace {

constexpr std::uintmax_t kMaxLogBytes = std::uintmax_t{1} << 30U;
constexpr std::size_t kColumnsShown = 20;

/// \tparam Records  CsvReader or SwfReader
template <class Records>
class LogReader {
 public:
  LogReader(std::string path, std::istream& in, const LogQuery& query, RequestLog& log)
      : path_(std::move(path)), records_(in), query_(query), log_(log) {}

  std::vector<TraceProblem> read() {
    log_ = {};
    log_.values.resize(query_.numbers.size());
    log_.ends.resize(query_.ends.size());
    log_.names.resize(query_.names.size());
    ids_.resize(query_.names.size());
    if (!read_header()) return std::move(problems_);
    std::vector<std::string> fields;
    while (records_.next(fields)) {
      if (problems_.size() >= kMaxLogFaults) {
        problems_.push_back({at(records_.line()), "", "... and more"});
        return std::move(problems_);
      }
      if (!records_.fault().empty()) {
        add(records_.fault());
      } else if (fields.size() != width_) {
        add("has " + std::to_string(fields.size()) + (fields.size() == 1 ? " field" : " fields") +
            (kIsSwf ? ", a job has " : ", the header has ") + std::to_string(width_));
      } else {
        read_line(fields);
      }
    }
    if (problems_.empty() && log_.size() == 0) add_nothing_found();
    if (problems_.empty() && query_.sort) sort_by_time();
    return std::move(problems_);
  }

 private:
  static constexpr bool kIsSwf = std::is_same_v<Records, SwfReader>;

  std::string at(std::int64_t line) const { return path_ + ":" + std::to_string(line); }
  void add(std::string text) { problems_.push_back({at(records_.line()), "", std::move(text)}); }

  // A column may be asked for twice, as work and as bucket.
  void add_once(std::string text) {
    const auto same = [&](const TraceProblem& p) { return p.text == text; };
    if (std::none_of(problems_.begin(), problems_.end(), same)) {
      problems_.push_back({at(1), "", std::move(text)});
    }
  }

  void add_nothing_found() {
    if (log_.skipped > 0) {
      problems_.push_back(
          {at(1), "",
           "a value is missing in each of the " + std::to_string(log_.skipped) + " lines"});
    } else {
      problems_.push_back({at(1), "", kIsSwf ? "no jobs" : "a header, but no requests"});
    }
  }

  bool read_header() {
    if (!records_.next(header_)) {
      problems_.push_back({at(1), "", "empty, expected a header line with the names of columns"});
      return false;
    }
    if (!records_.fault().empty()) {
      add(records_.fault());
      return false;
    }
    width_ = header_.size();
    if (!query_.time_column.empty()) time_index_ = find_column(query_.time_column);
    for (const std::string& c : query_.numbers) number_index_.push_back(find_column(c));
    for (const std::string& c : query_.ends) end_index_.push_back(find_column(c));
    for (const std::string& c : query_.names) name_index_.push_back(find_column(c));
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

  // Nothing stands there: an empty field; in the Standard Workload Format -1.
  bool is_missing(const std::vector<std::string>& fields, std::size_t i) const {
    return kIsSwf ? fields[i] == "-1" : trimmed(fields[i]).empty();
  }
  std::optional<std::size_t> first_missing(const std::vector<std::string>& fields) const {
    if (time_index_ && is_missing(fields, *time_index_)) return time_index_;
    for (const std::vector<std::size_t>* all : {&number_index_, &end_index_, &name_index_}) {
      for (const std::size_t i : *all)
        if (is_missing(fields, i)) return i;
    }
    return std::nullopt;
  }

  void read_line(const std::vector<std::string>& fields) {
    if (const std::optional<std::size_t> i = first_missing(fields)) {
      if (query_.missing == sim::Missing::skip) {
        ++log_.skipped;
      } else {
        add(header_[*i] + (kIsSwf ? " is -1, which stands for unknown" : " is empty") +
            (query_.may_skip ? "; `missing: skip` leaves out such lines" : ", expected a value"));
      }
      return;
    }
    const std::size_t before = problems_.size();
    const double time = time_index_ ? read_time(fields) : 0;
    numbers_.clear();
    for (std::size_t c = 0; c < number_index_.size(); ++c) {
      // the same column again: already read, and reported if wrong
      const auto here = number_index_.begin() + static_cast<std::ptrdiff_t>(c);
      const auto first = std::find(number_index_.begin(), here, *here);
      const auto k = static_cast<std::size_t>(first - number_index_.begin());
      numbers_.push_back(k < c ? numbers_[k] : read_number(fields[*here], header_[*here]));
    }
    ends_.clear();
    if (problems_.size() == before) {  // a wrong time would make ends look wrong as well
      for (const std::size_t i : end_index_) ends_.push_back(read_end(fields, i, time));
    }
    if (problems_.size() > before) return;
    if (time_index_) log_.time.push_back(time);
    for (std::size_t c = 0; c < numbers_.size(); ++c) log_.values[c].push_back(numbers_[c]);
    for (std::size_t c = 0; c < ends_.size(); ++c) log_.ends[c].push_back(ends_[c]);
    for (std::size_t c = 0; c < name_index_.size(); ++c) {
      NameColumn& column = log_.names[c];
      const std::string name(trimmed(fields[name_index_[c]]));
      const auto [entry, is_new] = ids_[c].try_emplace(name, static_cast<int>(ids_[c].size()));
      if (is_new) column.names.push_back(name);
      column.id.push_back(entry->second);
    }
    log_.line.push_back(records_.line());
  }

  double read_number(const std::string& text, const std::string& column) {
    const std::optional<double> x = to_number(text);
    if (!x) {
      add(column + " is " + in_quotes(text) + ", expected a number");
    } else if (*x < 0) {
      add(column + " is " + in_quotes(text) + ", expected a number that is not negative");
    }
    return x.value_or(0);
  }

  std::optional<Moment> read_moment(const std::string& text, const std::string& column) {
    if (!first_) dates_ = !to_seconds(text).has_value();
    const std::optional<Moment> m = dates_ ? to_date(text) : to_seconds(text);
    if (!m) {
      add(column + " is " + in_quotes(text) + ", expected " +
          (first_ && !dates_ ? "seconds, as in the lines before"
           : first_          ? "YYYY-MM-DD hh:mm:ss.fraction, as in the lines before"
                             : "seconds or YYYY-MM-DD hh:mm:ss.fraction"));
    }
    if (!first_) first_ = m;
    return m;
  }

  // Seconds since the first line of the file.
  double read_time(const std::vector<std::string>& fields) {
    const std::string& text = fields[*time_index_];
    const std::string& column = header_[*time_index_];
    const std::optional<Moment> m = read_moment(text, column);
    if (!m) return 0;
    const double time = between(*first_, *m);
    if (!query_.sort && time < last_time_) {
      add(column + " is " + in_quotes(text) + ", earlier than in line " +
          std::to_string(last_line_) + "; the log must be sorted by time");
      return 0;
    }
    last_time_ = time;
    last_line_ = records_.line();
    return time;
  }

  double read_end(const std::vector<std::string>& fields, std::size_t i, double time) {
    const std::optional<Moment> m = read_moment(fields[i], header_[i]);
    if (!m) return 0;
    const double end = between(*first_, *m);
    if (end < time) {
      add(header_[i] + " is " + in_quotes(fields[i]) + ", earlier than " + header_[*time_index_] +
          " " + in_quotes(fields[*time_index_]));
    }
    return end;
  }

  // Lines of one time keep their order.
  void sort_by_time() {
    std::vector<std::size_t> order(log_.time.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return log_.time[a] < log_.time[b]; });
    const auto arrange = [&](auto& column) {
      auto old = column;
      for (std::size_t r = 0; r < order.size(); ++r) column[r] = old[order[r]];
    };
    arrange(log_.time);
    for (std::vector<double>& column : log_.values) arrange(column);
    for (std::vector<double>& column : log_.ends) arrange(column);
    for (NameColumn& column : log_.names) arrange(column.id);
    arrange(log_.line);
    const double first = log_.time.front();
    for (double& t : log_.time) t -= first;
    for (std::vector<double>& column : log_.ends)
      for (double& t : column) t -= first;
  }

  std::string path_;
  Records records_;
  const LogQuery& query_;
  RequestLog& log_;
  std::vector<TraceProblem> problems_;
  std::vector<std::string> header_;
  std::size_t width_ = 0;
  // of each asked column in the header
  std::optional<std::size_t> time_index_;
  std::vector<std::size_t> number_index_, end_index_, name_index_;
  std::vector<double> numbers_, ends_;
  std::vector<std::map<std::string, int, std::less<>>> ids_;
  std::optional<Moment> first_;
  bool dates_ = false;
  double last_time_ = 0;
  std::int64_t last_line_ = 0;
};

}  // namespace

std::vector<TraceProblem> read_log(const std::string& path, const LogQuery& query,
                                   RequestLog& log) {
  namespace fs = std::filesystem;
  const auto refuse = [](std::string text) {
    return std::vector<TraceProblem>{{"", "file", std::move(text)}};
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return refuse(
        "names no file: looked for " + in_quotes(path) +
        "\n  such a file is not part of this program; the head of the scenario says where "
        "to get it");
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
  std::vector<TraceProblem> problems = query.format == sim::LogFormat::swf
                                           ? LogReader<SwfReader>(path, in, query, log).read()
                                           : LogReader<CsvReader>(path, in, query, log).read();
  if (in.bad()) return refuse("cannot be read to its end: " + in_quotes(path));
  return problems;
}

}  // namespace cra::scenarios
