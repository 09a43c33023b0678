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
  const auto add = [&](const nlohmann::json& owner) {
    const nlohmann::json& list = generator_layers(owner);
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].value("type", nlohmann::json()) == "conv_transpose") names.insert(generator_tensors(owner, i));
    }
  };
  add(parameters);
  if (parameters.contains("encoder")) add(parameters["encoder"]);
  return names;
}

}  // namespace heed::models
