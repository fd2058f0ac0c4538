// results/sha256.h: SHA-256 in pieces (FIPS 180-4), for data that is not one block of bytes.
// Internal to results.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace cra::results {

/// Feed with add(), read once with digest().
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  void add(std::span<const std::byte> bytes);
  /// Ends the message; the object is spent afterwards.
  Digest digest();

 private:
  void block(const std::uint8_t* data);

  std::array<std::uint32_t, 8> state_{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t length_ = 0;  ///< bytes fed so far
};

/// Lower-case hexadecimal.
std::string hex(const Sha256::Digest& digest);

}  // namespace cra::results
