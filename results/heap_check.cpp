// Collections of texts in an HDF5 file, walked before HDF5 does: 1.10.8 loops for ever over one
// that has an object of no size, and runs out of it where sizes overflow
// (H5HG__cache_heap_deserialize).
#include <cstring>

#include "results/schema.h"

namespace cra::results {
namespace {

constexpr std::size_t kHeader = 16;      // of a collection, and of an object in it
constexpr std::size_t kSmallest = 4096;  // what HDF5 makes at least

template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t at) {
  T x{};
  std::memcpy(&x, bytes.data() + at, sizeof x);  // both are little-endian
  return x;
}

/// Whether HDF5 gets to the end of a collection. (HDF5 File Format Specification 2.0, III.E)
bool is_sound(std::span<const std::byte> collection) {
  std::size_t at = kHeader;
  while (collection.size() - at >= kHeader) {
    const auto index = number_at<std::uint16_t>(collection, at);
    const auto size = number_at<std::uint64_t>(collection, at + 8);
    const std::size_t left = collection.size() - at;
    if (size > left) return false;
    // Object 0 is the free space, whose size counts its header; others are padded to 8 bytes.
    const std::size_t step = index == 0 ? size : kHeader + (size + 7) / 8 * 8;
    if (step < kHeader || step > left) return false;
    at += step;
  }
  return true;
}

}  // namespace

std::string heap_problem(std::span<const std::byte> image) {
  static constexpr char kSignature[] = {'G', 'C', 'O', 'L', 1};
  const auto* from = reinterpret_cast<const char*>(image.data());
  const std::string_view all(from, image.size());
  const std::string_view signature(kSignature, sizeof kSignature);
  for (std::size_t at = all.find(signature); at != std::string_view::npos;
       at = all.find(signature, at + 1)) {
    if (image.size() - at < kHeader) break;
    const auto size = number_at<std::uint64_t>(image, at + 8);
    if (size > image.size() - at)
      continue;  // other bytes that look like one; HDF5 does not read it
    if (size < kSmallest || !is_sound(image.subspan(at, size)))
      return "has a damaged collection of texts at byte " + std::to_string(at);
  }
  return "";
}

}  // namespace cra::results
