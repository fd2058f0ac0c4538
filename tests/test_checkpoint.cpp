#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "every_field.h"
#include "results/results.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;
using cra::testing::TemporaryFolder;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

/// One field of every type, empty ones, and text that is not text.
std::vector<Field> sample_fields(std::int64_t updates = 7) {
  return {{"theta", std::vector<float>{0.5f, -1.25f, 3e-38f, 3e38f}},
          {"adam_mean", std::vector<float>(300, 0.125f)},
          {"mean", std::vector<double>{0.1, -0.0, 5e-324, 1.7e308}},
          {"updates", std::vector<std::int64_t>{updates}},
          {"steps", std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), -1, 0,
                                              std::numeric_limits<std::int64_t>::max()}},
          {"log", std::vector<double>{}},
          {"resolved", "pool:\n  nodes: 2\n\0\xff\xfe µ"s},
          {"note", std::string()}};
}

std::int64_t updates_of(const std::vector<Field>& fields) {
  return std::get<std::vector<std::int64_t>>(fields.at(3).data).at(0);
}

std::vector<Field> load(const std::string& path) {
  std::string note;
  return read_checkpoint(path, note);
}

/// Without the care of write_file: these bytes are meant to be bad. Removed first, as some file
/// systems sync a file that is cut and written again.
void put(const std::string& path, const Bytes& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

Bytes bytes_at(const std::string& path) { return read_file(path, std::size_t{1} << 30); }

}  // namespace

TEST_CASE("checkpoint: what is saved comes back, bit by bit, and saving it again gives the bytes") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", again = folder / "b.checkpoint";
  write_checkpoint(path, sample_fields());
  std::string note = "old";
  const std::vector<Field> back = read_checkpoint(path, note);
  CHECK(note.empty());
  CHECK(back == sample_fields());
  CHECK(std::signbit(std::get<std::vector<double>>(back[2].data)[1]));  // == takes -0 for 0
  write_checkpoint(again, back);
  CHECK(bytes_at(path) == bytes_at(again));
}

TEST_CASE("checkpoint: nothing there is not an error") {
  const TemporaryFolder folder;
  std::string note;
  CHECK(read_checkpoint(folder / "a.checkpoint", note).empty());
  CHECK(note.empty());
}

TEST_CASE("checkpoint: keeps the generation before, and falls back to it, saying why") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", previous = path + ".previous";
  write_checkpoint(path, sample_fields(1));
  write_checkpoint(path, sample_fields(2));
  write_checkpoint(path, sample_fields(3));
  CHECK(folder.names() == std::vector<std::string>{"a.checkpoint", "a.checkpoint.previous"});
  CHECK(updates_of(load(path)) == 3);

  std::string note;
  fs::remove(path);  // a kill between the two renames leaves just this
  CHECK(updates_of(read_checkpoint(path, note)) == 2);
  CHECK(note == "using the previous checkpoint " + previous + ": " + path + " is missing");

  write_checkpoint(path, sample_fields(4));
  Bytes damaged = bytes_at(path);
  damaged.back() ^= std::byte{1};
  write_file(path, damaged);
  CHECK(updates_of(read_checkpoint(path, note)) == 2);
  CHECK(note == "using the previous checkpoint " + previous + ": " + path +
                    ": damaged: its SHA-256 is not the one in the header");
}

TEST_CASE("checkpoint: a damaged newest generation never pushes out a whole previous one") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", previous = path + ".previous";
  write_checkpoint(path, sample_fields(1));
  write_checkpoint(path, sample_fields(2));
  write_file(path, Bytes(7, std::byte{'x'}));
  write_checkpoint(path, sample_fields(3));
  CHECK(updates_of(load(path)) == 3);
  fs::remove(path);
  CHECK(updates_of(load(path)) == 1);
}

TEST_CASE("checkpoint: with no whole generation, says what is wrong with each") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", previous = path + ".previous";
  write_file(path, Bytes(5, std::byte{'x'}));
  CHECK(message_of<InputError>([&] { load(path); }) ==
        path +
            ": not a checkpoint, or cut short: it has 5 bytes; there is no previous generation " +
            previous);
  write_file(previous, Bytes(100, std::byte{'x'}));
  CHECK(message_of<InputError>([&] { load(path); }) ==
        path + ": not a checkpoint, or cut short: it has 5 bytes; " + previous +
            ": not a checkpoint: it does not begin with the mark of one");
}

TEST_CASE("checkpoint: another format version is refused by number") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint";
  write_checkpoint(path, sample_fields());
  Bytes bytes = bytes_at(path);
  bytes[8] = std::byte{2};
  write_file(path, bytes);
  CHECK(message_of<InputError>([&] {
          load(path);
        }).starts_with(path + ": checkpoint format 2, this program reads format 1"));
}

TEST_CASE("checkpoint: a number that is not finite is refused by field and index, old one stays") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint";
  write_checkpoint(path, sample_fields(1));
  std::vector<Field> bad = sample_fields(2);
  std::get<std::vector<float>>(bad[1].data)[17] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message_of([&] { write_checkpoint(path, bad); }) == "checkpoint: adam_mean[17] is nan");
  bad = sample_fields(2);
  std::get<std::vector<double>>(bad[2].data)[3] = -std::numeric_limits<double>::infinity();
  CHECK(message_of([&] { write_checkpoint(path, bad); }) == "checkpoint: mean[3] is infinite");
  CHECK(updates_of(load(path)) == 1);
  CHECK(folder.names() == std::vector<std::string>{"a.checkpoint"});
}

TEST_CASE("checkpoint: impossible names are refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint";
  for (const std::string& name : {std::string(), "."s, "a/b"s, "a\0b"s}) {
    const std::vector<Field> bad{{name, std::string("x")}};
    CHECK(message_of([&] { write_checkpoint(path, bad); }).find("not the name of a field") !=
          std::string::npos);
  }
  const std::vector<Field> twice{{"a", std::string("x")}, {"a", std::string("y")}};
  CHECK(message_of([&] { write_checkpoint(path, twice); }) == "checkpoint: field a is given twice");
  CHECK(folder.names().empty());
}

TEST_CASE("checkpoint: removal takes both generations and what a dead writer left, only of it") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", other = folder / "a.checkpoint2";
  write_checkpoint(path, sample_fields(1));
  write_checkpoint(path, sample_fields(2));
  write_checkpoint(other, sample_fields(3));
  write_file(path + ".cra-tmp", {});
  remove_checkpoint(path);
  CHECK(folder.names() == std::vector<std::string>{"a.checkpoint2"});
  CHECK_NOTHROW(remove_checkpoint(path));
}

TEST_CASE("forgotten_fields: passes a careful loader and finds what a careless one forgets") {
  const std::vector<Field> fields = sample_fields();
  const auto loader_without = [&](const std::string& forgotten) {
    return [&fields, forgotten](const std::vector<Field>& found) {
      for (const Field& wanted : fields)
        if (wanted.name != forgotten &&
            std::find(found.begin(), found.end(), wanted) == found.end())
          throw InputError("field " + wanted.name + " is missing");
    };
  };
  CHECK(cra::testing::forgotten_fields(fields, loader_without("")).empty());
  CHECK(cra::testing::forgotten_fields(fields, loader_without("adam_mean")) ==
        std::vector<std::string>{"adam_mean"});
}

TEST_CASE("checkpoint: 2,000 damaged files, none accepted with wrong contents (R6)") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.checkpoint", previous = path + ".previous";
  write_checkpoint(path, sample_fields(1));
  write_checkpoint(path, sample_fields(2));
  const Bytes newest = bytes_at(path), older = bytes_at(previous);
  const std::vector<Field> one = sample_fields(1), two = sample_fields(2);
  int refused = 0, fell_back = 0, unharmed = 0, wrong = 0;
  for (std::int64_t k = 0; k < 2000; ++k) {
    CAPTURE(k);
    Draws draws(17, EpisodeSet::training, k, Stream::noise, 0, 0);
    const auto pick = [&](std::size_t n) {
      return static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(n)));
    };
    const auto flip = [&](Bytes& b, std::size_t where) {
      b[where] ^= static_cast<std::byte>(1u << pick(8));
    };
    Bytes a = newest, b = older;
    bool keep_previous = true;
    switch (k % 5) {
      case 0:  // one to six flipped bits anywhere
        for (std::size_t i = 0; i <= pick(6); ++i) flip(a, pick(a.size()));
        break;
      case 1:  // in the header: mark, version, length, digest
        flip(a, pick(56));
        break;
      case 2:  // cut short, at a block border or anywhere
        a.resize(k % 2 == 0 ? pick(a.size() / 512 + 1) * 512 : pick(a.size()));
        break;
      case 3:  // swapped generations: both whole, the older one in front
        std::swap(a, b);
        break;
      default:  // both damaged, or the only one
        flip(a, pick(a.size()));
        flip(b, pick(b.size()));
        keep_previous = pick(2) == 0;
        break;
    }
    put(path, a);
    if (keep_previous)
      put(previous, b);
    else
      fs::remove(previous);
    std::string note;
    try {
      const std::vector<Field> found = read_checkpoint(path, note);
      if (found != one && found != two)
        ++wrong;
      else if (note.empty())
        ++unharmed;
      else
        ++fell_back;
      // Without a note it must be exactly what the newest file holds.
      if (note.empty() && found != (a == older ? one : two)) ++wrong;
    } catch (const InputError&) {
      ++refused;
    }
  }
  MESSAGE("refused " << refused << ", fell back " << fell_back << ", unharmed " << unharmed);
  CHECK(wrong == 0);
  CHECK(refused == 400);
  // An even number of flips on one bit, or a cut at the very end, may leave the file as it was.
  CHECK(fell_back + unharmed == 1600);
  CHECK(unharmed >= 400);
  CHECK(unharmed <= 410);
}
