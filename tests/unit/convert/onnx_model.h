#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "reference/evaluate.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/convert.h"
#include "tools/convert/onnx.h"
#include "tools/convert/onnx_proto.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// A model that is put together node by node.
struct ModelFile {
  onnx::ModelProto model;

  explicit ModelFile(int opset = 17) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    model.mutable_graph()->set_name("test");
  }
  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  static void describe(onnx::ValueInfoProto& value, const std::string& name, const std::vector<std::string>& shape,
                       int type = onnx::TensorProto::FLOAT) {
    value.set_name(name);
    auto& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape();
    for (const std::string& dim : shape) {
      auto& added = *tensor.mutable_shape()->add_dim();
      if (dim.find_first_not_of("-0123456789") == std::string::npos) {
        added.set_dim_value(std::stoll(dim));
      } else {
        added.set_dim_param(dim);
      }
    }
  }
  void input(const std::string& name, const std::vector<std::string>& shape, int type = onnx::TensorProto::FLOAT) {
    describe(*graph().add_input(), name, shape, type);
  }
  /// Of a shape that the file does not say.
  void output(const std::string& name) {
    onnx::ValueInfoProto& added = *graph().add_output();
    added.set_name(name);
    added.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  }
  void output(const std::string& name, const std::vector<std::string>& shape) {
    describe(*graph().add_output(), name, shape);
  }
  onnx::TensorProto& tensor(const std::string& name, const std::vector<std::int64_t>& shape,
                            const std::vector<float>& values) {
    onnx::TensorProto& added = *graph().add_initializer();
    added.set_name(name);
    added.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t dim : shape) added.add_dims(dim);
    for (const float value : values) added.add_float_data(value);
    return added;
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
    return node(graph(), op, inputs, output);
  }
  /// In a branch or a body.
  static onnx::NodeProto& node(onnx::GraphProto& graph, const std::string& op, const std::vector<std::string>& inputs,
                               const std::string& output) {
    onnx::NodeProto& added = *graph.add_node();
    added.set_op_type(op);
    added.set_name("the " + op);
    for (const std::string& name : inputs) added.add_input(name);
    added.add_output(output);
    return added;
  }
  /// A node that makes a list of integers, or a single one.
  static void integers(onnx::GraphProto& graph, const std::string& name, const std::vector<std::int64_t>& values,
                       bool single = false) {
    onnx::AttributeProto& value = *node(graph, "Constant", {}, name).add_attribute();
    value.set_name("value");
    value.set_type(onnx::AttributeProto::TENSOR);
    value.mutable_t()->set_data_type(onnx::TensorProto::INT64);
    if (!single) value.mutable_t()->add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t number : values) value.mutable_t()->add_int64_data(number);
  }
  /// The graph of a branch or a body.
  static onnx::GraphProto& inner(onnx::NodeProto& node, const std::string& attribute) {
    onnx::AttributeProto& added = *node.add_attribute();
    added.set_name(attribute);
    added.set_type(onnx::AttributeProto::GRAPH);
    return *added.mutable_g();
  }
  Checkpoint read(const FixedValues& fixed = {}) const {
    return read_onnx(SourceFile::from_bytes("test.onnx", model.SerializeAsString()), fixed);
  }
  std::string complaint(const FixedValues& fixed = {}) const {
    return convert_test::error_of([&] { read(fixed); });
  }
};

inline void set_integer(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

inline void set_integers(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

using Numbers = std::vector<double>;

/// The outputs of a model for these inputs, in double.
inline std::map<std::string, Numbers> run(const Checkpoint& checkpoint, const std::map<std::string, Numbers>& inputs,
                                          const Bindings& dims = {}) {
  std::map<std::string, HostTensor> tensors;
  for (const auto& [name, values] : inputs) tensors[name] = {{}, values};
  const auto weights = [&](const std::string& name, std::size_t) {
    const SourceTensor& tensor = convert_test::tensor(checkpoint, name);
    const std::vector<std::byte> bytes = tensor.read();
    Numbers values(static_cast<std::size_t>(element_count(tensor.shape)));
    if (tensor.dtype == DType::I32) {
      std::vector<std::int32_t> integers(values.size());
      std::memcpy(integers.data(), bytes.data(), bytes.size());
      values.assign(integers.begin(), integers.end());
    } else {
      const std::vector<float> floats = tensor_values(tensor);
      values.assign(floats.begin(), floats.end());
    }
    return values;
  };
  std::map<std::string, Numbers> outputs;
  for (auto& [name, made] : evaluate(checkpoint.graphs[0], dims, weights, tensors)) outputs[name] = made.data;
  return outputs;
}

}  // namespace heed::convert
