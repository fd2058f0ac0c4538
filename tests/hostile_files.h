// tests/hostile_files.h: result files as somebody who knows the format could change them.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "results/results.h"
#include "sim/rng.h"

namespace cra::testing {

/// With the mark that a result file ends with, as a stranger could put it.
inline results::Bytes sealed(results::Bytes bytes) {
  const std::string seal = "\nCRA-SHA256 " + results::sha256(bytes) + "\n";
  for (const char c : seal) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

/// The HDF5 part of a file, its seal cut off.
inline results::Bytes unsealed(results::Bytes bytes) {
  bytes.resize(bytes.size() - 77);
  return bytes;
}

/// Damage number k of a file: flipped bits, overwritten words, swapped, moved, repeated or zeroed
/// blocks, a cut. The seal is right again, so that it reaches the parser.
inline results::Bytes damaged(const results::Bytes& image, std::int64_t k) {
  Draws draws(31, EpisodeSet::training, k, Stream::noise, 0, 0);
  const auto pick = [&](std::size_t n) {
    return static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(n)));
  };
  results::Bytes x = image;
  // Most of a file are numbers; half of the damage goes to where the structure lies.
  const std::size_t span = k % 2 == 0 ? x.size() : std::min<std::size_t>(x.size(), 16384);
  const std::size_t length = 1 + pick(std::min<std::size_t>(64, span / 2));
  const auto at = static_cast<std::ptrdiff_t>(pick(span - length));
  const auto to = static_cast<std::ptrdiff_t>(pick(span - length));
  const auto size = static_cast<std::ptrdiff_t>(length);
  switch (k % 7) {
    case 0:
    case 1:
      for (std::size_t i = 0; i <= pick(8); ++i)
        x[pick(span)] ^= static_cast<std::byte>(1u << pick(8));
      break;
    case 2:
      for (std::size_t i = 0; i < 8; ++i)
        x[static_cast<std::size_t>(at) / 8 * 8 + i] =
            k % 4 == 0 ? std::byte{0xFF} : std::byte{0x7F};
      break;
    case 3:
      std::swap_ranges(x.begin() + at, x.begin() + at + size / 2, x.begin() + to);
      break;
    case 4:
      std::copy_n(image.begin() + at, size, x.begin() + to);
      break;
    case 5:
      std::fill_n(x.begin() + at, size, std::byte{0});
      break;
    default:
      x.resize(1 + pick(x.size()));
  }
  return sealed(x);
}

}  // namespace cra::testing
