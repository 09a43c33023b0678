// The layers that models/generator.h lists.
#include <cmath>

#include "heed/error.h"
#include "models/generator_builder.h"

namespace heed::models {
namespace {

constexpr double kNormEps = 1e-5;  // PyTorch's

double eps_of(ParameterReader& reader) { return reader.has("eps") ? reader.positive("eps") : kNormEps; }

}  // namespace

ValueId GeneratorBuilder::conv(const std::string& part, ValueId x, Shape& shape, const ConvSizes& sizes,
                               const char* activation) {
  const std::int64_t in = shape[0];
  const auto& [out, kernel, stride, padding, groups, transposed, output_padding] = sizes;
  if (in % groups != 0 || out % groups != 0) {
    throw Error(fmt::format("generator model: {}: {} groups of {} and {} channels", label(part), groups, in, out));
  }
  const Shape weight_shape =
      transposed ? Shape{in, out / groups, kernel, kernel} : Shape{out, in / groups, kernel, kernel};
  const ValueId w = weights_.required(tensor(part.empty() ? "weight" : part + ".weight"), weight_shape);
  const ValueId bias = weights_.optional(tensor(part.empty() ? "bias" : part + ".bias"), {out});
  shape[0] = out;
  for (std::size_t i = 1; i < 3; ++i) {
    shape[i] = transposed ? (shape[i] - 1) * stride - 2 * padding + kernel + output_padding
                          : (shape[i] + 2 * padding - kernel) / stride + 1;
    if (shape[i] < 1) {
      throw Error(fmt::format("generator model: {}: makes pictures of {} pixels", label(part), shape[i]));
    }
  }
  Attributes attributes{{"strides", std::vector<std::int64_t>{stride, stride}},
                        {"pads", std::vector<std::int64_t>{padding, padding, padding, padding}},
                        {"groups", groups},
                        {"activation", activation}};
  if (transposed) attributes.set("output_padding", std::vector<std::int64_t>{output_padding, output_padding});
  return graph_.add(transposed ? "conv_transpose" : "conv", label(part), {x, w, bias}, std::move(attributes));
}

ValueId GeneratorBuilder::resized(const std::string& node, ValueId x, const Shape& to) {
  return graph_.add("resize", node, {x, kNoValue, kNoValue, integers({to[1], to[2]})},
                    {{"mode", "linear"}, {"coordinate_mode", "half_pixel"}, {"axes", std::vector<std::int64_t>{2, 3}}});
}

void GeneratorBuilder::linear(ParameterReader& reader) {
  const std::int64_t out = reader.size("out");
  x_ = graph_.add("linear", label(), {x_, weight("weight", {out, row(reader)}), optional("bias", {out})});
  shape_ = {out};
}

void GeneratorBuilder::reshape(ParameterReader& reader) {
  const Shape made = shape_in(reader, reader.value("shape"), "shape");
  if (element_count(made) != element_count(shape_)) {
    reader.fail(fmt::format("cannot make {} of {}", to_string(made), to_string(shape_)));
  }
  x_ = graph_.add("reshape", label(), {x_, batch_of(made)});
  shape_ = made;
}

void GeneratorBuilder::flatten(ParameterReader& reader) {
  shape_ = {element_count(pictures(reader))};
  x_ = graph_.add("reshape", label(), {x_, batch_of(shape_)});
}

void GeneratorBuilder::convolution(ParameterReader& reader, bool transposed) {
  pictures(reader);
  ConvSizes sizes;
  sizes.transposed = transposed;
  sizes.out = reader.size("out");
  sizes.kernel = reader.size("kernel");
  sizes.stride = reader.size("stride");
  sizes.padding = reader.integer("padding", 0, 1 << 20);
  if (reader.has("groups")) sizes.groups = reader.size("groups");
  if (transposed && reader.has("output_padding")) sizes.output_padding = reader.integer("output_padding", 0, 1 << 20);
  x_ = conv("", x_, shape_, sizes, "none");
}

void GeneratorBuilder::batch_norm(ParameterReader& reader) {
  if (shape_.empty()) reader.fail("needs numbers");
  const Shape channels = {shape_[0]};
  x_ = graph_.add("batch_norm", label(),
                  {x_, weight("weight", channels), weight("bias", channels), weight("running_mean", channels),
                   weight("running_var", channels)},
                  {{"eps", eps_of(reader)}});
}

void GeneratorBuilder::group_norm(ParameterReader& reader, std::int64_t groups) {
  const Shape channels = {pictures(reader)[0]};
  if (groups > 0 && channels[0] % groups != 0) reader.fail(fmt::format("{} groups of {}", groups, to_string(shape_)));
  x_ = graph_.add("group_norm", label(), {x_, optional("weight", channels), optional("bias", channels)},
                  {{"groups", groups}, {"eps", eps_of(reader)}});
}

void GeneratorBuilder::leaky_relu(ParameterReader& reader) {
  x_ = graph_.add("leaky_relu", label(), {x_}, {{"alpha", reader.positive("slope")}});
}

void GeneratorBuilder::dropout(ParameterReader& reader) {
  if (reader.has("p")) reader.number("p");
}

void GeneratorBuilder::upsample(ParameterReader& reader) {
  pictures(reader);
  const std::int64_t scale = reader.size("scale");
  for (std::size_t i = 1; i < 3; ++i) shape_[i] *= scale;
  if (reader.choice("mode", {"nearest", "linear"}) == "linear") {
    x_ = resized(label(), x_, shape_);
    return;
  }
  const std::vector<double> scales(2, static_cast<double>(scale));
  const ValueId list =
      graph_.add("constant", label("scales"), {}, {{"dtype", "f32"}, {"shape", Shape{2}}, {"values", scales}});
  x_ = graph_.add("resize", label(), {x_, kNoValue, list},
                  {{"mode", "nearest"},
                   {"coordinate_mode", "asymmetric"},
                   {"nearest_mode", "floor"},
                   {"axes", std::vector<std::int64_t>{2, 3}}});
}

void GeneratorBuilder::pool(ParameterReader& reader) {
  pictures(reader);
  const std::int64_t kernel = reader.size("kernel");
  const std::int64_t stride = reader.size("stride");
  for (std::size_t i = 1; i < 3; ++i) {
    if (shape_[i] < kernel) reader.fail(fmt::format("windows of {} in {}", kernel, to_string(shape_)));
    shape_[i] = (shape_[i] - kernel) / stride + 1;
  }
  x_ = graph_.add(
      type_, label(), {x_},
      {{"kernel", std::vector<std::int64_t>{kernel, kernel}}, {"strides", std::vector<std::int64_t>{stride, stride}}});
}

void GeneratorBuilder::pixel_shuffle(ParameterReader& reader) {
  const Shape from = pictures(reader);
  const std::int64_t factor = reader.integer("factor", 1, 1 << 15);
  if (from[0] % (factor * factor) != 0) {
    reader.fail(fmt::format("{} channels are no multiple of {}", from[0], factor * factor));
  }
  shape_ = {from[0] / (factor * factor), from[1] * factor, from[2] * factor};
  const ValueId split =
      graph_.add("reshape", label("split"), {x_, integers({0, shape_[0], factor, factor, from[1], from[2]})});
  const ValueId mixed =
      graph_.add("transpose", label("mixed"), {split}, {{"perm", std::vector<std::int64_t>{0, 1, 4, 2, 5, 3}}});
  x_ = graph_.add("reshape", label(), {mixed, batch_of(shape_)});
}

void GeneratorBuilder::join_class(ParameterReader& reader) {
  const bool one_hot = reader.choice("encoding", {"embedding", "one_hot"}) == "one_hot";
  std::int64_t width = one_hot ? class_count(reader) : reader.integer("width", 1, 1 << 24);
  ValueId code = embedded_class(label("class"), one_hot ? "" : tensor("weight"), width);
  if (shape_.size() == 3) {
    code = graph_.add("reshape", label("pixel"), {code, integers({0, width, 1, 1})});
    code = graph_.add("expand", label("planes"), {code, integers({1, 1, shape_[1], shape_[2]})});
  }
  const bool first = reader.has("first") && reader.boolean("first");
  const std::vector<ValueId> both = first ? std::vector{code, x_} : std::vector{x_, code};
  x_ = graph_.add("concat", label(), both, {{"axis", std::int64_t{1}}});
  shape_[0] += width;
}

void GeneratorBuilder::self_attention(ParameterReader& reader) {
  const std::int64_t inner = reader.size("inner");
  const Shape shape = pictures(reader);
  const ValueId flat = integers({0, 0, -1});
  const auto project = [&](const char* part, std::int64_t out) {
    Shape made = shape;
    const ValueId y = conv(part, x_, made, {out}, "none");
    return graph_.add("reshape", label(part) + ".flat", {y, flat});
  };
  const ValueId f = project("f", inner);
  const ValueId g = project("g", inner);
  const ValueId h = project("h", shape[0]);
  const ValueId scores = graph_.add("matmul", label("scores"), {f, g}, {{"transpose_a", std::int64_t{1}}});
  const ValueId weights = graph_.add("softmax", label("weights"), {scores}, {{"axis", std::int64_t{1}}});
  const std::string output = fmt::format("attention.{}{}", path_, index_);
  outputs_.emplace_back(weights, output);
  roles_[output] = {{"role", "attention"}, {"normalised", "columns"}, {"size", {shape[1], shape[2]}}};
  const ValueId sums = graph_.add("matmul", label("sums"), {h, weights});
  const ValueId o = graph_.add("reshape", label("o"), {sums, batch_of(shape)});
  const ValueId scaled = graph_.add("mul", label("scaled"), {o, weight("gamma", {1})});
  x_ = graph_.add("add", label(), {x_, scaled});
}

void GeneratorBuilder::attention_map(ParameterReader& reader) {
  ConvSizes sizes;
  sizes.out = reader.size("inner");
  sizes.kernel = reader.size("kernel");
  sizes.padding = reader.integer("padding", 0, 1 << 20);
  if (reader.has("stride")) sizes.stride = reader.size("stride");
  ConvSizes last = sizes;
  last.out = reader.size("out");
  if (reader.has("out_kernel")) last.kernel = reader.size("out_kernel");
  if (reader.has("out_stride")) last.stride = reader.size("out_stride");
  if (reader.has("out_padding")) last.padding = reader.integer("out_padding", 0, 1 << 20);
  Shape shape = pictures(reader);
  ValueId m = conv("conv1", x_, shape, sizes, "relu");
  m = conv("conv2", m, shape, sizes, "relu");
  sizes.out = 1;
  m = conv("conv3", m, shape, sizes, "sigmoid");
  const std::string output = fmt::format("map.{}{}", path_, index_);
  outputs_.emplace_back(m, output);
  roles_[output] = {{"role", "map"}};
  if (shape[1] != shape_[1] || shape[2] != shape_[2]) m = resized(label("resized"), m, shape_);
  const ValueId weighed = graph_.add("mul", label("weighed"), {x_, m});
  const ValueId sum = graph_.add("add", label("sum"), {weighed, x_});
  x_ = conv("out", sum, shape_, last, "relu");
}

void GeneratorBuilder::mean_and_log_variance(ParameterReader& reader) {
  const std::int64_t out = reader.size("out");
  const std::int64_t in = row(reader);
  const auto project = [&](const char* part) {
    const std::string from = reader.has(part) ? reader.text(part) : tensor(part);
    return graph_.add("linear", label(part),
                      {x_, weights_.required(from + ".weight", {out, in}), weights_.optional(from + ".bias", {out})});
  };
  const ValueId mean = project("mean");
  outputs_.emplace_back(project("log_variance"), "log_variance");
  x_ = mean;
  shape_ = {out};
}

void GeneratorBuilder::residual(ParameterReader& reader) {
  const ValueId from = x_;
  const Shape shape = pictures(reader);
  const std::string outer_path = path_;
  const std::size_t outer_index = index_;
  const std::string outer_tensors = tensors_;
  const std::string shortcut = reader.has("shortcut") ? reader.text("shortcut") : "";
  nlohmann::json inside = {{"layers", reader.value("layers")}};
  add_layers(inside, label() + ".", outer_tensors);
  path_ = outer_path;
  index_ = outer_index;
  tensors_ = outer_tensors;
  Shape made = shape;
  ValueId skipped = from;
  if (!shortcut.empty()) skipped = conv(shortcut, from, made, {shape_.empty() ? 1 : shape_[0]}, "none");
  if (made != shape_) {
    reader.fail(fmt::format("its layers make {} of {}; give a 'shortcut' where channels change", to_string(shape_),
                            to_string(shape)));
  }
  x_ = graph_.add("add", label(), {skipped, x_});
}

void GeneratorBuilder::attention_block(ParameterReader& reader) {
  const Shape shape = pictures(reader);
  const std::int64_t groups = reader.size("groups");
  if (shape[0] % groups != 0) reader.fail(fmt::format("{} groups of {}", groups, to_string(shape)));
  const ValueId normed =
      graph_.add("group_norm", label("norm"), {x_, weight("norm.weight", {shape[0]}), weight("norm.bias", {shape[0]})},
                 {{"groups", groups}, {"eps", eps_of(reader)}});
  const ValueId flat = integers({0, 0, -1});
  const auto project = [&](const char* part) {
    Shape made = shape;
    return graph_.add("reshape", label(part) + ".flat", {conv(part, normed, made, {shape[0]}, "none"), flat});
  };
  const ValueId q = project("q");
  const ValueId k = project("k");
  const ValueId v = project("v");
  const double scale = 1.0 / std::sqrt(static_cast<double>(shape[0]));
  const ValueId scores = graph_.add("matmul", label("scores"), {q, k},  // (batch, looking, looked at)
                                    {{"transpose_a", std::int64_t{1}}, {"alpha", scale}});
  const ValueId weights = graph_.add("softmax", label("weights"), {scores}, {{"axis", std::int64_t{2}}});
  const ValueId sums = graph_.add("matmul", label("sums"), {v, weights}, {{"transpose_b", std::int64_t{1}}});
  const ValueId o = graph_.add("reshape", label("o"), {sums, batch_of(shape)});
  Shape made = shape;
  x_ = graph_.add("add", label(), {x_, conv("proj_out", o, made, {shape[0]}, "none")});
}

}  // namespace heed::models
