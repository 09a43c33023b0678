#include "models/generator.h"

#include <fmt/format.h>

#include "heed/error.h"

namespace heed::models {
namespace {

constexpr double kNormEps = 1e-5;  // PyTorch's

/// Builds the graph layer by layer; knows what shape the layers have made, the batch aside.
class Builder {
 public:
  Builder(const nlohmann::json& parameters, const TensorTable& tensors)
      : parameters_(parameters), graph_("draw"), weights_(graph_, tensors) {}

  Graph build();

 private:
  void add_layer(const nlohmann::json& layer);
  void self_attention(ParameterReader& reader);
  void attention_map(ParameterReader& reader);
  ValueId conv(const std::string& op, const std::string& name, ValueId x, Shape& shape, std::int64_t out,
               std::int64_t kernel, std::int64_t stride, std::int64_t padding, const char* activation);

  ValueId integers(std::vector<std::int64_t> values) {
    const auto count = static_cast<std::int64_t>(values.size());
    return graph_.add("constant", fmt::format("sizes.{}", constants_++), {},
                      {{"dtype", "i64"}, {"shape", Shape{count}}, {"integers", std::move(values)}});
  }
  std::string name(const std::string& part = "") const {
    return fmt::format("layers.{}{}{}", index_, part.empty() ? "" : ".", part);
  }
  ValueId weight(const std::string& part, const Shape& shape) { return weights_.required(name(part), shape); }
  /// Throws Error unless what has been made is pictures.
  const Shape& pictures(const ParameterReader& reader) const {
    if (shape_.size() != 3) reader.fail(fmt::format("needs pictures, but gets {}", to_string(shape_)));
    return shape_;
  }

  const nlohmann::json& parameters_;
  GraphBuilder graph_;
  WeightSource weights_;
  ValueId x_ = kNoValue;
  Shape shape_;
  std::size_t index_ = 0;
  int constants_ = 0;
  std::vector<std::pair<ValueId, std::string>> maps_;
};

ValueId Builder::conv(const std::string& op, const std::string& layer, ValueId x, Shape& shape, std::int64_t out,
                      std::int64_t kernel, std::int64_t stride, std::int64_t padding, const char* activation) {
  const bool transposed = op == "conv_transpose";
  const std::int64_t in = shape[0];
  const Shape weight_shape = transposed ? Shape{in, out, kernel, kernel} : Shape{out, in, kernel, kernel};
  const ValueId w = weights_.required(layer + ".weight", weight_shape);
  const ValueId bias = weights_.optional(layer + ".bias", {out});
  shape[0] = out;
  for (std::size_t i = 1; i < 3; ++i) {
    shape[i] =
        transposed ? (shape[i] - 1) * stride - 2 * padding + kernel : (shape[i] + 2 * padding - kernel) / stride + 1;
    if (shape[i] < 1) throw Error(fmt::format("generator model: {}: makes pictures of {} pixels", layer, shape[i]));
  }
  return graph_.add(op, layer, {x, w, bias},
                    {{"strides", std::vector<std::int64_t>{stride, stride}},
                     {"pads", std::vector<std::int64_t>{padding, padding, padding, padding}},
                     {"activation", activation}});
}

void Builder::self_attention(ParameterReader& reader) {
  const std::int64_t inner = reader.size("inner");
  const Shape shape = pictures(reader);
  const ValueId flat = integers({0, 0, -1});
  const auto project = [&](const char* part, std::int64_t out) {
    Shape made = shape;
    const ValueId y = conv("conv", name(part), x_, made, out, 1, 1, 0, "none");
    return graph_.add("reshape", name(part) + ".flat", {y, flat});
  };
  const ValueId f = project("f", inner);
  const ValueId g = project("g", inner);
  const ValueId h = project("h", shape[0]);
  const ValueId scores = graph_.add("matmul", name("scores"), {f, g}, {{"transpose_a", std::int64_t{1}}});
  const ValueId weights = graph_.add("softmax", name("weights"), {scores}, {{"axis", std::int64_t{1}}});
  maps_.emplace_back(weights, fmt::format("attention.{}", index_));
  const ValueId sums = graph_.add("matmul", name("sums"), {h, weights});
  const ValueId o = graph_.add("reshape", name("o"), {sums, integers({0, shape[0], shape[1], shape[2]})});
  const ValueId scaled = graph_.add("mul", name("scaled"), {o, weight("gamma", {1})});
  x_ = graph_.add("add", name(), {x_, scaled});
}

void Builder::attention_map(ParameterReader& reader) {
  const std::int64_t inner = reader.size("inner");
  const std::int64_t out = reader.size("out");
  const std::int64_t kernel = reader.size("kernel");
  const std::int64_t padding = reader.integer("padding", 0, 1 << 20);
  Shape shape = pictures(reader);
  ValueId m = conv("conv", name("conv1"), x_, shape, inner, kernel, 1, padding, "relu");
  m = conv("conv", name("conv2"), m, shape, inner, kernel, 1, padding, "relu");
  m = conv("conv", name("conv3"), m, shape, 1, kernel, 1, padding, "sigmoid");
  maps_.emplace_back(m, fmt::format("map.{}", index_));
  if (shape[1] != shape_[1] || shape[2] != shape_[2]) {
    m = graph_.add("resize", name("resized"), {m, kNoValue, kNoValue, integers({shape_[1], shape_[2]})},
                   {{"mode", "linear"}, {"coordinate_mode", "half_pixel"}, {"axes", std::vector<std::int64_t>{2, 3}}});
  }
  const ValueId weighed = graph_.add("mul", name("weighed"), {x_, m});
  const ValueId sum = graph_.add("add", name("sum"), {weighed, x_});
  x_ = conv("conv", name("out"), sum, shape_, out, kernel, 1, padding, "relu");
}

void Builder::add_layer(const nlohmann::json& layer) {
  ParameterReader reader(fmt::format("generator, layer {}:", index_), layer);
  const std::string type = reader.choice(
      "type", {"linear", "reshape", "conv", "conv_transpose", "batch_norm", "instance_norm", "relu", "leaky_relu",
               "silu", "tanh", "sigmoid", "upsample", "pixel_shuffle", "self_attention", "attention_map"});
  if (type == "linear") {
    const std::int64_t out = reader.size("out");
    if (shape_.size() != 1) reader.fail(fmt::format("needs rows of numbers, but gets {}", to_string(shape_)));
    x_ = graph_.add("linear", name(), {x_, weight("weight", {out, shape_[0]}), weights_.optional(name("bias"), {out})});
    shape_ = {out};
  } else if (type == "reshape") {
    const auto given = layer.find("shape");
    std::vector<std::int64_t> sizes = {0};
    Shape made;
    for (const auto& size : given == layer.end() ? nlohmann::json::array() : *given) {
      if (!size.is_number_integer()) reader.fail("'shape' is no list of sizes");
      made.push_back(size.get<std::int64_t>());
      sizes.push_back(made.back());
    }
    if (made.size() != 3 || element_count(made) != element_count(shape_)) {
      reader.fail(fmt::format("cannot make {} of {}", to_string(made), to_string(shape_)));
    }
    x_ = graph_.add("reshape", name(), {x_, integers(std::move(sizes))});
    shape_ = made;
    return;  // 'shape' has been read
  } else if (type == "conv" || type == "conv_transpose") {
    pictures(reader);
    const std::int64_t out = reader.size("out");
    const std::int64_t kernel = reader.size("kernel");
    const std::int64_t stride = reader.size("stride");
    x_ = conv(type, name(), x_, shape_, out, kernel, stride, reader.integer("padding", 0, 1 << 20), "none");
  } else if (type == "batch_norm") {
    const Shape channels = {pictures(reader)[0]};
    x_ = graph_.add("batch_norm", name(),
                    {x_, weight("weight", channels), weight("bias", channels), weight("running_mean", channels),
                     weight("running_var", channels)},
                    {{"eps", kNormEps}});
  } else if (type == "instance_norm") {
    const Shape channels = {pictures(reader)[0]};
    x_ = graph_.add("group_norm", name(),
                    {x_, weights_.optional(name("weight"), channels), weights_.optional(name("bias"), channels)},
                    {{"groups", std::int64_t{0}}, {"eps", kNormEps}});
  } else if (type == "leaky_relu") {
    x_ = graph_.add("leaky_relu", name(), {x_}, {{"alpha", reader.positive("slope")}});
  } else if (type == "upsample") {
    pictures(reader);
    const std::int64_t scale = reader.size("scale");
    const bool nearest = reader.choice("mode", {"nearest", "linear"}) == "nearest";
    for (std::size_t i = 1; i < 3; ++i) shape_[i] *= scale;
    x_ = graph_.add("resize", name(), {x_, kNoValue, kNoValue, integers({shape_[1], shape_[2]})},
                    {{"mode", nearest ? "nearest" : "linear"},
                     {"coordinate_mode", nearest ? "asymmetric" : "half_pixel"},
                     {"nearest_mode", "floor"},
                     {"axes", std::vector<std::int64_t>{2, 3}}});
  } else if (type == "pixel_shuffle") {
    const Shape from = pictures(reader);
    const std::int64_t factor = reader.size("factor");
    if (from[0] % (factor * factor) != 0)
      reader.fail(fmt::format("{} channels are no multiple of {}", from[0], factor * factor));
    shape_ = {from[0] / (factor * factor), from[1] * factor, from[2] * factor};
    const ValueId split =
        graph_.add("reshape", name("split"), {x_, integers({0, shape_[0], factor, factor, from[1], from[2]})});
    const ValueId mixed =
        graph_.add("transpose", name("mixed"), {split}, {{"perm", std::vector<std::int64_t>{0, 1, 4, 2, 5, 3}}});
    x_ = graph_.add("reshape", name(), {mixed, integers({0, shape_[0], shape_[1], shape_[2]})});
  } else if (type == "self_attention") {
    self_attention(reader);
  } else if (type == "attention_map") {
    attention_map(reader);
  } else {
    x_ = graph_.add(type, name(), {x_});
  }
  reader.refuse_unread();
}

Graph Builder::build() {
  ParameterReader reader("generator", parameters_);
  const std::int64_t latent = reader.size("latent");
  x_ = graph_.input("latent", DType::F32, {"batch", latent});
  shape_ = {latent};
  if (parameters_.contains("class_embedding")) {
    const std::int64_t width = reader.size("class_embedding");
    const auto classes = parameters_.find("classes");
    if (classes == parameters_.end() || !classes->is_array() || classes->empty()) reader.fail("has no list of classes");
    const ValueId label = graph_.input("label", DType::I32, {"batch"});
    const ValueId table =
        weights_.required("class_embedding.weight", {static_cast<std::int64_t>(classes->size()), width});
    const ValueId row = graph_.add("embedding", "class_embedding", {label, table});
    x_ = graph_.add("concat", "noise_and_class", {x_, row}, {{"axis", std::int64_t{1}}});
    shape_ = {latent + width};
  }
  const auto layers = parameters_.find("layers");
  if (layers == parameters_.end() || !layers->is_array() || layers->size() > 4096) reader.fail("has no list of layers");
  for (const nlohmann::json& layer : *layers) {
    add_layer(layer);
    ++index_;
  }
  if (shape_.size() != 3 || (shape_[0] != 1 && shape_[0] != 3)) {
    reader.fail(fmt::format("makes {}, expected pictures of 1 or 3 channels", to_string(shape_)));
  }
  weights_.refuse_unread("generator");
  graph_.output(x_, "image");
  for (const auto& [value, map_name] : maps_) graph_.output(value, map_name);
  return std::move(graph_).finish();
}

}  // namespace

Graph generator_graph(const nlohmann::json& parameters, const TensorTable& tensors) {
  return Builder(parameters, tensors).build();
}

nlohmann::json generator_metadata(const nlohmann::json& parameters) {
  const nlohmann::json image = parameters.value("image", nlohmann::json::object());
  nlohmann::json metadata = {
      {"task", "draw"},
      {"roles",
       {{"latent", {{"role", "latent"}}},
        {"image", {{"role", "image"}, {"range", image.value("range", nlohmann::json::array({0, 1}))}}}}}};
  if (parameters.contains("class_embedding")) metadata["roles"]["label"] = {{"role", "label"}, {"encoding", "index"}};
  if (parameters.contains("classes")) metadata["classes"] = parameters["classes"];
  return metadata;
}

}  // namespace heed::models
