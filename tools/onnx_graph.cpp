#include "tools/onnx_graph.h"

#include <algorithm>
#include <bit>

namespace cra::tools {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

// onnx.proto, by message.
namespace model_field {
constexpr int kIrVersion = 1, kProducer = 2, kProducerVersion = 3, kDoc = 6, kGraph = 7,
              kOperatorSet = 8, kMetadata = 14;
}
namespace graph_field {
constexpr int kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr int kInput = 1, kOutput = 2, kName = 3, kOperator = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr int kName = 1, kInteger = 3, kIntegers = 8, kType = 20;
constexpr int kTypeInteger = 2, kTypeIntegers = 7;
}  // namespace attribute_field
namespace tensor_field {
constexpr int kDims = 1, kType = 2, kName = 8, kRaw = 9;
}
namespace value_field {
constexpr int kName = 1, kType = 2, kDoc = 3;
}

constexpr std::int64_t kIrVersion = 7;  // that of ONNX 1.8, which brought operator set 13
constexpr std::int64_t kOperatorSet = 13;

/// ValueInfoProto of a float tensor.
Protobuf value_info(const std::string& name, const std::vector<OnnxGraph::Size>& shape,
                    const std::string& meaning) {
  Protobuf dims;
  for (const OnnxGraph::Size& size : shape) {
    Protobuf dim;
    if (const auto* known = std::get_if<std::int64_t>(&size))
      dim.integer(1, *known);
    else
      dim.bytes(2, std::get<std::string>(size));
    dims.message(1, dim);
  }
  Protobuf tensor, type, value;
  tensor.integer(1, static_cast<std::int64_t>(OnnxGraph::Type::float32)).message(2, dims);
  type.message(1, tensor);
  return value.bytes(value_field::kName, name)
      .message(value_field::kType, type)
      .bytes(value_field::kDoc, meaning);
}

template <class T>
std::string raw_of(const std::vector<T>& data) {
  return {reinterpret_cast<const char*>(data.data()), data.size() * sizeof(T)};
}

}  // namespace

OnnxGraph::Value OnnxGraph::input(const std::string& name, const std::vector<Size>& shape,
                                  const std::string& meaning) {
  inputs_.message(graph_field::kInput, value_info(name, shape, meaning));
  return name;
}

void OnnxGraph::output(const std::string& name, const Value& value, const std::vector<Size>& shape,
                       const std::string& meaning) {
  outputs_.message(graph_field::kOutput, value_info(name, shape, meaning));
  Protobuf node;
  node.bytes(node_field::kInput, value)
      .bytes(node_field::kOutput, name)
      .bytes(node_field::kName, name)
      .bytes(node_field::kOperator, "Identity");
  nodes_.message(graph_field::kNode, node);
}

void OnnxGraph::preset(const Value& input, const Dims& dims, const std::vector<float>& data) {
  tensor(input, dims, Type::float32, raw_of(data));
}

OnnxGraph::Value OnnxGraph::constant(const std::string& name, const Dims& dims,
                                     const std::vector<float>& data) {
  tensor(name, dims, Type::float32, raw_of(data));
  return name;
}
OnnxGraph::Value OnnxGraph::constant(const std::string& name, const Dims& dims,
                                     const std::vector<double>& data) {
  tensor(name, dims, Type::float64, raw_of(data));
  return name;
}
OnnxGraph::Value OnnxGraph::constant(const std::string& name, const Dims& dims,
                                     const std::vector<std::int64_t>& data) {
  tensor(name, dims, Type::int64, raw_of(data));
  return name;
}

OnnxGraph::Value OnnxGraph::scalar(float value) {
  return numbered("number", Type::float32, {}, raw_of(std::vector<float>{value}));
}
OnnxGraph::Value OnnxGraph::wide_scalar(double value) {
  return numbered("number", Type::float64, {}, raw_of(std::vector<double>{value}));
}
OnnxGraph::Value OnnxGraph::list(const Dims& numbers) {
  return numbered("list", Type::int64, {static_cast<std::int64_t>(numbers.size())},
                  raw_of(numbers));
}

OnnxGraph::Value OnnxGraph::apply(const char* op, const std::vector<Value>& inputs,
                                  const std::vector<Attribute>& attributes) {
  Protobuf node;
  for (const Value& x : inputs) node.bytes(node_field::kInput, x);
  Value name = std::string(op) + "_" + std::to_string(count_++);
  node.bytes(node_field::kOutput, name).bytes(node_field::kName, name);
  node.bytes(node_field::kOperator, op);
  for (const auto& [key, value] : attributes) {
    Protobuf attribute;
    attribute.bytes(attribute_field::kName, key);
    if (const auto* one = std::get_if<std::int64_t>(&value)) {
      attribute.integer(attribute_field::kInteger, *one);
      attribute.integer(attribute_field::kType, attribute_field::kTypeInteger);
    } else {
      for (const std::int64_t x : std::get<Dims>(value))
        attribute.integer(attribute_field::kIntegers, x);
      attribute.integer(attribute_field::kType, attribute_field::kTypeIntegers);
    }
    node.message(node_field::kAttribute, attribute);
  }
  nodes_.message(graph_field::kNode, node);
  return name;
}

void OnnxGraph::metadata(const std::string& key, const std::string& value) {
  Protobuf entry;
  metadata_.message(model_field::kMetadata, entry.bytes(1, key).bytes(2, value));
}

std::string OnnxGraph::model(const std::string& name, const std::string& producer_version,
                             const std::string& doc) const {
  Protobuf operators, head, title, tail;
  operators.bytes(1, "").integer(2, kOperatorSet);
  title.bytes(graph_field::kName, name);
  head.integer(model_field::kIrVersion, kIrVersion)
      .bytes(model_field::kProducer, "cra")
      .bytes(model_field::kProducerVersion, producer_version)
      .bytes(model_field::kDoc, doc)
      .bytes(model_field::kGraph,
             nodes_.data() + title.data() + initializers_.data() + inputs_.data() + outputs_.data())
      .message(model_field::kOperatorSet, operators);
  return head.data() + metadata_.data();
}

void OnnxGraph::tensor(const std::string& name, const Dims& dims, Type type,
                       const std::string& raw) {
  Protobuf t;
  for (const std::int64_t d : dims) t.integer(tensor_field::kDims, d);
  t.integer(tensor_field::kType, static_cast<std::int64_t>(type));
  t.bytes(tensor_field::kName, name).bytes(tensor_field::kRaw, raw);
  initializers_.message(graph_field::kInitializer, t);
}

/// Equal ones are one.
OnnxGraph::Value OnnxGraph::numbered(const char* what, Type type, const Dims& dims,
                                     const std::string& raw) {
  const std::string key = std::to_string(static_cast<int>(type)) + what + raw;
  const auto known = std::find_if(unnamed_.begin(), unnamed_.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  if (known != unnamed_.end()) return known->second;
  Value name = std::string(what) + "_" + std::to_string(unnamed_.size());
  tensor(name, dims, type, raw);
  unnamed_.emplace_back(key, name);
  return name;
}

}  // namespace cra::tools
