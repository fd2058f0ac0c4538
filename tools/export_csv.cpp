// cra export --csv: the arrays of a result as tidy tables, one row per combination of labels.
#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "tools/export.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using results::Data;
using results::GroupData;
using results::VariableSpec;

/// A table has a row for every combination of the labels of `axes`, and a column for every variable
/// of the group that has the axis `key` and no axis but these; what has fewer axes is repeated.
struct Table {
  const char* name;  ///< of the file, without .csv
  const char* group;
  const char* axes;  ///< as in the schema: "policy,episode"
  const char* key;   ///< "" = any of the axes
};
constexpr auto kTables = std::to_array<Table>({
    {"policies", "summary", "policy", ""},
    {"episodes", "eval", "policy,episode", ""},
    {"training", "train", "training,update", ""},
    {"validation", "train", "training,validation", "validation"},
    {"tuning", "tuning", "candidate", ""},
    {"knobs", "tuning", "knob", ""},
    {"nodes", "node", "node", ""},
    {"resources", "node", "resource", ""},
    {"needs", "node", "node,resource", "resource"},
    {"knots", "node", "node,knot", "knot"},
    {"links", "node", "link", ""},
    {"slots", "trajectory", "policy,episode,slot", "slot"},
    {"slots_by_node", "trajectory", "policy,episode,slot,node", "node"},
    {"slots_by_resource", "trajectory", "policy,episode,slot,resource,node", "resource"},
    {"attention", "attention", "episode,slot,node", ""},
    {"correlations", "attention", "quantity,episode,slot", "quantity"},
    {"attention_map", "attention", "head,looker,node", "looker"},
    {"features", "policy", "feature", ""},
    {"tensors", "policy", "tensor", ""},
    {"base_knobs", "policy", "base_knob", ""},
});

std::vector<std::string> split(const char* list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

/// A field that holds a comma, a quote or a line end stands in quotes, its quotes doubled
/// (RFC 4180, section 2).
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string cell(const Data& data, std::size_t i) {
  struct Visitor {
    std::size_t i;
    std::string operator()(const std::vector<double>& x) const {
      return std::isnan(x[i]) ? "" : shortest(x[i]);
    }
    std::string operator()(const std::vector<float>& x) const { return shortest(double{x[i]}); }
    std::string operator()(const std::vector<std::int64_t>& x) const {
      return std::to_string(x[i]);
    }
    std::string operator()(const std::vector<std::int8_t>& x) const {
      return x[i] != 0 ? "true" : "false";
    }
    std::string operator()(const std::vector<std::string>& x) const { return field(x[i]); }
  };
  return std::visit(Visitor{i}, data);
}

std::size_t length(const Data& data) {
  return std::visit([](const auto& x) { return x.size(); }, data);
}

const Data* data_of(const GroupData& g, const std::string& name) {
  for (const results::Axis& a : g.axes)
    if (a.name == name) return &a.labels;
  for (const results::Variable& v : g.variables)
    if (v.name == name) return &v.data;
  return nullptr;
}

/// A column of a table: where in its array the value of a row lies is a sum over the axes.
struct Column {
  const char* name;
  const Data* data;
  std::vector<std::size_t> stride;  ///< by axis of the table; 0 where the array has not that axis
};

/// Strides of an array with the axes `dims` along those of the table.
std::vector<std::size_t> strides(const std::vector<std::string>& dims,
                                 const std::vector<std::string>& axes,
                                 const std::vector<std::size_t>& sizes) {
  std::vector<std::size_t> stride(axes.size(), 0);
  std::size_t step = 1;
  for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
    const auto a =
        static_cast<std::size_t>(std::find(axes.begin(), axes.end(), *dim) - axes.begin());
    stride[a] = step;
    step *= sizes[a];
  }
  return stride;
}

bool belongs(const std::vector<std::string>& dims, const std::vector<std::string>& axes,
             const std::string& key) {
  const auto in = [](const std::vector<std::string>& list, const std::string& x) {
    return std::find(list.begin(), list.end(), x) != list.end();
  };
  return !dims.empty() && (key.empty() || in(dims, key)) &&
         std::all_of(dims.begin(), dims.end(), [&](const auto& dim) { return in(axes, dim); });
}

/// The table as text; empty when the result has no such group or axis.
std::string csv_of(const results::RunFile& run, const Table& table) {
  const GroupData* g = run.group(table.group);
  if (g == nullptr) return "";
  const std::vector<std::string> axes = split(table.axes);
  std::vector<std::size_t> sizes;
  for (const std::string& axis : axes) {
    const Data* labels = data_of(*g, axis);
    if (labels == nullptr) return "";
    sizes.push_back(length(*labels));
  }
  std::vector<Column> columns;
  for (const std::string& axis : axes)
    columns.push_back({axis.c_str(), data_of(*g, axis), strides({axis}, axes, sizes)});
  for (const VariableSpec& spec : results::schema()) {
    const std::vector<std::string> dims = split(spec.dims);
    const bool is_axis = std::string(spec.dims) == spec.name;
    if (g->name != spec.group || is_axis || !belongs(dims, axes, table.key)) continue;
    if (const Data* data = data_of(*g, spec.name))
      columns.push_back({spec.name, data, strides(dims, axes, sizes)});
  }
  std::string text;
  for (const Column& c : columns) text.append(text.empty() ? "" : ",").append(c.name);
  text += '\n';
  std::size_t rows = 1;
  for (const std::size_t size : sizes) rows *= size;
  std::vector<std::size_t> at(axes.size(), 0);
  for (std::size_t row = 0; row < rows; ++row) {
    for (const Column& c : columns) {
      std::size_t i = 0;
      for (std::size_t a = 0; a < at.size(); ++a) i += at[a] * c.stride[a];
      if (&c != columns.data()) text += ',';
      text += cell(*c.data, i);
    }
    text += '\n';
    for (std::size_t a = at.size(); a-- > 0;) {
      if (++at[a] < sizes[a]) break;
      at[a] = 0;
    }
  }
  return text;
}

/// Everything that is one value, of all groups.
std::string scalars_csv(const results::RunFile& run) {
  std::string text = "group,name,units,value\n";
  for (const VariableSpec& spec : results::schema()) {
    const GroupData* g = run.group(spec.group);
    if (g == nullptr || *spec.dims != '\0') continue;
    if (const Data* data = data_of(*g, spec.name))
      text += std::string(spec.group) + "," + spec.name + "," + spec.units + "," + cell(*data, 0) +
              "\n";
  }
  return text;
}

void write_text(const std::string& path, const std::string& text) {
  results::write_file(path, std::as_bytes(std::span(text)));
}

bool names_table(const std::string& target) {
  return target.size() > 4 && target.substr(target.size() - 4) == ".csv";
}

}  // namespace

void export_csv(const Export& e) {
  if (names_table(e.target)) {
    refuse_existing_file(e, e.target);
    write_text(e.target, csv_of(e.run, kTables[1]));
    return;
  }
  prepare_target_folder(e);
  write_text(e.target + "/scalars.csv", scalars_csv(e.run));
  for (const Table& table : kTables) {
    const std::string text = csv_of(e.run, table);
    if (!text.empty()) write_text(e.target + "/" + table.name + ".csv", text);
  }
}

}  // namespace cra::tools
