// ONNX's operators over space: convolutions, pooling, resizing.
#include <fmt/format.h>

#include <algorithm>

#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

/// Attributes of windows that slide.
Attributes windows(const OnnxNode& node, std::initializer_list<std::string_view> lists) {
  Attributes attributes{{"auto_pad", lower_case(node.text("auto_pad", "NOTSET"))}};
  for (const std::string_view list : lists) {
    if (node.has(list)) attributes.set(std::string(list), node.integers(list));
  }
  return attributes;
}

Operands import_conv(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  import.required(node, inputs, 0);
  Attributes attributes = convolution_attributes(node, import.required(node, inputs, 1));
  if (node.op() == "Conv") return {import.add(node, "conv", inputs, attributes)};
  for (const char* list : {"output_padding", "output_shape"}) {
    if (node.has(list)) attributes.set(list, node.integers(list));
  }
  return {import.add(node, "conv_transpose", inputs, attributes)};
}

Operands import_pool(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Attributes attributes = pool_attributes(node);
  const Operand& x = import.required(node, inputs, 0);
  if (node.op() == "AveragePool") {
    attributes.set("count_include_pad", node.integer("count_include_pad", 0));
    return {import.add(node, "average_pool", {x}, attributes)};
  }
  if (node.op() == "LpPool") {
    attributes.set("p", node.integer("p", 2));
    return {import.add(node, "lp_pool", {x}, attributes)};
  }
  attributes.set("storage_order", node.integer("storage_order", 0));
  return import.add_many(node, "max_pool", {x}, attributes, std::max(1, node.proto().output_size()));
}

/// Resize of opset 10 has neither a region nor modes; Upsample is Resize with them as they were then.
Operands import_resize(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Operand& x = import.required(node, inputs, 0);
  std::string mode = node.text("mode", "nearest");
  if (mode == "bilinear" || mode == "trilinear") mode = "linear";
  Attributes attributes{{"mode", mode}};
  if (node.op() == "Upsample" || node.opset() < 11) {
    Operand scales = OnnxImporter::optional(inputs, 1);
    if (node.has("scales")) {
      std::vector<double> values = node.reals("scales");
      const auto count = static_cast<std::int64_t>(values.size());
      scales = import.tensor({{DType::F32, {count}}, std::move(values)});
    }
    attributes.set("coordinate_mode", "asymmetric");
    attributes.set("nearest_mode", "floor");
    return {import.add(node, "resize", {x, Operand{}, scales}, attributes)};
  }
  attributes.set("coordinate_mode", node.text("coordinate_transformation_mode", "half_pixel"));
  attributes.set("nearest_mode", node.text("nearest_mode", "round_prefer_floor"));
  attributes.set("cubic_coeff_a", node.real("cubic_coeff_a", -0.75));
  attributes.set("exclude_outside", node.integer("exclude_outside", 0));
  attributes.set("extrapolation_value", node.real("extrapolation_value", 0.0));
  attributes.set("antialias", node.integer("antialias", 0));
  attributes.set("keep_aspect_ratio_policy", node.text("keep_aspect_ratio_policy", "stretch"));
  if (node.has("axes")) attributes.set("axes", node.integers("axes"));
  Operands all = {x, OnnxImporter::optional(inputs, 1), OnnxImporter::optional(inputs, 2),
                  OnnxImporter::optional(inputs, 3)};
  // Exporters write an empty list for an input that is not there.
  for (std::size_t i = 1; i < 4; ++i) {
    if (all[i].constant != nullptr && all[i].constant->data.empty()) all[i] = Operand{};
  }
  return {import.add(node, "resize", all, attributes)};
}

Operands import_grid_sample(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  std::string mode = node.text("mode", "linear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  return {import.add(node, "grid_sample", {import.required(node, inputs, 0), import.required(node, inputs, 1)},
                     {{"mode", mode},
                      {"padding_mode", node.text("padding_mode", "zeros")},
                      {"align_corners", node.integer("align_corners", 0)}})};
}

Operands import_col2im(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  Attributes attributes;
  for (const char* list : {"dilations", "pads", "strides"}) {
    if (node.has(list)) attributes.set(list, node.integers(list));
  }
  for (std::size_t i = 0; i < 3; ++i) import.required(node, inputs, i);
  return {import.add(node, "col2im", inputs, attributes)};
}

}  // namespace

Attributes convolution_attributes(const OnnxNode& node, const Operand& w) {
  Attributes attributes = windows(node, {"strides", "pads", "dilations"});
  attributes.set("groups", node.integer("group", 1));
  // The weight says it too.
  const std::vector<std::int64_t> kernel = node.integers("kernel_shape");
  if (w.constant != nullptr && !kernel.empty()) {
    const Shape& shape = w.constant->type.shape;
    if (shape.size() != kernel.size() + 2 || !std::equal(kernel.begin(), kernel.end(), shape.begin() + 2)) {
      node.fail(fmt::format("kernel_shape is {}, but the weight is {}", to_string(Shape(kernel)), to_string(shape)));
    }
  }
  return attributes;
}

Attributes pool_attributes(const OnnxNode& node) {
  Attributes attributes = windows(node, {"strides", "pads", "dilations"});
  attributes.set("kernel", node.integers("kernel_shape"));
  attributes.set("ceil_mode", node.integer("ceil_mode", 0));
  return attributes;
}

std::vector<OperatorRow> image_operators() {
  return {{"Conv", import_conv},       {"ConvTranspose", import_conv},
          {"MaxPool", import_pool},    {"AveragePool", import_pool},
          {"LpPool", import_pool},     {"Resize", import_resize},
          {"Upsample", import_resize}, {"GridSample", import_grid_sample},
          {"Col2Im", import_col2im}};
}

}  // namespace heed::convert
