#include "tools/store.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

constexpr int kFailuresInARow = 3;
constexpr std::int64_t kMostTrainings = 1000;

/// The fields beside TrainState's own, in one list for both directions.
template <class V>
void run_fields(V& v, Checkpoint& c) {
  v("digest", c.digest);
  v(kResolvedField, c.resolved);
  v("program", c.program);
  v("seconds", c.seconds);
  v("attempts", c.attempts);
}

/// fields() visits both directions, so it wants a mutable object; this visitor only reads.
struct Packer {
  std::vector<results::Field> out;
  std::string prefix;

  void operator()(const char* name, const std::int64_t& x) {
    out.push_back({prefix + name, std::vector<std::int64_t>{x}});
  }
  void operator()(const char* name, const double& x) {
    out.push_back({prefix + name, std::vector<double>{x}});
  }
  template <class T>
  void operator()(const char* name, const T& x) {
    out.push_back({prefix + name, x});
  }
};

struct Unpacker {
  std::map<std::string, const results::Field*> by_name;
  std::string prefix;

  template <class T>
  const T& take(const std::string& name) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) throw InputError("checkpoint: field \"" + name + "\" is missing");
    const T* data = std::get_if<T>(&found->second->data);
    if (data == nullptr) throw InputError("checkpoint: field \"" + name + "\" has another type");
    by_name.erase(found);
    return *data;
  }
  template <class T>
  void scalar(const char* name, T& x) {
    const auto& data = take<std::vector<T>>(prefix + name);
    if (data.size() != 1) {
      throw InputError("checkpoint: field \"" + prefix + name + "\" has " +
                       std::to_string(data.size()) + " numbers, expected 1");
    }
    x = data[0];
  }
  void operator()(const char* name, std::int64_t& x) { scalar(name, x); }
  void operator()(const char* name, double& x) { scalar(name, x); }
  template <class T>
  void operator()(const char* name, T& x) {
    x = take<T>(prefix + name);
  }
};

/// "key.path" -> value of block YAML as the loader dumps it; list items are numbered.
std::map<std::string, std::string> flatten(const std::string& yaml) {
  std::map<std::string, std::string> flat;
  std::vector<std::pair<std::size_t, std::string>> open;  // indentation and name
  std::map<std::string, int> items;
  std::string_view rest = yaml;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    line.remove_prefix(indent);
    auto path = [&](std::size_t column) {
      while (!open.empty() && open.back().first >= column) open.pop_back();
      std::string p;
      for (const auto& o : open) p += o.second + ".";
      return p;
    };
    while (line.substr(0, 2) == "- ") {
      const std::string parent = path(indent);
      const int number = items[parent]++;
      open.emplace_back(indent, std::to_string(number));
      line.remove_prefix(2);
      indent += 2;
    }
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    std::string prefix = path(indent);
    if (colon == std::string_view::npos) {
      if (!prefix.empty()) prefix.pop_back();
      flat[prefix] = std::string(line);
      continue;
    }
    const std::string name(line.substr(0, colon));
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (value.empty()) {
      open.emplace_back(indent, name);
    } else {
      flat[prefix + name] = std::string(value);
    }
  }
  return flat;
}

}  // namespace

std::vector<results::Field> pack(const Checkpoint& c) {
  Checkpoint copy = c;
  Packer packer;
  for (std::size_t k = 0; k < copy.trainings.size(); ++k) {
    packer.prefix = std::to_string(k) + ".";
    agents::fields(packer, copy.trainings[k]);
  }
  packer.prefix.clear();
  packer("trainings", static_cast<std::int64_t>(copy.trainings.size()));
  run_fields(packer, copy);
  return std::move(packer.out);
}

Checkpoint unpack(const std::vector<results::Field>& fields) {
  Unpacker unpacker;
  for (const results::Field& f : fields) {
    if (!unpacker.by_name.emplace(f.name, &f).second) {
      throw InputError("checkpoint: field \"" + f.name + "\" is there twice");
    }
  }
  Checkpoint c;
  std::int64_t trainings = 0;
  unpacker("trainings", trainings);
  if (trainings < 1 || trainings > kMostTrainings)
    throw InputError("checkpoint: holds " + std::to_string(trainings) + " trainings");
  run_fields(unpacker, c);
  c.trainings.resize(static_cast<std::size_t>(trainings));
  for (std::size_t k = 0; k < c.trainings.size(); ++k) {
    unpacker.prefix = std::to_string(k) + ".";
    agents::fields(unpacker, c.trainings[k]);
  }
  if (!unpacker.by_name.empty()) {
    throw InputError("checkpoint: unknown field \"" + unpacker.by_name.begin()->first + "\"");
  }
  return c;
}

std::string run_digest(const scenarios::Scenario& s) {
  results::Bytes bytes;
  auto add = [&](const void* data, std::size_t size) {
    const std::size_t old = bytes.size();
    bytes.resize(old + size);
    if (size > 0) std::memcpy(bytes.data() + old, data, size);
  };
  add(s.resolved.data(), s.resolved.size());
  for (const sim::WorkloadPart& part : s.settings.sim.workload.parts) {
    if (const auto* trace = std::get_if<sim::TracePart>(&part)) {
      add(trace->work.data(), trace->work.size() * sizeof(double));
      for (const std::vector<double>& need : trace->needs)
        add(need.data(), need.size() * sizeof(double));
    }
  }
  const sim::Progress& progress = s.settings.sim.progress;
  if (const auto* curves = std::get_if<sim::CurveError>(&progress.error)) {
    for (const sim::CurveSource& source : curves->curves) {
      add(source.x.data(), source.x.size() * sizeof(double));
      add(source.error.data(), source.error.size() * sizeof(double));
    }
  }
  if (const auto* jobs = std::get_if<sim::JobList>(&progress.jobs)) {
    for (const std::vector<sim::JobLog>* logs : {&jobs->train, &jobs->test}) {
      for (const sim::JobLog& log : *logs) {
        add(log.slot.data(), log.slot.size() * sizeof(std::int64_t));
        add(log.node.data(), log.node.size() * sizeof(int));
      }
    }
  }
  return results::sha256(bytes);
}

std::string resolved_value(const std::string& resolved, const std::string& key) {
  const std::map<std::string, std::string> flat = flatten(resolved);
  const auto found = flat.find(key);
  return found == flat.end() ? "" : found->second;
}

std::vector<std::string> differences(const std::string& there, const std::string& here,
                                     std::size_t most) {
  const auto a = flatten(there);
  const auto b = flatten(here);
  std::map<std::string, std::pair<std::string, std::string>> both;
  for (const auto& [key, value] : a) both[key] = {value, "not set"};
  for (const auto& [key, value] : b) {
    const auto found = both.find(key);
    if (found == both.end()) {
      both[key] = {"not set", value};
    } else {
      found->second.second = value;
    }
  }
  std::vector<std::string> out;
  for (const auto& [key, values] : both) {
    if (values.first == values.second) continue;
    if (out.size() == most) {
      out.emplace_back("...");
      break;
    }
    out.push_back(key + " is " + values.first + " there, " + values.second + " here");
  }
  return out;
}

std::string value_in(const std::string& resolved, const std::string& key) {
  const auto all = flatten(resolved);
  const auto found = all.find(key);
  return found == all.end() ? "" : found->second;
}

void CheckpointFile::save(const Checkpoint& c) {
  try {
    results::write_checkpoint(path_, pack(c));
    failures_ = 0;
  } catch (const Error& e) {
    ++failures_;
    if (failures_ == kFailuresInARow) {
      throw Error(std::string("three checkpoints in a row could not be written: ") + e.what());
    }
    if (failures_ == 1) warn(std::string(e.what()) + "; training goes on");
  }
}

}  // namespace cra::tools
