// tools/onnx_graph.h: a model in the Open Neural Network Exchange format, operator set 13, put
// together node by node. Field numbers are those of onnx.proto.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tools/protobuf.h"

namespace cra::tools {

class OnnxGraph {
 public:
  using Value = std::string;  ///< name of a tensor
  using Dims = std::vector<std::int64_t>;
  using Attribute = std::pair<const char*, std::variant<std::int64_t, Dims>>;
  enum class Type { float32 = 1, int64 = 7, float64 = 11 };

  /// A size that is known, or one that is only called something.
  using Size = std::variant<std::int64_t, std::string>;

  /// A float input of the model.
  Value input(const std::string& name, const std::vector<Size>& shape, const std::string& meaning);
  /// A float output of the model: `value` under the name `name`.
  void output(const std::string& name, const Value& value, const std::vector<Size>& shape,
              const std::string& meaning);
  /// What an input is when the caller gives nothing.
  void preset(const Value& input, const Dims& dims, const std::vector<float>& data);

  /// Constants. \param dims  row-major; their product is the length of the data
  Value constant(const std::string& name, const Dims& dims, const std::vector<float>& data);
  Value constant(const std::string& name, const Dims& dims, const std::vector<double>& data);
  Value constant(const std::string& name, const Dims& dims, const std::vector<std::int64_t>& data);
  Value scalar(float value);
  Value wide_scalar(double value);
  /// A list of whole numbers, as some operators take their axes and shapes.
  Value list(const Dims& numbers);

  /// An operator with one output. \returns the name of what it gives
  Value apply(const char* op, const std::vector<Value>& inputs,
              const std::vector<Attribute>& attributes = {});
  Value cast(const Value& x, Type to) {
    return apply("Cast", {x}, {{"to", static_cast<std::int64_t>(to)}});
  }

  void metadata(const std::string& key, const std::string& value);
  /// The whole model, serialised. \param name  of the graph
  std::string model(const std::string& name, const std::string& producer_version,
                    const std::string& doc) const;

 private:
  void tensor(const std::string& name, const Dims& dims, Type type, const std::string& raw);
  Value numbered(const char* what, Type type, const Dims& dims, const std::string& raw);

  Protobuf nodes_, initializers_, inputs_, outputs_, metadata_;
  std::vector<std::pair<std::string, Value>> unnamed_;  ///< constants by their bytes
  int count_ = 0;
};

}  // namespace cra::tools
