#include "models/generator.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"

namespace heed::models {
namespace {

constexpr double kNormEps = 1e-5;  // PyTorch's
constexpr std::size_t kMostLayers = 4096;

/// What the names of a layer's tensors begin with.
std::string tensor_prefix(const nlohmann::json& owner, std::size_t index) {
  const nlohmann::json& layer = owner.at("layers").at(index);
  if (const auto name = layer.find("name"); name != layer.end()) {
    if (name->is_string()) return name->get<std::string>();
    throw Error(fmt::format("generator model: layer {}: 'name' is {}, no string", index, name->dump()));
  }
  const nlohmann::json prefix = owner.value("prefix", nlohmann::json("layers"));
  if (!prefix.is_string()) throw Error(fmt::format("generator model: 'prefix' is {}, no string", prefix.dump()));
  return fmt::format("{}.{}", prefix.get<std::string>(), index);
}

/// The layers that an object lists, each an object.
const nlohmann::json& layers_of(const nlohmann::json& owner) {
  const auto list = owner.is_object() ? owner.find("layers") : owner.end();
  if (list == owner.end() || !list->is_array() || list->size() > kMostLayers) {
    throw Error("generator model: has no list of layers");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) throw Error(fmt::format("generator model: layer {} is no object", i));
  }
  return *list;
}

/// Kernel, stride and padding, equal in both dimensions, of a convolution.
struct ConvSizes {
  std::int64_t out = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool transposed = false;
  std::int64_t output_padding = 0;
};

/// Builds a graph layer by layer; knows what shape the layers have made, the batch aside.
class Builder {
 public:
  Builder(const std::string& name, const nlohmann::json& parameters, const TensorTable& tensors)
      : parameters_(parameters), graph_(name), weights_(graph_, tensors) {}

  /// Numbers to pictures.
  Graph draw();
  /// Pictures to numbers, as parameter encoder has it.
  Graph encode();
  /// What inputs and outputs of the graph mean.
  const nlohmann::json& roles() const { return roles_; }
  /// Of the pictures that draw() makes.
  std::int64_t channels() const { return shape_.empty() ? 0 : shape_[0]; }
  const std::set<std::string, std::less<>>& read() const { return weights_.read(); }

 private:
  using Layer = void (Builder::*)(ParameterReader&);
  static const std::map<std::string, Layer, std::less<>>& layers();

  void add_layers(const nlohmann::json& owner);
  Graph finished(const ParameterReader& reader, const char* output);
  void linear(ParameterReader& reader);
  void reshape(ParameterReader& reader);
  void flatten(ParameterReader& reader);
  void convolve(ParameterReader& reader) { convolution(reader, false); }
  void convolve_transposed(ParameterReader& reader) { convolution(reader, true); }
  void convolution(ParameterReader& reader, bool transposed);
  void batch_norm(ParameterReader& reader);
  void instance_norm(ParameterReader& reader) { group_norm(reader, 0); }
  void grouped_norm(ParameterReader& reader) { group_norm(reader, reader.size("groups")); }
  void group_norm(ParameterReader& reader, std::int64_t groups);
  void function(ParameterReader&) { x_ = graph_.add(type_, label(), {x_}); }
  void leaky_relu(ParameterReader& reader);
  void dropout(ParameterReader& reader);
  void upsample(ParameterReader& reader);
  void pool(ParameterReader& reader);
  void pixel_shuffle(ParameterReader& reader);
  void join_class(ParameterReader& reader);
  void self_attention(ParameterReader& reader);
  void attention_map(ParameterReader& reader);
  void mean_and_log_variance(ParameterReader& reader);

  ValueId conv(const std::string& part, ValueId x, Shape& shape, const ConvSizes& sizes, const char* activation);
  /// Bilinearly, as PyTorch does without align_corners.
  ValueId resized(const std::string& node, ValueId x, const Shape& to);
  ValueId embedded_class(const std::string& node, const std::string& table, std::int64_t width);
  std::vector<std::string> classes(const ParameterReader& reader) const;
  Shape shape_in(const ParameterReader& reader, const nlohmann::json& list, const char* what) const;

  ValueId integers(std::vector<std::int64_t> values) {
    return graph_.integers(fmt::format("sizes.{}", constants_++), std::move(values));
  }
  /// The sizes of x but for the batch, which stays.
  ValueId batch_of(const Shape& shape) {
    std::vector<std::int64_t> sizes = {0};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    return integers(std::move(sizes));
  }
  std::string label(const std::string& part = "") const {
    return fmt::format("layers.{}{}{}", index_, part.empty() ? "" : ".", part);
  }
  std::string tensor(const std::string& part) const { return part.empty() ? tensors_ : tensors_ + "." + part; }
  ValueId weight(const std::string& part, const Shape& shape) { return weights_.required(tensor(part), shape); }
  ValueId optional(const std::string& part, const Shape& shape) { return weights_.optional(tensor(part), shape); }
  /// Throws Error unless what has been made is pictures.
  const Shape& pictures(const ParameterReader& reader) const {
    if (shape_.size() != 3) reader.fail(fmt::format("needs pictures, but gets {}", to_string(shape_)));
    return shape_;
  }
  /// Throws Error unless it is rows of numbers.
  std::int64_t row(const ParameterReader& reader) const {
    if (shape_.size() != 1) reader.fail(fmt::format("needs rows of numbers, but gets {}", to_string(shape_)));
    return shape_[0];
  }

  const nlohmann::json& parameters_;
  GraphBuilder graph_;
  WeightSource weights_;
  ValueId x_ = kNoValue;
  Shape shape_;
  ValueId class_label_ = kNoValue;
  std::size_t index_ = 0;
  std::string type_;     // of the layer that is added
  std::string tensors_;  // what its tensors' names begin with
  int constants_ = 0;
  std::vector<std::pair<ValueId, std::string>> outputs_;  // besides x
  nlohmann::json roles_ = nlohmann::json::object();
};

const std::map<std::string, Builder::Layer, std::less<>>& Builder::layers() {
  static const std::map<std::string, Layer, std::less<>> kLayers = {
      {"linear", &Builder::linear},
      {"reshape", &Builder::reshape},
      {"flatten", &Builder::flatten},
      {"conv", &Builder::convolve},
      {"conv_transpose", &Builder::convolve_transposed},
      {"batch_norm", &Builder::batch_norm},
      {"instance_norm", &Builder::instance_norm},
      {"group_norm", &Builder::grouped_norm},
      {"relu", &Builder::function},
      {"silu", &Builder::function},
      {"gelu", &Builder::function},
      {"tanh", &Builder::function},
      {"sigmoid", &Builder::function},
      {"leaky_relu", &Builder::leaky_relu},
      {"dropout", &Builder::dropout},
      {"upsample", &Builder::upsample},
      {"max_pool", &Builder::pool},
      {"average_pool", &Builder::pool},
      {"pixel_shuffle", &Builder::pixel_shuffle},
      {"class", &Builder::join_class},
      {"self_attention", &Builder::self_attention},
      {"attention_map", &Builder::attention_map},
      {"mean_and_log_variance", &Builder::mean_and_log_variance},
  };
  return kLayers;
}

Shape Builder::shape_in(const ParameterReader& reader, const nlohmann::json& list, const char* what) const {
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
  Shape shape;
  std::int64_t count = 1;
  for (const auto& size : list.is_array() ? list : nlohmann::json::array()) {
    const bool fits = size.is_number_integer() && size >= 1 && size <= kMost;
    if (fits) shape.push_back(size.get<std::int64_t>());
    if (!fits || (count *= shape.back()) > kMost) reader.fail(fmt::format("'{}' is {}, no sizes", what, list.dump()));
  }
  if (shape.size() != 3) reader.fail(fmt::format("'{}' is {}, expected [channels, height, width]", what, list.dump()));
  return shape;
}

std::vector<std::string> Builder::classes(const ParameterReader& reader) const {
  std::vector<std::string> names;
  const auto list = parameters_.find("classes");
  for (const auto& name : list != parameters_.end() && list->is_array() ? *list : nlohmann::json::array()) {
    if (!name.is_string()) reader.fail("'classes' are not all names");
    names.push_back(name.get<std::string>());
  }
  if (names.empty()) reader.fail("has no list of classes");
  return names;
}

ValueId Builder::conv(const std::string& part, ValueId x, Shape& shape, const ConvSizes& sizes,
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

ValueId Builder::resized(const std::string& node, ValueId x, const Shape& to) {
  return graph_.add("resize", node, {x, kNoValue, kNoValue, integers({to[1], to[2]})},
                    {{"mode", "linear"}, {"coordinate_mode", "half_pixel"}, {"axes", std::vector<std::int64_t>{2, 3}}});
}

ValueId Builder::embedded_class(const std::string& node, const std::string& table, std::int64_t width) {
  ParameterReader reader("generator", parameters_);
  const auto count = static_cast<std::int64_t>(classes(reader).size());
  if (class_label_ == kNoValue) {
    class_label_ = graph_.input("label", DType::I32, {"batch"});
    roles_["label"] = {{"role", "label"}, {"encoding", "index"}};
  }
  if (!table.empty()) {
    return graph_.add("embedding", node, {class_label_, weights_.required(table, {count, width})});
  }
  const ValueId zero_one = graph_.add("constant", node + ".values", {},
                                      {{"dtype", "f32"}, {"shape", Shape{2}}, {"values", std::vector<double>{0, 1}}});
  return graph_.add("one_hot", node, {class_label_, integers({count}), zero_one});
}

void Builder::linear(ParameterReader& reader) {
  const std::int64_t out = reader.size("out");
  x_ = graph_.add("linear", label(), {x_, weight("weight", {out, row(reader)}), optional("bias", {out})});
  shape_ = {out};
}

void Builder::reshape(ParameterReader& reader) {
  const Shape made = shape_in(reader, reader.value("shape"), "shape");
  if (element_count(made) != element_count(shape_)) {
    reader.fail(fmt::format("cannot make {} of {}", to_string(made), to_string(shape_)));
  }
  x_ = graph_.add("reshape", label(), {x_, batch_of(made)});
  shape_ = made;
}

void Builder::flatten(ParameterReader& reader) {
  shape_ = {element_count(pictures(reader))};
  x_ = graph_.add("reshape", label(), {x_, batch_of(shape_)});
}

void Builder::convolution(ParameterReader& reader, bool transposed) {
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

void Builder::batch_norm(ParameterReader& reader) {
  if (shape_.empty()) reader.fail("needs numbers");
  const Shape channels = {shape_[0]};
  x_ = graph_.add("batch_norm", label(),
                  {x_, weight("weight", channels), weight("bias", channels), weight("running_mean", channels),
                   weight("running_var", channels)},
                  {{"eps", kNormEps}});
}

void Builder::group_norm(ParameterReader& reader, std::int64_t groups) {
  const Shape channels = {pictures(reader)[0]};
  if (groups > 0 && channels[0] % groups != 0) reader.fail(fmt::format("{} groups of {}", groups, to_string(shape_)));
  x_ = graph_.add("group_norm", label(), {x_, optional("weight", channels), optional("bias", channels)},
                  {{"groups", groups}, {"eps", kNormEps}});
}

void Builder::leaky_relu(ParameterReader& reader) {
  x_ = graph_.add("leaky_relu", label(), {x_}, {{"alpha", reader.positive("slope")}});
}

void Builder::dropout(ParameterReader& reader) {
  if (reader.has("p")) reader.number("p");
}

void Builder::upsample(ParameterReader& reader) {
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

void Builder::pool(ParameterReader& reader) {
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

void Builder::pixel_shuffle(ParameterReader& reader) {
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

void Builder::join_class(ParameterReader& reader) {
  const bool one_hot = reader.choice("encoding", {"embedding", "one_hot"}) == "one_hot";
  std::int64_t width =
      one_hot ? static_cast<std::int64_t>(classes(reader).size()) : reader.integer("width", 1, 1 << 24);
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

void Builder::self_attention(ParameterReader& reader) {
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
  const std::string output = fmt::format("attention.{}", index_);
  outputs_.emplace_back(weights, output);
  roles_[output] = {{"role", "attention"}, {"normalised", "columns"}, {"size", {shape[1], shape[2]}}};
  const ValueId sums = graph_.add("matmul", label("sums"), {h, weights});
  const ValueId o = graph_.add("reshape", label("o"), {sums, batch_of(shape)});
  const ValueId scaled = graph_.add("mul", label("scaled"), {o, weight("gamma", {1})});
  x_ = graph_.add("add", label(), {x_, scaled});
}

void Builder::attention_map(ParameterReader& reader) {
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
  const std::string output = fmt::format("map.{}", index_);
  outputs_.emplace_back(m, output);
  roles_[output] = {{"role", "map"}};
  if (shape[1] != shape_[1] || shape[2] != shape_[2]) m = resized(label("resized"), m, shape_);
  const ValueId weighed = graph_.add("mul", label("weighed"), {x_, m});
  const ValueId sum = graph_.add("add", label("sum"), {weighed, x_});
  x_ = conv("out", sum, shape_, last, "relu");
}

void Builder::mean_and_log_variance(ParameterReader& reader) {
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

void Builder::add_layers(const nlohmann::json& owner) {
  const nlohmann::json& list = layers_of(owner);
  for (index_ = 0; index_ < list.size(); ++index_) {
    ParameterReader reader(fmt::format("generator, layer {}:", index_), list[index_]);
    type_ = reader.text("type");
    const auto layer = layers().find(type_);
    if (layer == layers().end()) {
      std::string known;
      for (const auto& [name, add] : layers()) known += (known.empty() ? "" : ", ") + name;
      reader.fail(fmt::format("there is no type '{}'; there are {}", type_, known));
    }
    if (reader.has("name")) reader.text("name");
    tensors_ = tensor_prefix(owner, index_);
    (this->*layer->second)(reader);
    reader.refuse_unread();
    if (element_count(shape_) > (std::int64_t{1} << 31)) {
      reader.fail(fmt::format("makes {}, which is too large", to_string(shape_)));
    }
  }
}

/// What the layers have made becomes this output, the first one.
Graph Builder::finished(const ParameterReader& reader, const char* output) {
  if (graph_.graph().value(x_).kind != ValueKind::Intermediate) reader.fail("the layers compute nothing");
  graph_.output(x_, output);
  for (const auto& [value, name] : outputs_) graph_.output(value, name);
  Graph graph = std::move(graph_).finish();
  validate(graph, nullptr);
  return graph;
}

Graph Builder::draw() {
  ParameterReader reader("generator", parameters_);
  const nlohmann::json& latent = reader.value("latent");
  shape_ = latent.is_array() ? shape_in(reader, latent, "latent") : Shape{reader.size("latent")};
  SymbolicShape of_input = {"batch"};
  of_input.insert(of_input.end(), shape_.begin(), shape_.end());
  x_ = graph_.input("latent", DType::F32, of_input);
  roles_["latent"] = {{"role", "latent"}};
  if (reader.has("class_embedding")) {
    const std::int64_t width = reader.size("class_embedding");
    if (shape_.size() != 1) reader.fail("'class_embedding' joins rows of numbers; use a layer 'class' for pictures");
    const ValueId rows = embedded_class("class_embedding", "class_embedding.weight", width);
    x_ = graph_.add("concat", "noise_and_class", {x_, rows}, {{"axis", std::int64_t{1}}});
    shape_ = {shape_[0] + width};
  }
  add_layers(parameters_);
  if (shape_.size() != 3 || (shape_[0] != 1 && shape_[0] != 3)) {
    reader.fail(fmt::format("makes {}, expected pictures of 1 or 3 channels", to_string(shape_)));
  }
  return finished(reader, "image");
}

Graph Builder::encode() {
  ParameterReader reader("generator, encoder:", parameters_.at("encoder"));
  shape_ = shape_in(reader, reader.value("image"), "image");
  x_ = graph_.input("image", DType::F32, {"batch", shape_[0], shape_[1], shape_[2]});
  add_layers(parameters_.at("encoder"));
  return finished(reader, type_ == "mean_and_log_variance" ? "mean" : "latent");
}

/// Throws Error naming a key of the object that is none of these.
void refuse_others(const nlohmann::json& object, const std::string& where,
                   std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return;  // whoever reads it says so
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      throw Error(fmt::format("generator model: {} has '{}', which is not known", where, key));
    }
  }
}

}  // namespace

Generator generator(const nlohmann::json& parameters, const TensorTable& tensors) {
  refuse_others(parameters, "config.json",
                {"model_type", "name", "latent", "class_embedding", "classes", "image", "prefix", "layers", "encoder"});
  if (parameters.contains("encoder")) refuse_others(parameters["encoder"], "'encoder'", {"image", "prefix", "layers"});
  if (parameters.contains("image")) refuse_others(parameters["image"], "'image'", {"channels", "range"});
  Generator made;
  Builder draw("draw", parameters, tensors);
  made.graphs.push_back(draw.draw());
  std::set<std::string, std::less<>> read = draw.read();
  if (parameters.contains("encoder")) {
    Builder encode("encode", parameters, tensors);
    made.graphs.push_back(encode.encode());
    read.insert(encode.read().begin(), encode.read().end());
  }
  refuse_unread("generator", tensors, read);

  const nlohmann::json image = parameters.value("image", nlohmann::json::object());
  if (!image.is_object()) throw Error(fmt::format("generator model: 'image' is {}, expected an object", image.dump()));
  const nlohmann::json made_channels = draw.channels() == 1 ? "gray" : "rgb";
  const nlohmann::json channels = image.value("channels", made_channels);
  if (channels != made_channels) {
    throw Error(
        fmt::format("generator model: 'channels' is {}, but the layers make {}", channels.dump(), draw.channels()));
  }
  const nlohmann::json range = image.value("range", nlohmann::json::array({0, 1}));
  const bool is_range = range.is_array() && range.size() == 2 && range[0].is_number() && range[1].is_number() &&
                        range[0].get<double>() < range[1].get<double>();
  if (!is_range) {
    throw Error(
        fmt::format("generator model: 'range' is {}, expected two numbers, the smaller one first", range.dump()));
  }
  made.metadata = {{"task", "draw"}, {"roles", draw.roles()}};
  made.metadata["roles"]["image"] = {{"role", "image"}, {"range", range}};
  if (const auto classes = parameters.find("classes"); classes != parameters.end()) {
    const bool are_names =
        classes->is_array() && std::ranges::all_of(*classes, [](const auto& name) { return name.is_string(); });
    if (!are_names) throw Error("generator model: 'classes' are not all names");
    made.metadata["classes"] = *classes;
  }
  return made;
}

std::set<std::string> transposed_layers(const nlohmann::json& parameters) {
  std::set<std::string> names;
  const auto add = [&](const nlohmann::json& owner) {
    const nlohmann::json& list = layers_of(owner);
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].value("type", nlohmann::json()) == "conv_transpose") names.insert(tensor_prefix(owner, i));
    }
  };
  add(parameters);
  if (parameters.contains("encoder")) add(parameters["encoder"]);
  return names;
}

}  // namespace heed::models
