#include "models/generator.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::models {
namespace {

using convert_test::contains;
using convert_test::error_of;
using Json = nlohmann::json;

/// Most types of layers, in a decoder and an encoder. Layer 7 is an attention_map, layer 9 a self_attention.
Json sample() {
  return Json::parse(R"({
    "latent": 6, "classes": ["a", "b", "c"], "class_embedding": 2, "image": {"range": [-1, 1]},
    "layers": [
      {"type": "linear", "out": 32},
      {"type": "reshape", "shape": [8, 2, 2]},
      {"type": "class", "encoding": "one_hot", "first": true},
      {"type": "conv_transpose", "out": 8, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1, "name": "up"},
      {"type": "batch_norm"},
      {"type": "leaky_relu", "slope": 0.2},
      {"type": "group_norm", "groups": 4},
      {"type": "attention_map", "inner": 4, "out": 4, "kernel": 3, "padding": 1, "stride": 2, "out_stride": 1},
      {"type": "upsample", "scale": 2, "mode": "nearest"},
      {"type": "self_attention", "inner": 2},
      {"type": "class", "encoding": "embedding", "width": 4},
      {"type": "conv", "out": 8, "kernel": 1, "stride": 1, "padding": 0, "groups": 2},
      {"type": "dropout", "p": 0.5},
      {"type": "pixel_shuffle", "factor": 2},
      {"type": "conv_transpose", "out": 3, "kernel": 1, "stride": 1, "padding": 0},
      {"type": "average_pool", "kernel": 2, "stride": 2},
      {"type": "tanh"}],
    "encoder": {"image": [3, 4, 4], "prefix": "enc", "layers": [
      {"type": "conv", "out": 4, "kernel": 3, "stride": 1, "padding": 1},
      {"type": "max_pool", "kernel": 2, "stride": 2},
      {"type": "conv_transpose", "out": 2, "kernel": 2, "stride": 2, "padding": 0},
      {"type": "flatten"},
      {"type": "class", "encoding": "one_hot"},
      {"type": "mean_and_log_variance", "out": 6, "mean": "mu", "log_variance": "var"}]}})");
}

/// Of a picture of one pixel per number; for what is refused.
Json small(const std::string& layer) {
  return {{"latent", Json::array({2, 4, 4})},
          {"layers", Json::array({Json::parse(layer), Json::parse(R"({"type": "tanh"})")})}};
}

/// A table with the tensors that the recipe asks for, found by asking; optional ones are left out.
TensorTable table_for(const Json& config) {
  static const std::regex kMissing(R"(tensor '(.*)' is missing; expected shape \[(.*)\])");
  TensorTable table;
  std::smatch match;
  for (std::string message; std::regex_match(message = error_of([&] { generator(config, table); }), match, kMissing);) {
    std::string sizes = match[2];
    std::erase(sizes, ' ');
    table[match[1]] = {DType::F32, Json::parse("[" + sizes + "]").get<Shape>()};
  }
  return table;
}

std::string refusal(const Json& config) {
  const std::string message = error_of([&] { generator(config, table_for(config)); });
  CHECK(message.find('\n') == std::string::npos);
  return message;
}
/// The refusal of a decoder of one layer on [2, 4, 4].
std::string layer_refusal(const std::string& layer) { return refusal(small(layer)); }

SymbolicShape shape_of(const Graph& graph, const std::string& value) { return graph.value(graph.find(value)).shape; }

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (const ValueId id : ids) names.push_back(graph.value(id).name);
  return names;
}

/// Checks that a graph is well formed and fits its own sizes; returns the shapes of values by name for a batch of 2.
std::map<std::string, Shape> shapes_in(const Graph& graph) {
  validate(graph, ops::is_op);
  const std::vector<TensorType> types = infer_all(graph, {{"batch", 2}});
  std::map<std::string, Shape> shapes;
  for (std::size_t i = 0; i < types.size(); ++i) shapes[graph.values[i].name] = types[i].shape;
  return shapes;
}

}  // namespace

TEST_CASE("generator: graphs, their inputs and outputs, and what these mean") {
  const Json config = sample();
  const Generator made = generator(config, table_for(config));
  REQUIRE(made.graphs.size() == 2);
  const Graph& draw = made.graphs[0];
  CHECK(draw.name == "draw");
  CHECK(names_of(draw, draw.inputs) == std::vector<std::string>{"latent", "label"});
  CHECK(names_of(draw, draw.outputs) == std::vector<std::string>{"image", "map.7", "attention.9"});
  CHECK(shape_of(draw, "latent") == SymbolicShape{"batch", 6});
  CHECK(draw.value(draw.find("label")).dtype == DType::I32);
  const std::map<std::string, Shape> drawn = shapes_in(draw);
  CHECK(drawn.at("image") == Shape{2, 3, 8, 8});
  CHECK(drawn.at("map.7") == Shape{2, 1, 1, 1});
  CHECK(drawn.at("attention.9") == Shape{2, 64, 64});

  const Graph& encode = made.graphs[1];
  CHECK(encode.name == "encode");
  CHECK(names_of(encode, encode.inputs) == std::vector<std::string>{"image", "label"});
  CHECK(names_of(encode, encode.outputs) == std::vector<std::string>{"mean", "log_variance"});
  CHECK(shape_of(encode, "image") == SymbolicShape{"batch", 3, 4, 4});
  const std::map<std::string, Shape> encoded = shapes_in(encode);
  CHECK(encoded.at("mean") == Shape{2, 6});
  CHECK(encoded.at("log_variance") == Shape{2, 6});
  for (const char* tensor : {"enc.0.weight", "mu.weight", "var.weight"}) CHECK(encode.find(tensor) != kNoValue);
  for (const char* tensor : {"class_embedding.weight", "layers.0.weight", "up.weight", "layers.10.weight"}) {
    CAPTURE(std::string(tensor));
    CHECK(draw.find(tensor) != kNoValue);
  }

  CHECK(made.metadata == Json::parse(R"({"task": "draw", "classes": ["a", "b", "c"], "roles": {
    "latent": {"role": "latent"}, "label": {"role": "label", "encoding": "index"},
    "image": {"role": "image", "range": [-1, 1]}, "map.7": {"role": "map"},
    "attention.9": {"role": "attention", "normalised": "columns", "size": [8, 8]}}})"));
}

TEST_CASE("generator: what is plain says no more than it must") {
  Json config = small(R"({"type": "conv", "out": 3, "kernel": 3, "stride": 1, "padding": 0})");
  Generator made = generator(config, table_for(config));
  CHECK(made.graphs.size() == 1);
  CHECK(made.metadata == Json::parse(R"({"task": "draw", "roles": {
    "latent": {"role": "latent"}, "image": {"role": "image", "range": [0, 1]}}})"));
  // Biases and the scale of a norm are there or not.
  TensorTable table = table_for(config);
  table["layers.0.bias"] = {DType::F32, {3}};
  CHECK(generator(config, table).graphs[0].find("layers.0.bias") != kNoValue);
  // An encoder that ends otherwise gives a latent.
  config["encoder"] = Json::parse(R"({"image": [1, 2, 3], "layers": [{"type": "flatten"}]})");
  made = generator(config, table_for(config));
  CHECK(names_of(made.graphs[1], made.graphs[1].outputs) == std::vector<std::string>{"latent"});
  CHECK(shapes_in(made.graphs[1]).at("latent") == Shape{2, 6});
}

TEST_CASE("generator: transposed layers by the names of their tensors") {
  CHECK(transposed_layers(sample()) == std::set<std::string>{"up", "layers.14", "enc.2"});
  Json config = sample();
  config["prefix"] = "net";
  CHECK(transposed_layers(config) == std::set<std::string>{"up", "net.14", "enc.2"});
  config.erase("encoder");
  CHECK(transposed_layers(config) == std::set<std::string>{"up", "net.14"});
  config["layers"][3]["name"] = 4;
  CHECK(error_of([&] { transposed_layers(config); }) == "generator model: layer 3: 'name' is 4, no string");
}

TEST_CASE("generator: what describes no generator is refused") {
  const auto with = [](const char* key, const Json& value) {
    Json config = sample();
    config[key] = value;
    return refusal(config);
  };
  CHECK(refusal(Json::array()) == "generator model: the hyperparameters are not a JSON object");
  CHECK(with("layers", Json()) == "generator model: has no list of layers");
  CHECK(with("layers", Json::object()) == "generator model: has no list of layers");
  CHECK(with("layers", Json(std::vector<Json>(4097, {{"type", "relu"}}))) == "generator model: has no list of layers");
  CHECK(with("layers", Json::array({{{"type", "relu"}}, 5})) == "generator model: layer 1 is no object");
  CHECK(with("prefix", 3) == "generator model: 'prefix' is 3, no string");
  CHECK(with("latent", 0) == "generator model: hyperparameter 'latent' is 0; expected an integer from 1 to 2147483647");
  CHECK(contains(with("latent", "6"), "'latent' is \"6\"; expected an integer"));
  CHECK(contains(with("latent", Json::array({1, 4})), "'latent' is [1,4], expected [channels, height, width]"));
  CHECK(contains(with("latent", Json::array({1, -4, 4})), "'latent' is [1,-4,4], no sizes"));
  CHECK(contains(with("latent", Json::array({2, 65536, 65536})), "no sizes"));
  CHECK(contains(with("latent", Json::array({2, 4, 4})), "'class_embedding' joins rows of numbers"));
  CHECK(with("image", 1) == "generator model: 'image' is 1, expected an object");
  CHECK(with("lattent", 1) == "generator model: config.json has 'lattent', which is not known");
  CHECK(with("image", {{"rnage", {0, 1}}}) == "generator model: 'image' has 'rnage', which is not known");
  CHECK(contains(with("image", {{"channels", "cmyk"}}), "'channels' is \"cmyk\", but the layers make"));
  CHECK(with("encoder", 1) == "generator, encoder: model: the hyperparameters are not a JSON object");
  CHECK(with("classes", Json()) == "generator model: 'classes' are not all names");
  CHECK(with("classes", Json::array()) == "generator model: has no list of classes");
  CHECK(with("classes", Json::array({"a", 1})) == "generator model: 'classes' are not all names");
}

TEST_CASE("generator: layers that cannot be are refused, naming them") {
  const std::string kUnknown = layer_refusal(R"({"type": "convolution"})");
  CHECK(kUnknown.starts_with("generator, layer 0: model: there is no type 'convolution'; there are attention_block, "));
  CHECK(contains(kUnknown, "conv_transpose"));
  CHECK(contains(layer_refusal(R"({"out": 3})"), "layer 0: model: hyperparameter 'type' is missing"));
  CHECK(contains(layer_refusal(R"({"type": 3})"), "hyperparameter 'type' is 3; expected a string"));
  CHECK(layer_refusal(R"({"type": "relu", "slope": 1})") ==
        "generator, layer 0: model: hyperparameter 'slope' is not known");
  CHECK(layer_refusal(R"({"type": "conv", "out": 1, "kernel": 5, "stride": 1, "padding": 0})") ==
        "generator model: layers.0: makes pictures of 0 pixels");
  CHECK(contains(layer_refusal(R"({"type": "conv_transpose", "out": 1, "kernel": 2, "stride": 1, "padding": 5})"),
                 "layers.0: makes pictures of -5 pixels"));
  for (const char* type : {"conv", "conv_transpose"}) {
    for (const char* wrong : {R"("out": 4, "groups": 4)", R"("out": 3, "groups": 2)"}) {
      CHECK(contains(
          layer_refusal(fmt::format(R"({{"type": "{}", {}, "kernel": 1, "stride": 1, "padding": 0}})", type, wrong)),
          "layers.0: "));
    }
  }
  CHECK(layer_refusal(R"({"type": "conv", "out": 3, "kernel": 1, "stride": 1, "padding": 0, "groups": 2})") ==
        "generator model: layers.0: 2 groups of 2 and 3 channels");
  CHECK(contains(layer_refusal(R"({"type": "conv", "out": 3, "kernel": 1, "stride": 0, "padding": 0})"),
                 "'stride' is 0; expected an integer from 1"));
  CHECK(contains(layer_refusal(R"({"type": "group_norm", "groups": 3})"), "layer 0: model: 3 groups of [2, 4, 4]"));
  CHECK(layer_refusal(R"({"type": "reshape", "shape": [3, 4, 4]})") ==
        "generator, layer 0: model: cannot make [3, 4, 4] of [2, 4, 4]");
  CHECK(contains(layer_refusal(R"({"type": "reshape", "shape": [32]})"), "expected [channels, height, width]"));
  CHECK(contains(layer_refusal(R"({"type": "reshape", "shape": 32})"), "expected [channels, height, width]"));
  CHECK(contains(layer_refusal(R"({"type": "linear", "out": 3})"), "needs rows of numbers, but gets [2, 4, 4]"));
  CHECK(contains(layer_refusal(R"({"type": "flatten"})"), "makes [32], expected pictures of 1 or 3 channels"));
  CHECK(contains(layer_refusal(R"({"type": "relu"})"), "makes [2, 4, 4], expected pictures of 1 or 3 channels"));
  CHECK(contains(layer_refusal(R"({"type": "max_pool", "kernel": 5, "stride": 1})"), "windows of 5 in [2, 4, 4]"));
  CHECK(contains(layer_refusal(R"({"type": "pixel_shuffle", "factor": 2})"), "2 channels are no multiple of 4"));
  CHECK(contains(layer_refusal(R"({"type": "upsample", "scale": 2, "mode": "cubic"})"), "expected one of: nearest, "));
  CHECK(contains(layer_refusal(R"({"type": "leaky_relu", "slope": 0})"), "'slope' is 0; expected"));
  CHECK(contains(layer_refusal(R"({"type": "class", "encoding": "one_hot"})"), "layer 0: model: has no list of"));
  CHECK(contains(layer_refusal(R"({"type": "class", "encoding": "embedding", "width": 2})"), "has no list of classes"));
  CHECK(contains(layer_refusal(R"({"type": "mean_and_log_variance", "out": 2})"), "needs rows of numbers"));
  CHECK(contains(refusal({{"latent", 4}, {"layers", {{{"type", "flatten"}}}}}), "needs pictures, but gets [4]"));
  CHECK(contains(refusal({{"latent", 4}, {"layers", {{{"type", "self_attention"}, {"inner", 1}}}}}), "needs pictures"));
}

TEST_CASE("generator: shapes beyond what fits are refused before anything is made of them") {
  CHECK(contains(layer_refusal(R"({"type": "upsample", "scale": 20000, "mode": "nearest"})"),
                 "layer 0: model: makes [2, 80000, 80000], which is too large"));
  for (const char* layer : {R"({"type": "upsample", "scale": 2147483647, "mode": "linear"})",
                            R"({"type": "conv_transpose", "out": 1, "kernel": 1, "stride": 2147483647, "padding": 0})",
                            R"({"type": "conv", "out": 2147483647, "kernel": 1, "stride": 1, "padding": 1048576})"}) {
    CAPTURE(std::string(layer));
    CHECK(!layer_refusal(layer).empty());
  }
}

TEST_CASE("generator: tensors that do not fit are refused") {
  const Json config = small(R"({"type": "conv", "out": 1, "kernel": 3, "stride": 1, "padding": 1})");
  const auto with = [&](const std::string& name, const TensorType& type) {
    TensorTable table = table_for(config);
    table[name] = type;
    return error_of([&] { generator(config, table); });
  };
  CHECK(error_of([&] { generator(config, {}); }) == "tensor 'layers.0.weight' is missing; expected shape [1, 2, 3, 3]");
  CHECK(with("layers.0.weight", {DType::F32, {2, 1, 3, 3}}) ==
        "tensor 'layers.0.weight' has shape [2, 1, 3, 3], but the hyperparameters imply [1, 2, 3, 3]");
  CHECK(with("layers.0.bias", {DType::F16, {1}}) == "tensor 'layers.0.bias' is f16; norms and biases must be f32");
  CHECK(with("layers.1.weight", {DType::F32, {1}}) ==
        "tensor 'layers.1.weight' [1] has no place in a generator model of these hyperparameters");
  CHECK(with("layers.0.weight", {DType::F16, {1, 2, 3, 3}}).empty());
}

TEST_CASE("generator: layers that compute nothing, or make two outputs of a name, are refused") {
  const std::string nothing = "generator model: the layers compute nothing";
  CHECK(refusal({{"latent", {1, 4, 4}}, {"layers", Json::array()}}) == nothing);
  CHECK(refusal({{"latent", {1, 4, 4}}, {"layers", {{{"type", "dropout"}}}}}) == nothing);
  Json config = sample();
  config["encoder"]["layers"] = Json::array();
  CHECK(refusal(config) == "generator, encoder: model: the layers compute nothing");
  config = sample();
  config["encoder"]["layers"].push_back({{"type", "mean_and_log_variance"}, {"out", 2}});
  CHECK(contains(refusal(config), "graph 'encode': two values are named 'log_variance'"));
}

TEST_CASE("generator: what drawing would refuse is refused at once") {
  Json config = small(R"({"type": "conv", "out": 3, "kernel": 1, "stride": 1, "padding": 0})");
  for (const char* range : {"null", "[0]", "[1, 1]", "[1, 0]", R"(["0", "1"])", "[0, 1, 2]"}) {
    config["image"]["range"] = Json::parse(range);
    CHECK(refusal(config) == fmt::format("generator model: 'range' is {}, expected two numbers, the smaller one first",
                                         config["image"]["range"].dump()));
  }
  config.erase("image");
  for (const char* classes : {"3", "null", "{}", "[1]"}) {
    config["classes"] = Json::parse(classes);
    CAPTURE(std::string(classes));
    CHECK(refusal(config) == "generator model: 'classes' are not all names");
  }
}

namespace {

/// Pointers to everything inside a JSON value.
void list_places(const Json& value, const Json::json_pointer& at, std::vector<Json::json_pointer>& places) {
  if (!at.empty()) places.push_back(at);
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) list_places(item, at / key, places);
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) list_places(value[i], at / i, places);
  }
}

}  // namespace

TEST_CASE("generator: whatever stands in a description, it is an Error or a graph that fits") {
  const Json replacements = Json::parse(R"([null, true, -1, 0, 1, 2, 3, 2147483647, 9223372036854775807,
    18446744073709551615, 1.5, 1e300, "", "conv", "a\nb", [], [1, 2, 3], [-1, 1], ["a"], {}, {"type": "relu"}])");
  const Json valid = sample();
  std::vector<Json::json_pointer> places;
  list_places(valid, Json::json_pointer(), places);
  REQUIRE(places.size() > 100);
  std::size_t accepted = 0;
  const auto run = [&](const Json& config) {
    const std::string transposed = error_of([&] { transposed_layers(config); });
    const TensorTable table = table_for(config);
    Generator made;
    const std::string message = error_of([&] { made = generator(config, table); });
    if (!message.empty()) return;
    ++accepted;
    CHECK(transposed.empty());
    for (const Graph& graph : made.graphs) {
      const std::string problem = error_of([&] { shapes_in(graph); });
      // What fits the tensors of a file may still be more than any device takes.
      const bool large = contains(problem, "sizes above 2^30") || contains(problem, "more than 1099511627776 elements");
      CHECK_MESSAGE((problem.empty() || large), problem);
    }
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::string place = places[i].to_string();
    CAPTURE(place);
    for (std::size_t k = 0; k <= replacements.size(); ++k) {
      if ((i + k) % HEED_SLOWNESS != 0) continue;
      Json config = valid;
      if (k < replacements.size()) {
        config[places[i]] = replacements[k];
      } else {
        Json& parent = config[places[i].parent_pointer()];
        if (parent.is_array()) {
          parent.erase(std::stoul(places[i].back()));
        } else {
          parent.erase(places[i].back());
        }
      }
      CAPTURE(k);
      run(config);
    }
  }
  CHECK(accepted > 0);
}

}  // namespace heed::models
