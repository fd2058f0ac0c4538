#include "scenarios/swf.h"

namespace cra::scenarios {

// Fills text_ with the next line; of one that is too long only the beginning is kept.
bool SwfReader::next_line() {
  text_.clear();
  std::streambuf* bytes = in_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  int c = bytes->sbumpc();
  if (c == kEnd) return false;
  ++line_;
  for (; c != kEnd && c != '\n'; c = bytes->sbumpc()) {
    if (text_.size() <= kMaxLine) text_ += static_cast<char>(c);
  }
  return true;
}

bool SwfReader::next(std::vector<std::string>& fields) {
  fault_.clear();
  if (!header_given_) {
    header_given_ = true;
    fields.assign(kFields.begin(), kFields.end());
    return true;
  }
  constexpr const char* kBlanks = " \t\r";
  while (next_line()) {
    const std::size_t first = text_.find_first_not_of(kBlanks);
    if (first == std::string::npos || text_[first] == ';') continue;
    fields.clear();
    if (text_.size() > kMaxLine) {
      fault_ = "longer than 64 KiB: not a line of a job";
      return true;
    }
    for (std::size_t at = first; at != std::string::npos;) {
      const std::size_t end = text_.find_first_of(kBlanks, at);
      fields.push_back(text_.substr(at, end - at));
      at = end == std::string::npos ? end : text_.find_first_not_of(kBlanks, end);
    }
    return true;
  }
  return false;
}

}  // namespace cra::scenarios
