#include "models/generator.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "models/generator_builder.h"

namespace heed::models {
namespace {

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

/// Those of the layers that `owner` lists, and of the layers in them; their names begin with `inside`.
void add_transposed(const nlohmann::json& owner, const std::string& inside, std::set<std::string>& names) {
  constexpr std::size_t kLongestName = 4096;  // the graph is built after this, and refuses layers that are too deep
  const nlohmann::json& list = generator_layers(owner);
  for (std::size_t i = 0; i < list.size() && inside.size() < kLongestName; ++i) {
    const std::string name = inside + generator_tensors(owner, i);
    const nlohmann::json type = list[i].value("type", nlohmann::json());
    if (type == "conv_transpose") names.insert(name);
    if (type == "residual" && list[i].contains("layers")) {
      add_transposed({{"layers", list[i]["layers"]}}, name + ".", names);
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
  GeneratorBuilder draw("draw", parameters, tensors);
  made.graphs.push_back(draw.draw());
  std::set<std::string, std::less<>> read = draw.read();
  if (parameters.contains("encoder")) {
    GeneratorBuilder encode("encode", parameters, tensors);
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
  if (parameters.contains("classes")) made.metadata["classes"] = class_names(parameters);
  return made;
}

std::set<std::string> transposed_layers(const nlohmann::json& parameters) {
  std::set<std::string> names;
  add_transposed(parameters, "", names);
  if (parameters.contains("encoder")) add_transposed(parameters["encoder"], "", names);
  return names;
}

}  // namespace heed::models
