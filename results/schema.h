// results/schema.h: questions that the writer and the reader both put to the schema. Internal to
// results.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "results/results.h"

namespace cra::results {

/// Root attributes that every file has, besides the fixed ones.
inline constexpr const char* kRootAttributes[] = {"title", "history", "date_created", "status"};
inline constexpr const char* kFormat = "cra-run";
inline constexpr const char* kSegmentFormat = "cra-segment";
inline constexpr const char* kFormatVersion = "1.5";
inline constexpr const char* kConventions = "CF-1.11";
/// A result file ends with this, 64 hexadecimal digits and a line feed: the SHA-256 of all bytes
/// before. HDF5 ignores what follows its own end of file. Damaged files were seen to make HDF5
/// 1.10.8 write past its buffers, so it must not see any.
inline constexpr std::string_view kSeal = "\nCRA-SHA256 ";
inline constexpr std::size_t kSealLength = kSeal.size() + 64 + 1;

/// nullptr when the format has no such variable or axis.
const VariableSpec* find_spec(const std::string& group, const std::string& name);
bool is_known_group(const std::string& group);
/// "policy,episode" -> {"policy", "episode"}
std::vector<std::string> dims_of(const VariableSpec& spec);
bool is_axis(const VariableSpec& spec);
/// f8, f4, i8, bool or str
const char* type_name(const Data& data);
std::size_t length(const Data& data);

/// The first thing that does not fit the schema, or "": names, types, lengths, labels, missing
/// groups and variables, non-finite numbers. \param format  kFormat or kSegmentFormat
std::string schema_problem(const RunFile& run, const std::string& format = kFormat);

/// encode() and decode() of either format; no bound on a file is checked beyond decode()'s.
Bytes encode_as(const char* format, const RunFile& run, int compression);
RunFile decode_as(const char* format, std::span<const std::byte> bytes, const std::string& path);
/// What keeps the collections of texts in an HDF5 file from being read, or "".
std::string heap_problem(std::span<const std::byte> image);
/// Calls `parse` in a child process. \returns what it died of, or the text of the Error that it
/// threw, or "" when it returned: then it may be called here. What fails in there leaks nothing
/// here.
/// \param bytes  size of what is parsed, for the limit on its time
std::string trial_problem(const std::function<void()>& parse, std::size_t bytes);
/// Most bytes that a file may have.
inline constexpr std::size_t kFileLimit = std::size_t{4} << 30;

/// Whether two numbers are equal up to the rounding of long sums, 1e-9 of the larger of 1 and them.
bool nearly(double a, double b);
/// Shortest decimal form that reads back as the same number.
std::string decimal(double x);

/// Throws InputError when a word, an index or an axis contradicts what other groups say.
void check_between_groups(const RunFile& run, const std::string& path);

/// Throws InputError when the numbers of /attention contradict each other or /eval.
void check_attention(const GroupData& attention, const GroupData& eval, const std::string& path);

/// `text` as it can be stored: bytes that are not UTF-8, and NUL, become U+FFFD.
std::string storable(const std::string& text);

}  // namespace cra::results
