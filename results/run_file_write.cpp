// Result files, the writing half: a RunFile becomes an HDF5 image that xarray opens with both of
// its engines and without options. The rules were found by trying, see FORMAT.md.
#include <hdf5_hl.h>

#include <algorithm>
#include <limits>

#include "results/h5.h"
#include "results/schema.h"

namespace cra::results {
namespace {

/// Up to 1 MiB: the trailing axes whole, the first ones cut.
std::vector<hsize_t> chunk_of(const std::vector<hsize_t>& dims, std::size_t item) {
  hsize_t left = std::max<hsize_t>(1, (std::size_t{1} << 20) / item);
  std::vector<hsize_t> chunk(dims.size());
  for (std::size_t i = dims.size(); i-- > 0;) {
    chunk[i] = std::clamp<hsize_t>(dims[i], 1, left);
    left /= chunk[i];
    left = std::max<hsize_t>(left, 1);
  }
  return chunk;
}

struct Types {
  hid_t file;    ///< on disk, little-endian
  hid_t memory;  ///< here
  std::size_t item;
};

Types types_of(const Data& data, hid_t text) {
  struct Visitor {
    hid_t text;
    Types operator()(const std::vector<double>&) { return {H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 8}; }
    Types operator()(const std::vector<float>&) { return {H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4}; }
    Types operator()(const std::vector<std::int64_t>&) {
      return {H5T_STD_I64LE, H5T_NATIVE_INT64, 8};
    }
    Types operator()(const std::vector<std::int8_t>&) { return {H5T_STD_I8LE, H5T_NATIVE_INT8, 1}; }
    Types operator()(const std::vector<std::string>&) { return {text, text, sizeof(char*)}; }
  };
  return std::visit(Visitor{text}, data);
}

h5::Id space_of(const std::vector<hsize_t>& dims) {
  if (dims.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "scalar space"};
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose, "space"};
}

/// Numbers in arrays get a checksum, and are compressed when asked. Text lies in a heap that
/// filters do not reach; the digest of the file covers it.
h5::Id layout_of(const Data& data, const std::vector<hsize_t>& dims, std::size_t item,
                 int compression) {
  h5::Id creation = h5::dataset_properties();
  const bool text = std::holds_alternative<std::vector<std::string>>(data);
  if (dims.empty() || text || length(data) == 0) return creation;
  const std::vector<hsize_t> chunk = chunk_of(dims, item);
  h5::checked(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), "chunk");
  if (compression > 0) {
    h5::checked(H5Pset_shuffle(creation), "shuffle");
    h5::checked(H5Pset_deflate(creation, static_cast<unsigned>(compression)), "gzip");
  }
  h5::checked(H5Pset_fletcher32(creation), "checksum");
  return creation;
}

void write_values(hid_t dataset, const Data& data, hid_t memory_type) {
  if (length(data) == 0) return;
  const auto write = [&](const void* from) {
    h5::checked(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, from),
                "write dataset");
  };
  if (const auto* text = std::get_if<std::vector<std::string>>(&data)) {
    std::vector<std::string> clean;
    std::vector<const char*> pointers;
    for (const std::string& s : *text) clean.push_back(storable(s));
    for (const std::string& s : clean) pointers.push_back(s.c_str());
    write(pointers.data());
  } else {
    std::visit([&](const auto& x) { write(x.data()); }, data);
  }
}

/// NaN as the mark of "not applicable", so that readers mask it.
void write_fill_value(hid_t dataset) {
  const h5::Id space(H5Screate(H5S_SCALAR), H5Sclose, "scalar space");
  h5::Id attribute(
      H5Acreate2(dataset, "_FillValue", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
      "create attribute");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  h5::checked(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &nan), "write attribute");
  attribute.close();
}

h5::Id write_dataset(hid_t group, const VariableSpec& spec, const Data& data,
                     const std::vector<hsize_t>& dims, int compression) {
  const h5::Id text = h5::text_type();
  const Types types = types_of(data, text);
  const h5::Id space = space_of(dims);
  const h5::Id creation = layout_of(data, dims, types.item, compression);
  h5::Id dataset(
      H5Dcreate2(group, spec.name, types.file, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
      "create dataset");
  write_values(dataset, data, types.memory);
  h5::write_attribute(dataset, "long_name", spec.long_name);
  h5::write_attribute(dataset, "units", spec.units);
  // HDF5 has no bool; xarray turns int8 with this attribute into one.
  if (std::holds_alternative<std::vector<std::int8_t>>(data))
    h5::write_attribute(dataset, "dtype", "bool");
  if (spec.may_be_missing) write_fill_value(dataset);
  return dataset;
}

struct Scale {
  std::string name;
  hsize_t size;
  h5::Id dataset;
};

/// Every axis is a dimension scale in its own group: with a scale in a parent group only, xarray
/// finds the dimension but not its labels; without any, h5netcdf refuses the group.
void write_group(hid_t file, const GroupData& g, int compression) {
  h5::Id group = h5::create_group(file, g.name);
  std::vector<Scale> scales;
  for (const Axis& a : g.axes) {
    const hsize_t size = length(a.labels);
    h5::Id dataset =
        write_dataset(group, *find_spec(g.name, a.name), a.labels, {size}, compression);
    h5::checked(H5DSset_scale(dataset, a.name.c_str()), "make a dimension scale");
    scales.push_back({a.name, size, std::move(dataset)});
  }
  for (const Variable& v : g.variables) {
    const VariableSpec& spec = *find_spec(g.name, v.name);
    std::vector<const Scale*> along;
    std::vector<hsize_t> dims;
    for (const std::string& dim : dims_of(spec)) {
      along.push_back(&*std::find_if(scales.begin(), scales.end(),
                                     [&](const Scale& s) { return s.name == dim; }));
      dims.push_back(along.back()->size);
    }
    h5::Id dataset = write_dataset(group, spec, v.data, dims, compression);
    for (std::size_t i = 0; i < along.size(); ++i)
      h5::checked(H5DSattach_scale(dataset, along[i]->dataset, static_cast<unsigned>(i)),
                  "attach a dimension scale");
    dataset.close();
  }
  for (Scale& s : scales) s.dataset.close();
  group.close();
}

}  // namespace

std::string storable(const std::string& text) {
  std::string out;
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    std::size_t n = 0;  // length of a well-formed sequence (Unicode, table 3-7), 0 when it is not
    unsigned lo = 0x80, hi = 0xBF;
    if (lead >= 0x01 && lead <= 0x7F) {
      n = 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      n = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      n = 3;
      if (lead == 0xE0) lo = 0xA0;  // no overlong forms
      if (lead == 0xED) hi = 0x9F;  // no surrogates
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      n = 4;
      if (lead == 0xF0) lo = 0x90;
      if (lead == 0xF4) hi = 0x8F;  // nothing above U+10FFFF
    }
    if (n >= 2 && (byte(i + 1) < lo || byte(i + 1) > hi)) n = 0;
    for (std::size_t k = 2; k < n; ++k)
      if (byte(i + k) < 0x80 || byte(i + k) > 0xBF) n = 0;
    if (n == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      out.append(text, i, n);
      i += n;
    }
  }
  return out;
}

Bytes encode(const RunFile& run, int compression) { return encode_as(kFormat, run, compression); }

Bytes encode_as(const char* format, const RunFile& run, int compression) {
  CRA_CHECK(compression >= 0 && compression <= 9,
            "result: compression " + std::to_string(compression) + " is outside [0, 9]");
  if (const std::string why = schema_problem(run, format); !why.empty())
    throw Error("result: " + why);
  h5::Id file = h5::create_file();
  h5::write_attribute(file, "Conventions", kConventions);
  h5::write_attribute(file, "cra_format", format);
  h5::write_attribute(file, "cra_format_version", kFormatVersion);
  for (const auto& [name, value] : run.attributes) h5::write_attribute(file, name, storable(value));
  for (const GroupData& g : run.groups) write_group(file, g, compression);
  Bytes bytes = h5::take_image(std::move(file));
  const std::string seal = std::string(kSeal) + sha256(bytes) + "\n";
  const std::span<const std::byte> tail = std::as_bytes(std::span(seal));
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

}  // namespace cra::results
