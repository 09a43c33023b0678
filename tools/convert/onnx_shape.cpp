// ONNX's operators that make, move, pick and count elements.
#include <fmt/format.h>

#include "heed/error.h"
#include "tools/convert/onnx_import.h"
#include "tools/convert/onnx_tensor.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

Operands import_constant(OnnxImporter& import, const OnnxNode& node, const Operands&) {
  const std::string what = "constant " + node.label();
  if (const onnx::AttributeProto* value = node.find("value"); value != nullptr) {
    Operand constant = import.tensor(onnx_elements(value->t(), what, import.folder()), node.label());
    constant.bits = onnx_narrow_bits(value->t().data_type());
    return {constant};
  }
  if (node.has("value_float")) return {import.number(node.real("value_float", 0.0), DType::F32)};
  if (node.has("value_int")) return {import.integer(node.integer("value_int", 0))};
  if (node.has("value_ints")) return {import.integers(node.integers("value_ints"))};
  if (node.has("value_floats")) {
    std::vector<double> values = node.reals("value_floats");
    const auto count = static_cast<std::int64_t>(values.size());
    return {import.tensor({{DType::F32, {count}}, std::move(values)}, node.label())};
  }
  node.fail("has no value that heed reads");
}

Operands import_constant_of_shape(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  HostTensor value{{DType::F32, {1}}, {0.0}};
  if (const onnx::AttributeProto* given = node.find("value"); given != nullptr) {
    value = onnx_elements(given->t(), "value of " + node.label(), import.folder());
    if (value.data.size() != 1) node.fail(fmt::format("value has {} elements, expected 1", value.data.size()));
  }
  return {import.add(node, "constant_of_shape", {import.required(node, inputs, 0)},
                     {{"dtype", std::string(dtype_name(value.type.dtype))}, {"value", value.data[0]}})};
}

Operands import_shape(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Attributes attributes;
  for (const char* name : {"start", "end"}) {
    if (node.has(name)) attributes.set(name, node.integer(name, 0));
  }
  return {import.add(node, "shape", {import.required(node, inputs, 0)}, attributes)};
}

/// Operators whose inputs and attributes are those of heed's: name, op, integer attributes that are passed on.
struct Plain {
  std::string_view name;
  std::string_view op;
  std::size_t inputs;
  std::vector<std::pair<std::string_view, std::int64_t>> attributes;  // and their defaults
};

const std::vector<Plain>& plain() {
  static const std::vector<Plain> kRows = {
      {"Identity", "identity", 1, {}},
      {"Size", "size", 1, {}},
      {"Range", "range", 3, {}},
      {"Expand", "expand", 2, {}},
      {"Tile", "tile", 2, {}},
      {"Flatten", "flatten", 1, {{"axis", 1}}},
      {"Gather", "gather", 2, {{"axis", 0}}},
      {"GatherElements", "gather_elements", 2, {{"axis", 0}}},
      {"GatherND", "gather_nd", 2, {{"batch_dims", 0}}},
      {"CumSum", "cumsum", 2, {{"exclusive", 0}, {"reverse", 0}}},
  };
  return kRows;
}

Operands import_plain(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (const Plain& row : plain()) {
    if (node.op() != row.name) continue;
    Attributes attributes;
    for (const auto& [name, otherwise] : row.attributes) {
      attributes.set(std::string(name), node.integer(name, otherwise));
    }
    for (std::size_t i = 0; i < row.inputs; ++i) import.required(node, inputs, i);
    return {import.add(node, row.op, inputs, attributes)};
  }
  return {};
}

Operands import_reshape(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  return {import.add(node, "reshape", {import.required(node, inputs, 0), import.required(node, inputs, 1)},
                     {{"allow_zero", node.integer("allowzero", 0)}})};
}

/// Axes are an attribute before opset 13.
Operands import_squeeze(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Operand axes = OnnxImporter::optional(inputs, 1);
  if (node.opset() < 13 && node.has("axes")) axes = import.integers(node.integers("axes"));
  const bool squeeze = node.op() == "Squeeze";
  if (!squeeze && axes.absent()) node.fail("axes are missing");
  return {import.add(node, squeeze ? "squeeze" : "unsqueeze", {import.required(node, inputs, 0), axes})};
}

Operands import_transpose(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Attributes attributes;
  if (node.has("perm")) attributes.set("perm", node.integers("perm"));
  return {import.add(node, "transpose", {import.required(node, inputs, 0)}, attributes)};
}

Operands import_concat(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, inputs.size()); ++i) import.required(node, inputs, i);
  return {import.add(node, "concat", inputs, {{"axis", node.integer("axis", 0)}})};
}

Operands import_slice(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  if (node.opset() >= 10) {
    for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
    return {import.add(node, "slice", inputs)};
  }
  Operands all = {import.required(node, inputs, 0), import.integers(node.integers("starts")),
                  import.integers(node.integers("ends"))};
  if (node.has("axes")) all.push_back(import.integers(node.integers("axes")));
  return {import.add(node, "slice", all)};
}

Operands import_split(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Operand sizes = OnnxImporter::optional(inputs, 1);
  if (node.opset() < 13 && node.has("split")) sizes = import.integers(node.integers("split"));
  const auto outputs = static_cast<std::size_t>(node.proto().output_size());
  if (node.has("num_outputs") && node.integer("num_outputs", 0) != node.proto().output_size()) {
    node.fail(fmt::format("num_outputs is {}, but it has {} outputs", node.integer("num_outputs", 0), outputs));
  }
  return import.add_many(node, "split", {import.required(node, inputs, 0), sizes}, {{"axis", node.integer("axis", 0)}},
                         outputs);
}

Operands import_pad(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  Operands all = {x, OnnxImporter::optional(inputs, 1), OnnxImporter::optional(inputs, 2),
                  OnnxImporter::optional(inputs, 3)};
  if (node.opset() < 11) {
    all[1] = import.integers(node.integers("pads"));
    all[2] = import.number(node.real("value", 0.0), x.dtype);
  }
  if (all[1].absent()) node.fail("pads are missing");
  return {import.add(node, "pad", all, {{"mode", node.text("mode", "constant")}})};
}

Operands import_scatter(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
  Attributes attributes{{"reduction", node.text("reduction", "none")}};
  if (node.op() == "ScatterND") return {import.add(node, "scatter_nd", inputs, attributes)};
  attributes.set("axis", node.integer("axis", 0));
  return {import.add(node, "scatter_elements", inputs, attributes)};
}

/// [B, C, H, W] with blocks of pixels as channels, and back: reshape, transpose, reshape.
Operands import_depth_to_space(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const std::int64_t b = node.integer("blocksize", 0);
  if (b < 1) node.fail(fmt::format("blocksize is {}", b));
  const Operand batch = import.size_of(node, x, 0);
  const Operand pixels = import.add(node, "shape", {x}, {{"start", std::int64_t{2}}, {"end", std::int64_t{4}}});
  const Operand block = import.integers({b, b});
  const auto concat = [&](const Operands& parts) {
    return import.add(node, "concat", parts, {{"axis", std::int64_t{0}}});
  };
  const auto reshape = [&](const Operand& from, const Operand& shape) {
    return import.add(node, "reshape", {from, shape});
  };
  const auto transpose = [&](const Operand& from, std::vector<std::int64_t> perm) {
    return import.add(node, "transpose", {from}, {{"perm", std::move(perm)}});
  };
  if (node.op() == "DepthToSpace") {
    const std::string mode = node.text("mode", "DCR");
    if (mode != "DCR" && mode != "CRD") node.fail("mode is '" + mode + "', expected DCR or CRD");
    const Operand channels = import.integers({-1});
    const Operand split = mode == "DCR" ? reshape(x, concat({batch, block, channels, pixels}))
                                        : reshape(x, concat({batch, channels, block, pixels}));
    const Operand mixed = transpose(split, mode == "DCR" ? std::vector<std::int64_t>{0, 3, 4, 1, 5, 2}
                                                         : std::vector<std::int64_t>{0, 1, 4, 2, 5, 3});
    return {reshape(mixed, concat({batch, channels, import.add(node, "mul", {pixels, block})}))};
  }
  const Operand height = import.add(node, "div", {import.size_of(node, x, 2), import.integers({b})});
  const Operand width = import.add(node, "div", {import.size_of(node, x, 3), import.integers({b})});
  const Operand split = reshape(
      x, concat({batch, import.size_of(node, x, 1), height, import.integers({b}), width, import.integers({b})}));
  return {reshape(transpose(split, {0, 3, 5, 1, 2, 4}), concat({batch, import.integers({-1}), height, width}))};
}

/// Training's dropout does nothing afterwards. The mask, where it is asked for, lets everything through.
Operands import_dropout(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  node.real("ratio", 0.5);
  node.integer("seed", 0);
  const Operand training = OnnxImporter::optional(inputs, 2);
  if (!training.absent() && (training.constant == nullptr || training.constant->data[0] != 0.0)) {
    node.fail("is in training mode, or may be; heed only runs models");
  }
  Operands results = {import.add(node, "identity", {x})};
  if (node.proto().output_size() > 1) {
    results.push_back(
        import.add(node, "constant_of_shape", {import.shape(node, x)},
                   {{"dtype", std::string(node.opset() < 10 ? dtype_name(x.dtype) : "bool")}, {"value", 1.0}}));
  }
  return results;
}

/// Indices and depth may be of any type; the values of `values` are the result's.
Operands import_one_hot(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  return {
      import.add(node, "one_hot",
                 {import.cast(node, import.required(node, inputs, 0), DType::I64),
                  import.cast(node, import.required(node, inputs, 1), DType::I64), import.required(node, inputs, 2)},
                 {{"axis", node.integer("axis", -1)}})};
}

Operands import_trilu(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  return {import.add(node, "triangle", {import.required(node, inputs, 0), OnnxImporter::optional(inputs, 1)},
                     {{"upper", node.integer("upper", 1)}})};
}

/// Cuts or pads the axes around their centre to the sizes asked for, one more at the end where it is odd.
Operands import_center_crop_pad(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand& wanted = import.required(node, inputs, 1);
  const Operand axes = node.has("axes") ? import.integers(node.integers("axes")) : import.axes_from(node, x, 0);
  const Operand size = import.add(node, "gather", {import.shape(node, x), axes}, {{"axis", std::int64_t{0}}});
  const Operand zero = import.integers({0});
  const Operand two = import.integers({2});
  const Operand excess = import.add(node, "max", {import.add(node, "sub", {size, wanted}), zero});
  const Operand start = import.add(node, "div", {excess, two});
  const Operand end = import.add(node, "add", {start, import.add(node, "min", {size, wanted})});
  const Operand cut = import.add(node, "slice", {x, start, end, axes});
  const Operand lack = import.add(node, "max", {import.add(node, "sub", {wanted, size}), zero});
  const Operand before = import.add(node, "div", {lack, two});
  const Operand pads =
      import.add(node, "concat", {before, import.add(node, "sub", {lack, before})}, {{"axis", std::int64_t{0}}});
  return {import.add(node, "pad", {cut, pads, Operand{}, axes}, {{"mode", "constant"}})};
}

/// Ones on the k-th diagonal of a matrix as large as x.
Operands import_eye(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const auto wanted = static_cast<int>(node.integer("dtype", 0));
  const DType type = wanted == 0 ? x.dtype : onnx_type(wanted, "dtype of " + node.label());
  const Operand k = import.integer(node.integer("k", 0));
  const Operand ones = import.add(node, "constant_of_shape", {import.shape(node, x)},
                                  {{"dtype", std::string(dtype_name(type))}, {"value", 1.0}});
  const Operand upper = import.add(node, "triangle", {ones, k}, {{"upper", std::int64_t{1}}});
  return {import.add(node, "triangle", {upper, k}, {{"upper", std::int64_t{0}}})};
}

/// Of each row of the batch the first steps come backwards, as many as its length says.
Operands import_reverse_sequence(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  const Operand length = import.cast(node, import.required(node, inputs, 1), DType::I64);
  const std::int64_t time = node.integer("time_axis", 0);
  const std::int64_t batch = node.integer("batch_axis", 1);
  if (time < 0 || time > 1 || batch != 1 - time) {
    node.fail(fmt::format("time_axis is {} and batch_axis {}, expected 0 and 1 or 1 and 0", time, batch));
  }
  const Operand end = import.add(node, "squeeze", {import.size_of(node, x, time)});
  const Operand steps =
      import.add(node, "unsqueeze",
                 {import.add(node, "range", {import.integer(0), end, import.integer(1)}), import.integers({batch})});
  const Operand lengths = import.add(node, "unsqueeze", {length, import.integers({time})});
  const Operand mirrored = import.add(node, "sub", {import.add(node, "sub", {lengths, import.integer(1)}), steps});
  const Operand within = import.add(node, "less", {steps, lengths});
  const Operand from = import.add(node, "where", {within, mirrored, steps});
  const Operand all = import.add(
      node, "expand", {import.add(node, "unsqueeze", {from, import.axes_from(node, x, 2)}), import.shape(node, x)});
  return {import.add(node, "gather_elements", {x, all}, {{"axis", time}})};
}

/// Rows of `update` take the place of those of a cache, for each batch from its own position on.
Operands import_tensor_scatter(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& cache = import.required(node, inputs, 0);
  const Operand& update = import.required(node, inputs, 1);
  const std::int64_t axis = node.integer("axis", -2);
  const std::string mode = node.text("mode", "linear");
  if (mode != "linear" && mode != "circular") node.fail("mode is '" + mode + "', expected linear or circular");
  const auto one = [&](std::int64_t value) { return import.integer(value); };
  const Operand rows =
      import.add(node, "range", {one(0), import.add(node, "squeeze", {import.size_of(node, update, axis)}), one(1)});
  // [rows, 1, ..]: as many dimensions as lie behind the axis.
  const Operand behind = axis < 0 ? one(-axis) : import.add(node, "sub", {import.rank(node, update), one(axis)});
  Operand index = import.add(node, "unsqueeze", {rows, import.add(node, "range", {one(1), behind, one(1)})});
  if (const Operand first = OnnxImporter::optional(inputs, 2); !first.absent()) {
    const Operand axes = import.add(node, "range", {one(1), import.rank(node, update), one(1)});
    index = import.add(node, "add", {index, import.add(node, "unsqueeze", {first, axes})});
  }
  if (mode == "circular") index = import.add(node, "mod", {index, import.size_of(node, cache, axis)});
  index = import.add(node, "expand", {index, import.shape(node, update)});
  return {import.add(node, "scatter_elements", {cache, index, update}, {{"axis", axis}, {"reduction", "none"}})};
}

}  // namespace

std::vector<OperatorRow> shape_operators() {
  std::vector<OperatorRow> rows = {{"Constant", import_constant},
                                   {"ConstantOfShape", import_constant_of_shape},
                                   {"Shape", import_shape},
                                   {"Reshape", import_reshape},
                                   {"Squeeze", import_squeeze},
                                   {"Unsqueeze", import_squeeze},
                                   {"Transpose", import_transpose},
                                   {"Concat", import_concat},
                                   {"Slice", import_slice},
                                   {"Split", import_split},
                                   {"Pad", import_pad},
                                   {"Scatter", import_scatter},
                                   {"ScatterElements", import_scatter},
                                   {"ScatterND", import_scatter},
                                   {"DepthToSpace", import_depth_to_space},
                                   {"SpaceToDepth", import_depth_to_space},
                                   {"Dropout", import_dropout},
                                   {"OneHot", import_one_hot},
                                   {"TensorScatter", import_tensor_scatter},
                                   {"Trilu", import_trilu},
                                   {"EyeLike", import_eye},
                                   {"ReverseSequence", import_reverse_sequence},
                                   {"CenterCropPad", import_center_crop_pad}};
  for (const Plain& row : plain()) rows.push_back({row.name, import_plain});
  return rows;
}

}  // namespace heed::convert
