#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "scenarios/scenario.h"

namespace cra::scenarios {
namespace {

constexpr std::size_t kFar = 3;  // anything beyond two edits
// A longer word is not a slip of the fingers; this also bounds the work on hostile input.
constexpr std::size_t kLongest = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Edits between a and b: insert, delete, replace, swap of neighbours (optimal string alignment);
// case does not count.
std::size_t edits(const std::string& a, const std::string& b) {
  const std::size_t n = a.size();
  const std::size_t m = b.size();
  if (n > kLongest || m > kLongest || (n > m ? n - m : m - n) >= kFar) return kFar;
  using Row = std::array<std::size_t, kLongest + 1>;
  Row before{};
  Row above{};
  Row row{};
  for (std::size_t j = 0; j <= m; ++j) above[j] = j;
  for (std::size_t i = 1; i <= n; ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= m; ++j) {
      const std::size_t same = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + same});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = above;
    above = row;
  }
  return above[m];
}

}  // namespace

std::string did_you_mean(const std::string& found, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = kFar;
  for (const std::string& k : known) {
    const std::size_t d = edits(found, k);
    // two edits make any word of two letters out of any other
    if (d < least && d < std::max(found.size(), k.size())) {
      least = d;
      best = k;
    }
  }
  return best;
}

std::string near_file(const std::string& path, const std::string& ending) {
  namespace fs = std::filesystem;
  constexpr int kMost = 10000;  // of a folder
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const fs::path whole(path);
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(whole.has_parent_path() ? whole.parent_path() : fs::path("."), error);
  for (int i = 0; !error && i < kMost && it != fs::directory_iterator(); ++i, it.increment(error)) {
    const std::string name = it->path().filename().string();
    // what nobody can type, or print without harm, is not what was meant
    if (name.ends_with(ending) && std::none_of(name.begin(), name.end(), control))
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string found = whole.filename().string();
  if (!found.ends_with(ending)) found += ending;
  const std::string near = did_you_mean(found, names);
  return near.empty() ? "" : (whole.parent_path() / near).string();
}

}  // namespace cra::scenarios
