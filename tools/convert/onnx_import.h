#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"
#include "ops/op.h"
#include "tools/convert/checkpoint.h"
#include "tools/convert/onnx_fixed.h"
#include "tools/convert/onnx_proto.h"

namespace heed::convert {

/// A value while a model is read: a constant, or a value of the graph that is being built, or both once a node has read
/// the constant.
struct Operand {
  DType dtype = DType::F32;  // as ONNX has it; the graph computes with f32 and i32
  int bits = 0;              // 4 or 2: integers that are held in a type of 8 bits, known of what the file says
  bool of_sizes = false;     // computed from dimensions and constants alone
  ValueId id = kNoValue;
  std::shared_ptr<const HostTensor> constant;  // nullptr when it is known only at run time
  std::string name;
  bool absent() const { return id == kNoValue && constant == nullptr; }
};

class OnnxImporter;

/// A node with its attributes, which remembers those that were asked for.
class OnnxNode {
 public:
  OnnxNode(const onnx::NodeProto& proto, std::int64_t opset, std::string label)
      : proto_(proto), opset_(opset), label_(std::move(label)) {}

  const onnx::NodeProto& proto() const { return proto_; }
  std::int64_t opset() const { return opset_; }
  const std::string& op() const { return proto_.op_type(); }
  /// A name for the nodes that it becomes, unique in the graph.
  const std::string& label() const { return label_; }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double real(std::string_view name, double otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::vector<std::int64_t> integers(std::string_view name) const;  // empty when absent
  std::vector<double> reals(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  const onnx::AttributeProto* find(std::string_view name) const;  // and marks it as read
  /// Throws Error naming the first attribute that nobody asked for.
  void refuse_unread() const;
  /// Throws Error "node 'NAME' (OP): MESSAGE".
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const onnx::AttributeProto* typed(std::string_view name, int type) const;
  const onnx::NodeProto& proto_;
  std::int64_t opset_;
  std::string label_;
  mutable std::set<std::string, std::less<>> read_;
};

/// What an operator becomes. `inputs` are as many as the node names; the result has an operand for each output, or
/// fewer when the last ones are not wanted.
using ImportOperator = std::vector<Operand> (*)(OnnxImporter&, const OnnxNode&, const std::vector<Operand>& inputs);

struct OperatorRow {
  std::string_view name;
  ImportOperator import;
};

/// What ONNX's Conv and pools of its kind say of their windows, for heed's ops; kernel_shape is compared with w.
Attributes convolution_attributes(const OnnxNode& node, const Operand& w);
Attributes pool_attributes(const OnnxNode& node);

/// The operators by family, in onnx_*.cpp.
std::vector<OperatorRow> elementwise_operators();
std::vector<OperatorRow> shape_operators();
std::vector<OperatorRow> reduce_operators();
std::vector<OperatorRow> matrix_operators();
std::vector<OperatorRow> image_operators();
std::vector<OperatorRow> norm_operators();
std::vector<OperatorRow> attention_operators();
std::vector<OperatorRow> quantise_operators();
std::vector<OperatorRow> integer_operators();
std::vector<OperatorRow> quantised_operators();  // of ONNX Runtime, names with its domain

/// Builds a graph node by node. Nodes that read constants alone are computed at once.
class OnnxImporter {
 public:
  /// `fixed` are values that the user gives to inputs and dimensions; which of them the model has is added to `names`.
  OnnxImporter(const onnx::ModelProto& model, std::filesystem::path folder, const FixedValues& fixed,
               FixedNames& names);

  /// The whole model. May be called once.
  Checkpoint import();

  /// A node of heed's graph, or the constant that it would make. Results have the types that ONNX gives them.
  std::vector<Operand> add_many(const OnnxNode& node, std::string_view op, const std::vector<Operand>& inputs,
                                Attributes attributes, std::size_t outputs);
  Operand add(const OnnxNode& node, std::string_view op, const std::vector<Operand>& inputs,
              Attributes attributes = {}) {
    return add_many(node, op, inputs, std::move(attributes), 1).front();
  }

  Operand integers(const std::vector<std::int64_t>& values);
  Operand integer(std::int64_t value);       // a scalar
  Operand number(double value, DType type);  // a scalar
  Operand tensor(HostTensor tensor, std::string name = "");
  /// The dimensions of x as a tensor; `rank` gives their number as a scalar, `size_of` one of them as a list of one.
  Operand shape(const OnnxNode& node, const Operand& x);
  Operand rank(const OnnxNode& node, const Operand& x);
  Operand size_of(const OnnxNode& node, const Operand& x, std::int64_t axis);
  /// [first, ..., last dimension of x]; a negative `first` counts from the end.
  Operand axes_from(const OnnxNode& node, const Operand& x, std::int64_t first);
  /// x as a tensor of `type`.
  Operand cast(const OnnxNode& node, const Operand& x, DType type);
  /// A matrix with rows and columns swapped; the same constant gives the same result.
  Operand transposed(const OnnxNode& node, const Operand& x);
  /// Throws Error unless an optional input is there.
  static const Operand& required(const OnnxNode& node, const std::vector<Operand>& inputs, std::size_t i);
  static Operand optional(const std::vector<Operand>& inputs, std::size_t i) {
    return i < inputs.size() ? inputs[i] : Operand{};
  }
  const std::filesystem::path& folder() const { return folder_; }
  std::int64_t opset() const { return opset_; }

 private:
  using Scope = std::map<std::string, Operand, std::less<>>;
  void import_initializers(const onnx::GraphProto& graph, Scope& scope, bool main);
  void import_node(const onnx::NodeProto& node, Scope& scope, const std::string& prefix, std::int64_t opset);
  void import_call(const onnx::FunctionProto& function, const onnx::NodeProto& node, Scope& scope,
                   const std::string& prefix);
  // onnx_control.cpp
  /// The elements of an operand that does not depend on what inputs hold: a constant, or what is computed from sizes
  /// that are known. Else nullptr, and `why` says what it depends on and how that is fixed.
  std::shared_ptr<const HostTensor> resolve(const Operand& operand, std::string& why);
  /// The nodes of a branch or body, which sees what its scope has.
  void import_body(const onnx::GraphProto& body, const std::string& prefix, Scope& scope);
  static std::vector<Operand> results_of(const OnnxNode& node, const onnx::GraphProto& body, const Scope& scope);
  std::vector<Operand> take_branch(const OnnxNode& node, const Operand& condition, const Scope& scope);
  std::vector<Operand> unroll_loop(const OnnxNode& node, const std::vector<Operand>& inputs, const Scope& scope);
  std::vector<Operand> unroll_scan(const OnnxNode& node, const std::vector<Operand>& inputs, const Scope& scope);
  /// Throws Error naming the node when functions, loops and branches make more nodes than a file may have.
  void count_node(const OnnxNode& node, std::int64_t count = 1);
  void add_inputs(const onnx::GraphProto& graph, Scope& scope);
  void add_outputs(const onnx::GraphProto& graph, Scope& scope);
  ValueId materialise(const Operand& operand);
  /// Remembers a node whose results may differ from ONNX's because heed computes them in 32 bits.
  void note_narrowed(const OnnxNode& node, std::string_view op, const Attributes& attributes,
                     const std::vector<Operand>& inputs, const std::vector<Operand>& results);
  std::vector<std::string> notes() const;
  std::string unique(std::string name);

  const onnx::ModelProto& model_;
  std::filesystem::path folder_;
  const FixedValues& fixed_;
  FixedNames& fixed_names_;
  std::int64_t opset_ = 0;
  GraphBuilder builder_;
  std::set<std::string> names_;
  std::map<std::shared_ptr<const HostTensor>, ValueId> placed_;
  std::vector<SourceTensor> tensors_;
  std::map<std::string, const onnx::FunctionProto*> functions_;
  std::map<std::string_view, ImportOperator> operators_;
  std::map<std::shared_ptr<const HostTensor>, Operand> transposed_;  // constants
  int depth_ = 0;
  int unrolling_ = 0;                                                                 // bodies within bodies
  std::int64_t counted_ = 0;                                                          // nodes
  std::unordered_multimap<std::size_t, std::shared_ptr<const HostTensor>> repeated_;  // by a hash of the elements
  std::int64_t folded_ = 0;  // elements of constants that were computed
  // Nodes with results of f64, those whose integers may pass the 32 bits that heed has for them, and casts to such
  // ones.
  std::set<std::string> narrowed_reals_, narrowed_integers_, narrowed_casts_;
};

}  // namespace heed::convert
