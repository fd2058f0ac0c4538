#include "scenarios/csv.h"

namespace cra::scenarios {

CsvReader::CsvReader(std::istream& in) : in_(in), buffer_(std::size_t{1} << 18U, '\0') {
  if (peek() != 0xEF) return;
  // byte order mark: the first bytes are in the buffer, whole
  if (filled_ >= 3 && buffer_.compare(0, 3, "\xEF\xBB\xBF") == 0) at_ = 3;
}

int CsvReader::peek() {
  if (at_ == filled_) {
    in_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    filled_ = static_cast<std::size_t>(in_.gcount());
    at_ = 0;
    if (filled_ == 0) return kEnd;
  }
  return static_cast<unsigned char>(buffer_[at_]);
}

int CsvReader::get() {
  const int c = peek();
  if (c == kEnd) return c;
  ++at_;
  ++record_bytes_;
  if (c == '\n') ++line_;
  return c;
}

bool CsvReader::next(std::vector<std::string>& fields) {
  fields.clear();
  fault_.clear();
  record_bytes_ = 0;
  record_line_ = line_;
  if (peek() == kEnd) return false;
  read_record(fields);
  const bool blank = fields.size() == 1 && fields[0].empty() && fault_.empty();
  if (!blank) return true;
  while (peek() == '\n' || peek() == '\r') get();
  if (peek() == kEnd) return false;
  fault_ = "blank line";
  return true;
}

void CsvReader::read_record(std::vector<std::string>& fields) {
  fields.emplace_back();
  while (true) {
    const int c = get();
    if (c == kEnd || c == '\n') return;
    if (record_bytes_ > kMaxRecord) {
      fault_ = "longer than 1 MiB: not a line of a request log";
      skip_line();
      return;
    }
    std::string& field = fields.back();
    if (c == ',') {
      fields.emplace_back();
    } else if (c == '\r' && peek() == '\n') {
      continue;
    } else if (c == '"') {
      if (!field.empty()) {
        fault_ = "a quote inside a field that does not begin with one";
        skip_line();
        return;
      }
      read_quoted(field);
      const int after = peek();
      if (fault_.empty() && after != ',' && after != '\n' && after != '\r' && after != kEnd) {
        fault_ = "text after a closing quote";
      }
      if (!fault_.empty()) {
        skip_line();
        return;
      }
    } else {
      field += static_cast<char>(c);
    }
  }
}

void CsvReader::read_quoted(std::string& field) {
  while (true) {
    const int c = get();
    if (c == kEnd) {
      fault_ = "a quote that is not closed";
      return;
    }
    if (record_bytes_ > kMaxRecord) {
      fault_ = "longer than 1 MiB: not a line of a request log";
      return;
    }
    if (c != '"') {
      field += static_cast<char>(c);
    } else if (peek() == '"') {
      field += static_cast<char>(get());
    } else {
      return;
    }
  }
}

void CsvReader::skip_line() {
  for (int c = get(); c != '\n' && c != kEnd;) c = get();
}

}  // namespace cra::scenarios
