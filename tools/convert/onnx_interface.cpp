// What an ONNX graph has before its nodes run and after: tensors, inputs, outputs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "heed/error.h"
#include "tools/convert/onnx_import.h"
#include "tools/convert/onnx_tensor.h"
#include "tools/convert/text.h"

namespace heed::convert {

void OnnxImporter::add_inputs(const onnx::GraphProto& graph, Scope& scope) {
  std::map<std::string, std::int64_t, std::less<>> implied;  // sizes of dimensions that fixed inputs have
  std::set<std::string, std::less<>> open;                   // dimensions of inputs before them
  for (const onnx::ValueInfoProto& input : graph.input()) {
    const std::string& name = input.name();
    const std::string what = "input " + in_quotes(name);
    const auto given = scope.find(name);  // an initializer's default, which is what heed takes
    const auto fixed = fixed_.find(name);
    if (given != scope.end() && fixed == fixed_.end()) continue;
    if (!input.type().has_tensor_type()) throw Error(what + ": is no tensor; heed has no sequences, maps or optionals");
    const auto& type = input.type().tensor_type();
    Operand operand;
    operand.name = name;
    operand.dtype = onnx_held_type(type.elem_type(), what);
    operand.bits = onnx_narrow_bits(type.elem_type());
    SymbolicShape shape;
    if (!type.has_shape()) throw Error(what + ": has no shape; export the model with one (dimensions may be named)");
    for (int i = 0; i < type.shape().dim_size(); ++i) {
      const auto& dim = type.shape().dim(i);
      if (dim.has_dim_value()) {
        if (dim.dim_value() < 0) throw Error(fmt::format("{}: a dimension is {}", what, dim.dim_value()));
        shape.emplace_back(dim.dim_value());
        continue;
      }
      const std::string dimension = dim.dim_param().empty() ? fmt::format("{}.{}", name, i) : dim.dim_param();
      fixed_names_.dimensions.insert(in_quotes(dimension));
      if (const auto size = fixed_.find(dimension); size != fixed_.end() && dimension != name) {
        fixed_names_.used.insert(dimension);
        shape.emplace_back(fixed_size(dimension, size->second));
      } else if (const auto size_of_fixed = implied.find(dimension); size_of_fixed != implied.end()) {
        shape.emplace_back(size_of_fixed->second);
      } else {
        shape.emplace_back(dimension);
      }
    }
    fixed_names_.inputs.push_back(
        fmt::format("{} {} {}", in_quotes(name), dtype_name(operand.dtype), to_string(shape)));
    if (!names_.insert(name).second) {
      const bool both = std::ranges::find(graph.output(), name, &onnx::ValueInfoProto::name) != graph.output().end();
      throw Error(what + (both ? ": is an output too, and heed names each apart; put an Identity before the output"
                               : ": is named twice"));
    }
    if (fixed != fixed_.end()) {
      fixed_names_.used.insert(name);
      fixed_names_.notes.push_back(fmt::format("{} is fixed to {}", what, fixed->second));
      HostTensor value = fixed_tensor(name, fixed->second, operand.dtype, shape);
      for (std::size_t i = 0; i < shape.size(); ++i) {
        const std::string& dimension = shape[i].name;
        if (dimension.empty()) continue;
        if (open.contains(dimension)) {
          throw Error(
              fmt::format("--set {}={}: another input has the dimension {} too; fix its size as well: --set {}={}",
                          name, fixed->second, in_quotes(dimension), dimension, value.type.shape[i]));
        }
        implied[dimension] = value.type.shape[i];
      }
      scope[name] = tensor(std::move(value), name);
      continue;
    }
    for (const Dim& dim : shape) {
      if (!dim.name.empty()) open.insert(dim.name);
    }
    operand.id = builder_.input(name, operand.dtype, std::move(shape));
    scope[name] = std::move(operand);
  }
}

void OnnxImporter::add_outputs(const onnx::GraphProto& graph, Scope& scope) {
  if (graph.output().empty()) throw Error("the model has no outputs");
  std::set<std::string> seen;
  for (const onnx::ValueInfoProto& output : graph.output()) {
    const std::string what = "output " + in_quotes(output.name());
    const auto found = scope.find(output.name());
    if (found == scope.end()) throw Error(what + ": no node makes it");
    if (!seen.insert(output.name()).second) throw Error(what + ": is named twice");
    const Operand& operand = found->second;
    ValueId id = materialise(operand);
    // In the type that the file says. What is an input, a constant or another output as well is copied.
    const auto& outputs = builder_.graph().outputs;
    const bool own = operand.constant == nullptr && builder_.graph().value(id).kind == ValueKind::Intermediate &&
                     std::ranges::find(outputs, id) == outputs.end();
    if (operand.dtype != DType::F32 && is_floating(operand.dtype)) {
      id = builder_.add("cast", unique("type of " + output.name()), {id},
                        {{"to", std::string(dtype_name(operand.dtype))}});
    } else if (!own) {
      id = builder_.add("identity", unique("copy to " + output.name()), {id});
    }
    builder_.output(id, output.name());
  }
}

void OnnxImporter::import_initializers(const onnx::GraphProto& graph, Scope& scope, bool main) {
  if (graph.sparse_initializer_size() > 0) throw Error("the model has sparse tensors, which heed does not read");
  for (const onnx::TensorProto& initializer : graph.initializer()) {
    const std::string what = "tensor " + in_quotes(initializer.name());
    if (initializer.name().empty()) throw Error(what + ": has no name");
    if (main && scope.contains(initializer.name())) throw Error(what + ": is there twice");
    Operand& operand = scope[initializer.name()];
    operand = tensor(onnx_elements(initializer, what, folder_), initializer.name());
    operand.bits = onnx_narrow_bits(initializer.data_type());
  }
}

}  // namespace heed::convert
