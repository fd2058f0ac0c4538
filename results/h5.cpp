#include "results/h5.h"

#include <atomic>
#include <cstring>

namespace cra::results::h5 {
namespace {

herr_t first_reason(unsigned n, const H5E_error2_t* e, void* out) {
  if (n == 0 && e->desc != nullptr) *static_cast<std::string*>(out) = e->desc;
  return 0;
}

/// The core driver, growing by 1 MiB, never touching the disk.
Id memory_access() {
  prepare();
  Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file access list");
  checked(H5Pset_fapl_core(access, std::size_t{1} << 20, 0), "core driver");
  // Not V18 as the lower bound: H5Fget_file_image of HDF5 1.10.8 then hands out a superblock whose
  // checksum is wrong (it clears the status flags after summing). Objects still get checksummed
  // headers, because the orders of links and attributes are kept.
  checked(H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110), "format bounds");
  checked(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "close degree");
  return access;
}

/// Two open files of the core driver may not share a name, though the name leads nowhere.
std::string memory_name() {
  static std::atomic<int> count{0};
  return "memory-" + std::to_string(count++);
}

void keep_orders(hid_t creation) {
  checked(H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
          "link order");
  checked(H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
          "attribute order");
  // Equal contents must give equal bytes.
  checked(H5Pset_obj_track_times(creation, false), "time stamps off");
}

}  // namespace

void fail(const std::string& what) {
  std::string why;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_reason, &why);
  H5Eclear2(H5E_DEFAULT);
  throw Error(why.empty() ? "HDF5: " + what : "HDF5: " + what + ": " + why);
}

void prepare() {
  checked(H5open(), "start");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  checked(H5PLset_loading_state(0), "plug-ins off");
}

Id create_file() {
  const Id access = memory_access();
  const Id creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "file creation list");
  keep_orders(creation);
  return {H5Fcreate(memory_name().c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose,
          "create file in memory"};
}

Bytes take_image(Id file) {
  checked(H5Fflush(file, H5F_SCOPE_GLOBAL), "flush");
  const auto size = checked(H5Fget_file_image(file, nullptr, 0), "size of the image");
  Bytes bytes(static_cast<std::size_t>(size));
  checked(H5Fget_file_image(file, bytes.data(), bytes.size()), "take the image");
  file.close();
  return bytes;
}

Id open_image(std::span<const std::byte> bytes) {
  const Id access = memory_access();
  // HDF5 promises not to write through this pointer: it copies the image first.
  void* data = const_cast<std::byte*>(bytes.data());
  checked(H5Pset_file_image(access, data, bytes.size()), "set the image");
  return {H5Fopen(memory_name().c_str(), H5F_ACC_RDONLY, access), H5Fclose, "open"};
}

Id dataset_properties() {
  Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "dataset creation list");
  checked(H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
          "attribute order");
  checked(H5Pset_obj_track_times(creation, false), "time stamps off");
  return creation;
}

Id create_group(hid_t parent, const std::string& name) {
  const Id creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "group creation list");
  keep_orders(creation);
  return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose,
          "create group"};
}

Id text_type() {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
  checked(H5Tset_size(type, H5T_VARIABLE), "text type");
  checked(H5Tset_cset(type, H5T_CSET_UTF8), "text type");
  return type;
}

bool is_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0;
}

void write_attribute(hid_t object, const std::string& name, const std::string& value) {
  const Id type = text_type();
  const Id space(H5Screate(H5S_SCALAR), H5Sclose, "scalar space");
  Id attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
               "create attribute");
  const char* text = value.c_str();
  checked(H5Awrite(attribute, type, &text), "write attribute");
  attribute.close();
}

std::string read_attribute(hid_t object, const std::string& name) {
  if (checked(H5Aexists(object, name.c_str()), "look for an attribute") == 0)
    throw Error("attribute " + name + " is missing");
  const Id attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "open attribute");
  const Id stored(H5Aget_type(attribute), H5Tclose, "type of an attribute");
  const Id space(H5Aget_space(attribute), H5Sclose, "space of an attribute");
  if (!is_text(stored) || H5Sget_simple_extent_type(space) != H5S_SCALAR)
    throw Error("attribute " + name + " is not one variable-length text");
  const Id type = text_type();
  char* text = nullptr;
  checked(H5Aread(attribute, type, &text), "read attribute");
  std::string value = text == nullptr ? "" : text;
  H5free_memory(text);
  return value;
}

}  // namespace cra::results::h5
