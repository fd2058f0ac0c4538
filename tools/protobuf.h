// tools/protobuf.h: protocol buffer messages, written field by field (the wire format of
// protobuf.dev/programming-guides/encoding). Nothing reads them here.
#pragma once

#include <cstdint>
#include <string>

namespace cra::tools {

class Protobuf {
 public:
  /// Integers and enums. Negative ones take ten bytes, as int64.
  Protobuf& integer(int field, std::int64_t value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  /// Text, bytes, and whole messages.
  Protobuf& bytes(int field, const std::string& value) {
    key(field, 2);
    varint(value.size());
    data_ += value;
    return *this;
  }
  Protobuf& message(int field, const Protobuf& value) { return bytes(field, value.data_); }
  const std::string& data() const { return data_; }

 private:
  void key(int field, int type) {
    varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
  }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) data_ += static_cast<char>(value | 0x80);
    data_ += static_cast<char>(value);
  }

  std::string data_;
};

}  // namespace cra::tools
