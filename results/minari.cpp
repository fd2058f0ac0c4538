// Transitions in the layout of Minari, which h5py writes and reads: plain arrays, truth values as
// the enumeration that h5py makes of them.
#include <hdf5.h>

#include <limits>

#include "results/h5.h"
#include "results/schema.h"

namespace cra::results {
namespace {

using Shape = std::vector<hsize_t>;

std::size_t count_of(const std::vector<std::int64_t>& shape) {
  std::size_t n = 1;
  for (const std::int64_t d : shape) n *= static_cast<std::size_t>(d);
  return n;
}

Shape along(std::int64_t slots, const std::vector<std::int64_t>& shape) {
  Shape dims{static_cast<hsize_t>(slots)};
  for (const std::int64_t d : shape) dims.push_back(static_cast<hsize_t>(d));
  return dims;
}

void put(hid_t group, const std::string& name, hid_t file_type, hid_t memory_type,
         const Shape& dims, const void* data) {
  const h5::Id space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                     H5Sclose, "space");
  const h5::Id creation = h5::dataset_properties();
  h5::Id dataset(
      H5Dcreate2(group, name.c_str(), file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
      H5Dclose, "create dataset");
  h5::checked(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), "write dataset");
  dataset.close();
}

void put_doubles(hid_t group, const std::string& name, const Shape& dims, const double* data) {
  put(group, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, dims, data);
}

void put_integer(hid_t object, const char* name, std::int64_t value) {
  const h5::Id space(H5Screate(H5S_SCALAR), H5Sclose, "scalar space");
  h5::Id attribute(H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose, "create attribute");
  h5::checked(H5Awrite(attribute, H5T_NATIVE_INT64, &value), "write attribute");
  attribute.close();
}

h5::Id truth_type() {
  h5::Id type(H5Tenum_create(H5T_STD_I8LE), H5Tclose, "enumeration");
  for (std::int8_t value = 0; value < 2; ++value)
    h5::checked(H5Tenum_insert(type, value == 0 ? "FALSE" : "TRUE", &value), "enumeration");
  return type;
}

void check_lengths(const Transitions& t) {
  const auto episodes = static_cast<std::size_t>(t.episodes);
  const auto steps = episodes * static_cast<std::size_t>(t.slots);
  const std::size_t seen = (steps + episodes) * count_of(t.observation_shape);
  CRA_CHECK(t.episodes >= 0 && t.slots >= 1, "transitions: no slots");
  CRA_CHECK(length(t.observations) == seen,
            "transitions: " + std::to_string(length(t.observations)) +
                " numbers observed, expected " + std::to_string(seen));
  CRA_CHECK(t.actions.size() == steps * count_of(t.action_shape) && t.rewards.size() == steps &&
                t.policy.size() == episodes && t.episode.size() == episodes,
            "transitions: actions, rewards or names do not fit the episodes");
  for (const auto& [name, x] : t.infos)
    CRA_CHECK(x.size() == steps, "transitions: " + name + " has another length than the rewards");
}

void put_observations(hid_t group, const Transitions& t, std::size_t episode) {
  const Shape dims = along(t.slots + 1, t.observation_shape);
  const std::size_t first =
      episode * static_cast<std::size_t>(t.slots + 1) * count_of(t.observation_shape);
  if (const auto* x = std::get_if<std::vector<float>>(&t.observations)) {
    put(group, "observations", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, dims, x->data() + first);
  } else {
    put_doubles(group, "observations", dims,
                std::get<std::vector<double>>(t.observations).data() + first);
  }
}

void put_ends(hid_t group, std::int64_t slots) {
  const h5::Id truth = truth_type();
  std::vector<std::int8_t> ends(static_cast<std::size_t>(slots), 0);
  put(group, "terminations", truth, truth, {ends.size()}, ends.data());
  ends.back() = 1;
  put(group, "truncations", truth, truth, {ends.size()}, ends.data());
}

void put_infos(hid_t group, const Transitions& t, std::size_t episode) {
  h5::Id infos = h5::create_group(group, "infos");
  const auto slots = static_cast<std::size_t>(t.slots);
  for (const auto& [name, x] : t.infos) {
    std::vector<double> row{std::numeric_limits<double>::quiet_NaN()};
    const auto from = x.begin() + static_cast<std::ptrdiff_t>(episode * slots);
    row.insert(row.end(), from, from + static_cast<std::ptrdiff_t>(slots));
    put_doubles(infos, name, {row.size()}, row.data());
  }
  infos.close();
}

}  // namespace

Bytes encode_minari(const Transitions& t) {
  check_lengths(t);
  h5::Id file = h5::create_file();
  const auto slots = static_cast<std::size_t>(t.slots);
  for (std::size_t i = 0; i < static_cast<std::size_t>(t.episodes); ++i) {
    h5::Id group = h5::create_group(file, "episode_" + std::to_string(i));
    put_integer(group, "id", static_cast<std::int64_t>(i));
    put_integer(group, "seed", t.seed);
    put_integer(group, "total_steps", t.slots);
    h5::write_attribute(group, "policy", storable(t.policy[i]));
    put_integer(group, "test_episode", t.episode[i]);
    put_observations(group, t, i);
    put_doubles(group, "actions", along(t.slots, t.action_shape),
                t.actions.data() + i * slots * count_of(t.action_shape));
    put_doubles(group, "rewards", {slots}, t.rewards.data() + i * slots);
    put_ends(group, t.slots);
    put_infos(group, t, i);
    group.close();
  }
  return h5::take_image(std::move(file));
}

}  // namespace cra::results
