// scenarios/csv.h: records of a CSV file (RFC 4180), one at a time, so that a log of a gigabyte
// needs no gigabyte of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace cra::scenarios {

class CsvReader {
 public:
  explicit CsvReader(std::istream& in);

  /// The next record: fields may stand in quotes, lines end with LF or CRLF, the last one need not
  /// end. Blank lines at the end of the file are no records.
  /// \returns false at the end of the file
  bool next(std::vector<std::string>& fields);
  /// Line in which the last record began, from 1.
  std::int64_t line() const { return record_line_; }
  /// What is wrong with the form of the last record; empty when nothing is.
  const std::string& fault() const { return fault_; }

 private:
  static constexpr int kEnd = -1;
  // A line beyond this is no log; it would only fill the memory.
  static constexpr std::size_t kMaxRecord = std::size_t{1} << 20U;

  int get();
  int peek();
  void read_record(std::vector<std::string>& fields);
  void read_quoted(std::string& field);
  void skip_line();

  std::istream& in_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::int64_t line_ = 1;
  std::int64_t record_line_ = 0;
  std::size_t record_bytes_ = 0;
  std::string fault_;
};

}  // namespace cra::scenarios
