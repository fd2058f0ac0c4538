// Long trajectories: episodes in files of their own beside the result, which lists them with their
// digests. A segment is a result file with /trajectory alone, so it opens by itself.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "results/schema.h"

namespace cra::results {
namespace {

constexpr std::size_t kMostSegments = 99999;  // five digits in the name

const VariableSpec& spec_of(const Variable& v) { return *find_spec("trajectory", v.name); }

/// How often the block of all episodes stands in an array: once for every policy, or once; 0 when
/// the array does not run over episodes.
std::size_t blocks_of(const GroupData& g, const VariableSpec& spec) {
  const std::vector<std::string> dims = dims_of(spec);
  const auto at = std::find(dims.begin(), dims.end(), "episode");
  if (at == dims.end()) return 0;
  return at == dims.begin() ? 1 : values<std::string>(g, "policy").size();
}

std::size_t item_size(const Data& data) {
  return std::visit(
      [](const auto& x) { return sizeof(typename std::decay_t<decltype(x)>::value_type); }, data);
}

std::size_t bytes_of(const GroupData& trajectory) {
  std::size_t bytes = 0;
  for (const Variable& v : trajectory.variables) bytes += length(v.data) * item_size(v.data);
  return bytes;
}

/// `count` episodes of an array, from `first` on.
Data cut(const Data& data, std::size_t blocks, std::size_t episodes, std::size_t first,
         std::size_t count) {
  return std::visit(
      [&](const auto& x) -> Data {
        std::decay_t<decltype(x)> part;
        const std::size_t block = blocks == 0 ? 0 : x.size() / blocks, each = block / episodes;
        for (std::size_t b = 0; b < blocks; ++b) {
          const auto from = x.begin() + static_cast<std::ptrdiff_t>(b * block + first * each);
          part.insert(part.end(), from, from + static_cast<std::ptrdiff_t>(count * each));
        }
        return part;
      },
      data);
}

GroupData cut(const GroupData& g, std::size_t first, std::size_t count) {
  const auto& all = values<std::int64_t>(g, "episode");
  GroupData part{g.name, g.axes, {}};
  for (Axis& a : part.axes)
    if (a.name == "episode") a.labels = cut(a.labels, 1, all.size(), first, count);
  for (const Variable& v : g.variables)
    part.variables.push_back(
        {v.name, cut(v.data, blocks_of(g, spec_of(v)), all.size(), first, count)});
  return part;
}

/// The arrays of the same name of all parts, one after the other within every block.
Data join(const std::vector<GroupData>& parts, std::size_t variable, std::size_t blocks) {
  return std::visit(
      [&](const auto& first) -> Data {
        using Values = std::decay_t<decltype(first)>;
        Values all;
        for (std::size_t b = 0; b < blocks; ++b)
          for (const GroupData& part : parts) {
            const auto& x = std::get<Values>(part.variables[variable].data);
            const auto size = static_cast<std::ptrdiff_t>(x.size() / blocks);
            const auto from = x.begin() + static_cast<std::ptrdiff_t>(b) * size;
            all.insert(all.end(), from, from + size);
          }
        return all;
      },
      parts.front().variables[variable].data);
}

GroupData join(const std::vector<GroupData>& parts) {
  GroupData whole{"trajectory", parts.front().axes, {}};
  std::vector<std::int64_t> episodes;
  for (const GroupData& part : parts) {
    const auto& more = values<std::int64_t>(part, "episode");
    episodes.insert(episodes.end(), more.begin(), more.end());
  }
  for (Axis& a : whole.axes)
    if (a.name == "episode") a.labels = episodes;
  for (std::size_t i = 0; i < parts.front().variables.size(); ++i) {
    const Variable& v = parts.front().variables[i];
    whole.variables.push_back({v.name, join(parts, i, blocks_of(whole, spec_of(v)))});
  }
  return whole;
}

/// What keeps a segment from continuing the first one, or "".
std::string misfit(const GroupData& part, const GroupData& first) {
  if (part.axes.size() != first.axes.size() || part.variables.size() != first.variables.size())
    return "holds other variables than the first segment";
  for (std::size_t i = 0; i < part.axes.size(); ++i)
    if (part.axes[i].name != first.axes[i].name ||
        (part.axes[i].name != "episode" && part.axes[i].labels != first.axes[i].labels))
      return "has another axis " + part.axes[i].name + " than the first segment";
  for (std::size_t i = 0; i < part.variables.size(); ++i)
    if (part.variables[i].name != first.variables[i].name)
      return "holds other variables than the first segment";
  return "";
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// A name that leads nowhere but to a file beside the result.
bool is_plain_name(const std::string& name) {
  const auto odd = [](char c) { return c == '/' || static_cast<unsigned char>(c) < 32; };
  return !name.empty() && name[0] != '.' && std::none_of(name.begin(), name.end(), odd);
}

/// One line of /segment and the file it names.
GroupData listed_segment(const GroupData& list, std::size_t i, const std::string& path) {
  const std::string& name = values<std::string>(list, "file")[i];
  const auto refuse = [&](const std::string& why) {
    throw InputError(path + ": segment " + std::to_string(i + 1) + ", " + name + ", " + why);
  };
  if (!is_plain_name(name)) refuse("is not the plain name of a file beside the result");
  const std::string file = folder_of(path) + name;
  Bytes bytes;
  try {
    bytes = read_file(file, kFileLimit);
  } catch (const InputError& e) {
    refuse(std::string("is missing or unreadable: ") + e.what());
  }
  if (sha256(bytes) != values<std::string>(list, "sha256")[i])
    refuse("is not the file that the result was written with (its SHA-256 differs)");
  RunFile run = decode_as(kSegmentFormat, bytes, file);
  GroupData part = std::move(run.groups.at(0));
  const auto& episodes = values<std::int64_t>(part, "episode");
  const std::int64_t first = values<std::int64_t>(list, "first_episode")[i];
  const std::int64_t count = values<std::int64_t>(list, "episodes")[i];
  if (episodes.empty() || static_cast<std::int64_t>(episodes.size()) != count ||
      episodes[0] != first)
    refuse("does not hold the episodes that /segment says");
  return part;
}

void follow(RunFile& run, const std::string& path) {
  const auto at = std::find_if(run.groups.begin(), run.groups.end(),
                               [](const GroupData& g) { return g.name == "segment"; });
  if (at == run.groups.end()) return;
  const std::size_t count = values<std::int64_t>(*at, "segment").size();
  if (count == 0 || count > kMostSegments)
    throw InputError(path + ": /segment lists " + std::to_string(count) + " segments");
  std::vector<GroupData> parts;
  std::int64_t last = -1;
  for (std::size_t i = 0; i < count; ++i) {
    parts.push_back(listed_segment(*at, i, path));
    const std::string where = path + ": segment " + std::to_string(i + 1) + ", " +
                              values<std::string>(*at, "file")[i] + ", ";
    if (const std::string why = misfit(parts.back(), parts.front()); !why.empty())
      throw InputError(where + why);
    for (const std::int64_t episode : values<std::int64_t>(parts.back(), "episode")) {
      if (episode <= last)
        throw InputError(where + "holds episode " + std::to_string(episode) + " after episode " +
                         std::to_string(last));
      last = episode;
    }
  }
  *at = join(parts);
}

GroupData segment_group(const std::string& path, const std::vector<GroupData>& parts,
                        const std::vector<std::string>& digests) {
  std::vector<std::int64_t> number, first, count;
  std::vector<std::string> file;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto& episodes = values<std::int64_t>(parts[i], "episode");
    number.push_back(static_cast<std::int64_t>(i) + 1);
    file.push_back(segment_path(path, i + 1).substr(folder_of(path).size()));
    first.push_back(episodes.front());
    count.push_back(static_cast<std::int64_t>(episodes.size()));
  }
  return {"segment",
          {{"segment", number}},
          {{"file", file}, {"sha256", digests}, {"first_episode", first}, {"episodes", count}}};
}

/// The episodes of a trajectory in parts of at most `limit` bytes, one episode at least; none when
/// it fits as it is.
std::vector<GroupData> parts_of(const GroupData& trajectory, std::size_t limit) {
  const std::size_t bytes = bytes_of(trajectory);
  const std::size_t episodes = values<std::int64_t>(trajectory, "episode").size();
  if (limit == 0 || bytes <= limit || episodes < 2) return {};
  const std::size_t least = (episodes + kMostSegments - 1) / kMostSegments;
  const std::size_t each = std::max(least, limit / std::max<std::size_t>(1, bytes / episodes));
  std::vector<GroupData> parts;
  for (std::size_t first = 0; first < episodes; first += each)
    parts.push_back(cut(trajectory, first, std::min(each, episodes - first)));
  return parts;
}

/// Segments beyond the last that a result has; they were of another one under its name.
void remove_segments_from(const std::string& path, std::size_t number) {
  while (number <= kMostSegments && ::unlink(segment_path(path, number).c_str()) == 0) ++number;
}

}  // namespace

std::string segment_path(const std::string& path, std::size_t number) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%05zu", number);
  const bool named = path.size() > 3 && path.substr(path.size() - 3) == ".h5";
  return (named ? path.substr(0, path.size() - 3) : path) + ".trajectories-" + digits.data() +
         ".h5";
}

bool named_segment(const std::string& path) {
  constexpr std::string_view kForm = ".trajectories-#####.h5";
  if (path.size() < kForm.size()) return false;
  const std::string end = path.substr(path.size() - kForm.size());
  return std::equal(end.begin(), end.end(), kForm.begin(), [](char c, char form) {
    return form == '#' ? c >= '0' && c <= '9' : c == form;
  });
}

GroupData read_segment(const std::string& path) {
  return decode_as(kSegmentFormat, read_file(path, kFileLimit), path).groups.at(0);
}

RunFile read_run(const std::string& path, Segments segments) {
  RunFile run = decode(read_file(path, kFileLimit), path);
  if (segments == Segments::follow) follow(run, path);
  return run;
}

void write_run(const std::string& path, const RunFile& run, int compression,
               std::size_t segment_bytes) {
  const GroupData* trajectory = run.group("trajectory");
  const std::vector<GroupData> parts =
      trajectory == nullptr ? std::vector<GroupData>{} : parts_of(*trajectory, segment_bytes);
  if (parts.empty()) {
    write_file(path, encode(run, compression));
    remove_segments_from(path, 1);
    return;
  }
  // A result of before must not stand beside segments of another one.
  const bool replaces = ::access(segment_path(path, 1).c_str(), F_OK) == 0;
  if (replaces) ::unlink(path.c_str());
  std::vector<std::string> digests;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Bytes bytes = encode_as(kSegmentFormat, {run.attributes, {parts[i]}}, compression);
    digests.push_back(sha256(bytes));
    write_file(segment_path(path, i + 1), bytes);
  }
  RunFile main = run;
  for (GroupData& g : main.groups)
    if (g.name == "trajectory") g = segment_group(path, parts, digests);
  write_file(path, encode(main, compression));
  remove_segments_from(path, parts.size() + 1);
}

}  // namespace cra::results
