#include <doctest/doctest.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "results/results.h"
#include "sample_run.h"
#include "temporary_folder.h"

using namespace cra;
using namespace cra::results;
using cra::testing::message_of;
using cra::testing::sample_run;
using cra::testing::TemporaryFolder;
using namespace std::string_literals;

namespace {

const std::vector<std::string> kAllGroups{"provenance", "node",   "train",  "eval",   "trajectory",
                                          "attention",  "policy", "tuning", "summary"};

GroupData& group_of(RunFile& run, const std::string& name) {
  for (GroupData& g : run.groups)
    if (g.name == name) return g;
  throw std::runtime_error("the sample has no /" + name);
}

template <class T>
std::vector<T>& values_of(RunFile& run, const std::string& group, const std::string& name) {
  GroupData& g = group_of(run, group);
  for (Variable& v : g.variables)
    if (v.name == name) return std::get<std::vector<T>>(v.data);
  for (Axis& a : g.axes)
    if (a.name == name) return std::get<std::vector<T>>(a.labels);
  throw std::runtime_error("the sample has no /" + group + "/" + name);
}

/// What encode() says of a sample that `spoil` has changed.
std::string refusal(const std::function<void(RunFile&)>& spoil) {
  RunFile run = sample_run();
  spoil(run);
  return message_of([&] { encode(run, 1); });
}

/// What check_run() says of a sample that `spoil` has changed.
std::string complaint(const std::function<void(RunFile&)>& spoil) {
  RunFile run = sample_run();
  spoil(run);
  return message_of<InputError>([&] { check_run(run, "x.h5"); });
}

/// With the mark that a result file ends with, as a stranger could put it.
Bytes sealed(Bytes bytes) {
  const std::string seal = "\nCRA-SHA256 " + sha256(bytes) + "\n";
  for (const char c : seal) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

/// What decode() says of a whole file that `change` has worked on with HDF5 itself.
std::string after(const std::function<void(hid_t)>& change) {
  const TemporaryFolder folder;
  const std::string path = folder / "x.h5";
  write_file(path, encode(sample_run(), 1));
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(file >= 0);
  change(file);
  REQUIRE(H5Fclose(file) >= 0);
  // HDF5 has cut off the seal or written over it.
  const Bytes bytes = sealed(read_file(path, std::size_t{1} << 30));
  const std::string text = message_of<InputError>([&] { decode(bytes, "x.h5"); });
  return text.substr(std::min<std::size_t>(text.size(), 6));
}

/// A dataset made by hand, with whatever creation list and type.
void put_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& dims,
                 hid_t creation) {
  H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  REQUIRE(dataset >= 0);
  const hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
  H5Tset_size(text, H5T_VARIABLE);
  const hid_t units = H5Acreate2(dataset, "units", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
  const char* one = "1";
  H5Awrite(units, text, &one);
  for (const hid_t id : {units}) H5Aclose(id);
  H5Tclose(text);
  H5Sclose(scalar);
  H5Sclose(space);
  H5Dclose(dataset);
}

}  // namespace

TEST_CASE("encode, decode: everything comes back, at any compression") {
  const RunFile run = sample_run();
  check_run(run, "sample");
  for (const int compression : {0, 1, 9}) {
    CAPTURE(compression);
    const RunFile back = decode(encode(run, compression), "x.h5");
    CHECK(back.attributes == run.attributes);
    REQUIRE(back.groups.size() == run.groups.size());
    for (std::size_t i = 0; i < run.groups.size(); ++i) {
      CHECK(back.groups[i].name == run.groups[i].name);
      CHECK(back.groups[i].axes.size() == run.groups[i].axes.size());
      CHECK(back.groups[i].variables.size() == run.groups[i].variables.size());
    }
    CHECK(digest(back, kAllGroups) == digest(run, kAllGroups));
    CHECK(values<double>(*back.group("eval"), "cost") ==
          values<double>(*run.group("eval"), "cost"));
    CHECK(values<std::string>(*back.group("provenance"), "version") ==
          values<std::string>(*run.group("provenance"), "version"));
    CHECK(std::isnan(values<double>(*back.group("summary"), "gap_closed")[1]));
    check_run(back, "x.h5");
  }
}

TEST_CASE("encode: equal runs give equal bytes, and so does decode and encode again") {
  const Bytes once = encode(sample_run(), 1);
  CHECK(once == encode(sample_run(), 1));
  CHECK(once == encode(decode(once, "x.h5"), 1));
}

TEST_CASE("encode: no updates, no knobs, no optional groups") {
  const RunFile empty = sample_run({2, 3, 2, 1, 0, 0});
  const RunFile back = decode(encode(empty, 1), "x.h5");
  CHECK(values<std::int64_t>(*back.group("train"), "update").empty());
  CHECK(values<double>(*back.group("policy"), "base_knob_value").empty());
  check_run(back, "x.h5");

  RunFile evaluated = sample_run();
  std::erase_if(evaluated.groups, [](const GroupData& g) {
    return g.name == "train" || g.name == "policy" || g.name == "tuning" ||
           g.name == "trajectory" || g.name == "attention";
  });
  const RunFile small = decode(encode(evaluated, 1), "x.h5");
  CHECK(small.group("train") == nullptr);
  check_run(small, "x.h5");
}

TEST_CASE("encode: arrays of several chunks come back") {
  // 2 x 3 x 700 x 40 doubles are 1.3 MB: more than one chunk of 1 MiB.
  const RunFile run = sample_run({40, 700, 3, 3, 1, 1});
  CHECK(digest(decode(encode(run, 1), "x.h5"), kAllGroups) == digest(run, kAllGroups));
}

TEST_CASE("encode: bytes that are not UTF-8 are stored as U+FFFD") {
  RunFile run = sample_run();
  values_of<std::string>(run, "provenance", "command_line")[0] =
      "caf\xe9 \0 \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2\x82"s;
  const RunFile back = decode(encode(run, 1), "x.h5");
  CHECK(values<std::string>(*back.group("provenance"), "command_line")[0] ==
        "caf\uFFFD \uFFFD \u00e9 \uFFFD\uFFFD\uFFFD \U0001F600 \uFFFD\uFFFD");
}

TEST_CASE("encode: what does not fit the schema is refused by name") {
  using Run = RunFile&;
  CHECK(refusal([](Run r) { r.groups.erase(r.groups.begin()); }) ==
        "result: /provenance is missing");
  CHECK(refusal([](Run r) {
          r.groups.push_back({"extra", {}, {}});
        }) == "result: /extra is not a group of the format");
  CHECK(refusal([](Run r) { r.groups.push_back(group_of(r, "eval")); }) ==
        "result: /eval is there twice");
  CHECK(refusal([](Run r) { group_of(r, "eval").variables.pop_back(); }) ==
        "result: /eval/bound_reason is missing");
  CHECK(refusal([](Run r) { group_of(r, "eval").axes.pop_back(); }) ==
        "result: /eval/cost needs the axis episode, which is missing");
  CHECK(refusal([](Run r) {
          group_of(r, "eval").variables.push_back({"reward", std::vector<double>{}});
        }) == "result: /eval/reward is not a variable of this group");
  CHECK(refusal([](Run r) { values_of<double>(r, "eval", "cost").pop_back(); }) ==
        "result: /eval/cost has 7 values, expected 8 (policy 2 x episode 4)");
  CHECK(refusal([](Run r) { values_of<double>(r, "node", "lag").push_back(1); }) ==
        "result: /node/lag has 2 values, expected 1 (a scalar)");
  CHECK(refusal([](Run r) { group_of(r, "node").variables[1].data = std::vector<float>(3); }) ==
        "result: /node/capacity is f4, the format says f8");
  CHECK(refusal([](Run r) { values_of<std::string>(r, "node", "node")[1] = "n0"; }) ==
        "result: /node/node has the label \"n0\" twice");
  CHECK(refusal([](Run r) { values_of<double>(r, "eval", "cost")[3] = std::nan(""); }) ==
        "result: /eval/cost[3] (row-major) is not finite");
  CHECK(refusal([](Run r) { values_of<float>(r, "policy", "theta")[9] = INFINITY; }) ==
        "result: /policy/theta[9] (row-major) is not finite");
  CHECK(refusal([](Run r) { values_of<double>(r, "summary", "ci_low")[0] = INFINITY; }) ==
        "result: /summary/ci_low holds an infinite number");
  CHECK(refusal([](Run r) { values_of<std::int8_t>(r, "tuning", "chosen")[0] = 2; }) ==
        "result: /tuning/chosen holds a value that is neither 0 nor 1");
  CHECK(refusal([](Run r) { r.attributes.erase(r.attributes.begin()); }) ==
        "result: attribute title is missing");
  CHECK(refusal([](Run r) { r.attributes.emplace_back("title", "again"); }) ==
        "result: attribute title is there twice");
  CHECK(message_of([] { encode(sample_run(), 10); }) == "result: compression 10 is outside [0, 9]");
}

TEST_CASE("values: say what is missing or of another type") {
  const RunFile run = sample_run();
  CHECK(message_of<InputError>([&] { values<double>(*run.group("eval"), "price"); }) ==
        "/eval/price is missing");
  CHECK(message_of<InputError>([&] { values<float>(*run.group("eval"), "cost"); }) ==
        "/eval/cost is f8, expected f4");
  CHECK(run.group("nothing") == nullptr);
}

TEST_CASE("check_run: numbers that contradict each other are found") {
  using Run = RunFile&;
  CHECK(complaint([](Run r) {
          values_of<double>(r, "eval", "cost")[2] += 1e-6;
        }).starts_with("x.h5: /eval/cost[2] (row-major) is "));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "trajectory", "cost")[5] += 1e-6;
        }).starts_with("x.h5: /trajectory/cost[5] (row-major) is "));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "trajectory", "proportion")[7] += 1e-6;
        }).starts_with("x.h5: /trajectory/proportion[6] (row-major) is the first of a slot"));
  CHECK(complaint([](Run r) {
          auto& p = values_of<double>(r, "trajectory", "proportion");
          p[0] -= 2;
          p[1] += 2;
        }).starts_with("x.h5: /trajectory/proportion[0] (row-major) is -"));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "eval", "cost")[1] += 0.5;
          values_of<double>(r, "eval", "error_cost")[1] += 0.5;
          values_of<double>(r, "summary", "cost")[0] += 0.125;
          // The gap follows: of the mean costs and the bound that the sample has.
          const auto& mean = values_of<double>(r, "summary", "cost");
          values_of<double>(r, "summary", "gap_closed")[0] =
              (mean[1] - mean[0]) / (mean[1] - mean[2]);
        }).starts_with("x.h5: /eval/cost of skewed, episode 1, is "));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "summary", "score")[1] += 1e-6;
        }).starts_with("x.h5: /summary/score of uniform is "));
  CHECK(complaint([](Run r) { values_of<std::string>(r, "summary", "best_heuristic")[0] = "x"; }) ==
        "x.h5: /summary/best_heuristic is \"x\", which is not a policy of the summary");
  CHECK(complaint([](Run r) { values_of<std::string>(r, "summary", "kind")[1] = "guess"; }) ==
        "x.h5: /summary/kind[1] (row-major) is \"guess\"");
  CHECK(complaint([](Run r) {
          values_of<std::int64_t>(r, "policy", "tensor_offset")[1] = 8;
        }).starts_with("x.h5: /policy/tensor_offset[1] (row-major) is 8"));
  CHECK(complaint([](Run r) {
          values_of<std::int64_t>(r, "policy", "tensor_cols")[0] = std::int64_t{1} << 62;
        }).starts_with("x.h5: /policy/tensor_offset[0]"));
  CHECK(complaint([](Run r) {
          values_of<std::int64_t>(r, "policy", "tensor_rows")[0] = 2;
        }).starts_with("x.h5: /policy/tensor_offset[1]"));
}

TEST_CASE("check_run: every term belongs to the cost") {
  for (const std::string group : {"eval", "trajectory"})
    for (const std::string term : {"error_cost", "switching_cost", "fairness_cost", "use_cost"}) {
      const std::string cost = group + "/cost[0] (row-major) is ";
      CHECK(complaint([&](RunFile& r) {
              values_of<double>(r, group, term)[0] += 1e-6;
            }).starts_with("x.h5: /" + cost));
    }
  CHECK(complaint([](RunFile& r) { values_of<double>(r, "trajectory", "reserve")[3] = 1.5; }) ==
        "x.h5: /trajectory/reserve[3] (row-major) is 1.5, expected a share in [0, 1]");
  CHECK(complaint([](RunFile& r) { values_of<double>(r, "trajectory", "reserve")[3] = -0.5; }) ==
        "x.h5: /trajectory/reserve[3] (row-major) is -0.5, expected a share in [0, 1]");
}

TEST_CASE("check_run: the bound is there everywhere or nowhere, and no policy beats it") {
  using Run = RunFile&;
  const auto lower = [](Run r) -> std::vector<double>& {
    return values_of<double>(r, "eval", "bound_lower");
  };
  CHECK(complaint([&](Run r) {
          lower(r)[1] = std::nan("");
        }).starts_with("x.h5: /eval/bound_lower[1] (row-major) is nan, while bound_reason is"));
  CHECK(
      complaint([&](Run r) { lower(r)[2] += 1e-6; }).starts_with("x.h5: /summary/bound_lower is "));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "eval", "bound_upper")[0] += 1e-6;
        }).starts_with("x.h5: /summary/bound_upper is "));
  CHECK(complaint([](Run r) {
          values_of<std::string>(r, "eval", "bound_reason")[0] = "too long";
        }).starts_with("x.h5: /eval/bound_lower[0] (row-major) is "));
  CHECK(complaint([](Run r) { values_of<std::int8_t>(r, "summary", "bound_certified")[0] = 0; }) ==
        "x.h5: /summary/bound_certified does not fit /eval/bound_reason");
  CHECK(complaint([](Run r) { values_of<std::string>(r, "summary", "kind")[0] = "bound"; }) ==
        "x.h5: /summary/kind must name one bound");
  CHECK(complaint([](Run r) {
          values_of<double>(r, "summary", "cost")[2] += 1e-6;
        }).starts_with("x.h5: /summary/cost[2] (row-major) is "));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "summary", "gap_closed")[0] += 1e-6;
        }).ends_with(", which does not follow from the costs"));
  CHECK(complaint([](Run r) {
          values_of<double>(r, "summary", "gap_closed")[1] = 0;
        }).ends_with(", which does not follow from the costs"));
  // Lifts the bound of one episode to just above what the second policy costs there.
  CHECK(complaint([&](Run r) {
          const auto& cost = values_of<double>(r, "eval", "cost");
          const double before = lower(r)[3];
          lower(r)[3] = std::max(cost[3], cost[7]) * (1 + 1e-5);
          const double mean = values_of<double>(r, "summary", "bound_lower")[0] +=
              (lower(r)[3] - before) / 4;
          values_of<double>(r, "summary", "cost")[2] = mean;
        }).find(", below the certified bound ") != std::string::npos);
}

TEST_CASE("check_run: what is said of attention follows from what it received") {
  using Run = RunFile&;
  const auto moved = [](const char* name, std::size_t i, double by) {
    return complaint([&](Run r) { values_of<double>(r, "attention", name)[i] += by; });
  };
  // Two episodes of two slots of three nodes.
  CHECK(moved("received", 3, 1e-5)
            .starts_with("x.h5: /attention/received[3] (row-major) is the first of a row whose sum "
                         "is 1.00001"));
  CHECK(moved("received", 1, -2) == "x.h5: /attention/received[1] (row-major) is below 0");
  CHECK(moved("allocation", 4, 1e-6)
            .starts_with("x.h5: /attention/allocation[3] (row-major) is the first of a row"));
  CHECK(moved("base", 11, 1e-6)
            .starts_with("x.h5: /attention/base[9] (row-major) is the first of a row"));
  CHECK(moved("map", 16, 1e-5)
            .starts_with("x.h5: /attention/map[15] (row-major) is the first of a row"));
  CHECK(moved("entropy", 2, 1e-6).ends_with(", which is not that of /attention/received"));
  const std::string ranks = ", which does not follow from the ranks";
  CHECK(moved("marginal_value", 0, -3).ends_with(ranks));
  CHECK(moved("backlog", 0, 1).starts_with("x.h5: /attention/rank_correlation[12] (row-major)"));
  CHECK(moved("rank_correlation", 5, 1e-6).ends_with(ranks));
  CHECK(moved("rank_correlation", 8, std::nan("")).empty());  // equal shares have no ranks
  CHECK(moved("rank_correlation", 7, std::nan("")).ends_with(ranks));
  CHECK(moved("mean_correlation", 1, 1e-6)
            .starts_with("x.h5: /attention/mean_correlation[1] (row-major) is "));
  CHECK(moved("correlation_se", 0, 1e-6)
            .starts_with("x.h5: /attention/correlation_se[0] (row-major) is "));
  CHECK(complaint([](Run r) { values_of<std::string>(r, "attention", "policy")[0] = "x"; }) ==
        "x.h5: /attention/policy is \"x\", which is not a policy of /eval");
  CHECK(complaint([](Run r) { values_of<std::int64_t>(r, "attention", "episode")[1] = 9; }) ==
        "x.h5: /attention/episode[1] (row-major) is 9, which is not an episode of /eval");
  CHECK(complaint([](Run r) { values_of<std::int64_t>(r, "attention", "map_slot")[0] = 1; }) ==
        "x.h5: /attention/map_slot[0] (row-major) is 1, which is not one of the slots");
  CHECK(complaint([](Run r) { values_of<std::string>(r, "attention", "quantity")[2] = "luck"; }) ==
        "x.h5: /attention/quantity[2] (row-major) is \"luck\"");
}

TEST_CASE("least_cost: rounding is allowed for, nothing more") {
  CHECK(least_cost(0) == doctest::Approx(-1e-9));
  CHECK(least_cost(2) == doctest::Approx(2 - 2e-6 - 1e-9).epsilon(1e-12));
  CHECK(least_cost(2) < 2 - 1.9e-6);
}

TEST_CASE("digest: ignores what other groups hold, sees every number, label and name") {
  const std::vector<std::string> groups{"train", "eval", "policy"};
  const std::string base = digest(sample_run(), groups);
  RunFile run = sample_run();
  values_of<std::string>(run, "provenance", "started")[0] = "another time";
  CHECK(digest(run, groups) == base);
  std::reverse(group_of(run, "eval").variables.begin(), group_of(run, "eval").variables.end());
  CHECK(digest(run, groups) == base);
  values_of<double>(run, "eval", "served")[0] =
      std::nextafter(values_of<double>(run, "eval", "served")[0], INFINITY);
  CHECK(digest(run, groups) != base);
  run = sample_run();
  values_of<std::string>(run, "policy", "feature")[0] = "backlog2";
  CHECK(digest(run, groups) != base);
  run = sample_run();
  std::erase_if(run.groups, [](const GroupData& g) { return g.name == "train"; });
  CHECK(digest(run, groups) != base);
}

TEST_CASE("decode: what is not a result file is refused") {
  const auto refused = [](const std::string& text) {
    return message_of<InputError>([&] { decode(std::as_bytes(std::span(text)), "x.h5"); });
  };
  CHECK(refused("") == "x.h5: not an HDF5 file");
  CHECK(refused("pool:\n  nodes: 2\n") == "x.h5: not an HDF5 file");
  CHECK(refused("\x89HDF\r\n\x1a\n and then nothing that makes sense") ==
        "x.h5: not as it was written: the SHA-256 at its end is missing or wrong (cut short, "
        "damaged, or changed by another program)");
  Bytes half = encode(sample_run(), 1);
  half.resize(half.size() / 2);
  CHECK(message_of<InputError>([&] {
          decode(sealed(half), "x.h5");
        }).starts_with("x.h5: HDF5: open: "));
  CHECK(message_of<InputError>([] { read_run("/nowhere/x.h5"); }) ==
        "cannot read /nowhere/x.h5: No such file or directory");
}

TEST_CASE("decode: files that somebody worked on are refused, naming the object") {
  CHECK(after([](hid_t) {}).empty());
  CHECK(after([](hid_t f) { H5Adelete(f, "cra_format"); }) == "attribute cra_format is missing");
  CHECK(after([](hid_t f) { H5Ldelete(f, "eval/bound_reason", H5P_DEFAULT); }) ==
        "/eval/bound_reason is missing");
  CHECK(after([](hid_t f) { H5Ldelete(f, "summary", H5P_DEFAULT); }) == "/summary is missing");
  CHECK(after([](hid_t f) {
          H5Lcreate_hard(f, "eval/cost", f, "eval/costs", H5P_DEFAULT, H5P_DEFAULT);
        }) == "/eval/costs is not a variable of the format");
  CHECK(after([](hid_t f) { H5Adelete_by_name(f, "node/lag", "units", H5P_DEFAULT); }) ==
        "/node/lag attribute units is missing");
}

TEST_CASE("decode: nothing of a stranger's file leads out of it") {
  CHECK(after([](hid_t f) {
          H5Lcreate_external("other.h5", "/x", f, "eval/link", H5P_DEFAULT, H5P_DEFAULT);
        }) == "/eval holds the link \"link\", which is soft, external or user-defined");
  CHECK(after([](hid_t f) {
          H5Lcreate_soft("/eval/cost", f, "extra", H5P_DEFAULT, H5P_DEFAULT);
        }) == "holds the link \"extra\", which is soft, external or user-defined");
  CHECK(after([](hid_t f) {
          const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
          H5Pset_external(creation, "/etc/hostname", 0, 64);
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {2, 4}, creation);
        }) == "/eval/cost keeps its data in another file");
  CHECK(after([](hid_t f) {
          const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
          const hsize_t dims[] = {2, 4};
          const hid_t space = H5Screate_simple(2, dims, nullptr);
          H5Pset_virtual(creation, space, "other.h5", "x", space);
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {2, 4}, creation);
        }) == "/eval/cost has a layout that the format does not use");
  CHECK(after([](hid_t f) {
          const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
          const hsize_t chunk[] = {2, 4};
          H5Pset_chunk(creation, 2, chunk);
          H5Pset_nbit(creation);
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {2, 4}, creation);
        }) == "/eval/cost uses filter 5; only gzip, shuffle and Fletcher32 belong to the format");
}

TEST_CASE("decode: wrong types, shapes and absurd sizes are refused before any data is read") {
  CHECK(after([](hid_t f) {
          put_dataset(f, "eval/cost", H5T_IEEE_F32LE, {2, 4}, H5P_DEFAULT);
        }) == "/eval/cost is not of type f8");
  CHECK(after([](hid_t f) {
          put_dataset(f, "eval/cost", H5T_IEEE_F64BE, {2, 4}, H5P_DEFAULT);
        }) == "/eval/cost is not of type f8");
  CHECK(after([](hid_t f) { put_dataset(f, "eval/policy", H5T_FORTRAN_S1, {2}, H5P_DEFAULT); }) ==
        "/eval/policy is not of type str");
  CHECK(after([](hid_t f) { put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {8}, H5P_DEFAULT); }) ==
        "/eval/cost has 1 dimensions, the format says 2");
  CHECK(after([](hid_t f) {  // 2.2 TB in 2 kB
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {550000, 500000}, H5P_DEFAULT);
        }) == "/eval/cost declares more data than a file of this size can hold");
  CHECK(
      after([](hid_t f) {  // the size overflows 64 bits
        const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
        const hsize_t chunk[] = {1, 1};
        H5Pset_chunk(creation, 2, chunk);
        put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {hsize_t{1} << 33, hsize_t{1} << 28}, creation);
      }) == "/eval/cost declares more data than a file of this size can hold");
  CHECK(after([](hid_t f) {
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {2, 4}, H5P_DEFAULT);
        }) == "/eval/cost declares 64 bytes of data and holds 0");
  CHECK(after([](hid_t f) {
          const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
          const hsize_t chunk[] = {1 << 15, 1 << 10};
          H5Pset_chunk(creation, 2, chunk);
          put_dataset(f, "eval/cost", H5T_IEEE_F64LE, {1 << 15, 1 << 10}, creation);
        }) == "/eval/cost has chunks of more than 16 MiB");
  CHECK(after([](hid_t f) {
          H5Ldelete(f, "eval/cost", H5P_DEFAULT);
          H5Gclose(H5Gcreate2(f, "eval/cost", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        }) == "/eval/cost is not a dataset");
}

TEST_CASE("decode: 500 damaged files, no crash, no hang, none accepted") {
  const Bytes whole = encode(sample_run({2, 3, 2, 1, 2, 1}), 1);
  int refused = 0;
  for (std::int64_t k = 0; k < 500; ++k) {
    CAPTURE(k);
    Draws draws(23, EpisodeSet::training, k, Stream::noise, 0, 0);
    const auto pick = [&](std::size_t n) {
      return static_cast<std::size_t>(draws.below(static_cast<std::int64_t>(n)));
    };
    Bytes bytes = whole;
    for (std::size_t i = 0; i <= pick(6); ++i)
      bytes[pick(bytes.size())] ^= static_cast<std::byte>(1u << pick(8));
    if (k % 5 == 0) bytes = Bytes(whole.begin(), whole.end() - 1 - static_cast<int>(pick(4000)));
    if (k % 5 == 1) bytes.insert(bytes.end(), 1 + pick(100), std::byte{0});
    try {
      decode(bytes, "x.h5");
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused == 500);
}

TEST_CASE("FORMAT.md: its tables are the schema") {
  std::ifstream in(CRA_FORMAT_FILE);
  REQUIRE(in.good());
  std::vector<std::string> written, known;
  std::string group;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("### `/")) group = line.substr(6, line.find('`', 5) - 6);
    if (line.starts_with("| `") && !group.empty()) written.push_back(group + " " + line);
    if (line.starts_with("## ")) group.clear();
  }
  for (const VariableSpec& spec : schema()) {
    std::ostringstream row;
    row << spec.group << " | `" << spec.name << "` | " << spec.type << " | "
        << (std::strlen(spec.dims) == 0 ? "scalar" : spec.dims) << " | " << spec.units << " | "
        << spec.long_name << (spec.may_be_missing ? "; NaN when it does not apply" : "")
        << (spec.required ? "" : "; left out when it does not apply") << " |";
    known.push_back(row.str());
  }
  CHECK(written == known);
}
