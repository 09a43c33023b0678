#include "models/generator_builder.h"

#include <numeric>

#include "heed/error.h"

namespace heed::models {
namespace {

constexpr std::size_t kMostLayers = 4096;
constexpr std::size_t kDeepestPath = 256;  // characters, of layers in layers

std::vector<std::int64_t> counting(std::int64_t count) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

}  // namespace

const nlohmann::json& generator_layers(const nlohmann::json& owner) {
  const auto list = owner.is_object() ? owner.find("layers") : owner.end();
  if (list == owner.end() || !list->is_array() || list->size() > kMostLayers) {
    throw Error("generator model: has no list of layers");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) throw Error(fmt::format("generator model: layer {} is no object", i));
  }
  return *list;
}

std::string generator_tensors(const nlohmann::json& owner, std::size_t index) {
  const nlohmann::json& layer = owner.at("layers").at(index);
  if (const auto name = layer.find("name"); name != layer.end()) {
    if (name->is_string()) return name->get<std::string>();
    throw Error(fmt::format("generator model: layer {}: 'name' is {}, no string", index, name->dump()));
  }
  const nlohmann::json prefix = owner.value("prefix", nlohmann::json("layers"));
  if (!prefix.is_string()) throw Error(fmt::format("generator model: 'prefix' is {}, no string", prefix.dump()));
  return fmt::format("{}.{}", prefix.get<std::string>(), index);
}

std::vector<std::string> class_names(const nlohmann::json& parameters) {
  std::vector<std::string> names;
  const auto list = parameters.find("classes");
  if (list == parameters.end()) return names;
  if (!list->is_array()) throw Error("generator model: 'classes' are not all names");
  for (const nlohmann::json& name : *list) {
    if (!name.is_string()) throw Error("generator model: 'classes' are not all names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

const std::map<std::string, GeneratorBuilder::Layer, std::less<>>& GeneratorBuilder::layers() {
  static const std::map<std::string, Layer, std::less<>> kLayers = {
      {"linear", &GeneratorBuilder::linear},
      {"reshape", &GeneratorBuilder::reshape},
      {"flatten", &GeneratorBuilder::flatten},
      {"conv", &GeneratorBuilder::convolve},
      {"conv_transpose", &GeneratorBuilder::convolve_transposed},
      {"batch_norm", &GeneratorBuilder::batch_norm},
      {"instance_norm", &GeneratorBuilder::instance_norm},
      {"group_norm", &GeneratorBuilder::grouped_norm},
      {"relu", &GeneratorBuilder::function},
      {"silu", &GeneratorBuilder::function},
      {"gelu", &GeneratorBuilder::function},
      {"tanh", &GeneratorBuilder::function},
      {"sigmoid", &GeneratorBuilder::function},
      {"leaky_relu", &GeneratorBuilder::leaky_relu},
      {"dropout", &GeneratorBuilder::dropout},
      {"upsample", &GeneratorBuilder::upsample},
      {"max_pool", &GeneratorBuilder::pool},
      {"average_pool", &GeneratorBuilder::pool},
      {"pixel_shuffle", &GeneratorBuilder::pixel_shuffle},
      {"class", &GeneratorBuilder::join_class},
      {"self_attention", &GeneratorBuilder::self_attention},
      {"attention_map", &GeneratorBuilder::attention_map},
      {"mean_and_log_variance", &GeneratorBuilder::mean_and_log_variance},
      {"residual", &GeneratorBuilder::residual},
      {"attention_block", &GeneratorBuilder::attention_block},
  };
  return kLayers;
}

Shape GeneratorBuilder::shape_in(const ParameterReader& reader, const nlohmann::json& list, const char* what) const {
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

std::int64_t GeneratorBuilder::class_count(const ParameterReader& reader) const {
  const std::size_t count = class_names(parameters_).size();
  if (count == 0) reader.fail("has no list of classes");
  return static_cast<std::int64_t>(count);
}

ValueId GeneratorBuilder::embedded_class(const std::string& node, const std::string& table, std::int64_t width) {
  const std::int64_t count = class_count(ParameterReader("generator", parameters_));
  if (class_label_ == kNoValue) {
    class_label_ = graph_.input("label", DType::I32, {"batch"});
    roles_["label"] = {{"role", "label"}, {"encoding", "index"}};
  }
  if (!table.empty()) {
    return graph_.add("embedding", node, {class_label_, weights_.required(table, {count, width})});
  }
  const ValueId zero_one = graph_.add("constant", node + ".values", {},
                                      {{"dtype", "f32"}, {"shape", Shape{2}}, {"values", std::vector<double>{0, 1}}});
  return graph_.add("one_hot", node, {class_label_, integers({count}), zero_one}, {{"inside", std::int64_t{1}}});
}

void GeneratorBuilder::add_layers(const nlohmann::json& owner, const std::string& path, const std::string& inside) {
  const nlohmann::json& list = generator_layers(owner);
  if (path.size() > kDeepestPath) throw Error("generator model: layers in layers are too deep");
  for (std::size_t index = 0; index < list.size(); ++index) {
    path_ = path;
    index_ = index;
    ParameterReader reader(fmt::format("generator, {}layer {}:", path, index), list[index]);
    type_ = reader.text("type");
    const auto layer = layers().find(type_);
    if (layer == layers().end()) {
      std::string known;
      for (const auto& [name, add] : layers()) known += (known.empty() ? "" : ", ") + name;
      reader.fail(fmt::format("there is no type '{}'; there are {}", type_, known));
    }
    if (reader.has("name")) reader.text("name");
    tensors_ =
        inside.empty() ? root_ + generator_tensors(owner, index) : inside + "." + generator_tensors(owner, index);
    (this->*layer->second)(reader);
    reader.refuse_unread();
    if (element_count(shape_) > (std::int64_t{1} << 31)) {
      reader.fail(fmt::format("makes {}, which is too large", to_string(shape_)));
    }
  }
}

/// What the layers have made becomes this output, the first one.
Graph GeneratorBuilder::finished(const ParameterReader& reader, const char* output) {
  if (graph_.graph().value(x_).kind != ValueKind::Intermediate) reader.fail("the layers compute nothing");
  graph_.output(x_, output);
  for (const auto& [value, name] : outputs_) graph_.output(value, name);
  Graph graph = std::move(graph_).finish();
  validate(graph, nullptr);
  return graph;
}

Graph GeneratorBuilder::draw() {
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

Graph GeneratorBuilder::encode() {
  ParameterReader reader("generator, encoder:", parameters_.at("encoder"));
  shape_ = shape_in(reader, reader.value("image"), "image");
  x_ = graph_.input("image", DType::F32, {"batch", shape_[0], shape_[1], shape_[2]});
  add_layers(parameters_.at("encoder"));
  return finished(reader, type_ == "mean_and_log_variance" ? "mean" : "latent");
}

Graph GeneratorBuilder::decode_codes(const Codebook& codebook, const nlohmann::json& owner) {
  ParameterReader reader("picture-tokens, pixels:", owner);
  const ValueId codes = graph_.input("codes", DType::I32, {"batch", codebook.rows * codebook.columns});
  const ValueId table = weights_.required(root_ + codebook.tensor, {codebook.count, codebook.width});
  const ValueId entries = graph_.add("embedding", "entries", {codes, table});  // (batch, places, width)
  const ValueId planes = graph_.add("transpose", "planes", {entries}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  shape_ = {codebook.width, codebook.rows, codebook.columns};
  x_ = graph_.add("reshape", "places", {planes, batch_of(shape_)});
  add_layers(owner);
  if (shape_.size() != 3 || (shape_[0] != 1 && shape_[0] != 3)) {
    reader.fail(fmt::format("makes {}, expected pictures of 1 or 3 channels", to_string(shape_)));
  }
  return finished(reader, "image");
}

Graph GeneratorBuilder::encode_codes(const Codebook& codebook, const nlohmann::json& owner) {
  ParameterReader reader("picture-tokens, encoder:", owner);
  shape_ = shape_in(reader, reader.value("image"), "image");
  x_ = graph_.input("image", DType::F32, {"batch", shape_[0], shape_[1], shape_[2]});
  add_layers(owner);
  const Shape expected = {codebook.width, codebook.rows, codebook.columns};
  if (shape_ != expected) {
    reader.fail(fmt::format("makes {}, but codes are of {}", to_string(shape_), to_string(expected)));
  }
  const ValueId flat = graph_.add("reshape", "flat", {x_, integers({0, codebook.width, -1})});
  const ValueId places = graph_.add("transpose", "by_place", {flat}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  // The nearest entry e to x has the largest x . e - e . e / 2.
  const ValueId table = weights_.required(root_ + codebook.tensor, {codebook.count, codebook.width});
  const ValueId products = graph_.add("linear", "products", {places, table});  // (batch, places, count)
  const ValueId rows =
      graph_.add("constant", "all_entries", {},
                 {{"dtype", "i32"}, {"shape", Shape{codebook.count}}, {"integers", counting(codebook.count)}});
  const ValueId entries = graph_.add("embedding", "entries", {rows, table});
  const ValueId norms =
      graph_.add("reduce", "norms", {entries, integers({1})}, {{"kind", "sum_square"}, {"keep_dims", std::int64_t{0}}});
  const ValueId half =
      graph_.add("constant", "half", {}, {{"dtype", "f32"}, {"shape", Shape{1}}, {"values", std::vector<double>{0.5}}});
  const ValueId halves = graph_.add("mul", "half_norms", {norms, half});
  const ValueId nearness = graph_.add("sub", "nearness", {products, halves});
  x_ = graph_.add("arg_max", "nearest", {nearness}, {{"axis", std::int64_t{2}}, {"keep_dims", std::int64_t{0}}});
  return finished(reader, "codes");
}

}  // namespace heed::models
