// Result files, the reading half. A file may come from a stranger, and HDF5 files can name other
// files as the place of their data, carry filters that run foreign code, and declare terabytes in
// 2 kB: everything about an object is checked before its data are read.
#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>

#include "results/h5.h"
#include "results/schema.h"

namespace cra::results {
namespace {

constexpr std::size_t kMaxChunk = std::size_t{16} << 20;
// Deflate cannot pack more than 1032 bytes into one; Fletcher32 adds four bytes to a chunk.
constexpr std::size_t kMaxRatio = 1040;

/// What is known of a file before its data: the bound on anything it may declare.
struct Source {
  hid_t file;
  std::size_t size;  ///< bytes of the file
};

struct Found {
  std::vector<std::string> names;
  std::string problem;
};

/// \returns > 0 to stop at the first link that is not a plain one
herr_t collect(hid_t, const char* name, const H5L_info_t* info, void* out) {
  auto& found = *static_cast<Found*>(out);
  if (info->type != H5L_TYPE_HARD) {
    found.problem =
        std::string("holds the link \"") + name + "\", which is soft, external or user-defined";
    return 1;
  }
  found.names.emplace_back(name);
  return 0;
}

/// Names in a group, in the order in which they were made when the file has kept it.
std::vector<std::string> names_in(hid_t group) {
  const h5::Id creation(H5Gget_create_plist(group), H5Pclose, "group creation list");
  unsigned order = 0;
  h5::checked(H5Pget_link_creation_order(creation, &order), "link order");
  const H5_index_t index =
      (order & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  Found found;
  h5::checked(H5Literate(group, index, H5_ITER_INC, nullptr, collect, &found), "list of links");
  if (!found.problem.empty()) throw Error(found.problem);
  return found.names;
}

/// No other file, no filter but ours, no absurd chunk.
void check_storage(hid_t dataset, std::size_t item) {
  const h5::Id creation(H5Dget_create_plist(dataset), H5Pclose, "dataset creation list");
  CRA_CHECK(h5::checked(H5Pget_external_count(creation), "external files") == 0,
            "keeps its data in another file");
  const H5D_layout_t layout = H5Pget_layout(creation);
  CRA_CHECK(layout == H5D_CONTIGUOUS || layout == H5D_COMPACT || layout == H5D_CHUNKED,
            "has a layout that the format does not use");
  const int filters = h5::checked(H5Pget_nfilters(creation), "filters");
  CRA_CHECK(filters <= 3, "has " + std::to_string(filters) + " filters");
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, 0, nullptr, nullptr);
    CRA_CHECK(filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
                  filter == H5Z_FILTER_FLETCHER32,
              "uses filter " + std::to_string(filter) +
                  "; only gzip, shuffle and Fletcher32 belong to the format");
  }
  if (layout != H5D_CHUNKED) return;
  std::array<hsize_t, H5S_MAX_RANK> chunk{};
  const int rank = h5::checked(H5Pget_chunk(creation, H5S_MAX_RANK, chunk.data()), "chunk");
  std::size_t bytes = item;
  for (int i = 0; i < rank; ++i) {
    const std::size_t n = chunk.at(static_cast<std::size_t>(i));
    CRA_CHECK(n > 0 && n <= kMaxChunk / bytes, "has chunks of more than 16 MiB");
    bytes *= n;
  }
}

/// The shape, after making sure that the file can hold that much.
std::vector<hsize_t> checked_shape(hid_t dataset, std::size_t rank, std::size_t item,
                                   const Source& source) {
  const h5::Id space(H5Dget_space(dataset), H5Sclose, "space");
  const H5S_class_t kind = H5Sget_simple_extent_type(space);
  CRA_CHECK(kind == H5S_SCALAR || kind == H5S_SIMPLE, "has no data");
  const int found = h5::checked(H5Sget_simple_extent_ndims(space), "rank");
  CRA_CHECK(
      static_cast<std::size_t>(found) == rank,
      "has " + std::to_string(found) + " dimensions, the format says " + std::to_string(rank));
  std::vector<hsize_t> dims(rank);
  if (rank > 0) h5::checked(H5Sget_simple_extent_dims(space, dims.data(), nullptr), "shape");
  if (std::find(dims.begin(), dims.end(), hsize_t{0}) != dims.end()) return dims;
  const std::size_t limit = source.size * kMaxRatio;  // source.size <= 4 GiB: no overflow
  std::size_t bytes = item;
  for (const hsize_t n : dims) {
    CRA_CHECK(n <= limit / bytes, "declares more data than a file of this size can hold");
    bytes *= n;
  }
  // Never-written data take no space and would read as zeros.
  const hsize_t stored = H5Dget_storage_size(dataset);
  CRA_CHECK(
      stored > 0 && stored <= source.size && bytes / kMaxRatio <= stored,
      "declares " + std::to_string(bytes) + " bytes of data and holds " + std::to_string(stored));
  return dims;
}

std::size_t count_of(const std::vector<hsize_t>& dims) {
  std::size_t n = 1;
  for (const hsize_t d : dims) n *= d;
  return n;
}

template <class T>
Data read_numbers(hid_t dataset, hid_t type, std::size_t count) {
  std::vector<T> x(count);
  if (count > 0)
    h5::checked(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x.data()), "read data");
  return x;
}

/// Where HDF5 puts the texts it reads. Many elements may point to one long text in the file, so
/// what they expand to is bounded. (H5Dvlen_get_buf_size would tell beforehand, but on scalars
/// HDF5 1.10.8 writes past a buffer in it.)
struct TextStore {
  std::size_t left;
  std::vector<std::unique_ptr<char[]>> blocks;

  static void* allocate(std::size_t size, void* self) {
    auto& store = *static_cast<TextStore*>(self);
    if (size > store.left) return nullptr;  // the read fails then
    store.left -= size;
    store.blocks.push_back(std::make_unique<char[]>(size));
    return store.blocks.back().get();
  }
  static void release(void*, void*) {}  // all at once, with the store
};

Data read_texts(hid_t dataset, std::size_t count, const Source& source) {
  std::vector<std::string> out(count);
  if (count == 0) return out;
  const h5::Id type = h5::text_type();
  TextStore store{source.size + count, {}};  // each text ends with a NUL that the file has not
  const h5::Id transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "transfer list");
  h5::checked(
      H5Pset_vlen_mem_manager(transfer, TextStore::allocate, &store, TextStore::release, &store),
      "memory for texts");
  std::vector<char*> texts(count, nullptr);
  h5::checked(H5Dread(dataset, type, H5S_ALL, H5S_ALL, transfer, texts.data()), "read texts");
  for (std::size_t i = 0; i < count; ++i)
    if (texts[i] != nullptr) out[i] = texts[i];
  return out;
}

struct TypeRow {
  const char* name;
  hid_t file;
  std::size_t item;
};

Data read_data(hid_t dataset, const VariableSpec& spec, const Source& source,
               std::vector<hsize_t>& dims) {
  const h5::Id stored(H5Dget_type(dataset), H5Tclose, "type");
  const std::string type = spec.type;
  const std::array<TypeRow, 4> rows{{{"f8", H5T_IEEE_F64LE, 8},
                                     {"f4", H5T_IEEE_F32LE, 4},
                                     {"i8", H5T_STD_I64LE, 8},
                                     {"bool", H5T_STD_I8LE, 1}}};
  const auto* row =
      std::find_if(rows.begin(), rows.end(), [&](const TypeRow& r) { return type == r.name; });
  const bool text = row == rows.end();
  const bool right = text ? h5::is_text(stored) : H5Tequal(stored, row->file) > 0;
  CRA_CHECK(right, "is not of type " + type);
  const std::size_t item = text ? 16 : row->item;
  check_storage(dataset, item);
  dims = checked_shape(dataset, dims_of(spec).size(), item, source);
  const std::size_t count = count_of(dims);
  if (text) return read_texts(dataset, count, source);
  if (type == "f8") return read_numbers<double>(dataset, H5T_NATIVE_DOUBLE, count);
  if (type == "f4") return read_numbers<float>(dataset, H5T_NATIVE_FLOAT, count);
  if (type == "i8") return read_numbers<std::int64_t>(dataset, H5T_NATIVE_INT64, count);
  return read_numbers<std::int8_t>(dataset, H5T_NATIVE_INT8, count);
}

/// \returns the open object, after making sure that it is of the kind that is expected
h5::Id open_object(hid_t parent, const std::string& name, H5I_type_t kind) {
  h5::Id object(H5Oopen(parent, name.c_str(), H5P_DEFAULT), H5Oclose, "open object");
  CRA_CHECK(H5Iget_type(object) == kind, kind == H5I_GROUP ? "is not a group" : "is not a dataset");
  return object;
}

void check_attribute(hid_t dataset, const char* name, const char* expected) {
  const std::string found = h5::read_attribute(dataset, name);
  CRA_CHECK(found == expected, "attribute " + std::string(name) + " is \"" + found +
                                   "\", the format says \"" + expected + "\"");
}

GroupData read_group(const std::string& name, const Source& source) {
  GroupData g;
  g.name = name;
  std::string where = "/" + name;
  try {
    CRA_CHECK(is_known_group(name), "is not a group of the format");
    const h5::Id group = open_object(source.file, name, H5I_GROUP);
    struct Member {
      const VariableSpec* spec;
      std::vector<hsize_t> dims;
      h5::Id dataset;
    };
    std::vector<Member> members;
    for (const std::string& member : names_in(group)) {
      where = "/" + name + "/" + member;
      const VariableSpec* spec = find_spec(name, member);
      CRA_CHECK(spec != nullptr, "is not a variable of the format");
      h5::Id dataset = open_object(group, member, H5I_DATASET);
      check_attribute(dataset, "units", spec->units);
      std::vector<hsize_t> dims;
      Data data = read_data(dataset, *spec, source, dims);
      if (is_axis(*spec)) {
        CRA_CHECK(H5DSis_scale(dataset) > 0, "is not a dimension scale");
        g.axes.push_back({member, std::move(data)});
      } else {
        g.variables.push_back({member, std::move(data)});
      }
      members.push_back({spec, std::move(dims), std::move(dataset)});
    }
    // Only the number of values is left for the schema to check, so the shape is checked here.
    for (const Member& m : members) {
      where = "/" + name + "/" + m.spec->name;
      const std::vector<std::string> along = dims_of(*m.spec);
      for (std::size_t i = 0; i < along.size() && !is_axis(*m.spec); ++i) {
        const auto axis = std::find_if(members.begin(), members.end(), [&](const Member& other) {
          return along[i] == other.spec->name;
        });
        CRA_CHECK(axis != members.end(), "needs the axis " + along[i] + ", which is missing");
        CRA_CHECK(axis->dims[0] == m.dims[i], "has " + std::to_string(m.dims[i]) +
                                                  " entries along " + along[i] + ", the axis has " +
                                                  std::to_string(axis->dims[0]));
        CRA_CHECK(H5DSis_attached(m.dataset, axis->dataset, static_cast<unsigned>(i)) > 0,
                  "is not attached to the dimension scale " + along[i]);
      }
    }
  } catch (const Error& e) {
    throw Error(where + " " + e.what());
  }
  return g;
}

herr_t collect_attribute(hid_t, const char* name, const H5A_info_t*, void* out) {
  static_cast<std::vector<std::string>*>(out)->emplace_back(name);
  return 0;
}

/// Reads the root attributes; the fixed ones are checked and left out.
void read_attributes(hid_t root, const char* format, RunFile& run) {
  CRA_CHECK(h5::read_attribute(root, "cra_format") == format,
            std::string("attribute cra_format is not ") + format);
  const std::string version = h5::read_attribute(root, "cra_format_version");
  CRA_CHECK(version == kFormatVersion,
            "has format version " + version + ", this program reads version " + kFormatVersion);
  const h5::Id creation(H5Gget_create_plist(root), H5Pclose, "group creation list");
  unsigned order = 0;
  h5::checked(H5Pget_attr_creation_order(creation, &order), "attribute order");
  const H5_index_t index =
      (order & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  std::vector<std::string> names;
  h5::checked(H5Aiterate2(root, index, H5_ITER_INC, nullptr, collect_attribute, &names),
              "list of attributes");
  const std::set<std::string> fixed{"Conventions", "cra_format", "cra_format_version"};
  for (const std::string& name : names)
    if (!fixed.contains(name)) run.attributes.emplace_back(name, h5::read_attribute(root, name));
}

RunFile read_image(const char* format, std::span<const std::byte> bytes) {
  if (const std::string why = heap_problem(bytes); !why.empty()) throw Error(why);
  const h5::Id file = h5::open_image(bytes);
  const h5::Id root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose, "open the root group");
  RunFile run;
  read_attributes(root, format, run);
  for (const std::string& name : names_in(root))
    run.groups.push_back(read_group(name, {file, bytes.size()}));
  if (const std::string why = schema_problem(run, format); !why.empty()) throw Error(why);
  return run;
}

/// The HDF5 part of a file whose seal is right; empty when it is not.
std::span<const std::byte> unsealed(std::span<const std::byte> bytes) {
  if (bytes.size() < kSealLength) return {};
  const auto image = bytes.first(bytes.size() - kSealLength);
  const std::string seal = std::string(kSeal) + sha256(image) + "\n";
  if (std::memcmp(seal.data(), bytes.last(kSealLength).data(), kSealLength) != 0) return {};
  return image;
}

}  // namespace

RunFile decode(std::span<const std::byte> bytes, const std::string& path) {
  return decode_as(kFormat, bytes, path);
}

RunFile decode_as(const char* format, std::span<const std::byte> bytes, const std::string& path) {
  constexpr std::array<unsigned char, 8> signature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  const auto refuse = [&](const std::string& why) { throw InputError(path + ": " + why); };
  if (bytes.size() > kFileLimit)
    refuse("larger than 4 GiB, which is more than a result file may have");
  if (bytes.size() < signature.size() ||
      std::memcmp(bytes.data(), signature.data(), signature.size()) != 0)
    refuse("not an HDF5 file");
  const std::span<const std::byte> image = unsealed(bytes);
  if (image.empty())
    refuse(
        "not as it was written: the SHA-256 at its end is missing or wrong (cut short, damaged, or "
        "changed by another program)");
  const auto parse = [&] { read_image(format, image); };
  if (const std::string why = trial_problem(parse, image.size()); !why.empty()) refuse(why);
  try {
    return read_image(format, image);
  } catch (const Error& e) {
    throw InputError(path + ": " + e.what());
  }
}

}  // namespace cra::results
