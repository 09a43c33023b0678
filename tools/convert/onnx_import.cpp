#include "tools/convert/onnx_import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "heed/error.h"
#include "ops/constant.h"
#include "tools/convert/onnx_sizes.h"
#include "tools/convert/onnx_tensor.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

constexpr std::int64_t kOldestOpset = 1;
constexpr std::int64_t kNewestOpset = 25;
constexpr int kMaxDepth = 32;  // of functions that call functions, and branches in branches
// Larger constants are tensors of the file, smaller ones stand in the graph. Integers may decide on sizes.
constexpr std::size_t kMostReals = 16;
constexpr std::size_t kMostIntegers = 4096;
constexpr std::int64_t kMostNodes = 262144;  // of the .heed format
// Elements that are computed at conversion; what is beyond is left for the device.
constexpr std::int64_t kMostFolded = std::int64_t{1} << 26;

/// The types that ONNX gives the outputs of a node of heed's.
DType result_type(std::string_view op, const std::vector<Operand>& inputs, const Attributes& attributes,
                  std::size_t output) {
  if (op == "cast") return *dtype_from_name(attributes.text("to"));
  if (op == "constant_of_shape") return *dtype_from_name(attributes.text("dtype"));
  if (op == "shape" || op == "size" || op == "arg_max" || op == "arg_min") return DType::I64;
  if ((op == "top_k" || op == "max_pool") && output == 1) return DType::I64;
  for (const std::string_view test : {"equal", "less", "less_equal", "greater", "greater_equal", "isnan", "isinf"}) {
    if (op == test) return DType::Bool;
  }
  if (op == "where") return inputs[1].dtype;
  if (op == "one_hot") return inputs[2].dtype;
  return inputs.empty() ? DType::F32 : inputs[0].dtype;
}

/// Products are of real numbers or of i32 (ops/matmul.cpp, ops/einsum.cpp).
void refuse_type(const OnnxNode& node, std::string_view op, const Operand& operand) {
  const bool products = op == "matmul" || op == "einsum";
  if (!products || operand.absent() || is_floating(operand.dtype)) return;
  if (op == "matmul" && operand.dtype == DType::I32) return;
  node.fail(fmt::format("multiplies matrices of {}; heed multiplies those of real numbers{}: cast the operands",
                        dtype_name(operand.dtype), op == "matmul" ? " or of i32" : ""));
}

/// Ops whose integers leave the range of what they read soonest.
bool grows(std::string_view op, const Attributes& attributes, DType type) {
  for (const std::string_view product : {"mul", "pow", "shift_left", "cumsum"}) {
    if (op == product) return true;
  }
  if (op == "reduce") {
    const std::string kind = attributes.text("kind");
    return kind != "max" && kind != "min";
  }
  if (op.starts_with("scatter_")) {
    const std::string reduction = attributes.text("reduction", "none");
    return reduction == "add" || reduction == "mul";
  }
  // Below zero, where what has no sign wraps around.
  const bool is_unsigned = type == DType::U32 || type == DType::U64;
  return is_unsigned && (op == "sub" || op == "neg" || op == "bitwise_not");
}

/// Throws Error for an integer that may be no double, in which constants are computed; the ends of int64 stand for what
/// is above or below all else.
void check_integers(const HostTensor& tensor, const std::string& name) {
  if (is_floating(tensor.type.dtype)) return;
  for (const double element : tensor.data) {
    if (std::abs(element) < kMostInteger || std::abs(element) >= 0x1p63) continue;
    throw Error(fmt::format("constant {}: {} has more than 53 bits, beyond which heed does not compute",
                            in_quotes(name), static_cast<std::int64_t>(element)));
  }
}

/// The tensor with real numbers that f32 has. Its largest stands for that of f64, which graphs add to what they mask.
/// Throws Error for others that are too large.
std::shared_ptr<const HostTensor> within_f32(std::shared_ptr<const HostTensor> tensor, const std::string& name) {
  constexpr double kMost = std::numeric_limits<float>::max();
  const auto beyond = [](double element) { return std::isfinite(element) && std::abs(element) > kMost; };
  if (tensor->type.dtype != DType::F64 || std::ranges::none_of(tensor->data, beyond)) return tensor;
  HostTensor within = *tensor;
  for (double& element : within.data) {
    if (!beyond(element)) continue;
    if (std::abs(element) < std::numeric_limits<double>::max() && std::isinf(static_cast<float>(element))) {
      throw Error(fmt::format("constant {}: {} is too large for 32 bits, in which heed computes f64", in_quotes(name),
                              element));
    }
    element = std::copysign(kMost, element);
  }
  return std::make_shared<const HostTensor>(std::move(within));
}

/// "a, b and 3 more", in quotes.
std::string some_of(const std::set<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() < kShown) shown.push_back(in_quotes(name));
  }
  const std::size_t rest = names.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "), rest > 0 ? fmt::format(" and {} more", rest) : "");
}

std::size_t hash_of(const HostTensor& tensor) {
  const std::string_view bytes(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size() * sizeof(double));
  return std::hash<std::string_view>{}(bytes);
}

/// Bit for bit: NaN is NaN, and -0 is not 0.
bool same_elements(const HostTensor& a, const HostTensor& b) {
  return a.type.dtype == b.type.dtype && a.type.shape == b.type.shape && a.data.size() == b.data.size() &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(double)) == 0);
}

}  // namespace

OnnxImporter::OnnxImporter(const onnx::ModelProto& model, std::filesystem::path folder, const FixedValues& fixed,
                           FixedNames& names)
    : model_(model), folder_(std::move(folder)), fixed_(fixed), fixed_names_(names), builder_("main") {
  for (const auto& rows :
       {elementwise_operators(), shape_operators(), reduce_operators(), matrix_operators(), image_operators(),
        norm_operators(), attention_operators(), quantise_operators(), integer_operators(), quantised_operators()}) {
    for (const OperatorRow& row : rows) operators_.emplace(row.name, row.import);
  }
}

std::string OnnxImporter::unique(std::string name) {
  if (name.empty()) name = "node";
  std::string found = name;
  for (int i = 1; !names_.insert(found).second; ++i) found = fmt::format("{}.{}", name, i);
  return found;
}

Operand OnnxImporter::tensor(HostTensor tensor, std::string name) {
  check_integers(tensor, name);
  Operand operand;
  operand.dtype = tensor.type.dtype;
  operand.name = std::move(name);
  operand.constant = std::make_shared<const HostTensor>(std::move(tensor));
  return operand;
}

Operand OnnxImporter::integers(const std::vector<std::int64_t>& values) {
  return tensor({{DType::I64, {static_cast<std::int64_t>(values.size())}}, {values.begin(), values.end()}});
}

Operand OnnxImporter::integer(std::int64_t value) { return number(static_cast<double>(value), DType::I64); }

Operand OnnxImporter::number(double value, DType type) { return tensor({{type, {}}, {value}}); }

Operand OnnxImporter::shape(const OnnxNode& node, const Operand& x) { return add(node, "shape", {x}); }

Operand OnnxImporter::rank(const OnnxNode& node, const Operand& x) { return add(node, "size", {shape(node, x)}); }

Operand OnnxImporter::size_of(const OnnxNode& node, const Operand& x, std::int64_t axis) {
  Attributes attributes{{"start", axis}};
  if (axis != -1) attributes.set("end", axis + 1);
  return add(node, "shape", {x}, attributes);
}

Operand OnnxImporter::axes_from(const OnnxNode& node, const Operand& x, std::int64_t first) {
  const Operand end = first < 0 ? integer(0) : rank(node, x);
  return add(node, "range", {integer(first), end, integer(1)});
}

Operand OnnxImporter::cast(const OnnxNode& node, const Operand& x, DType type) {
  if (x.dtype == type) return x;
  return add(node, "cast", {x}, {{"to", std::string(dtype_name(type))}});
}

Operand OnnxImporter::transposed(const OnnxNode& node, const Operand& x) {
  const auto known = transposed_.find(x.constant);
  if (x.constant != nullptr && known != transposed_.end()) return known->second;
  const Operand y = add(node, "transpose", {x}, {{"perm", std::vector<std::int64_t>{1, 0}}});
  if (x.constant != nullptr && unrolling_ > 0) transposed_.emplace(x.constant, y);
  return y;
}

const Operand& OnnxImporter::required(const OnnxNode& node, const std::vector<Operand>& inputs, std::size_t i) {
  if (i >= inputs.size() || inputs[i].absent()) node.fail(fmt::format("input {} is missing", i));
  return inputs[i];
}

void OnnxImporter::note_narrowed(const OnnxNode& node, std::string_view op, const Attributes& attributes,
                                 const std::vector<Operand>& inputs, const std::vector<Operand>& results) {
  const auto is_f64 = [](const Operand& operand) {
    return operand.dtype == DType::F64 && operand.constant == nullptr && !operand.of_sizes && !operand.absent();
  };
  bool narrowed = std::ranges::any_of(inputs, is_f64);
  for (const Operand& result : results) {
    if (result.of_sizes) return;
    const DType type = result.dtype;
    narrowed = narrowed || type == DType::F64;
    const bool wide = type == DType::I64 || type == DType::U64 || type == DType::U32;
    if (wide && grows(op, attributes, type)) narrowed_integers_.insert(node.label());
    if (wide && node.op().starts_with("Cast") && is_floating(inputs[0].dtype)) narrowed_casts_.insert(node.label());
  }
  if (narrowed) narrowed_reals_.insert(node.label());
}

std::vector<std::string> OnnxImporter::notes() const {
  std::vector<std::string> notes;
  if (!narrowed_reals_.empty()) notes.push_back("f64 is computed in f32: " + some_of(narrowed_reals_));
  if (!narrowed_integers_.empty()) {
    notes.push_back("integers are computed in 32 bits with a sign, beyond which they wrap around: " +
                    some_of(narrowed_integers_));
  }
  if (!narrowed_casts_.empty()) {
    notes.push_back(
        "real numbers become integers of 32 bits with a sign; beyond them what a cast makes is undefined: " +
        some_of(narrowed_casts_));
  }
  return notes;
}

ValueId OnnxImporter::materialise(const Operand& operand) {
  if (operand.absent()) return kNoValue;
  if (operand.constant == nullptr) return operand.id;
  if (const auto known = placed_.find(operand.constant); known != placed_.end()) return known->second;
  const std::shared_ptr<const HostTensor> held = within_f32(operand.constant, operand.name);
  const HostTensor& constant = *held;
  if (unrolling_ > 0) {
    // Each step computes the same constants again.
    const std::size_t hash = hash_of(constant);
    const auto [first, last] = repeated_.equal_range(hash);
    const auto same =
        std::find_if(first, last, [&](const auto& entry) { return same_elements(*entry.second, constant); });
    if (same != last) return placed_.at(same->second);
    repeated_.emplace(hash, operand.constant);
  }
  const std::string name = unique(operand.name.empty() ? "constant" : operand.name);
  ValueId id = kNoValue;
  const bool real = is_floating(constant.type.dtype);
  // A matrix may be multiplied by, which takes a tensor of the file.
  const bool matrix = real && constant.type.shape.size() == 2;
  if (!matrix && constant.data.size() <= (real ? kMostReals : kMostIntegers)) {
    HostTensor small = constant;
    if (real) small.type.dtype = DType::F32;
    id = builder_.add("constant", name, {}, ops::constant_node(name, small, kNoValue).attributes);
  } else {
    tensors_.push_back(source_of(name, held));
    const SourceTensor& source = tensors_.back();
    id = builder_.weight(name, source.dtype, SymbolicShape(source.shape.begin(), source.shape.end()));
  }
  placed_.emplace(operand.constant, id);
  return id;
}

std::vector<Operand> OnnxImporter::add_many(const OnnxNode& node, std::string_view op,
                                            const std::vector<Operand>& inputs, Attributes attributes,
                                            std::size_t outputs) {
  std::vector<Operand> results(outputs);
  for (std::size_t i = 0; i < outputs; ++i) {
    results[i].dtype = result_type(op, inputs, attributes, i);
    // What moves integers of few bits leaves them as they are; nothing else takes them.
    if (!inputs.empty() && op != "cast" && results[i].dtype == inputs[0].dtype) results[i].bits = inputs[0].bits;
  }
  const bool constant = op != "constant" && std::ranges::all_of(inputs, [](const Operand& operand) {
                          return operand.absent() || operand.constant != nullptr;
                        });
  if (constant) {
    // The node computes with what the constants are.
    Node alone{std::string(op), node.label(), {}, {}, attributes};
    static const Bindings kNone;
    ops::InferContext context{alone, {}, kNone};
    ops::ReferenceContext reference{alone, {}, {}};
    std::vector<HostTensor> given;
    given.reserve(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      alone.inputs.push_back(inputs[i].absent() ? kNoValue : static_cast<ValueId>(i));
      given.push_back(inputs[i].absent() ? HostTensor{} : *inputs[i].constant);
      HostTensor* tensor = inputs[i].absent() ? nullptr : &given.back();
      context.inputs.push_back(tensor == nullptr ? nullptr : &tensor->type);
      context.known.push_back(tensor);
      reference.inputs.push_back(tensor);
    }
    for (std::size_t i = 0; i < outputs; ++i) alone.outputs.push_back(static_cast<ValueId>(inputs.size() + i));
    std::vector<TensorType> types;
    try {
      types = ops::infer_types(context);
    } catch (const Error& error) {
      node.fail(error.what());
    }
    if (types.size() < outputs) node.fail(fmt::format("has {} outputs, expected at most {}", outputs, types.size()));
    std::int64_t elements = 0;
    for (const TensorType& type : types) elements += element_count(type.shape);
    if (folded_ + elements <= kMostFolded) {
      folded_ += elements;
      std::vector<HostTensor> made;
      made.reserve(outputs);
      for (std::size_t i = 0; i < outputs; ++i) {
        made.push_back({types[i], std::vector<double>(static_cast<std::size_t>(element_count(types[i].shape)))});
        reference.outputs.push_back(&made.back());
      }
      ops::find_op(op)->reference(reference);
      for (std::size_t i = 0; i < outputs; ++i) {
        const DType dtype = results[i].dtype;
        if (is_floating(dtype) == is_floating(made[i].type.dtype)) made[i].type.dtype = dtype;
        const int bits = results[i].bits;
        results[i] = tensor(std::move(made[i]), node.label());
        results[i].dtype = dtype;
        results[i].bits = bits;
      }
      return results;
    }
  }
  const bool of_sizes = op == "shape" || op == "size" || std::ranges::all_of(inputs, [](const Operand& operand) {
                          return operand.absent() || operand.constant != nullptr || operand.of_sizes;
                        });
  for (Operand& result : results) result.of_sizes = of_sizes;
  note_narrowed(node, op, attributes, inputs, results);
  for (const Operand& operand : inputs) refuse_type(node, op, operand);
  std::vector<ValueId> ids;
  for (const Operand& operand : inputs) ids.push_back(materialise(operand));
  while (!ids.empty() && ids.back() == kNoValue) ids.pop_back();
  const std::vector<ValueId> made =
      builder_.add_many(std::string(op), unique(node.label()), std::move(ids), std::move(attributes), outputs);
  for (std::size_t i = 0; i < outputs; ++i) {
    results[i].id = made[i];
    results[i].name = node.label();
  }
  return results;
}

void OnnxImporter::count_node(const OnnxNode& node, std::int64_t count) {
  counted_ += count;
  if (counted_ > kMostNodes) {
    node.fail(fmt::format(
        "the model has more than {} nodes once functions are put in place and every step of its loops is, which is "
        "as many as heed reads",
        kMostNodes));
  }
}

void OnnxImporter::import_node(const onnx::NodeProto& proto, Scope& scope, const std::string& prefix,
                               std::int64_t opset) {
  const std::string name = proto.name().empty()
                               ? fmt::format("{} {}", proto.op_type(), proto.output_size() > 0 ? proto.output(0) : "")
                               : proto.name();
  const OnnxNode node(proto, opset, prefix + name);
  count_node(node);
  const auto function = functions_.find(proto.domain() + "/" + proto.op_type());
  std::vector<Operand> results;
  if (function != functions_.end()) {
    if (++depth_ > kMaxDepth) node.fail("functions call each other too deeply");
    import_call(*function->second, proto, scope, node.label() + "/");
    --depth_;
    return;
  }
  const bool own = proto.domain().empty() || proto.domain() == "ai.onnx";
  if (!own && proto.domain() != "com.microsoft") {
    node.fail(fmt::format("heed has no operators of domain {}", in_quotes(proto.domain())));
  }
  std::vector<Operand> inputs;
  for (const std::string& input : proto.input()) {
    if (input.empty()) {
      inputs.emplace_back();
      continue;
    }
    const auto found = scope.find(input);
    if (found == scope.end()) {
      node.fail(fmt::format("reads {}, which no node before it makes: nodes out of order, a cycle, or a missing tensor",
                            in_quotes(input)));
    }
    inputs.push_back(found->second);
  }
  const std::string op = own ? proto.op_type() : proto.domain() + "." + proto.op_type();
  if (op == "If" || op == "Loop" || op == "Scan") {
    if (++depth_ > kMaxDepth) node.fail("branches and loops are nested too deeply");
    results = op == "If"     ? take_branch(node, required(node, inputs, 0), scope)
              : op == "Loop" ? unroll_loop(node, inputs, scope)
                             : unroll_scan(node, inputs, scope);
    --depth_;
  } else {
    const auto row = operators_.find(op);
    if (row == operators_.end()) {
      node.fail(own ? "heed does not have this operator"
                    : fmt::format("heed does not have this operator of domain {}", in_quotes(proto.domain())));
    }
    results = row->second(*this, node, inputs);
    node.refuse_unread();
  }
  for (int i = 0; i < proto.output_size(); ++i) {
    if (proto.output(i).empty()) continue;
    const auto at = static_cast<std::size_t>(i);
    if (at >= results.size() || results[at].absent()) node.fail(fmt::format("heed does not make output {}", i));
    if (prefix.empty() && scope.contains(proto.output(i))) {
      node.fail(fmt::format("makes {}, which is there already", in_quotes(proto.output(i))));
    }
    scope[proto.output(i)] = results[at];
  }
}

void OnnxImporter::import_call(const onnx::FunctionProto& function, const onnx::NodeProto& call, Scope& scope,
                               const std::string& prefix) {
  Scope own;
  for (int i = 0; i < function.input_size(); ++i) {
    if (i >= call.input_size() || call.input(i).empty()) {
      own[function.input(i)] = Operand{};
      continue;
    }
    const auto found = scope.find(call.input(i));
    if (found == scope.end()) {
      throw Error(fmt::format("node {}: reads {}, which no node before it makes", in_quotes(call.name()),
                              in_quotes(call.input(i))));
    }
    own[function.input(i)] = found->second;
  }
  std::int64_t opset = opset_;
  for (const auto& import : function.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") opset = import.version();
  }
  for (const onnx::NodeProto& node : function.node()) {
    // Attributes may stand for those of the call.
    onnx::NodeProto bound = node;
    bound.clear_attribute();
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.ref_attr_name().empty()) {
        *bound.add_attribute() = attribute;
        continue;
      }
      for (const onnx::AttributeProto& given : call.attribute()) {
        if (given.name() != attribute.ref_attr_name()) continue;
        onnx::AttributeProto* copy = bound.add_attribute();
        *copy = given;
        copy->set_name(attribute.name());
      }
    }
    import_node(bound, own, prefix, opset);
  }
  for (int i = 0; i < std::min(call.output_size(), function.output_size()); ++i) {
    if (call.output(i).empty()) continue;
    const auto found = own.find(function.output(i));
    if (found == own.end()) {
      throw Error(fmt::format("function {}: nothing makes its output {}", in_quotes(function.name()),
                              in_quotes(function.output(i))));
    }
    scope[call.output(i)] = found->second;
  }
}

Checkpoint OnnxImporter::import() {
  for (const auto& import : model_.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") opset_ = import.version();
  }
  if (opset_ < kOldestOpset || opset_ > kNewestOpset) {
    throw Error(fmt::format("the model uses opset {}; heed reads {} to {}", opset_, kOldestOpset, kNewestOpset));
  }
  for (const onnx::FunctionProto& function : model_.functions()) {
    functions_.emplace(function.domain() + "/" + function.name(), &function);
  }
  const onnx::GraphProto& graph = model_.graph();
  for (const onnx::ValueInfoProto& output : graph.output()) names_.insert(output.name());
  Scope scope;
  import_initializers(graph, scope, true);
  add_inputs(graph, scope);
  for (const onnx::NodeProto& node : graph.node()) import_node(node, scope, "", opset_);
  add_outputs(graph, scope);

  Checkpoint checkpoint;
  checkpoint.family = "onnx";
  checkpoint.source = "onnx";
  checkpoint.name = valid_utf8(graph.name());
  checkpoint.parameters = {{"opset", opset_}, {"producer", valid_utf8(model_.producer_name())}};
  checkpoint.tensors = std::move(tensors_);
  checkpoint.notes = notes();
  checkpoint.graphs.push_back(std::move(builder_).finish());
  const std::vector<std::string> sizes = check_sizes(checkpoint.graphs.front(), graph);
  checkpoint.notes.insert(checkpoint.notes.end(), sizes.begin(), sizes.end());
  return checkpoint;
}

}  // namespace heed::convert
