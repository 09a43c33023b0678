#include "tools/convert/picture_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "heed/error.h"
#include "models/picture_tokens.h"
#include "tokenizer/words.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/convert.h"
#include "tools/convert/huggingface.h"
#include "tools/convert/json_text.h"
#include "tools/convert/named_tensors.h"
#include "tools/convert/text.h"
#include "tools/convert/torch_transformer.h"
#include "tools/convert/translation_tokenizer.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kDecoderTensors[] = {"embedding.",     "output.",           "positions.",  "text_positions.",
                                           "row_positions.", "column_positions.", "transformer."};

bool is_of_decoder(const SourceTensor& tensor) {
  return std::ranges::any_of(kDecoderTensors, [&](const char* begin) { return tensor.name.starts_with(begin); });
}

/// An integer of an object in config.json, where it is one; the recipe says what is wrong with others.
std::int64_t size_in(const Json& config, const char* object, const char* key) {
  const Json found = config.value(object, Json::object());
  if (!found.is_object() || !found.contains(key) || !found[key].is_number_integer()) return 0;
  return std::clamp<std::int64_t>(found[key].get<std::int64_t>(), 0, 1 << 20);
}

/// Positions of a caption, then of codes: the sums of their rows' and columns'.
SourceTensor axial_positions(NamedTensors& tensors, std::int64_t text, std::int64_t rows, std::int64_t columns,
                             std::int64_t width) {
  const auto take = [&](const char* name, std::int64_t count) {
    SourceTensor tensor = tensors.take(name);
    const Shape expected = {count, width};
    if (tensor.shape != expected) {
      throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", name, to_string(tensor.shape),
                              to_string(expected)));
    }
    return tensor;
  };
  SourceTensor of_text = take("text_positions.weight", text);
  SourceTensor of_rows = take("row_positions.weight", rows);
  SourceTensor of_columns = take("column_positions.weight", columns);
  SourceTensor table{"position_embd.weight", DType::F32, {text + rows * columns, width}, {}};
  table.read = [of_text = std::move(of_text), of_rows = std::move(of_rows), of_columns = std::move(of_columns), rows,
                columns, width] {
    std::vector<float> values = tensor_values(of_text);
    const std::vector<float> down = tensor_values(of_rows);
    const std::vector<float> across = tensor_values(of_columns);
    for (std::int64_t place = 0; place < rows * columns; ++place) {
      for (std::int64_t i = 0; i < width; ++i) {
        values.push_back(down[static_cast<std::size_t>(place / columns * width + i)] +
                         across[static_cast<std::size_t>(place % columns * width + i)]);
      }
    }
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return table;
}

/// The decoder that is PyTorch's own layers, as the recipe of GPT-2 reads it.
Json read_torch_decoder(const Json& config, const Json& json, std::vector<SourceTensor> found, Checkpoint& checkpoint) {
  ConfigReader decoder(json, "config.json, decoder");
  if (decoder.find_text("type").value_or("") != "transformer") decoder.fail("type", "transformer, or a 'folder'");
  const std::int64_t width = decoder.size("width");
  const std::int64_t layers = decoder.size("layers");
  if (width > 1 << 20) decoder.fail("width", "at most 2^20");
  if (layers > 1000) decoder.fail("layers", "at most 1000");
  NamedTensors tensors(std::move(found), nullptr, {});
  const SourceTensor* embedding = tensors.find("embedding.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    throw Error(embedding == nullptr
                    ? std::string("tensor 'embedding.weight' is missing")
                    : fmt::format("tensor 'embedding.weight' has shape {}; expected [vocabulary, width]",
                                  to_string(embedding->shape)));
  }
  const std::int64_t vocabulary = embedding->shape[0];
  const std::string positions = decoder.find_text("positions").value_or("");
  std::int64_t context = 0;
  if (positions == "axial") {
    const Json text = config.value("text", Json());
    const std::size_t begin = text.is_object() && text.contains("begin") ? text["begin"].size() : 0;
    SourceTensor table = axial_positions(tensors, size_in(config, "text", "places") + static_cast<std::int64_t>(begin),
                                         size_in(config, "codes", "rows"), size_in(config, "codes", "columns"), width);
    context = table.shape[0];
    checkpoint.tensors.push_back(std::move(table));
  } else if (positions == "learned") {
    const SourceTensor* table = tensors.find("positions.weight");
    context = table == nullptr || table->shape.empty() ? 1 : table->shape[0];
    tensors.give("positions.weight", "position_embd.weight", checkpoint);
  } else {
    decoder.fail("positions", "learned or axial");
  }
  tensors.give("embedding.weight", "token_embd.weight", checkpoint);
  tensors.give("output.weight", "output.weight", checkpoint);
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    give_torch_layer(tensors, fmt::format("transformer.layers.{}.", layer), fmt::format("blk.{}.", layer), false, width,
                     checkpoint);
  }
  for (const char* part : kParts) {
    tensors.give(std::string("transformer.norm.") + part, std::string("output_norm.") + part, checkpoint);
  }
  tensors.finish(checkpoint);
  const std::int64_t heads = decoder.size("heads");
  if (width % heads != 0) decoder.fail("heads", fmt::format("a divisor of the width, {}", width));
  Json parameters = {{"width", width},
                     {"layers", layers},
                     {"heads", heads},
                     {"kv_heads", heads},
                     {"head_dim", width / heads},
                     {"ffn_width", decoder.size("ffn_width")},
                     {"vocabulary", vocabulary},
                     {"context", context},
                     {"norm", "layer_norm"},
                     {"norm_eps", decoder.find_positive("norm_eps").value_or(1e-5)},
                     {"feed_forward", "plain"},
                     {"activation", decoder.activation("activation", "relu")},
                     {"rope_dims", 0}};
  decoder.refuse_unread(false);
  return parameters;
}

/// The decoder of another folder, with its tokenizer.
Json read_folder_decoder(const fs::path& folder, ConfigReader& decoder, Checkpoint& checkpoint) {
  const fs::path path = folder / decoder.find_text("folder").value_or("");
  decoder.refuse_unread(false);
  if (!is_huggingface(path)) {
    throw Error(
        fmt::format("{}: config.json names it as the decoder's folder, but it has no config.json", path.string()));
  }
  Checkpoint read = read_huggingface(path);
  if (read.family != "decoder") {
    throw Error(fmt::format("{}: is no text model but of family '{}'; the decoder of pictures' codes must be one",
                            path.string(), read.family));
  }
  checkpoint.tensors = std::move(read.tensors);
  checkpoint.name_in_file = std::move(read.name_in_file);
  checkpoint.tokenizer = std::move(read.tokenizer);
  checkpoint.notes.insert(checkpoint.notes.end(), read.notes.begin(), read.notes.end());
  return read.parameters;
}

/// Words alone, without what the vocabulary would put around them: captions are filled up by ids that config.json
/// names.
std::string bare(const std::string& tokenizer) {
  if (!is_word_vocabulary(tokenizer)) return tokenizer;
  WordVocabulary words = WordVocabulary::from_json("tokenizer.json", tokenizer);
  words.add_begin = words.add_end = false;
  return words.to_json();
}

}  // namespace

bool is_picture_tokens(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / "config.json", ignored)) return false;
  const Json config = read_json(folder / "config.json", kMaxConfigBytes);
  return config.is_object() && config.value("model_type", Json()) == "picture-tokens";
}

Checkpoint read_picture_tokens(const fs::path& folder) {
  const Json json = read_json(folder / "config.json", kMaxConfigBytes);
  ConfigReader config(json, "config.json");
  config.skip("model_type");
  Checkpoint checkpoint;
  checkpoint.family = "picture-tokens";
  checkpoint.source = format_of_weights(folder);
  checkpoint.name = valid_utf8(fs::absolute(folder).lexically_normal().filename().string());
  // Counts the steps of training.
  const auto is_counter = [](std::string_view name) { return name.ends_with(".num_batches_tracked"); };
  std::vector<SourceTensor> found = read_weight_files(folder, is_counter, checkpoint.notes);

  const Json* decoder = config.find("decoder");
  if (decoder == nullptr || !decoder->is_object()) config.fail("decoder", "an object with a 'folder' or a 'type'");
  Json made;
  if (decoder->contains("folder")) {
    ConfigReader reader(*decoder, "config.json, decoder");
    made = read_folder_decoder(folder, reader, checkpoint);
  } else {
    std::vector<SourceTensor> of_decoder;
    const auto others =
        std::stable_partition(found.begin(), found.end(), [](const SourceTensor& t) { return !is_of_decoder(t); });
    std::move(others, found.end(), std::back_inserter(of_decoder));
    found.erase(others, found.end());
    made = read_torch_decoder(json, *decoder, std::move(of_decoder), checkpoint);
  }
  for (SourceTensor& tensor : found) {
    tensor.in_file = tensor.shown_name();
    tensor.name = models::kPictureTensors + tensor.name;
    checkpoint.tensors.push_back(std::move(tensor));
  }
  checkpoint.name_in_file = [of_decoder = checkpoint.name_in_file](const std::string& name) {
    const std::string_view begin = models::kPictureTensors;
    if (name.starts_with(begin)) return name.substr(begin.size());
    return of_decoder ? of_decoder(name) : name;
  };
  if (const auto file = config.find_text("tokenizer")) {
    if (!is_plain_name(*file) || file->find('/') != std::string::npos) config.fail("tokenizer", "a file of the folder");
    const auto vocabulary = made["vocabulary"].get<std::int64_t>();
    checkpoint.tokenizer = read_tokenizer_file(folder / *file, vocabulary);
  }
  if (checkpoint.tokenizer.empty()) {
    checkpoint.notes.push_back("without a tokenizer, captions can only be given as token ids");
  } else {
    checkpoint.tokenizer = bare(checkpoint.tokenizer);
  }
  for (const char* key : {"name", "description", "licence"}) {
    if (const auto text = config.find_text(key)) checkpoint.metadata[key] = *text;
  }
  checkpoint.parameters = {{"decoder", std::move(made)}};
  for (const char* key : {"text", "codes", "image", "pixels", "encoder", "defaults"}) {
    if (const Json* value = config.find(key)) checkpoint.parameters[key] = *value;
  }
  config.refuse_unread(false);
  return checkpoint;
}

}  // namespace heed::convert
