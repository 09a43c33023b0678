#include "models/picture_tokens.h"

#include <fmt/format.h>

#include <string_view>

#include "heed/error.h"
#include "models/decoder.h"
#include "models/generator_builder.h"

namespace heed::models {
namespace {

constexpr const char* kFamily = "picture-tokens";
constexpr std::int64_t kMostCodes = 1 << 16;    // of a picture
constexpr std::int64_t kMostEntries = 1 << 20;  // of a codebook
constexpr std::int64_t kMostIds = (std::int64_t{1} << 31) - 1;

/// A list of ids below `vocabulary`, at least one.
nlohmann::json ids_of(ParameterReader& reader, const char* key, std::int64_t vocabulary) {
  const nlohmann::json& list = reader.value(key);
  bool fits = list.is_array() && !list.empty() && list.size() <= 64;
  for (const nlohmann::json& id : fits ? list : nlohmann::json::array()) {
    fits = fits && id.is_number_integer() && id >= 0 && id < vocabulary;
  }
  if (!fits) reader.fail(fmt::format("'{}' is {}, expected a list of ids below {}", key, list.dump(), vocabulary));
  return list;
}

nlohmann::json defaults_of(const nlohmann::json& parameters) {
  const nlohmann::json given = parameters.value("defaults", nlohmann::json::object());
  ParameterReader reader("picture-tokens, defaults:", given);
  nlohmann::json defaults = nlohmann::json::object();
  if (reader.has("top_k")) defaults["top_k"] = reader.integer("top_k", 0, kMostEntries);
  for (const char* key : {"guidance", "temperature", "top_p"}) {
    if (!reader.has(key)) continue;
    const double value = reader.number(key);
    if (value < 0 || value > 1000) reader.fail(fmt::format("'{}' is {}, expected a number from 0 to 1000", key, value));
    defaults[key] = value;
  }
  reader.refuse_unread();
  return defaults;
}

nlohmann::json range_of(ParameterReader& reader) {
  const nlohmann::json range = reader.has("range") ? reader.value("range") : nlohmann::json::array({0, 1});
  const bool is_range = range.is_array() && range.size() == 2 && range[0].is_number() && range[1].is_number() &&
                        range[0].get<double>() < range[1].get<double>();
  if (!is_range) reader.fail(fmt::format("'range' is {}, expected two numbers, the smaller one first", range.dump()));
  return range;
}

/// A list of layers with its prefix; other keys than those are left.
nlohmann::json layers_of(const nlohmann::json& owner, const char* prefix) {
  nlohmann::json layers = owner;
  if (!layers.contains("prefix")) layers["prefix"] = prefix;
  return layers;
}

}  // namespace

PictureTokens picture_tokens(const nlohmann::json& parameters, const TensorTable& tensors, const TensorValues& values,
                             const TensorNames& names) {
  ParameterReader reader(kFamily, parameters);
  TensorTable of_decoder;
  TensorTable of_pictures;
  for (const auto& [name, type] : tensors) {
    (name.starts_with(kPictureTensors) ? of_pictures : of_decoder).emplace(name, type);
  }
  PictureTokens made;
  const auto decoder = DecoderParameters::from_json(reader.value("decoder"));
  made.graphs.push_back(decoder_graph(decoder, of_decoder, values, names));
  made.graphs.back().name = "tokens";
  const std::int64_t vocabulary = decoder.vocabulary;

  ParameterReader codes("picture-tokens, codes:", reader.value("codes"));
  Codebook codebook;
  codebook.count = codes.integer("count", 1, kMostEntries);
  codebook.rows = codes.integer("rows", 1, kMostCodes);
  codebook.columns = codes.integer("columns", 1, kMostCodes / codebook.rows);
  const std::int64_t first = codes.integer("first", 0, kMostIds);
  if (first + codebook.count > vocabulary) {
    codes.fail(
        fmt::format("{} codes from token {} on do not fit a vocabulary of {}", codebook.count, first, vocabulary));
  }
  codes.refuse_unread();

  ParameterReader text("picture-tokens, text:", reader.value("text"));
  const std::int64_t places = text.integer("places", 1, 1 << 16);
  const std::int64_t pad = text.integer("pad", 0, vocabulary - 1);
  const nlohmann::json begin = ids_of(text, "begin", vocabulary);
  text.refuse_unread();
  const std::int64_t context = decoder.context;
  const std::int64_t fed = places + static_cast<std::int64_t>(begin.size()) + codebook.rows * codebook.columns - 1;
  if (fed > context) {
    reader.fail(fmt::format("a caption and all codes but the last are {} tokens, but the decoder's context is {}", fed,
                            context));
  }

  const nlohmann::json& pixels = reader.value("pixels");
  ParameterReader pixel_reader("picture-tokens, pixels:", pixels);
  codebook.width = pixel_reader.size("codebook");
  codebook.tensor = pixel_reader.has("tensor") ? pixel_reader.text("tensor") : "codebook.weight";
  for (const char* key : {"layers", "prefix"}) {
    if (pixel_reader.has(key)) pixel_reader.value(key);
  }
  pixel_reader.refuse_unread();
  GeneratorBuilder decode("pixels", pixels, of_pictures, kPictureTensors, names);
  made.graphs.push_back(decode.decode_codes(codebook, layers_of(pixels, "pixels")));
  const Shape picture = decode.shape();
  std::set<std::string, std::less<>> read = decode.read();

  if (reader.has("encoder")) {
    const nlohmann::json& encoder = reader.value("encoder");
    ParameterReader encoder_reader("picture-tokens, encoder:", encoder);
    for (const char* key : {"layers", "prefix", "image"}) {
      if (encoder_reader.has(key)) encoder_reader.value(key);
    }
    encoder_reader.refuse_unread();
    GeneratorBuilder encode("codes", encoder, of_pictures, kPictureTensors, names);
    made.graphs.push_back(encode.encode_codes(codebook, layers_of(encoder, "encoder")));
    read.insert(encode.read().begin(), encode.read().end());
    const nlohmann::json of_pixels = picture;
    if (encoder.value("image", nlohmann::json()) != of_pixels) {
      encoder_reader.fail(
          fmt::format("'image' is {}, but the pixels are {}", encoder["image"].dump(), of_pixels.dump()));
    }
  }
  refuse_unread(kFamily, of_pictures, read, names);

  ParameterReader image("picture-tokens, image:", reader.value("image"));
  const std::string channels = image.choice("channels", {"gray", "rgb"});
  if ((channels == "gray") != (picture[0] == 1)) {
    image.fail(fmt::format("'channels' is {}, but the layers make {}", channels, picture[0]));
  }
  const nlohmann::json range = range_of(image);
  image.refuse_unread();
  made.metadata = {
      {"task", "text-to-image"},
      {"context", context},
      {"vocabulary", vocabulary},
      {"parameters", decoder.to_json()},
      {"text", {{"places", places}, {"pad", pad}, {"begin", begin}}},
      {"codes", {{"first", first}, {"count", codebook.count}, {"rows", codebook.rows}, {"columns", codebook.columns}}},
      {"image", {{"channels", channels}, {"range", range}, {"height", picture[1]}, {"width", picture[2]}}},
      {"defaults", defaults_of(parameters)}};
  if (reader.has("defaults")) reader.value("defaults");
  reader.refuse_unread();
  return made;
}

}  // namespace heed::models
