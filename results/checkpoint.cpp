// Checkpoints: a header with a digest, then an HDF5 image; two generations on disk.
//
// The header exists because plain HDF5 data has no checksum: of 60,000 damaged files 2,058 were
// accepted with wrong numbers, one crashed the library and one hung it. With a digest in front
// HDF5 never sees damaged bytes.
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <set>
#include <system_error>

#include "results/h5.h"
#include "results/results.h"
#include "results/sha256.h"
#include "results/staged_file.h"

namespace cra::results {
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

constexpr std::array<char, 8> kMagic{'C', 'R', 'A', 'C', 'K', 'P', 'T', '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kLimit = std::size_t{4} << 30;

/// As it lies on disk. Every byte of it is checked on load, so no damaged one goes unnoticed.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t reserved = 0;
  std::uint64_t length = 0;  ///< bytes of the image that follows
  Sha256::Digest digest{};   ///< of the image
};
static_assert(sizeof(Header) == 56);

std::string previous_of(const std::string& path) { return path + ".previous"; }

Sha256::Digest digest_of(std::span<const std::byte> bytes) {
  Sha256 s;
  s.add(bytes);
  return s.digest();
}

/// The HDF5 image behind the header. \throws InputError saying what is wrong with the bytes
std::span<const std::byte> checked_image(const Bytes& file, const std::string& path) {
  const auto refuse = [&](const std::string& why) { throw InputError(path + ": " + why); };
  Header h;
  if (file.size() < sizeof h)
    refuse("not a checkpoint, or cut short: it has " + std::to_string(file.size()) + " bytes");
  std::memcpy(&h, file.data(), sizeof h);
  if (h.magic != kMagic) refuse("not a checkpoint: it does not begin with the mark of one");
  if (h.version != kVersion || h.reserved != 0)
    refuse("checkpoint format " + std::to_string(h.version) + ", this program reads format " +
           std::to_string(kVersion));
  const std::span<const std::byte> image = std::span(file).subspan(sizeof h);
  if (h.length != image.size())
    refuse("damaged: " + std::to_string(image.size()) + " bytes of data where the header says " +
           std::to_string(h.length));
  if (h.digest != digest_of(image)) refuse("damaged: its SHA-256 is not the one in the header");
  return image;
}

void check_finite(const Field& field) {
  std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, std::vector<double>> ||
                      std::is_same_v<T, std::vector<float>>) {
          for (std::size_t i = 0; i < x.size(); ++i)
            if (!std::isfinite(x[i]))
              throw DivergedError("checkpoint: " + field.name + "[" + std::to_string(i) + "] is " +
                                  (std::isnan(x[i]) ? "nan" : "infinite"));
        }
      },
      field.data);
}

struct Stored {
  hid_t file_type;    ///< on disk
  hid_t memory_type;  ///< here
  const void* data;
  std::size_t count;
};

/// Text is stored as bytes (unsigned 8-bit), so that any text comes back as it was.
Stored stored(const Field& field) {
  return std::visit(
      [](const auto& x) -> Stored {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, std::vector<double>>)
          return {H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, x.data(), x.size()};
        else if constexpr (std::is_same_v<T, std::vector<float>>)
          return {H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, x.data(), x.size()};
        else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>)
          return {H5T_STD_I64LE, H5T_NATIVE_INT64, x.data(), x.size()};
        else
          return {H5T_STD_U8LE, H5T_NATIVE_UINT8, x.data(), x.size()};
      },
      field.data);
}

Bytes image_of(const std::vector<Field>& fields) {
  h5::Id file = h5::create_file();
  std::set<std::string> seen;
  for (const Field& field : fields) {
    CRA_CHECK(!field.name.empty() && field.name != "." &&
                  field.name.find_first_of(std::string("/\0", 2)) == std::string::npos,
              "checkpoint: not the name of a field: \"" + field.name + "\"");
    CRA_CHECK(seen.insert(field.name).second,
              "checkpoint: field " + field.name + " is given twice");
    check_finite(field);
    const Stored s = stored(field);
    const hsize_t count = s.count;
    const h5::Id space(H5Screate_simple(1, &count, nullptr), H5Sclose, "space");
    const h5::Id creation = h5::dataset_properties();
    h5::Id dataset(H5Dcreate2(file, field.name.c_str(), s.file_type, space, H5P_DEFAULT, creation,
                              H5P_DEFAULT),
                   H5Dclose, "create dataset");
    if (count > 0)
      h5::checked(H5Dwrite(dataset, s.memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, s.data),
                  "write dataset");
    dataset.close();
  }
  return h5::take_image(std::move(file));
}

template <class T>
T read_array(hid_t dataset, hid_t type, std::size_t count) {
  T x(count, {});
  if (count > 0)
    h5::checked(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x.data()), "read dataset");
  return x;
}

Field read_field(hid_t file, const std::string& name) {
  const h5::Id dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, "open dataset");
  const h5::Id space(H5Dget_space(dataset), H5Sclose, "space");
  const h5::Id type(H5Dget_type(dataset), H5Tclose, "type");
  CRA_CHECK(H5Sget_simple_extent_ndims(space) == 1, "field " + name + " is not one-dimensional");
  const auto count =
      static_cast<std::size_t>(h5::checked(H5Sget_simple_extent_npoints(space), "size"));
  const auto is = [&](hid_t other) { return H5Tequal(type, other) > 0; };
  if (is(H5T_IEEE_F64LE))
    return {name, read_array<std::vector<double>>(dataset, H5T_NATIVE_DOUBLE, count)};
  if (is(H5T_IEEE_F32LE))
    return {name, read_array<std::vector<float>>(dataset, H5T_NATIVE_FLOAT, count)};
  if (is(H5T_STD_I64LE))
    return {name, read_array<std::vector<std::int64_t>>(dataset, H5T_NATIVE_INT64, count)};
  if (is(H5T_STD_U8LE)) return {name, read_array<std::string>(dataset, H5T_NATIVE_UINT8, count)};
  throw Error("field " + name + " has a type that checkpoints do not use");
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t* info, void* out) {
  // No link to another file or object: the digest is not a signature.
  if (info->type != H5L_TYPE_HARD) return -1;
  static_cast<std::vector<std::string>*>(out)->emplace_back(name);
  return 0;
}

std::vector<Field> fields_in(std::span<const std::byte> image) {
  const h5::Id file = h5::open_image(image);
  std::vector<std::string> names;
  h5::checked(H5Literate(file, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, collect_name, &names),
              "list of fields");
  std::vector<Field> fields;
  for (const std::string& name : names) fields.push_back(read_field(file, name));
  return fields;
}

std::vector<Field> load(const std::string& path) {
  const Bytes file = read_file(path, kLimit);
  const std::span<const std::byte> image = checked_image(file, path);
  try {
    return fields_in(image);
  } catch (const Error& e) {
    throw InputError(path + ": " + e.what());
  }
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Whether a generation carries its right digest.
bool is_whole(const std::string& path) {
  try {
    checked_image(read_file(path, kLimit), path);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) < 0 && errno != ENOENT)
    throw Error("cannot remove " + path + ": " + std::generic_category().message(errno));
}

}  // namespace

void write_checkpoint(const std::string& path, const std::vector<Field>& fields) {
  const Bytes image = image_of(fields);
  Header h;
  h.length = image.size();
  h.digest = digest_of(image);
  Bytes file(sizeof h + image.size());
  std::memcpy(file.data(), &h, sizeof h);
  std::memcpy(file.data() + sizeof h, image.data(), image.size());
  StagedFile staged(path, file);
  // A damaged newest generation must not push out a whole previous one. Between the two renames
  // only the previous one has its name; read_checkpoint takes it then.
  if (is_whole(path)) rename_file(path, previous_of(path));
  staged.commit();
}

std::vector<Field> read_checkpoint(const std::string& path, std::string& note) {
  note.clear();
  const std::string previous = previous_of(path);
  std::string problem;
  if (exists(path)) {
    try {
      return load(path);
    } catch (const InputError& e) {
      problem = e.what();
    }
  }
  if (!exists(previous)) {
    if (problem.empty()) return {};
    throw InputError(problem + "; there is no previous generation " + previous);
  }
  if (problem.empty()) problem = path + " is missing";
  try {
    std::vector<Field> fields = load(previous);
    note = "using the previous checkpoint " + previous + ": " + problem;
    return fields;
  } catch (const InputError& e) {
    throw InputError(problem + "; " + e.what());
  }
}

void remove_checkpoint(const std::string& path) {
  remove_file(previous_of(path));  // first: a kill in between must not leave the older one alone
  remove_file(path);
  remove_stale_temporary(path);
}

}  // namespace cra::results
