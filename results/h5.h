// results/h5.h: HDF5 with owners and with every return code looked at. Internal to results.
//
// Files live in memory only (core driver, no backing store): HDF5's own file driver was seen to
// die by SIGSEGV in 36 of 120 single write failures, and a close that says 0 proves nothing.
// HDF5 is not thread-safe here: one thread at a time.
#pragma once

#include <hdf5.h>

#include <span>
#include <string>

#include "results/results.h"

namespace cra::results::h5 {

/// Throws Error: `what`, and the innermost reason on HDF5's error stack.
[[noreturn]] void fail(const std::string& what);

/// Passes on a return code or a new identifier; negative ones become an Error.
template <class T>
T checked(T code, const char* what) {
  if (code < 0) fail(what);
  return code;
}

/// Owns an HDF5 identifier.
class Id {
 public:
  using Close = herr_t (*)(hid_t);

  /// \throws Error when `id` is negative, naming the call that made it
  Id(hid_t id, Close close, const char* what) : id_(checked(id, what)), close_(close) {}
  ~Id() {
    if (id_ >= 0) close_(id_);
  }
  Id(Id&& other) noexcept : id_(other.id_), close_(other.close_) { other.id_ = -1; }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;

  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor)

  /// Closes now. What is being written is only written when this succeeds.
  void close() {
    const hid_t id = id_;
    id_ = -1;
    checked(close_(id), "close");
  }

 private:
  hid_t id_;
  Close close_;
};

/// Turns off HDF5's own printing and its loading of plug-ins. First call of everything here.
void prepare();

/// An empty file in memory, with orders of links and attributes kept and no time stamps.
Id create_file();
/// Flushes, closes, and hands out the bytes.
Bytes take_image(Id file);
/// Opens bytes as a file, read-only; they are copied. \throws Error when they are not HDF5
Id open_image(std::span<const std::byte> bytes);

/// A dataset creation list without time stamps, with the order of attributes kept.
Id dataset_properties();
/// A group without time stamps, with the order of links and attributes kept.
Id create_group(hid_t parent, const std::string& name);
/// The type of all text: variable length, UTF-8.
Id text_type();

/// Writes a scalar text attribute.
void write_attribute(hid_t object, const std::string& name, const std::string& value);
/// Reads a scalar text attribute. \throws Error when it is absent or of another type
std::string read_attribute(hid_t object, const std::string& name);
/// Whether a type is that of all text.
bool is_text(hid_t type);

}  // namespace cra::results::h5
